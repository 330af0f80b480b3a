/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the inode table share; see inode.h. */
#ifndef MEMCGFS_INODE_PRIV_H
#define MEMCGFS_INODE_PRIV_H

#include "inode.h"
#include "slab.h"

#include <pthread.h>

#define SHARDS 64

struct shard {
	pthread_mutex_t lock;
	struct hash inodes;
	struct list fd_lru; /* of unused path_fds, the latest used first */
	unsigned int fd_count; /* of those that aren't pinned */
	struct inode_idle idle;
	struct inode *exposed; /* the latest first; NULL: none */
	unsigned int exposed_count;
} __attribute__((aligned(64)));

/* An inode is as long as its handle, in steps of 8 bytes. */
#define INODE_SIZES (MAX_HANDLE_SZ / 8 + 1)
/* So are names; those of 64 bytes and more are malloc's. */
#define NAME_SIZES 8

struct inode_memory {
	struct slab inodes[INODE_SIZES];
	struct slab pages; /* of struct inode_pages */
	struct slab cached; /* of struct inode_cached */
	struct slab names[NAME_SIZES];
};

struct inode_table {
	struct shard shards[SHARDS];
	struct inode_limits limits;
	struct inode_hooks hooks;
	struct inode *root;
	_Atomic dev_t excluded;
	struct devices devices;
	struct inode_memory memory;
};

_Static_assert(SHARDS == 1 << (32 - 26), "the hash's top bits pick a shard");

static inline struct shard *shard_of(struct inode_table *table, uint32_t hash)
{
	return &table->shards[hash >> 26];
}

static inline struct shard *inode_shard(struct inode_table *table,
					const struct inode *inode)
{
	return shard_of(table, inode->link.hash);
}

/* An inode's O_PATH fd; few have one. */
struct path_fd {
	struct list link; /* shard lock: in the LRU while unused */
	struct inode *inode;
	int fd;
	uint32_t users; /* shard lock */
	bool is_pinned; /* shard lock: never closed before the end */
};

/* Takes the fd, also on failure: NULL. */
struct path_fd *path_fd_new(int fd);

/* Closes it. */
struct path_fd *path_fd_free(struct path_fd *path_fd);

/* These are called under the shard's lock. */

/* Makes it the unused fd of the inode, which has none. */
void shard_install_fd(struct shard *shard, struct inode *inode,
		      struct path_fd *path_fd, bool is_pinned);

/* One that is one too many, to be freed without the lock; or NULL. */
struct path_fd *shard_evict_fd(struct inode_table *table, struct shard *shard);

/* The inode's fd is to stay; *@path_fd is taken for it where there is none. */
void shard_keep_fd(struct shard *shard, struct inode *inode,
		   struct path_fd **path_fd);

/* The fd of an inode that goes isn't counted or listed any more. */
void shard_leave_fd(struct shard *shard, struct inode *inode);

/* Takes all marks off, and the lookups that go with them. */
void shard_unmark_all(struct shard *shard, struct inode *inode);

/*
 * Gives up references; true if they were the last, and the inode is out of
 * the table. It is to be freed without the lock then.
 */
bool shard_unref(struct inode_table *table, struct shard *shard,
		 struct inode *inode, uint64_t lookups);

void inode_memory_init(struct inode_memory *memory);

/* Asserts that nothing of it is in use. */
void inode_memory_destroy(struct inode_memory *memory);

/* A zeroed inode with room for such a handle; NULL: no memory. */
struct inode *inode_take(struct inode_table *table, unsigned int handle_bytes);

/* Its handle is still there; NULL is nothing. */
void inode_give(struct inode_table *table, struct inode *inode);

/* Without the lock: the inode, with all above it that nothing else holds. */
void inode_free(struct inode_table *table, struct inode *inode);

#endif
