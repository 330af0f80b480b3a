// SPDX-License-Identifier: GPL-2.0-or-later
/* Who opens; see openers.h. */
#include "openers.h"

#include "cgroup.h"
#include "list.h"
#include "task.h"
#include "util.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define CACHED 8 /* threads, of each worker: as many fds */

struct opener {
	struct task_file cgroup; /* the worker's own */
	/*
	 * A reference. Whoever takes it out of here, in exchange for NULL, has
	 * it alone: the worker, or openers_expire(). Acquire and release.
	 */
	_Atomic(struct account *) account;
	_Atomic uint64_t seen_ns; /* relaxed: it orders nothing */
};

/* One worker's. */
struct cache {
	struct list link; /* the openers' lock */
	struct openers *openers;
	struct opener threads[CACHED];
};

struct openers {
	const struct cgroup_tree *tree;
	struct books *books;
	pthread_key_t key; /* of each worker's cache */
	pthread_mutex_t lock; /* for the list of all caches */
	struct list caches;
};

static struct account *take_account(struct opener *opener)
{
	return atomic_exchange_explicit(&opener->account, NULL,
					memory_order_acq_rel);
}

/* Called when a worker ends. */
static void cache_free(void *arg)
{
	struct cache *cache = arg;

	pthread_mutex_lock(&cache->openers->lock);
	list_del(&cache->link);
	pthread_mutex_unlock(&cache->openers->lock);
	for (int i = 0; i < CACHED; i++) {
		task_file_close(&cache->threads[i].cgroup);
		account_unref(take_account(&cache->threads[i]));
	}
	free(cache);
}

static struct cache *cache_new(struct openers *openers)
{
	struct cache *cache;

	cache = calloc(1, sizeof(*cache));
	if (!cache)
		return NULL;
	cache->openers = openers;
	pthread_mutex_lock(&openers->lock);
	list_add(&openers->caches, &cache->link);
	pthread_mutex_unlock(&openers->lock);
	if (pthread_setspecific(openers->key, cache) == 0)
		return cache;
	cache_free(cache);
	return NULL;
}

int openers_new(const struct cgroup_tree *tree, struct books *books,
		struct openers **out)
{
	struct openers *openers;
	int r;

	openers = calloc(1, sizeof(*openers));
	if (!openers)
		return -ENOMEM;
	openers->tree = tree;
	openers->books = books;
	r = -pthread_key_create(&openers->key, cache_free);
	if (r < 0) {
		free(openers);
		return r;
	}
	pthread_mutex_init(&openers->lock, NULL);
	list_init(&openers->caches);
	*out = openers;
	return 0;
}

struct openers *openers_free(struct openers *openers)
{
	if (!openers)
		return NULL;
	pthread_key_delete(openers->key);
	while (!list_empty(&openers->caches))
		cache_free(
			container_of(openers->caches.next, struct cache, link));
	pthread_mutex_destroy(&openers->lock);
	free(openers);
	return NULL;
}

static struct opener *cached(struct openers *openers, pid_t tid)
{
	struct cache *cache = pthread_getspecific(openers->key);

	if (!cache)
		cache = cache_new(openers);
	return cache ? &cache->threads[(unsigned int)tid % CACHED] : NULL;
}

/*
 * Whether the thread is about to end. cgroup v1 then has it in the root
 * (Linux 6.18), where it has never been.
 */
static bool is_ending(pid_t tid)
{
	char path[64], text[TASK_STAT_BYTES];
	const char *flags;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)tid);
	if (read_small_file(AT_FDCWD, path, text, sizeof(text)) < 0)
		return true;
	flags = task_stat_field(text, TASK_STAT_FLAGS);
	return flags && strtoul(flags, NULL, 10) & TASK_FLAG_ENDING;
}

/* Where it lives; most often that is where it was, @account: taken over. */
static struct account *ask(struct openers *openers, struct opener *opener,
			   pid_t tid, struct account *account)
{
	char path[CGROUP_PATH_MAX];
	char text[CGROUP_PATH_MAX];

	if (task_file_read(&opener->cgroup, tid, "cgroup", text, sizeof(text)) <
		    0 ||
	    cgroup_tree_parse_proc(openers->tree, text, path) < 0 ||
	    (strcmp(path, "/") == 0 && is_ending(tid)))
		return account_unref(account);
	if (account && strcmp(path, account_path(account)) == 0)
		return account;
	account_unref(account);
	return books_find(openers->books, path);
}

static uint64_t seen_ns(const struct opener *opener)
{
	return atomic_load_explicit(&opener->seen_ns, memory_order_relaxed);
}

struct account *openers_account(struct openers *openers, pid_t tid,
				uint64_t age_ns)
{
	uint64_t now = now_ns();
	struct account *account;
	struct opener *opener;

	/* A process of another pid namespace has no number here. */
	opener = tid > 0 ? cached(openers, tid) : NULL;
	if (!opener)
		return NULL;
	account = take_account(opener);
	if (!account || opener->cgroup.tid != tid ||
	    now - seen_ns(opener) > age_ns) {
		account = ask(openers, opener, tid, account);
		atomic_store_explicit(&opener->seen_ns, now,
				      memory_order_relaxed);
	}
	if (!account)
		return NULL;
	account_ref(account);
	atomic_store_explicit(&opener->account, account, memory_order_release);
	return account;
}

void openers_expire(struct openers *openers, uint64_t before_ns)
{
	struct list *link;

	pthread_mutex_lock(&openers->lock);
	for (link = openers->caches.next; link != &openers->caches;
	     link = link->next) {
		struct cache *cache = container_of(link, struct cache, link);

		for (int i = 0; i < CACHED; i++)
			if (seen_ns(&cache->threads[i]) < before_ns)
				account_unref(take_account(&cache->threads[i]));
	}
	pthread_mutex_unlock(&openers->lock);
}
