/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel says of a file's pages: how many are resident
 * (cachestat(2)), which ones (mincore(2)), and which cgroup each of them is
 * charged to (/proc/self/pagemap and /proc/kpagecgroup; see the kernel's
 * Documentation/admin-guide/mm/pagemap.rst).
 *
 * Looking changes nothing: only resident pages are touched, through a
 * mapping of an O_NOATIME file description that POSIX_FADV_NOREUSE keeps
 * from counting as use (Linux 6.3).
 */
#ifndef MEMCGFS_RESIDENCY_H
#define MEMCGFS_RESIDENCY_H

#include <stdint.h>

/*
 * How many pages of the file's range are resident; @length 0: to its end.
 * -ENOSYS before Linux 6.5.
 */
int residency_count(int fd, uint64_t offset, uint64_t length, uint64_t *pages);

/*
 * The kernel's tables: one that all processes may share, and the calling
 * process's own. -EACCES or -EPERM without root's rights.
 */
int residency_open_kpagecgroup(void);
int residency_open_pagemap(void);

/*
 * A file description of one's own for the file behind @fd, that leaves no
 * trace of looking: an fd, or -errno.
 */
int residency_open_quietly(int fd);

struct residency_tables {
	int kpagecgroup_fd;
	int pagemap_fd;
};

struct residency_range {
	int fd; /* from residency_open_quietly() */
	uint64_t offset;
	uint64_t length;
};

struct residency_found {
	uint64_t resident_pages; /* charged to the asked-for cgroup */
	uint64_t foreign_pages; /* charged to others */
	uint64_t mapped_pages; /* of both, by others than the caller */
};

/* Called for a run of foreign pages; a negative result ends the walk. */
typedef int (*residency_foreign_fn)(void *userdata, uint64_t offset,
				    uint64_t length);

/*
 * Walks the range's resident pages and counts those charged to the cgroup
 * with inode number @memcg_ino and the others; @foreign, unless NULL, is
 * called with @userdata for each run of others, at a moment when the walk
 * itself maps none of them. To be run in the host: a page that is reclaimed
 * while it is looked at comes back charged to the caller.
 */
int residency_walk(const struct residency_tables *tables,
		   const struct residency_range *range, uint64_t memcg_ino,
		   residency_foreign_fn foreign, void *userdata,
		   struct residency_found *found);

/* Page size of this kernel, in bytes. */
uint64_t page_bytes(void);

/* Pages that a file of that size takes. */
uint64_t pages_of(uint64_t bytes);

/*
 * Grows whenever pages of files may have left the page cache and come back,
 * anywhere in the system; 0: it can't be told. Linux 6.18 counts those that
 * DAMON takes back as refaults only.
 */
uint64_t residency_refaults(void);

#endif
