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

struct scanners_process *scanners_find_who(struct scanners *scanners,
					   uint32_t who)
{
	struct scanners_process *process =
		scanners->processes[who % SCANNERS_PROCESSES];

	return who && process && process->who == who ? process : NULL;
}

static struct scanners_process *find_identity(struct scanners *scanners,
					      const struct identity *id)
{
	for (int i = 0; i < SCANNERS_PROCESSES; i++) {
		struct scanners_process *process = scanners->processes[i];

		if (process && process->id.pid == id->pid &&
		    process->id.start_ns == id->start_ns)
			return process;
	}
	return NULL;
}

/* A free place, or that of who has been quiet for longest. */
static int find_place(const struct scanners *scanners)
{
	int oldest = 0;

	for (int i = 0; i < SCANNERS_PROCESSES; i++) {
		if (!scanners->processes[i])
			return i;
		if (scanners->processes[i]->used_ns <
		    scanners->processes[oldest]->used_ns)
			oldest = i;
	}
	return oldest;
}

void scanners_clear(struct scanners *scanners, struct scanners_process *process)
{
	scanners_throw_away(scanners, process->kept);
	free(process->cgroup);
	memset(process, 0, sizeof(*process));
}

/* Of the next process in that place: its low bits name it, and are never 0. */
static uint32_t next_who(struct scanners *scanners, int place)
{
	if (++scanners->last_serial >= UINT32_MAX / SCANNERS_PROCESSES)
		scanners->last_serial = 1;
	return scanners->last_serial * SCANNERS_PROCESSES + (uint32_t)place;
}

static struct scanners_process *add_process(struct scanners *scanners)
{
	int place = find_place(scanners);
	struct scanners_process **process = &scanners->processes[place];

	if (!*process)
		*process = calloc(1, sizeof(**process));
	else
		scanners_clear(scanners, *process);
	if (*process)
		(*process)->who = next_who(scanners, place);
	return *process;
}

/* One who lists, and opens nothing. */
static bool is_lister(const struct scanners_process *process)
{
	const struct scanner_sums *sums = &process->scanner.sums;

	return sums->dirs && !sums->files && !sums->again;
}

/* Whether @other may list directories for @process. */
bool scanners_is_helper(const struct scanners_process *other,
			const struct scanners_process *process)
{
	return other != process && is_lister(other) &&
	       (other->id.group == process->id.group ||
		other->id.pid == process->id.parent);
}

static bool find_helper(const struct scanners *scanners,
			const struct scanners_process *process)
{
	for (int i = 0; i < SCANNERS_PROCESSES; i++)
		if (scanners->processes[i] &&
		    scanners_is_helper(scanners->processes[i], process))
			return true;
	return false;
}

/* It has executed something else: what it did before is another's. */
static void begin_anew(struct scanners *scanners,
		       struct scanners_process *process)
{
	int place = (int)(process->who % SCANNERS_PROCESSES);

	scanners_clear(scanners, process);
	process->who = next_who(scanners, place);
}

/* The process of an identity, and its cgroup, which is taken over. */
static struct scanners_process *adopt(struct scanners *scanners,
				      const struct identity *id, char **cgroup)
{
	struct scanners_process *process = find_identity(scanners, id);

	if (!process)
		process = add_process(scanners);
	else if (strcmp(process->id.command, id->command) != 0)
		begin_anew(scanners, process);
	if (!process)
		return NULL;
	free(process->cgroup);
	process->id = *id;
	process->cgroup = steal_ptr(cgroup);
	process->list = NULL;
	process->has_helper = find_helper(scanners, process);
	return process;
}

struct scanners_thread *scanners_thread_of(struct scanners *scanners, pid_t tid)
{
	return &scanners->threads[(unsigned int)tid % SCANNERS_THREADS];
}

/* The one that is known of a thread, and was asked about just now. */
struct scanners_process *scanners_find_thread(struct scanners *scanners,
					      pid_t tid, uint64_t now)
{
	const struct scanners_thread *thread =
		scanners_thread_of(scanners, tid);

	if (thread->tid != tid || now - thread->asked_ns > BELIEVED_NS)
		return NULL;
	return scanners_find_who(scanners, thread->who);
}

/*
 * The process of a thread, and then the lock is held; or NULL: there is none,
 * and it isn't.
 */
struct scanners_process *scanners_take(struct scanners *scanners, pid_t tid,
				       uint64_t now)
{
	cleanup_free char *cgroup = NULL;
	struct scanners_process *process;
	struct identity id;

	if (tid <= 0)
		return NULL;
	pthread_mutex_lock(&scanners->lock);
	process = scanners_find_thread(scanners, tid, now);
	if (!process) {
		pthread_mutex_unlock(&scanners->lock);
		if (identity_read(tid, &id) < 0)
			return NULL;
		cgroup = cgroup_of(scanners, tid);
		pthread_mutex_lock(&scanners->lock);
		process = adopt(scanners, &id, &cgroup);
		if (process)
			*scanners_thread_of(scanners, tid) =
				(struct scanners_thread){
					.tid = tid,
					.who = process->who,
					.asked_ns = now,
				};
	}
	if (process && process->used_ns < now)
		process->used_ns = now;
	if (!process)
		pthread_mutex_unlock(&scanners->lock);
	return process;
}
