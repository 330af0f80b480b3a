/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A set of pages of a file, as ranges in order that neither touch nor overlap.
 * It is bounded: where there would be too many ranges, one takes in the gap
 * to its neighbour.
 */
#ifndef MEMCGFS_RANGES_H
#define MEMCGFS_RANGES_H

#include <stddef.h>
#include <stdint.h>

#define RANGES_MAX 4096

struct range {
	uint64_t first;
	uint64_t end; /* the page behind its last */
};

/* Zeroed, it is empty. */
struct ranges {
	struct range *items;
	size_t n;
	size_t room;
};

/*
 * Adds the pages from @first to before @end. How many are new in it; or
 * -ENOMEM, and it is as it was.
 */
int64_t ranges_add(struct ranges *ranges, uint64_t first, uint64_t end);

uint64_t ranges_pages(const struct ranges *ranges);

/* Leaves it empty. */
void ranges_clear(struct ranges *ranges);

#endif
