// SPDX-License-Identifier: GPL-2.0-or-later
/* Files that another thread closes. */
#include "closer.h"

#include "unit.h"

#include <fcntl.h>
#include <unistd.h>

#define FILES 1000

static void test_all_that_it_takes_is_closed(void **state)
{
	struct closer *closer;
	int fds[FILES];

	(void)state;
	assert_int_equal(closer_new(&closer), 0);
	for (int i = 0; i < FILES; i++) {
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (fds[i] < 0)
			break;
		closer_take(closer, fds[i]);
	}
	closer_free(closer);
	assert_int_equal(fcntl(fds[0], F_GETFD), -1);
}

/* Nobody waits for what is behind a file that takes its time. */
static void test_nobody_is_behind_at_first(void **state)
{
	struct closer *closer;

	(void)state;
	assert_int_equal(closer_new(&closer), 0);
	assert_false(closer_is_behind(closer));
	closer_free(closer);
	assert_null(closer_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_that_it_takes_is_closed),
		cmocka_unit_test(test_nobody_is_behind_at_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
