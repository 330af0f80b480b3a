// SPDX-License-Identifier: GPL-2.0-or-later
/* The filesystems below the mount; see devices.h. */
#include "devices.h"

#include "util.h"

#include <fcntl.h>
#include <sys/vfs.h>

void devices_init(struct devices *devices)
{
	pthread_mutex_init(&devices->lock, NULL);
	atomic_store(&devices->count, 0);
}

void devices_clear(struct devices *devices)
{
	uint32_t n = atomic_load(&devices->count);

	for (uint32_t i = 0; i < n; i++)
		close_fd(devices->at[i].mount_fd);
	pthread_mutex_destroy(&devices->lock);
}

static int device_find(const struct devices *devices, dev_t dev)
{
	uint32_t n =
		atomic_load_explicit(&devices->count, memory_order_acquire);

	for (uint32_t i = 0; i < n; i++)
		if (devices->at[i].dev == dev)
			return (int)i;
	return -ENODEV;
}

/* Handles have to be had, and to be usable: try both. */
static bool handles_work(int mount_fd)
{
	struct device_handle key = { .head.handle_bytes = MAX_HANDLE_SZ };
	int mount_id, fd;

	if (name_to_handle_at(mount_fd, "", &key.head, &mount_id,
			      AT_EMPTY_PATH) < 0)
		return false;
	fd = open_by_handle_at(mount_fd, &key.head, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return false;
	close_fd(fd);
	return true;
}

/* @mount_fd, a directory of the device, is taken over; -1: no handles. */
static int device_add(struct devices *devices, dev_t dev, int mount_fd,
		      int64_t fs_type)
{
	uint32_t n;
	int index;

	if (mount_fd >= 0 && !handles_work(mount_fd))
		mount_fd = close_fd(mount_fd);
	pthread_mutex_lock(&devices->lock);
	index = device_find(devices, dev);
	n = atomic_load_explicit(&devices->count, memory_order_relaxed);
	if (index < 0 && n < DEVICES_MAX) {
		devices->at[n] = (struct device){
			.dev = dev,
			.mount_fd = steal_fd(&mount_fd),
			.fs_type = fs_type,
		};
		atomic_store_explicit(&devices->count, n + 1,
				      memory_order_release);
		index = (int)n;
	}
	pthread_mutex_unlock(&devices->lock);
	close_fd(mount_fd);
	return index < 0 ? -ENOMEM : index;
}

int devices_index(struct devices *devices, int fd, const struct stat *st)
{
	char path[PROC_FD_MAX];
	struct statfs fs;
	int mount_fd = -1;
	int index;

	index = device_find(devices, st->st_dev);
	if (index >= 0)
		return index;
	if (fstatfs(fd, &fs) < 0)
		return -errno;
	if (S_ISDIR(st->st_mode))
		mount_fd = open(proc_fd_path(path, fd),
				O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return device_add(devices, st->st_dev, mount_fd, fs.f_type);
}
