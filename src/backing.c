// SPDX-License-Identifier: GPL-2.0-or-later
/* The file below an inode, while it is open; see backing.h. */
#include "backing.h"

#include "affinity.h"
#include "passthrough.h"
#include "util.h"

#include <fcntl.h>

#define IDLE_LISTS 64 /* the table's shards */

static struct backing *backing_alloc(struct inode *inode)
{
	struct backing *backing;

	backing = calloc(1, sizeof(*backing));
	if (!backing)
		return NULL;
	backing->inode = inode;
	for (int i = 0; i < BACKING_USES; i++)
		backing->fds[i] = -1;
	list_init(&backing->idle_link);
	list_init(&backing->scan.item.link);
	backing->scan.cpu = AFFINITY_ANY;
	return backing;
}

static void backing_free(struct backing *backing)
{
	if (!backing)
		return;
	if (backing->id > 0)
		passthrough_unregister(backing->fuse_fd, backing->id);
	for (int i = 0; i < BACKING_USES; i++)
		close_fd(backing->fds[i]);
	shadow_map_free(backing->scan.kept);
	free(backing);
}

/* Under the inode's lock. */
static void backing_leave_idle(struct inode_idle *idle, struct backing *backing)
{
	if (list_empty(&backing->idle_link))
		return;
	list_del(&backing->idle_link);
	idle->count--;
}

const struct inode_hooks backing_hooks = {
	.detach = backing_leave_idle,
	.release = backing_free,
};

/* An fd for a backing that needs one. */
struct opened {
	int fd; /* -1: none */
	bool appends; /* whatever is written by it lands at the end */
};

static void opened_close(struct opened *opened)
{
	close_fd(opened->fd);
}

#define cleanup_opened __attribute__((cleanup(opened_close)))

/*
 * Opens one more time what the inode has, if it has the fd that is asked
 * for; one that is given is installed. NULL: an fd has to be opened.
 */
static struct backing *backing_take(struct inode_table *table,
				    struct inode *inode, enum backing_use use,
				    struct opened *opened)
{
	struct backing *made = NULL;
	struct backing *backing;

	if (opened->fd >= 0) {
		made = backing_alloc(inode);
		if (!made || inode_make_pages(table, inode) < 0) {
			backing_free(made);
			return NULL;
		}
	}
	inode_lock(table, inode);
	if (!inode->backing)
		inode->backing = steal_ptr(&made);
	backing = inode->backing;
	if (backing && backing->fds[use] < 0 && opened->fd >= 0) {
		if (use == BACKING_WRITE)
			backing->appends = opened->appends;
		__atomic_store_n(&backing->fds[use], steal_fd(&opened->fd),
				 __ATOMIC_RELAXED);
	}
	if (backing && backing->fds[use] < 0)
		backing = NULL;
	if (backing) {
		backing->opens++;
		inode->lookups++;
		backing_leave_idle(inode_idle(table, inode), backing);
	}
	inode_unlock(table, inode);
	backing_free(made);
	return backing;
}

static void advise(const struct inode_table *table, int fd)
{
	if (fd >= 0 && inode_table_limits(table)->reads_exactly)
		posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
}

/* Append-only files can't be opened for writing without O_APPEND in @flags. */
static int open_file(struct inode_table *table, struct inode *inode, int flags,
		     struct opened *opened)
{
	int fd;

	fd = inode_open(table, inode, (flags & ~O_APPEND) | O_NOCTTY);
	if (fd == -EPERM && flags & O_APPEND) {
		fd = inode_open(table, inode, flags | O_NOCTTY);
		opened->appends = true;
	}
	opened->fd = fd;
	advise(table, fd);
	return fd < 0 ? fd : 0;
}

/*
 * The one that is there, if it will do. Whether the file may be written to is
 * asked of the filesystem each time, even if an fd is there: it may be
 * immutable by now.
 */
static struct backing *take_open(struct inode_table *table, struct inode *inode,
				 bool writable, bool append)
{
	enum backing_use use = writable ? BACKING_WRITE : BACKING_READ;
	struct opened none = { .fd = -1 };
	struct backing *backing;

	if (writable && !inode_table_limits(table)->keeps_writers)
		return NULL;
	backing = backing_take(table, inode, use, &none);
	if (!backing || !writable || append || !backing->appends)
		return backing;
	backing_close(table, backing);
	return NULL;
}

