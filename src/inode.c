// SPDX-License-Identifier: GPL-2.0-or-later
/* The inodes that the client's kernel knows; see inode.h. */
#include "inode.h"

#include "util.h"

#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#define SHARDS 64
#define HANDLE_NONE (-1) /* handle_type: the bytes are an inode number */
#define DEVICE_INO_SHIFT 48

struct shard {
	pthread_mutex_t lock;
	struct hash inodes;
	struct list fd_lru; /* unused O_PATH fds, the latest used first */
	unsigned int fd_count;
	struct inode_idle idle;
	struct list exposed; /* of inode_pages, the latest first */
	unsigned int exposed_count;
} __attribute__((aligned(64)));

struct inode_table {
	struct shard shards[SHARDS];
	struct inode_limits limits;
	struct inode_hooks hooks;
	struct inode *root;
	_Atomic dev_t excluded;
	struct devices devices;
};

/* A key on the stack, with room for any handle. */
struct key {
	uint32_t device;
	struct file_handle handle;
	unsigned char bytes[MAX_HANDLE_SZ];
};

static size_t key_size(const struct file_handle *handle)
{
	return sizeof(uint32_t) + sizeof(*handle) + handle->handle_bytes;
}

/* FNV-1a; the top bits pick the shard, the low ones a bucket. */
static uint32_t key_hash(const struct key *key)
{
	const unsigned char *p = (const unsigned char *)&key->device;
	size_t size = key_size(&key->handle);
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ p[i]) * 16777619u;
	return hash ^ hash >> 15;
}

static struct shard *shard_of(struct inode_table *table, uint32_t hash)
{
	return &table->shards[hash >> 26];
}

static struct shard *inode_shard(struct inode_table *table,
				 const struct inode *inode)
{
	return shard_of(table, inode->link.hash);
}

_Static_assert(SHARDS == 1 << (32 - 26), "the hash's top bits pick a shard");

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

/* What comes in between the count and the look isn't missed by anybody. */
bool inode_table_next(struct inode_table *table, unsigned int *part,
		      bool (*wanted)(const struct inode *inode),
		      struct inode ***found, size_t *count)
{
	struct hash_link *link = NULL;
	struct inode *inode;
	struct shard *shard;
	size_t max;

	*found = NULL;
	*count = 0;
	if (*part == SHARDS)
		return false;
	shard = &table->shards[(*part)++];
	pthread_mutex_lock(&shard->lock);
	max = shard->inodes.count;
	pthread_mutex_unlock(&shard->lock);
	*found = calloc(max + 1, sizeof(**found));
	if (!*found)
		return true;
	pthread_mutex_lock(&shard->lock);
	while (*count < max && (link = hash_next(&shard->inodes, link))) {
		inode = container_of(link, struct inode, link);
		if (!wanted(inode))
			continue;
		inode->lookups++;
		(*found)[(*count)++] = inode;
	}
	pthread_mutex_unlock(&shard->lock);
	return true;
}

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

