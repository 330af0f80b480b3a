/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel says of a file's pages: how many are resident
 * (cachestat(2)), which ones (mincore(2)), and which cgroup each of them is
 * charged to (/proc/self/pagemap and /proc/kpagecgroup, with what keeps it
 * there in /proc/kpageflags; see the kernel's
 * Documentation/admin-guide/mm/pagemap.rst).
 *
 * Looking changes nothing: only resident pages are touched, through a
 * mapping of an O_NOATIME file description that POSIX_FADV_NOREUSE keeps
 * from counting as use (Linux 6.3).
 */
#ifndef MEMCGFS_RESIDENCY_H
#define MEMCGFS_RESIDENCY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How many pages of the file's range are resident; @length 0: to its end.
 * -ENOSYS before Linux 6.5.
 */
int residency_count(int fd, uint64_t offset, uint64_t length, uint64_t *pages);

/*
 * How many pages of a file of this size are resident. Where truncating cut into
 * a dirty large folio, the kernel keeps all of it: what is behind the file's
 * end can't be had, nor be asked for its owner, and isn't counted.
 */
int residency_count_file(int fd, uint64_t size_bytes, uint64_t *pages);

/* The same of a range's pages that are dirty, or being written back. */
int residency_count_dirty(int fd, uint64_t offset, uint64_t length,
			  uint64_t *pages);

/*
 * The kernel's tables: two that all processes may share, and the calling
 * process's own. -EACCES or -EPERM without root's rights.
 */
int residency_open_kpagecgroup(void);
int residency_open_kpageflags(void);
int residency_open_pagemap(void);

/*
 * A file description of one's own for the file behind @fd, that leaves no
 * trace of looking: an fd, or -errno.
 */
int residency_open_quietly(int fd);

struct residency_tables {
	int kpagecgroup_fd;
	int kpageflags_fd; /* -1: what it tells isn't asked for */
	uint64_t no_flags_of; /* nor of this cgroup's pages: it takes long */
	int pagemap_fd;
};

struct residency_range {
	int fd; /* from residency_open_quietly() */
	uint64_t offset;
	uint64_t length;
};

/* What may keep a page from being dropped. */
enum residency_flags {
	RESIDENCY_MAPPED = 1, /* by others than the caller, or it twice */
	RESIDENCY_DIRTY = 2, /* or being written back */
	RESIDENCY_LOCKED = 4, /* by mlock(2), or it can't be reclaimed at all */
};

/* In words, as "mapped, locked"; of none of them: "in use". */
const char *residency_reason(uint32_t flags);

struct residency_found {
	uint64_t resident_pages; /* charged to the asked-for cgroup */
	uint64_t foreign_pages; /* charged to others */
	uint64_t mapped_pages; /* of both, by others than the caller */
	uint32_t foreign_flags; /* those that any of the others' has */
};

/* Called for a run of foreign pages; a negative result ends the walk. */
typedef int (*residency_foreign_fn)(void *userdata, uint64_t offset,
				    uint64_t length);

/*
 * To be called once in a process that walks, by whatever number of threads:
 * to touch a page that was truncated meanwhile is SIGBUS. Any other ends it.
 */
void residency_catch_sigbus(void);

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

/* Resident pages, one after another; a negative result ends it. */
typedef int (*residency_span_fn)(void *userdata, uint64_t first_page,
				 uint64_t pages);

/*
 * Tells which of the first @length bytes' pages are resident, without touching
 * any (mincore(2), which says of a file that the caller may neither own nor
 * write that all are). @each: parts without any can't be told from a count.
 */
int residency_spans(int fd, uint64_t length, bool each, residency_span_fn fn,
		    void *userdata);

/* Resident pages, one after another, that are alike. */
struct residency_run {
	uint64_t first_page;
	uint32_t pages;
	uint32_t flags; /* enum residency_flags */
	uint64_t owner_ino; /* 0: they are charged to no cgroup */
};

typedef int (*residency_run_fn)(void *userdata,
				const struct residency_run *run);

/*
 * The same walk, which tells all runs from the first to the last. Alike ones
 * may come in several parts. A negative result of @fn ends it, and is given.
 */
int residency_runs(const struct residency_tables *tables,
		   const struct residency_range *range, residency_run_fn fn,
		   void *userdata);

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
