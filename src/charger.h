/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A charger, seen from the daemon: calls go in, and come out made. That the
 * process behind it dies and is replaced is not seen by the caller.
 */
#ifndef MEMCGFS_CHARGER_H
#define MEMCGFS_CHARGER_H

#include "ring.h"
#include "spawner.h"

#include <stdbool.h>

struct charger;

struct charger_config {
	struct spawner *spawner;
	struct charger_birth birth; /* ring_fd is set by charger_new() */
	/*
	 * Unless NULL, called by one thread at a time before each start: it
	 * brings the birth up to date, or tells why there can't be one.
	 */
	int (*renew)(void *userdata, struct charger_birth *birth);
	/* Unless NULL, called after each start. */
	void (*started)(void *userdata);
	/* Unless NULL, told by any thread what becomes of the charger. */
	void (*told)(void *userdata, const char *what);
	void *userdata;
	const char *name; /* for messages */
	uint64_t timeout_ns; /* of a call that isn't begun */
	uint64_t idle_ns; /* without calls for so long it leaves; 0: never */
	bool is_lazy; /* it comes with the first call */
};

/*
 * Starts a charger in the host that the config tells, and, unless it is lazy,
 * waits until it is there. Errors are those of entering the host: -EACCES,
 * -EBUSY, -ENODEV... and -ETIMEDOUT.
 */
int charger_new(const struct charger_config *config, struct charger **out);

/* All calls have to have ended. */
struct charger *charger_free(struct charger *charger);

/* Whether the last call that it was given timed out. */
bool charger_is_silent(const struct charger *charger);

/* Whether it has left, as nobody needs it. */
bool charger_is_away(const struct charger *charger);

/* How often it had to be replaced. */
unsigned int charger_restarts(const struct charger *charger);

/* Whether there is none now, and calls fail with -EHOSTDOWN. */
bool charger_is_down(const struct charger *charger);

/*
 * Has a call made: its result, which is in *call with what else it gave.
 * -EHOSTDOWN: there is no charger, and one can't be had. -ETIMEDOUT: the
 * charger is frozen, or stopped. Nothing of the call was done then, unless it
 * stopped in the midst of it.
 */
int64_t charger_call(struct charger *charger, struct ring_call *call);

/* Whether it is one of the charger's threads that lives now. */
bool charger_has_thread(const struct charger *charger, pid_t tid);

/*
 * Which charger it is, counted: what the last one kept for itself, as pins,
 * is gone with it. Changes before the next one makes its first call.
 */
unsigned int charger_life(const struct charger *charger);

/* It has something to keep (+1), or no longer (-1), and so doesn't leave. */
void charger_keep(struct charger *charger, int change);

/* The daemon ends: who waits for a charger that doesn't answer need not. */
void charger_hurry(struct charger *charger);

#endif