int inode_make_pages(struct inode_table *table, struct inode *inode)
{
	struct shard *shard = inode_shard(table, inode);
	struct inode_pages *pages;

	pthread_mutex_lock(&shard->lock);
	pages = inode->pages;
	pthread_mutex_unlock(&shard->lock);
	if (pages)
		return 0;
	pages = calloc(1, sizeof(*pages));
	if (!pages)
		return -ENOMEM;
	pages->inode = inode;
	pthread_mutex_lock(&shard->lock);
	if (!inode->pages)
		inode->pages = steal_ptr(&pages);
	pthread_mutex_unlock(&shard->lock);
	free(pages);
	return 0;
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
		if (mark == INODE_EXPOSED) {
			list_add(&shard->exposed, &inode->pages->exposed_link);
			shard->exposed_count++;
		}
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
	if (mark == INODE_EXPOSED) {
		list_del(&inode->pages->exposed_link);
		shard->exposed_count--;
	}
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

bool inode_exposed_next(struct inode_table *table, unsigned int *part,
			struct inode ***found, size_t *count)
{
	struct inode *inode;
	struct shard *shard;
	struct list *link;
	size_t max;

	*found = NULL;
	*count = 0;
	if (*part == SHARDS)
		return false;
	shard = &table->shards[(*part)++];
	pthread_mutex_lock(&shard->lock);
	max = shard->exposed_count;
	pthread_mutex_unlock(&shard->lock);
	*found = max ? calloc(max, sizeof(**found)) : NULL;
	if (!*found)
		return true;
	pthread_mutex_lock(&shard->lock);
	for (link = shard->exposed.next;
	     link != &shard->exposed && *count < max; link = link->next) {
		inode = container_of(link, struct inode_pages, exposed_link)
				->inode;
		inode->lookups++;
		(*found)[(*count)++] = inode;
	}
	pthread_mutex_unlock(&shard->lock);
	return true;
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

static int key_of(struct inode_table *table, int fd, const struct stat *st,
		  struct key *key)
{
	int mount_id;
	int device;

	device = devices_index(&table->devices, fd, st);
	if (device < 0)
		return device;
	key->device = (uint32_t)device;
	if (table->devices.at[device].mount_fd >= 0) {
		key->handle.handle_bytes = MAX_HANDLE_SZ;
		if (name_to_handle_at(fd, "", &key->handle, &mount_id,
				      AT_EMPTY_PATH) < 0)
			return -errno;
		return 0;
	}
	/* The pinned fd keeps the number from being used again. */
	key->handle.handle_type = HANDLE_NONE;
	key->handle.handle_bytes = sizeof(st->st_ino);
	memcpy(key->bytes, &st->st_ino, sizeof(st->st_ino));
	return 0;
}

static struct inode *inode_alloc(const struct key *key, const struct stat *st)
{
	struct inode *inode;

	inode = calloc(1,
		       offsetof(struct inode, device) + key_size(&key->handle));
	if (!inode)
		return NULL;
	memcpy(&inode->device, &key->device, key_size(&key->handle));
	inode->ino = st->st_ino;
	inode->type = st->st_mode & S_IFMT;
	inode->fd = -1;
	list_init(&inode->fd_link);
	return inode;
}

_Static_assert(offsetof(struct key, handle) - offsetof(struct key, device) ==
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
		if (inode->handle.handle_bytes == key->handle.handle_bytes &&
		    memcmp(&inode->device, &key->device,
			   key_size(&key->handle)) == 0)
			return inode;
	}
	return NULL;
}

/* Under the shard's lock: an fd that is one too many, to be closed; or -1. */
static int shard_evict_fd(struct inode_table *table, struct shard *shard)
{
	struct inode *victim;

	if (shard->fd_count <= table->limits.path_fds / SHARDS)
		return -1;
	if (list_empty(&shard->fd_lru))
		return -1;
	victim = container_of(shard->fd_lru.prev, struct inode, fd_link);
	list_del(&victim->fd_link);
	shard->fd_count--;
	return steal_fd(&victim->fd);
}

/* Under the lock: installs @fd as the unused O_PATH fd of the inode. */
static void inode_install_fd(struct shard *shard, struct inode *inode, int fd,
			     bool pinned)
{
	inode->fd = fd;
	inode->fd_pinned = pinned;
	if (pinned)
		return;
	shard->fd_count++;
	list_add(&shard->fd_lru, &inode->fd_link);
}

/*
 * Finds or makes the inode of the key, in one step under the lock; its
 * O_PATH fd, unless -1, is kept where it is of use, else closed.
 */
static struct inode *inode_get(struct inode_table *table, const struct key *key,
			       const struct stat *st, int path_fd)
{
	bool pinned = table->devices.at[key->device].mount_fd < 0 ||
		      !st->st_nlink;
	uint32_t hash = key_hash(key);
	struct shard *shard = shard_of(table, hash);
	struct inode *inode, *made;
	int evicted;

	made = inode_alloc(key, st);
	pthread_mutex_lock(&shard->lock);
	inode = shard_find(shard, key, hash);
	if (!inode && made) {
		inode = steal_ptr(&made);
		hash_add(&shard->inodes, &inode->link, hash);
	}
	if (inode) {
		inode->lookups++;
		if (inode->fd < 0 && path_fd >= 0 &&
		    (pinned || S_ISDIR(inode->type)))
			inode_install_fd(shard, inode, steal_fd(&path_fd),
					 pinned);
	}
	evicted = shard_evict_fd(table, shard);
	pthread_mutex_unlock(&shard->lock);
	close_fd(evicted);
	close_fd(path_fd);
	free(made);
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

/*
 * Under the lock: the inode's O_PATH fd is to stay; @fd is taken for it where
 * there is none.
 */
static void inode_keep_fd(struct shard *shard, struct inode *inode, int *fd)
{
	if (inode->fd < 0) {
		inode_install_fd(shard, inode, steal_fd(fd), true);
	} else if (!inode->fd_pinned) {
		inode->fd_pinned = true;
		shard->fd_count--;
		list_del(&inode->fd_link);
	}
}

struct inode *inode_find_victim(struct inode_table *table, struct inode *parent,
				const char *name, bool *is_last)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_XDEV,
	};
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
	hash = key_hash(&key);
	shard = shard_of(table, hash);
	pthread_mutex_lock(&shard->lock);
	inode = shard_find(shard, &key, hash);
	if (inode)
		inode->lookups++;
	if (inode && *is_last)
		inode_keep_fd(shard, inode, &fd);
	pthread_mutex_unlock(&shard->lock);
	return inode;
}

