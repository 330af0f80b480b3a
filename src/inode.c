// SPDX-License-Identifier: GPL-2.0-or-later
/* The inodes that the client's kernel knows; see inode.h. */
#include "inode_priv.h"

#include "util.h"

#include <limits.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define HANDLE_NONE UINT16_MAX /* the bytes are an inode number */
#define DEVICE_INO_SHIFT 48

/* A key on the stack, with room for any handle. */
struct key {
	uint32_t device;
	uint16_t handle_type;
	uint16_t handle_bytes;
	unsigned char handle[MAX_HANDLE_SZ];
};

static size_t key_size(const struct key *key)
{
	return offsetof(struct key, handle) + key->handle_bytes;
}

/* FNV-1a; the top bits pick the shard, the low ones a bucket. */
static uint32_t key_hash(const struct key *key)
{
	const unsigned char *p = (const unsigned char *)key;
	size_t size = key_size(key);
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ p[i]) * 16777619u;
	return hash ^ hash >> 15;
}

void inode_lock(struct inode_table *table, const struct inode *inode)
{
	pthread_mutex_lock(&inode_shard(table, inode)->lock);
}

void inode_unlock(struct inode_table *table, const struct inode *inode)
{
	pthread_mutex_unlock(&inode_shard(table, inode)->lock);
}

struct inode_idle *inode_idle(struct inode_table *table,
			      const struct inode *inode)
{
	return &inode_shard(table, inode)->idle;
}

const struct inode_limits *inode_table_limits(const struct inode_table *t)
{
	return &t->limits;
}

void inode_table_each_idle(struct inode_table *table,
			   void (*fn)(struct inode_idle *idle, void *userdata),
			   void *userdata)
{
	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&table->shards[i].lock);
		fn(&table->shards[i].idle, userdata);
		pthread_mutex_unlock(&table->shards[i].lock);
	}
}

const struct device *inode_device(const struct inode_table *table,
				  const struct inode *inode)
{
	return &table->devices.at[inode->device];
}

ino_t inode_number(const struct inode *inode, ino_t ino)
{
	return ino ^ (ino_t)inode->device << DEVICE_INO_SHIFT;
}

void inode_table_exclude(struct inode_table *table, dev_t dev)
{
	atomic_store(&table->excluded, dev);
}

dev_t inode_table_excluded(const struct inode_table *table)
{
	return atomic_load(&table->excluded);
}

/* -- keys and inodes -- */

static int key_of_handle(int fd, struct key *key)
{
	struct device_handle found = { .head.handle_bytes = MAX_HANDLE_SZ };
	int mount_id;

	if (name_to_handle_at(fd, "", &found.head, &mount_id, AT_EMPTY_PATH) <
	    0)
		return -errno;
	if (found.head.handle_type < 0 || found.head.handle_type >= HANDLE_NONE)
		return -EOVERFLOW;
	key->handle_type = (uint16_t)found.head.handle_type;
	key->handle_bytes = (uint16_t)found.head.handle_bytes;
	memcpy(key->handle, found.bytes, key->handle_bytes);
	return 0;
}

static int key_of(struct inode_table *table, int fd, const struct stat *st,
		  struct key *key)
{
	int device;

	device = devices_index(&table->devices, fd, st);
	if (device < 0)
		return device;
	key->device = (uint32_t)device;
	if (table->devices.at[device].mount_fd >= 0)
		return key_of_handle(fd, key);
	/* The pinned fd keeps the number from being used again. */
	key->handle_type = HANDLE_NONE;
	key->handle_bytes = sizeof(st->st_ino);
	memcpy(key->handle, &st->st_ino, sizeof(st->st_ino));
	return 0;
}

static struct inode *inode_alloc(struct inode_table *table,
				 const struct key *key, const struct stat *st)
{
	struct inode *inode = inode_take(table, key->handle_bytes);

	if (!inode)
		return NULL;
	memcpy(&inode->device, key, key_size(key));
	inode->type = (uint16_t)(st->st_mode & S_IFMT);
	return inode;
}

_Static_assert(offsetof(struct key, handle) ==
		       offsetof(struct inode, handle) -
			       offsetof(struct inode, device),
	       "keys are compared and copied as bytes");

static struct inode *shard_find(struct shard *shard, const struct key *key,
				uint32_t hash)
{
	struct hash_link *link = hash_find(&shard->inodes, hash);
	struct inode *inode;

	for (; link; link = hash_find_next(link)) {
		inode = container_of(link, struct inode, link);
		if (inode->handle_bytes == key->handle_bytes &&
		    memcmp(&inode->device, key, key_size(key)) == 0)
			return inode;
	}
	return NULL;
}

/* Takes *@made for it where it isn't there, if that is one. */
static struct inode *shard_find_or_add(struct shard *shard,
				       const struct key *key, uint32_t hash,
				       struct inode **made)
{
	struct inode *inode = shard_find(shard, key, hash);

	if (inode || !*made)
		return inode;
	inode = steal_ptr(made);
	hash_add(&shard->inodes, &inode->link, hash);
	return inode;
}

