// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which pages of a file are whose; see shadow_map.h. A Roaring bitmap (Lemire
 * et al., "Roaring Bitmaps: Implementation of an Optimized Software Library",
 * 2018) has numbers of 32 bits: a part of a file of so many pages, which are
 * 16 TiB, has bitmaps of its own.
 */
#include "shadow_map.h"

#include "util.h"

#include <roaring/roaring.h>

#define PART_BITS 32
#define PART_PAGES ((uint64_t)1 << PART_BITS)

/* A part of all resident pages, or of those of one owner but the host. */
struct plane {
	uint64_t owner; /* SHADOW_HOST: all of them */
	uint32_t part;
	roaring_bitmap_t *pages; /* not empty, but while it is worked on */
};

struct shadow_map {
	struct plane *planes; /* few */
	size_t n;
};

/* Pages within a part: the last one belongs to it. */
struct span {
	uint32_t part;
	uint32_t first;
	uint32_t last;
};

/* The next span of pages; false: there are no more. */
static bool take_span(uint64_t *first_page, uint64_t *pages, struct span *span)
{
	uint64_t n = PART_PAGES - *first_page % PART_PAGES;

	if (!*pages)
		return false;
	if (n > *pages)
		n = *pages;
	span->part = (uint32_t)(*first_page >> PART_BITS);
	span->first = (uint32_t)*first_page;
	span->last = (uint32_t)(*first_page + n - 1);
	*first_page += n;
	*pages -= n;
	return true;
}

/* What of the pages is in that part; false: nothing. */
static bool clip_span(uint64_t first_page, uint64_t pages, uint32_t part,
		      struct span *span)
{
	uint64_t begin = (uint64_t)part << PART_BITS;
	uint64_t last = begin + (PART_PAGES - 1);
	uint64_t last_page = first_page + (pages - 1);

	if (!pages || last_page < begin || first_page > last)
		return false;
	span->part = part;
	span->first = (uint32_t)(first_page > begin ? first_page : begin);
	span->last = (uint32_t)(last_page < last ? last_page : last);
	return true;
}

struct shadow_map *shadow_map_new(void)
{
	return calloc(1, sizeof(struct shadow_map));
}

struct shadow_map *shadow_map_free(struct shadow_map *map)
{
	if (!map)
		return NULL;
	for (size_t i = 0; i < map->n; i++)
		roaring_bitmap_free(map->planes[i].pages);
	free(map->planes);
	free(map);
	return NULL;
}

static struct plane *find_plane(const struct shadow_map *map, uint64_t owner,
				uint32_t part)
{
	for (size_t i = 0; i < map->n; i++)
		if (map->planes[i].owner == owner &&
		    map->planes[i].part == part)
			return &map->planes[i];
	return NULL;
}

/* The same, made if there is none. NULL: no memory. */
static struct plane *need_plane(struct shadow_map *map, uint64_t owner,
				uint32_t part)
{
	struct plane *plane = find_plane(map, owner, part);
	struct plane *planes;

	if (plane)
		return plane;
	planes = reallocarray(map->planes, map->n + 1, sizeof(*planes));
	if (!planes)
		return NULL;
	map->planes = planes;
	plane = &planes[map->n];
	plane->owner = owner;
	plane->part = part;
	plane->pages = roaring_bitmap_create();
	if (!plane->pages)
		return NULL;
	map->n++;
	return plane;
}

static void remove_empty(struct shadow_map *map)
{
	size_t kept = 0;

	for (size_t i = 0; i < map->n; i++) {
		if (roaring_bitmap_is_empty(map->planes[i].pages))
			roaring_bitmap_free(map->planes[i].pages);
		else
			map->planes[kept++] = map->planes[i];
	}
	map->n = kept;
}

static int add_span(struct shadow_map *map, uint64_t owner,
		    const struct span *span)
{
	struct plane *plane = need_plane(map, owner, span->part);

	if (!plane)
		return -ENOMEM;
	roaring_bitmap_add_range_closed(plane->pages, span->first, span->last);
	return 0;
}

static void remove_span(struct plane *plane, const struct span *span)
{
	roaring_bitmap_remove_range_closed(plane->pages, span->first,
					   span->last);
}

static int set_span(struct shadow_map *map, uint64_t owner,
		    const struct span *span)
{
	struct plane *plane;
	int r;

	for (size_t i = 0; i < map->n; i++) {
		plane = &map->planes[i];
		if (plane->part == span->part && plane->owner != SHADOW_HOST &&
		    plane->owner != owner)
			remove_span(plane, span);
	}
	r = add_span(map, SHADOW_HOST, span);
	return r == 0 && owner != SHADOW_HOST ? add_span(map, owner, span) : r;
}

