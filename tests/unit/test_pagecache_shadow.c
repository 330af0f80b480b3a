// SPDX-License-Identifier: GPL-2.0-or-later
/* What a reader's open needs: one story of numbers for each answer. */
#include "pagecache_shadow.h"

#include "unit.h"

/* A quarter past some hour, in seconds, and 7 reclaims so far. */
#define NOW 4500

static struct shadow_moment moment(uint32_t reclaims, uint32_t time_s)
{
	return (struct shadow_moment){ .reclaims = reclaims, .time_s = time_s };
}

static enum shadow_need look(const struct pagecache_shadow *shadow,
			     uint64_t resident, uint32_t reclaims)
{
	struct shadow_moment now = moment(reclaims, NOW);

	return shadow_look(shadow, resident, &now);
}

static enum shadow_need look_at(const struct pagecache_shadow *shadow,
				uint64_t resident, uint32_t time_s)
{
	struct shadow_moment now = moment(7, time_s);

	return shadow_look(shadow, resident, &now);
}

static struct pagecache_shadow seen(uint64_t pages, uint64_t owned,
				    uint32_t reclaims)
{
	struct pagecache_shadow shadow = { 0 };
	struct shadow_moment now = moment(reclaims, NOW);

	shadow_set(&shadow, pages, owned, &now);
	return shadow;
}

/* A file of 100 pages, all charged to the host after its 7th reclaim. */
static struct pagecache_shadow all_owned(void)
{
	return seen(100, 100, 7);
}

/* Nobody has looked yet, and nothing is there: charge ahead, no claim. */
static void test_a_cold_file(void **state)
{
	struct pagecache_shadow shadow = { 0 };

	assert_int_equal(look(&shadow, 0, 7), SHADOW_NEEDS_PAGES);
}

/* Nobody has looked yet, and 3 pages are there: whose? */
static void test_a_warm_file(void **state)
{
	struct pagecache_shadow shadow = { 0 };

	assert_int_equal(look(&shadow, 3, 7), SHADOW_NEEDS_CLAIM);
	assert_int_equal(look_at(&shadow, 3, 0), SHADOW_NEEDS_CLAIM);
}

/* 100 of 100 pages, as they were left: the open costs nothing. */
static void test_a_file_as_it_was(void **state)
{
	struct pagecache_shadow shadow = all_owned();

	for (int opens = 0; opens < 3; opens++)
		assert_int_equal(look(&shadow, 100, 7), SHADOW_NEEDS_NOTHING);
}

/* 60 of 100 pages were left resident, and still are: 40 are missing. */
static void test_a_file_with_gaps(void **state)
{
	struct pagecache_shadow shadow = seen(100, 60, 7);

	assert_int_equal(look(&shadow, 60, 7), SHADOW_NEEDS_PAGES);
}

/* Pages went, and no reclaim took them: some may be back, with others. */
static void test_a_file_that_lost_pages(void **state)
{
	struct pagecache_shadow shadow = all_owned();

	assert_int_equal(look(&shadow, 60, 7), SHADOW_NEEDS_CLAIM);
	assert_int_equal(look(&shadow, 99, 7), SHADOW_NEEDS_CLAIM);
}

/* All was dropped: nothing is there to be claimed, reclaim or not. */
static void test_an_evicted_file(void **state)
{
	struct pagecache_shadow shadow = all_owned();

	assert_int_equal(look(&shadow, 0, 7), SHADOW_NEEDS_PAGES);
	assert_int_equal(look(&shadow, 0, 8), SHADOW_NEEDS_PAGES);
	assert_int_equal(look_at(&shadow, 0, NOW + 3600), SHADOW_NEEDS_PAGES);
}

/* The same number again after a reclaim: a reader may have brought some. */
static void test_reclaim(void **state)
{
	struct pagecache_shadow shadow = all_owned();

	assert_int_equal(look(&shadow, 100, 8), SHADOW_NEEDS_CLAIM);
	assert_int_equal(look(&shadow, 60, 8), SHADOW_NEEDS_CLAIM);
	shadow = seen(100, 100, 8);
	assert_int_equal(look(&shadow, 100, 8), SHADOW_NEEDS_NOTHING);
}

/* The count of reclaims is 32 bits, and comes round. */
static void test_reclaims_come_round(void **state)
{
	struct pagecache_shadow shadow = seen(100, 100, UINT32_MAX);

	assert_int_equal(look(&shadow, 100, UINT32_MAX), SHADOW_NEEDS_NOTHING);
	assert_int_equal(look(&shadow, 100, 0), SHADOW_NEEDS_CLAIM);
}

/* A small file's owners are believed for 5 seconds, and then asked again. */
static void test_belief_ends(void **state)
{
	struct pagecache_shadow shadow = all_owned();

	assert_int_equal(look_at(&shadow, 100, NOW), SHADOW_NEEDS_NOTHING);
	assert_int_equal(look_at(&shadow, 100, NOW + 5), SHADOW_NEEDS_NOTHING);
	assert_int_equal(look_at(&shadow, 100, NOW + 6), SHADOW_NEEDS_CLAIM);
	assert_int_equal(look_at(&shadow, 60, NOW + 6), SHADOW_NEEDS_CLAIM);
}

