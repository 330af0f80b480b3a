// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which pages are whose: stories of a few pages, random ones against an array
 * that has a word for each page, and what a page costs.
 */
#include "shadow_map.h"

#include "unit.h"
#include "util.h"

#include <malloc.h>

#define A 4711 /* two cgroups that aren't the host */
#define B 815

static void set(struct shadow_map *map, uint64_t first, uint64_t pages,
		uint64_t owner)
{
	struct shadow_run run = { first, pages, owner };

	assert_int_equal(shadow_map_set(map, &run), 0);
}

/* That the run from @from on is this one. */
static void assert_next(const struct shadow_map *map, uint64_t from,
			uint64_t first, uint64_t pages, uint64_t owner)
{
	struct shadow_run run = { 0 };

	assert_true(shadow_map_next(map, from, &run));
	assert_int_equal(run.first_page, first);
	assert_int_equal(run.pages, pages);
	assert_int_equal(run.owner, owner);
}

static void assert_no_more(const struct shadow_map *map, uint64_t from)
{
	struct shadow_run run;

	assert_false(shadow_map_next(map, from, &run));
}

static void test_an_empty_map(void **state)
{
	struct shadow_map *map = shadow_map_new();

	assert_int_equal(shadow_map_resident(map), 0);
	assert_int_equal(shadow_map_owned(map, SHADOW_HOST), 0);
	assert_no_more(map, 0);
	shadow_map_drop(map, 0, UINT64_MAX);
	assert_true(shadow_map_bytes(map) < 64);
	assert_null(shadow_map_free(map));
	assert_null(shadow_map_free(NULL));
}

/* 100 pages of the host's; A reads 10 that were reclaimed, B 5 of those. */
static void test_a_leak(void **state)
{
	struct shadow_map *map = shadow_map_new();

	set(map, 0, 100, SHADOW_HOST);
	set(map, 40, 10, A);
	set(map, 45, 5, B);
	assert_int_equal(shadow_map_resident(map), 100);
	assert_int_equal(shadow_map_owned(map, SHADOW_HOST), 90);
	assert_int_equal(shadow_map_owned(map, A), 5);
	assert_int_equal(shadow_map_owned(map, B), 5);
	assert_next(map, 0, 0, 40, SHADOW_HOST);
	assert_next(map, 40, 40, 5, A);
	assert_next(map, 42, 42, 3, A);
	assert_next(map, 45, 45, 5, B);
	assert_next(map, 50, 50, 50, SHADOW_HOST);
	assert_no_more(map, 100);

	/* Dropped, and brought in by the host's charger. */
	shadow_map_drop(map, 40, 8);
	assert_int_equal(shadow_map_resident(map), 92);
	assert_int_equal(shadow_map_owned(map, A), 0);
	assert_next(map, 40, 48, 2, B);
	set(map, 40, 8, SHADOW_HOST);
	assert_int_equal(shadow_map_resident(map), 100);
	assert_int_equal(shadow_map_owned(map, SHADOW_HOST), 98);
	assert_next(map, 0, 0, 48, SHADOW_HOST);
	shadow_map_free(map);
}

/* Around 16 TiB, where a bitmap's numbers end; and the last page of all. */
static void test_huge_files(void **state)
{
	uint64_t part = (uint64_t)1 << 32;
	struct shadow_map *map = shadow_map_new();

	set(map, part - 10, 20, SHADOW_HOST);
	set(map, part - 5, 10, A);
	set(map, 7 * part + 3, 1, B);
	set(map, UINT64_MAX - 1, 1, A);
	assert_int_equal(shadow_map_resident(map), 22);
	assert_int_equal(shadow_map_owned(map, A), 11);
	assert_next(map, 0, part - 10, 5, SHADOW_HOST);
	assert_next(map, part - 5, part - 5, 5, A);
	assert_next(map, part, part, 5, A);
	assert_next(map, part + 5, part + 5, 5, SHADOW_HOST);
	assert_next(map, part + 10, 7 * part + 3, 1, B);
	assert_next(map, 7 * part + 4, UINT64_MAX - 1, 1, A);
	assert_no_more(map, UINT64_MAX);
	shadow_map_drop(map, part - 8, 9);
	assert_int_equal(shadow_map_resident(map), 13);
	assert_int_equal(shadow_map_owned(map, A), 5);
	assert_next(map, 0, part - 10, 2, SHADOW_HOST);
	assert_next(map, part - 8, part + 1, 4, A);
	shadow_map_free(map);
}

/* -- against an array -- */

#define PAGES (3u << 16) /* three containers' */
#define GONE 0

/* A map, and what is to be in it. */
struct twin {
	struct shadow_map *map;
	uint64_t *owners; /* of each page; GONE */
};

static void twin_set(struct twin *twin, uint64_t first, uint64_t pages,
		     uint64_t owner)
{
	set(twin->map, first, pages, owner);
	for (uint64_t i = first; i < first + pages; i++)
		twin->owners[i] = owner;
}

static void twin_act(struct twin *twin, uint64_t first, uint64_t pages,
		     unsigned int what)
{
	uint64_t *owner = &twin->owners[first];

	switch (what) {
	case 0:
		shadow_map_drop(twin->map, first, pages);
		for (uint64_t i = 0; i < pages; i++)
			owner[i] = GONE;
		break;
	case 1:
	case 2:
		twin_set(twin, first, pages, SHADOW_HOST);
		break;
	default:
		twin_set(twin, first, pages, what % 2 ? A : B);
	}
}

