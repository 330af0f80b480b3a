// SPDX-License-Identifier: GPL-2.0-or-later
/* Preallocated blocks are holes until they are written, whoever reads them. */
#include "holes.h"

#include "unit.h"

#define PAGE_BYTES 4096
#define PAGES 64

/* A file whose pages are all preallocated, and have been read. */
static int make_file(const struct scratch *scratch)
{
	static char page[PAGE_BYTES];
	struct statfs fs;
	int fd;

	fd = openat(scratch->fd, "file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fstatfs(fd, &fs), 0);
	if (fs.f_type == TMPFS_MAGIC)
		unit_skip("tmpfs tells of no blocks");
	assert_int_equal(fallocate(fd, 0, 0, PAGES * PAGE_BYTES), 0);
	for (int i = 0; i < PAGES; i++)
		assert_int_equal(pread(fd, page, sizeof(page), i * PAGE_BYTES),
				 sizeof(page));
	return fd;
}

static void write_pages(int fd, int first, int count)
{
	static char page[PAGE_BYTES] = "data";

	for (int i = first; i < first + count; i++)
		assert_int_equal(pwrite(fd, page, sizeof(page), i * PAGE_BYTES),
				 sizeof(page));
}

/* Of 64 pages those from 10 to 12 and 62 to 64 are written, not synced. */
static void test_what_was_read_is_a_hole(void **state)
{
	int fd = make_file(*state);

	assert_int_equal(holes_seek(fd, 0, SEEK_DATA), -ENXIO);
	assert_int_equal(holes_seek(fd, 77, SEEK_HOLE), 77);
	write_pages(fd, 10, 2);
	write_pages(fd, 62, 2);
	assert_int_equal(holes_seek(fd, 0, SEEK_DATA), 10 * PAGE_BYTES);
	assert_int_equal(holes_seek(fd, 0, SEEK_HOLE), 0);
	assert_int_equal(holes_seek(fd, 10 * PAGE_BYTES + 5, SEEK_DATA),
			 10 * PAGE_BYTES + 5);
	assert_int_equal(holes_seek(fd, 10 * PAGE_BYTES, SEEK_HOLE),
			 12 * PAGE_BYTES);
	assert_int_equal(holes_seek(fd, 12 * PAGE_BYTES, SEEK_DATA),
			 62 * PAGE_BYTES);
	assert_int_equal(holes_seek(fd, 63 * PAGE_BYTES, SEEK_HOLE),
			 64 * PAGE_BYTES);
	close(fd);
}

/* Blocks that aren't there at all are lseek(2)'s to tell. */
static void test_the_ends(void **state)
{
	int fd = make_file(*state);

	assert_int_equal(holes_seek(fd, PAGES * PAGE_BYTES, SEEK_DATA), -ENXIO);
	assert_int_equal(holes_seek(fd, PAGES * PAGE_BYTES, SEEK_HOLE), -ENXIO);
	assert_int_equal(holes_seek(fd, -1, SEEK_DATA), -ENXIO);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(ftruncate(fd, PAGES * PAGE_BYTES), 0);
	write_pages(fd, 20, 1);
	assert_int_equal(holes_seek(fd, 0, SEEK_DATA), 20 * PAGE_BYTES);
	assert_int_equal(holes_seek(fd, 20 * PAGE_BYTES, SEEK_HOLE),
			 21 * PAGE_BYTES);
	assert_int_equal(holes_seek(-1, 0, SEEK_DATA), -EBADF);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_was_read_is_a_hole,
						scratch_setup,
						scratch_teardown),
		cmocka_unit_test_setup_teardown(test_the_ends, scratch_setup,
						scratch_teardown),
	};

	unit_watchdog(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
