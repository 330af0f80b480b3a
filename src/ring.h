/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The ring between the daemon and one charger: a memfd that both map, with a
 * fixed number of slots. A slot carries one call; its data are in the arena.
 *
 * A slot's state goes FREE -> POSTED -> TAKEN -> DONE -> FREE. The daemon
 * moves it to POSTED and back to FREE, the charger does the two steps
 * between. All of it is lock-free words in shared memory, so a charger may
 * die at any instruction: ring_repost() puts what it left unfinished before
 * its successor.
 *
 * Both sides spin for a moment before they sleep in futex(2): a wake-up on
 * another CPU costs several times what the call itself does.
 */
#ifndef MEMCGFS_RING_H
#define MEMCGFS_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RING_SLOTS 32

enum ring_op {
	RING_READ, /* file -> arena; flags: RWF_* */
	/*
	 * File -> pipe fd2, by reference. -ERESTART: a charger died of it,
	 * and the pipe holds anything.
	 */
	RING_SPLICE,
	RING_WRITE, /* arena -> file; fd2: it again, not for O_DIRECT */
	RING_TRUNCATE,
	RING_FALLOCATE, /* flags: the mode */
	RING_COPY_RANGE, /* fd, offset -> fd2, offset2 */
	RING_AHEAD, /* make offset, length resident */
	/*
	 * Start reading what isn't resident of it, for a file of a mount that
	 * the daemon itself serves: nothing is waited for but the kernel's
	 * queue of requests. Its backing, fd2, has the disk begin to read it
	 * before, from offset2 on, unless that is -1.
	 */
	RING_FILL,
	RING_CLAIM, /* drop foreign pages of the range, count the others */
	/*
	 * Whose the resident pages of the range are: into the memfd fd2, as
	 * an array of struct residency_run, offset2 at most. The result is
	 * their number: with offset2 of them there may be more.
	 */
	RING_PROBE,
	RING_PIN, /* lock the first length bytes; offset2: a key */
	RING_UNPIN, /* offset2: that key */
};

/* In flags, beside the op's own: the caller lacks CAP_FSETID. */
#define RING_KILL_PRIV (1u << 31)
/* RING_CLAIM: count only. */
#define RING_LOOK (1u << 29)
/*
 * RING_CLAIM, RING_PROBE: the fd is quiet, and the call's own. A charger must
 * not close a file of the mount: see closer.h.
 */
#define RING_QUIET_FD (1u << 28)
/* Beside a run's own flags: it is the host's. */
#define RING_RUN_OF_HOST (1u << 31)
/*
 * RING_TRUNCATE as truncate(2) does it, not ftruncate(2), which moves a
 * file's times on xfs though its size stays as it is (seen on 7.2).
 */
#define RING_BY_NAME (1u << 30)

/*
 * fds that a call opens for itself. The fd table is shared and outlives the
 * charger, so the daemon closes those that a dead one left here. They are
 * noted after open and cleared before close: what dies between leaks an fd,
 * and never closes another's.
 */
#define RING_SCRATCH_FDS 2

/* append_size before the append began. */
#define RING_SIZE_UNKNOWN UINT64_MAX

struct ring_call {
	uint32_t op;
	uint32_t flags; /* reads and writes: RWF_*; fallocate: mode */
	int32_t fd;
	int32_t fd2;
	uint64_t offset;
	uint64_t offset2;
	uint64_t length;
	uint64_t buffer; /* reads and writes: offset in the arena */
	int64_t result; /* bytes, 0, or -errno */
	int32_t cpu; /* where to make it, or AFFINITY_ANY */
	uint32_t attempts; /* chargers that died of it, or beside it */
	uint32_t is_made_here; /* by who called, see charge_call() */
	uint64_t append_size; /* of the file, when an append began */
	uint64_t resident_pages; /* RING_CLAIM: of the host, after it */
	uint64_t foreign_pages; /* RING_CLAIM: found before it */
	uint64_t residue_pages; /* RING_CLAIM: foreign ones that stayed */
	uint64_t mapped_pages; /* RING_CLAIM: mapped by somebody, after it */
	uint32_t residue_flags; /* RING_CLAIM: what any of those has that stayed */
	uint64_t look_ns; /* of CPU time; RING_CLAIM, _PROBE, RING_AHEAD */
	int32_t scratch_fds[RING_SCRATCH_FDS];
};

struct ring;

/* Daemon: makes a ring, all of its memory touched. Returns 0 or -errno. */
int ring_new(struct ring **out);
struct ring *ring_free(struct ring *ring);

/* The memfd; a process that shares the fd table attaches by its number. */
int ring_fd(const struct ring *ring);

/*
 * Daemon: a free slot's number; waits for one until the time @until_ns of
 * now_ns(), then RING_SLOTS.
 */
unsigned int ring_slot_get(struct ring *ring, uint64_t until_ns);
void ring_slot_put(struct ring *ring, unsigned int slot);

struct ring_call *ring_slot_call(struct ring *ring, unsigned int slot);

/* Daemon: posts the slot's call. */
void ring_post(struct ring *ring, unsigned int slot);

/* Daemon: waits for @ns until it is done: whether it is. */
bool ring_wait(struct ring *ring, unsigned int slot, uint64_t ns);

/* Daemon: takes back a posted call; false: a charger has begun it. */
bool ring_withdraw(struct ring *ring, unsigned int slot);

/*
 * Daemon: no charger lives. Readies the ring for the next one, and posts
 * again all that the last one left unfinished.
 */
void ring_repost(struct ring *ring);

/* Daemon: there will be no charger. Ends all calls with @result (-errno). */
void ring_fail(struct ring *ring, int64_t result);

/*
 * Daemon: waits until the charger said ready, and gives what it said. -ESRCH:
 * it died before; -ECANCELED: @stop_fd became readable; -ETIMEDOUT: @ns went
 * by.
 */
int ring_wait_ready(struct ring *ring, int pidfd, int stop_fd, uint64_t ns);

/* Charger: attaches to the ring behind @fd. */
int ring_attach(int fd, struct ring **out);

/* Charger: says that it is ready (0), or that it can't be (-errno). */
void ring_set_ready(struct ring *ring, int result);

/* Charger: the next posted slot; waits for it. ring_done() answers it. */
unsigned int ring_take(struct ring *ring);
void ring_done(struct ring *ring, unsigned int slot);

#endif
