/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread that clears away a moment later what was added to its queue. The
 * moment is worth it: pages that were read just now are still in the batches
 * of the CPU that read them (lru_add_drain_all() in the kernel), and to drop
 * them at once has all CPUs interrupted, file by file.
 *
 * The queue is bounded; who finds it full does the work himself, so that what
 * is to be cleared away can't pile up.
 */
#ifndef MEMCGFS_SWEEPER_H
#define MEMCGFS_SWEEPER_H

#include "list.h"

#include <stdbool.h>
#include <stdint.h>

struct sweeper;

/* Part of what is to be swept; in one queue at a time. */
struct sweeper_item {
	struct list link;
	uint64_t bytes; /* about so much is there to be cleared away */
	int cpu; /* where that is done */
};

/* Called by the thread, or by sweeper_free(), once for each that was added. */
struct sweeper_config {
	void (*sweep)(void *userdata, struct sweeper_item *item);
	void *userdata;
};

int sweeper_new(const struct sweeper_config *config, struct sweeper **out);

/* Sweeps what is left. */
struct sweeper *sweeper_free(struct sweeper *sweeper);

/*
 * To be swept at that CPU, or AFFINITY_ANY. False: it is full, and the caller
 * is to sweep.
 */
bool sweeper_add(struct sweeper *sweeper, struct sweeper_item *item,
		 uint64_t bytes, int cpu);

#endif
