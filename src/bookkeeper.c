// SPDX-License-Identifier: GPL-2.0-or-later
/* The background's work on the books; see bookkeeper.h. */
#include "bookkeeper.h"

#include "allowance.h"
#include "residency.h"
#include "util.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#define PASS_MS 1000
#define PERCENT 0.5 /* of one core */
/* Without a sign of reclaim; files are also changed beside the mount. */
#define COUNT_ANYWAY_S 3

struct bookkeeper {
	struct bookkeeper_config config;
	pthread_t thread;
	bool is_running;
	int stop_fd;
	/* The thread's own. */
	struct allowance allowance;
	uint64_t refaults; /* when the last count began */
	uint32_t counted_s;
	uint32_t next_decay_s;
};

/* What is to be done with each file in a pass. */
struct task {
	bool counts;
	uint32_t decay_s; /* uses before are forgotten; 0: none */
};

static uint32_t seconds_now(void)
{
	return (uint32_t)(now_ns() / 1000000000u);
}

/* Waits for @ms at most: whether it is to end. */
static bool is_stopped(const struct bookkeeper *bookkeeper, int ms)
{
	struct pollfd pfd = { .fd = bookkeeper->stop_fd, .events = POLLIN };

	return poll(&pfd, 1, ms) > 0;
}

static bool rest(struct bookkeeper *bookkeeper)
{
	unsigned int ms;

	allowance_earn(&bookkeeper->allowance, now_ns());
	ms = allowance_rest_ms(&bookkeeper->allowance);
	return !ms || !is_stopped(bookkeeper, (int)ms);
}

/* Whether what is resident may be less than when it was counted last. */
static bool has_reason(struct bookkeeper *bookkeeper)
{
	uint64_t refaults = residency_refaults();
	uint32_t now_s = seconds_now();

	if (refaults && refaults == bookkeeper->refaults &&
	    now_s - bookkeeper->counted_s < COUNT_ANYWAY_S)
		return false;
	bookkeeper->refaults = refaults;
	bookkeeper->counted_s = now_s;
	return true;
}

/* A use is forgotten a tenth of the time, and a pass, too late at most. */
static uint32_t decay_due(struct bookkeeper *bookkeeper)
{
	uint32_t decay_s = bookkeeper->config.share_decay_s;
	uint32_t now_s = seconds_now();

	if (now_s < bookkeeper->next_decay_s || now_s <= decay_s)
		return 0;
	bookkeeper->next_decay_s = now_s + decay_s / 10;
	return now_s - decay_s;
}

/* With what chargers did for it. */
static uint64_t used_ns(const struct bookkeeper *bookkeeper)
{
	return thread_ns() + charge_look_ns(bookkeeper->config.charge);
}

static void look_at(struct bookkeeper *bookkeeper, struct inode *inode,
		    const struct task *task)
{
	struct charge *charge = bookkeeper->config.charge;
	uint64_t before = used_ns(bookkeeper);

	if (task->counts)
		charge_recount(charge, inode);
	if (task->decay_s)
		charge_decay(charge, inode, task->decay_s);
	allowance_spend(&bookkeeper->allowance, used_ns(bookkeeper) - before);
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
	allowance_spend(&bookkeeper->allowance, thread_ns() - before);
	return is_there;
}

static void look_at_all(struct bookkeeper *bookkeeper, const struct task *task)
{
	struct inode_table *table = bookkeeper->config.table;
	struct inode **found;
	unsigned int part = 0;
	bool goes_on = true;
	size_t count;

	while (goes_on && next_part(bookkeeper, &part, &found, &count)) {
		for (size_t i = 0; i < count; i++) {
			goes_on = goes_on && rest(bookkeeper);
			if (goes_on)
				look_at(bookkeeper, found[i], task);
			inode_forget(table, found[i], 1);
		}
		free(found);
		goes_on = goes_on && rest(bookkeeper);
	}
}

static void pass(struct bookkeeper *bookkeeper)
{
	struct task task = {
		.counts = has_reason(bookkeeper),
		.decay_s = decay_due(bookkeeper),
	};

	if (task.counts || task.decay_s)
		look_at_all(bookkeeper, &task);
	books_prune(bookkeeper->config.books);
}

static void *bookkeeper_main(void *arg)
{
	struct bookkeeper *bookkeeper = arg;

	while (!is_stopped(bookkeeper, PASS_MS))
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
	bookkeeper->allowance = allowance_begin(PERCENT, now_ns());
	bookkeeper->stop_fd = eventfd(0, EFD_CLOEXEC);
	r = bookkeeper->stop_fd < 0 ? -errno : 0;
	if (r == 0)
		r = -pthread_create(&bookkeeper->thread, NULL, bookkeeper_main,
				    bookkeeper);
	bookkeeper->is_running = r == 0;
	if (r < 0) {
		bookkeeper_free(bookkeeper);
		return r;
	}
	*out = bookkeeper;
	return 0;
}

struct bookkeeper *bookkeeper_free(struct bookkeeper *bookkeeper)
{
	if (!bookkeeper)
		return NULL;
	if (bookkeeper->is_running) {
		eventfd_write(bookkeeper->stop_fd, 1);
		pthread_join(bookkeeper->thread, NULL);
	}
	close_fd(bookkeeper->stop_fd);
	free(bookkeeper);
	return NULL;
}
