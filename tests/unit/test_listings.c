// SPDX-License-Identifier: GPL-2.0-or-later
/* In which order directories list their files. */
#include "listings.h"

#include "unit.h"

#include <stdio.h>

#define HOME 7
#define AWAY 8

static const struct listings_reader find = { .who = 1, .time_ns = 100 };
static const struct listings_reader tar = { .who = 2, .time_ns = 200 };
static const struct listings_reader ls = { .who = 3, .time_ns = 300 };

static uint16_t name_of(unsigned int n)
{
	char name[16];

	snprintf(name, sizeof(name), "file%u", n);
	return listings_name(name);
}

/* Files @first to @first + @count - 1, as a reply brings them. */
static void list(struct listings *listings, uint64_t dir, uint32_t first,
		 uint32_t count, bool is_end)
{
	struct listings_file files[1000];

	for (uint32_t i = 0; i < count; i++)
		files[i] = (struct listings_file){
			.ino = 5000 + first + i,
			.name = name_of(first + i),
		};
	listings_add(listings, dir, first, files, count, is_end);
}

static void test_a_directory_is_read(void **state)
{
	struct listings *listings = listings_new(65536);
	struct listings_place place;

	(void)state;
	assert_false(listings_open(listings, HOME, &find));
	list(listings, HOME, 0, 10, false);
	/* Not all of it is known: not how many there are. */
	place = listings_find(listings, HOME, name_of(4), 0);
	assert_int_equal(place.position, 5);
	assert_int_equal(place.ino, 5004);
	assert_int_equal(place.count, 0);
	assert_false(listings_open(listings, HOME, &tar));
	list(listings, HOME, 10, 2, true);
	assert_true(listings_open(listings, HOME, &tar));
	place = listings_find(listings, HOME, name_of(11), 5);
	assert_int_equal(place.position, 12);
	assert_int_equal(place.count, 12);
	/* What is before is found, too; what isn't there isn't. */
	place = listings_find(listings, HOME, name_of(0), 12);
	assert_int_equal(place.position, 1);
	assert_int_equal(listings_find(listings, HOME, name_of(99), 0).position,
			 0);
	assert_int_equal(listings_find(listings, AWAY, name_of(1), 0).position,
			 0);
	listings_free(listings);
}

/* Two read it at the same time; then it has changed, and is read anew. */
static void test_what_is_known_already(void **state)
{
	struct listings *listings = listings_new(65536);

	(void)state;
	listings_open(listings, HOME, &find);
	list(listings, HOME, 0, 6, false);
	list(listings, HOME, 3, 3, false);
	list(listings, HOME, 6, 2, true);
	assert_int_equal(listings_find(listings, HOME, name_of(7), 0).count, 8);
	list(listings, HOME, 0, 3, true);
	assert_int_equal(listings_find(listings, HOME, name_of(2), 0).count, 3);
	/* Nobody has opened that one here. */
	list(listings, AWAY, 0, 3, true);
	assert_int_equal(listings_find(listings, AWAY, name_of(2), 0).position,
			 0);
	listings_free(listings);
}

/* The last two who have opened it are known. */
static void test_who_has_read_it(void **state)
{
	struct listings *listings = listings_new(65536);
	struct listings_place place;

	(void)state;
	listings_open(listings, HOME, &find);
	listings_open(listings, HOME, &tar);
	listings_open(listings, HOME, &tar);
	place = listings_find(listings, HOME, name_of(1), 0);
	assert_int_equal(place.readers[0].who, tar.who);
	assert_int_equal(place.readers[1].who, find.who);
	assert_int_equal(place.readers[1].time_ns, 100);
	listings_open(listings, HOME, &ls);
	assert_true(listings_opened_ns(listings, HOME, tar.who));
	assert_true(listings_opened_ns(listings, HOME, ls.who));
	assert_false(listings_opened_ns(listings, HOME, find.who));
	assert_false(listings_opened_ns(listings, AWAY, ls.who));
	listings_free(listings);
}

/* A thousand directories of a hundred files, in 64 KiB: the last are known. */
static void test_the_bound(void **state)
{
	struct listings *listings = listings_new(65536);

	(void)state;
	for (uint64_t dir = 1; dir <= 1000; dir++) {
		listings_open(listings, dir, &find);
		list(listings, dir, 0, 100, true);
		assert_true(listings_bytes(listings) <= 65536);
	}
	assert_true(listings_open(listings, 1000, &tar));
	assert_true(listings_open(listings, 950, &tar));
	assert_false(listings_open(listings, 1, &tar));
	listings_free(listings);
}

/* Of a directory beyond all bounds the beginning is known. */
static void test_a_huge_directory(void **state)
{
	struct listings *listings = listings_new(1 << 20);
	uint32_t n;

	(void)state;
	listings_open(listings, HOME, &find);
	for (n = 0; n < 100000; n += 1000)
		list(listings, HOME, n, 1000, n == 99000);
	assert_true(listings_bytes(listings) < 500000);
	assert_int_not_equal(
		listings_find(listings, HOME, name_of(5), 0).position, 0);
	/* To read it again would tell no more, until it has become another. */
	assert_true(listings_open(listings, HOME, &tar));
	list(listings, HOME, 0, 10, false);
	assert_false(listings_open(listings, HOME, &tar));
	listings_free(listings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_directory_is_read),
		cmocka_unit_test(test_what_is_known_already),
		cmocka_unit_test(test_who_has_read_it),
		cmocka_unit_test(test_the_bound),
		cmocka_unit_test(test_a_huge_directory),
	};

	unit_watchdog(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
