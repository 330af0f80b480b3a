// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the kernel says of a file's pages. Pages are brought in by writing
 * them: the holes of a sparse file have none.
 */
#include "residency.h"

#include "cgroup.h"
#include "unit.h"
#include "util.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define NOBODYS_INO UINT64_MAX

static uint64_t count(int fd, uint64_t offset_pages, uint64_t length_pages)
{
	uint64_t pages = UINT64_MAX;
	int r;

	r = residency_count(fd, offset_pages * page_bytes(),
			    length_pages * page_bytes(), &pages);
	if (r == -ENOSYS)
		unit_skip("this kernel has no cachestat(2): Linux 6.5 has");
	assert_int_equal(r, 0);
	return pages;
}

/* A file of that many pages, none of them resident. */
static int sparse_file(struct scratch *scratch, uint64_t pages)
{
	int fd = scratch_file(scratch, "sparse", 0, 0);

	assert_int_equal(ftruncate(fd, (off_t)(pages * page_bytes())), 0);
	return fd;
}

static void write_pages(int fd, uint64_t first, uint64_t pages)
{
	char *content = calloc(pages, page_bytes());
	size_t bytes = pages * page_bytes();

	assert_non_null(content);
	assert_int_equal(pwrite(fd, content, bytes,
				(off_t)(first * page_bytes())),
			 bytes);
	free(content);
}

static void test_sizes_in_pages(void **state)
{
	assert_int_equal(page_bytes(), sysconf(_SC_PAGESIZE));
	assert_int_equal(pages_of(0), 0);
	assert_int_equal(pages_of(1), 1);
	assert_int_equal(pages_of(page_bytes()), 1);
	assert_int_equal(pages_of(page_bytes() + 1), 2);
	assert_int_equal(pages_of(1000 * page_bytes()), 1000);
}

/* 10 pages written, 10 resident; dropped, none. */
static void test_count(void **state)
{
	struct scratch *scratch = *state;
	int fd = scratch_file(scratch, "a", 10 * page_bytes(), 'x');

	assert_int_equal(count(fd, 0, 0), 10);
	assert_int_equal(count(fd, 0, 4), 4);
	assert_int_equal(count(fd, 8, 100), 2);
	assert_int_equal(count(fd, 3, 0), 7); /* to the end */
	assert_int_equal(count(fd, 10, 0), 0);
	drop_pages(fd);
	assert_int_equal(count(fd, 0, 0), 0);
	close(fd);
}

/* Pages 2 to 4 and 7 of 10. */
static void test_count_of_a_sparse_file(void **state)
{
	struct scratch *scratch = *state;
	int fd = sparse_file(scratch, 10);

	write_pages(fd, 2, 3);
	write_pages(fd, 7, 1);
	assert_int_equal(count(fd, 0, 0), 4);
	assert_int_equal(count(fd, 0, 2), 0);
	assert_int_equal(count(fd, 4, 4), 2);
	close(fd);
}

/* A file's last page counts, however little of it is used. */
static void test_count_of_a_byte(void **state)
{
	struct scratch *scratch = *state;
	int fd = scratch_file(scratch, "a", 1, 'x');

	assert_int_equal(count(fd, 0, 0), 1);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(count(fd, 0, 0), 0);
	close(fd);
}

/* No file, no number: the caller's stays. */
static void test_count_of_nothing(void **state)
{
	uint64_t pages = 77;
	int r;

	r = residency_count(-1, 0, 0, &pages);
	if (r == -ENOSYS)
		unit_skip("this kernel has no cachestat(2): Linux 6.5 has");
	assert_int_equal(r, -EBADF);
	assert_int_equal(pages, 77);
}

