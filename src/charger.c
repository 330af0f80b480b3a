// SPDX-License-Identifier: GPL-2.0-or-later
/* A charger, seen from the daemon; see charger.h. */
#include "charger.h"

#include "affinity.h"
#include "log.h"
#include "task.h"
#include "util.h"

#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#define RETRY_MS 1000
#define MAX_TIDS 32
#define WAIT_NS (500 * UINT64_C(1000000))
#define SILENT_NS (1000 * UINT64_C(1000000))
#define ASLEEP_LOOKS 20
#define ASLEEP_LOOK_US 10000
#define SPAWN_TRIES 100
#define RENEW_TRIES 10

/* In the word that counts calls: one more, and one of those being made. */
#define CALL_COUNTED (UINT64_C(1) << 32)
#define CALL_IN_FLIGHT UINT64_C(1)
#define IN_FLIGHT_MASK (CALL_COUNTED - 1)

struct charger {
	struct charger_config config; /* the birth is the supervisor's */
	char *name;
	struct ring *ring;
	int pidfd; /* supervisor only; -1: none alive */
	_Atomic pid_t pid; /* set by the supervisor */
	_Atomic pid_t tids[MAX_TIDS]; /* the same; 0: none */
	int stop_fd;
	int look_fd; /* the supervisor is to see whether it is asleep */
	int wake_fd; /* a call was posted while it was away */
	pthread_t supervisor;
	/*
	 * Calls so far and in flight, against away: who posts a call counts
	 * it, then looks whether the charger is away; who sends it away says
	 * so, then looks whether there was a call.
	 */
	_Atomic uint64_t calls;
	atomic_bool away;
	uint64_t idle_calls; /* supervisor only: calls when last looked at, */
	uint64_t idle_since_ns; /* and since when it has been that */
	atomic_uint restarts;
	atomic_uint life; /* counts the starts */
	atomic_int kept; /* for which it stays */
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

static void tell(const struct charger *charger, const char *what)
{
	if (charger->config.told)
		charger->config.told(charger->config.userdata, what);
}

/* All threads that it has are there when it is ready. */
static void charger_note_threads(struct charger *charger)
{
	struct dirent *entry;
	char name[32];
	DIR *tasks;
	int n = 0;

	snprintf(name, sizeof(name), "/proc/%d/task", (int)charger->pid);
	tasks = opendir(name);
	while (tasks && n < MAX_TIDS && (entry = readdir(tasks)))
		if (entry->d_name[0] != '.')
			atomic_store(&charger->tids[n++], atoi(entry->d_name));
	while (n < MAX_TIDS)
		atomic_store(&charger->tids[n++], 0);
	if (tasks)
		closedir(tasks);
}

/* No charger lives: what the last one left is there for this one. */
static int charger_try_spawn(struct charger *charger, uint64_t timeout_ns)
{
	struct charger_config *config = &charger->config;
	pid_t pid;
	int r;

	atomic_fetch_add(&charger->life, 1);
	ring_repost(charger->ring);
	r = spawner_spawn(config->spawner, &config->birth, &charger->pidfd,
			  &pid);
	if (r < 0)
		return r;
	atomic_store(&charger->pid, pid);
	r = ring_wait_ready(charger->ring, charger->pidfd, charger->stop_fd,
			    timeout_ns);
	if (r < 0) {
		spawner_kill(config->spawner, charger->pid);
		charger->pidfd = close_fd(charger->pidfd);
	}
	charger_note_threads(charger);
	charger->idle_since_ns = now_ns();
	return r;
}

/* One that is killed before it is ready says nothing of the host. */
static int charger_spawn_once(struct charger *charger, uint64_t timeout_ns)
{
	struct charger_config *config = &charger->config;
	int r = 0;

	if (config->renew)
		r = config->renew(config->userdata, &config->birth);
	if (r < 0)
		return r;
	r = -ESRCH;
	for (int i = 0; i < SPAWN_TRIES && r == -ESRCH; i++)
		r = charger_try_spawn(charger, timeout_ns);
	return r;
}

/*
 * A host that was there a moment ago and can't be entered any more was just
 * removed, by a mount that ends, say: there may be another one.
 */
static int charger_spawn(struct charger *charger, uint64_t timeout_ns)
{
	int r = -ENODEV;

	for (int i = 0; i < RENEW_TRIES && r == -ENODEV; i++)
		r = charger_spawn_once(charger, timeout_ns);
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
	bool was_away = atomic_load(&charger->away);
	bool was_down;
	int r;

	charger->pidfd = close_fd(charger->pidfd);
	/* Before there is one: calls are failed only while there is none. */
	charger_set_vacant(charger, false);
	/* A frozen host lets it be ready later. */
	r = charger_spawn(charger, UINT64_MAX);
	if (r == -ECANCELED)
		return;
	atomic_store(&charger->away, false);
	if (r < 0) {
		was_down = atomic_exchange(&charger->down, true);
		if (!was_down) {
			log_error_errno(r, "cannot restart the charger in %s",
					charger->name);
			tell(charger, "down");
		}
		charger_set_vacant(charger, true);
		if (r == -ECHILD && !was_down)
			lost_spawner();
		return;
	}
	atomic_store(&charger->down, false);
	if (!was_away)
		atomic_fetch_add_explicit(&charger->restarts, 1,
					  memory_order_relaxed);
	log_debug("charger in %s %s", charger->name,
		  was_away ? "started" : "restarted");
	tell(charger, was_away ? "started" : "restarted");
	if (charger->config.started)
		charger->config.started(charger->config.userdata);
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
		spawner_kill(charger->config.spawner, charger->pid);
}

/* Nobody has needed it for a while: it leaves its cgroup alone. */
static void charger_leave_if_idle(struct charger *charger)
{
	uint64_t calls = atomic_load(&charger->calls);

	if (calls != charger->idle_calls || calls & IN_FLIGHT_MASK ||
	    atomic_load(&charger->kept)) {
		charger->idle_calls = calls;
		charger->idle_since_ns = now_ns();
		return;
	}
	if (now_ns() - charger->idle_since_ns < charger->config.idle_ns)
		return;
	atomic_store(&charger->away, true);
	if (atomic_load(&charger->calls) != calls) {
		atomic_store(&charger->away, false);
		return;
	}
	spawner_kill(charger->config.spawner, charger->pid);
	charger->pidfd = close_fd(charger->pidfd);
	log_debug("the charger in %s is idle, and left", charger->name);
	tell(charger, "left");
}

/* How long the supervisor may sleep. */
static int charger_look_ms(const struct charger *charger)
{
	uint64_t idle_ms = charger->config.idle_ns / 4 / 1000000 + 1;

	if (atomic_load(&charger->away))
		return -1;
	if (charger->pidfd < 0)
		return RETRY_MS;
	if (!charger->config.idle_ns)
		return -1;
	return idle_ms < INT_MAX ? (int)idle_ms : INT_MAX;
}

/* The time is up, one posted a call, or the charger died. */
static void charger_see_to(struct charger *charger, bool died)
{
	eventfd_t count;
	bool is_wanted = eventfd_read(charger->wake_fd, &count) == 0;

	if (atomic_load(&charger->away)) {
		if (is_wanted)
			charger_restart(charger);
	} else if (charger->pidfd < 0 || died) {
		if (died)
			tell(charger, "died");
		charger_restart(charger);
	} else if (charger->config.idle_ns) {
		charger_leave_if_idle(charger);
	}
}

/* A thread per charger: waits for its end, and sees to its successor. */
static void *charger_supervise(void *arg)
{
	struct charger *charger = arg;
	struct pollfd pfds[] = {
		{ .fd = charger->stop_fd, .events = POLLIN },
		{ .events = POLLIN },
		{ .fd = charger->look_fd, .events = POLLIN },
		{ .fd = charger->wake_fd, .events = POLLIN },
	};

	for (;;) {
		pfds[1].fd = charger->pidfd;
		if (poll(pfds, ARRAY_SIZE(pfds), charger_look_ms(charger)) < 0)
			continue;
		if (pfds[0].revents)
			return NULL;
		if (pfds[2].revents)
			charger_look(charger);
		charger_see_to(charger, pfds[1].revents);
	}
}

static int charger_open_fds(struct charger *charger)
{
	charger->stop_fd = eventfd(0, EFD_CLOEXEC);
	charger->look_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	charger->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (charger->stop_fd < 0 || charger->look_fd < 0 ||
	    charger->wake_fd < 0)
		return -EMFILE;
	return 0;
}

/* The first time, while nobody else is there. */
static int charger_start(struct charger *charger)
{
	const struct charger_config *config = &charger->config;
	int r;

	r = charger_spawn(charger, config->timeout_ns);
	if (r == 0 && config->started)
		config->started(config->userdata);
	return r;
}

int charger_new(const struct charger_config *config, struct charger **out)
{
	struct charger *charger;
	int r;

	charger = calloc(1, sizeof(*charger));
	if (!charger)
		return -ENOMEM;
	charger->config = *config;
	charger->pidfd = -1;
	charger->away = config->is_lazy;
	pthread_mutex_init(&charger->lock, NULL);
	charger->name = strdup(config->name);
	r = charger->name ? charger_open_fds(charger) : -ENOMEM;
	if (r == 0)
		r = ring_new(&charger->ring);
	if (r == 0) {
		charger->config.birth.ring_fd = ring_fd(charger->ring);
		if (!config->is_lazy)
			r = charger_start(charger);
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
		spawner_kill(charger->config.spawner, charger->pid);
	close_fd(charger->pidfd);
	close_fd(charger->stop_fd);
	close_fd(charger->look_fd);
	close_fd(charger->wake_fd);
	ring_free(charger->ring);
	pthread_mutex_destroy(&charger->lock);
	free(charger->name);
	free(charger);
	return NULL;
}

bool charger_is_silent(const struct charger *charger)
{
	return atomic_load_explicit(&charger->silent, memory_order_relaxed);
}

bool charger_is_away(const struct charger *charger)
{
	return atomic_load(&charger->away);
}

unsigned int charger_restarts(const struct charger *charger)
{
	return atomic_load_explicit(&charger->restarts, memory_order_relaxed);
}

bool charger_is_down(const struct charger *charger)
{
	return atomic_load(&charger->down);
}

bool charger_has_thread(const struct charger *charger, pid_t tid)
{
	for (int i = 0; i < MAX_TIDS; i++)
		if (atomic_load_explicit(&charger->tids[i],
					 memory_order_relaxed) == tid)
			return tid != 0;
	return false;
}

unsigned int charger_life(const struct charger *charger)
{
	return atomic_load(&charger->life);
}

void charger_keep(struct charger *charger, int change)
{
	atomic_fetch_add(&charger->kept, change);
}

void charger_hurry(struct charger *charger)
{
	atomic_store(&charger->hurry, true);
}

static int64_t charger_timed_out(struct charger *charger)
{
	if (!atomic_exchange(&charger->silent, true)) {
		tell(charger, "silent");
		log_warning("the charger in %s does not answer; is the cgroup "
			    "frozen? What needs it fails with \"%s\"",
			    charger->name, strerror(ETIMEDOUT));
	}
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
	uint64_t timeout_ns = charger->config.timeout_ns;

	if (atomic_load_explicit(&charger->silent, memory_order_relaxed))
		return timeout_ns < SILENT_NS ? timeout_ns : SILENT_NS;
	return timeout_ns;
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

/* Posts the call and waits for it: whether it was begun in time. */
static bool charger_make(struct charger *charger, struct ring_call *call)
{
	uint64_t until_ns = now_ns() + charger_patience(charger);
	unsigned int slot = ring_slot_get(charger->ring, until_ns);
	struct ring_call *posted;
	bool in_time;

	if (slot == RING_SLOTS)
		return false;
	posted = ring_slot_call(charger->ring, slot);
	*posted = *call;
	posted->cpu = affinity_cpu();
	ring_post(charger->ring, slot);
	if (atomic_load(&charger->away))
		eventfd_write(charger->wake_fd, 1);
	/* Against charger_set_vacant(): one of the two sees the other. */
	if (atomic_load(&charger->vacant))
		charger_fail_calls(charger);
	in_time = charger_wait(charger, slot, until_ns);
	*call = *posted;
	ring_slot_put(charger->ring, slot);
	return in_time;
}

int64_t charger_call(struct charger *charger, struct ring_call *call)
{
	bool in_time;

	atomic_fetch_add(&charger->calls, CALL_COUNTED | CALL_IN_FLIGHT);
	in_time = charger_make(charger, call);
	atomic_fetch_sub(&charger->calls, CALL_IN_FLIGHT);
	if (!in_time)
		return charger_timed_out(charger);
	if (atomic_load_explicit(&charger->silent, memory_order_relaxed) &&
	    atomic_exchange(&charger->silent, false)) {
		log_info("the charger in %s answers again", charger->name);
		tell(charger, "answers again");
	}
	return call->result;
}
