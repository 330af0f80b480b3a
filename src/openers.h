/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who opens: the account of the cgroup that a thread lives in, as /proc tells
 * it. Each worker keeps a few threads' files open, which name the threads, not
 * numbers that may be used again, and what they told last.
 */
#ifndef MEMCGFS_OPENERS_H
#define MEMCGFS_OPENERS_H

#include "accounting.h"

#include <sys/types.h>

struct cgroup_tree;
struct openers;

/* 0 or -errno; both arguments must outlive it. */
int openers_new(const struct cgroup_tree *tree, struct books *books,
		struct openers **out);

/* All other threads that have asked are gone. */
struct openers *openers_free(struct openers *openers);

/*
 * The account of the thread's memory cgroup, as it was at most @age_ns ago: a
 * reference. NULL: there is no such thread, or it can't be seen from here.
 */
struct account *openers_account(struct openers *openers, pid_t tid,
				uint64_t age_ns);

/* Forgets the accounts of threads that were last asked about before that. */
void openers_expire(struct openers *openers, uint64_t before_ns);

#endif
