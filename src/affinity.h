/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a thread runs. Much data is copied best on the CPU whose cache has
 * it, which is that of the client who waits; but the scheduler wakes whoever
 * serves him on another CPU, an idle one. So a thread follows the client of a
 * large request, and is free again once it had little to copy for a while. It
 * also follows a scanner, who waits all the time for what is done for him: on
 * his own CPU that keeps nobody else from working.
 *
 * All of it is of the calling thread, and best effort: a thread that may not
 * run there stays where it is.
 */
#ifndef MEMCGFS_AFFINITY_H
#define MEMCGFS_AFFINITY_H

#include <sys/types.h>

#define AFFINITY_ANY (-1)

/* Before there are threads: where this process may run. */
void affinity_init(void);

/* At the start of a thread: it may be made by one that follows a client. */
void affinity_init_thread(void);

/*
 * A request of thread @tid to be followed: the caller goes where that sleeps,
 * and is told which CPU that is. One that runs on has more to do than to wait,
 * and is left alone on its CPU: AFFINITY_ANY.
 */
int affinity_follow(pid_t tid);

/* Any request: after a number that were not followed it may run anywhere. */
void affinity_relax(void);

/* The CPU that the thread has followed to, or AFFINITY_ANY. */
int affinity_cpu(void);

/* Works for a thread that is at @cpu: affinity_cpu() there. */
void affinity_join(int cpu);

#endif
