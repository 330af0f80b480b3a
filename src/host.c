// SPDX-License-Identifier: GPL-2.0-or-later
/* A host at work; see host.h. */
#include "host.h"

#include "residency.h"
#include "util.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define ROOM_REFRESH_NS 100000000ull
#define AT_ONCE 16 /* as many as a charger has threads */
#define PINNED_PART 4
#define ELSEWHERE_NS (10 * UINT64_C(1000000))
#define MEMORY_TRIES 200
#define MEMORY_WAIT_US 1000

struct host {
	struct cgroup_tree *tree;
	struct spawner *spawner;
	struct events *events;
	struct cgroup_host *cgroup;
	/* These two: of whoever starts the charger. */
	bool create; /* what is missing, until it has been started once */
	unsigned int n_given; /* cgroups made, and told to the spawner */
	struct charger *charger;
	struct gate *gate;
	struct openers *openers;
	struct account *account;
	/* What the kernel said last; relaxed, one thread refreshes. */
	_Atomic uint64_t room_bytes;
	_Atomic uint64_t limit_bytes;
	_Atomic uint32_t reclaims;
	_Atomic uint32_t lives; /* changes of what cgroup the target is */
	_Atomic uint64_t ino; /* of that, when it was looked at; 0: never */
	_Atomic uint64_t next_refresh_ns;
	_Atomic uint64_t reserved_bytes;
	uint64_t pin_max_bytes;
	_Atomic uint64_t pinned_bytes;
	pthread_mutex_t memory_lock;
	struct budget memory; /* memory_lock */
	void (*lost_pins)(void *userdata);
	void *userdata;
};

static void host_refresh(struct host *host)
{
	uint64_t next = atomic_load_explicit(&host->next_refresh_ns,
					     memory_order_relaxed);
	uint64_t now = now_ns();
	struct cgroup_room room;
	uint64_t ino;

	if (now < next)
		return;
	if (!atomic_compare_exchange_strong(&host->next_refresh_ns, &next,
					    now + ROOM_REFRESH_NS))
		return;
	if (cgroup_host_room(host->cgroup, &room) < 0)
		return;
	atomic_store_explicit(&host->room_bytes, room.bytes,
			      memory_order_relaxed);
	atomic_store_explicit(&host->limit_bytes, room.limit_bytes,
			      memory_order_relaxed);
	atomic_store_explicit(&host->reclaims, (uint32_t)room.reclaims,
			      memory_order_relaxed);
	ino = atomic_exchange_explicit(&host->ino, room.ino,
				       memory_order_relaxed);
	/* A charger that is away doesn't see it; nor does who needs none. */
	if (ino && ino != room.ino)
		atomic_fetch_add_explicit(&host->lives, 1,
					  memory_order_relaxed);
}

/* Those that are new since the last time. */
static int give_back_created(struct host *host)
{
	char path[CGROUP_PATH_MAX * 2];
	const char *created;
	int r;

	for (;; host->n_given++) {
		created = cgroup_host_created(host->cgroup, host->n_given);
		if (!created)
			return 0;
		snprintf(path, sizeof(path), "%s%s",
			 cgroup_tree_mountpoint(host->tree), created);
		r = spawner_give_back(host->spawner, path);
		if (r < 0)
			return r;
	}
}

/*
 * Before each start of a charger: the cgroup may be gone, or be another one
 * by the same name, where what was known of pages holds no longer.
 */
static int host_renew(void *userdata, struct charger_birth *birth)
{
	struct host *host = userdata;
	int r;

	r = cgroup_host_open(host->cgroup, host->create);
	if (r < 0)
		return r;
	if (r > 0) {
		host->n_given = 0;
		atomic_fetch_add_explicit(&host->lives, 1,
					  memory_order_relaxed);
	}
	birth->procs_fd = cgroup_host_procs_fd(host->cgroup);
	birth->memcg_ino = cgroup_host_memcg_ino(host->cgroup);
	return give_back_created(host);
}

static void host_started(void *userdata)
{
	struct host *host = userdata;

	host->create = false;
	if (atomic_load(&host->pinned_bytes) && host->lost_pins)
		host->lost_pins(host->userdata);
}

static void host_told(void *userdata, const char *what)
{
	const struct host *host = userdata;

	events_tell(host->events, &(struct event){ .kind = EVENT_charger,
						   .host = host_path(host),
						   .reason = what });
}

static int host_start_charger(struct host *host,
			      const struct host_config *config)
{
	struct charger_config charger = {
		.spawner = config->spawner,
		.birth = {
			.kpagecgroup_fd = config->kpagecgroup_fd,
			.kpageflags_fd = config->kpageflags_fd,
			.arena_fd = config->arena_fd,
		},
		.renew = host_renew,
		.started = host_started,
		.told = host_told,
		.userdata = host,
		.name = config->path,
		.timeout_ns = config->timeout_ns,
		.idle_ns = config->idle_ns,
		.is_lazy = config->is_lazy,
	};

	return charger_new(&charger, &host->charger);
}

