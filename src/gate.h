/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A gate lets so many through at a time, and keeps the others in order. Who
 * finds it full doesn't sleep: what he wants is left there, and who goes out
 * takes it along. So a crowd before one gate takes no threads from others.
 */
#ifndef MEMCGFS_GATE_H
#define MEMCGFS_GATE_H

#include <stdbool.h>

struct gate;

/* To be embedded in what waits. */
struct gate_wait {
	struct gate_wait *next;
};

int gate_new(int limit, struct gate **out);

/* Nobody may be inside, or wait. */
struct gate *gate_free(struct gate *gate);

/* True: he is in. Else gate_wait() must follow. */
bool gate_try(struct gate *gate);

/* True: he is in after all. Else he waits for a gate_leave(). */
bool gate_wait(struct gate *gate, struct gate_wait *wait);

/* Goes out: the next one, who is in then; or NULL. */
struct gate_wait *gate_leave(struct gate *gate);

#endif
