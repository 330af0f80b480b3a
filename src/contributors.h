/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who brought in what an account is charged: paths of cgroups, and bytes. The
 * largest few are kept by name; the smallest is added to all others' sum when
 * a new one comes, so that cgroups that come and go make nothing grow. They
 * are names, not references: a cgroup may be gone that is still told of. Pure.
 */
#ifndef MEMCGFS_CONTRIBUTORS_H
#define MEMCGFS_CONTRIBUTORS_H

#include "lock.h"

#include <stddef.h>
#include <stdint.h>

#define CONTRIBUTORS_MAX 16

/* What stands for the path of all others: no cgroup's, as it has no slash. */
#define CONTRIBUTORS_OTHERS "others"

struct account_contribution {
	char *path;
	uint64_t bytes;
};

struct contributors {
	struct lock lock; /* for all below */
	struct account_contribution *named; /* NULL: none yet */
	size_t n_named;
	uint64_t others_bytes;
};

void contributors_init(struct contributors *contributors);
void contributors_destroy(struct contributors *contributors);

/* Without memory it goes to the others, or unsaid. */
void contributors_add(struct contributors *contributors, const char *path,
		      uint64_t bytes);

/* A copy, the largest first, and the others last; or -ENOMEM. */
int contributors_copy(struct contributors *contributors,
		      struct account_contribution **copy, size_t *n);
void contributors_free_copy(struct account_contribution *copy, size_t n);

#endif