/* No longer in the table: only the caller knows it. Gives its parent. */
static struct inode *inode_free_one(struct inode_table *table,
				    struct inode *inode)
{
	struct inode *parent = inode->parent;

	if (inode->backing)
		table->hooks.release(inode->backing);
	if (inode->rule_dir)
		table->hooks.release_rules(inode->rule_dir);
	if (inode->pages) {
		account_file_clear(&inode->pages->account);
		shadow_map_free(inode->pages->map);
		free(inode->pages->cached);
	}
	free(inode->pages);
	close_fd(inode->fd);
	free(inode->name);
	free(inode->pin);
	free(inode);
	return parent;
}

void inode_ref(struct inode_table *table, struct inode *inode)
{
	inode_lock(table, inode);
	inode->lookups++;
	inode_unlock(table, inode);
}

/*
 * Under the lock: gives up references; true if they were the last, and the
 * inode is out of the table. It is to be freed without the lock then.
 */
static bool inode_unref(struct inode_table *table, struct shard *shard,
			struct inode *inode, uint64_t lookups)
{
	inode->lookups -= lookups;
	if (inode->fd_pinned && inode->lookups == inode_count_marks(inode))
		for (int mark = 0; mark < INODE_MARKS; mark++)
			if (inode_is_marked(inode, mark))
				shard_unmark(shard, inode, mark);
	if (inode->lookups || atomic_load(&inode->children))
		return false;
	hash_del(&shard->inodes, &inode->link);
	if (inode->fd >= 0 && !inode->fd_pinned)
		shard->fd_count--;
	list_del(&inode->fd_link);
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
	gone = inode_unref(table, shard, inode, 0);
	pthread_mutex_unlock(&shard->lock);
	return gone;
}

/* With all above it that nothing else holds. */
static void inode_free(struct inode_table *table, struct inode *inode)
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
	gone = inode_unref(table, shard, inode, lookups);
	pthread_mutex_unlock(&shard->lock);
	if (gone)
		inode_free(table, inode);
}

/* -- fds -- */