/* Its own offset, its own flags; reading by it moves no atime. */
static void test_open_quietly(void **state)
{
	struct scratch *scratch = *state;
	int fd = scratch_file(scratch, "a", 10, 'x');
	struct timespec long_ago[2] = { { .tv_sec = 1000 },
					{ .tv_sec = 2000 } };
	char byte;
	struct stat st;
	int quiet;

	futimens(fd, long_ago);
	quiet = residency_open_quietly(fd);
	assert_true(quiet >= 0);
	assert_int_equal(fcntl(quiet, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_true(fcntl(quiet, F_GETFL) & O_NOATIME);
	assert_int_equal(fcntl(quiet, F_GETFD), FD_CLOEXEC);
	assert_int_equal(read(quiet, &byte, 1), 1);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 10); /* as it was left */
	fstat(fd, &st);
	assert_int_equal(st.st_atime, 1000);
	close(quiet);
	close(fd);
	assert_true(residency_open_quietly(-1) < 0);
}

/* -- the walk, with the kernel's tables -- */

struct walk {
	struct residency_tables tables;
	struct residency_range range;
};

static void walk_begin(struct walk *walk, int fd)
{
	residency_catch_sigbus();
	walk->tables.kpagecgroup_fd = residency_open_kpagecgroup();
	if (walk->tables.kpagecgroup_fd < 0) {
		close(fd);
		unit_skip("/proc/kpagecgroup can't be read (%s): "
			  "it is root's",
			  strerror(-walk->tables.kpagecgroup_fd));
	}
	walk->tables.kpageflags_fd = residency_open_kpageflags();
	walk->tables.no_flags_of = NOBODYS_INO;
	assert_true(walk->tables.kpageflags_fd >= 0);
	walk->tables.pagemap_fd = residency_open_pagemap();
	assert_true(walk->tables.pagemap_fd >= 0);
	walk->range.fd = residency_open_quietly(fd);
	walk->range.offset = 0;
	walk->range.length = (uint64_t)lseek(fd, 0, SEEK_END);
}

static void walk_end(struct walk *walk)
{
	close(walk->tables.kpagecgroup_fd);
	close(walk->tables.kpageflags_fd);
	close(walk->tables.pagemap_fd);
	close(walk->range.fd);
}

#define RUNS_MAX 16

/* The runs of foreign pages that a walk met, in pages. */
struct runs {
	unsigned int count;
	unsigned int end_after; /* 0: never */
	struct {
		uint64_t first;
		uint64_t pages;
	} run[RUNS_MAX];
};

static int note_run(void *userdata, uint64_t offset, uint64_t length)
{
	struct runs *runs = userdata;

	if (runs->count < RUNS_MAX) {
		runs->run[runs->count].first = offset / page_bytes();
		runs->run[runs->count].pages = length / page_bytes();
	}
	runs->count++;
	return runs->count == runs->end_after ? -ECANCELED : 0;
}

static void assert_run(const struct runs *runs, unsigned int index,
		       uint64_t first, uint64_t pages)
{
	assert_true(index < runs->count);
	assert_int_equal(runs->run[index].first, first);
	assert_int_equal(runs->run[index].pages, pages);
}

/* Pages 0 to 3, 6 to 8 and 11 of 12, asked for by nobody: three runs. */
static void test_walk_finds_the_runs(void **state)
{
	struct scratch *scratch = *state;
	int fd = sparse_file(scratch, 12);
	struct residency_found found;
	struct runs runs = { 0 };
	struct walk walk;

	walk_begin(&walk, fd);
	write_pages(fd, 0, 4);
	write_pages(fd, 6, 3);
	write_pages(fd, 11, 1);
	assert_int_equal(residency_walk(&walk.tables, &walk.range, NOBODYS_INO,
					note_run, &runs, &found),
			 0);
	assert_int_equal(found.resident_pages, 0);
	assert_int_equal(found.foreign_pages, 8);
	assert_int_equal(runs.count, 3);
	assert_run(&runs, 0, 0, 4);
	assert_run(&runs, 1, 6, 3);
	assert_run(&runs, 2, 11, 1);
	walk_end(&walk);
	close(fd);
}

/* 2,500 pages with a hole of a thousand, which stays one. */
static void test_walk_changes_nothing(void **state)
{
	struct scratch *scratch = *state;
	int fd = sparse_file(scratch, 3500);
	struct residency_found found;
	struct runs runs = { 0 };
	uint64_t pages = 0;
	struct walk walk;

	walk_begin(&walk, fd);
	write_pages(fd, 0, 1500);
	write_pages(fd, 2500, 1000);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(residency_walk(&walk.tables, &walk.range,
						NOBODYS_INO, note_run, &runs,
						&found),
				 0);
		assert_int_equal(found.foreign_pages, 2500);
	}
	for (unsigned int i = 0; i < runs.count && i < RUNS_MAX; i++)
		pages += runs.run[i].pages;
	assert_int_equal(pages, 2 * 2500);
	if (residency_count(fd, 0, 0, &pages) == 0)
		assert_int_equal(pages, 2500);
	walk_end(&walk);
	close(fd);
}

#define WALKERS 16 /* as a charger has threads */

/* Several look at a file that another one shrinks and writes anew. */
struct shrunk {
	int fd;
	struct walk walk;
	atomic_int walkers; /* that aren't done yet */
	atomic_uint found_pages;
};

