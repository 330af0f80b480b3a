// SPDX-License-Identifier: GPL-2.0-or-later
/* The background's work on the books; see bookkeeper.h. */
#include "bookkeeper.h"

#include "residency.h"
#include "util.h"
#include "worker.h"

#define PASS_MS 1000
#define PERCENT 0.5 /* of one core */
/* Without a sign of reclaim; files are also changed beside the mount. */
#define COUNT_ANYWAY_S 3

struct bookkeeper {
	struct bookkeeper_config config;
	struct worker worker;
	/* The thread's own. */
	uint64_t refaults; /* when the last count began */
	uint32_t counted_s;
	uint32_t next_decay_s;
};

/* What is to be done with each file in a pass. */
struct chores {
	bool counts;
	uint32_t decay_s; /* uses before are forgotten; 0: none */
};

/* Whether what is resident may be less than when it was counted last. */
static bool has_reason(struct bookkeeper *bookkeeper)
{
	uint64_t refaults = residency_refaults();
	uint32_t now = now_s();

	if (refaults && refaults == bookkeeper->refaults &&
	    now - bookkeeper->counted_s < COUNT_ANYWAY_S)
		return false;
	bookkeeper->refaults = refaults;
	bookkeeper->counted_s = now;
	return true;
}

/* A use is forgotten a tenth of the time, and a pass, too late at most. */
static uint32_t decay_due(struct bookkeeper *bookkeeper)
{
	uint32_t decay_s = bookkeeper->config.share_decay_s;
	uint32_t now = now_s();

	if (now < bookkeeper->next_decay_s || now <= decay_s)
		return 0;
	bookkeeper->next_decay_s = now + decay_s / 10;
	return now - decay_s;
}

/* With what chargers did for it. */
static uint64_t used_ns(const struct bookkeeper *bookkeeper)
{
	return thread_ns() + charge_look_ns(bookkeeper->config.charge);
}

static void look_at(struct bookkeeper *bookkeeper, struct inode *inode,
		    const struct chores *chores)
{
	struct charge *charge = bookkeeper->config.charge;
	uint64_t before = used_ns(bookkeeper);

	if (chores->counts)
		charge_recount(charge, inode);
	if (chores->decay_s)
		charge_decay(charge, inode, chores->decay_s);
	allowance_spend(&bookkeeper->worker.allowance,
			used_ns(bookkeeper) - before);
}

static bool is_charged(const struct inode *inode)
{
	return inode_is_marked(inode, INODE_CHARGED);
}

/* The next part of the table; to look through it is work, too. */
static bool next_part(struct bookkeeper *bookkeeper, unsigned int *part,
		      struct inode ***found, size_t *count)
{
	uint64_t before = thread_ns();
	bool is_there;

	is_there = inode_table_next(bookkeeper->config.table, part, is_charged,
				    found, count);
	allowance_spend(&bookkeeper->worker.allowance, thread_ns() - before);
	return is_there;
}

static void look_at_all(struct bookkeeper *bookkeeper,
			const struct chores *chores)
{
	struct inode_table *table = bookkeeper->config.table;
	struct inode **found;
	unsigned int part = 0;
	bool goes_on = true;
	size_t count;

	while (goes_on && next_part(bookkeeper, &part, &found, &count)) {
		for (size_t i = 0; i < count; i++) {
			goes_on = goes_on && worker_rest(&bookkeeper->worker);
			if (goes_on)
				look_at(bookkeeper, found[i], chores);
			inode_forget(table, found[i], 1);
		}
		free(found);
		goes_on = goes_on && worker_rest(&bookkeeper->worker);
	}
}

static void pass(struct bookkeeper *bookkeeper)
{
	struct chores chores = {
		.counts = has_reason(bookkeeper),
		.decay_s = decay_due(bookkeeper),
	};

	if (chores.counts || chores.decay_s)
		look_at_all(bookkeeper, &chores);
	books_prune(bookkeeper->config.books);
}

static void *bookkeeper_main(void *arg)
{
	struct bookkeeper *bookkeeper = arg;

	while (!worker_is_stopped(&bookkeeper->worker, PASS_MS))
		pass(bookkeeper);
	return NULL;
}

int bookkeeper_new(const struct bookkeeper_config *config,
		   struct bookkeeper **out)
{
	struct bookkeeper *bookkeeper;
	int r;

	bookkeeper = calloc(1, sizeof(*bookkeeper));
	if (!bookkeeper)
		return -ENOMEM;
	bookkeeper->config = *config;
	r = worker_start(&bookkeeper->worker, &(struct worker_job){
						      .main = bookkeeper_main,
						      .arg = bookkeeper,
						      .percent = PERCENT,
					      });
	if (r < 0) {
		free(bookkeeper);
		return r;
	}
	*out = bookkeeper;
	return 0;
}

struct bookkeeper *bookkeeper_free(struct bookkeeper *bookkeeper)
{
	if (!bookkeeper)
		return NULL;
	worker_stop(&bookkeeper->worker);
	free(bookkeeper);
	return NULL;
}
