/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a charger: a process in the host cgroup that takes calls from
 * its ring and makes them, so that the kernel charges what they bring into
 * the page cache to the cgroup of this process's mm (the kernel charges the
 * memory cgroup of the mm's owner, seen on 6.18, v1 and v2; threads of one
 * process can't differ).
 */
#ifndef MEMCGFS_CHARGER_MAIN_H
#define MEMCGFS_CHARGER_MAIN_H

#include <stdint.h>

struct charger_birth {
	int ring_fd;
	int arena_fd;
	int procs_fd; /* cgroup.procs of the host, open for writing */
	int kpagecgroup_fd; /* -1: no right to it */
	int kpageflags_fd; /* the same */
	uint64_t memcg_ino; /* inode number of the host's directory */
};

/*
 * To be called in a process of its own that shares the daemon's fd table.
 * Enters the host, says ready on the ring, and serves until it is killed.
 */
_Noreturn void charger_main(const struct charger_birth *birth);

#endif