/*
 * Finds or makes the inode of the key, in one step under the lock; its
 * O_PATH fd, unless -1, is kept where it is of use, else closed. NULL: there
 * is no memory.
 */
static struct inode *inode_get(struct inode_table *table, const struct key *key,
			       const struct stat *st, int fd)
{
	bool is_pinned = table->devices.at[key->device].mount_fd < 0 ||
			 !st->st_nlink;
	bool is_kept = fd >= 0 && (is_pinned || S_ISDIR(st->st_mode));
	struct path_fd *path_fd = is_kept ? path_fd_new(fd) : NULL;
	uint32_t hash = key_hash(key);
	struct shard *shard = shard_of(table, hash);
	struct inode *inode, *made = NULL;
	struct path_fd *evicted;

	if (!is_kept)
		close_fd(fd);
	else if (!path_fd)
		return NULL;
	pthread_mutex_lock(&shard->lock);
	inode = shard_find(shard, key, hash);
	if (!inode) {
		pthread_mutex_unlock(&shard->lock);
		made = inode_alloc(table, key, st);
		pthread_mutex_lock(&shard->lock);
		inode = shard_find_or_add(shard, key, hash, &made);
	}
	if (inode) {
		inode->lookups++;
		if (!inode->path_fd && path_fd)
			shard_install_fd(shard, inode, steal_ptr(&path_fd),
					 is_pinned);
	}
	evicted = shard_evict_fd(table, shard);
	pthread_mutex_unlock(&shard->lock);
	path_fd_free(evicted);
	path_fd_free(path_fd);
	inode_give(table, made);
	return inode;
}

/*
 * Opens a name of a directory. A mount on the way (EXDEV) is entered, unless
 * it is the excluded one: asking that for its attributes would be asking
 * ourselves, so only what the kernel has of them is looked at.
 */
static int open_name(struct inode_table *table, int dir_fd, const char *name)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV,
	};
	struct statx stx;
	dev_t dev;
	int fd;

	fd = (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));
	if (fd >= 0)
		return fd;
	if (errno != EXDEV && errno != ENOSYS)
		return -errno;
	fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &stx) <
	    0) {
		close_fd(fd);
		return -errno;
	}
	dev = makedev(stx.stx_dev_major, stx.stx_dev_minor);
	if (dev && dev == atomic_load(&table->excluded)) {
		close_fd(fd);
		return -ELOOP;
	}
	return fd;
}

int inode_lookup(struct inode_table *table, struct inode *parent,
		 const char *name, struct inode **out, struct stat *st)
{
	cleanup_close int fd = -1;
	struct inode *inode;
	struct key key;
	int dir_fd, r;

	dir_fd = inode_fd_get(table, parent);
	if (dir_fd < 0)
		return dir_fd;
	fd = open_name(table, dir_fd, name);
	inode_fd_put(table, parent);
	if (fd < 0)
		return fd;
	if (fstatat(fd, "", st, AT_EMPTY_PATH) < 0)
		return -errno;
	r = key_of(table, fd, st, &key);
	if (r < 0)
		return r;
	inode = inode_get(table, &key, st, steal_fd(&fd));
	if (!inode)
		return -ENOMEM;
	*out = inode;
	return 0;
}

int inode_lookup_fd(struct inode_table *table, int fd, const struct stat *st,
		    struct inode **out)
{
	cleanup_close int path_fd = -1;
	char path[PROC_FD_MAX];
	struct inode *inode;
	struct key key;
	int r;

	r = key_of(table, fd, st, &key);
	if (r < 0)
		return r;
	if (table->devices.at[key.device].mount_fd < 0 || !st->st_nlink) {
		path_fd = open(proc_fd_path(path, fd), O_PATH | O_CLOEXEC);
		if (path_fd < 0)
			return -errno;
	}
	inode = inode_get(table, &key, st, steal_fd(&path_fd));
	if (!inode)
		return -ENOMEM;
	*out = inode;
	return 0;
}

struct inode *inode_find_victim(struct inode_table *table, struct inode *parent,
				const char *name, bool *is_last)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV,
	};
	struct path_fd *path_fd = NULL;
	cleanup_close int fd = -1;
	struct inode *inode;
	struct shard *shard;
	struct stat st;
	uint32_t hash;
	struct key key;
	int dir_fd;

	dir_fd = inode_fd_get(table, parent);
	if (dir_fd < 0)
		return NULL;
	fd = (int)syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));
	inode_fd_put(table, parent);
	if (fd < 0 || fstatat(fd, "", &st, AT_EMPTY_PATH) < 0 ||
	    key_of(table, fd, &st, &key) < 0)
		return NULL;
	*is_last = S_ISDIR(st.st_mode) || st.st_nlink <= 1;
	if (*is_last)
		path_fd = path_fd_new(steal_fd(&fd));
	hash = key_hash(&key);
	shard = shard_of(table, hash);
	pthread_mutex_lock(&shard->lock);
	inode = shard_find(shard, &key, hash);
	if (inode)
		inode->lookups++;
	if (inode && *is_last)
		shard_keep_fd(shard, inode, &path_fd);
	pthread_mutex_unlock(&shard->lock);
	path_fd_free(path_fd);
	return inode;
}

