// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The queue of inodes whose cached pages are to go. Here it has no session
 * to tell, so what is seen is that it keeps its inodes, and lets them go.
 */
#include "inval.h"

#include "table.h"

static uint64_t lookups_of(struct place *place, struct inode *inode)
{
	uint64_t lookups;

	inode_lock(place->table, inode);
	lookups = inode->lookups;
	inode_unlock(place->table, inode);
	return lookups;
}

static bool wait_lookups(struct place *place, struct inode *inode,
			 uint64_t wanted)
{
	for (int ms = 0; ms < 5000; ms += 5) {
		if (lookups_of(place, inode) == wanted)
			return true;
		unit_sleep_ms(5);
	}
	return false;
}

/* Queued three times at once, it is held once, let go, and held again. */
static void test_queued_once(void **state)
{
	struct place *place = *state;
	struct inode *inode;
	struct inval *inval;

	scratch_touch(place->scratch, "a");
	inode = look_up(place, "a");
	assert_int_equal(inval_new(place->table, &inval), 0);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 3; i++)
			inval_queue(inval, inode);
		assert_in_range(lookups_of(place, inode), 1, 2);
		assert_true(wait_lookups(place, inode, 1));
	}
	inval_free(inval);
	assert_int_equal(lookups_of(place, inode), 1);
}

/* The kernel forgets it while it is queued: it lives until it is let go. */
static void test_forgotten_in_the_queue(void **state)
{
	struct place *place = *state;
	struct inode *inode;
	struct inval *inval;

	scratch_touch(place->scratch, "a");
	inode = look_up(place, "a");
	assert_int_equal(inval_new(place->table, &inval), 0);
	inval_queue(inval, inode);
	inode_forget(place->table, inode, 1);
	assert_null(inval_free(inval));
	assert_int_equal(inode_table_count(place->table), 1);
	assert_null(inval_free(NULL));
}

struct queuer {
	struct inval *inval;
	struct inode **inodes;
};

static void *queuer_thread(void *arg)
{
	struct queuer *queuer = arg;

	for (int i = 0; i < 2000; i++)
		inval_queue(queuer->inval, queuer->inodes[i % 20]);
	return NULL;
}

/* 8 threads queue 20 files again and again; all are let go. */
static void test_many_queuers(void **state)
{
	struct place *place = *state;
	struct inode *inodes[20];
	struct queuer queuers[8];
	struct inval *inval;
	char name[16];

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "%d", i);
		scratch_touch(place->scratch, name);
		inodes[i] = look_up(place, name);
	}
	assert_int_equal(inval_new(place->table, &inval), 0);
	for (int i = 0; i < 8; i++)
		queuers[i] =
			(struct queuer){ .inval = inval, .inodes = inodes };
	run_threads(8, queuer_thread, queuers, sizeof(queuers[0]));
	for (int i = 0; i < 20; i++)
		assert_true(wait_lookups(place, inodes[i], 1));
	inval_free(inval);
}

#define inval_test(name)                                                \
	cmocka_unit_test_setup_teardown(name, place_setup_with_handles, \
					place_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		inval_test(test_queued_once),
		inval_test(test_forgotten_in_the_queue),
		inval_test(test_many_queuers),
	};

	return cmocka_run_group_tests_name("inval", tests, NULL, NULL);
}
