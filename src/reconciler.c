// SPDX-License-Identifier: GPL-2.0-or-later
/* The background's work on drift; see reconciler.h. */
#include "reconciler.h"

#include "residency.h"
#include "util.h"
#include "worker.h"

#define LOOK_MS 200
#define RETRY_NS (5 * UINT64_C(1000000000))

struct reconciler {
	struct reconciler_config config;
	struct worker worker;
	/* The thread's own. */
	uint64_t refaults; /* when the last pass began */
	uint64_t next_retry_ns;
};

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
	allowance_spend(&reconciler->worker.allowance,
			used_ns(reconciler) - before);
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
		goes_on = !worker_is_stopped(&reconciler->worker, 0);
		for (size_t i = 0; i < count; i++) {
			goes_on = goes_on && worker_rest(&reconciler->worker);
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

	while (!worker_is_stopped(&reconciler->worker, LOOK_MS))
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
	reconciler->refaults = residency_refaults();
	r = worker_start(&reconciler->worker,
			 &(struct worker_job){
				 .main = reconciler_main,
				 .arg = reconciler,
				 .percent = config->percent,
			 });
	if (r < 0) {
		free(reconciler);
		return r;
	}
	*out = reconciler;
	return 0;
}

struct reconciler *reconciler_free(struct reconciler *reconciler)
{
	if (!reconciler)
		return NULL;
	worker_stop(&reconciler->worker);
	free(reconciler);
	return NULL;
}
