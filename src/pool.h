/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Threads for work that may wait; made as they are needed, and kept. */
#ifndef MEMCGFS_POOL_H
#define MEMCGFS_POOL_H

#include <stddef.h>

struct pool;

int pool_new(unsigned int max_threads, struct pool **out);

/* Ends after all work is done. */
struct pool *pool_free(struct pool *pool);

/* Has run(@userdata) called by one of the threads. -ENOMEM or 0. */
int pool_submit(struct pool *pool, void (*run)(void *userdata), void *userdata);

#endif
