// SPDX-License-Identifier: GPL-2.0-or-later
/* Letting go of what clients cached by themselves; see inval.h. */
#include "inval.h"

#include "util.h"

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 17)
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>

#define DELAY_NS 10000000

/* An inode in the queue, which holds a lookup of it. */
struct queued {
	struct queued *next;
	struct inode *inode;
};

struct inval {
	struct inode_table *table;
	struct fuse_session *session;
	pthread_t thread;
	pthread_mutex_t lock; /* for all below */
	pthread_cond_t changed;
	struct queued *queue;
	bool stopping;
};

static struct queued *take_all(struct inval *inval)
{
	struct timespec delay = { .tv_nsec = DELAY_NS };
	struct queued *all;

	pthread_mutex_lock(&inval->lock);
	while (!inval->queue && !inval->stopping)
		pthread_cond_wait(&inval->changed, &inval->lock);
	pthread_mutex_unlock(&inval->lock);
	nanosleep(&delay, NULL);
	pthread_mutex_lock(&inval->lock);
	all = inval->stopping ? NULL : inval->queue;
	if (all)
		inval->queue = NULL;
	pthread_mutex_unlock(&inval->lock);
	return all;
}

static void *inval_main(void *arg)
{
	struct inval *inval = arg;
	struct queued *queued, *next;

	while ((next = take_all(inval))) {
		while ((queued = next)) {
			next = queued->next;
			/* A read from here on queues it again. */
			atomic_store(&queued->inode->inval_queued, false);
			fuse_lowlevel_notify_inval_inode(
				inval->session, (uintptr_t)queued->inode, 0, 0);
			inode_forget(inval->table, queued->inode, 1);
			free(queued);
		}
	}
	return NULL;
}

int inval_new(struct inode_table *table, struct inval **out)
{
	struct inval *inval;
	int r;

	inval = calloc(1, sizeof(*inval));
	if (!inval)
		return -ENOMEM;
	inval->table = table;
	pthread_mutex_init(&inval->lock, NULL);
	pthread_cond_init(&inval->changed, NULL);
	r = pthread_create(&inval->thread, NULL, inval_main, inval);
	if (r) {
		free(inval);
		return -r;
	}
	*out = inval;
	return 0;
}

struct inval *inval_free(struct inval *inval)
{
	struct queued *queued;

	if (!inval)
		return NULL;
	pthread_mutex_lock(&inval->lock);
	inval->stopping = true;
	pthread_cond_signal(&inval->changed);
	pthread_mutex_unlock(&inval->lock);
	pthread_join(inval->thread, NULL);
	while ((queued = inval->queue)) {
		inval->queue = queued->next;
		inode_forget(inval->table, queued->inode, 1);
		free(queued);
	}
	pthread_cond_destroy(&inval->changed);
	pthread_mutex_destroy(&inval->lock);
	free(inval);
	return NULL;
}

void inval_set_session(struct inval *inval, struct fuse_session *session)
{
	inval->session = session;
}

void inval_queue(struct inval *inval, struct inode *inode)
{
	struct queued *queued;

	if (atomic_exchange(&inode->inval_queued, true))
		return;
	queued = malloc(sizeof(*queued));
	if (!queued) {
		atomic_store(&inode->inval_queued, false);
		return;
	}
	queued->inode = inode;
	inode_ref(inval->table, inode);
	pthread_mutex_lock(&inval->lock);
	queued->next = inval->queue;
	inval->queue = queued;
	pthread_cond_signal(&inval->changed);
	pthread_mutex_unlock(&inval->lock);
}
