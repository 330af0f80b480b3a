// SPDX-License-Identifier: GPL-2.0-or-later
/* Processes that may be scanners, 3: which one a thread belongs to. */
#include "scanners_priv.h"

#include "util.h"

#include <string.h>

#define BELIEVED_NS (100 * UINT64_C(1000000))

static char *cgroup_of(const struct scanners *scanners, pid_t tid)
{
	struct account *account =
		openers_account(scanners->config.openers, tid, BELIEVED_NS);
	char *cgroup = account ? strdup(account_path(account)) : NULL;

	account_unref(account);
	return cgroup;
}

/* -- the table -- */

/* The place of a process; or -1. */
static int find_identity(const struct scanners *scanners,
			 const struct identity *id)
{
	for (int i = 0; i < SCANNERS_PROCESSES; i++) {
		const struct scanners_process *process =
			scanners->places[i].process;

		if (process && process->id.pid == id->pid &&
		    process->id.start_ns == id->start_ns)
			return i;
	}
	return -1;
}

static uint64_t used_ns(const struct scanners_place *place)
{
	return atomic_load_explicit(&place->used_ns, memory_order_relaxed);
}

/* Requests may overtake each other: the latest counts. */
static void note_use(struct scanners_place *place, uint64_t now)
{
	if (used_ns(place) < now)
		atomic_store_explicit(&place->used_ns, now,
				      memory_order_relaxed);
}

/* A free place, or that of who has been quiet for longest. */
static int find_place(const struct scanners *scanners)
{
	int oldest = 0;

	for (int i = 0; i < SCANNERS_PROCESSES; i++) {
		if (!scanners->places[i].process)
			return i;
		if (used_ns(&scanners->places[i]) <
		    used_ns(&scanners->places[oldest]))
			oldest = i;
	}
	return oldest;
}

void scanners_clear(struct scanners *scanners, struct scanners_process *process)
{
	atomic_store_explicit(
		&scanners_place_of(scanners, process->who)->lister, 0,
		memory_order_relaxed);
	scanners_throw_away(scanners, scanners_take_kept(scanners, process));
	free(process->cgroup);
	memset(process, 0, sizeof(*process));
}

/* Of the next process in that place, which its low bits name; never 0. */
static uint32_t next_who(struct scanners *scanners, int place)
{
	if (++scanners->last_serial >= UINT32_MAX / SCANNERS_PROCESSES)
		scanners->last_serial = 1;
	return scanners->last_serial * SCANNERS_PROCESSES + (uint32_t)place;
}

/* What was there before is another's: one that this makes room for, perhaps. */
static void begin_anew(struct scanners *scanners, int number)
{
	struct scanners_place *place = &scanners->places[number];

	if (place->process)
		scanners_clear(scanners, place->process);
	else
		place->process = calloc(1, sizeof(*place->process));
	if (place->process)
		place->process->who = next_who(scanners, number);
}

bool scanners_is_helper(struct scanners *scanners,
			const struct listings_reader *reader,
			const struct identity *process)
{
	const struct scanners_place *place =
		scanners_place_of(scanners, reader->who);
	uint32_t lister =
		atomic_load_explicit(&place->lister, memory_order_relaxed);

	return lister && lister == reader->who && reader->pid != process->pid &&
	       (reader->group == process->group ||
		reader->pid == process->parent);
}

static bool find_helper(struct scanners *scanners,
			const struct identity *process)
{
	for (int i = 0; i < SCANNERS_PROCESSES; i++) {
		const struct scanners_process *other =
			scanners->places[i].process;

		if (other &&
		    scanners_is_helper(scanners,
				       &(struct listings_reader){
					       .who = other->who,
					       .pid = other->id.pid,
					       .group = other->id.group,
				       },
				       process))
			return true;
	}
	return false;
}

/*
 * Under the table's lock: the process of an identity, whose place is locked
 * then. Its cgroup is taken over. Who has executed something else begins anew.
 */
static struct scanners_process *adopt(struct scanners *scanners,
				      const struct identity *id, char **cgroup,
				      uint64_t now)
{
	int known = find_identity(scanners, id);
	int number = known < 0 ? find_place(scanners) : known;
	struct scanners_place *place = &scanners->places[number];
	struct scanners_process *process;

	pthread_mutex_lock(&place->lock);
	if (known < 0 || strcmp(place->process->id.command, id->command) != 0)
		begin_anew(scanners, number);
	process = place->process;
	if (!process) {
		pthread_mutex_unlock(&place->lock);
		return NULL;
	}
	free(process->cgroup);
	process->id = *id;
	process->cgroup = steal_ptr(cgroup);
	process->list = NULL;
	process->has_helper = find_helper(scanners, id);
	/* So that the next one doesn't take this place again. */
	note_use(place, now);
	return process;
}

struct scanners_process *scanners_lock_who(struct scanners *scanners,
					   uint32_t who)
{
	struct scanners_place *place = scanners_place_of(scanners, who);

	if (!who)
		return NULL;
	pthread_mutex_lock(&place->lock);
	if (place->process && place->process->who == who)
		return place->process;
	pthread_mutex_unlock(&place->lock);
	return NULL;
}

void scanners_unlock(struct scanners *scanners,
		     const struct scanners_process *process)
{
	pthread_mutex_unlock(&scanners_place_of(scanners, process->who)->lock);
}

/* -- threads -- */

static struct scanners_thread *thread_of(struct scanners *scanners, pid_t tid)
{
	return &scanners->threads[(unsigned int)tid % SCANNERS_THREADS];
}

/* As it was seen just now; or 0. */
static uint32_t recall(struct scanners *scanners, pid_t tid, uint64_t now)
{
	struct scanners_thread *thread = thread_of(scanners, tid);
	uint32_t who = 0;

	pthread_mutex_lock(&thread->lock);
	if (thread->tid == tid && now - thread->asked_ns <= BELIEVED_NS)
		who = thread->who;
	pthread_mutex_unlock(&thread->lock);
	return who;
}

static void remember(struct scanners *scanners, pid_t tid, uint32_t who,
		     uint64_t now)
{
	struct scanners_thread *thread = thread_of(scanners, tid);

	pthread_mutex_lock(&thread->lock);
	thread->tid = tid;
	thread->who = who;
	thread->asked_ns = now;
	pthread_mutex_unlock(&thread->lock);
}

void scanners_forget_thread(struct scanners *scanners, pid_t tid)
{
	remember(scanners, tid, 0, 0);
}

struct scanners_process *scanners_lock_thread(struct scanners *scanners,
					      pid_t tid, uint64_t now)
{
	return scanners_lock_who(scanners, recall(scanners, tid, now));
}

static struct scanners_process *ask(struct scanners *scanners, pid_t tid,
				    uint64_t now)
{
	cleanup_free char *cgroup = NULL;
	struct scanners_process *process;
	struct identity id;

	if (identity_read(tid, &id) < 0)
		return NULL;
	cgroup = cgroup_of(scanners, tid);
	pthread_mutex_lock(&scanners->table_lock);
	process = adopt(scanners, &id, &cgroup, now);
	pthread_mutex_unlock(&scanners->table_lock);
	if (process)
		remember(scanners, tid, process->who, now);
	return process;
}

struct scanners_process *scanners_take(struct scanners *scanners, pid_t tid,
				       uint64_t now)
{
	struct scanners_process *process;

	if (tid <= 0)
		return NULL;
	process = scanners_lock_thread(scanners, tid, now);
	if (!process)
		process = ask(scanners, tid, now);
	if (!process)
		return NULL;
	note_use(scanners_place_of(scanners, process->who), now);
	return process;
}
