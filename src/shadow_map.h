/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which pages of a file are resident, and to whom each of them is charged:
 * compressed bitmaps, one of all resident pages and one more for each owner
 * but the host, so that a file that is wholly the host's costs next to
 * nothing, and one with pages here and there a bit or two for each. It is told
 * what the kernel says.
 *
 * Pure: no system calls. Protected by whoever owns it.
 */
#ifndef MEMCGFS_SHADOW_MAP_H
#define MEMCGFS_SHADOW_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The owner, whichever cgroup that is, who is to have all pages. */
#define SHADOW_HOST UINT64_MAX

struct shadow_map;

/* Pages one after another of the same owner; at least one. */
struct shadow_run {
	uint64_t first_page;
	uint64_t pages;
	uint64_t owner; /* SHADOW_HOST, or the inode number of a cgroup */
};

/* Nothing is resident. NULL: no memory. */
struct shadow_map *shadow_map_new(void);
struct shadow_map *shadow_map_free(struct shadow_map *map);

/* The run's pages are resident, and that owner's. 0 or -ENOMEM. */
int shadow_map_set(struct shadow_map *map, const struct shadow_run *run);

/* They are gone: dropped, truncated, reclaimed. */
void shadow_map_drop(struct shadow_map *map, uint64_t first_page,
		     uint64_t pages);

/* Takes as little memory as it can; worth it once all has been set. */
void shadow_map_pack(struct shadow_map *map);

/* Pages: all, and those of an owner. */
uint64_t shadow_map_resident(const struct shadow_map *map);
uint64_t shadow_map_owned(const struct shadow_map *map, uint64_t owner);

/*
 * The first run at or behind a page, which begins in its midst if the page is
 * there. False: nothing is resident from there on. Runs are whole, but end
 * where the number of the page is a multiple of 2^32.
 */
bool shadow_map_next(const struct shadow_map *map, uint64_t from_page,
		     struct shadow_run *run);

/* What it takes, in bytes. */
size_t shadow_map_bytes(const struct shadow_map *map);

#endif