int host_new(const struct host_config *config, struct host **out)
{
	struct host *host;
	int r;

	host = calloc(1, sizeof(*host));
	if (!host)
		return -ENOMEM;
	host->tree = config->tree;
	host->spawner = config->spawner;
	host->events = config->events;
	host->openers = config->openers;
	host->create = config->create;
	host->pin_max_bytes = config->pin_max_bytes;
	host->lost_pins = config->lost_pins;
	host->userdata = config->userdata;
	pthread_mutex_init(&host->memory_lock, NULL);
	r = cgroup_host_prepare(config->tree, config->path, &host->cgroup);
	if (r == 0) {
		host->account = books_find(config->books,
					   cgroup_host_target(host->cgroup));
		r = host->account ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = gate_new(AT_ONCE, &host->gate);
	if (r == 0)
		r = host_start_charger(host, config);
	if (r < 0) {
		host_free(host);
		return r;
	}
	host_refresh(host);
	*out = host;
	return 0;
}

struct host *host_free(struct host *host)
{
	if (!host)
		return NULL;
	charger_free(host->charger);
	gate_free(host->gate);
	account_unref(host->account);
	cgroup_host_free(host->cgroup);
	pthread_mutex_destroy(&host->memory_lock);
	free(host);
	return NULL;
}

struct charger *host_charger(const struct host *host)
{
	return host->charger;
}

struct gate *host_gate(const struct host *host)
{
	return host->gate;
}

struct account *host_account(const struct host *host)
{
	return host->account;
}

const char *host_target(const struct host *host)
{
	return cgroup_host_target(host->cgroup);
}

const char *host_path(const struct host *host)
{
	return cgroup_host_path(host->cgroup);
}

/* -- openers -- */

static bool was_here(const struct host *host, pid_t tid, uint64_t age_ns)
{
	struct account *account = openers_account(host->openers, tid, age_ns);
	bool is_here;

	is_here = account &&
		  strcmp(account_path(account), host_path(host)) == 0;
	account_unref(account);
	return is_here;
}

bool host_has_thread(const struct host *host, pid_t tid)
{
	/* Who came since loses nothing but speed; who is there is asked. */
	return was_here(host, tid, ELSEWHERE_NS) && was_here(host, tid, 0);
}

/* -- room -- */

uint64_t host_room(struct host *host)
{
	uint64_t reserved, room;

	host_refresh(host);
	room = atomic_load_explicit(&host->room_bytes, memory_order_relaxed);
	reserved = atomic_load_explicit(&host->reserved_bytes,
					memory_order_relaxed);
	room -= room / 4;
	return room > reserved ? room - reserved : 0;
}

/* Where there is no limit, the machine's memory is one. */
static uint64_t pin_budget(struct host *host)
{
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * page_bytes();
	uint64_t limit;

	if (host->pin_max_bytes)
		return host->pin_max_bytes;
	host_refresh(host);
	limit = atomic_load_explicit(&host->limit_bytes, memory_order_relaxed);
	return (limit < memory ? limit : memory) / PINNED_PART;
}

bool host_pin(struct host *host, uint64_t bytes, uint64_t held_bytes)
{
	uint64_t budget = pin_budget(host);
	uint64_t before = atomic_fetch_add(&host->pinned_bytes, bytes);

	if (before + bytes <= budget + held_bytes)
		return true;
	host_unpin(host, bytes);
	return false;
}

void host_unpin(struct host *host, uint64_t bytes)
{
	atomic_fetch_sub(&host->pinned_bytes, bytes);
}

uint64_t host_pinned(const struct host *host)
{
	return atomic_load(&host->pinned_bytes);
}

/* Looks how much room there is; unknown is none. */
static enum budget_word look_for_memory(struct host *host,
					struct budget_take *take)
{
	struct cgroup_room room = { 0 };
	enum budget_word word;

	if (cgroup_host_room(host->cgroup, &room) < 0)
		room.anon_bytes = 0;
	pthread_mutex_lock(&host->memory_lock);
	word = budget_answer(&host->memory, take, room.anon_bytes, now_ns());
	pthread_mutex_unlock(&host->memory_lock);
	return word;
}

bool host_take_memory(struct host *host, uint64_t bytes,
		      struct budget_take *take)
{
	enum budget_word word = BUDGET_BUSY;
	bool taken;

	for (int i = 0; i < MEMORY_TRIES && word == BUDGET_BUSY; i++) {
		if (i)
			usleep(MEMORY_WAIT_US);
		pthread_mutex_lock(&host->memory_lock);
		taken = budget_take(&host->memory, bytes, now_ns(), take);
		pthread_mutex_unlock(&host->memory_lock);
		word = taken ? BUDGET_FITS : look_for_memory(host, take);
	}
	return word == BUDGET_FITS;
}

void host_give_memory(struct host *host, const struct budget_take *take)
{
	pthread_mutex_lock(&host->memory_lock);
	budget_give(&host->memory, take);
	pthread_mutex_unlock(&host->memory_lock);
}

uint32_t host_reclaims(struct host *host)
{
	host_refresh(host);
	return atomic_load_explicit(&host->reclaims, memory_order_relaxed) +
	       atomic_load_explicit(&host->lives, memory_order_relaxed);
}

void host_reserve(struct host *host, uint64_t bytes)
{
	atomic_fetch_add_explicit(&host->reserved_bytes, bytes,
				  memory_order_relaxed);
}

void host_unreserve(struct host *host, uint64_t bytes)
{
	atomic_fetch_sub_explicit(&host->reserved_bytes, bytes,
				  memory_order_relaxed);
}
