/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who of the workers is on watch for messages. The kernel gives a message to
 * the worker that has waited longest: of many each takes its turn, with a
 * stack, a buffer and a pipe that no CPU's cache has any more. So no more are
 * on watch than can be of use at once. The others rest, and are called when
 * nobody is left on watch: who came to rest last is first.
 */
#ifndef MEMCGFS_WATCH_H
#define MEMCGFS_WATCH_H

struct watch;

/* At most @limit are on watch. */
int watch_new(unsigned int limit, struct watch **out);

/* Nobody may rest. */
struct watch *watch_free(struct watch *watch);

/* Goes on watch; rests before that if need be, and can be cancelled then. */
void watch_begin(struct watch *watch);

/* Has a message, or none will come: calls another one if he was the last. */
void watch_end(struct watch *watch);

#endif
