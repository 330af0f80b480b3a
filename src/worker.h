/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread that works in the background, keeps to an allowance, and ends as
 * soon as it is told to.
 */
#ifndef MEMCGFS_WORKER_H
#define MEMCGFS_WORKER_H

#include "allowance.h"

#include <pthread.h>
#include <stdbool.h>

struct worker {
	pthread_t thread;
	int stop_fd;
	struct allowance allowance; /* the thread's own */
};

/* What the thread runs, and its argument. */
struct worker_job {
	void *(*main)(void *arg);
	void *arg;
	double percent; /* of one CPU, more than 0 */
};

/* 0 or -errno: then there is nothing to be stopped. */
int worker_start(struct worker *worker, const struct worker_job *job);

/* Has it end, and waits for that. */
void worker_stop(struct worker *worker);

/* -- for the thread itself -- */

/* Waits for @ms at most: whether it is to end. */
bool worker_is_stopped(const struct worker *worker, int ms);

/* When all is used up, until there is enough again: whether it is to go on. */
bool worker_rest(struct worker *worker);

#endif
