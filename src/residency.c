// SPDX-License-Identifier: GPL-2.0-or-later
/* What the kernel says of a file's pages; see residency.h. */
#include "residency.h"

#include "util.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define WINDOW_PAGES 1024
#define VMSTAT_BYTES 16384
#define AROUND_BYTES 65536 /* what a load maps at once, if it is there */
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

/* Bits of /proc/kpageflags, as in the kernel's kernel-page-flags.h. */
#define KPF_DIRTY (1ull << 4)
#define KPF_WRITEBACK (1ull << 8)
#define KPF_UNEVICTABLE (1ull << 18)
#define KPF_MLOCKED (1ull << 33)

/* A part of the file while it is mapped and looked at. */
struct window {
	char *map;
	uint64_t offset; /* of the file, in bytes */
	size_t pages;
	bool is_full; /* all of them were resident a moment ago */
	unsigned char resident[WINDOW_PAGES];
	unsigned char flags[WINDOW_PAGES]; /* enum residency_flags */
	uint64_t entries[WINDOW_PAGES]; /* of pagemap, then the owners */
	uint64_t words[WINDOW_PAGES]; /* of kpageflags */
};

uint64_t page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t pages_of(uint64_t bytes)
{
	return (bytes + page_bytes() - 1) / page_bytes();
}

static int count_cached(int fd, uint64_t offset, uint64_t length,
			struct cachestat *stat)
{
	struct cachestat_range range = { .off = offset, .len = length };

	return syscall(SYS_cachestat, fd, &range, stat, 0) < 0 ? -errno : 0;
}

int residency_count(int fd, uint64_t offset, uint64_t length, uint64_t *pages)
{
	struct cachestat stat;
	int r = count_cached(fd, offset, length, &stat);

	if (r == 0)
		*pages = stat.nr_cache;
	return r;
}

int residency_count_file(int fd, uint64_t size_bytes, uint64_t *pages)
{
	int r = residency_count(fd, 0, size_bytes, pages);

	if (r == 0 && !size_bytes)
		*pages = 0;
	return r;
}

