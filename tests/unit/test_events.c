// SPDX-License-Identifier: GPL-2.0-or-later
/* Events: who follows is told, who lags is told how much, nobody waits. */
#include "events.h"

#include "unit.h"

#include <stdatomic.h>

#define TOLD 20000
#define TELLERS 4

static void tell(struct events *events, uint64_t bytes)
{
	struct event event = {
		.kind = EVENT_claim,
		.path = "/lib/libc.so",
		.host = "/shared/libs",
		.bytes = bytes,
	};

	events_tell(events, &event);
}

static void test_following(void **state)
{
	const struct event *event;
	struct events *events;
	uint64_t place, missed;

	assert_int_equal(events_new(&events), 0);
	tell(events, 1); /* to nobody */
	assert_false(events_are_followed(events));
	assert_int_equal(events_follow(events, &place), 0);
	assert_true(events_are_followed(events));
	assert_null(events_next(events, &place, 1, &missed));

	tell(events, 4096);
	tell(events, 8192);
	event = events_next(events, &place, 1000, &missed);
	assert_non_null(event);
	assert_int_equal(event->bytes, 4096);
	assert_string_equal(event->path, "/lib/libc.so");
	assert_string_equal(event->host, "/shared/libs");
	assert_null(event->reason);
	assert_true(event->time_ns > UINT64_C(1500000000) * 1000000000);
	assert_int_equal(missed, 0);
	event_unref(event);
	event = events_next(events, &place, 1000, &missed);
	assert_int_equal(event->bytes, 8192);
	event_unref(event);
	assert_null(events_next(events, &place, 1, &missed));
	events_unfollow(events);
	assert_false(events_are_followed(events));
	assert_null(events_free(events));
	assert_null(events_free(NULL));
	assert_false(events_are_followed(NULL));
	tell(NULL, 1);
}

/* One event too many: the oldest is lost, and said to be. One that is held
 * stays what it was. */
static void test_lagging(void **state)
{
	const struct event *held, *event;
	struct events *events;
	uint64_t place, missed;

	assert_int_equal(events_new(&events), 0);
	assert_int_equal(events_follow(events, &place), 0);
	tell(events, 7);
	held = events_next(events, &place, 1000, &missed);
	for (uint64_t i = 0; i < EVENTS_KEPT + 5; i++)
		tell(events, i);
	assert_int_equal(held->bytes, 7);
	event_unref(held);
	event = events_next(events, &place, 0, &missed);
	assert_int_equal(missed, 5);
	assert_int_equal(event->bytes, 5);
	event_unref(event);
	event = events_next(events, &place, 0, &missed);
	assert_int_equal(missed, 0);
	assert_int_equal(event->bytes, 6);
	event_unref(event);
	events_unfollow(events);
	events_free(events);
}

static void test_so_many_follow(void **state)
{
	struct events *events;
	uint64_t place;

	assert_int_equal(events_new(&events), 0);
	for (int i = 0; i < EVENTS_FOLLOWERS; i++)
		assert_int_equal(events_follow(events, &place), 0);
	assert_int_equal(events_follow(events, &place), -EAGAIN);
	events_unfollow(events);
	assert_int_equal(events_follow(events, &place), 0);
	for (int i = 0; i < EVENTS_FOLLOWERS; i++)
		events_unfollow(events);
	events_free(events);
}

struct crowd {
	struct events *events;
	atomic_int tellers;
	uint64_t got;
	uint64_t missed;
};

static void *tell_many(void *arg)
{
	struct crowd *crowd = *(struct crowd **)arg;

	for (int i = 0; i < UNIT_ROUNDS(TOLD); i++)
		tell(crowd->events, 1);
	atomic_fetch_sub(&crowd->tellers, 1);
	return NULL;
}

static void *follow(void *arg)
{
	struct crowd *crowd = *(struct crowd **)arg;
	const struct event *event;
	uint64_t place = 0, missed;

	for (;;) {
		bool is_last = !atomic_load(&crowd->tellers);

		event = events_next(crowd->events, &place, 1, &missed);
		crowd->missed += missed;
		if (!event && is_last)
			return NULL;
		crowd->got += event != NULL;
		event_unref(event);
	}
}

static void *either(void *arg)
{
	struct crowd *crowd = *(struct crowd **)arg;
	static atomic_bool has_follower;

	return atomic_exchange(&has_follower, true) ? tell_many(&crowd) :
						      follow(&crowd);
}

/* However fast they tell, what was got and what was missed is all. */
static void test_a_crowd(void **state)
{
	struct crowd crowd = { .tellers = TELLERS };
	struct crowd *args[TELLERS + 1];
	uint64_t place;

	assert_int_equal(events_new(&crowd.events), 0);
	assert_int_equal(events_follow(crowd.events, &place), 0);
	for (int i = 0; i <= TELLERS; i++)
		args[i] = &crowd;
	run_threads(TELLERS + 1, either, args, sizeof(args[0]));
	assert_int_equal(crowd.got + crowd.missed,
			 (uint64_t)TELLERS * UNIT_ROUNDS(TOLD));
	assert_true(crowd.got >= EVENTS_KEPT);
	events_unfollow(crowd.events);
	events_free(crowd.events);
}

static void test_names(void **state)
{
	assert_string_equal(event_name(EVENT_claim), "claim");
	assert_string_equal(event_name(EVENT_rules), "rules");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_following),
		cmocka_unit_test(test_lagging),
		cmocka_unit_test(test_so_many_follow),
		cmocka_unit_test(test_a_crowd),
		cmocka_unit_test(test_names),
	};

	unit_watchdog(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
