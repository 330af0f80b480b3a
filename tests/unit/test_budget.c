// SPDX-License-Identifier: GPL-2.0-or-later
/* A budget: what is added stays below the room, by the margin. */
#include "budget.h"

#include "unit.h"

/* 11 MiB of room, of which 10 can be taken; half of the rest is a credit. */
static void test_a_look_and_its_credit(void **state)
{
	struct budget budget = { 0 };
	struct budget_take first, second, third;

	assert_false(budget_take(&budget, 2 * MIB, 0, &first));
	assert_int_equal(budget_answer(&budget, &first, 11 * MIB, 0),
			 BUDGET_FITS);
	assert_true(budget_take(&budget, 3 * MIB, 1, &second));
	assert_true(budget_take(&budget, MIB, 1, &third));
	budget_give(&budget, &third);
	assert_false(budget_take(&budget, MIB, 1, &third));
	budget_give(&budget, &first);
	budget_give(&budget, &second);
	budget_give(&budget, &third);
	assert_int_equal(budget.taken_bytes, 0);
}

/* An old credit is worth nothing, and is no hindrance either. */
static void test_a_credit_expires(void **state)
{
	struct budget budget = { 0 };
	struct budget_take take;

	assert_false(budget_take(&budget, MIB, 0, &take));
	assert_int_equal(budget_answer(&budget, &take, 100 * MIB, 0),
			 BUDGET_FITS);
	budget_give(&budget, &take);
	assert_false(budget_take(&budget, MIB, BUDGET_CREDIT_NS, &take));
	assert_int_equal(budget_answer(&budget, &take, 2 * MIB, 0),
			 BUDGET_FITS);
	budget_give(&budget, &take);
	assert_int_equal(budget.taken_bytes, 0);
}

/* What doesn't fit alone is too much; what doesn't beside others may wait. */
static void test_full_and_busy(void **state)
{
	struct budget budget = { 0 };
	struct budget_take first, second;

	assert_false(budget_take(&budget, 2 * MIB, 0, &first));
	assert_int_equal(budget_answer(&budget, &first, 3 * MIB - 1, 0),
			 BUDGET_FULL);
	assert_int_equal(budget.taken_bytes, 0);

	assert_false(budget_take(&budget, 2 * MIB, 0, &first));
	assert_int_equal(budget_answer(&budget, &first, 4 * MIB, 0),
			 BUDGET_FITS);
	assert_false(budget_take(&budget, 2 * MIB, 0, &second));
	assert_int_equal(budget_answer(&budget, &second, 4 * MIB, 0),
			 BUDGET_BUSY);
	budget_give(&budget, &first);
	assert_int_equal(budget.taken_bytes, 0);
}

/* Of two who look at once the later doesn't know of the other's credit. */
static void test_two_look_at_once(void **state)
{
	struct budget budget = { 0 };
	struct budget_take first, second;

	assert_false(budget_take(&budget, MIB, 0, &first));
	assert_false(budget_take(&budget, MIB, 0, &second));
	assert_int_equal(budget_answer(&budget, &first, 100 * MIB, 0),
			 BUDGET_FITS);
	assert_int_equal(budget_answer(&budget, &second, 100 * MIB, 0),
			 BUDGET_BUSY);
	assert_true(budget_take(&budget, MIB, 0, &second));
	budget_give(&budget, &first);
	budget_give(&budget, &second);
	assert_int_equal(budget.taken_bytes, budget.credit_bytes);
}

/* Without a limit there is room for all. */
static void test_no_limit(void **state)
{
	struct budget budget = { 0 };
	struct budget_take take;

	assert_false(budget_take(&budget, UINT64_C(1) << 50, 0, &take));
	assert_int_equal(budget_answer(&budget, &take, UINT64_MAX, 0),
			 BUDGET_FITS);
	budget_give(&budget, &take);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_look_and_its_credit),
		cmocka_unit_test(test_a_credit_expires),
		cmocka_unit_test(test_full_and_busy),
		cmocka_unit_test(test_two_look_at_once),
		cmocka_unit_test(test_no_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
