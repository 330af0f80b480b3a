// SPDX-License-Identifier: GPL-2.0-or-later
/* A gate lets so many through at a time; see gate.h. */
#include "gate.h"

#include "util.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

struct gate {
	/*
	 * Places left; below 0: so many wait, or are about to. Who goes out
	 * and finds it so takes one of them along, or, if none is in the
	 * queue yet, owes a place to who comes there next.
	 */
	atomic_int places;
	int limit;
	pthread_mutex_t lock; /* for all below */
	unsigned int owed;
	struct gate_wait *head;
	struct gate_wait **tail;
};

int gate_new(int limit, struct gate **out)
{
	struct gate *gate;

	gate = calloc(1, sizeof(*gate));
	if (!gate)
		return -ENOMEM;
	gate->places = limit;
	gate->limit = limit;
	pthread_mutex_init(&gate->lock, NULL);
	gate->tail = &gate->head;
	*out = gate;
	return 0;
}

struct gate *gate_free(struct gate *gate)
{
	if (!gate)
		return NULL;
	assert(atomic_load(&gate->places) == gate->limit);
	pthread_mutex_destroy(&gate->lock);
	free(gate);
	return NULL;
}

bool gate_try(struct gate *gate)
{
	return atomic_fetch_sub(&gate->places, 1) > 0;
}

bool gate_wait(struct gate *gate, struct gate_wait *wait)
{
	bool is_in;

	wait->next = NULL;
	pthread_mutex_lock(&gate->lock);
	is_in = gate->owed > 0;
	if (is_in) {
		gate->owed--;
	} else {
		*gate->tail = wait;
		gate->tail = &wait->next;
	}
	pthread_mutex_unlock(&gate->lock);
	return is_in;
}

struct gate_wait *gate_leave(struct gate *gate)
{
	struct gate_wait *next;

	if (atomic_fetch_add(&gate->places, 1) >= 0)
		return NULL;
	pthread_mutex_lock(&gate->lock);
	next = gate->head;
	if (next)
		gate->head = next->next;
	else
		gate->owed++;
	if (!gate->head)
		gate->tail = &gate->head;
	pthread_mutex_unlock(&gate->lock);
	return next;
}
