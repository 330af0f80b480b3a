// SPDX-License-Identifier: GPL-2.0-or-later
/* Who is on watch for messages; see watch.h. */
#include "watch.h"

#include "util.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

/* One who rests; a thread does so in one place at a time. */
struct rester {
	struct rester *next;
	pthread_cond_t called;
	bool is_called; /* he is on watch then */
};

static __thread struct rester self;

struct watch {
	pthread_mutex_t lock; /* for all below, and the resters */
	struct rester *resting; /* the last one first */
	unsigned int on_watch;
	unsigned int limit;
};

int watch_new(unsigned int limit, struct watch **out)
{
	struct watch *watch;

	watch = calloc(1, sizeof(*watch));
	if (!watch)
		return -ENOMEM;
	pthread_mutex_init(&watch->lock, NULL);
	watch->limit = limit;
	*out = watch;
	return 0;
}

struct watch *watch_free(struct watch *watch)
{
	if (!watch)
		return NULL;
	pthread_mutex_destroy(&watch->lock);
	free(watch);
	return NULL;
}

/* Under the lock: one fewer. Nobody is left only if nobody rests. */
static void go_off(struct watch *watch)
{
	struct rester *next = watch->resting;

	if (--watch->on_watch || !next)
		return;
	watch->resting = next->next;
	watch->on_watch++;
	next->is_called = true;
	pthread_cond_signal(&next->called);
}

/* Cancelled, with the lock held: he is gone, whether he was called or not. */
static void stop_resting(void *arg)
{
	struct watch *watch = arg;
	struct rester **at = &watch->resting;

	if (self.is_called) {
		go_off(watch);
	} else {
		while (*at != &self)
			at = &(*at)->next;
		*at = self.next;
	}
	pthread_mutex_unlock(&watch->lock);
}

/* Under the lock, which it gives up meanwhile. */
static void rest(struct watch *watch)
{
	self = (struct rester){
		.next = watch->resting,
		.called = PTHREAD_COND_INITIALIZER,
	};
	watch->resting = &self;
	pthread_cleanup_push(stop_resting, watch);
	while (!self.is_called)
		pthread_cond_wait(&self.called, &watch->lock);
	pthread_cleanup_pop(false);
}

void watch_begin(struct watch *watch)
{
	pthread_mutex_lock(&watch->lock);
	if (watch->on_watch < watch->limit)
		watch->on_watch++;
	else
		rest(watch);
	pthread_mutex_unlock(&watch->lock);
}

void watch_end(struct watch *watch)
{
	pthread_mutex_lock(&watch->lock);
	go_off(watch);
	pthread_mutex_unlock(&watch->lock);
}
