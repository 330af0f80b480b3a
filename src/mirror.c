// SPDX-License-Identifier: GPL-2.0-or-later
/* The mount as the daemon itself sees it; see mirror.h. */
#include "mirror.h"

#include "closer.h"
#include "util.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef OPEN_TREE_CLOEXEC
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif

/* A handle of FUSE's, as fs/fuse/inode.c of the kernel makes them. */
#define NODE_HANDLE_TYPE 0x81
struct node_handle {
	struct file_handle head;
	uint32_t words[3]; /* number, high and low; generation */
};

struct mirror {
	const char *mountpoint;
	dev_t device;
	struct closer *closer;
	int mounts_fd; /* /proc/self/mountinfo, to be polled */
	int root_fd; /* fixed while there are users */
	/* Who opens a file, and 1 for as long as the mount is seen. */
	atomic_uint users;
	bool is_begun; /* the one's who begins and sees */
};

int mirror_new(const char *mountpoint, struct mirror **out)
{
	struct mirror *mirror;
	int r;

	mirror = calloc(1, sizeof(*mirror));
	if (!mirror)
		return -ENOMEM;
	r = closer_new(&mirror->closer);
	if (r < 0) {
		free(mirror);
		return r;
	}
	mirror->mountpoint = mountpoint;
	mirror->root_fd = -1;
	mirror->mounts_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	*out = mirror;
	return 0;
}

/* False: the mount is gone, or isn't there yet. */
static bool mirror_get(struct mirror *mirror)
{
	unsigned int users = atomic_load(&mirror->users);

	while (users)
		if (atomic_compare_exchange_weak(&mirror->users, &users,
						 users + 1))
			return true;
	return false;
}

static void mirror_put(struct mirror *mirror)
{
	if (atomic_fetch_sub(&mirror->users, 1) == 1)
		mirror->root_fd = close_fd(mirror->root_fd);
}

static void mirror_end(struct mirror *mirror)
{
	if (mirror->is_begun)
		mirror_put(mirror);
	mirror->is_begun = false;
}

struct mirror *mirror_free(struct mirror *mirror)
{
	if (!mirror)
		return NULL;
	mirror_end(mirror);
	closer_free(mirror->closer);
	close_fd(mirror->mounts_fd);
	free(mirror);
	return NULL;
}

static int open_copy(const char *mountpoint)
{
	cleanup_close int tree = -1;
	int fd;

	tree = (int)syscall(SYS_open_tree, AT_FDCWD, mountpoint,
			    OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return -errno;
	fd = openat(tree, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int mirror_begin(struct mirror *mirror, dev_t device)
{
	int fd = open_copy(mirror->mountpoint);

	mirror->device = device;
	if (fd < 0)
		return fd;
	mirror->root_fd = fd;
	mirror->is_begun = true;
	atomic_store(&mirror->users, 1);
	return 0;
}

int mirror_poll_fd(const struct mirror *mirror)
{
	return mirror->mounts_fd;
}

static bool is_in_table(FILE *mounts, dev_t device)
{
	cleanup_free char *line = NULL;
	unsigned int major, minor;
	bool found = false;
	size_t size = 0;

	while (!found && getline(&line, &size, mounts) >= 0)
		found = sscanf(line, "%*u %*u %u:%u ", &major, &minor) == 2 &&
			makedev(major, minor) == device;
	return found;
}

bool mirror_see(struct mirror *mirror)
{
	bool is_there = true;
	FILE *mounts;

	if (!mirror->is_begun)
		return false;
	mounts = fopen("/proc/self/mountinfo", "re");
	if (mounts) {
		is_there = is_in_table(mounts, mirror->device);
		fclose(mounts);
	}
	if (!is_there)
		mirror_end(mirror);
	return is_there;
}

int mirror_open(struct mirror *mirror, uint64_t nodeid)
{
	struct node_handle handle = {
		.head.handle_bytes = sizeof(handle.words),
		.head.handle_type = NODE_HANDLE_TYPE,
		.words = { (uint32_t)(nodeid >> 32), (uint32_t)nodeid, 0 },
	};
	int fd;

	if (closer_is_behind(mirror->closer))
		return -EMFILE;
	if (!mirror_get(mirror))
		return -ENODEV;
	fd = open_by_handle_at(mirror->root_fd, &handle.head,
			       O_RDONLY | O_NOATIME | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	else
		posix_fadvise(fd, 0, 0, POSIX_FADV_NOREUSE);
	mirror_put(mirror);
	return fd;
}

int mirror_close(struct mirror *mirror, int fd)
{
	if (fd >= 0)
		closer_take(mirror->closer, fd);
	return -1;
}

/* Whether the fd is of that inode of the mount; asks nobody. */
static bool is_inode(const struct mirror *mirror, int fd, uint64_t nodeid)
{
	struct node_handle handle = {
		.head.handle_bytes = sizeof(handle.words),
	};
	struct statx stx;
	int mount;

	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO,
		     &stx) == 0 &&
	       makedev(stx.stx_dev_major, stx.stx_dev_minor) ==
		       mirror->device &&
	       name_to_handle_at(fd, "", &handle.head, &mount, AT_EMPTY_PATH) ==
		       0 &&
	       handle.words[0] == (uint32_t)(nodeid >> 32) &&
	       handle.words[1] == (uint32_t)nodeid;
}

int mirror_open_path(struct mirror *mirror, uint64_t nodeid, const char *path)
{
	cleanup_free char *name = NULL;
	int fd;

	if (closer_is_behind(mirror->closer))
		return -EMFILE;
	if (asprintf(&name, "%s%s", mirror->mountpoint, path) < 0)
		return -ENOMEM;
	fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (is_inode(mirror, fd, nodeid))
		return fd;
	mirror_close(mirror, fd);
	return -ESTALE;
}

int mirror_drop(int fuse_fd, uint64_t nodeid, uint64_t offset, uint64_t length)
{
	struct fuse_notify_inval_inode_out range = {
		.ino = nodeid,
		.off = (int64_t)offset,
		.len = (int64_t)length,
	};
	struct fuse_out_header head = {
		.len = sizeof(head) + sizeof(range),
		.error = FUSE_NOTIFY_INVAL_INODE,
	};
	struct iovec iov[] = {
		{ .iov_base = &head, .iov_len = sizeof(head) },
		{ .iov_base = &range, .iov_len = sizeof(range) },
	};

	return writev(fuse_fd, iov, ARRAY_SIZE(iov)) < 0 ? -errno : 0;
}
