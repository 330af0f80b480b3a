// SPDX-License-Identifier: GPL-2.0-or-later
/* The pool: all work is run, by no more threads than allowed. */
#include "pool.h"

#include "unit.h"
#include "util.h"

#include <stdatomic.h>

/* What the work of one test shares. */
struct works {
	atomic_int running;
	atomic_int most; /* at a time */
	atomic_int done;
	atomic_bool open; /* the gate at which work waits */
};

static void work_short(void *userdata)
{
	struct works *works = userdata;

	works->done++;
}

static void work_at_gate(void *userdata)
{
	struct works *works = userdata;
	int running = ++works->running;
	int most = works->most;

	while (running > most &&
	       !atomic_compare_exchange_weak(&works->most, &most, running))
		;
	while (!works->open)
		unit_sleep_ms(1);
	works->running--;
	works->done++;
}

static bool wait_until(atomic_int *value, int wanted)
{
	for (int ms = 0; ms < 5000; ms++) {
		if (*value >= wanted)
			return true;
		unit_sleep_ms(1);
	}
	return false;
}

/* 10,000 small works, and freeing the pool waits for the last of them. */
static void test_all_work_is_run(void **state)
{
	struct works works = { 0 };
	struct pool *pool;

	assert_int_equal(pool_new(4, &pool), 0);
	for (int i = 0; i < 10000; i++)
		assert_int_equal(pool_submit(pool, work_short, &works), 0);
	assert_null(pool_free(pool));
	assert_int_equal(works.done, 10000);
}

/* 20 works that wait, 5 threads: 5 run, 15 queue, none is lost. */
static void test_threads_are_bounded(void **state)
{
	struct works works = { 0 };
	struct pool *pool;

	assert_int_equal(pool_new(5, &pool), 0);
	for (int i = 0; i < 20; i++)
		pool_submit(pool, work_at_gate, &works);
	assert_true(wait_until(&works.running, 5));
	unit_sleep_ms(50);
	assert_int_equal(works.running, 5);
	works.open = true;
	pool_free(pool);
	assert_int_equal(works.most, 5);
	assert_int_equal(works.done, 20);
}

/* While 7 works wait, an 8th has a thread of its own: nobody is behind. */
static void test_waiting_work_holds_nobody_up(void **state)
{
	struct works waiting = { 0 }, quick = { 0 };
	struct pool *pool;

	assert_int_equal(pool_new(8, &pool), 0);
	for (int i = 0; i < 7; i++)
		pool_submit(pool, work_at_gate, &waiting);
	for (int i = 1; i <= 100; i++) {
		pool_submit(pool, work_short, &quick);
		assert_true(wait_until(&quick.done, i));
	}
	assert_int_equal(waiting.done, 0);
	waiting.open = true;
	pool_free(pool);
	assert_int_equal(waiting.done, 7);
}

/* Counts as done by a new thread if the thread hasn't been here before. */
static void work_once_a_thread(void *userdata)
{
	static __thread bool was_here;
	struct works *works = userdata;

	if (!was_here)
		works->most++;
	was_here = true;
	works->done++;
}

/* 100 works, each a while after the other: a few threads do, often one. */
static void test_threads_are_kept(void **state)
{
	struct works works = { 0 };
	struct pool *pool;

	assert_int_equal(pool_new(UNIT_MAX_THREADS, &pool), 0);
	for (int i = 1; i <= 100; i++) {
		pool_submit(pool, work_once_a_thread, &works);
		assert_true(wait_until(&works.done, i));
		unit_sleep_ms(1);
	}
	pool_free(pool);
	assert_in_range(works.most, 1, 20);
}

static void *submitting_thread(void *arg)
{
	void **args = *(void ***)arg;

	for (int i = 0; i < 500; i++)
		pool_submit(args[0], work_short, args[1]);
	return NULL;
}

/* 8 threads submit at once. */
static void test_many_submitters(void **state)
{
	struct works works = { 0 };
	struct pool *pool;
	void *args[2];
	void **same[8];

	assert_int_equal(pool_new(3, &pool), 0);
	args[0] = pool;
	args[1] = &works;
	for (int i = 0; i < 8; i++)
		same[i] = args;
	run_threads(8, submitting_thread, same, sizeof(same[0]));
	pool_free(pool);
	assert_int_equal(works.done, 8 * 500);
}

static void *opening_thread(void *arg)
{
	struct works *works = arg;

	unit_sleep_ms(100);
	works->open = true;
	return NULL;
}

/* Free waits for work that still runs, and is queued, 100 ms here. */
static void test_free_waits(void **state)
{
	struct works works = { 0 };
	struct pool *pool;
	pthread_t opener;

	assert_int_equal(pool_new(2, &pool), 0);
	for (int i = 0; i < 6; i++)
		pool_submit(pool, work_at_gate, &works);
	pthread_create(&opener, NULL, opening_thread, &works);
	pool_free(pool);
	assert_int_equal(works.done, 6);
	pthread_join(opener, NULL);
}

/* A pool that had nothing to do. */
static void test_free_of_nothing(void **state)
{
	struct pool *pool;

	assert_int_equal(pool_new(8, &pool), 0);
	assert_null(pool_free(pool));
	assert_null(pool_free(NULL));
}

/*
 * In a child that may have no more threads: the work is done or refused,
 * and never taken and dropped. Root is above the limit, so the child is
 * nobody, whose processes are counted.
 */
static void submit_without_threads(void *arg)
{
	struct rlimit one = { 1, 1 };
	struct works works = { 0 };
	struct pool *pool;
	int accepted;

	if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
		_exit(0);
	setrlimit(RLIMIT_NPROC, &one);
	if (pool_new(2, &pool) < 0)
		_exit(0);
	accepted = pool_submit(pool, work_short, &works) == 0;
	pool_free(pool);
	_exit(works.done == accepted ? 0 : 1);
}

static void test_no_thread_to_be_had(void **state)
{
	int status = status_of_child(submit_without_threads, NULL);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_work_is_run),
		cmocka_unit_test(test_threads_are_bounded),
		cmocka_unit_test(test_waiting_work_holds_nobody_up),
		cmocka_unit_test(test_threads_are_kept),
		cmocka_unit_test(test_many_submitters),
		cmocka_unit_test(test_free_waits),
		cmocka_unit_test(test_free_of_nothing),
		cmocka_unit_test(test_no_thread_to_be_had),
	};

	unit_watchdog(60);
	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
