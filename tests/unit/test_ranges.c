// SPDX-License-Identifier: GPL-2.0-or-later
/* A set of pages: what touches becomes one range. */
#include "ranges.h"

#include "unit.h"

static void test_ranges_grow_together(void **state)
{
	struct ranges ranges = { 0 };

	assert_int_equal(ranges_add(&ranges, 10, 20), 10);
	assert_int_equal(ranges_add(&ranges, 30, 40), 10);
	assert_int_equal(ranges_add(&ranges, 5, 6), 1);
	assert_int_equal(ranges.n, 3);
	assert_int_equal(ranges_add(&ranges, 12, 18), 0);
	assert_int_equal(ranges_add(&ranges, 7, 7), 0);
	assert_int_equal(ranges.n, 3);
	/* Touches the one, overlaps the other. */
	assert_int_equal(ranges_add(&ranges, 20, 35), 10);
	assert_int_equal(ranges.n, 2);
	assert_int_equal(ranges.items[1].first, 10);
	assert_int_equal(ranges.items[1].end, 40);
	/* Takes in all. */
	assert_int_equal(ranges_add(&ranges, 0, 50), 50 - 31);
	assert_int_equal(ranges.n, 1);
	assert_int_equal(ranges_pages(&ranges), 50);
	ranges_clear(&ranges);
	assert_int_equal(ranges_pages(&ranges), 0);
}

/* Of every other page; the one too many takes in a gap. */
static void test_ranges_are_bounded(void **state)
{
	struct ranges ranges = { 0 };

	for (uint64_t i = 1; i <= RANGES_MAX; i++)
		assert_int_equal(ranges_add(&ranges, 4 * i, 4 * i + 1), 1);
	assert_int_equal(
		ranges_add(&ranges, 4 * RANGES_MAX + 6, 4 * RANGES_MAX + 7), 6);
	assert_int_equal(ranges_add(&ranges, 0, 2), 4);
	assert_int_equal(ranges_add(&ranges, 10, 11), 2);
	assert_int_equal(ranges.n, RANGES_MAX);
	assert_int_equal(ranges_pages(&ranges), RANGES_MAX + 6 + 4 + 2);
	ranges_clear(&ranges);
}

/* Whatever is added in whatever order: the same pages, in order, apart. */
static void test_ranges_are_a_set(void **state)
{
	struct ranges ranges = { 0 };
	bool pages[300] = { false };
	unsigned int seed = 7;
	uint64_t known = 0;

	for (int i = 0; i < 200; i++) {
		uint64_t first =
			(seed = seed * 1103515245 + 12345) / 65536 % 280;
		uint64_t end = first + i % 20;

		for (uint64_t at = first; at < end; at++)
			pages[at] = true;
		known += (uint64_t)ranges_add(&ranges, first, end);
		assert_int_equal(ranges_pages(&ranges), known);
	}
	for (size_t i = 0; i < ranges.n; i++) {
		struct range *range = &ranges.items[i];

		assert_true(!range->first || !pages[range->first - 1]);
		assert_false(pages[range->end]);
		for (uint64_t at = range->first; at < range->end; at++) {
			assert_true(pages[at]);
			known--;
		}
	}
	assert_int_equal(known, 0);
	ranges_clear(&ranges);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges_grow_together),
		cmocka_unit_test(test_ranges_are_bounded),
		cmocka_unit_test(test_ranges_are_a_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
