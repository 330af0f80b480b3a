// SPDX-License-Identifier: GPL-2.0-or-later
/* Who opens; see openers.h. */
#include "openers.h"

#include "cgroup.h"
#include "task.h"
#include "util.h"

#include <pthread.h>
#include <string.h>

#define CACHED 8 /* threads, of each worker: as many fds */

struct opener {
	struct task_file cgroup;
	struct account *account; /* a reference */
	uint64_t seen_ns;
};

struct openers {
	const struct cgroup_tree *tree;
	struct books *books;
	pthread_key_t key; /* of each worker's opener[CACHED] */
};

static void cache_free(void *cache)
{
	struct opener *openers = cache;

	for (int i = 0; openers && i < CACHED; i++) {
		task_file_close(&openers[i].cgroup);
		account_unref(openers[i].account);
	}
	free(openers);
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
	*out = openers;
	return 0;
}

struct openers *openers_free(struct openers *openers)
{
	if (!openers)
		return NULL;
	cache_free(pthread_getspecific(openers->key));
	pthread_key_delete(openers->key);
	free(openers);
	return NULL;
}

static struct opener *cached(struct openers *openers, pid_t tid)
{
	struct opener *cache = pthread_getspecific(openers->key);

	if (!cache) {
		cache = calloc(CACHED, sizeof(*cache));
		if (!cache)
			return NULL;
		pthread_setspecific(openers->key, cache);
	}
	return &cache[(unsigned int)tid % CACHED];
}

/* Reads where it lives; most often that is where it was. */
static void ask(struct openers *openers, struct opener *opener, pid_t tid)
{
	char path[CGROUP_PATH_MAX];
	char text[CGROUP_PATH_MAX];

	if (task_file_read(&opener->cgroup, tid, "cgroup", text, sizeof(text)) <
		    0 ||
	    cgroup_tree_parse_proc(openers->tree, text, path) < 0) {
		opener->account = account_unref(opener->account);
		return;
	}
	if (opener->account && strcmp(path, account_path(opener->account)) == 0)
		return;
	account_unref(opener->account);
	opener->account = books_find(openers->books, path);
}

struct account *openers_account(struct openers *openers, pid_t tid,
				uint64_t age_ns)
{
	uint64_t now = now_ns();
	struct opener *opener;

	/* A process of another pid namespace has no number here. */
	opener = tid > 0 ? cached(openers, tid) : NULL;
	if (!opener)
		return NULL;
	if (opener->cgroup.tid != tid || now - opener->seen_ns > age_ns) {
		ask(openers, opener, tid);
		opener->seen_ns = now;
	}
	return opener->account;
}
