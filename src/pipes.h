/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pipes that data go through by reference, a page in each of their slots. All
 * are made at once, as the right to large ones (CAP_SYS_RESOURCE, for more
 * than 1 MiB) is given up after that; who needs one takes it for a moment.
 */
#ifndef MEMCGFS_PIPES_H
#define MEMCGFS_PIPES_H

#include <stddef.h>

#define PIPES_COUNT 16

struct pipes;

/* Of that size, or the nearest below it that may be had. 0 or -errno. */
int pipes_new(size_t bytes, struct pipes **out);
struct pipes *pipes_free(struct pipes *pipes);

/* What the smallest of them can hold, if each page is full. */
size_t pipes_bytes(const struct pipes *pipes);

/* An empty one: fds[0] is its end to read, neither blocks. -EAGAIN: none. */
int pipes_take(struct pipes *pipes, int fds[2]);

/* Gives it back; what is left in it is dropped. */
void pipes_put(struct pipes *pipes, const int fds[2]);

#endif
