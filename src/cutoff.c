// SPDX-License-Identifier: GPL-2.0-or-later
/* Cutting a mount off from its daemon; see cutoff.h. */
#include "cutoff.h"

#include "util.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static bool is_of(int fd, dev_t device)
{
	struct statx stx;

	/* Without a message: there may be nobody to answer. */
	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO,
		     &stx) == 0 &&
	       makedev(stx.stx_dev_major, stx.stx_dev_minor) == device;
}

/* Who mounted it has the right to this, where it is there at all. */
static int abort_by_control(dev_t device)
{
	cleanup_close int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u/abort",
		 minor(device));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) < 0)
		return -EPERM;
	return 0;
}

int cutoff(const char *mountpoint, dev_t device)
{
	/* As it is in use, it is cut off, and not unmounted. */
	cleanup_close int fd =
		open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char path[PROC_FD_MAX];

	if (fd < 0 || !is_of(fd, device))
		return -ENODEV;
	if (umount2(proc_fd_path(path, fd), MNT_FORCE) < 0 && errno == EBUSY)
		return 0;
	return abort_by_control(device);
}
