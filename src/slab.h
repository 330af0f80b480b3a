/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory for objects of one size of which there are very many: side by side
 * in blocks of their own. malloc(3) takes 8 bytes more for each, rounds up to
 * 16, and leaves holes where others' objects were among them: together a
 * fifth of what a known file takes. A block that has none any more is given
 * back to the system.
 *
 * Built with SLAB_IS_MALLOC each object is malloc(3)'s, so that sanitizers
 * see who uses one that is gone.
 */
#ifndef MEMCGFS_SLAB_H
#define MEMCGFS_SLAB_H

#include "list.h"

#include <pthread.h>
#include <stddef.h>

#ifndef SLAB_IS_MALLOC
#define SLAB_IS_MALLOC 0
#endif

struct slab {
	size_t object_bytes; /* a multiple of 8 */
	pthread_mutex_t lock; /* for all below, and what blocks say */
	struct list open; /* blocks that have room */
	size_t count; /* objects that were taken */
	size_t blocks;
};

void slab_init(struct slab *slab, size_t object_bytes);

/* Asserts that all objects were given back. */
void slab_destroy(struct slab *slab);

/* A zeroed object; NULL: no memory. */
void *slab_take(struct slab *slab);

/* Takes it back; NULL is nothing. */
void slab_give(struct slab *slab, void *object);

#endif
