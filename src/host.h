/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A host at work: the cgroup, the charger in it, its account, and how much
 * of its room is promised to files that are open in passthrough.
 */
#ifndef MEMCGFS_HOST_H
#define MEMCGFS_HOST_H

#include "accounting.h"
#include "budget.h"
#include "cgroup.h"
#include "charger.h"
#include "events.h"
#include "gate.h"
#include "openers.h"

struct host;

struct host_config {
	struct cgroup_tree *tree;
	struct spawner *spawner;
	struct books *books;
	struct events *events;
	struct openers *openers;
	const char *path; /* of the target, within the hierarchy */
	int kpagecgroup_fd;
	int kpageflags_fd;
	int arena_fd;
	bool create;
	bool is_lazy; /* it is looked for when it is needed */
	uint64_t timeout_ns; /* these two: see charger.h */
	uint64_t idle_ns;
	uint64_t pin_max_bytes; /* 0: a quarter of its limit */
	/* Unless NULL: its charger was replaced, and all pins are gone. */
	void (*lost_pins)(void *userdata);
	void *userdata;
};

/* Errors: unless it is lazy, those of cgroup_host_new() and charger_new(). */
int host_new(const struct host_config *config, struct host **out);

/* Ends the charger, and gives back the cgroups that were made. */
struct host *host_free(struct host *host);

struct charger *host_charger(const struct host *host);

/* Before the threads that are to wait for its charger. */
struct gate *host_gate(const struct host *host);
struct account *host_account(const struct host *host);
const char *host_target(const struct host *host);
const char *host_path(const struct host *host);

/* Whether the thread lives in the host, now; false when in doubt. */
bool host_has_thread(const struct host *host, pid_t tid);

/*
 * The room for one more file in passthrough, in bytes, and the host's count
 * of reclaims. The kernel is asked at most every 100 ms.
 */
uint64_t host_room(struct host *host);
uint32_t host_reclaims(struct host *host);

/*
 * Takes bytes out of the budget of what may be pinned; false: there aren't as
 * many left. Bytes that are held already, and given back soon, count as left.
 * And gives them back.
 */
bool host_pin(struct host *host, uint64_t bytes, uint64_t held_bytes);
void host_unpin(struct host *host, uint64_t bytes);
uint64_t host_pinned(const struct host *host);

/*
 * Takes bytes for pages that can't be reclaimed out of what the host has room
 * for; false: it hasn't. While others do so, it may take a moment. And gives
 * them back, once they are the kernel's to count.
 */
bool host_take_memory(struct host *host, uint64_t bytes,
		      struct budget_take *take);
void host_give_memory(struct host *host, const struct budget_take *take);

/* Promises room to an open file, and takes the promise back. */
void host_reserve(struct host *host, uint64_t bytes);
void host_unreserve(struct host *host, uint64_t bytes);

#endif
