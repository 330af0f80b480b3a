/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files that a charger keeps resident: it maps them and locks the mapping
 * (mlock(2)), so that their pages are the host's until it lets go. All pins
 * end with the process. A pinned file stays open, even without a name.
 */
#ifndef MEMCGFS_PINS_H
#define MEMCGFS_PINS_H

#include <stdint.h>

struct pins;

struct pins *pins_new(void);

/*
 * Pins the first @length bytes of the file behind @fd; @key names it. One
 * that is pinned already is pinned to its new length. -ENOMEM: the host has
 * no room.
 */
int pins_add(struct pins *pins, uint64_t key, int fd, uint64_t length);

/* Lets go; one that isn't pinned is none. */
void pins_remove(struct pins *pins, uint64_t key);

#endif
