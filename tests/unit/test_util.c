// SPDX-License-Identifier: GPL-2.0-or-later
/* Sizes, owned values, and the small files of /proc. */
#include "util.h"

#include "unit.h"

#define UNTOUCHED 4711

/* Suffixes are powers of 1024, in either case; the largest size fits. */
static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "4096", 4096 },
		{ "007", 7 },
		{ "0T", 0 },
		{ "1K", 1024 },
		{ "1k", 1024 },
		{ "64M", 64 * MIB },
		{ "64m", 64 * MIB },
		{ "2G", 2048 * MIB },
		{ "2g", 2048 * MIB },
		{ "3T", 3 * 1024 * 1024 * MIB },
		{ "3t", 3 * 1024 * 1024 * MIB },
		{ "18446744073709551615", UINT64_MAX },
		{ "16777215T", 16777215ull << 40 },
		{ "18014398509481983K", 18014398509481983ull << 10 },
	};
	uint64_t bytes;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bytes = UNTOUCHED;
		if (parse_size(cases[i].text, &bytes) != 0 ||
		    bytes != cases[i].bytes)
			fail_msg("\"%s\" was read as %ju", cases[i].text,
				 (uintmax_t)bytes);
	}
}

static void assert_no_size(const char *text)
{
	uint64_t bytes = UNTOUCHED;

	if (parse_size(text, &bytes) != -EINVAL)
		fail_msg("\"%s\" was taken for %ju", text, (uintmax_t)bytes);
	assert_int_equal(bytes, UNTOUCHED);
}

/* What is no size leaves the result alone. */
static void test_what_is_no_size(void **state)
{
	static const char *const cases[] = {
		"",
		"K",
		"M4",
		"-1",
		"+1",
		" 1",
		"1.5M",
		"1KB",
		"1KK",
		"1P",
		"1E",
		"0x10",
		"1_000",
		"1,000",
		"1@",
		"1\n",
		"1\t",
		"1-",
		"ten",
		"18446744073709551616",
		"99999999999999999999999",
		"16777216T",
		"18014398509481984K",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_no_size(cases[i]);
}

/* "64 " isn't 64 bytes, and isn't 64 PiB either. */
static void test_a_space_is_no_suffix(void **state)
{
	assert_no_size("1 ");
	assert_no_size("64 ");
	assert_no_size("64 M");
}

/* A stolen value leaves nothing to clean up behind it. */
static void test_stealing(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char *text = strdup("mine");
	int stolen_fd;
	char *stolen;

	stolen_fd = steal_fd(&fd);
	assert_int_equal(fd, -1);
	assert_true(fd_is_open(stolen_fd));
	stolen = steal_ptr(&text);
	assert_null(text);
	assert_string_equal(stolen, "mine");
	free(stolen);
	close(stolen_fd);
}

/* Gives the fd that the scope's end closes, unless it is handed over. */
static int open_in_scope(bool hand_over)
{
	cleanup_close int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	cleanup_free char *text = strdup("freed in any case");
	int number = fd;

	assert_non_null(text);
	assert_true(fd_is_open(number));
	if (hand_over)
		steal_fd(&fd);
	return number;
}

static void test_cleanup(void **state)
{
	int fd = open_in_scope(false);

	assert_false(fd_is_open(fd));
	fd = open_in_scope(true);
	assert_true(fd_is_open(fd));
	assert_int_equal(close_fd(fd), -1);
	assert_false(fd_is_open(fd));
}

/* Closing on the way out of an error keeps the error. */
static void test_close_keeps_errno(void **state)
{
	errno = ENOSPC;
	assert_int_equal(close_fd(-1), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(close_fd(99999), -1); /* EBADF inside */
	assert_int_equal(errno, ENOSPC);
}

static void test_time_goes_on(void **state)
{
	uint64_t start = now_ns();

	unit_sleep_ms(2);
	assert_true(now_ns() - start >= 2000000);
}

/* An O_PATH fd can't be read, but its path in /proc can be opened. */
static void test_proc_fd_path(void **state)
{
	struct scratch *scratch = *state;
	char path[PROC_FD_MAX];
	struct stat seen, real;
	int fd;

	assert_string_equal(proc_fd_path(path, 0), "/proc/self/fd/0");
	assert_string_equal(proc_fd_path(path, INT32_MAX),
			    "/proc/self/fd/2147483647");
	close(scratch_file(scratch, "file", 5, 'x'));
	fd = openat(scratch->fd, "file", O_PATH | O_CLOEXEC);
	assert_int_equal(stat(proc_fd_path(path, fd), &seen), 0);
	assert_int_equal(fstatat(scratch->fd, "file", &real, 0), 0);
	assert_int_equal(seen.st_ino, real.st_ino);
	close(fd);
}

/* A file of 10 bytes: whole, cut to fit, empty, missing. */
static void test_small_files(void **state)
{
	struct scratch *scratch = *state;
	char buf[16];

	close(scratch_file(scratch, "ten", 10, 'x'));
	scratch_touch(scratch, "empty");
	assert_int_equal(read_small_file(scratch->fd, "ten", buf, sizeof(buf)),
			 10);
	assert_string_equal(buf, "xxxxxxxxxx");
	assert_int_equal(read_small_file(scratch->fd, "ten", buf, 5), 4);
	assert_string_equal(buf, "xxxx");
	assert_int_equal(read_small_file(scratch->fd, "empty", buf, 5), 0);
	assert_string_equal(buf, "");
	assert_int_equal(read_small_file(scratch->fd, "none", buf, 5), -ENOENT);
	assert_int_equal(read_small_file(scratch->fd, ".", buf, 5), -EISDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_what_is_no_size),
		cmocka_unit_test(test_a_space_is_no_suffix),
		cmocka_unit_test(test_stealing),
		cmocka_unit_test(test_cleanup),
		cmocka_unit_test(test_close_keeps_errno),
		cmocka_unit_test(test_time_goes_on),
		cmocka_unit_test_setup_teardown(
			test_proc_fd_path, scratch_setup, scratch_teardown),
		cmocka_unit_test_setup_teardown(test_small_files, scratch_setup,
						scratch_teardown),
	};

	return cmocka_run_group_tests_name("util", tests, NULL, NULL);
}
