// SPDX-License-Identifier: GPL-2.0-or-later
/* A thread in the background: it works, rests, and ends when it is told to. */
#include "worker.h"

#include "unit.h"
#include "util.h"

#include <stdatomic.h>

struct shop {
	struct worker worker;
	atomic_uint rounds;
	atomic_bool was_stopped; /* while it was at rest */
};

/* Each round uses up more than a day may. */
static void *overspend(void *arg)
{
	struct shop *shop = arg;

	atomic_fetch_add(&shop->rounds, 1);
	allowance_spend(&shop->worker.allowance, UINT64_C(1) << 50);
	atomic_store(&shop->was_stopped, !worker_rest(&shop->worker));
	return NULL;
}

static void *work(void *arg)
{
	struct shop *shop = arg;

	while (!worker_is_stopped(&shop->worker, 1) &&
	       worker_rest(&shop->worker))
		atomic_fetch_add(&shop->rounds, 1);
	return NULL;
}

static void start(struct shop *shop, void *(*main)(void *arg))
{
	struct worker_job job = { .main = main, .arg = shop, .percent = 1 };

	assert_int_equal(worker_start(&shop->worker, &job), 0);
	while (!atomic_load(&shop->rounds))
		unit_sleep_ms(1);
}

static void test_it_works(void **state)
{
	struct shop shop = { 0 };
	unsigned int rounds;

	(void)state;
	start(&shop, work);
	worker_stop(&shop.worker);
	rounds = atomic_load(&shop.rounds);
	assert_true(rounds > 0);
	assert_int_equal(shop.worker.stop_fd, -1);
	assert_int_equal(atomic_load(&shop.rounds), rounds);
}

/* The watchdog would end a test that waited for the rest to be over. */
static void test_stopped_at_rest(void **state)
{
	struct shop shop = { 0 };

	(void)state;
	start(&shop, overspend);
	worker_stop(&shop.worker);
	assert_true(atomic_load(&shop.was_stopped));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_works),
		cmocka_unit_test(test_stopped_at_rest),
	};

	unit_watchdog(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
