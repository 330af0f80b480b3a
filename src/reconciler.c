// SPDX-License-Identifier: GPL-2.0-or-later
/* The background's work on drift; see reconciler.h. */
#include "reconciler.h"

#include "allowance.h"
#include "residency.h"
#include "util.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#define LOOK_MS 200
#define RETRY_NS (5 * UINT64_C(1000000000))

struct reconciler {
	struct reconciler_config config;
	pthread_t thread;
	bool is_running;
	int stop_fd;
	/* The thread's own. */
	uint64_t refaults; /* when the last pass began */
	uint64_t next_retry_ns;
	struct allowance allowance;
};

/* Waits for @ms at most: whether it is to end. */
static bool is_stopped(const struct reconciler *reconciler, int ms)
{
	struct pollfd pfd = { .fd = reconciler->stop_fd, .events = POLLIN };

	return poll(&pfd, 1, ms) > 0;
}

/* When all is used up, until there is enough again: whether it is to go on. */
static bool rest(struct reconciler *reconciler)
{
	unsigned int ms;

	allowance_earn(&reconciler->allowance, now_ns());
	for (ms = allowance_rest_ms(&reconciler->allowance); ms;) {
		if (is_stopped(reconciler, ms < LOOK_MS ? (int)ms : LOOK_MS))
			return false;
		ms -= ms < LOOK_MS ? ms : LOOK_MS;
	}
	return true;
}

/* Not by the clock on the wall: on a busy machine most of that is waiting. */
static uint64_t used_ns(const struct reconciler *reconciler)
{
	return thread_ns() + charge_look_ns(reconciler->config.charge);
}

static void look_at(struct reconciler *reconciler, struct inode *inode,
		    enum charge_reason reason)
{
	uint64_t before = used_ns(reconciler);

	charge_reconcile(reconciler->config.charge, inode, reason);
	allowance_spend(&reconciler->allowance, used_ns(reconciler) - before);
}

static enum charge_reason reason_now(struct reconciler *reconciler)
{
	uint64_t refaults = residency_refaults();
	uint64_t now = now_ns();
	enum charge_reason reason = CHARGE_NO_REASON;

	if (now >= reconciler->next_retry_ns) {
		reconciler->next_retry_ns = now + RETRY_NS;
		reason = CHARGE_RETRY;
	}
	if (!refaults || refaults != reconciler->refaults)
		reason = CHARGE_REFAULTS;
	reconciler->refaults = refaults;
	return reason;
}

/* One look at all that is exposed. */
static void pass(struct reconciler *reconciler)
{
	struct inode_table *table = reconciler->config.table;
	enum charge_reason reason = reason_now(reconciler);
	bool goes_on = true;
	struct inode **found;
	unsigned int part = 0;
	size_t count;

	while (goes_on && inode_exposed_next(table, &part, &found, &count)) {
		goes_on = !is_stopped(reconciler, 0);
		for (size_t i = 0; i < count; i++) {
			goes_on = goes_on && rest(reconciler);
			if (goes_on)
				look_at(reconciler, found[i], reason);
			inode_forget(table, found[i], 1);
		}
		free(found);
	}
}

static void *reconciler_main(void *arg)
{
	struct reconciler *reconciler = arg;

	while (!is_stopped(reconciler, LOOK_MS))
		pass(reconciler);
	return NULL;
}

int reconciler_new(const struct reconciler_config *config,
		   struct reconciler **out)
{
	struct reconciler *reconciler;
	int r;

	reconciler = calloc(1, sizeof(*reconciler));
	if (!reconciler)
		return -ENOMEM;
	reconciler->config = *config;
	reconciler->allowance = allowance_begin(config->percent, now_ns());
	reconciler->refaults = residency_refaults();
	reconciler->stop_fd = eventfd(0, EFD_CLOEXEC);
	r = reconciler->stop_fd < 0 ? -errno : 0;
	if (r == 0)
		r = -pthread_create(&reconciler->thread, NULL, reconciler_main,
				    reconciler);
	reconciler->is_running = r == 0;
	if (r < 0) {
		reconciler_free(reconciler);
		return r;
	}
	*out = reconciler;
	return 0;
}

struct reconciler *reconciler_free(struct reconciler *reconciler)
{
	if (!reconciler)
		return NULL;
	if (reconciler->is_running) {
		eventfd_write(reconciler->stop_fd, 1);
		pthread_join(reconciler->thread, NULL);
	}
	close_fd(reconciler->stop_fd);
	free(reconciler);
	return NULL;
}