/*
 * The file isn't append-only any more: the number that all write by gets an
 * fd that writes where it is told to.
 */
static void write_anywhere(struct backing *backing, const struct opened *opened)
{
	if (opened->appends)
		return;
	if (dup3(opened->fd, backing->fds[BACKING_WRITE], O_CLOEXEC) >= 0)
		backing->appends = false;
}

int backing_open(struct inode_table *table, struct inode *inode, bool writable,
		 bool append, struct backing **out)
{
	enum backing_use use = writable ? BACKING_WRITE : BACKING_READ;
	cleanup_opened struct opened opened = { .fd = -1 };
	int writing = O_RDWR | (append ? O_APPEND : 0);
	struct backing *backing;
	int r;

	backing = take_open(table, inode, writable, append);
	if (!backing) {
		r = open_file(table, inode, writable ? writing : O_RDONLY,
			      &opened);
		if (r < 0)
			return r;
		backing = backing_take(table, inode, use, &opened);
	}
	if (!backing)
		return -ENOMEM;
	if (opened.fd >= 0 && writable && backing->appends)
		write_anywhere(backing, &opened);
	*out = backing;
	return 0;
}

int backing_adopt(struct inode_table *table, struct inode *inode, int fd,
		  struct backing **out)
{
	cleanup_opened struct opened opened = { .fd = fd };
	struct backing *backing;

	backing = backing_take(table, inode, BACKING_WRITE, &opened);
	if (!backing)
		return -ENOMEM;
	*out = backing;
	return 0;
}

/*
 * What is open for writing would keep the file from being executed beside the
 * mount.
 */
static bool may_stay(const struct inode_table *table,
		     const struct backing *backing)
{
	return !backing->is_leaving && !backing->appends &&
	       (backing->fds[BACKING_WRITE] < 0 ||
		inode_table_limits(table)->keeps_writers) &&
	       backing->fds[BACKING_DIRECT_READ] < 0 &&
	       backing->fds[BACKING_DIRECT_WRITE] < 0 &&
	       backing->fds[BACKING_SCAN] < 0;
}

/*
 * Under the lock: puts the backing on the idle list, and returns one that is
 * to be freed instead, or NULL.
 */
static struct backing *backing_park(struct inode_table *table,
				    struct backing *backing)
{
	struct inode_idle *idle = inode_idle(table, backing->inode);
	struct backing *victim = backing;

	if (may_stay(table, backing)) {
		backing->idle_since_ns = now_ns();
		list_add(&idle->list, &backing->idle_link);
		idle->count++;
		if (idle->count <=
		    inode_table_limits(table)->idle_backings / IDLE_LISTS)
			return NULL;
		victim = container_of(idle->list.prev, struct backing,
				      idle_link);
		backing_leave_idle(idle, victim);
	}
	victim->inode->backing = NULL;
	return victim;
}

struct reservation backing_close(struct inode_table *table,
				 struct backing *backing)
{
	struct reservation reserved = { 0 };
	struct inode *inode = backing->inode;
	struct backing *victim = NULL;

	inode_lock(table, inode);
	if (--backing->opens == 0) {
		reserved = backing->reserved;
		backing->reserved.bytes = 0;
		victim = backing_park(table, backing);
	}
	inode_unlock(table, inode);
	backing_free(victim);
	inode_forget(table, inode, 1);
	return reserved;
}

int backing_read_fd(const struct backing *backing)
{
	int fd = __atomic_load_n(&backing->fds[BACKING_READ], __ATOMIC_RELAXED);

	return fd >= 0 ? fd : backing->fds[BACKING_WRITE];
}

int backing_write_fd(const struct backing *backing)
{
	return backing->fds[BACKING_WRITE];
}

