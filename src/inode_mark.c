// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Going through the table's inodes, the marks that they are gone through for,
 * and what is known of the pages of those that have been open; see inode.h.
 */
#include "inode_priv.h"

#include "util.h"

#include <stdatomic.h>

/* Some of a shard's inodes, with one more lookup each. */
struct catch
{
	struct inode **found;
	size_t count;
	size_t max;
};

static void catch_add(struct catch *catch, struct inode *inode)
{
	inode->lookups++;
	catch->found[catch->count++] = inode;
}

/* The kind of inodes to look for, or NULL: those that are exposed. */
typedef bool wanted_fn(const struct inode *inode);

static void shard_catch(struct shard *shard, struct catch *catch,
			wanted_fn *wanted)
{
	struct hash_link *link = NULL;
	struct inode *inode;

	if (!wanted) {
		for (inode = shard->exposed; inode && catch->count < catch->max;
		     inode = inode->pages->exposed_next)
			catch_add(catch, inode);
		return;
	}
	while (catch->count < catch->max &&
	       (link = hash_next(&shard->inodes, link))) {
		inode = container_of(link, struct inode, link);
		if (wanted(inode))
			catch_add(catch, inode);
	}
}

/* What comes in between the count and the look isn't missed by anybody. */
static bool table_catch(struct inode_table *table, unsigned int *part,
			wanted_fn *wanted, struct catch *catch)
{
	struct shard *shard;

	*catch = (struct catch){ 0 };
	if (*part == SHARDS)
		return false;
	shard = &table->shards[(*part)++];
	pthread_mutex_lock(&shard->lock);
	catch->max = wanted ? shard->inodes.count : shard->exposed_count;
	pthread_mutex_unlock(&shard->lock);
	if (catch->max)
		catch->found = calloc(catch->max, sizeof(*catch->found));
	if (!catch->found)
		return true;
	pthread_mutex_lock(&shard->lock);
	shard_catch(shard, catch, wanted);
	pthread_mutex_unlock(&shard->lock);
	return true;
}

bool inode_table_next(struct inode_table *table, unsigned int *part,
		      bool (*wanted)(const struct inode *inode),
		      struct inode ***found, size_t *count)
{
	struct catch catch;
	bool is_there = table_catch(table, part, wanted, &catch);

	*found = catch.found;
	*count = catch.count;
	return is_there;
}

bool inode_exposed_next(struct inode_table *table, unsigned int *part,
			struct inode ***found, size_t *count)
{
	return inode_table_next(table, part, NULL, found, count);
}

uint64_t inode_table_count(struct inode_table *table)
{
	uint64_t count = 0;

	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&table->shards[i].lock);
		count += table->shards[i].inodes.count;
		pthread_mutex_unlock(&table->shards[i].lock);
	}
	return count;
}

uint64_t inode_table_count_some(struct inode_table *table,
				bool (*wanted)(const struct inode *inode))
{
	struct hash_link *link = NULL;
	uint64_t count = 0;

	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&table->shards[i].lock);
		while ((link = hash_next(&table->shards[i].inodes, link)))
			count += wanted(container_of(link, struct inode, link));
		pthread_mutex_unlock(&table->shards[i].lock);
	}
	return count;
}

/* -- pages -- */

int inode_make_pages(struct inode_table *table, struct inode *inode)
{
	struct shard *shard = inode_shard(table, inode);
	struct inode_pages *pages;

	pthread_mutex_lock(&shard->lock);
	pages = inode->pages;
	pthread_mutex_unlock(&shard->lock);
	if (pages)
		return 0;
	pages = slab_take(&table->memory.pages);
	if (!pages)
		return -ENOMEM;
	pthread_mutex_lock(&shard->lock);
	if (!inode->pages)
		inode->pages = steal_ptr(&pages);
	pthread_mutex_unlock(&shard->lock);
	slab_give(&table->memory.pages, pages);
	return 0;
}

int inode_make_cached(struct inode_table *table, struct inode *inode,
		      const struct inode_cached *first)
{
	struct shard *shard = inode_shard(table, inode);
	struct inode_cached *cached;

	if (inode_make_pages(table, inode) < 0)
		return -ENOMEM;
	cached = slab_take(&table->memory.cached);
	if (!cached)
		return -ENOMEM;
	*cached = *first;
	pthread_mutex_lock(&shard->lock);
	if (!inode->pages->cached)
		inode->pages->cached = steal_ptr(&cached);
	pthread_mutex_unlock(&shard->lock);
	slab_give(&table->memory.cached, cached);
	return 0;
}

/* -- marks -- */

bool inode_is_marked(const struct inode *inode, enum inode_mark mark)
{
	return atomic_load_explicit(&inode->marks, memory_order_relaxed) &
	       1u << mark;
}

unsigned int inode_count_marks(const struct inode *inode)
{
	unsigned int count = 0;

	for (int mark = 0; mark < INODE_MARKS; mark++)
		count += inode_is_marked(inode, mark);
	return count;
}

static void shard_expose(struct shard *shard, struct inode *inode)
{
	struct inode_pages *pages = inode->pages;

	pages->exposed_prev = NULL;
	pages->exposed_next = shard->exposed;
	if (shard->exposed)
		shard->exposed->pages->exposed_prev = inode;
	shard->exposed = inode;
	shard->exposed_count++;
}

static void shard_cover(struct shard *shard, struct inode *inode)
{
	struct inode *next = inode->pages->exposed_next;
	struct inode *prev = inode->pages->exposed_prev;

	if (next)
		next->pages->exposed_prev = prev;
	if (prev)
		prev->pages->exposed_next = next;
	else
		shard->exposed = next;
	shard->exposed_count--;
}

void inode_mark(struct inode_table *table, struct inode *inode,
		enum inode_mark mark)
{
	struct shard *shard = inode_shard(table, inode);

	/* Whoever takes the mark off has seen that the caller isn't there. */
	if (inode_is_marked(inode, mark))
		return;
	pthread_mutex_lock(&shard->lock);
	if (!inode_is_marked(inode, mark)) {
		atomic_fetch_or_explicit(&inode->marks, 1u << mark,
					 memory_order_relaxed);
		inode->lookups++;
		if (mark == INODE_EXPOSED)
			shard_expose(shard, inode);
	}
	pthread_mutex_unlock(&shard->lock);
}

/* Under the lock; the caller has another lookup, or sees to it being none. */
static void shard_unmark(struct shard *shard, struct inode *inode,
			 enum inode_mark mark)
{
	atomic_fetch_and_explicit(&inode->marks, (unsigned char)~(1u << mark),
				  memory_order_relaxed);
	inode->lookups--;
	if (mark == INODE_EXPOSED)
		shard_cover(shard, inode);
}

void shard_unmark_all(struct shard *shard, struct inode *inode)
{
	for (int mark = 0; mark < INODE_MARKS; mark++)
		if (inode_is_marked(inode, mark))
			shard_unmark(shard, inode, mark);
}

void inode_unmark(struct inode_table *table, struct inode *inode,
		  enum inode_mark mark,
		  bool (*stays)(const struct inode *inode))
{
	struct shard *shard = inode_shard(table, inode);

	pthread_mutex_lock(&shard->lock);
	if (inode_is_marked(inode, mark) && !stays(inode))
		shard_unmark(shard, inode, mark);
	pthread_mutex_unlock(&shard->lock);
}
