// SPDX-License-Identifier: GPL-2.0-or-later
/* A charger, seen from the daemon; see charger.h. */
#include "charger.h"

#include "affinity.h"
#include "log.h"
#include "util.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

#define RETRY_MS 1000
#define SPAWN_TRIES 100

struct charger {
	struct spawner *spawner;
	struct charger_birth birth;
	char *name;
	struct ring *ring;
	int pidfd; /* supervisor only; -1: none alive */
	pid_t pid; /* supervisor only */
	int stop_fd;
	pthread_t supervisor;
	atomic_uint restarts;
	/*
	 * Between the charger's death and its successor's birth, where that
	 * fails. Set under the lock, so that ring_fail() never meets a
	 * living charger; read without it, against ring_post().
	 */
	atomic_bool down;
	pthread_mutex_t lock;
};

/* No charger lives: what the last one left is there for this one. */
static int charger_try_spawn(struct charger *charger)
{
	int r;

	ring_repost(charger->ring);
	r = spawner_spawn(charger->spawner, &charger->birth, &charger->pidfd,
			  &charger->pid);
	if (r < 0)
		return r;
	r = ring_wait_ready(charger->ring, charger->pidfd);
	if (r < 0) {
		spawner_kill(charger->spawner, charger->pid);
		charger->pidfd = close_fd(charger->pidfd);
	}
	return r;
}

/* One that is killed before it is ready says nothing of the host. */
static int charger_spawn(struct charger *charger)
{
	int r = -ESRCH;

	for (int i = 0; i < SPAWN_TRIES && r == -ESRCH; i++)
		r = charger_try_spawn(charger);
	return r;
}

static void charger_fail_calls(struct charger *charger)
{
	pthread_mutex_lock(&charger->lock);
	if (atomic_load(&charger->down))
		ring_fail(charger->ring, -EHOSTDOWN);
	pthread_mutex_unlock(&charger->lock);
}

static void charger_set_down(struct charger *charger, bool down)
{
	pthread_mutex_lock(&charger->lock);
	atomic_store(&charger->down, down);
	pthread_mutex_unlock(&charger->lock);
	if (down)
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
	bool was_down = atomic_load(&charger->down);
	int r;

	charger->pidfd = close_fd(charger->pidfd);
	/* Before there is one: calls are failed only while there is none. */
	charger_set_down(charger, false);
	r = charger_spawn(charger);
	if (r < 0) {
		if (!was_down)
			log_error_errno(r, "cannot restart the charger in %s",
					charger->name);
		charger_set_down(charger, true);
		if (r == -ECHILD)
			lost_spawner();
		return;
	}
	atomic_fetch_add_explicit(&charger->restarts, 1, memory_order_relaxed);
	log_debug("charger in %s restarted", charger->name);
}

/* A thread per charger: waits for its end, and sees to its successor. */
static void *charger_supervise(void *arg)
{
	struct charger *charger = arg;
	struct pollfd pfds[] = {
		{ .fd = charger->stop_fd, .events = POLLIN },
		{ .events = POLLIN },
	};

	for (;;) {
		pfds[1].fd = charger->pidfd;
		if (poll(pfds, ARRAY_SIZE(pfds),
			 charger->pidfd < 0 ? RETRY_MS : -1) < 0)
			continue;
		if (pfds[0].revents)
			return NULL;
		if (charger->pidfd < 0 || pfds[1].revents)
			charger_restart(charger);
	}
}

int charger_new(struct spawner *spawner, const struct charger_birth *birth,
		const char *name, struct charger **out)
{
	struct charger *charger;
	int r;

	charger = calloc(1, sizeof(*charger));
	if (!charger)
		return -ENOMEM;
	charger->spawner = spawner;
	charger->birth = *birth;
	charger->pidfd = -1;
	charger->stop_fd = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&charger->lock, NULL);
	charger->name = strdup(name);
	r = charger->name && charger->stop_fd >= 0 ? 0 : -ENOMEM;
	if (r == 0)
		r = ring_new(&charger->ring);
	if (r == 0) {
		charger->birth.ring_fd = ring_fd(charger->ring);
		r = charger_spawn(charger);
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

int64_t charger_call(struct charger *charger, struct ring_call *call)
{
	unsigned int slot = ring_slot_get(charger->ring);
	struct ring_call *posted = ring_slot_call(charger->ring, slot);

	*posted = *call;
	posted->cpu = affinity_cpu();
	ring_post(charger->ring, slot);
	/* Against charger_set_down(): one of the two sees the other. */
	if (atomic_load(&charger->down))
		charger_fail_calls(charger);
	ring_wait(charger->ring, slot);
	*call = *posted;
	ring_slot_put(charger->ring, slot);
	return call->result;
}
