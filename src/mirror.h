/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mount as the daemon itself sees it, to reach the pages that clients'
 * kernel keeps of it: files are opened by the number that the kernel knows
 * their inode by, through a copy of the mount that is in no namespace, so that
 * they keep nobody from unmounting. The copy goes with the last mount that can
 * be seen (Linux keeps the filesystem for as long as it has any).
 */
#ifndef MEMCGFS_MIRROR_H
#define MEMCGFS_MIRROR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mirror;

/* @mountpoint has to outlive it. 0 or -errno. */
int mirror_new(const char *mountpoint, struct mirror **out);

/* All files that were opened are closed; the mount is cut off, or served. */
struct mirror *mirror_free(struct mirror *mirror);

/*
 * Once the mount is there, and served by others than the caller. @device is
 * the mount's. 0 or -errno: files can't be opened.
 */
int mirror_begin(struct mirror *mirror, dev_t device);

/*
 * Closes a file that was opened, in the background: see closer.h. -1 always,
 * as close_fd().
 */
int mirror_close(struct mirror *mirror, int fd);

/* Polls readable (POLLPRI) when a mount came or went; for mirror_see(). */
int mirror_poll_fd(const struct mirror *mirror);

/* Ends it if the mount is seen nowhere any more: whether it is there. */
bool mirror_see(struct mirror *mirror);

/*
 * Opens a file to look at its pages; an fd for mirror_close(), or -errno. It is
 * a quiet one, as residency_open_quietly() makes them.
 * -ESTALE: the client's kernel has forgotten it, pages and all.
 */
int mirror_open(struct mirror *mirror, uint64_t nodeid);

/*
 * The same by its path within the mount, where there is no copy to be had: as
 * far as the daemon may read it, and keeping others from unmounting meanwhile.
 * By no worker, as workers may be asked for the path's names.
 */
int mirror_open_path(struct mirror *mirror, uint64_t nodeid, const char *path);

/*
 * Drops the pages of a range, mapped ones too; dirty ones are written first,
 * and those being read are waited for: it must not be called by who is to
 * answer that. 0 or -errno; pages that others hold, in a pipe say, stay.
 */
int mirror_drop(int fuse_fd, uint64_t nodeid, uint64_t offset, uint64_t length);

#endif
