// SPDX-License-Identifier: GPL-2.0-or-later
/* What work in the background may take: 1 % of a core, say. */
#include "allowance.h"

#include "unit.h"

#define SECOND UINT64_C(1000000000)
#define MS INT64_C(1000000)

/* A second earns 10 ms; as much may be used, and a moment's more. */
static void test_a_second_of_it(void **state)
{
	struct allowance allowance = allowance_begin(1, SECOND);

	(void)state;
	assert_int_equal(allowance_rest_ms(&allowance), 0);
	allowance_earn(&allowance, 2 * SECOND);
	assert_int_equal(allowance.saved_ns, 10 * MS);
	allowance_spend(&allowance, 10 * MS);
	assert_int_equal(allowance_rest_ms(&allowance), 0);
	/* 3 ms too many, and 2 to go on with: half a second. */
	allowance_spend(&allowance, 3 * MS);
	assert_in_range(allowance_rest_ms(&allowance), 500, 501);
	allowance_earn(&allowance, 2 * SECOND + SECOND / 2);
	assert_int_equal(allowance.saved_ns, 2 * MS);
	assert_int_equal(allowance_rest_ms(&allowance), 0);
}

/* After a quiet day it isn't a day's worth. */
static void test_what_is_saved_up(void **state)
{
	struct allowance allowance = allowance_begin(1, SECOND);

	(void)state;
	allowance_earn(&allowance, 86400 * SECOND);
	assert_int_equal(allowance.saved_ns, 100 * MS);
}

/* However little may be used, a rest has an end. */
static void test_next_to_nothing(void **state)
{
	struct allowance allowance = allowance_begin(1e-9, SECOND);

	(void)state;
	allowance_spend(&allowance, SECOND);
	assert_int_equal(allowance_rest_ms(&allowance), 1000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_second_of_it),
		cmocka_unit_test(test_what_is_saved_up),
		cmocka_unit_test(test_next_to_nothing),
	};

	unit_watchdog(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
