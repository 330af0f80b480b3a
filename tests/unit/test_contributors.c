// SPDX-License-Identifier: GPL-2.0-or-later
/* Who brought it in: the largest few by name, the rest as a sum. */
#include "contributors.h"

#include "unit.h"

/* A copy of it, for as long as a test looks at it. */
struct look {
	struct account_contribution *copy;
	size_t n;
};

static struct look look_at(struct contributors *contributors)
{
	struct look look = { 0 };

	assert_int_equal(contributors_copy(contributors, &look.copy, &look.n),
			 0);
	return look;
}

static void assert_one(const struct look *look, size_t i, const char *path,
		       uint64_t bytes)
{
	assert_true(i < look->n);
	assert_string_equal(look->copy[i].path, path);
	assert_int_equal(look->copy[i].bytes, bytes);
}

/* Nobody yet; then two, the larger first. */
static void test_two(void **state)
{
	struct contributors contributors;
	struct look look;

	contributors_init(&contributors);
	look = look_at(&contributors);
	assert_int_equal(look.n, 0);
	assert_null(look.copy);

	contributors_add(&contributors, "/b", 10);
	contributors_add(&contributors, "/a", 7);
	contributors_add(&contributors, "/a", 7);
	look = look_at(&contributors);
	assert_int_equal(look.n, 2);
	assert_one(&look, 0, "/a", 14);
	assert_one(&look, 1, "/b", 10);
	contributors_free_copy(look.copy, look.n);
	contributors_destroy(&contributors);
}

/*
 * A thousand that come and go with a byte each, and two that don't: these are
 * told of, and of the others no byte is lost.
 */
static void test_a_thousand(void **state)
{
	struct contributors contributors;
	struct look look;
	uint64_t sum = 0;
	char path[32];

	contributors_init(&contributors);
	contributors_add(&contributors, "/big", 5000);
	contributors_add(&contributors, "/bigger", 6000);
	for (int i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "/job-%d", i);
		contributors_add(&contributors, path, 1);
	}
	look = look_at(&contributors);
	assert_int_equal(look.n, CONTRIBUTORS_MAX + 1);
	assert_one(&look, 0, "/bigger", 6000);
	assert_one(&look, 1, "/big", 5000);
	assert_one(&look, CONTRIBUTORS_MAX, CONTRIBUTORS_OTHERS,
		   1000 - (CONTRIBUTORS_MAX - 2));
	for (size_t i = 0; i < look.n; i++)
		sum += look.copy[i].bytes;
	assert_int_equal(sum, 12000);
	contributors_free_copy(look.copy, look.n);
	contributors_destroy(&contributors);
}

/* The newest is always named: it is the smallest that makes room. */
static void test_room_for_the_newest(void **state)
{
	struct contributors contributors;
	struct look look;
	char path[32];

	contributors_init(&contributors);
	for (int i = 0; i < CONTRIBUTORS_MAX; i++) {
		snprintf(path, sizeof(path), "/%d", i);
		contributors_add(&contributors, path, 100 + (uint64_t)i);
	}
	contributors_add(&contributors, "/new", 1);
	look = look_at(&contributors);
	assert_one(&look, 0, "/15", 115);
	assert_one(&look, CONTRIBUTORS_MAX - 1, "/new", 1);
	assert_one(&look, CONTRIBUTORS_MAX, CONTRIBUTORS_OTHERS, 100);
	contributors_free_copy(look.copy, look.n);
	contributors_destroy(&contributors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two),
		cmocka_unit_test(test_a_thousand),
		cmocka_unit_test(test_room_for_the_newest),
	};

	return cmocka_run_group_tests_name("contributors", tests, NULL, NULL);
}
