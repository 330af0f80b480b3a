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

/*
 * Starts a charger in the host that @birth tells (its ring_fd is set here),
 * and waits until it is there. Errors are those of entering the host:
 * -EACCES, -EBUSY, -ENODEV... @name is for messages.
 */
int charger_new(struct spawner *spawner, const struct charger_birth *birth,
		const char *name, struct charger **out);

/* All calls have to have ended. */
struct charger *charger_free(struct charger *charger);

/* How often it had to be replaced. */
unsigned int charger_restarts(const struct charger *charger);

/* Whether there is none now, and calls fail with -EHOSTDOWN. */
bool charger_is_down(const struct charger *charger);

/*
 * Has a call made: its result, which is in *call with what else it gave.
 * -EHOSTDOWN: there is no charger, and one can't be had.
 */
int64_t charger_call(struct charger *charger, struct ring_call *call);

#endif
