/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The memory that data passes through on its way between clients and files:
 * a memfd that the daemon and all chargers map, with a buffer for each
 * thread of the daemon. Requests are received into it and replies sent out
 * of it, so that a byte is copied twice in all: between the page cache and
 * the buffer by the charger, and between the buffer and the client by the
 * kernel.
 *
 * Its pages are charged to the daemon: a buffer is touched here before a
 * charger may write to it.
 */
#ifndef MEMCGFS_ARENA_H
#define MEMCGFS_ARENA_H

#include <stddef.h>
#include <stdint.h>

#define ARENA_BUFFER_BYTES (1024 * 1024)

struct arena;

/* Room for a buffer each for so many threads; a page is taken when used. */
int arena_new(unsigned int max_threads, struct arena **out);
struct arena *arena_free(struct arena *arena);

/* The memfd; a process that shares the fd table maps it by its number. */
int arena_fd(const struct arena *arena);

/*
 * The calling thread's buffer, page-aligned, its first @size bytes touched.
 * NULL: there are more threads than it was made for.
 */
void *arena_buffer(struct arena *arena, size_t size);

/* Where in the memfd an address within the arena is. */
uint64_t arena_offset(const struct arena *arena, const void *address);

/* Charger: maps the arena behind @fd. Returns its address, or NULL. */
void *arena_attach(int fd);

#endif
