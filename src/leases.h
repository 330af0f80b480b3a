/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that somebody has a write lease on (fcntl(2), F_SETLEASE): whoever
 * opens one, O_NONBLOCK or not, takes it from him. As /proc/locks shows them,
 * which is those of this pid namespace, when it was read last.
 */
#ifndef MEMCGFS_LEASES_H
#define MEMCGFS_LEASES_H

#include <stdbool.h>
#include <sys/types.h>

struct leases;

/* NULL: no memory. */
struct leases *leases_new(void);
struct leases *leases_free(struct leases *leases);

/* Whether there are any at all; it reads again what it read a second ago. */
bool leases_exist(struct leases *leases);

/* Whether somebody has one on that file, of those that there were then. */
bool leases_have(struct leases *leases, dev_t dev, ino_t ino);

#endif
