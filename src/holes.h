/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where a file has data, and where holes. In preallocated blocks lseek(2) takes
 * for data what is in the page cache, though it was only read (ext4 and xfs,
 * Linux 6.18): as chargers read files ahead, that would be all of them. Here
 * they are a hole until they are written to.
 */
#ifndef MEMCGFS_HOLES_H
#define MEMCGFS_HOLES_H

#include <sys/types.h>

/*
 * lseek(2) with SEEK_DATA or SEEK_HOLE; or -errno. What was written to
 * preallocated blocks may have to go to disk first. As lseek(2) alone where the
 * filesystem has no FIEMAP (tmpfs).
 */
off_t holes_seek(int fd, off_t offset, int whence);

#endif
