// SPDX-License-Identifier: GPL-2.0-or-later
/* A hash table; see hash.h. */
#include "hash.h"

#include <stdlib.h>

#define FIRST_BUCKETS 16
#define LOAD 2 /* members of a bucket, on average, at most */

static struct hash_link **bucket_at(const struct hash *hash, size_t at)
{
	return hash->buckets ? &hash->buckets[at] :
			       (struct hash_link **)&hash->first;
}

static void bucket_add(struct hash *hash, struct hash_link *link)
{
	struct hash_link **bucket = bucket_at(hash, link->hash & hash->mask);

	link->next = *bucket;
	*bucket = link;
}

static void bucket_move(struct hash *from, size_t at, struct hash *to)
{
	struct hash_link *link = *bucket_at(from, at);
	struct hash_link *next;

	for (; link; link = next) {
		next = link->next;
		bucket_add(to, link);
	}
}

static void hash_grow(struct hash *hash)
{
	size_t buckets = hash->buckets ? 2 * (hash->mask + 1) : FIRST_BUCKETS;
	struct hash grown = { .mask = buckets - 1, .count = hash->count };

	grown.buckets = calloc(buckets, sizeof(struct hash_link *));
	if (!grown.buckets)
		return;
	for (size_t at = 0; at <= hash->mask; at++)
		bucket_move(hash, at, &grown);
	free(hash->buckets);
	*hash = grown;
}

void hash_add(struct hash *hash, struct hash_link *link, uint32_t value)
{
	if (hash->count >= LOAD * (hash->mask + 1))
		hash_grow(hash);
	link->hash = value;
	bucket_add(hash, link);
	hash->count++;
}

void hash_del(struct hash *hash, struct hash_link *link)
{
	struct hash_link **at = bucket_at(hash, link->hash & hash->mask);

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	hash->count--;
}

static struct hash_link *same(struct hash_link *link, uint32_t value)
{
	while (link && link->hash != value)
		link = link->next;
	return link;
}

struct hash_link *hash_find(const struct hash *hash, uint32_t value)
{
	return same(*bucket_at(hash, value & hash->mask), value);
}

struct hash_link *hash_find_next(const struct hash_link *link)
{
	return same(link->next, link->hash);
}

struct hash_link *hash_next(const struct hash *hash,
			    const struct hash_link *link)
{
	size_t at = link ? (link->hash & hash->mask) + 1 : 0;

	if (link && link->next)
		return link->next;
	for (; at <= hash->mask; at++)
		if (*bucket_at(hash, at))
			return *bucket_at(hash, at);
	return NULL;
}

void hash_clear(struct hash *hash)
{
	free(hash->buckets);
	*hash = (struct hash){ 0 };
}
