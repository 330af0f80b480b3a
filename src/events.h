/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens, for those who follow it: a ring of the last events. Who tells
 * of one puts a copy there and goes on, whoever reads; a follower who lags
 * behind loses the oldest, and is told how many. While nobody follows nothing
 * is kept, and telling costs the load of a word.
 */
#ifndef MEMCGFS_EVENTS_H
#define MEMCGFS_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#define EVENTS_KEPT 1024
#define EVENTS_FOLLOWERS 8

struct events;

/* name, what has happened */
#define EVENTS_KINDS(X)                                                    \
	X(follow, "who asks is told from now on")                          \
	X(claim, "foreign pages of a file were dropped or brought back")   \
	X(residue, "foreign pages of a file couldn't be moved")            \
	X(move, "a file has another host")                                 \
	X(share, "a cgroup uses a file that another pays for")             \
	X(pin, "a file isn't pinned")                                      \
	X(charger, "a charger started, died, left or doesn't answer")      \
	X(degraded, "something isn't as it should be; or it is again")     \
	X(scanner, "a process goes through many files once; or no longer") \
	X(rules, "rules were refused, have changed, or were read again")

enum event_kind {
#define X(name, meaning) EVENT_##name,
	EVENTS_KINDS(X)
#undef X
		EVENT_KINDS,
};

struct event {
	enum event_kind kind;
	uint64_t time_ns; /* by the clock on the wall; set by who keeps it */
	uint64_t bytes; /* 0: it's not about any */
	/* NULL: it's about none. */
	const char *path; /* within the mount */
	const char *host;
	const char *account;
	const char *reason;
};

int events_new(struct events **out);

/* Nobody may follow any more. */
struct events *events_free(struct events *events);

/* Whether it is worth the trouble to look up a path, say. */
bool events_are_followed(const struct events *events);

/* Never waits; @events may be NULL. Without memory it goes unsaid. */
void events_tell(struct events *events, const struct event *event);

/*
 * Follows what happens from now on: a place in it, to be given to
 * events_next(). -EAGAIN: too many do. And ends that.
 */
int events_follow(struct events *events, uint64_t *place);
void events_unfollow(struct events *events);

/*
 * The next event, to be given back; NULL: there was none for @ms. *@missed are
 * those that were lost before it.
 */
const struct event *events_next(struct events *events, uint64_t *place,
				unsigned int ms, uint64_t *missed);
void event_unref(const struct event *event);

const char *event_name(enum event_kind kind);

#endif
