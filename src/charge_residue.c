// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The heart, 11: residue; see charge.h. Pages that couldn't be moved are tried
 * again for as long as they stay. Which ones they are is known from the last
 * probe of the file, so that this costs what they do, and not the file.
 */
#include "charge_priv.h"

#include "residency.h"
#include "util.h"

#define RUNS_MAX 64 /* to claim one by one; with more of them, the file */
#define MAP_BYTES_MAX (64 * 1024)

/* Whether somebody will want to know it again. */
static bool is_worth_keeping(const struct shadow_map *map)
{
	return shadow_map_owned(map, SHADOW_HOST) != shadow_map_resident(map) &&
	       shadow_map_bytes(map) <= MAP_BYTES_MAX;
}

void charge_keep_map(struct charge *charge, struct inode *inode,
		     struct shadow_map *map)
{
	struct shadow_map *old;

	if (map && !is_worth_keeping(map))
		map = shadow_map_free(map);
	inode_lock(charge->table, inode);
	old = inode->pages->map;
	inode->pages->map = map;
	inode_unlock(charge->table, inode);
	shadow_map_free(old);
}

static struct shadow_map *take_map(struct charge *charge, struct inode *inode)
{
	struct shadow_map *map;

	inode_lock(charge->table, inode);
	map = steal_ptr(&inode->pages->map);
	inode_unlock(charge->table, inode);
	return map;
}

/* The next run at or behind a page that isn't the host's. */
static bool next_foreign(const struct shadow_map *map, uint64_t from_page,
			 struct shadow_run *run)
{
	while (shadow_map_next(map, from_page, run)) {
		if (run->owner != SHADOW_HOST)
			return true;
		from_page = run->first_page + run->pages;
	}
	return false;
}

static unsigned int count_foreign(const struct shadow_map *map)
{
	unsigned int runs = 0;
	struct shadow_run run;

	for (uint64_t at = 0; runs <= RUNS_MAX && next_foreign(map, at, &run);
	     at = run.first_page + run.pages)
		runs++;
	return runs;
}

/* 1: all of the run is there yet, 0: it isn't; or -errno. */
static int retry_run(struct charge *charge, const struct backing *backing,
		     const struct shadow_run *run, uint64_t *dropped_pages)
{
	struct ring_call call = {
		.op = RING_CLAIM,
		.fd = backing_read_fd(backing),
		.offset = run->first_page * page_bytes(),
		.length = run->pages * page_bytes(),
	};
	int64_t r = charge_call_claim(charge, backing->inode, &call);

	if (r < 0)
		return (int)r;
	*dropped_pages = call.foreign_pages - call.residue_pages;
	return call.residue_pages == run->pages;
}

static int retry_runs(struct charge *charge, const struct backing *backing,
		      const struct shadow_map *map, uint64_t *dropped_pages)
{
	struct shadow_run run;
	int r = 1;

	for (uint64_t at = 0; r > 0 && next_foreign(map, at, &run);
	     at = run.first_page + run.pages)
		r = retry_run(charge, backing, &run, dropped_pages);
	return r;
}

int64_t charge_retry(struct charge *charge, struct backing *backing,
		     uint64_t *dropped_pages)
{
	struct inode *inode = backing->inode;
	struct shadow_map *map = take_map(charge, inode);
	uint64_t stayed;
	int r = 0;

	if (!map)
		return 0;
	stayed = shadow_map_resident(map) - shadow_map_owned(map, SHADOW_HOST);
	if (count_foreign(map) <= RUNS_MAX)
		r = retry_runs(charge, backing, map, dropped_pages);
	if (*dropped_pages)
		charge_note_dropped(charge, inode, *dropped_pages);
	if (r > 0)
		charge_keep_map(charge, inode, steal_ptr(&map));
	shadow_map_free(map);
	return r > 0 ? (int64_t)stayed : r;
}
