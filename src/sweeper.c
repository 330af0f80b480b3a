// SPDX-License-Identifier: GPL-2.0-or-later
/* A thread that clears away a moment later; see sweeper.h. */
#include "sweeper.h"

#include "affinity.h"

#include "util.h"

#include <pthread.h>

/* Measured: bench/scan.py. */
#define DELAY_NS (20 * UINT64_C(1000000))
#define BEGIN_BYTES (UINT64_C(1) << 20)
#define FULL_BYTES (UINT64_C(2) << 20)
#define FULL_ITEMS 1024 /* each may have fds open */

struct sweeper {
	struct sweeper_config config;
	pthread_t thread;
	pthread_mutex_t lock; /* for all below */
	pthread_cond_t changed;
	struct list queue; /* the first to be swept is its last */
	uint64_t bytes; /* with those of the one that is being swept */
	unsigned int items;
	bool stopping;
};

static bool is_worth_it(const struct sweeper *sweeper)
{
	return sweeper->stopping || sweeper->bytes >= BEGIN_BYTES;
}

static struct timespec moment_from_now(void)
{
	uint64_t then = now_ns() + DELAY_NS;

	return (struct timespec){
		.tv_sec = (time_t)(then / 1000000000),
		.tv_nsec = (long)(then % 1000000000),
	};
}

/* Under the lock: waits for something to do; false: there will be nothing. */
static bool wait_for_work(struct sweeper *sweeper)
{
	struct timespec until;

	while (list_empty(&sweeper->queue) && !sweeper->stopping)
		pthread_cond_wait(&sweeper->changed, &sweeper->lock);
	until = moment_from_now();
	while (!is_worth_it(sweeper) &&
	       pthread_cond_timedwait(&sweeper->changed, &sweeper->lock,
				      &until) == 0)
		;
	return !list_empty(&sweeper->queue);
}

static void *sweeper_main(void *arg)
{
	struct sweeper *sweeper = arg;
	struct sweeper_item *item;
	uint64_t bytes;
	int cpu;

	affinity_init_thread();
	pthread_mutex_lock(&sweeper->lock);
	while (wait_for_work(sweeper)) {
		while (!list_empty(&sweeper->queue)) {
			item = container_of(sweeper->queue.prev,
					    struct sweeper_item, link);
			list_del(&item->link);
			bytes = item->bytes;
			cpu = item->cpu;
			pthread_mutex_unlock(&sweeper->lock);
			affinity_join(cpu);
			sweeper->config.sweep(sweeper->config.userdata, item);
			pthread_mutex_lock(&sweeper->lock);
			sweeper->bytes -= bytes;
			sweeper->items--;
		}
	}
	pthread_mutex_unlock(&sweeper->lock);
	return NULL;
}

int sweeper_new(const struct sweeper_config *config, struct sweeper **out)
{
	struct sweeper *sweeper;
	pthread_condattr_t attr;
	int r;

	sweeper = calloc(1, sizeof(*sweeper));
	if (!sweeper)
		return -ENOMEM;
	sweeper->config = *config;
	list_init(&sweeper->queue);
	pthread_mutex_init(&sweeper->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&sweeper->changed, &attr);
	pthread_condattr_destroy(&attr);
	r = -pthread_create(&sweeper->thread, NULL, sweeper_main, sweeper);
	if (r < 0) {
		free(sweeper);
		return r;
	}
	*out = sweeper;
	return 0;
}

struct sweeper *sweeper_free(struct sweeper *sweeper)
{
	if (!sweeper)
		return NULL;
	pthread_mutex_lock(&sweeper->lock);
	sweeper->stopping = true;
	pthread_cond_signal(&sweeper->changed);
	pthread_mutex_unlock(&sweeper->lock);
	pthread_join(sweeper->thread, NULL);
	pthread_cond_destroy(&sweeper->changed);
	pthread_mutex_destroy(&sweeper->lock);
	free(sweeper);
	return NULL;
}

bool sweeper_add(struct sweeper *sweeper, struct sweeper_item *item,
		 uint64_t bytes, int cpu)
{
	bool has_room, is_first;

	pthread_mutex_lock(&sweeper->lock);
	has_room = !sweeper->stopping && sweeper->bytes < FULL_BYTES &&
		   sweeper->items < FULL_ITEMS;
	if (has_room) {
		is_first = list_empty(&sweeper->queue);
		item->bytes = bytes;
		item->cpu = cpu;
		list_add(&sweeper->queue, &item->link);
		sweeper->bytes += bytes;
		sweeper->items++;
		if (is_first || is_worth_it(sweeper))
			pthread_cond_signal(&sweeper->changed);
	}
	pthread_mutex_unlock(&sweeper->lock);
	return has_room;
}
