/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thread that closes files for those who must not wait. To close a file of
 * a FUSE mount writes its dirty pages, those of mappings too, and waits for
 * that, whoever closes it, and however it was open (fuse_flush(), Linux 6.18):
 * by one who is to answer those writes it must not be done.
 */
#ifndef MEMCGFS_CLOSER_H
#define MEMCGFS_CLOSER_H

#include <stdbool.h>

struct closer;

/* 0 or -errno. */
int closer_new(struct closer **out);

/* Closes all that it was given; waits for that. */
struct closer *closer_free(struct closer *closer);

/* Takes over an fd; it doesn't wait. */
void closer_take(struct closer *closer, int fd);

/* Whether so many wait to be closed that no more should be opened. */
bool closer_is_behind(const struct closer *closer);

#endif
