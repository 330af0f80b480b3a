// SPDX-License-Identifier: GPL-2.0-or-later
/* In which order directories list their files; see listings.h. */
#include "listings.h"

#include "hash.h"
#include "list.h"
#include "util.h"

#include <string.h>

#define FIRST_MAX 8 /* files that there is room for at first */

struct listing {
	struct hash_link link;
	struct list used_link;
	uint64_t dir;
	struct listings_reader readers[2];
	struct listings_file *files;
	uint32_t count;
	uint32_t max;
	bool is_whole;
	bool is_too_long; /* there are more than are kept */
};

struct listings {
	struct hash hash;
	struct list used; /* the latest first */
	size_t max_bytes;
	size_t bytes;
};

struct listings *listings_new(size_t max_bytes)
{
	struct listings *listings;

	listings = calloc(1, sizeof(*listings));
	if (!listings)
		return NULL;
	listings->max_bytes = max_bytes;
	list_init(&listings->used);
	return listings;
}

static size_t bytes_of(const struct listing *listing)
{
	return sizeof(*listing) + listing->max * sizeof(*listing->files);
}

static void drop(struct listings *listings, struct listing *listing)
{
	listings->bytes -= bytes_of(listing);
	hash_del(&listings->hash, &listing->link);
	list_del(&listing->used_link);
	free(listing->files);
	free(listing);
}

static struct listing *oldest(struct listings *listings)
{
	return container_of(listings->used.prev, struct listing, used_link);
}

struct listings *listings_free(struct listings *listings)
{
	if (!listings)
		return NULL;
	while (!list_empty(&listings->used))
		drop(listings, oldest(listings));
	hash_clear(&listings->hash);
	free(listings);
	return NULL;
}

size_t listings_bytes(const struct listings *listings)
{
	return listings->bytes;
}

/* FNV-1a, folded. */
uint16_t listings_name(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (unsigned char)*name) * 16777619u;
	return (uint16_t)(hash ^ hash >> 16);
}

static uint32_t hash_of(uint64_t dir)
{
	return (uint32_t)((dir * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static struct listing *find(const struct listings *listings, uint64_t dir)
{
	struct hash_link *link = hash_find(&listings->hash, hash_of(dir));
	struct listing *listing;

	for (; link; link = hash_find_next(link)) {
		listing = container_of(link, struct listing, link);
		if (listing->dir == dir)
			return listing;
	}
	return NULL;
}

static void note_use(struct listings *listings, struct listing *listing)
{
	list_del(&listing->used_link);
	list_add(&listings->used, &listing->used_link);
}

/* Makes room by what was used longest ago, but for the latest. */
static void keep_bound(struct listings *listings)
{
	while (listings->bytes > listings->max_bytes &&
	       listings->used.next != listings->used.prev)
		drop(listings, oldest(listings));
}

static struct listing *add(struct listings *listings, uint64_t dir)
{
	struct listing *listing;

	listing = calloc(1, sizeof(*listing));
	if (!listing)
		return NULL;
	listing->dir = dir;
	list_init(&listing->used_link);
	list_add(&listings->used, &listing->used_link);
	hash_add(&listings->hash, &listing->link, hash_of(dir));
	listings->bytes += bytes_of(listing);
	return listing;
}

bool listings_open(struct listings *listings, uint64_t dir,
		   const struct listings_reader *reader)
{
	struct listing *listing = find(listings, dir);

	if (!listing)
		listing = add(listings, dir);
	if (!listing)
		return false;
	if (listing->readers[0].who != reader->who)
		listing->readers[1] = listing->readers[0];
	listing->readers[0] = *reader;
	note_use(listings, listing);
	keep_bound(listings);
	return listing->is_whole || listing->is_too_long;
}

/* Room for one name more; false: there is none. */
static bool grow(struct listings *listings, struct listing *listing)
{
	uint32_t max = listing->max ? 2 * listing->max : FIRST_MAX;
	struct listings_file *files;

	if (listing->count < listing->max)
		return true;
	if (max > LISTINGS_FILES_MAX)
		return false;
	files = realloc(listing->files, max * sizeof(*files));
	if (!files)
		return false;
	listings->bytes += (max - listing->max) * sizeof(*files);
	listing->files = files;
	listing->max = max;
	return true;
}

void listings_add(struct listings *listings, uint64_t dir, uint32_t first,
		  const struct listings_file *files, uint32_t count,
		  bool is_end)
{
	struct listing *listing = find(listings, dir);

	if (!listing)
		return;
	/* From its start on it is read because it may be another now. */
	if (!first) {
		listing->count = 0;
		listing->is_whole = false;
		listing->is_too_long = false;
	}
	if (first != listing->count)
		return;
	for (uint32_t i = 0; i < count; i++) {
		if (!grow(listings, listing)) {
			listing->is_too_long = true;
			return;
		}
		listing->files[listing->count++] = files[i];
	}
	listing->is_whole = is_end;
	note_use(listings, listing);
	keep_bound(listings);
}

/* The number of the name, from 1 on, among those from @from up to @to. */
static uint32_t search(const struct listing *listing, uint16_t name,
		       uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		if (listing->files[i].name == name)
			return i + 1;
	return 0;
}

struct listings_place listings_find(struct listings *listings, uint64_t dir,
				    uint16_t name, uint32_t last)
{
	struct listing *listing = find(listings, dir);
	struct listings_place place = { 0 };

	if (!listing)
		return place;
	note_use(listings, listing);
	memcpy(place.readers, listing->readers, sizeof(place.readers));
	place.count = listing->is_whole ? listing->count : 0;
	if (last > listing->count)
		last = listing->count;
	place.position = search(listing, name, last, listing->count) ?:
				 search(listing, name, 0, last);
	if (place.position)
		place.ino = listing->files[place.position - 1].ino;
	return place;
}

uint64_t listings_opened_ns(const struct listings *listings, uint64_t dir,
			    uint32_t who)
{
	const struct listing *listing = find(listings, dir);

	for (int i = 0; listing && i < 2; i++)
		if (listing->readers[i].who == who)
			return listing->readers[i].time_ns;
	return 0;
}