/* Those of a file of 3 GiB, whose look costs a hundred times as much: 101. */
static void test_belief_in_a_large_file(void **state)
{
	struct pagecache_shadow shadow = seen(786432, 786432, 7);

	assert_int_equal(look_at(&shadow, 786432, NOW + 101),
			 SHADOW_NEEDS_NOTHING);
	assert_int_equal(look_at(&shadow, 786432, NOW + 102),
			 SHADOW_NEEDS_CLAIM);
}

/* A file of 16 TiB in memory can be known; more, and one of 64 TiB, can't. */
static void test_the_largest_files(void **state)
{
	struct pagecache_shadow shadow = seen(UINT32_MAX, UINT32_MAX, 7);

	assert_int_equal(look(&shadow, UINT32_MAX, 7), SHADOW_NEEDS_NOTHING);
	shadow = seen((UINT64_C(1) << 34) - 1, 100, 7);
	assert_int_equal(look(&shadow, 100, 7), SHADOW_NEEDS_PAGES);
	shadow = seen(UINT64_C(1) << 32, UINT64_C(1) << 32, 7);
	assert_int_equal(look(&shadow, UINT64_C(1) << 32, 7),
			 SHADOW_NEEDS_CLAIM);
	shadow = seen(UINT64_C(1) << 34, 100, 7);
	assert_int_equal(look(&shadow, 100, 7), SHADOW_NEEDS_CLAIM);
}

/* The clock comes round between the look and the open 5 and 6 s later. */
static void test_the_clock_comes_round(void **state)
{
	uint32_t end = (UINT32_C(1) << 29) - 2;
	struct pagecache_shadow shadow = { 0 };
	struct shadow_moment then = moment(7, end);

	shadow_set(&shadow, 100, 100, &then);
	assert_int_equal(look_at(&shadow, 100, end + 5), SHADOW_NEEDS_NOTHING);
	assert_int_equal(look_at(&shadow, 100, end + 6), SHADOW_NEEDS_CLAIM);
}

/* 95 pages were the host's, 5 could not be moved; 96 are there now. */
static void test_residue(void **state)
{
	struct pagecache_shadow shadow = seen(100, 95, 7);

	assert_int_equal(look(&shadow, 95, 7), SHADOW_NEEDS_PAGES);
	assert_int_equal(look(&shadow, 96, 7), SHADOW_NEEDS_CLAIM);
	assert_int_equal(look(&shadow, 100, 7), SHADOW_NEEDS_CLAIM);
}

/* A file that grew to 120 pages, or shrank, is not the one looked at. */
static void test_another_size(void **state)
{
	struct pagecache_shadow shadow = all_owned();

	shadow_note_size(&shadow, 100);
	assert_int_equal(look(&shadow, 100, 7), SHADOW_NEEDS_NOTHING);
	shadow_note_size(&shadow, 120);
	assert_int_equal(look(&shadow, 100, 7), SHADOW_NEEDS_CLAIM);
	shadow = all_owned();
	shadow_note_size(&shadow, 80);
	assert_int_equal(look(&shadow, 80, 7), SHADOW_NEEDS_CLAIM);
}

/* A hole was punched, or such: asked anew, then known again. */
static void test_forgetting(void **state)
{
	struct pagecache_shadow shadow = all_owned();

	shadow_forget(&shadow);
	assert_int_equal(look(&shadow, 100, 7), SHADOW_NEEDS_CLAIM);
	shadow = all_owned();
	assert_int_equal(look(&shadow, 100, 7), SHADOW_NEEDS_NOTHING);
}

/* Files of up to 4 pages, however owned and resident, before and after a
 * reclaim: "nothing" is said of those that are all there and all known. */
static void test_nothing_is_said_with_care(void **state)
{
	struct pagecache_shadow shadow;
	unsigned int nothing = 0;
	uint64_t size, owned, resident;
	uint32_t reclaims;

	for (unsigned int story = 0; story < 5 * 5 * 5 * 2; story++) {
		size = story % 5;
		owned = story / 5 % 5;
		resident = story / 25 % 5;
		reclaims = story / 125;
		if (owned > size || resident > size)
			continue;
		shadow = seen(size, owned, 0);
		if (look(&shadow, resident, reclaims) != SHADOW_NEEDS_NOTHING)
			continue;
		assert_int_equal(resident, size);
		assert_int_equal(owned, size);
		assert_int_equal(reclaims, 0);
		nothing++;
	}
	assert_int_equal(nothing, 4); /* of 1, 2, 3 and 4 pages */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_cold_file),
		cmocka_unit_test(test_a_warm_file),
		cmocka_unit_test(test_a_file_as_it_was),
		cmocka_unit_test(test_a_file_with_gaps),
		cmocka_unit_test(test_a_file_that_lost_pages),
		cmocka_unit_test(test_an_evicted_file),
		cmocka_unit_test(test_reclaim),
		cmocka_unit_test(test_reclaims_come_round),
		cmocka_unit_test(test_belief_ends),
		cmocka_unit_test(test_belief_in_a_large_file),
		cmocka_unit_test(test_the_largest_files),
		cmocka_unit_test(test_the_clock_comes_round),
		cmocka_unit_test(test_residue),
		cmocka_unit_test(test_another_size),
		cmocka_unit_test(test_forgetting),
		cmocka_unit_test(test_nothing_is_said_with_care),
	};

	return cmocka_run_group_tests_name("pagecache_shadow", tests, NULL,
					   NULL);
}