int shadow_map_set(struct shadow_map *map, const struct shadow_run *run)
{
	uint64_t first = run->first_page, pages = run->pages;
	struct span span;
	int r = 0;

	while (r == 0 && take_span(&first, &pages, &span))
		r = set_span(map, run->owner, &span);
	remove_empty(map);
	return r;
}

void shadow_map_drop(struct shadow_map *map, uint64_t first_page,
		     uint64_t pages)
{
	struct span span;

	for (size_t i = 0; i < map->n; i++)
		if (clip_span(first_page, pages, map->planes[i].part, &span))
			remove_span(&map->planes[i], &span);
	remove_empty(map);
}

void shadow_map_pack(struct shadow_map *map)
{
	for (size_t i = 0; i < map->n; i++) {
		roaring_bitmap_run_optimize(map->planes[i].pages);
		roaring_bitmap_shrink_to_fit(map->planes[i].pages);
	}
}

static uint64_t sum_of(const struct shadow_map *map, bool all, uint64_t owner)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < map->n; i++)
		if (all ? map->planes[i].owner != SHADOW_HOST :
			  map->planes[i].owner == owner)
			pages += roaring_bitmap_get_cardinality(
				map->planes[i].pages);
	return pages;
}

uint64_t shadow_map_resident(const struct shadow_map *map)
{
	return sum_of(map, false, SHADOW_HOST);
}

uint64_t shadow_map_owned(const struct shadow_map *map, uint64_t owner)
{
	uint64_t pages = sum_of(map, false, owner);

	return owner == SHADOW_HOST ? pages - sum_of(map, true, 0) : pages;
}

/* -- the runs -- */

/* The plane's first page that is @from or more; false: there is none. */
static bool seek(const struct plane *plane, uint32_t from,
		 roaring_uint32_iterator_t *it)
{
	roaring_init_iterator(plane->pages, it);
	return roaring_move_uint32_iterator_equalorlarger(it, from);
}

/* How far the pages from @it on go without a gap, the last one up to @last. */
static uint32_t end_of_run(roaring_uint32_iterator_t *it, uint32_t last)
{
	uint32_t at = it->current_value;

	while (at < last && roaring_advance_uint32_iterator(it) &&
	       it->current_value == at + 1)
		at++;
	return at;
}

/* The first run of a part from a page of it on. */
static bool next_of_part(const struct shadow_map *map, const struct plane *all,
			 uint32_t from, struct shadow_run *run)
{
	roaring_uint32_iterator_t it, other;
	uint32_t first, last = UINT32_MAX, end;

	if (!seek(all, from, &it))
		return false;
	first = it.current_value;
	run->owner = SHADOW_HOST;
	for (size_t i = 0; i < map->n; i++) {
		const struct plane *plane = &map->planes[i];

		if (plane->part != all->part || plane->owner == SHADOW_HOST ||
		    !seek(plane, first, &other))
			continue;
		if (other.current_value == first) {
			run->owner = plane->owner;
			it = other;
		} else if (other.current_value - 1 < last) {
			last = other.current_value - 1;
		}
	}
	end = end_of_run(&it, last);
	run->first_page = ((uint64_t)all->part << PART_BITS) + first;
	run->pages = (uint64_t)end - first + 1;
	return true;
}

bool shadow_map_next(const struct shadow_map *map, uint64_t from_page,
		     struct shadow_run *run)
{
	uint32_t part = (uint32_t)(from_page >> PART_BITS);
	uint32_t from = (uint32_t)from_page;
	const struct plane *next;

	for (;;) {
		next = NULL;
		for (size_t i = 0; i < map->n; i++) {
			const struct plane *plane = &map->planes[i];

			if (plane->owner == SHADOW_HOST &&
			    plane->part >= part &&
			    (!next || plane->part < next->part))
				next = plane;
		}
		if (!next)
			return false;
		if (next->part != part)
			from = 0;
		if (next_of_part(map, next, from, run))
			return true;
		/* Of this part there is nothing more. */
		if (next->part == UINT32_MAX)
			return false;
		part = next->part + 1;
		from = 0;
	}
}

/*
 * A container has a key, a type and an address in its bitmap, and a head; what
 * it has in it is another piece of the heap.
 */
#define HEAP_BYTES 16 /* that a piece takes for itself */
#define CONTAINER_BYTES \
	(sizeof(uint16_t) + 1 + sizeof(void *) + 16 + 2 * HEAP_BYTES)

size_t shadow_map_bytes(const struct shadow_map *map)
{
	size_t bytes = sizeof(*map) + map->n * sizeof(struct plane);
	roaring_statistics_t stats;

	for (size_t i = 0; i < map->n; i++) {
		roaring_bitmap_statistics(map->planes[i].pages, &stats);
		bytes += sizeof(roaring_bitmap_t) +
			 stats.n_containers * CONTAINER_BYTES +
			 stats.n_bytes_array_containers +
			 stats.n_bytes_run_containers +
			 stats.n_bytes_bitset_containers;
	}
	return bytes;
}
