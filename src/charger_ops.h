/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the calls on a ring do: all I/O that can bring pages into the page
 * cache. It is made by the threads of a charger, which is what this module
 * is for, and by the daemon itself only where nothing is enforced.
 */
#ifndef MEMCGFS_CHARGER_OPS_H
#define MEMCGFS_CHARGER_OPS_H

#include "pins.h"
#include "ring.h"

#include <stdbool.h>

/* What a thread needs to know. */
struct charger_context {
	char *arena; /* where this process has it */
	uint64_t memcg_ino; /* whose pages aren't foreign */
	int kpagecgroup_fd; /* -1: no right to it */
	int kpageflags_fd; /* the same */
	struct pins *pins; /* NULL: it can't pin */
	int memory_tries; /* of the call at hand, that are left */
};

/* Makes the call, and sets its result. */
void charger_perform(struct charger_context *context, struct ring_call *call);

#endif