static void twin_compare(const struct twin *twin)
{
	uint64_t counts[3] = { 0 };
	struct shadow_run run;
	uint64_t at = 0;

	while (shadow_map_next(twin->map, at, &run)) {
		for (; at < run.first_page; at++)
			assert_int_equal(twin->owners[at], GONE);
		for (; at < run.first_page + run.pages; at++)
			if (twin->owners[at] != run.owner)
				fail_msg("page %u", (unsigned int)at);
		/* It is whole. */
		if (at < PAGES)
			assert_int_not_equal(twin->owners[at], run.owner);
	}
	for (; at < PAGES; at++)
		assert_int_equal(twin->owners[at], GONE);
	for (uint64_t i = 0; i < PAGES; i++) {
		counts[0] += twin->owners[i] == SHADOW_HOST;
		counts[1] += twin->owners[i] == A;
		counts[2] += twin->owners[i] == B;
	}
	assert_int_equal(shadow_map_owned(twin->map, SHADOW_HOST), counts[0]);
	assert_int_equal(shadow_map_owned(twin->map, A), counts[1]);
	assert_int_equal(shadow_map_owned(twin->map, B), counts[2]);
	assert_int_equal(shadow_map_resident(twin->map),
			 counts[0] + counts[1] + counts[2]);
}

/* Long runs and short ones, so that each form of a container comes to be. */
static void test_random_histories(void **state)
{
	struct twin twin;
	uint64_t first, pages;
	uint32_t seed = 1;

	for (unsigned int story = 0; story < 8; story++) {
		unsigned int shift = story * 2 + 1;

		twin.map = shadow_map_new();
		twin.owners = calloc(PAGES, sizeof(*twin.owners));
		assert_non_null(twin.owners);
		for (int i = 0; i < UNIT_ROUNDS(3000); i++) {
			first = unit_random(&seed) % PAGES;
			pages = 1 + unit_random(&seed) % (1u << shift);
			if (pages > PAGES - first)
				pages = PAGES - first;
			twin_act(&twin, first, pages, unit_random(&seed) % 8);
			if (i % 500 == 0)
				shadow_map_pack(twin.map);
			if (i % 1000 == 0)
				twin_compare(&twin);
		}
		twin_compare(&twin);
		shadow_map_free(twin.map);
		free(twin.owners);
	}
}

/* -- what a page costs -- */

#define FILE_PAGES UNIT_ROUNDS(100ull * 1024 * MIB / 4096) /* of 100 GiB */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SEES_HEAP false
#else
#define SEES_HEAP true
#endif

struct density {
	const char *what;
	uint32_t percent; /* of the pages are resident, */
	uint32_t foreign_percent; /* and of those A's */
	uint32_t run_pages; /* in runs of so many */
	double max_bits; /* a page of the file */
};

static struct shadow_map *fill(const struct density *density)
{
	struct shadow_map *map = shadow_map_new();
	uint32_t seed = 7;

	for (uint64_t page = 0; page < FILE_PAGES; page += density->run_pages) {
		uint32_t dice = unit_random(&seed);

		if (dice % 100 >= density->percent)
			continue;
		set(map, page, density->run_pages,
		    dice / 100 % 100 < density->foreign_percent ? A :
								  SHADOW_HOST);
	}
	shadow_map_pack(map);
	return map;
}

/* By the heap's own count, where there is one. */
static double bits_of(const struct density *density)
{
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
	struct shadow_map *map = fill(density);
	size_t heap = mallinfo2().uordblks + mallinfo2().hblkhd - before;
	size_t bytes = shadow_map_bytes(map);

	print_message("%s: %.4f bits a page, %zu KiB (heap %zu KiB)\n",
		      density->what, (double)bytes * 8 / FILE_PAGES,
		      bytes / 1024, SEES_HEAP ? heap / 1024 : 0);
	if (SEES_HEAP && heap)
		assert_in_range(bytes, heap * 8 / 10, heap * 12 / 10);
	shadow_map_free(map);
	return (double)bytes * 8 / FILE_PAGES;
}

static void test_density(void **state)
{
	static const struct density densities[] = {
		{ "all of it, in order", 100, 0, 4096, 0.01 },
		{ "sparse: 1 % in runs of 64", 1, 0, 64, 0.1 },
		{ "random: 1 %, half of them another's", 1, 50, 1, 0.35 },
		{ "random: 50 %", 50, 0, 1, 1.1 },
		{ "random: 50 %, a tenth of them another's", 50, 10, 1, 2 },
		{ "dense: 99 % in runs of 64", 99, 1, 64, 0.2 },
	};
	double bits;

	for (size_t i = 0; i < ARRAY_SIZE(densities); i++) {
		bits = bits_of(&densities[i]);
		assert_true(bits < densities[i].max_bits);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_empty_map),
		cmocka_unit_test(test_a_leak),
		cmocka_unit_test(test_huge_files),
		cmocka_unit_test(test_random_histories),
		cmocka_unit_test(test_density),
	};

	return cmocka_run_group_tests_name("shadow_map", tests, NULL, NULL);
}
