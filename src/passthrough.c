// SPDX-License-Identifier: GPL-2.0-or-later
/* Backing files of the kernel's FUSE passthrough; see passthrough.h. */
#include "passthrough.h"

#include "creds.h"
#include "util.h"

#include <fcntl.h>
#include <linux/capability.h>
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

/* Seen by the error that an fd gets which is of no mount (Linux 6.18). */
static bool kernel_knows(void)
{
	struct fuse_backing_map map = { .fd = -1 };
	cleanup_close int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	return fd < 0 || ioctl(fd, FUSE_DEV_IOC_BACKING_OPEN, &map) >= 0 ||
	       errno != ENOTTY;
}

const char *passthrough_why_not(void)
{
	if (!kernel_knows())
		return "the kernel has no FUSE passthrough (Linux 6.9 and "
		       "later have it)";
	if (!creds_have(CREDS_MASK(CAP_SYS_ADMIN)))
		return "FUSE passthrough needs CAP_SYS_ADMIN";
	return NULL;
}

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
