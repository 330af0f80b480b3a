// SPDX-License-Identifier: GPL-2.0-or-later
/* The ring between the daemon and one charger; see ring.h. */
#include "ring.h"

#include "util.h"

#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define WORKER_SPIN_NS 50000
#define CHARGER_SPIN_NS 100000
#define LONG_YIELD_NS 10000
#define READY_POLL_MS 20
#define NOT_READY 1
/* A call that so many chargers died of is at fault itself. */
#define MAX_ATTEMPTS 100

enum slot_state { SLOT_FREE, SLOT_POSTED, SLOT_TAKEN, SLOT_DONE };

struct slot {
	_Atomic uint32_t state; /* futex of the waiting worker */
	_Atomic uint32_t waiting; /* the worker sleeps, or is about to */
	struct ring_call call;
} __attribute__((aligned(64)));

/* What both processes map. */
struct ring_shared {
	/* Bit n: slot n was posted; whoever clears it tries to take it. */
	_Atomic uint32_t posted __attribute__((aligned(64)));
	/* Counts posts; futex of the charger's idle threads. */
	_Atomic uint32_t doorbell;
	_Atomic uint32_t sleepers;
	/* One idle thread of the charger looks without sleeping. */
	_Atomic uint32_t spinner;
	_Atomic int32_t ready __attribute__((aligned(64)));
	struct slot slots[RING_SLOTS];
};

