/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The filesystems below the mount: SOURCE's own, and those mounted below it,
 * by a small number each. They are added as they are met, and stay.
 */
#ifndef MEMCGFS_DEVICES_H
#define MEMCGFS_DEVICES_H

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/stat.h>

#define DEVICES_MAX 1024

/* A file's handle as the kernel has them, with room for any. */
struct device_handle {
	struct file_handle head;
	unsigned char bytes[MAX_HANDLE_SZ];
};

struct device {
	dev_t dev;
	int mount_fd; /* for open_by_handle_at(2); -1: no handles */
	int64_t fs_type; /* f_type of statfs(2) */
};

/*
 * Added to under the lock, and what is there never changes after the release
 * store of the count, so it is read without the lock.
 */
struct devices {
	pthread_mutex_t lock;
	_Atomic uint32_t count;
	struct device at[DEVICES_MAX];
};

void devices_init(struct devices *devices);
void devices_clear(struct devices *devices);

/*
 * The number of the filesystem that the file of an fd (open, or O_PATH) with
 * attributes @st is on, or -errno. One that is met by a directory first can
 * have handles.
 */
int devices_index(struct devices *devices, int fd, const struct stat *st);

#endif
