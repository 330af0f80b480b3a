// SPDX-License-Identifier: GPL-2.0-or-later
/* Backing files of the kernel's FUSE passthrough; see passthrough.h. */
#include "passthrough.h"

#include "creds.h"

#include <errno.h>
#include <stdint.h>
#include <sys/ioctl.h>

/* As in include/uapi/linux/fuse.h, which Debian 12's headers lack. */
struct fuse_backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

#ifndef FUSE_DEV_IOC_BACKING_OPEN
#define FUSE_DEV_IOC_BACKING_OPEN _IOW(229, 1, struct fuse_backing_map)
#define FUSE_DEV_IOC_BACKING_CLOSE _IOW(229, 2, uint32_t)
#endif

int passthrough_register(int fuse_fd, int fd)
{
	struct fuse_backing_map map = { .fd = fd };
	int id;

	creds_keep_suid(false);
	id = ioctl(fuse_fd, FUSE_DEV_IOC_BACKING_OPEN, &map);
	if (id < 0)
		id = -errno;
	return id;
}

void passthrough_unregister(int fuse_fd, int id)
{
	uint32_t arg = (uint32_t)id;

	ioctl(fuse_fd, FUSE_DEV_IOC_BACKING_CLOSE, &arg);
}
