// SPDX-License-Identifier: GPL-2.0-or-later
/* A thread that clears away a moment later: all of it, once, and not too much. */
#include "sweeper.h"

#include "affinity.h"

#include "unit.h"
#include "util.h"

#include <stdatomic.h>

#define ITEMS 64

struct room {
	struct sweeper *sweeper;
	struct sweeper_item items[ITEMS];
	atomic_uint swept;
	atomic_uint in_order;
	atomic_bool is_locked; /* the broom waits */
};

static void sweep(void *userdata, struct sweeper_item *item)
{
	struct room *room = userdata;

	while (atomic_load(&room->is_locked))
		unit_sleep_ms(1);
	if (item == &room->items[atomic_load(&room->swept)])
		atomic_fetch_add(&room->in_order, 1);
	atomic_fetch_add(&room->swept, 1);
}

static void enter(struct room *room)
{
	*room = (struct room){ 0 };
	assert_int_equal(sweeper_new(
				 &(struct sweeper_config){
					 .sweep = sweep,
					 .userdata = room,
				 },
				 &room->sweeper),
			 0);
}

static void test_each_is_swept_once_and_in_turn(void **state)
{
	struct room room;

	(void)state;
	enter(&room);
	for (int i = 0; i < ITEMS; i++)
		assert_true(sweeper_add(room.sweeper, &room.items[i], 4096,
					AFFINITY_ANY));
	while (atomic_load(&room.swept) < ITEMS)
		unit_sleep_ms(1);
	assert_int_equal(room.in_order, ITEMS);
	/* And again: it waits for more. */
	atomic_store(&room.swept, 0);
	assert_true(
		sweeper_add(room.sweeper, &room.items[0], 4096, AFFINITY_ANY));
	while (atomic_load(&room.swept) < 1)
		unit_sleep_ms(1);
	sweeper_free(room.sweeper);
	assert_int_equal(room.swept, 1);
}

/* Who comes while so much waits does it himself. */
static void test_it_takes_no_more_than_it_can_do(void **state)
{
	struct room room;
	int taken = 0;

	(void)state;
	enter(&room);
	atomic_store(&room.is_locked, true);
	while (taken < ITEMS && sweeper_add(room.sweeper, &room.items[taken],
					    1 << 20, AFFINITY_ANY))
		taken++;
	assert_in_range(taken, 2, 4);
	atomic_store(&room.is_locked, false);
	while (atomic_load(&room.swept) < (unsigned int)taken)
		unit_sleep_ms(1);
	sweeper_free(room.sweeper);
}

static void test_nothing_is_left_at_the_end(void **state)
{
	struct room room;

	(void)state;
	enter(&room);
	for (int i = 0; i < 3; i++)
		assert_true(sweeper_add(room.sweeper, &room.items[i], 1,
					AFFINITY_ANY));
	sweeper_free(room.sweeper);
	assert_int_equal(room.swept, 3);
	assert_null(sweeper_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_is_swept_once_and_in_turn),
		cmocka_unit_test(test_it_takes_no_more_than_it_can_do),
		cmocka_unit_test(test_nothing_is_left_at_the_end),
	};

	return cmocka_run_group_tests_name("sweeper", tests, NULL, NULL);
}