int residency_count_dirty(int fd, uint64_t offset, uint64_t length,
			  uint64_t *pages)
{
	struct cachestat stat;
	int r = count_cached(fd, offset, length, &stat);

	if (r == 0)
		*pages = stat.nr_dirty + stat.nr_writeback;
	return r;
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

int residency_open_kpageflags(void)
{
	return open_table("/proc/kpageflags");
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

const char *residency_reason(uint32_t flags)
{
	static const char *const reasons[] = {
		[0] = "in use",
		[RESIDENCY_MAPPED] = "mapped",
		[RESIDENCY_DIRTY] = "dirty",
		[RESIDENCY_MAPPED | RESIDENCY_DIRTY] = "mapped, dirty",
		[RESIDENCY_LOCKED] = "locked",
		[RESIDENCY_MAPPED | RESIDENCY_LOCKED] = "mapped, locked",
		[RESIDENCY_DIRTY | RESIDENCY_LOCKED] = "dirty, locked",
		[RESIDENCY_MAPPED | RESIDENCY_DIRTY | RESIDENCY_LOCKED] =
			"mapped, dirty, locked",
	};

	return reasons[flags % ARRAY_SIZE(reasons)];
}

/* Each thread's own: where it goes on when a touch goes wrong. */
static __thread sigjmp_buf page_is_gone;
static __thread volatile bool is_touching;

static void leave_page(int number)
{
	(void)number;
	if (!is_touching)
		_exit(EXIT_FAILURE);
	siglongjmp(page_is_gone, 1);
}

/* Who blocks it is killed (sigaction(2)). */
static void unblock_sigbus(void)
{
	sigset_t bus;

	sigemptyset(&bus);
	sigaddset(&bus, SIGBUS);
	pthread_sigmask(SIG_UNBLOCK, &bus, NULL);
}

void residency_catch_sigbus(void)
{
	/* As it is left by a jump, it must not block the next one. */
	struct sigaction leave = {
		.sa_handler = leave_page,
		.sa_flags = SA_NODEFER,
	};

	sigaction(SIGBUS, &leave, NULL);
	unblock_sigbus();
}

static int window_mincore(struct window *w)
{
	/* That one is a third of all that a look takes. */
	if (w->is_full)
		memset(w->resident, 1, w->pages);
	else if (mincore(w->map, w->pages * page_bytes(), w->resident) < 0)
		return -errno;
	return 0;
}

static int window_entries(const struct residency_tables *tables,
			  struct window *w)
{
	uint64_t first = (uintptr_t)w->map / page_bytes();
	size_t bytes = w->pages * sizeof(w->entries[0]);

	if (pread(tables->pagemap_fd, w->entries, bytes,
		  (off_t)(first * sizeof(w->entries[0]))) != (ssize_t)bytes)
		return -EIO;
	return 0;
}

static bool is_to_touch(const struct window *w, size_t i)
{
	return w->resident[i] & 1 && !(w->entries[i] & PAGEMAP_PRESENT);
}

/* Of the blocks that a load maps at once, where it can. */
static uint64_t block_of(const struct window *w, size_t i)
{
	return ((uintptr_t)w->map + i * page_bytes()) / AROUND_BYTES;
}

/*
 * Touches those that are resident, but not mapped yet, @each of them or one of
 * each block: how many.
 */
static size_t window_touch(const struct window *w, bool each)
{
	volatile uint64_t around = 0;
	volatile size_t next = 0, touched = 0;
	size_t i;

	is_touching = true;
	/* One that was truncated meanwhile isn't present then: on with the next. */
	if (sigsetjmp(page_is_gone, 0))
		unblock_sigbus(); /* ThreadSanitizer's handler blocks all */
	while (next < w->pages) {
		i = next++;
		if (!is_to_touch(w, i) || (!each && block_of(w, i) == around))
			continue;
		around = block_of(w, i);
		touched++;
		(void)*(volatile char *)(w->map + i * page_bytes());
	}
	is_touching = false;
	return touched;
}

/*
 * Maps the pages of the window that are resident. By loads: MADV_POPULATE_READ
 * marks each page as used, whatever was advised (Linux 6.18, 7.2). A load maps
 * those around it, too, as far as they can be had without waiting.
 */
static int window_map(const struct residency_tables *tables, struct window *w)
{
	int r;

	memset(w->entries, 0, w->pages * sizeof(w->entries[0]));
	r = window_mincore(w);
	if (r == 0 && window_touch(w, false))
		r = window_entries(tables, w);
	if (r == 0 && window_touch(w, true))
		r = window_entries(tables, w);
	return r;
}

static bool is_shared(uint64_t entry)
{
	return (entry & (PAGEMAP_PRESENT | PAGEMAP_EXCLUSIVE)) ==
	       PAGEMAP_PRESENT;
}

static void window_present(struct window *w)
{
	for (size_t i = 0; i < w->pages; i++) {
		w->resident[i] = !!(w->entries[i] & PAGEMAP_PRESENT);
		w->flags[i] = is_shared(w->entries[i]) ? RESIDENCY_MAPPED : 0;
	}
}

/* The words of a table for physically consecutive pages, in one read. */
static int read_words(int table_fd, uint64_t pfn, uint64_t *words, size_t pages)
{
	ssize_t want = (ssize_t)(pages * sizeof(*words));
	ssize_t n;

	n = pread(table_fd, words, (size_t)want, (off_t)(pfn * sizeof(*words)));
	if (n < 0)
		return -errno;
	return n == want ? 0 : -EIO;
}

static unsigned char flags_of(uint64_t word)
{
	return (word & (KPF_DIRTY | KPF_WRITEBACK) ? RESIDENCY_DIRTY : 0) |
	       (word & (KPF_UNEVICTABLE | KPF_MLOCKED) ? RESIDENCY_LOCKED : 0);
}

/* Of pages whose owners are known. */
static int stretch_flags(const struct residency_tables *tables,
			 struct window *w, size_t start, size_t end,
			 uint64_t pfn)
{
	size_t from, to;
	int r;

	for (from = start; from < end; from = to) {
		to = from + 1;
		if (w->entries[from] == tables->no_flags_of)
			continue;
		while (to < end && w->entries[to] != tables->no_flags_of)
			to++;
		r = read_words(tables->kpageflags_fd, pfn + (from - start),
			       &w->words[from], to - from);
		if (r < 0)
			return r;
		for (size_t i = from; i < to; i++)
			w->flags[i] |= flags_of(w->words[i]);
	}
	return 0;
}

/* Turns each page's pagemap entry into its owner's inode number. */
static int stretch_owners(const struct residency_tables *tables,
			  struct window *w, size_t start, size_t end)
{
	uint64_t pfn = w->entries[start] & PAGEMAP_PFN;
	int r;

	if (!pfn)
		return -EPERM; /* PFNs are for CAP_SYS_ADMIN only */
	r = read_words(tables->kpagecgroup_fd, pfn, &w->entries[start],
		       end - start);
	if (r < 0 || tables->kpageflags_fd < 0)
		return r;
	return stretch_flags(tables, w, start, end, pfn);
}

static bool follows(const struct window *w, size_t i)
{
	return w->resident[i] && (w->entries[i] & PAGEMAP_PFN) ==
					 (w->entries[i - 1] & PAGEMAP_PFN) + 1;
}

static int window_owners(const struct residency_tables *tables,
			 struct window *w)
{
	size_t end;
	int r;

	for (size_t i = 0; i < w->pages; i = end) {
		end = i + 1;
		if (!w->resident[i])
			continue;
		while (end < w->pages && follows(w, end))
			end++;
		r = stretch_owners(tables, w, i, end);
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
	r = window_map(tables, w);
	window_present(w);
	if (r == 0)
		r = window_owners(tables, w);
	munmap(w->map, bytes);
	return r;
}

static bool is_alike(const struct window *w, size_t a, size_t b)
{
	return w->resident[b] && w->entries[a] == w->entries[b] &&
	       w->flags[a] == w->flags[b];
}

static int window_report(const struct window *w, residency_run_fn fn,
			 void *userdata)
{
	struct residency_run run;
	size_t end;
	int r;

	for (size_t i = 0; i < w->pages; i = end) {
		end = i + 1;
		if (!w->resident[i])
			continue;
		while (end < w->pages && is_alike(w, i, end))
			end++;
		run = (struct residency_run){
			.first_page = w->offset / page_bytes() + i,
			.pages = (uint32_t)(end - i),
			.flags = w->flags[i],
			.owner_ino = w->entries[i],
		};
		r = fn(userdata, &run);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * The windows of a range that have resident pages. A sparse file may have 2^50
 * pages (xfs): what has none is stepped over in steps that double.
 */
struct steps {
	const struct residency_range *range;
	bool each; /* it can't be told which have none */
	uint64_t span_pages;
};

static void steps_begin(struct steps *steps, struct window *w)
{
	steps->span_pages = WINDOW_PAGES;
	w->offset = steps->range->offset / page_bytes() * page_bytes();
	w->pages = 0;
}

/* The next window; false: there is none. */
static bool steps_next(struct steps *steps, struct window *w)
{
	const struct residency_range *range = steps->range;
	uint64_t end = range->offset + range->length;
	uint64_t size = page_bytes();
	uint64_t resident = 0;

	for (;;) {
		w->offset += w->pages * size;
		if (w->offset >= end)
			return false;
		w->pages = pages_of(end - w->offset);
		if (w->pages > steps->span_pages)
			w->pages = steps->span_pages;
		if (steps->each ||
		    residency_count(range->fd, w->offset, w->pages * size,
				    &resident) < 0)
			resident = UINT64_MAX; /* it can't be told */
		if (!resident) {
			steps->span_pages *= 2;
			continue;
		}
		steps->span_pages = WINDOW_PAGES;
		if (w->pages <= WINDOW_PAGES) {
			w->is_full = resident == w->pages;
			return true;
		}
		w->pages = 0;
	}
}

int residency_runs(const struct residency_tables *tables,
		   const struct residency_range *range, residency_run_fn fn,
		   void *userdata)
{
	struct steps steps = { .range = range };
	struct window w;
	int r;

	steps_begin(&steps, &w);
	while (steps_next(&steps, &w)) {
		r = window_look(tables, range->fd, &w);
		if (r == 0)
			r = window_report(&w, fn, userdata);
		if (r < 0)
			return r;
	}
	return 0;
}

/* -- which are resident, whosever -- */

static int map_spans(const struct window *w, int fd, residency_span_fn fn,
		     void *userdata)
{
	uint64_t first = w->offset / page_bytes();
	size_t bytes = w->pages * page_bytes();
	unsigned char resident[WINDOW_PAGES];
	size_t end;
	void *map;
	int r;

	map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, (off_t)w->offset);
	if (map == MAP_FAILED)
		return -errno;
	r = mincore(map, bytes, resident) < 0 ? -errno : 0;
	munmap(map, bytes);
	for (size_t i = 0; i < w->pages && r >= 0; i = end) {
		end = i + 1;
		if (!(resident[i] & 1))
			continue;
		while (end < w->pages && resident[end] & 1)
			end++;
		r = fn(userdata, first + i, end - i);
	}
	return r;
}

int residency_spans(int fd, uint64_t length, bool each, residency_span_fn fn,
		    void *userdata)
{
	struct residency_range range = { .fd = fd, .length = length };
	struct steps steps = { .range = &range, .each = each };
	struct window w;
	int r = 0;

	steps_begin(&steps, &w);
	while (r >= 0 && steps_next(&steps, &w))
		r = map_spans(&w, fd, fn, userdata);
	return r < 0 ? r : 0;
}

/* -- one cgroup's pages, and the others -- */

struct count {
	uint64_t memcg_ino;
	residency_foreign_fn foreign;
	void *userdata;
	/* Foreign pages that aren't reported yet, however many's they are. */
	uint64_t first_page;
	uint64_t pages;
	struct residency_found found;
};

static int report_foreign(struct count *count)
{
	uint64_t offset = count->first_page * page_bytes();
	uint64_t length = count->pages * page_bytes();

	count->pages = 0;
	return length && count->foreign ?
		       count->foreign(count->userdata, offset, length) :
		       0;
}

static int count_run(void *userdata, const struct residency_run *run)
{
	struct count *count = userdata;
	bool is_foreign = run->owner_ino != count->memcg_ino;
	int r = 0;

	if (run->flags & RESIDENCY_MAPPED)
		count->found.mapped_pages += run->pages;
	if (!is_foreign || run->first_page != count->first_page + count->pages)
		r = report_foreign(count);
	if (!is_foreign) {
		count->found.resident_pages += run->pages;
		return r;
	}
	if (!count->pages)
		count->first_page = run->first_page;
	count->pages += run->pages;
	count->found.foreign_pages += run->pages;
	count->found.foreign_flags |= run->flags;
	if (r == 0 && count->pages >= WINDOW_PAGES)
		r = report_foreign(count);
	return r;
}

int residency_walk(const struct residency_tables *tables,
		   const struct residency_range *range, uint64_t memcg_ino,
		   residency_foreign_fn foreign, void *userdata,
		   struct residency_found *found)
{
	struct count count = {
		.memcg_ino = memcg_ino,
		.foreign = foreign,
		.userdata = userdata,
	};
	int r;

	r = residency_runs(tables, range, count_run, &count);
	if (r == 0)
		r = report_foreign(&count);
	if (r == 0)
		*found = count.found;
	return r;
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
	bool is_told = false;
	const char *at;

	if (read_small_file(AT_FDCWD, "/proc/vmstat", text, sizeof(text)) < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		at = strstr(text, keys[i]);
		if (!at)
			continue;
		is_told = true;
		sum += strtoull(at + strlen(keys[i]), NULL, 10);
	}
	/* After a boot there were none yet. */
	return is_told ? sum + 1 : 0;
}