int backing_special_fd(struct inode_table *table, struct backing *backing,
		       enum backing_use use)
{
	static const int flags[BACKING_USES] = {
		[BACKING_DIRECT_READ] = O_RDONLY | O_DIRECT,
		[BACKING_DIRECT_WRITE] = O_RDWR | O_DIRECT,
		[BACKING_QUIET_READ] = O_RDONLY | O_NOATIME,
		[BACKING_SCAN] = O_RDONLY,
	};
	struct inode *inode = backing->inode;
	cleanup_close int opened = -1;
	int fd;

	inode_lock(table, inode);
	fd = backing->fds[use];
	inode_unlock(table, inode);
	if (fd >= 0)
		return fd;
	opened = inode_open(table, inode, flags[use]);
	/* An append-only file, which has been opened so. */
	if (opened == -EPERM && use == BACKING_DIRECT_WRITE)
		opened = inode_open(table, inode, flags[use] | O_APPEND);
	if (opened < 0)
		return opened;
	advise(table, opened);
	if (use == BACKING_SCAN)
		posix_fadvise(opened, 0, 0, POSIX_FADV_NOREUSE);
	inode_lock(table, inode);
	if (backing->fds[use] < 0)
		backing->fds[use] = steal_fd(&opened);
	fd = backing->fds[use];
	inode_unlock(table, inode);
	return fd;
}

int backing_passthrough_id(struct inode_table *table, struct backing *backing,
			   int fuse_fd)
{
	struct inode *inode = backing->inode;
	bool failed;
	int made, id;

	inode_lock(table, inode);
	id = backing->id;
	failed = backing->no_passthrough;
	inode_unlock(table, inode);
	if (id)
		return id;
	if (failed)
		return -EOPNOTSUPP;
	made = passthrough_register(fuse_fd, backing_read_fd(backing));
	inode_lock(table, inode);
	if (made > 0 && !backing->id) {
		backing->id = made;
		backing->fuse_fd = fuse_fd;
		made = 0;
	}
	id = backing->id ? backing->id : made;
	/* What was short may be there again at the next open. */
	backing->no_passthrough = id < 0 && id != -ENFILE && id != -EMFILE &&
				  id != -ENOMEM;
	inode_unlock(table, inode);
	if (made > 0)
		passthrough_unregister(fuse_fd, made);
	return id;
}

/* Under the lock: takes the inode's idle backing off, to be freed. */
static struct backing *take_idle(struct inode_table *table, struct inode *inode)
{
	struct backing *backing = inode->backing;

	if (!backing || backing->opens)
		return NULL;
	backing_leave_idle(inode_idle(table, inode), backing);
	inode->backing = NULL;
	return backing;
}

void backing_drop_idle(struct inode_table *table, struct inode *inode)
{
	struct backing *victim;

	inode_lock(table, inode);
	victim = take_idle(table, inode);
	inode_unlock(table, inode);
	backing_free(victim);
}

void backing_drop_writer(struct inode_table *table, struct inode *inode)
{
	struct backing *victim = NULL;

	inode_lock(table, inode);
	if (inode->backing && inode->backing->fds[BACKING_WRITE] >= 0) {
		inode->backing->is_leaving = true;
		victim = take_idle(table, inode);
	}
	inode_unlock(table, inode);
	backing_free(victim);
}

struct expiry {
	uint64_t since_ns;
	struct list expired; /* linked by idle_link */
};

static void expire_list(struct inode_idle *idle, void *userdata)
{
	struct expiry *expiry = userdata;
	struct backing *oldest;

	while (!list_empty(&idle->list)) {
		oldest = container_of(idle->list.prev, struct backing,
				      idle_link);
		if (oldest->idle_since_ns >= expiry->since_ns)
			return;
		backing_leave_idle(idle, oldest);
		oldest->inode->backing = NULL;
		list_add(&expiry->expired, &oldest->idle_link);
	}
}

void backing_expire(struct inode_table *table, uint64_t since_ns)
{
	struct expiry expiry = { .since_ns = since_ns };
	struct backing *backing;

	list_init(&expiry.expired);
	inode_table_each_idle(table, expire_list, &expiry);
	while (!list_empty(&expiry.expired)) {
		backing = container_of(expiry.expired.next, struct backing,
				       idle_link);
		list_del(&backing->idle_link);
		backing_free(backing);
	}
}
