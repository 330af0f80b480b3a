// SPDX-License-Identifier: GPL-2.0-or-later
/* Pipes for all: as large as may be, each taken by one, empty when taken. */
#include "pipes.h"

#include "creds.h"
#include "unit.h"

#include <linux/capability.h>

#define UNPRIVILEGED_MAX (1 * MIB)
#define PAGE_BYTES 4096

/* 2 MiB take a right, which the test may have or not. */
static void test_sizes(void **state)
{
	bool may = creds_have(CREDS_MASK(CAP_SYS_RESOURCE));
	struct pipes *pipes;

	(void)state;
	assert_int_equal(pipes_new(2 * MIB, &pipes), 0);
	if (may)
		assert_int_equal(pipes_bytes(pipes), 2 * MIB);
	else
		assert_in_range(pipes_bytes(pipes), PAGE_BYTES,
				UNPRIVILEGED_MAX);
	assert_null(pipes_free(pipes));
	assert_null(pipes_free(NULL));
}

/* 16 are taken, each another one; the 17th has to wait for its return. */
static void test_each_is_taken_once(void **state)
{
	int fds[PIPES_COUNT][2], more[2];
	struct pipes *pipes;

	(void)state;
	assert_int_equal(pipes_new(MIB, &pipes), 0);
	for (int i = 0; i < PIPES_COUNT; i++) {
		assert_int_equal(pipes_take(pipes, fds[i]), 0);
		for (int k = 0; k < i; k++)
			assert_int_not_equal(fds[i][0], fds[k][0]);
	}
	assert_int_equal(pipes_take(pipes, more), -EAGAIN);
	pipes_put(pipes, fds[5]);
	assert_int_equal(pipes_take(pipes, more), 0);
	assert_int_equal(more[0], fds[5][0]);
	pipes_free(pipes);
}

/* What the last one left, a page by reference too, isn't there for the next. */
static void test_what_is_left_is_dropped(void **state)
{
	static char page[PAGE_BYTES];
	struct iovec iov = { .iov_base = page, .iov_len = sizeof(page) };
	struct pipes *pipes;
	int fds[2];
	char byte;

	(void)state;
	assert_int_equal(pipes_new(MIB, &pipes), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pipes_take(pipes, fds), 0);
		assert_int_equal(read(fds[0], &byte, 1), -1);
		assert_int_equal(errno, EAGAIN);
		assert_int_equal(write(fds[1], "header", 6), 6);
		assert_int_equal(vmsplice(fds[1], &iov, 1, 0), sizeof(page));
		pipes_put(pipes, fds);
	}
	pipes_free(pipes);
}

/* They are many fds: none may stay. */
static void test_no_fd_is_left(void **state)
{
	unsigned int before = count_fds();
	struct pipes *pipes;

	(void)state;
	assert_int_equal(pipes_new(MIB, &pipes), 0);
	assert_int_equal(count_fds(), before + 2 * PIPES_COUNT + 1);
	pipes_free(pipes);
	assert_int_equal(count_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_each_is_taken_once),
		cmocka_unit_test(test_what_is_left_is_dropped),
		cmocka_unit_test(test_no_fd_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
