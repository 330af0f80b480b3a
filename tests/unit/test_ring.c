// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ring, both of its sides in one process: the daemon's mapping of the
 * memfd, and the charger's. The charger here answers a call of length n
 * with n + 1.
 */
#include "ring.h"

#include "unit.h"
#include "util.h"

#include <sys/eventfd.h>

#define OP_STOP 99 /* ends the thread that takes it */
#define WAIT_MS 5000

struct pair {
	struct ring *daemon;
	struct ring *charger;
};

static int pair_setup(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));

	*state = pair;
	unit_watchdog(60);
	if (!pair || ring_new(&pair->daemon) < 0)
		return -1;
	return ring_attach(fcntl(ring_fd(pair->daemon), F_DUPFD_CLOEXEC, 3),
			   &pair->charger);
}

static int pair_teardown(void **state)
{
	struct pair *pair = *state;

	ring_free(pair->charger);
	ring_free(pair->daemon);
	free(pair);
	unit_watchdog(0);
	return 0;
}

static void serve(struct ring *ring, unsigned int slot)
{
	struct ring_call *call = ring_slot_call(ring, slot);

	call->result = (int64_t)call->length + 1;
	ring_done(ring, slot);
}

static void *charger_thread(void *arg)
{
	struct ring *ring = *(struct ring **)arg;
	unsigned int slot;
	uint32_t op;

	do {
		slot = ring_take(ring);
		op = ring_slot_call(ring, slot)->op;
		serve(ring, slot);
	} while (op != OP_STOP);
	return NULL;
}

/* Posts a call, and doesn't wait. */
static unsigned int post(struct ring *daemon, uint32_t op, uint64_t length)
{
	unsigned int slot = ring_slot_get(daemon, UINT64_MAX);
	struct ring_call *call = ring_slot_call(daemon, slot);

	memset(call, 0, sizeof(*call));
	call->op = op;
	call->length = length;
	ring_post(daemon, slot);
	return slot;
}

/* Waits for it, and gives its result. */
static int64_t finish(struct ring *daemon, unsigned int slot)
{
	int64_t result;

	while (!ring_wait(daemon, slot, UINT32_MAX))
		;
	result = ring_slot_call(daemon, slot)->result;
	ring_slot_put(daemon, slot);
	return result;
}

static void start_charger(struct pair *pair, pthread_t *threads,
			  unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						charger_thread, &pair->charger),
				 0);
}

