// SPDX-License-Identifier: GPL-2.0-or-later
/* On watch: never more than can be of use, never nobody while some rest. */
#include "watch.h"

#include "task.h"
#include "unit.h"

#include <stdatomic.h>
#include <sys/syscall.h>

#define SOME_MS 20
#define PATIENCE_MS 10000
#define THREADS 8
#define ROUNDS 20000

/* A worker: comes, is on watch until he may end it, and says when. */
struct worker {
	pthread_t thread;
	struct watch *watch;
	atomic_int tid; /* set just before he comes */
	atomic_bool is_on_watch;
	atomic_bool may_end;
};

static void *worker_main(void *arg)
{
	struct worker *worker = arg;

	worker->tid = (int)syscall(SYS_gettid);
	watch_begin(worker->watch);
	worker->is_on_watch = true;
	while (!worker->may_end)
		unit_sleep_ms(1);
	watch_end(worker->watch);
	return NULL;
}

static bool is_asleep(pid_t tid)
{
	struct task_file file = { 0 };
	char text[TASK_STAT_BYTES];
	bool asleep;

	asleep = task_file_read(&file, tid, "stat", text, sizeof(text)) > 0 &&
		 *task_stat_field(text, TASK_STAT_STATE) == 'S';
	if (file.tid)
		close(file.fd);
	return asleep;
}

/* Until he is on watch, or rests. */
static void worker_come(struct worker *worker, struct watch *watch)
{
	*worker = (struct worker){ .watch = watch };
	pthread_create(&worker->thread, NULL, worker_main, worker);
	while (!worker->tid || !is_asleep(worker->tid))
		unit_sleep_ms(1);
}

static bool is_called(const struct worker *worker)
{
	for (int ms = 0; ms < PATIENCE_MS && !worker->is_on_watch; ms++)
		unit_sleep_ms(1);
	return worker->is_on_watch;
}

static void worker_end(struct worker *worker)
{
	worker->may_end = true;
	pthread_join(worker->thread, NULL);
}

static void worker_cancel(struct worker *worker)
{
	pthread_cancel(worker->thread);
	pthread_join(worker->thread, NULL);
}

/*
 * Five come, two are on watch. When one ends, the other is still there, and
 * nobody is called; when he ends, too, the last of those who rest is.
 */
static void test_the_last_to_rest_is_called(void **state)
{
	struct worker workers[5];
	struct watch *watch;

	(void)state;
	assert_int_equal(watch_new(2, &watch), 0);
	for (int i = 0; i < 5; i++)
		worker_come(&workers[i], watch);
	for (int i = 0; i < 2; i++)
		assert_true(is_called(&workers[i]));

	worker_end(&workers[0]);
	unit_sleep_ms(SOME_MS);
	for (int i = 2; i < 5; i++)
		assert_false(workers[i].is_on_watch);
	worker_end(&workers[1]);
	assert_true(is_called(&workers[4]));
	assert_false(workers[3].is_on_watch);

	worker_end(&workers[4]);
	assert_true(is_called(&workers[3]));
	assert_false(workers[2].is_on_watch);
	worker_end(&workers[3]);
	worker_end(&workers[2]);
	assert_null(watch_free(watch));
	assert_null(watch_free(NULL));
}

/* Who is cancelled while he rests is not called any more. */
static void test_who_is_cancelled(void **state)
{
	struct worker workers[4];
	struct watch *watch;

	(void)state;
	assert_int_equal(watch_new(1, &watch), 0);
	for (int i = 0; i < 4; i++)
		worker_come(&workers[i], watch);
	worker_cancel(&workers[2]);
	worker_end(&workers[0]);
	assert_true(is_called(&workers[3]));
	worker_end(&workers[3]);
	assert_true(is_called(&workers[1]));
	worker_end(&workers[1]);
	watch_free(watch);
}

struct crowd {
	struct watch *watch;
	atomic_int on_watch;
	atomic_int most;
};

static void *crowd_main(void *arg)
{
	struct crowd *crowd = *(struct crowd **)arg;
	int now, most;

	for (int i = 0; i < UNIT_ROUNDS(ROUNDS); i++) {
		watch_begin(crowd->watch);
		now = ++crowd->on_watch;
		most = crowd->most;
		while (now > most &&
		       !atomic_compare_exchange_weak(&crowd->most, &most, now))
			;
		crowd->on_watch--;
		watch_end(crowd->watch);
	}
	return NULL;
}

/* Eight come and go 20,000 times: at most three at once, and all get there. */
static void test_a_crowd(void **state)
{
	struct crowd crowd = { 0 };
	struct crowd *all[THREADS];

	(void)state;
	unit_watchdog(120);
	assert_int_equal(watch_new(3, &crowd.watch), 0);
	for (int i = 0; i < THREADS; i++)
		all[i] = &crowd;
	run_threads(THREADS, crowd_main, all, sizeof(*all));
	assert_in_range(crowd.most, 1, 3);
	assert_int_equal(crowd.on_watch, 0);
	watch_free(crowd.watch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_last_to_rest_is_called),
		cmocka_unit_test(test_who_is_cancelled),
		cmocka_unit_test(test_a_crowd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