static void *walk_often(void *arg)
{
	struct shrunk *shrunk = arg;
	struct residency_found found;

	for (int i = 0; i < 2000 || !shrunk->found_pages; i++) {
		assert_int_equal(residency_walk(&shrunk->walk.tables,
						&shrunk->walk.range,
						NOBODYS_INO, NULL, NULL,
						&found),
				 0);
		shrunk->found_pages += found.foreign_pages;
	}
	shrunk->walkers--;
	return NULL;
}

/* Pages that go between seeing that they are there and touching them. */
static void test_walks_of_a_file_that_shrinks(void **state)
{
	struct shrunk shrunk = {
		.fd = sparse_file(*state, 64),
		.walkers = WALKERS,
	};
	pthread_t threads[WALKERS];

	walk_begin(&shrunk.walk, shrunk.fd);
	for (int i = 0; i < WALKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, walk_often,
						&shrunk),
				 0);
	while (shrunk.walkers) {
		assert_int_equal(ftruncate(shrunk.fd, 0), 0);
		write_pages(shrunk.fd, 0, 64);
	}
	for (int i = 0; i < WALKERS; i++)
		pthread_join(threads[i], NULL);
	walk_end(&shrunk.walk);
	close(shrunk.fd);
}

/* Only the range: pages 3 to 5 of 10; an odd offset is its page's. */
static void test_walk_of_a_range(void **state)
{
	struct scratch *scratch = *state;
	int fd = scratch_file(scratch, "a", 10 * page_bytes(), 'x');
	struct residency_found found;
	struct runs runs = { 0 };
	struct walk walk;

	walk_begin(&walk, fd);
	walk.range.offset = 3 * page_bytes() + 5;
	walk.range.length = 2 * page_bytes();
	assert_int_equal(residency_walk(&walk.tables, &walk.range, NOBODYS_INO,
					note_run, &runs, &found),
			 0);
	assert_int_equal(runs.count, 1);
	assert_run(&runs, 0, 3, 3);
	walk.range.length = 0;
	assert_int_equal(residency_walk(&walk.tables, &walk.range, NOBODYS_INO,
					NULL, NULL, &found),
			 0);
	walk_end(&walk);
	close(fd);
}

/* 2^32 pages less a few, four of them resident: the others cost nothing. */
static void test_walk_of_a_sparse_file(void **state)
{
	uint64_t last = ((uint64_t)1 << 32) - 10;
	struct scratch *scratch = *state;
	int fd = sparse_file(scratch, last + 1);
	struct residency_found found;
	struct runs runs = { 0 };
	struct walk walk;

	walk_begin(&walk, fd);
	write_pages(fd, 0, 1);
	write_pages(fd, 12345678, 2);
	write_pages(fd, last, 1);
	assert_int_equal(residency_walk(&walk.tables, &walk.range, NOBODYS_INO,
					note_run, &runs, &found),
			 0);
	assert_int_equal(runs.count, 3);
	assert_run(&runs, 0, 0, 1);
	assert_run(&runs, 1, 12345678, 2);
	assert_run(&runs, 2, last, 1);
	walk_end(&walk);
	close(fd);
}

/* Who is called may end it; nothing is written then. */
static void test_walk_is_ended(void **state)
{
	struct scratch *scratch = *state;
	int fd = sparse_file(scratch, 12);
	struct residency_found found = { .foreign_pages = 77 };
	struct runs runs = { .end_after = 2 };
	struct walk walk;

	walk_begin(&walk, fd);
	for (uint64_t page = 0; page < 12; page += 3)
		write_pages(fd, page, 1);
	assert_int_equal(residency_walk(&walk.tables, &walk.range, NOBODYS_INO,
					note_run, &runs, &found),
			 -ECANCELED);
	assert_int_equal(runs.count, 2);
	assert_int_equal(found.foreign_pages, 77);
	walk_end(&walk);
	close(fd);
}

/* The inode number of the directory of this process's memory cgroup. */
static bool find_own_memcg(uint64_t *ino)
{
	char path[CGROUP_PATH_MAX];
	struct cgroup_tree *tree;
	bool found = false;
	struct stat st;
	int fd;

	if (cgroup_tree_new(&tree) < 0)
		return false;
	fd = open(cgroup_tree_mountpoint(tree), O_PATH | O_CLOEXEC);
	if (fd >= 0 && cgroup_tree_path_of(tree, getpid(), path) == 0 &&
	    fstatat(fd, path[1] ? path + 1 : ".", &st, 0) == 0) {
		*ino = st.st_ino;
		found = true;
	}
	close_fd(fd);
	cgroup_tree_free(tree);
	return found;
}

