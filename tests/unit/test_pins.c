// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files that are kept resident: what is locked can't be dropped, and what is
 * let go can.
 */
#include "pins.h"

#include "residency.h"
#include "unit.h"
#include "util.h"

#define SIZE (256 * 1024)
#define PAGES (SIZE / 4096)

static int file_of(const struct scratch *scratch, const char *name)
{
	int fd = scratch_file(scratch, name, SIZE, 'x');

	drop_pages(fd);
	return fd;
}

/* What is left when all that can go has gone. */
static uint64_t left(int fd)
{
	uint64_t resident = 0;

	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	assert_int_equal(residency_count(fd, 0, 0, &resident), 0);
	return resident;
}

static void test_pinned_and_let_go(void **state)
{
	struct pins *pins = pins_new();
	int a = file_of(*state, "a"), b = file_of(*state, "b");

	assert_int_equal(pins_add(pins, 1, a, SIZE), 0);
	assert_int_equal(left(a), PAGES);
	assert_int_equal(left(b), 0);
	assert_int_equal(pins_add(pins, 2, b, SIZE), 0);
	pins_remove(pins, 1);
	assert_int_equal(left(a), 0);
	assert_int_equal(left(b), PAGES);
	pins_remove(pins, 1);
	pins_remove(pins, 2);
	assert_int_equal(left(b), 0);
	close(a);
	close(b);
	free(pins);
}

/* A file that grew is pinned to its new length, and never let go between. */
static void test_a_new_length(void **state)
{
	struct pins *pins = pins_new();
	int fd = file_of(*state, "a");

	assert_int_equal(pins_add(pins, 1, fd, SIZE / 2), 0);
	assert_in_range(left(fd), PAGES / 2, PAGES / 2 + 1);
	assert_int_equal(pins_add(pins, 1, fd, SIZE), 0);
	assert_int_equal(left(fd), PAGES);
	assert_int_equal(pins_add(pins, 1, fd, SIZE / 4), 0);
	assert_in_range(left(fd), PAGES / 4, PAGES / 4 + 1);
	pins_remove(pins, 1);
	assert_int_equal(left(fd), 0);
	close(fd);
	free(pins);
}

/* A pinned file needs no fd, and no name. */
static void test_without_fd_and_name(void **state)
{
	struct scratch *scratch = *state;
	struct pins *pins = pins_new();
	unsigned int fds = count_fds();
	int fd = file_of(scratch, "a");

	assert_int_equal(pins_add(pins, 1, fd, SIZE), 0);
	close(fd);
	assert_int_equal(count_fds(), fds);
	fd = openat(scratch->fd, "a", O_RDONLY | O_CLOEXEC);
	unlinkat(scratch->fd, "a", 0);
	assert_int_equal(left(fd), PAGES);
	pins_remove(pins, 1);
	close(fd);
	free(pins);
}

/* What can't be had leaves what there was. */
static void test_failure(void **state)
{
	struct pins *pins = pins_new();
	int fd = file_of(*state, "a");

	assert_int_equal(pins_add(pins, 1, fd, SIZE), 0);
	assert_true(pins_add(pins, 1, -1, SIZE) < 0);
	assert_int_equal(left(fd), PAGES);
	/* There is nothing beyond the file's end that could be brought in. */
	assert_int_equal(pins_add(pins, 1, fd, 2 * SIZE), -ENOMEM);
	assert_int_equal(left(fd), PAGES);
	pins_remove(pins, 1);
	close(fd);
	free(pins);
}

int main(void)
{
#define scratch_test(name) \
	cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
	const struct CMUnitTest tests[] = {
		scratch_test(test_pinned_and_let_go),
		scratch_test(test_a_new_length),
		scratch_test(test_without_fd_and_name),
		scratch_test(test_failure),
	};

	return cmocka_run_group_tests_name("pins", tests, NULL, NULL);
}