static void stop_charger(struct pair *pair, const pthread_t *threads,
			 unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		finish(pair->daemon, post(pair->daemon, OP_STOP, 0));
	for (unsigned int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

/* One call there and back: what the daemon fills in is what arrives. */
static void test_one_call(void **state)
{
	struct pair *pair = *state;
	struct ring_call *call;
	unsigned int slot, taken;

	slot = ring_slot_get(pair->daemon, UINT64_MAX);
	call = ring_slot_call(pair->daemon, slot);
	*call = (struct ring_call){
		.op = RING_WRITE,
		.fd = 7,
		.offset = 1ull << 40,
		.length = 5,
		.buffer = 1 << 20,
	};
	ring_post(pair->daemon, slot);

	taken = ring_take(pair->charger);
	assert_int_equal(taken, slot);
	call = ring_slot_call(pair->charger, taken);
	assert_int_equal(call->op, RING_WRITE);
	assert_int_equal(call->fd, 7);
	assert_int_equal(call->offset, 1ull << 40);
	assert_int_equal(call->attempts, 0);
	assert_int_equal(call->scratch_fds[0], -1);
	assert_int_equal(call->buffer, 1 << 20);
	serve(pair->charger, taken);

	assert_int_equal(finish(pair->daemon, slot), 6);
}

/* All 32 slots at once, each with a call of its own. */
static void test_all_slots(void **state)
{
	struct pair *pair = *state;
	unsigned int slots[RING_SLOTS];
	uint32_t seen = 0;

	for (unsigned int i = 0; i < RING_SLOTS; i++) {
		slots[i] = post(pair->daemon, RING_READ, i);
		seen |= 1u << slots[i];
	}
	assert_int_equal(seen, UINT32_MAX);
	for (unsigned int i = 0; i < RING_SLOTS; i++)
		serve(pair->charger, ring_take(pair->charger));
	for (unsigned int i = 0; i < RING_SLOTS; i++)
		assert_int_equal(finish(pair->daemon, slots[i]), i + 1);
}

struct poster {
	struct ring *ring;
	unsigned int calls;
	unsigned int pause_every; /* for the charger to fall asleep; 0: never */
	unsigned int wrong; /* answers */
};

static void *poster_thread(void *arg)
{
	struct poster *poster = arg;

	for (unsigned int i = 0; i < poster->calls; i++) {
		if (finish(poster->ring, post(poster->ring, RING_READ, i)) !=
		    (int64_t)i + 1)
			poster->wrong++;
		if (poster->pause_every && i % poster->pause_every == 0)
			unit_sleep_ms(1);
	}
	return NULL;
}

static void run_posters(struct pair *pair, unsigned int count,
			struct poster like)
{
	struct poster posters[UNIT_MAX_THREADS];

	like.ring = pair->daemon;
	for (unsigned int i = 0; i < count; i++)
		posters[i] = like;
	run_threads(count, poster_thread, posters, sizeof(posters[0]));
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(posters[i].wrong, 0);
}

/* 8 threads make 25,000 calls each of 4 others: none is lost, or asleep. */
static void test_200000_calls(void **state)
{
	struct pair *pair = *state;
	pthread_t charger[4];

	start_charger(pair, charger, 4);
	run_posters(pair, 8, (struct poster){ .calls = UNIT_ROUNDS(25000) });
	stop_charger(pair, charger, 4);
}

/* With pauses, both sides are at each moment of their falling asleep. */
static void test_calls_with_pauses(void **state)
{
	struct pair *pair = *state;
	pthread_t charger[3];

	start_charger(pair, charger, 3);
	run_posters(pair, 4,
		    (struct poster){ .calls = UNIT_ROUNDS(4000),
				     .pause_every = 7 });
	stop_charger(pair, charger, 3);
}

struct slot_waiter {
	struct ring *ring;
	_Atomic bool is_there; /* about to ask for the slot */
	_Atomic int slot; /* -1: still waiting */
};

static void *slot_waiter_thread(void *arg)
{
	struct slot_waiter *waiter = arg;

	waiter->is_there = true;
	waiter->slot = (int)ring_slot_get(waiter->ring, UINT64_MAX);
	return NULL;
}

static unsigned int count_served(const struct slot_waiter *waiters,
				 unsigned int count)
{
	unsigned int served = 0;

	for (unsigned int i = 0; i < count; i++)
		served += waiters[i].slot >= 0;
	return served;
}

static bool wait_served(const struct slot_waiter *waiters, unsigned int count,
			unsigned int served)
{
	for (int ms = 0; ms < WAIT_MS; ms += 10) {
		if (count_served(waiters, count) >= served)
			return true;
		unit_sleep_ms(10);
	}
	return false;
}

/* Whoever was left asleep beside free slots is woken, to end the test. */
static void wake_the_rest(struct ring *ring, struct slot_waiter *waiters,
			  unsigned int count)
{
	unsigned int served = count_served(waiters, count);
	unsigned int slots[RING_SLOTS];

	for (unsigned int i = served; i < count; i++)
		slots[i] = ring_slot_get(ring, UINT64_MAX);
	for (unsigned int i = served; i < count; i++) {
		ring_slot_put(ring, slots[i]);
		wait_served(waiters, count, i + 1);
	}
}

/*
 * 4 threads wait for a slot while all 32 are taken; 4 are given back, one
 * right after the other: that is one for each.
 */
static void test_a_slot_for_each_waiter(void **state)
{
	struct pair *pair = *state;
	struct slot_waiter waiters[4] = { { 0 } };
	pthread_t threads[4];
	bool served;

	for (int i = 0; i < RING_SLOTS; i++)
		ring_slot_get(pair->daemon, UINT64_MAX);
	for (int i = 0; i < 4; i++) {
		waiters[i].ring = pair->daemon;
		waiters[i].slot = -1;
		pthread_create(&threads[i], NULL, slot_waiter_thread,
			       &waiters[i]);
		while (!waiters[i].is_there)
			unit_sleep_ms(1);
	}
	unit_sleep_ms(50);
	for (unsigned int slot = 0; slot < 4; slot++)
		ring_slot_put(pair->daemon, slot);
	served = wait_served(waiters, 4, 4);
	wake_the_rest(pair->daemon, waiters, 4);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_true(served);
}

/* 60 threads, nearly twice the slots, 200 calls each. */
static void test_more_threads_than_slots(void **state)
{
	struct pair *pair = *state;
	pthread_t charger[4];

	start_charger(pair, charger, 4);
	run_posters(pair, 60, (struct poster){ .calls = UNIT_ROUNDS(200) });
	stop_charger(pair, charger, 4);
}

/*
 * A charger takes two of three calls, finishes one, and dies. Its successor
 * gets the other two, and sees that one of them had been tried.
 */
static void test_repost(void **state)
{
	struct pair *pair = *state;
	unsigned int done, left, untouched, slot;
	uint32_t attempts[RING_SLOTS] = { 0 };

	done = post(pair->daemon, RING_READ, 10);
	assert_int_equal(ring_take(pair->charger), done);
	serve(pair->charger, done);
	left = post(pair->daemon, RING_READ, 20);
	assert_int_equal(ring_take(pair->charger), left);
	untouched = post(pair->daemon, RING_READ, 30);

	ring_repost(pair->daemon);

	for (int i = 0; i < 2; i++) {
		slot = ring_take(pair->charger);
		attempts[slot] =
			ring_slot_call(pair->charger, slot)->attempts + 1;
		serve(pair->charger, slot);
	}
	assert_int_equal(attempts[left], 2);
	assert_int_equal(attempts[untouched], 1);
	assert_int_equal(attempts[done], 0);
	assert_int_equal(finish(pair->daemon, done), 11);
	assert_int_equal(finish(pair->daemon, left), 21);
	assert_int_equal(finish(pair->daemon, untouched), 31);
}

/* A call that kills three chargers counts them, and is a new one later. */
static void test_attempts_add_up(void **state)
{
	struct pair *pair = *state;
	unsigned int slot = post(pair->daemon, RING_READ, 1);

	for (int i = 0; i < 3; i++) {
		ring_take(pair->charger);
		ring_repost(pair->daemon);
	}
	ring_take(pair->charger);
	assert_int_equal(ring_slot_call(pair->daemon, slot)->attempts, 3);
	serve(pair->charger, slot);
	finish(pair->daemon, slot);

	assert_int_equal(post(pair->daemon, RING_READ, 1), slot);
	ring_take(pair->charger);
	assert_int_equal(ring_slot_call(pair->daemon, slot)->attempts, 0);
	serve(pair->charger, slot);
	finish(pair->daemon, slot);
}

/* Takes the call, opens what a claim does, and leaves it: dead. */
static void die_with_scratch(struct pair *pair, unsigned int slot,
			     int fds[RING_SCRATCH_FDS])
{
	struct ring_call *call = ring_slot_call(pair->charger, slot);

	assert_int_equal(ring_take(pair->charger), slot);
	for (int i = 0; i < RING_SCRATCH_FDS; i++) {
		fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		assert_true(fds[i] >= 0);
		call->scratch_fds[i] = fds[i];
	}
}

static void assert_scratch_closed(const struct ring_call *call,
				  const int fds[RING_SCRATCH_FDS])
{
	for (int i = 0; i < RING_SCRATCH_FDS; i++) {
		assert_false(fd_is_open(fds[i]));
		assert_int_equal(call->scratch_fds[i], -1);
	}
}

/* The fds that a dead charger's call had open don't stay in the table. */
static void test_repost_closes_scratch(void **state)
{
	struct pair *pair = *state;
	unsigned int slot = post(pair->daemon, RING_CLAIM, 1);
	int fds[RING_SCRATCH_FDS];

	die_with_scratch(pair, slot, fds);
	ring_repost(pair->daemon);
	assert_scratch_closed(ring_slot_call(pair->daemon, slot), fds);
	serve(pair->charger, ring_take(pair->charger));
	finish(pair->daemon, slot);
}

/* Nor do they where there is no successor. */
static void test_fail_closes_scratch(void **state)
{
	struct pair *pair = *state;
	unsigned int slot = post(pair->daemon, RING_CLAIM, 1);
	int fds[RING_SCRATCH_FDS];

	die_with_scratch(pair, slot, fds);
	ring_fail(pair->daemon, -EHOSTDOWN);
	assert_int_equal(finish(pair->daemon, slot), -EHOSTDOWN);
	assert_scratch_closed(ring_slot_call(pair->daemon, slot), fds);
}

/*
 * There will be no charger: what is posted or taken ends with the error,
 * what is done keeps its answer; later calls find a later charger, once.
 */
static void test_fail(void **state)
{
	struct pair *pair = *state;
	unsigned int done, taken, posted, later;

	done = post(pair->daemon, RING_READ, 10);
	ring_take(pair->charger);
	serve(pair->charger, done);
	taken = post(pair->daemon, RING_READ, 20);
	ring_take(pair->charger);
	posted = post(pair->daemon, RING_READ, 30);

	ring_fail(pair->daemon, -EHOSTDOWN);
	assert_int_equal(finish(pair->daemon, done), 11);
	assert_int_equal(finish(pair->daemon, taken), -EHOSTDOWN);
	assert_int_equal(finish(pair->daemon, posted), -EHOSTDOWN);

	later = post(pair->daemon, RING_READ, 40);
	assert_int_equal(ring_take(pair->charger), later);
	serve(pair->charger, later);
	assert_int_equal(finish(pair->daemon, later), 41);
}

struct failed_poster {
	struct ring *ring;
	_Atomic bool has_posted;
	int64_t result;
};

static void *failed_poster_thread(void *arg)
{
	struct failed_poster *poster = arg;
	unsigned int slot = post(poster->ring, RING_READ, 1);

	poster->has_posted = true;
	poster->result = finish(poster->ring, slot);
	return NULL;
}

/* Threads that have been asleep in ring_wait() for long are woken. */
static void test_fail_wakes_sleepers(void **state)
{
	struct pair *pair = *state;
	struct failed_poster posters[8] = { { 0 } };
	pthread_t threads[8];

	for (int i = 0; i < 8; i++) {
		posters[i].ring = pair->daemon;
		pthread_create(&threads[i], NULL, failed_poster_thread,
			       &posters[i]);
	}
	for (int i = 0; i < 8; i++)
		while (!posters[i].has_posted)
			unit_sleep_ms(1);
	unit_sleep_ms(20);
	ring_fail(pair->daemon, -EHOSTDOWN);
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(posters[i].result, -EHOSTDOWN);
	}
}

/* Ready, not to be had, or dead before it could say so. */
static void test_ready(void **state)
{
	struct pair *pair = *state;
	int living = eventfd(0, EFD_CLOEXEC); /* as a pidfd: not readable */
	int dead = eventfd(1, EFD_CLOEXEC);

	ring_set_ready(pair->charger, 0);
	assert_int_equal(ring_wait_ready(pair->daemon, living, -1, 1000000000),
			 0);
	ring_set_ready(pair->charger, -EBUSY);
	assert_int_equal(ring_wait_ready(pair->daemon, living, -1, 1000000000),
			 -EBUSY);
	assert_int_equal(ring_wait_ready(pair->daemon, dead, -1, 1000000000),
			 -ESRCH);
	close(living);
	close(dead);
}

/* A ring takes one fd, and gives it back. */
static void test_no_fd_is_left(void **state)
{
	unsigned int before = count_fds();
	struct ring *ring;

	assert_int_equal(ring_new(&ring), 0);
	assert_int_equal(count_fds(), before + 1);
	assert_int_equal(fcntl(ring_fd(ring), F_GETFD), FD_CLOEXEC);
	assert_null(ring_free(ring));
	assert_null(ring_free(NULL));
	assert_int_equal(count_fds(), before);
}

#define ring_test(name) \
	cmocka_unit_test_setup_teardown(name, pair_setup, pair_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ring_test(test_one_call),
		ring_test(test_all_slots),
		ring_test(test_200000_calls),
		ring_test(test_calls_with_pauses),
		ring_test(test_a_slot_for_each_waiter),
		ring_test(test_more_threads_than_slots),
		ring_test(test_repost),
		ring_test(test_attempts_add_up),
		ring_test(test_repost_closes_scratch),
		ring_test(test_fail_closes_scratch),
		ring_test(test_fail),
		ring_test(test_fail_wakes_sleepers),
		ring_test(test_ready),
		cmocka_unit_test(test_no_fd_is_left),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
