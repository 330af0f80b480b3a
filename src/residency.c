// SPDX-License-Identifier: GPL-2.0-or-later
/* What the kernel says of a file's pages; see residency.h. */
#include "residency.h"

#include "util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define WINDOW_PAGES 1024
#define VMSTAT_BYTES 16384
#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_EXCLUSIVE (1ull << 56) /* mapped by nobody else */
#define PAGEMAP_PFN ((1ull << 55) - 1)

#ifndef SYS_cachestat
#define SYS_cachestat 451 /* the same on every architecture */
#endif
#ifndef POSIX_FADV_NOREUSE
#define POSIX_FADV_NOREUSE 5
#endif

/* As in the kernel's include/uapi/linux/mman.h, which glibc 2.36 lacks. */
struct cachestat_range {
	uint64_t off;
	uint64_t len;
};

struct cachestat {
	uint64_t nr_cache;
	uint64_t nr_dirty;
	uint64_t nr_writeback;
	uint64_t nr_evicted;
	uint64_t nr_recently_evicted;
};

/* A part of the file while it is mapped and looked at. */
struct window {
	char *map;
	uint64_t offset; /* of the file, in bytes */
	size_t pages;
	size_t mapped_pages; /* by others, too */
	unsigned char resident[WINDOW_PAGES];
	uint64_t entries[WINDOW_PAGES]; /* of pagemap, then the owners */
};

uint64_t page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t pages_of(uint64_t bytes)
{
	return (bytes + page_bytes() - 1) / page_bytes();
}

int residency_count(int fd, uint64_t offset, uint64_t length, uint64_t *pages)
{
	struct cachestat_range range = { .off = offset, .len = length };
	struct cachestat stat;

	if (syscall(SYS_cachestat, fd, &range, &stat, 0) < 0)
		return -errno;
	*pages = stat.nr_cache;
	return 0;
}

static int open_table(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int residency_open_kpagecgroup(void)
{
	return open_table("/proc/kpagecgroup");
}

int residency_open_pagemap(void)
{
	return open_table("/proc/self/pagemap");
}

int residency_open_quietly(int fd)
{
	char path[PROC_FD_MAX];
	int quiet;

	quiet = open(proc_fd_path(path, fd),
		     O_RDONLY | O_NOATIME | O_CLOEXEC | O_NOCTTY);
	if (quiet < 0)
		return -errno;
	posix_fadvise(quiet, 0, 0, POSIX_FADV_NOREUSE);
	return quiet;
}

/*
 * Maps the pages of the window that are resident. By madvise(2), as touching
 * a page that was truncated meanwhile would be SIGBUS; it isn't present then.
 */
static int window_touch(struct window *w)
{
	uint64_t size = page_bytes();
	size_t end;

	if (mincore(w->map, w->pages * size, w->resident) < 0)
		return -errno;
	for (size_t i = 0; i < w->pages; i = end) {
		end = i + 1;
		if (!(w->resident[i] & 1))
			continue;
		while (end < w->pages && w->resident[end] & 1)
			end++;
		madvise(w->map + i * size, (end - i) * size,
			MADV_POPULATE_READ);
	}
	return 0;
}

/* The owners of a run of physically consecutive pages, in one read. */
static int run_owners(const struct residency_tables *tables, uint64_t *entries,
		      size_t pages)
{
	uint64_t pfn = entries[0] & PAGEMAP_PFN;
	ssize_t want = (ssize_t)(pages * sizeof(*entries));
	ssize_t n;

	n = pread(tables->kpagecgroup_fd, entries, (size_t)want,
		  (off_t)(pfn * sizeof(*entries)));
	if (n < 0)
		return -errno;
	return n == want ? 0 : -EIO;
}

static int window_entries(const struct residency_tables *tables,
			  struct window *w)
{
	uint64_t first = (uintptr_t)w->map / page_bytes();
	size_t bytes = w->pages * sizeof(w->entries[0]);

	if (pread(tables->pagemap_fd, w->entries, bytes,
		  (off_t)(first * sizeof(w->entries[0]))) != (ssize_t)bytes)
		return -EIO;
	w->mapped_pages = 0;
	for (size_t i = 0; i < w->pages; i++)
		if ((w->entries[i] & (PAGEMAP_PRESENT | PAGEMAP_EXCLUSIVE)) ==
		    PAGEMAP_PRESENT)
			w->mapped_pages++;
	return 0;
}

/* Turns each present page's pagemap entry into its owner's inode number. */
static int window_owners(const struct residency_tables *tables,
			 struct window *w)
{
	size_t end;
	int r;

	for (size_t i = 0; i < w->pages; i = end) {
		end = i + 1;
		w->resident[i] = !!(w->entries[i] & PAGEMAP_PRESENT);
		if (!w->resident[i])
			continue;
		if (!(w->entries[i] & PAGEMAP_PFN))
			return -EPERM; /* PFNs are for CAP_SYS_ADMIN only */
		while (end < w->pages && (w->entries[end] & PAGEMAP_PRESENT) &&
		       (w->entries[end] & PAGEMAP_PFN) ==
			       (w->entries[end - 1] & PAGEMAP_PFN) + 1) {
			w->resident[end] = 1;
			end++;
		}
		r = run_owners(tables, &w->entries[i], end - i);
		if (r < 0)
			return r;
	}
	return 0;
}

static int window_look(const struct residency_tables *tables, int fd,
		       struct window *w)
{
	size_t bytes = w->pages * page_bytes();
	int r;

	w->map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, (off_t)w->offset);
	if (w->map == MAP_FAILED)
		return -errno;
	madvise(w->map, bytes, MADV_RANDOM);
	r = window_touch(w);
	if (r == 0)
		r = window_entries(tables, w);
	if (r == 0)
		r = window_owners(tables, w);
	munmap(w->map, bytes);
	return r;
}

