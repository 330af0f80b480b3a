// SPDX-License-Identifier: GPL-2.0-or-later
/* A charger, seen from the daemon; see charger.h. */
#include "charger.h"

#include "affinity.h"
#include "log.h"
#include "task.h"
#include "util.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#define RETRY_MS 1000
#define WAIT_NS (500 * UINT64_C(1000000))
#define SILENT_NS (1000 * UINT64_C(1000000))
#define ASLEEP_LOOKS 20
#define ASLEEP_LOOK_US 10000
#define SPAWN_TRIES 100

struct charger {
	struct spawner *spawner;
	struct charger_birth birth;
	char *name;
	struct ring *ring;
	int pidfd; /* supervisor only; -1: none alive */
	_Atomic pid_t pid; /* set by the supervisor */
	int stop_fd;
	int look_fd; /* the supervisor is to see whether it is asleep */
	pthread_t supervisor;
	uint64_t timeout_ns;
	atomic_uint restarts;
	atomic_bool hurry;
	atomic_bool silent; /* a call timed out, and none was made since */
	/* From a restart that fails to one that succeeds: for openers. */
	atomic_bool down;
	/*
	 * The same, but not while the next restart is tried. Set under the
	 * lock, so that ring_fail() never meets a living charger; read
	 * without it, against ring_post().
	 */
	atomic_bool vacant;
	pthread_mutex_t lock;
};

/* No charger lives: what the last one left is there for this one. */
static int charger_try_spawn(struct charger *charger, uint64_t timeout_ns)
{
	pid_t pid;
	int r;

	ring_repost(charger->ring);
	r = spawner_spawn(charger->spawner, &charger->birth, &charger->pidfd,
			  &pid);
	if (r < 0)
		return r;
	atomic_store(&charger->pid, pid);
	r = ring_wait_ready(charger->ring, charger->pidfd, charger->stop_fd,
			    timeout_ns);
	if (r < 0) {
		spawner_kill(charger->spawner, charger->pid);
		charger->pidfd = close_fd(charger->pidfd);
	}
	return r;
}

/* One that is killed before it is ready says nothing of the host. */
static int charger_spawn(struct charger *charger, uint64_t timeout_ns)
{
	int r = -ESRCH;

	for (int i = 0; i < SPAWN_TRIES && r == -ESRCH; i++)
		r = charger_try_spawn(charger, timeout_ns);
	return r;
}

static void charger_fail_calls(struct charger *charger)
{
	pthread_mutex_lock(&charger->lock);
	if (atomic_load(&charger->vacant))
		ring_fail(charger->ring, -EHOSTDOWN);
	pthread_mutex_unlock(&charger->lock);
}

static void charger_set_vacant(struct charger *charger, bool vacant)
{
	pthread_mutex_lock(&charger->lock);
	atomic_store(&charger->vacant, vacant);
	pthread_mutex_unlock(&charger->lock);
	if (vacant)
		charger_fail_calls(charger);
}

/* Without the spawner nothing can be charged: better no mount than that. */
static void lost_spawner(void)
{
	log_error("the spawner process died: unmounting");
	kill(getpid(), SIGTERM);
}

static void charger_restart(struct charger *charger)
{
	bool was_down;
	int r;

	charger->pidfd = close_fd(charger->pidfd);
	/* Before there is one: calls are failed only while there is none. */
	charger_set_vacant(charger, false);
	/* A frozen host lets it be ready later. */
	r = charger_spawn(charger, UINT64_MAX);
	if (r == -ECANCELED)
		return;
	if (r < 0) {
		was_down = atomic_exchange(&charger->down, true);
		if (!was_down)
			log_error_errno(r, "cannot restart the charger in %s",
					charger->name);
		charger_set_vacant(charger, true);
		if (r == -ECHILD && !was_down)
			lost_spawner();
		return;
	}
	atomic_store(&charger->down, false);
	atomic_fetch_add_explicit(&charger->restarts, 1, memory_order_relaxed);
	log_debug("charger in %s restarted", charger->name);
}

/* Whether a thread of the charger runs, or waits for a disk. */
static bool has_waking_thread(pid_t pid)
{
	char name[300], text[TASK_STAT_BYTES];
	struct dirent *entry;
	bool found = false;
	DIR *tasks;

	snprintf(name, sizeof(name), "/proc/%d/task", (int)pid);
	tasks = opendir(name);
	while (tasks && !found && (entry = readdir(tasks))) {
		const char *state;

		snprintf(name, sizeof(name), "%s/stat", entry->d_name);
		if (read_small_file(dirfd(tasks), name, text, sizeof(text)) < 0)
			continue;
		state = task_stat_field(text, TASK_STAT_STATE);
		found = state && (*state == 'R' || *state == 'D');
	}
	if (tasks)
		closedir(tasks);
	return found;
}

/* One that is asleep each time it is looked at is not slow, but stopped. */
static bool is_working(const struct charger *charger)
{
	for (int i = 0; i < ASLEEP_LOOKS; i++) {
		if (has_waking_thread(charger->pid))
			return true;
		usleep(ASLEEP_LOOK_US);
	}
	return false;
}

/*
 * A call that was begun long ago has not ended, and nobody works: the charger
 * was frozen, or stopped, in the midst of it. Killed, it leaves the call to
 * its successor, from whom it can be withdrawn.
 */
static void charger_look(struct charger *charger)
{
	eventfd_t count;

	eventfd_read(charger->look_fd, &count);
	if (charger->pidfd >= 0 && !is_working(charger))
		spawner_kill(charger->spawner, charger->pid);
}

