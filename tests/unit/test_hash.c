// SPDX-License-Identifier: GPL-2.0-or-later
/* A hash table: all that was put in is found, and nothing else. */
#include "hash.h"

#include "unit.h"

#define MEMBERS 10000

struct member {
	struct hash_link link;
	bool is_in;
	unsigned int seen;
};

static struct member members[MEMBERS];

/* Every third has the hash of its neighbour, and every seventh of all. */
static uint32_t value_of(unsigned int n)
{
	return n % 7 ? (n - n % 3) * 2654435761u : 42;
}

static bool is_found(const struct hash *hash, unsigned int n)
{
	struct hash_link *link = hash_find(hash, value_of(n));

	while (link && link != &members[n].link)
		link = hash_find_next(link);
	return link;
}

static void check(const struct hash *hash)
{
	struct hash_link *link = NULL;
	size_t count = 0;

	while ((link = hash_next(hash, link))) {
		((struct member *)link)->seen++;
		count++;
	}
	assert_int_equal(count, hash->count);
	for (unsigned int n = 0; n < MEMBERS; n++) {
		assert_int_equal(members[n].seen, members[n].is_in);
		members[n].seen = 0;
	}
	for (unsigned int n = 0; n < MEMBERS; n += 97)
		assert_int_equal(is_found(hash, n), members[n].is_in);
}

static void test_an_empty_one(void **state)
{
	struct hash hash = { 0 };

	(void)state;
	assert_null(hash_find(&hash, 0));
	assert_null(hash_next(&hash, NULL));
	hash_clear(&hash);
}

static void test_comings_and_goings(void **state)
{
	struct hash hash = { 0 };

	(void)state;
	srand(1);
	for (unsigned int round = 0; round < 10; round++) {
		for (unsigned int i = 0; i < MEMBERS; i++) {
			unsigned int n = (unsigned int)rand() % MEMBERS;
			struct member *member = &members[n];

			if (member->is_in)
				hash_del(&hash, &member->link);
			else
				hash_add(&hash, &member->link, value_of(n));
			member->is_in = !member->is_in;
		}
		check(&hash);
	}
	/* All go while they are walked. */
	for (struct hash_link *link = hash_next(&hash, NULL), *next; link;
	     link = next) {
		next = hash_next(&hash, link);
		hash_del(&hash, link);
		((struct member *)link)->is_in = false;
	}
	check(&hash);
	hash_clear(&hash);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_empty_one),
		cmocka_unit_test(test_comings_and_goings),
	};

	unit_watchdog(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
