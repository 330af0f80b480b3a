/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hash table of objects that carry their link: 16 bytes of each, where
 * uthash's handle takes 56, a fifth of what is known of a file. Who owns the
 * table protects it, and compares keys. Without memory to grow it gets slower.
 */
#ifndef MEMCGFS_HASH_H
#define MEMCGFS_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_link {
	struct hash_link *next;
	uint32_t hash;
};

/* Zeroed, it is empty. */
struct hash {
	struct hash_link **buckets; /* NULL: none yet, and the one below */
	struct hash_link *first;
	size_t mask; /* number of buckets less 1 */
	size_t count;
};

void hash_add(struct hash *hash, struct hash_link *link, uint32_t value);
void hash_del(struct hash *hash, struct hash_link *link);

/* The first member of that hash, and the next one of the same; or NULL. */
struct hash_link *hash_find(const struct hash *hash, uint32_t value);
struct hash_link *hash_find_next(const struct hash_link *link);

/*
 * The member after that one, in no order; after NULL, the first; NULL: there
 * are no more. The caller may remove a member once he has the next.
 */
struct hash_link *hash_next(const struct hash *hash,
			    const struct hash_link *link);

/* What the table has made; its members are the caller's. It is empty then. */
void hash_clear(struct hash *hash);

#endif