/* Counts what the look found, and reports each run of foreign pages. */
static int window_report(const struct window *w, uint64_t memcg_ino,
			 residency_foreign_fn foreign, void *userdata,
			 struct residency_found *found)
{
	size_t end;
	int r;

	found->mapped_pages += w->mapped_pages;
	for (size_t i = 0; i < w->pages; i = end) {
		end = i + 1;
		if (!w->resident[i])
			continue;
		if (w->entries[i] == memcg_ino) {
			found->resident_pages++;
			continue;
		}
		while (end < w->pages && w->resident[end] &&
		       w->entries[end] != memcg_ino)
			end++;
		found->foreign_pages += end - i;
		if (!foreign)
			continue;
		r = foreign(userdata, w->offset + i * page_bytes(),
			    (end - i) * page_bytes());
		if (r < 0)
			return r;
	}
	return 0;
}

int residency_walk(const struct residency_tables *tables,
		   const struct residency_range *range, uint64_t memcg_ino,
		   residency_foreign_fn foreign, void *userdata,
		   struct residency_found *found)
{
	struct residency_found sum = { 0 };
	uint64_t size = page_bytes();
	uint64_t end = range->offset + range->length;
	uint64_t span_pages = WINDOW_PAGES;
	uint64_t resident = 0;
	struct window w;
	int r;

	/*
	 * A sparse file may have 2^50 pages (xfs): what has none resident is
	 * stepped over in steps that double.
	 */
	w.offset = range->offset / size * size;
	for (; w.offset < end; w.offset += w.pages * size) {
		w.pages = pages_of(end - w.offset);
		if (w.pages > span_pages)
			w.pages = span_pages;
		if (residency_count(range->fd, w.offset, w.pages * size,
				    &resident) == 0 &&
		    resident == 0) {
			span_pages *= 2;
			continue;
		}
		span_pages = WINDOW_PAGES;
		if (w.pages > WINDOW_PAGES) {
			w.pages = 0;
			continue;
		}
		r = window_look(tables, range->fd, &w);
		if (r == 0)
			r = window_report(&w, memcg_ino, foreign, userdata,
					  &sum);
		if (r < 0)
			return r;
	}
	*found = sum;
	return 0;
}

uint64_t residency_refaults(void)
{
	static const char *const keys[] = {
		"workingset_refault_file ",
		"pgsteal_file ",
		"drop_pagecache ",
	};
	char text[VMSTAT_BYTES];
	uint64_t sum = 0;
	const char *at;

	if (read_small_file(AT_FDCWD, "/proc/vmstat", text, sizeof(text)) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		at = strstr(text, keys[i]);
		if (at)
			sum += strtoull(at + strlen(keys[i]), NULL, 10);
	}
	return sum;
}
