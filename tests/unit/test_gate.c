// SPDX-License-Identifier: GPL-2.0-or-later
/* A gate: so many inside, the others in order, and nobody forgotten. */
#include "gate.h"

#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define LIMIT 3
#define THREADS 8
#define ROUNDS 20000

/* Three go in, two wait in order, and each that leaves lets one in. */
static void test_in_order(void **state)
{
	struct gate_wait first, second;
	struct gate *gate;

	assert_int_equal(gate_new(LIMIT, &gate), 0);
	for (int i = 0; i < LIMIT; i++)
		assert_true(gate_try(gate));
	assert_false(gate_try(gate));
	assert_false(gate_wait(gate, &first));
	assert_false(gate_try(gate));
	assert_false(gate_wait(gate, &second));

	assert_ptr_equal(gate_leave(gate), &first);
	assert_ptr_equal(gate_leave(gate), &second);
	for (int i = 0; i < LIMIT; i++)
		assert_null(gate_leave(gate));
	assert_null(gate_free(gate));
	assert_null(gate_free(NULL));
}

/* One who found it full, and is late to wait, is let in at once. */
static void test_a_place_that_is_owed(void **state)
{
	struct gate_wait wait;
	struct gate *gate;

	assert_int_equal(gate_new(1, &gate), 0);
	assert_true(gate_try(gate));
	assert_false(gate_try(gate));
	assert_null(gate_leave(gate));
	assert_true(gate_wait(gate, &wait));
	assert_null(gate_leave(gate));
	gate_free(gate);
}

struct crowd {
	struct gate *gate;
	atomic_int inside;
	atomic_int most;
	atomic_int done;
};

static void be_inside(struct crowd *crowd)
{
	int inside = atomic_fetch_add(&crowd->inside, 1) + 1;
	int most = atomic_load(&crowd->most);

	while (inside > most &&
	       !atomic_compare_exchange_weak(&crowd->most, &most, inside))
		;
	atomic_fetch_add(&crowd->done, 1);
	atomic_fetch_sub(&crowd->inside, 1);
}

/* As who dispatches does: what has to wait is done by who leaves. */
static void *crowd_main(void *arg)
{
	struct crowd *crowd = arg;
	struct gate_wait *wait;

	for (int i = 0; i < ROUNDS; i++) {
		if (!gate_try(crowd->gate)) {
			wait = malloc(sizeof(*wait));
			assert_non_null(wait);
			if (!gate_wait(crowd->gate, wait))
				continue;
			free(wait);
		}
		do {
			be_inside(crowd);
			wait = gate_leave(crowd->gate);
			free(wait);
		} while (wait);
	}
	return NULL;
}

static void test_a_crowd(void **state)
{
	struct crowd crowd = { 0 };
	pthread_t threads[THREADS];

	assert_int_equal(gate_new(LIMIT, &crowd.gate), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crowd_main,
						&crowd),
				 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(crowd.done, THREADS * ROUNDS);
	assert_in_range(crowd.most, 1, LIMIT);
	gate_free(crowd.gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_a_place_that_is_owed),
		cmocka_unit_test(test_a_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