static int open_inode(struct inode_table *table, struct inode *inode, int flags)
{
	int fd;

	fd = open_by_handle_at(table->devices.at[inode->device].mount_fd,
			       &inode->handle, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int inode_fd_get(struct inode_table *table, struct inode *inode)
{
	struct shard *shard = inode_shard(table, inode);
	int opened = -1;
	int r = 0;
	int evicted, fd;

	for (;;) {
		pthread_mutex_lock(&shard->lock);
		if (inode->fd < 0 && opened >= 0) {
			inode_install_fd(shard, inode, steal_fd(&opened),
					 false);
			list_del(&inode->fd_link);
		}
		fd = inode->fd;
		if (fd >= 0) {
			inode->lookups++;
			inode->fd_users++;
			list_del(&inode->fd_link);
		}
		evicted = shard_evict_fd(table, shard);
		pthread_mutex_unlock(&shard->lock);
		close_fd(evicted);
		if (fd >= 0)
			break;
		/* Its last name may have gone just now, and its fd be kept. */
		if (r < 0)
			return r;
		r = open_inode(table, inode, O_PATH);
		if (r >= 0)
			opened = r;
	}
	close_fd(opened);
	return fd;
}

void inode_fd_put(struct inode_table *table, struct inode *inode)
{
	struct shard *shard = inode_shard(table, inode);
	int evicted;
	bool gone;

	pthread_mutex_lock(&shard->lock);
	if (--inode->fd_users == 0 && !inode->fd_pinned)
		list_add(&shard->fd_lru, &inode->fd_link);
	gone = inode_unref(table, shard, inode, 1);
	evicted = shard_evict_fd(table, shard);
	pthread_mutex_unlock(&shard->lock);
	close_fd(evicted);
	if (gone)
		inode_free(table, inode);
}

void inode_fd_drop(struct inode_table *table, struct inode *inode)
{
	struct shard *shard = inode_shard(table, inode);
	int fd = -1;

	pthread_mutex_lock(&shard->lock);
	if (inode->fd >= 0 && !inode->fd_users && !inode->fd_pinned) {
		list_del(&inode->fd_link);
		shard->fd_count--;
		fd = steal_fd(&inode->fd);
	}
	pthread_mutex_unlock(&shard->lock);
	close_fd(fd);
}

void inode_fd_unpin(struct inode_table *table, struct inode *inode)
{
	struct shard *shard = inode_shard(table, inode);

	if (table->devices.at[inode->device].mount_fd < 0)
		return;
	pthread_mutex_lock(&shard->lock);
	if (inode->fd_pinned && inode != table->root) {
		inode->fd_pinned = false;
		shard->fd_count++;
		if (!inode->fd_users)
			list_add(&shard->fd_lru, &inode->fd_link);
	}
	pthread_mutex_unlock(&shard->lock);
}

int inode_open(struct inode_table *table, struct inode *inode, int flags)
{
	char path[PROC_FD_MAX];
	int path_fd, fd;
	bool is_pinned;

	inode_lock(table, inode);
	is_pinned = inode->fd_pinned;
	inode_unlock(table, inode);
	if (!is_pinned && table->devices.at[inode->device].mount_fd >= 0) {
		fd = open_inode(table, inode, flags);
		if (fd != -ESTALE)
			return fd;
	}
	path_fd = inode_fd_get(table, inode);
	if (path_fd < 0)
		return path_fd;
	fd = open(proc_fd_path(path, path_fd), flags | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	inode_fd_put(table, inode);
	return fd;
}

/* -- the table -- */

static int table_add_root(struct inode_table *table, int root_fd)
{
	cleanup_close int path_fd = -1;
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
	inode_keep_fd(inode_shard(table, table->root), table->root, &path_fd);
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
	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&table->shards[i].lock, NULL);
		list_init(&table->shards[i].fd_lru);
		list_init(&table->shards[i].idle.list);
		list_init(&table->shards[i].exposed);
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
	free(table);
	return NULL;
}

struct inode *inode_table_root(struct inode_table *table)
{
	return table->root;
}
