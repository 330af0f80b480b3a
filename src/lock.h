/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mutex for pure modules: to wait for another thread is all that it does.
 */
#ifndef MEMCGFS_LOCK_H
#define MEMCGFS_LOCK_H

#include <pthread.h>

struct lock {
	pthread_mutex_t mutex;
};

static inline void lock_init(struct lock *lock)
{
	pthread_mutex_init(&lock->mutex, NULL);
}

static inline void lock_destroy(struct lock *lock)
{
	pthread_mutex_destroy(&lock->mutex);
}

static inline void lock_take(struct lock *lock)
{
	pthread_mutex_lock(&lock->mutex);
}

static inline void lock_give(struct lock *lock)
{
	pthread_mutex_unlock(&lock->mutex);
}

#endif