/* What this process writes is charged to its own cgroup. */
static void test_walk_knows_the_owner(void **state)
{
	struct scratch *scratch = *state;
	int fd = scratch_file(scratch, "a", 40 * page_bytes(), 'x');
	struct residency_found found;
	struct runs runs = { 0 };
	struct walk walk;
	uint64_t own;

	walk_begin(&walk, fd);
	if (!find_own_memcg(&own)) {
		walk_end(&walk);
		close(fd);
		unit_skip("the cgroup of this process is not to be seen");
	}
	assert_int_equal(residency_walk(&walk.tables, &walk.range, own,
					note_run, &runs, &found),
			 0);
	assert_int_equal(found.resident_pages, 40);
	assert_int_equal(found.foreign_pages, 0);
	assert_int_equal(runs.count, 0);
	walk_end(&walk);
	close(fd);
}

/* Four pages of twelve, two of which somebody maps beside the walk. */
static void test_walk_sees_who_maps(void **state)
{
	struct scratch *scratch = *state;
	int fd = sparse_file(scratch, 12);
	size_t bytes = 2 * page_bytes();
	struct residency_found found;
	struct walk walk;
	char *map;

	walk_begin(&walk, fd);
	write_pages(fd, 0, 4);
	assert_int_equal(residency_walk(&walk.tables, &walk.range, NOBODYS_INO,
					NULL, NULL, &found),
			 0);
	assert_int_equal(found.mapped_pages, 0);
	map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(madvise(map, bytes, MADV_POPULATE_READ), 0);
	assert_int_equal(residency_walk(&walk.tables, &walk.range, NOBODYS_INO,
					NULL, NULL, &found),
			 0);
	assert_in_range(found.mapped_pages, 2, 4); /* faults go around */
	munmap(map, bytes);
	walk_end(&walk);
	close(fd);
}

static void test_reasons(void **state)
{
	assert_string_equal(residency_reason(RESIDENCY_DIRTY), "dirty");
	assert_string_equal(residency_reason(RESIDENCY_MAPPED |
					     RESIDENCY_LOCKED),
			    "mapped, locked");
	assert_string_equal(residency_reason(0), "in use");
}

/* -- the runs of all owners -- */

struct met {
	uint64_t first;
	uint64_t pages; /* of those with the wanted flags */
	uint32_t flags;
	uint32_t unwanted;
	uint64_t owner;
};

static int meet(void *userdata, const struct residency_run *run)
{
	struct met *met = userdata;

	if ((run->flags & met->flags) != met->flags ||
	    run->flags & met->unwanted)
		return 0;
	if (!met->pages)
		met->first = run->first_page;
	met->pages += run->pages;
	met->owner = run->owner_ino;
	return 0;
}

/* Pages with all of @flags and none of @unwanted. */
static struct met met_with(const struct walk *walk, uint32_t flags,
			   uint32_t unwanted)
{
	struct met met = { .flags = flags, .unwanted = unwanted };

	assert_int_equal(
		residency_runs(&walk->tables, &walk->range, meet, &met), 0);
	return met;
}

/* Pages 3 to 6 of 12, then page 9 is written: it alone is dirty. */
static void test_runs_tell_dirty_pages(void **state)
{
	struct scratch *scratch = *state;
	int fd = sparse_file(scratch, 12);
	struct met met;
	struct walk walk;

	need_evictable(fd);
	walk_begin(&walk, fd);
	write_pages(fd, 3, 4);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(met_with(&walk, RESIDENCY_DIRTY, 0).pages, 0);
	write_pages(fd, 9, 1);
	met = met_with(&walk, RESIDENCY_DIRTY, 0);
	assert_int_equal(met.first, 9);
	assert_int_equal(met.pages, 1);
	assert_int_equal(met_with(&walk, 0, RESIDENCY_DIRTY).pages, 4);
	walk.tables.no_flags_of = met.owner;
	assert_int_equal(met_with(&walk, RESIDENCY_DIRTY, 0).pages, 0);
	walk.tables.kpageflags_fd = close_fd(walk.tables.kpageflags_fd);
	assert_int_equal(met_with(&walk, RESIDENCY_DIRTY, 0).pages, 0);
	assert_int_equal(met_with(&walk, 0, 0).pages, 5);
	walk_end(&walk);
	close(fd);
}

