// SPDX-License-Identifier: GPL-2.0-or-later
/* What happens, for those who follow it; see events.h. */
#include "events.h"

#include "util.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* An event as it is kept; it doesn't change. */
struct kept {
	struct event event;
	_Atomic uint32_t refs;
	char text[]; /* of all strings */
};

struct events {
	/* Relaxed: who begins to follow now may miss what happens now. */
	_Atomic uint32_t followers;
	pthread_mutex_t lock; /* for all below */
	pthread_cond_t told;
	uint64_t count; /* so many were told; the last ones are kept */
	struct kept *ring[EVENTS_KEPT];
};

static const char *const names[] = {
#define X(name, meaning) #name,
	EVENTS_KINDS(X)
#undef X
};

const char *event_name(enum event_kind kind)
{
	return names[kind];
}

int events_new(struct events **out)
{
	pthread_condattr_t attr;
	struct events *events;

	events = calloc(1, sizeof(*events));
	if (!events)
		return -ENOMEM;
	pthread_mutex_init(&events->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&events->told, &attr);
	pthread_condattr_destroy(&attr);
	*out = events;
	return 0;
}

static struct kept *kept_unref(struct kept *kept)
{
	if (kept && atomic_fetch_sub(&kept->refs, 1) == 1)
		free(kept);
	return NULL;
}

static void forget_all(struct events *events)
{
	for (int i = 0; i < EVENTS_KEPT; i++)
		events->ring[i] = kept_unref(events->ring[i]);
}

struct events *events_free(struct events *events)
{
	if (!events)
		return NULL;
	assert(!atomic_load(&events->followers));
	forget_all(events);
	pthread_cond_destroy(&events->told);
	pthread_mutex_destroy(&events->lock);
	free(events);
	return NULL;
}

/* -- telling -- */

bool events_are_followed(const struct events *events)
{
	return events &&
	       atomic_load_explicit(&events->followers, memory_order_relaxed);
}

static size_t size_of(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

/* A copy at *@at, which moves behind it. */
static const char *copy(char **at, const char *text)
{
	char *copied = *at;

	if (!text)
		return NULL;
	*at = stpcpy(copied, text) + 1;
	return copied;
}

static struct kept *keep(const struct event *event)
{
	struct kept *kept;
	char *at;

	kept = malloc(sizeof(*kept) + size_of(event->path) +
		      size_of(event->host) + size_of(event->account) +
		      size_of(event->reason));
	if (!kept)
		return NULL;
	at = kept->text;
	kept->refs = 1;
	kept->event = *event;
	kept->event.time_ns = clock_ns(CLOCK_REALTIME);
	kept->event.path = copy(&at, event->path);
	kept->event.host = copy(&at, event->host);
	kept->event.account = copy(&at, event->account);
	kept->event.reason = copy(&at, event->reason);
	return kept;
}

void events_tell(struct events *events, const struct event *event)
{
	struct kept *kept, *old;

	if (!events_are_followed(events))
		return;
	kept = keep(event);
	if (!kept)
		return;
	pthread_mutex_lock(&events->lock);
	old = events->ring[events->count % EVENTS_KEPT];
	events->ring[events->count++ % EVENTS_KEPT] = kept;
	pthread_cond_broadcast(&events->told);
	pthread_mutex_unlock(&events->lock);
	kept_unref(old);
}

/* -- following -- */

int events_follow(struct events *events, uint64_t *place)
{
	int r = 0;

	pthread_mutex_lock(&events->lock);
	if (atomic_load(&events->followers) < EVENTS_FOLLOWERS)
		atomic_fetch_add(&events->followers, 1);
	else
		r = -EAGAIN;
	if (r == 0)
		*place = events->count;
	pthread_mutex_unlock(&events->lock);
	return r;
}

void events_unfollow(struct events *events)
{
	pthread_mutex_lock(&events->lock);
	if (atomic_fetch_sub(&events->followers, 1) == 1)
		forget_all(events);
	pthread_mutex_unlock(&events->lock);
}

static struct timespec in_ms(unsigned int ms)
{
	uint64_t end_ns = now_ns() + ms * UINT64_C(1000000);

	return (struct timespec){
		.tv_sec = (time_t)(end_ns / 1000000000),
		.tv_nsec = (long)(end_ns % 1000000000),
	};
}

const struct event *events_next(struct events *events, uint64_t *place,
				unsigned int ms, uint64_t *missed)
{
	struct timespec end = in_ms(ms);
	struct kept *kept = NULL;
	uint64_t oldest;
	int r = 0;

	pthread_mutex_lock(&events->lock);
	while (*place == events->count && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&events->told, &events->lock, &end);
	oldest = events->count > EVENTS_KEPT ? events->count - EVENTS_KEPT : 0;
	*missed = *place < oldest ? oldest - *place : 0;
	*place += *missed;
	if (*place < events->count) {
		kept = events->ring[(*place)++ % EVENTS_KEPT];
		atomic_fetch_add(&kept->refs, 1);
	}
	pthread_mutex_unlock(&events->lock);
	return kept ? &kept->event : NULL;
}

void event_unref(const struct event *event)
{
	if (event)
		kept_unref(container_of((struct event *)event, struct kept,
					event));
}
