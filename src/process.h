/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the daemon's process is set up with; its chargers inherit it. */
#ifndef MEMCGFS_PROCESS_H
#define MEMCGFS_PROCESS_H

#include <stdbool.h>

/* fds 0 to 2 have to be open: what is opened first must not be one. */
void process_open_standard_fds(void);

/* As many fds as allowed; clients' limits are checked by their own kernel. */
void process_raise_limits(void);

/* False: it can't be; lowering the score takes CAP_SYS_RESOURCE. */
bool process_protect_from_oom(void);

/* From here on the log is syslog, and the directory "/". */
void process_let_go_of_terminal(void);

#endif
