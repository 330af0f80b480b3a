// SPDX-License-Identifier: GPL-2.0-or-later
/* Threads for work that may wait; see pool.h. */
#include "pool.h"

#include "affinity.h"
#include "util.h"

#include <pthread.h>

struct work {
	struct work *next;
	void (*run)(void *userdata);
	void *userdata;
};

struct pool {
	pthread_mutex_t lock; /* for all below */
	pthread_cond_t changed;
	struct work *head;
	struct work **tail;
	unsigned int queued;
	unsigned int idle;
	unsigned int n_threads;
	unsigned int max_threads;
	bool stopping;
	pthread_t threads[];
};

int pool_new(unsigned int max_threads, struct pool **out)
{
	struct pool *pool;

	pool = calloc(1, sizeof(*pool) + max_threads * sizeof(pthread_t));
	if (!pool)
		return -ENOMEM;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->changed, NULL);
	pool->tail = &pool->head;
	pool->max_threads = max_threads;
	*out = pool;
	return 0;
}

struct pool *pool_free(struct pool *pool)
{
	if (!pool)
		return NULL;
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned int i = 0; i < pool->n_threads; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->changed);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
	return NULL;
}

/* Under the lock; waits. NULL: the pool is stopping, all is done. */
static struct work *pool_take(struct pool *pool)
{
	struct work *work;

	while (!pool->head && !pool->stopping) {
		pool->idle++;
		pthread_cond_wait(&pool->changed, &pool->lock);
		pool->idle--;
	}
	work = pool->head;
	if (!work)
		return NULL;
	pool->head = work->next;
	if (!pool->head)
		pool->tail = &pool->head;
	pool->queued--;
	return work;
}

static void *pool_thread(void *arg)
{
	struct pool *pool = arg;
	struct work *work;

	affinity_init_thread();
	pthread_mutex_lock(&pool->lock);
	while ((work = pool_take(pool))) {
		pthread_mutex_unlock(&pool->lock);
		affinity_relax();
		work->run(work->userdata);
		free(work);
		pthread_mutex_lock(&pool->lock);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

int pool_submit(struct pool *pool, void (*run)(void *userdata), void *userdata)
{
	struct work *work;
	int r = 0;

	work = malloc(sizeof(*work));
	if (!work)
		return -ENOMEM;
	*work = (struct work){ .run = run, .userdata = userdata };
	pthread_mutex_lock(&pool->lock);
	if (pool->queued >= pool->idle && pool->n_threads < pool->max_threads) {
		r = pthread_create(&pool->threads[pool->n_threads], NULL,
				   pool_thread, pool);
		if (r == 0)
			pool->n_threads++;
	}
	/* Without a new thread the others get to it; with none, nobody. */
	r = pool->n_threads ? 0 : -ENOMEM;
	if (r == 0) {
		*pool->tail = work;
		pool->tail = &work->next;
		pool->queued++;
		pthread_cond_signal(&pool->changed);
	}
	pthread_mutex_unlock(&pool->lock);
	if (r < 0)
		free(work);
	return r;
}