/* No longer in the table: only the caller knows it. Gives its parent. */
static struct inode *inode_free_one(struct inode_table *table,
				    struct inode *inode)
{
	struct inode *parent = inode->parent;

	if (inode->backing)
		table->hooks.release(inode->backing);
	if (S_ISDIR(inode->type) && inode->rule_dir)
		table->hooks.release_rules(inode->rule_dir);
	if (inode->pages) {
		account_file_clear(&inode->pages->account);
		shadow_map_free(inode->pages->map);
		slab_give(&table->memory.cached, inode->pages->cached);
	}
	slab_give(&table->memory.pages, inode->pages);
	path_fd_free(inode->path_fd);
	inode_name_free(table, inode->name);
	free(inode_pin(inode));
	inode_give(table, inode);
	return parent;
}

void inode_ref(struct inode_table *table, struct inode *inode)
{
	inode_lock(table, inode);
	inode->lookups++;
	inode_unlock(table, inode);
}

bool shard_unref(struct inode_table *table, struct shard *shard,
		 struct inode *inode, uint64_t lookups)
{
	inode->lookups -= lookups;
	if (inode->path_fd && inode->path_fd->is_pinned &&
	    inode->lookups == inode_count_marks(inode))
		shard_unmark_all(shard, inode);
	if (inode->lookups || atomic_load(&inode->children))
		return false;
	hash_del(&shard->inodes, &inode->link);
	shard_leave_fd(shard, inode);
	if (inode->backing)
		table->hooks.detach(&shard->idle, inode->backing);
	return true;
}

static bool inode_drop_child(struct inode_table *table, struct inode *inode)
{
	struct shard *shard = inode_shard(table, inode);
	bool gone;

	pthread_mutex_lock(&shard->lock);
	atomic_fetch_sub(&inode->children, 1);
	gone = shard_unref(table, shard, inode, 0);
	pthread_mutex_unlock(&shard->lock);
	return gone;
}

void inode_free(struct inode_table *table, struct inode *inode)
{
	do {
		inode = inode_free_one(table, inode);
	} while (inode && inode_drop_child(table, inode));
}

void inode_child_get(struct inode *inode)
{
	atomic_fetch_add(&inode->children, 1);
}

void inode_child_put(struct inode_table *table, struct inode *inode)
{
	if (inode_drop_child(table, inode))
		inode_free(table, inode);
}

void inode_forget(struct inode_table *table, struct inode *inode,
		  uint64_t lookups)
{
	struct shard *shard = inode_shard(table, inode);
	bool gone;

	pthread_mutex_lock(&shard->lock);
	gone = shard_unref(table, shard, inode, lookups);
	pthread_mutex_unlock(&shard->lock);
	if (gone)
		inode_free(table, inode);
}

/* -- the table -- */

static int table_add_root(struct inode_table *table, int root_fd)
{
	cleanup_close int path_fd = -1;
	struct path_fd *none = NULL;
	struct stat st;
	struct key key;
	int r;

	path_fd = openat(root_fd, ".", O_PATH | O_CLOEXEC);
	if (path_fd < 0 || fstat(root_fd, &st) < 0)
		return -errno;
	r = key_of(table, root_fd, &st, &key);
	if (r < 0)
		return r;
	table->root = inode_get(table, &key, &st, steal_fd(&path_fd));
	if (!table->root)
		return -ENOMEM;
	shard_keep_fd(inode_shard(table, table->root), table->root, &none);
	return 0;
}

int inode_table_new(int root_fd, const struct inode_limits *limits,
		    const struct inode_hooks *hooks, struct inode_table **out)
{
	struct inode_table *table;
	int r;

	table = aligned_alloc(64, sizeof(*table));
	if (!table)
		return -ENOMEM;
	memset(table, 0, sizeof(*table));
	table->limits = *limits;
	table->hooks = *hooks;
	devices_init(&table->devices);
	inode_memory_init(&table->memory);
	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&table->shards[i].lock, NULL);
		list_init(&table->shards[i].fd_lru);
		list_init(&table->shards[i].idle.list);
	}
	r = table_add_root(table, root_fd);
	close_fd(root_fd);
	if (r < 0) {
		inode_table_free(table);
		return r;
	}
	*out = table;
	return 0;
}

static void shard_clear(struct inode_table *table, struct shard *shard)
{
	struct hash_link *link, *next;

	for (link = hash_next(&shard->inodes, NULL); link; link = next) {
		next = hash_next(&shard->inodes, link);
		inode_free_one(table, container_of(link, struct inode, link));
	}
	hash_clear(&shard->inodes);
}

struct inode_table *inode_table_free(struct inode_table *table)
{
	if (!table)
		return NULL;
	for (int i = 0; i < SHARDS; i++) {
		shard_clear(table, &table->shards[i]);
		pthread_mutex_destroy(&table->shards[i].lock);
	}
	devices_clear(&table->devices);
	inode_memory_destroy(&table->memory);
	free(table);
	return NULL;
}

struct inode *inode_table_root(struct inode_table *table)
{
	return table->root;
}