/* A thread per charger: waits for its end, and sees to its successor. */
static void *charger_supervise(void *arg)
{
	struct charger *charger = arg;
	struct pollfd pfds[] = {
		{ .fd = charger->stop_fd, .events = POLLIN },
		{ .events = POLLIN },
		{ .fd = charger->look_fd, .events = POLLIN },
	};

	for (;;) {
		pfds[1].fd = charger->pidfd;
		if (poll(pfds, ARRAY_SIZE(pfds),
			 charger->pidfd < 0 ? RETRY_MS : -1) < 0)
			continue;
		if (pfds[0].revents)
			return NULL;
		if (pfds[2].revents)
			charger_look(charger);
		if (charger->pidfd < 0 || pfds[1].revents)
			charger_restart(charger);
	}
}

int charger_new(const struct charger_config *config, struct charger **out)
{
	struct charger *charger;
	int r;

	charger = calloc(1, sizeof(*charger));
	if (!charger)
		return -ENOMEM;
	charger->spawner = config->spawner;
	charger->birth = config->birth;
	charger->timeout_ns = config->timeout_ns;
	charger->pidfd = -1;
	charger->stop_fd = eventfd(0, EFD_CLOEXEC);
	charger->look_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&charger->lock, NULL);
	charger->name = strdup(config->name);
	r = charger->name && charger->stop_fd >= 0 && charger->look_fd >= 0 ?
		    0 :
		    -ENOMEM;
	if (r == 0)
		r = ring_new(&charger->ring);
	if (r == 0) {
		charger->birth.ring_fd = ring_fd(charger->ring);
		r = charger_spawn(charger, charger->timeout_ns);
	}
	if (r == 0)
		r = -pthread_create(&charger->supervisor, NULL,
				    charger_supervise, charger);
	if (r < 0) {
		charger_free(charger);
		return r;
	}
	*out = charger;
	return 0;
}

struct charger *charger_free(struct charger *charger)
{
	if (!charger)
		return NULL;
	if (charger->supervisor) {
		eventfd_write(charger->stop_fd, 1);
		pthread_join(charger->supervisor, NULL);
	}
	if (charger->pidfd >= 0)
		spawner_kill(charger->spawner, charger->pid);
	close_fd(charger->pidfd);
	close_fd(charger->stop_fd);
	close_fd(charger->look_fd);
	ring_free(charger->ring);
	pthread_mutex_destroy(&charger->lock);
	free(charger->name);
	free(charger);
	return NULL;
}

unsigned int charger_restarts(const struct charger *charger)
{
	return atomic_load_explicit(&charger->restarts, memory_order_relaxed);
}

bool charger_is_down(const struct charger *charger)
{
	return atomic_load(&charger->down);
}

void charger_hurry(struct charger *charger)
{
	atomic_store(&charger->hurry, true);
}

static int64_t charger_timed_out(struct charger *charger)
{
	if (!atomic_exchange(&charger->silent, true))
		log_warning("the charger in %s does not answer; is the cgroup "
			    "frozen? What needs it fails with \"%s\"",
			    charger->name, strerror(ETIMEDOUT));
	return -ETIMEDOUT;
}

/* Under the lock, as charger_fail_calls() ends calls under it, too. */
static bool charger_withdraw(struct charger *charger, unsigned int slot)
{
	bool withdrawn;

	pthread_mutex_lock(&charger->lock);
	withdrawn = ring_withdraw(charger->ring, slot);
	pthread_mutex_unlock(&charger->lock);
	return withdrawn;
}

/* Who comes when others have waited in vain needn't wait as long. */
static uint64_t charger_patience(const struct charger *charger)
{
	if (atomic_load_explicit(&charger->silent, memory_order_relaxed))
		return charger->timeout_ns < SILENT_NS ? charger->timeout_ns :
							 SILENT_NS;
	return charger->timeout_ns;
}

/*
 * False: the call was not begun in time, and is withdrawn. One that waits
 * behind others, for a slow disk say, is not: somebody works on those.
 */
static bool charger_wait(struct charger *charger, unsigned int slot,
			 uint64_t until_ns)
{
	while (!ring_wait(charger->ring, slot, WAIT_NS)) {
		if (!atomic_load(&charger->hurry) &&
		    (now_ns() < until_ns || is_working(charger)))
			continue;
		if (charger_withdraw(charger, slot))
			return false;
		eventfd_write(charger->look_fd, 1);
	}
	return true;
}

int64_t charger_call(struct charger *charger, struct ring_call *call)
{
	uint64_t until_ns = now_ns() + charger_patience(charger);
	unsigned int slot = ring_slot_get(charger->ring, until_ns);
	struct ring_call *posted;
	bool in_time;

	if (slot == RING_SLOTS)
		return charger_timed_out(charger);
	posted = ring_slot_call(charger->ring, slot);
	*posted = *call;
	posted->cpu = affinity_cpu();
	ring_post(charger->ring, slot);
	/* Against charger_set_vacant(): one of the two sees the other. */
	if (atomic_load(&charger->vacant))
		charger_fail_calls(charger);
	in_time = charger_wait(charger, slot, until_ns);
	*call = *posted;
	ring_slot_put(charger->ring, slot);
	if (!in_time)
		return charger_timed_out(charger);
	if (atomic_load_explicit(&charger->silent, memory_order_relaxed) &&
	    atomic_exchange(&charger->silent, false))
		log_info("the charger in %s answers again", charger->name);
	return call->result;
}
