// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pages: what make demo and make bench do with the cached pages of files.
 *
 *	pages owners PATH...		who pays: "CGROUP-INODE PAGES" per line
 *	pages drop PATH...		drop the clean pages; prints what stayed
 *	pages read CGROUP FILE...	enter CGROUP, read; prints MiB/s
 *
 * A directory stands for all regular files below it. CGROUP is a directory of
 * the cgroup tree, or "-" for where we are.
 *
 * Looking must change nothing: owners opens a file with O_NOATIME, advises
 * POSIX_FADV_NOREUSE (a touch is then no use), and touches only the pages that
 * mincore(2) calls resident, without readahead (MADV_RANDOM).
 * /proc/self/pagemap gives the frame of a touched page, /proc/kpagecgroup the
 * inode number of the cgroup directory that the frame is charged to, 0 for
 * none. A frame seen twice counts once: so the same files may be given beside
 * a mount and through it, and a second copy of the data is found.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WINDOW_PAGES 1024
#define BLOCK_BYTES (1 << 20)
#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_FRAME ((1ull << 55) - 1)

struct page {
	uint64_t frame, cgroup;
};

static struct book {
	struct page *pages;
	size_t n, room;
	size_t page_bytes;
	int pagemap, kpagecgroup;
	size_t left_pages; /* resident after a drop */
	size_t read_bytes;
} book;

typedef void file_verb(int fd, size_t size_bytes, const char *path);

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_NOATIME | O_CLOEXEC);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static void with_file(file_verb *verb, const char *path)
{
	struct stat st;
	int fd = open_file(path);

	if (fstat(fd, &st) < 0)
		err(1, "%s", path);
	verb(fd, st.st_size, path);
	close(fd);
}

