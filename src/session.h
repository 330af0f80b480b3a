/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mount's life: it wires everything, and is the only one that knows
 * everyone. What is made in session_start() is unmade in session_stop(), in
 * reverse.
 */
#ifndef MEMCGFS_SESSION_H
#define MEMCGFS_SESSION_H

#include "options.h"

/*
 * Mounts, serves until the mount ends, and leaves nothing behind. It takes the
 * options over. Unless -1, one byte is written to @report_fd: 0 when the mount
 * is usable, else another. Gives the exit status.
 */
int session_run(const struct options *options, int report_fd);

#endif