struct ring {
	struct ring_shared *shared;
	int fd;
	/* Daemon only: the free slots, under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t slot_freed;
	uint32_t free_slots;
};

_Static_assert(RING_SLOTS == 32, "the slot sets are words of 32 bits");

static struct timespec timespec_of(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000),
	};
}

/* At most @ns; it may end earlier for no reason. */
static void futex_wait(_Atomic uint32_t *word, uint32_t seen, uint64_t ns)
{
	struct timespec timeout = timespec_of(ns);

	syscall(SYS_futex, word, FUTEX_WAIT, seen, &timeout, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int count)
{
	syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

static void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#endif
}

/*
 * Lets others run who are ready to. False: they took long, so it is better to
 * sleep. (A yield costs the rest of a time slice then, on Linux 6.18.)
 */
static bool yield_is_short(void)
{
	uint64_t before = now_ns();

	sched_yield();
	return now_ns() - before < LONG_YIELD_NS;
}

static int ring_map(int fd, struct ring **out)
{
	struct ring *ring;

	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return -ENOMEM;
	ring->shared = mmap(NULL, sizeof(*ring->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_POPULATE, fd, 0);
	if (ring->shared == MAP_FAILED) {
		free(ring);
		return -errno;
	}
	ring->fd = fd;
	pthread_mutex_init(&ring->lock, NULL);
	pthread_cond_init(&ring->slot_freed, NULL);
	ring->free_slots = UINT32_MAX;
	*out = ring;
	return 0;
}

int ring_new(struct ring **out)
{
	cleanup_close int fd = -1;
	int r;

	fd = memfd_create("memcgfs-ring", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, sizeof(struct ring_shared)) < 0)
		return -errno;
	r = ring_map(fd, out);
	if (r < 0)
		return r;
	atomic_store_explicit(&(*out)->shared->ready, NOT_READY,
			      memory_order_relaxed);
	steal_fd(&fd);
	return 0;
}

struct ring *ring_free(struct ring *ring)
{
	if (!ring)
		return NULL;
	munmap(ring->shared, sizeof(*ring->shared));
	close_fd(ring->fd);
	pthread_cond_destroy(&ring->slot_freed);
	pthread_mutex_destroy(&ring->lock);
	free(ring);
	return NULL;
}

int ring_fd(const struct ring *ring)
{
	return ring->fd;
}

unsigned int ring_slot_get(struct ring *ring, uint64_t until_ns)
{
	struct timespec until = timespec_of(until_ns);
	unsigned int slot = RING_SLOTS;
	int r = 0;

	pthread_mutex_lock(&ring->lock);
	while (!ring->free_slots && r != ETIMEDOUT)
		r = pthread_cond_clockwait(&ring->slot_freed, &ring->lock,
					   CLOCK_MONOTONIC, &until);
	if (ring->free_slots) {
		slot = (unsigned int)__builtin_ctz(ring->free_slots);
		ring->free_slots &= ~(1u << slot);
	}
	pthread_mutex_unlock(&ring->lock);
	return slot;
}

void ring_slot_put(struct ring *ring, unsigned int slot)
{
	/* Relaxed: the lock orders this for the slot's next user. */
	atomic_store_explicit(&ring->shared->slots[slot].state, SLOT_FREE,
			      memory_order_relaxed);
	pthread_mutex_lock(&ring->lock);
	ring->free_slots |= 1u << slot;
	pthread_cond_signal(&ring->slot_freed);
	pthread_mutex_unlock(&ring->lock);
}

struct ring_call *ring_slot_call(struct ring *ring, unsigned int slot)
{
	return &ring->shared->slots[slot].call;
}

/*
 * Sequentially consistent against ring_take(): either this side sees that
 * the charger looks or sleeps, or the charger sees the posted bit.
 */
static void ring_knock(struct ring_shared *shared, uint32_t bits)
{
	atomic_fetch_or(&shared->posted, bits);
	atomic_fetch_add(&shared->doorbell, 1);
	if (!atomic_load(&shared->spinner) && atomic_load(&shared->sleepers))
		futex_wake(&shared->doorbell, 1);
}

void ring_post(struct ring *ring, unsigned int slot)
{
	struct slot *s = &ring->shared->slots[slot];

	for (int i = 0; i < RING_SCRATCH_FDS; i++)
		s->call.scratch_fds[i] = -1;
	s->call.attempts = 0;
	s->call.append_size = RING_SIZE_UNKNOWN;
	atomic_store_explicit(&s->waiting, 0, memory_order_relaxed);
	/* Release: pairs with the charger's acquire in slot_take(). */
	atomic_store_explicit(&s->state, SLOT_POSTED, memory_order_release);
	ring_knock(ring->shared, 1u << slot);
}

static bool slot_is_done(struct slot *s)
{
	/* Acquire: pairs with the store of SLOT_DONE in ring_done(). */
	return atomic_load_explicit(&s->state, memory_order_acquire) ==
	       SLOT_DONE;
}

bool ring_wait(struct ring *ring, unsigned int slot, uint64_t ns)
{
	struct slot *s = &ring->shared->slots[slot];
	uint64_t now = now_ns();
	uint64_t spin_until = now + WORKER_SPIN_NS;
	uint64_t until = now + ns;
	uint32_t seen;

	while (now_ns() < spin_until) {
		for (int i = 0; i < 32; i++) {
			if (slot_is_done(s))
				return true;
			cpu_relax();
		}
		if (!yield_is_short())
			break;
	}
	/* Against ring_done(): it sees waiting, or this side sees DONE. */
	atomic_store(&s->waiting, 1);
	while ((seen = atomic_load(&s->state)) != SLOT_DONE) {
		now = now_ns();
		if (now >= until)
			return false;
		futex_wait(&s->state, seen, until - now);
	}
	return true;
}

bool ring_withdraw(struct ring *ring, unsigned int slot)
{
	uint32_t expected = SLOT_POSTED;

	/* Its bit may stay posted: whoever clears it finds nothing. */
	return atomic_compare_exchange_strong(&ring->shared->slots[slot].state,
					      &expected, SLOT_FREE);
}

/* What the dead charger's call had open for itself. */
static void slot_close_scratch(struct slot *s)
{
	for (int i = 0; i < RING_SCRATCH_FDS; i++)
		s->call.scratch_fds[i] = close_fd(s->call.scratch_fds[i]);
}

void ring_repost(struct ring *ring)
{
	struct ring_shared *shared = ring->shared;
	uint32_t bits = 0;
	struct slot *s;

	atomic_store(&shared->ready, NOT_READY);
	atomic_store(&shared->spinner, 0);
	atomic_store(&shared->sleepers, 0);
	for (unsigned int i = 0; i < RING_SLOTS; i++) {
		s = &shared->slots[i];
		switch (atomic_load(&s->state)) {
		case SLOT_TAKEN:
			slot_close_scratch(s);
			if (++s->call.attempts > MAX_ATTEMPTS) {
				s->call.result = -EIO;
				ring_done(ring, i);
				break;
			}
			atomic_store(&s->state, SLOT_POSTED);
			bits |= 1u << i;
			break;
		case SLOT_POSTED:
			bits |= 1u << i;
			break;
		case SLOT_DONE:
			/* It may have died just before it woke the worker. */
			futex_wake(&s->state, 1);
			break;
		default:
			break;
		}
	}
	if (bits)
		ring_knock(shared, bits);
}

void ring_fail(struct ring *ring, int64_t result)
{
	struct slot *s;

	for (unsigned int i = 0; i < RING_SLOTS; i++) {
		s = &ring->shared->slots[i];
		switch (atomic_load(&s->state)) {
		case SLOT_POSTED:
		case SLOT_TAKEN:
			slot_close_scratch(s);
			s->call.attempts++;
			s->call.result = result;
			ring_done(ring, i);
			break;
		default:
			break;
		}
	}
}

int ring_wait_ready(struct ring *ring, int pidfd, int stop_fd, uint64_t ns)
{
	struct pollfd pfds[] = {
		{ .fd = pidfd, .events = POLLIN },
		{ .fd = stop_fd, .events = POLLIN },
	};
	uint64_t begin = now_ns();
	bool died = false;
	int32_t ready;

	for (;;) {
		/* One that died may have said why just before. */
		ready = atomic_exchange(&ring->shared->ready, NOT_READY);
		if (ready != NOT_READY)
			return ready;
		if (died)
			return -ESRCH;
		if (now_ns() - begin > ns)
			return -ETIMEDOUT;
		if (poll(pfds, ARRAY_SIZE(pfds), READY_POLL_MS) <= 0)
			continue;
		if (pfds[1].revents)
			return -ECANCELED;
		died = pfds[0].revents;
	}
}

int ring_attach(int fd, struct ring **out)
{
	return ring_map(fd, out);
}

void ring_set_ready(struct ring *ring, int result)
{
	atomic_store(&ring->shared->ready, result);
}

/* A posted slot's number, or RING_SLOTS. */
static unsigned int slot_take(struct ring_shared *shared)
{
	uint32_t posted = atomic_load(&shared->posted);
	uint32_t expected;
	unsigned int slot;

	while (posted) {
		slot = (unsigned int)__builtin_ctz(posted);
		posted = atomic_fetch_and(&shared->posted, ~(1u << slot));
		if (!(posted & 1u << slot))
			continue;
		posted &= ~(1u << slot);
		/* A slot reposted too late is done by now: leave it. */
		expected = SLOT_POSTED;
		if (atomic_compare_exchange_strong(&shared->slots[slot].state,
						   &expected, SLOT_TAKEN))
			return slot;
	}
	return RING_SLOTS;
}

/* As slot_take(), looking for a while, unless another thread does. */
static unsigned int slot_take_spinning(struct ring_shared *shared)
{
	unsigned int slot = RING_SLOTS;
	uint64_t deadline;

	if (atomic_exchange(&shared->spinner, 1))
		return RING_SLOTS;
	deadline = now_ns() + CHARGER_SPIN_NS;
	while (slot == RING_SLOTS && now_ns() < deadline) {
		for (int i = 0; i < 32 && slot == RING_SLOTS; i++) {
			slot = slot_take(shared);
			cpu_relax();
		}
		if (slot == RING_SLOTS && !yield_is_short())
			break;
	}
	atomic_store(&shared->spinner, 0);
	return slot;
}

/* As slot_take(), asleep until the doorbell rings. */
static unsigned int slot_take_sleeping(struct ring_shared *shared)
{
	uint32_t seen = atomic_load(&shared->doorbell);
	unsigned int slot;

	atomic_fetch_add(&shared->sleepers, 1);
	slot = slot_take(shared);
	if (slot == RING_SLOTS) {
		futex_wait(&shared->doorbell, seen, UINT64_MAX);
		slot = slot_take(shared);
	}
	atomic_fetch_sub(&shared->sleepers, 1);
	return slot;
}

unsigned int ring_take(struct ring *ring)
{
	struct ring_shared *shared = ring->shared;
	unsigned int slot;

	slot = slot_take(shared);
	if (slot == RING_SLOTS)
		slot = slot_take_spinning(shared);
	while (slot == RING_SLOTS)
		slot = slot_take_sleeping(shared);
	/* Whoever posted may have trusted this thread with more than one. */
	if (atomic_load(&shared->posted) && atomic_load(&shared->sleepers))
		futex_wake(&shared->doorbell, 1);
	return slot;
}

void ring_done(struct ring *ring, unsigned int slot)
{
	struct slot *s = &ring->shared->slots[slot];

	atomic_store(&s->state, SLOT_DONE);
	if (atomic_load(&s->waiting))
		futex_wake(&s->state, 1);
}