/* 8 pages, two of which somebody locks in memory: they are mapped, too. */
static void test_runs_tell_locked_pages(void **state)
{
	struct scratch *scratch = *state;
	int fd = sparse_file(scratch, 8);
	size_t bytes = 2 * page_bytes();
	struct met met;
	struct walk walk;
	char *map;

	walk_begin(&walk, fd);
	for (uint64_t page = 0; page < 8; page++)
		write_pages(fd, page, 1); /* a folio each */
	assert_int_equal(met_with(&walk, RESIDENCY_LOCKED, 0).pages, 0);
	map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd,
		   (off_t)(4 * page_bytes()));
	assert_ptr_not_equal(map, MAP_FAILED);
	/* Not by the C library: sanitizers make nothing of it. */
	if (syscall(SYS_mlock, map, bytes) < 0) {
		munmap(map, bytes);
		walk_end(&walk);
		close(fd);
		unit_skip("mlock(2): %s", strerror(errno));
	}
	met = met_with(&walk, RESIDENCY_LOCKED | RESIDENCY_MAPPED, 0);
	assert_int_equal(met.first, 4);
	assert_int_equal(met.pages, 2);
	assert_true(met_with(&walk, 0, RESIDENCY_LOCKED).pages == 6);
	munmap(map, bytes);
	walk_end(&walk);
	close(fd);
}

/* What this process writes is its cgroup's, in the order of the file. */
static void test_runs_tell_owners(void **state)
{
	struct scratch *scratch = *state;
	int fd = scratch_file(scratch, "a", 3000 * page_bytes(), 'x');
	struct met met;
	struct walk walk;
	uint64_t own;

	walk_begin(&walk, fd);
	if (!find_own_memcg(&own)) {
		walk_end(&walk);
		close(fd);
		unit_skip("the cgroup of this process is not to be seen");
	}
	met = met_with(&walk, 0, 0);
	assert_int_equal(met.first, 0);
	assert_int_equal(met.pages, 3000);
	assert_int_equal(met.owner, own);
	walk_end(&walk);
	close(fd);
}

struct spans {
	uint64_t first[4];
	uint64_t pages[4];
	size_t n;
};

static int note_span(void *userdata, uint64_t first_page, uint64_t pages)
{
	struct spans *spans = userdata;

	if (spans->n == 4)
		return -ENOBUFS;
	spans->first[spans->n] = first_page;
	spans->pages[spans->n++] = pages;
	return 0;
}

/* Pages 3 to 6 and the last one of 12, with a count and without; none at all. */
static void test_spans(void **state)
{
	struct scratch *scratch = *state;
	int fd = sparse_file(scratch, 12);
	uint64_t length = 12 * page_bytes();

	need_evictable(fd);
	write_pages(fd, 3, 4);
	write_pages(fd, 11, 1);
	for (int each = 0; each < 2; each++) {
		struct spans spans = { .n = 0 };

		assert_int_equal(residency_spans(fd, length, each, note_span,
						 &spans),
				 0);
		assert_int_equal(spans.n, 2);
		assert_int_equal(spans.first[0], 3);
		assert_int_equal(spans.pages[0], 4);
		assert_int_equal(spans.first[1], 11);
		spans.n = 4;
		assert_int_equal(residency_spans(fd, length, each, note_span,
						 &spans),
				 -ENOBUFS);
	}
	assert_int_equal(residency_spans(fd, 3 * page_bytes(), false, note_span,
					 &(struct spans){ .n = 4 }),
			 0);
	close(fd);
}

#define residency_test(name) \
	cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_in_pages),
		residency_test(test_count),
		residency_test(test_count_of_a_sparse_file),
		residency_test(test_count_of_a_byte),
		cmocka_unit_test(test_count_of_nothing),
		residency_test(test_open_quietly),
		residency_test(test_walk_finds_the_runs),
		residency_test(test_walk_changes_nothing),
		residency_test(test_walk_of_a_range),
		residency_test(test_walks_of_a_file_that_shrinks),
		residency_test(test_walk_of_a_sparse_file),
		residency_test(test_walk_is_ended),
		residency_test(test_walk_sees_who_maps),
		residency_test(test_walk_knows_the_owner),
		cmocka_unit_test(test_reasons),
		residency_test(test_runs_tell_dirty_pages),
		residency_test(test_runs_tell_locked_pages),
		residency_test(test_runs_tell_owners),
		residency_test(test_spans),
	};

	return cmocka_run_group_tests_name("residency", tests, NULL, NULL);
}
