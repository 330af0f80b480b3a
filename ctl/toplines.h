/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `top` looks at, for scripts: a line a round. */
#ifndef MEMCGFS_CTL_TOPLINES_H
#define MEMCGFS_CTL_TOPLINES_H

#include "command.h"

/* Until it is told to end, the mount ends, or nobody reads: the exit status. */
int toplines_run(const struct call *call);

#endif
