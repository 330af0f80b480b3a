/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which process a thread belongs to, as /proc tells it: its thread group and
 * when that began, so that a number which is used again is another process.
 */
#ifndef MEMCGFS_IDENTITY_H
#define MEMCGFS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define IDENTITY_COMMAND_BYTES 16 /* the kernel's TASK_COMM_LEN */

struct identity {
	pid_t pid;
	pid_t parent;
	pid_t group; /* of a job */
	uint64_t start_ns; /* by CLOCK_BOOTTIME, to a tick */
	char command[IDENTITY_COMMAND_BYTES];
	/* The thread's I/O class is idle, or its policy is SCHED_IDLE or
	 * SCHED_BATCH. */
	bool is_idle;
};

/* 0; -ESRCH: there is no such thread, or it can't be seen. */
int identity_read(pid_t tid, struct identity *identity);

#endif
