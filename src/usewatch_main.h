/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The watcher: a process that listens to who opens files of the mount (see
 * usewatch.h), by fanotify(7).
 *
 * It is no thread of the daemon, and shares no fd with it: to take an event
 * is to open the file, and to close that again may write what was stored
 * through a mapping, for which the daemon is needed. A thread that waits for
 * its own process keeps a killed one from ending, with its /dev/fuse open.
 */
#ifndef MEMCGFS_USEWATCH_MAIN_H
#define MEMCGFS_USEWATCH_MAIN_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

/* What to watch, as the first message to the watcher; it answers an int. */
struct usewatch_order {
	dev_t device; /* of the mount: no other one is watched */
	char mountpoint[PATH_MAX];
};

/*
 * What was opened since the last message. The watcher keeps it open until a
 * byte comes in return, so that the kernel forgets none of these inodes.
 */
#define USEWATCH_BATCH 256

struct usewatch_batch {
	uint32_t n;
	uint32_t is_incomplete; /* more was opened than the kernel keeps */
	struct usewatch_open {
		uint64_t nodeid; /* as FUSE numbers inodes */
		pid_t pid; /* 0: of another pid namespace */
	} opens[USEWATCH_BATCH];
};

/* To be called in a process of its own, with one end of a socket pair. */
_Noreturn void usewatch_main(int socket, pid_t daemon);

#endif
