// SPDX-License-Identifier: GPL-2.0-or-later
/* The fds of inodes: a cache in front of open_by_handle_at(2); see inode.h. */
#include "inode_priv.h"

#include "util.h"

#include <string.h>

struct path_fd *path_fd_new(int fd)
{
	struct path_fd *path_fd;

	path_fd = calloc(1, sizeof(*path_fd));
	if (!path_fd) {
		close_fd(fd);
		return NULL;
	}
	path_fd->fd = fd;
	list_init(&path_fd->link);
	return path_fd;
}

struct path_fd *path_fd_free(struct path_fd *path_fd)
{
	if (!path_fd)
		return NULL;
	close_fd(path_fd->fd);
	free(path_fd);
	return NULL;
}

void shard_install_fd(struct shard *shard, struct inode *inode,
		      struct path_fd *path_fd, bool is_pinned)
{
	inode->path_fd = path_fd;
	path_fd->inode = inode;
	path_fd->is_pinned = is_pinned;
	if (is_pinned)
		return;
	shard->fd_count++;
	list_add(&shard->fd_lru, &path_fd->link);
}

struct path_fd *shard_evict_fd(struct inode_table *table, struct shard *shard)
{
	struct path_fd *victim;

	if (shard->fd_count <= table->limits.path_fds / SHARDS)
		return NULL;
	if (list_empty(&shard->fd_lru))
		return NULL;
	victim = container_of(shard->fd_lru.prev, struct path_fd, link);
	shard_leave_fd(shard, victim->inode);
	victim->inode->path_fd = NULL;
	return victim;
}

void shard_keep_fd(struct shard *shard, struct inode *inode,
		   struct path_fd **path_fd)
{
	if (!inode->path_fd) {
		if (*path_fd)
			shard_install_fd(shard, inode, steal_ptr(path_fd),
					 true);
		return;
	}
	shard_leave_fd(shard, inode);
	inode->path_fd->is_pinned = true;
}

void shard_leave_fd(struct shard *shard, struct inode *inode)
{
	struct path_fd *path_fd = inode->path_fd;

	if (!path_fd || path_fd->is_pinned)
		return;
	shard->fd_count--;
	list_del(&path_fd->link);
}

static int open_inode(struct inode_table *table, struct inode *inode, int flags)
{
	struct device_handle handle = {
		.head.handle_type = inode->handle_type,
		.head.handle_bytes = inode->handle_bytes,
	};
	int fd;

	memcpy(handle.bytes, inode->handle, inode->handle_bytes);
	fd = open_by_handle_at(table->devices.at[inode->device].mount_fd,
			       &handle.head, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* One more user of the inode's fd, which lives until then; or NULL. */
static struct path_fd *shard_use_fd(struct inode *inode)
{
	struct path_fd *path_fd = inode->path_fd;

	if (!path_fd)
		return NULL;
	inode->lookups++;
	path_fd->users++;
	list_del(&path_fd->link);
	return path_fd;
}

int inode_fd_get(struct inode_table *table, struct inode *inode)
{
	struct shard *shard = inode_shard(table, inode);
	struct path_fd *opened = NULL;
	struct path_fd *path_fd, *evicted;
	int r = 0;

	for (;;) {
		pthread_mutex_lock(&shard->lock);
		if (!inode->path_fd && opened)
			shard_install_fd(shard, inode, steal_ptr(&opened),
					 false);
		path_fd = shard_use_fd(inode);
		evicted = shard_evict_fd(table, shard);
		pthread_mutex_unlock(&shard->lock);
		path_fd_free(evicted);
		if (path_fd)
			break;
		/* Its last name may have gone just now, and its fd be kept. */
		if (r < 0)
			return r;
		r = open_inode(table, inode, O_PATH);
		if (r >= 0)
			opened = path_fd_new(r);
		if (r >= 0 && !opened)
			r = -ENOMEM;
	}
	path_fd_free(opened);
	return path_fd->fd;
}

void inode_fd_put(struct inode_table *table, struct inode *inode)
{
	struct shard *shard = inode_shard(table, inode);
	struct path_fd *path_fd, *evicted;
	bool gone;

	pthread_mutex_lock(&shard->lock);
	path_fd = inode->path_fd;
	if (--path_fd->users == 0 && !path_fd->is_pinned)
		list_add(&shard->fd_lru, &path_fd->link);
	gone = shard_unref(table, shard, inode, 1);
	evicted = shard_evict_fd(table, shard);
	pthread_mutex_unlock(&shard->lock);
	path_fd_free(evicted);
	if (gone)
		inode_free(table, inode);
}

void inode_fd_drop(struct inode_table *table, struct inode *inode)
{
	struct shard *shard = inode_shard(table, inode);
	struct path_fd *path_fd;

	pthread_mutex_lock(&shard->lock);
	path_fd = inode->path_fd;
	if (path_fd && (path_fd->users || path_fd->is_pinned))
		path_fd = NULL;
	if (path_fd) {
		shard_leave_fd(shard, inode);
		inode->path_fd = NULL;
	}
	pthread_mutex_unlock(&shard->lock);
	path_fd_free(path_fd);
}

void inode_fd_unpin(struct inode_table *table, struct inode *inode)
{
	struct shard *shard = inode_shard(table, inode);
	struct path_fd *path_fd;

	if (table->devices.at[inode->device].mount_fd < 0)
		return;
	pthread_mutex_lock(&shard->lock);
	path_fd = inode->path_fd;
	if (path_fd && path_fd->is_pinned && inode != table->root) {
		path_fd->is_pinned = false;
		shard->fd_count++;
		if (!path_fd->users)
			list_add(&shard->fd_lru, &path_fd->link);
	}
	pthread_mutex_unlock(&shard->lock);
}

int inode_open(struct inode_table *table, struct inode *inode, int flags)
{
	char path[PROC_FD_MAX];
	int path_fd, fd;
	bool is_pinned;

	inode_lock(table, inode);
	is_pinned = inode->path_fd && inode->path_fd->is_pinned;
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
