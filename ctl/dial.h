/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The way to the daemon behind a mount: its control socket. */
#ifndef MEMCGFS_CTL_DIAL_H
#define MEMCGFS_CTL_DIAL_H

#include "mounts.h"

#define DIAL_PATIENCE_S 60 /* a charger may not answer the daemon, either */

/*
 * A connected socket, whose reads give up after DIAL_PATIENCE_S; -EAGAIN: too
 * many are there; -ECONNREFUSED: nobody who is to be believed listens.
 */
int dial(const struct mount *mount);

#endif
