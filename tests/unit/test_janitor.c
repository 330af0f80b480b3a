// SPDX-License-Identifier: GPL-2.0-or-later
/* The janitor: it hears SIGUSR1, which ends nobody, and ends when told. */
#include "janitor.h"

#include "unit.h"

#include <stdatomic.h>

struct heard {
	atomic_uint signals;
	atomic_uint ticks;
};

static void on_signal(void *userdata)
{
	atomic_fetch_add(&((struct heard *)userdata)->signals, 1);
}

static void on_tick(void *userdata)
{
	atomic_fetch_add(&((struct heard *)userdata)->ticks, 1);
}

static void wait_for(atomic_uint *count, unsigned int wanted)
{
	while (atomic_load(count) < wanted)
		unit_sleep_ms(1);
}

static void test_signals(void **state)
{
	struct heard heard = { 0 };
	struct janitor_config config = {
		.on_signal = on_signal,
		.on_tick = on_tick,
		.userdata = &heard,
	};
	unsigned int fds = count_fds();
	struct janitor *janitor = NULL;

	unit_watchdog(20);
	janitor_block_signals();
	assert_int_equal(janitor_new(&config, &janitor), 0);
	for (unsigned int i = 1; i <= 3; i++) {
		kill(getpid(), SIGUSR1);
		wait_for(&heard.signals, i);
	}
	/* Each comes with a tick; those between need no signal. */
	wait_for(&heard.ticks, 4);
	assert_int_equal(heard.signals, 3);
	assert_null(janitor_free(janitor));
	assert_null(janitor_free(NULL));
	assert_int_equal(count_fds(), fds);
	unit_watchdog(0);
}

/* One that has just begun ends at once, not with its next tick. */
static void test_end(void **state)
{
	struct heard heard = { 0 };
	struct janitor_config config = {
		.on_signal = on_signal,
		.on_tick = on_tick,
		.userdata = &heard,
	};
	struct janitor *janitor = NULL;

	unit_watchdog(1);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(janitor_new(&config, &janitor), 0);
		janitor_free(janitor);
	}
	unit_watchdog(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_end),
	};

	return cmocka_run_group_tests_name("janitor", tests, NULL, NULL);
}
