// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory for objects of one size; see slab.h. */
#include "slab.h"

#include "util.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

/* Also where a block begins: an object's is found by its address. */
#define BLOCK_BYTES ((size_t)64 << 10)

struct gap {
	struct gap *next;
};

/*
 * Objects follow it. Those that never were taken are at the end, so that the
 * system gives memory for what is used alone.
 */
struct block {
	struct list link; /* among those that have room */
	struct gap *gaps; /* objects that were given back */
	uint32_t taken;
	uint32_t fresh; /* so many from the start on were taken once */
};

void slab_init(struct slab *slab, size_t object_bytes)
{
	*slab = (struct slab){ .object_bytes = (object_bytes + 7) & ~7ul };
	pthread_mutex_init(&slab->lock, NULL);
	list_init(&slab->open);
}

static size_t objects_of_block(const struct slab *slab)
{
	return (BLOCK_BYTES - sizeof(struct block)) / slab->object_bytes;
}

static bool is_full(const struct slab *slab, const struct block *block)
{
	return block->taken == objects_of_block(slab);
}

/* Of twice the size, what is not within its bounds goes back. */
static struct block *block_new(void)
{
	char *memory = mmap(NULL, 2 * BLOCK_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before = -(uintptr_t)memory % BLOCK_BYTES;
	struct block *block;

	if (memory == MAP_FAILED)
		return NULL;
	if (before)
		munmap(memory, before);
	munmap(memory + before + BLOCK_BYTES, BLOCK_BYTES - before);
	block = (struct block *)(memory + before);
	list_init(&block->link);
	return block;
}

static void block_free(struct block *block)
{
	if (block)
		munmap(block, BLOCK_BYTES);
}

static void *block_take(const struct slab *slab, struct block *block)
{
	struct gap *gap = block->gaps;

	block->taken++;
	if (!gap)
		return (char *)(block + 1) +
		       slab->object_bytes * block->fresh++;
	block->gaps = gap->next;
	return gap;
}

static void block_give(struct block *block, void *object)
{
	struct gap *gap = object;

	block->taken--;
	gap->next = block->gaps;
	block->gaps = gap;
}

/* Under the lock: from the block that was open last. NULL: there is none. */
static void *take(struct slab *slab)
{
	struct block *block;
	void *object;

	if (list_empty(&slab->open))
		return NULL;
	block = container_of(slab->open.next, struct block, link);
	object = block_take(slab, block);
	if (is_full(slab, block))
		list_del(&block->link);
	slab->count++;
	return object;
}

/*
 * Under the lock: a block that is not needed any more, or NULL. The last one
 * with room stays: it would be asked for again.
 */
static struct block *give(struct slab *slab, void *object)
{
	uintptr_t at = (uintptr_t)object & ~(BLOCK_BYTES - 1);
	struct block *block = (struct block *)at;

	if (is_full(slab, block))
		list_add(&slab->open, &block->link);
	block_give(block, object);
	slab->count--;
	if (block->taken || slab->open.next == slab->open.prev)
		return NULL;
	list_del(&block->link);
	slab->blocks--;
	return block;
}

/* Of several that found no room at a time, one adds it. */
static int add_block(struct slab *slab)
{
	struct block *block = block_new();

	if (!block)
		return -ENOMEM;
	pthread_mutex_lock(&slab->lock);
	if (list_empty(&slab->open)) {
		slab->blocks++;
		list_add(&slab->open, &block->link);
		block = NULL;
	}
	pthread_mutex_unlock(&slab->lock);
	block_free(block);
	return 0;
}

void *slab_take(struct slab *slab)
{
	void *object;

	if (SLAB_IS_MALLOC)
		return calloc(1, slab->object_bytes);
	do {
		pthread_mutex_lock(&slab->lock);
		object = take(slab);
		pthread_mutex_unlock(&slab->lock);
	} while (!object && add_block(slab) == 0);
	return object ? memset(object, 0, slab->object_bytes) : NULL;
}

void slab_give(struct slab *slab, void *object)
{
	struct block *spare;

	if (SLAB_IS_MALLOC || !object) {
		free(object);
		return;
	}
	pthread_mutex_lock(&slab->lock);
	spare = give(slab, object);
	pthread_mutex_unlock(&slab->lock);
	block_free(spare);
}

void slab_destroy(struct slab *slab)
{
	struct list *last = slab->open.next;

	assert(!slab->count && slab->blocks <= 1);
	if (slab->blocks)
		block_free(container_of(last, struct block, link));
	pthread_mutex_destroy(&slab->lock);
}
