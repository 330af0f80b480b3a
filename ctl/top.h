/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The books, the files and the hosts of a mount, live on a terminal. */
#ifndef MEMCGFS_CTL_TOP_H
#define MEMCGFS_CTL_TOP_H

#include "command.h"

#define TOP_FILES 200 /* so many are asked for at most */

/* With --json nobody has to look: see toplines.h. */
int top_run(const struct call *call);

#endif
