// SPDX-License-Identifier: GPL-2.0-or-later
/* Threads follow those that wait for them, and are free again. */
#include "affinity.h"

#include "unit.h"

#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#define MANY_SMALL 100
#define MANY_LARGE 1000

/* A client on a CPU of its own, asleep or busy until it may end. */
struct client {
	pthread_t thread;
	int cpu;
	bool busy;
	atomic_int tid;
	atomic_bool end;
	sem_t over;
};

static void *client_main(void *arg)
{
	struct client *client = arg;
	cpu_set_t only;

	CPU_ZERO(&only);
	CPU_SET(client->cpu, &only);
	sched_setaffinity(0, sizeof(only), &only);
	client->tid = (int)syscall(SYS_gettid);
	while (client->busy && !client->end)
		;
	sem_wait(&client->over);
	return NULL;
}

static void client_start(struct client *client)
{
	sem_init(&client->over, 0, 0);
	pthread_create(&client->thread, NULL, client_main, client);
	while (!client->tid)
		unit_sleep_ms(1);
}

static void client_stop(struct client *client)
{
	client->end = true;
	sem_post(&client->over);
	pthread_join(client->thread, NULL);
	sem_destroy(&client->over);
}

static cpu_set_t allowed_now(void)
{
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	return set;
}

static int first_cpu(void)
{
	cpu_set_t set = allowed_now();
	int cpu = 0;

	while (!CPU_ISSET(cpu, &set))
		cpu++;
	return cpu;
}

static int last_cpu(void)
{
	cpu_set_t set = allowed_now();
	int last = 0;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set))
			last = cpu;
	return last;
}

static void relax_fully(void)
{
	for (int i = 0; i < MANY_SMALL; i++)
		affinity_relax();
}

/* It takes a moment to fall asleep. */
static void follow(const struct client *client)
{
	for (int ms = 0; ms < 10000 && affinity_cpu() != client->cpu; ms++) {
		affinity_follow(client->tid);
		unit_sleep_ms(1);
	}
}

static void test_follows_a_sleeper(void **state)
{
	struct client client = { .cpu = last_cpu() };
	cpu_set_t before = allowed_now();
	cpu_set_t now;

	(void)state;
	client_start(&client);
	assert_int_equal(affinity_cpu(), AFFINITY_ANY);
	follow(&client);
	client_stop(&client);
	assert_int_equal(affinity_cpu(), client.cpu);
	assert_int_equal(sched_getcpu(), client.cpu);
	now = allowed_now();
	assert_int_equal(CPU_COUNT(&now), 1);

	affinity_relax(); /* one small request says little */
	assert_int_equal(affinity_cpu(), client.cpu);
	relax_fully();
	assert_int_equal(affinity_cpu(), AFFINITY_ANY);
	now = allowed_now();
	assert_true(CPU_EQUAL(&now, &before));
}

/*
 * The same client is looked for only now and then: one who is gone meanwhile
 * is still followed for a few requests. Another one is looked for at once.
 */
static void test_looks_now_and_then(void **state)
{
	struct client client = { .cpu = last_cpu() };
	struct client other = { .cpu = first_cpu() };

	(void)state;
	client_start(&client);
	client_start(&other);
	follow(&client);
	for (int i = 0; i < MANY_SMALL; i++) {
		affinity_relax();
		affinity_follow(client.tid);
	}
	assert_int_equal(affinity_cpu(), client.cpu);
	follow(&other);
	assert_int_equal(affinity_cpu(), other.cpu);
	follow(&client);
	client_stop(&client);
	client_stop(&other);

	affinity_follow(client.tid);
	assert_int_equal(affinity_cpu(), client.cpu);
	for (int i = 0; i < MANY_LARGE; i++)
		affinity_follow(client.tid);
	assert_int_equal(affinity_cpu(), AFFINITY_ANY);
}

static void test_leaves_the_busy_alone(void **state)
{
	struct client client = { .cpu = last_cpu(), .busy = true };
	pid_t self = (pid_t)syscall(SYS_gettid);

	(void)state;
	client_start(&client);
	affinity_follow(client.tid);
	client_stop(&client);
	assert_int_equal(affinity_cpu(), AFFINITY_ANY);
	affinity_follow(self); /* it runs, as it asks */
	assert_int_equal(affinity_cpu(), AFFINITY_ANY);
}

static void test_unknown_threads(void **state)
{
	(void)state;
	affinity_follow(0);
	affinity_follow(-1);
	affinity_follow(INT32_MAX);
	assert_int_equal(affinity_cpu(), AFFINITY_ANY);
}

static void test_joins(void **state)
{
	int cpu = last_cpu();

	(void)state;
	affinity_join(cpu);
	assert_int_equal(affinity_cpu(), cpu);
	affinity_join(AFFINITY_ANY);
	assert_int_equal(affinity_cpu(), cpu);
	for (int i = 0; i < MANY_SMALL; i++)
		affinity_join(AFFINITY_ANY);
	assert_int_equal(affinity_cpu(), AFFINITY_ANY);
	affinity_join(CPU_SETSIZE + 1);
	affinity_join(CPU_SETSIZE - 1); /* few have so many */
	assert_int_not_equal(affinity_cpu(), CPU_SETSIZE + 1);
	relax_fully();
}

static void *cpu_count_thread(void *arg)
{
	cpu_set_t set;

	affinity_init_thread();
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		*(int *)arg = CPU_COUNT(&set);
	return NULL;
}

/* A thread's child does not follow whom it follows. */
static void test_a_thread_of_a_follower(void **state)
{
	cpu_set_t before = allowed_now();
	pthread_t thread;
	int count = 0;

	(void)state;
	affinity_join(last_cpu());
	pthread_create(&thread, NULL, cpu_count_thread, &count);
	pthread_join(thread, NULL);
	relax_fully();
	assert_int_equal(count, CPU_COUNT(&before));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_follows_a_sleeper),
		cmocka_unit_test(test_looks_now_and_then),
		cmocka_unit_test(test_leaves_the_busy_alone),
		cmocka_unit_test(test_unknown_threads),
		cmocka_unit_test(test_joins),
		cmocka_unit_test(test_a_thread_of_a_follower),
	};

	unit_watchdog(60);
	affinity_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