static void with_files(file_verb *verb, char **paths)
{
	FTS *tree =
		fts_open(paths, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	FTSENT *entry;

	if (!tree)
		err(1, "fts_open");
	while ((entry = fts_read(tree))) {
		if (entry->fts_info == FTS_F)
			with_file(verb, entry->fts_accpath);
		else if (entry->fts_info == FTS_NS ||
			 entry->fts_info == FTS_DNR ||
			 entry->fts_info == FTS_ERR)
			errx(1, "%s: %s", entry->fts_path,
			     strerror(entry->fts_errno));
	}
	fts_close(tree);
}

/* One window of a file, mapped; resident[i] & 1 tells of its i-th page. */
struct window {
	char *map;
	size_t n;
	unsigned char resident[WINDOW_PAGES];
};

static void window_map(struct window *w, int fd, size_t at_page, size_t n)
{
	w->n = n < WINDOW_PAGES ? n : WINDOW_PAGES;
	w->map = mmap(NULL, w->n * book.page_bytes, PROT_READ, MAP_SHARED, fd,
		      at_page * book.page_bytes);
	if (w->map == MAP_FAILED)
		err(1, "mmap");
	madvise(w->map, w->n * book.page_bytes, MADV_RANDOM);
	if (mincore(w->map, w->n * book.page_bytes, w->resident) < 0)
		err(1, "mincore");
}

static void window_unmap(struct window *w)
{
	munmap(w->map, w->n * book.page_bytes);
}

static void book_add(uint64_t frame)
{
	uint64_t cgroup = 0;

	if (book.n == book.room) {
		book.room = book.room ? 2 * book.room : 1 << 16;
		book.pages = reallocarray(book.pages, book.room,
					  sizeof(*book.pages));
		if (!book.pages)
			err(1, NULL);
	}
	if (pread(book.kpagecgroup, &cgroup, 8, frame * 8) != 8)
		err(1, "/proc/kpagecgroup");
	book.pages[book.n++] = (struct page){ frame, cgroup };
}

static void window_add(const struct window *w)
{
	uint64_t entries[WINDOW_PAGES];
	size_t first = (uintptr_t)w->map / book.page_bytes;

	for (size_t i = 0; i < w->n; i++)
		if (w->resident[i] & 1)
			(void)((volatile char *)w->map)[i * book.page_bytes];
	if (pread(book.pagemap, entries, w->n * 8, first * 8) !=
	    (ssize_t)(w->n * 8))
		err(1, "/proc/self/pagemap");
	for (size_t i = 0; i < w->n; i++)
		if ((w->resident[i] & 1) && (entries[i] & PAGEMAP_PRESENT))
			book_add(entries[i] & PAGEMAP_FRAME);
}

static void add_owners(int fd, size_t size_bytes, const char *path)
{
	size_t n = (size_bytes + book.page_bytes - 1) / book.page_bytes;
	struct window w;

	(void)path;
	posix_fadvise(fd, 0, 0, POSIX_FADV_NOREUSE);
	for (size_t at = 0; at < n; at += w.n) {
		window_map(&w, fd, at, n - at);
		window_add(&w);
		window_unmap(&w);
	}
}

static void drop(int fd, size_t size_bytes, const char *path)
{
	size_t n = (size_bytes + book.page_bytes - 1) / book.page_bytes;
	struct window w;

	(void)path;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	for (size_t at = 0; at < n; at += w.n) {
		window_map(&w, fd, at, n - at);
		for (size_t i = 0; i < w.n; i++)
			book.left_pages += w.resident[i] & 1;
		window_unmap(&w);
	}
}

static void read_whole(int fd, size_t size_bytes, const char *path)
{
	static char block[BLOCK_BYTES];
	ssize_t got;

	(void)size_bytes;
	while ((got = read(fd, block, sizeof(block))) > 0)
		book.read_bytes += got;
	if (got < 0)
		err(1, "%s", path);
}

static int by_cgroup_and_frame(const void *a, const void *b)
{
	const struct page *p = a, *q = b;

	if (p->cgroup != q->cgroup)
		return p->cgroup < q->cgroup ? -1 : 1;
	return (p->frame > q->frame) - (p->frame < q->frame);
}

static void print_owners(void)
{
	size_t count = 0;

	if (!book.n)
		return;
	qsort(book.pages, book.n, sizeof(*book.pages), by_cgroup_and_frame);
	for (size_t i = 0; i < book.n; i++) {
		const struct page *p = &book.pages[i];
		bool last = i + 1 == book.n;

		count += last || p[1].frame != p->frame;
		if (last || p[1].cgroup != p->cgroup) {
			printf("%llu %zu\n", (unsigned long long)p->cgroup,
			       count);
			count = 0;
		}
	}
}

static int verb_owners(char **paths)
{
	book.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	book.kpagecgroup = open("/proc/kpagecgroup", O_RDONLY | O_CLOEXEC);
	if (book.pagemap < 0 || book.kpagecgroup < 0)
		err(1, "/proc/self/pagemap, /proc/kpagecgroup");
	with_files(add_owners, paths);
	print_owners();
	return 0;
}

static int verb_drop(char **paths)
{
	with_files(drop, paths);
	printf("%zu\n", book.left_pages);
	return 0;
}

static void enter_cgroup(const char *cgroup)
{
	char path[4096];
	int fd;

	if (!strcmp(cgroup, "-"))
		return;
	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		err(1, "%s", path);
	close(fd);
}

static double now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static int verb_read(char **args)
{
	double start;

	enter_cgroup(args[0]);
	start = now_seconds();
	for (char **path = args + 1; *path; path++)
		with_file(read_whole, *path);
	printf("%.0f\n", book.read_bytes / (now_seconds() - start) / (1 << 20));
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(char **args);
		int min_args;
	} verbs[] = {
		{ "owners", verb_owners, 1 },
		{ "drop", verb_drop, 1 },
		{ "read", verb_read, 2 },
	};

	book.page_bytes = sysconf(_SC_PAGESIZE);
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(*verbs); i++)
		if (!strcmp(argv[1], verbs[i].name) &&
		    argc - 2 >= verbs[i].min_args)
			return verbs[i].run(argv + 2);
	fputs("usage: pages owners PATH... | drop PATH... | read CGROUP FILE...\n",
	      stderr);
	return 2;
}
