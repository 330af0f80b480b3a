/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The background's work on the books: a thread that counts again, now and
 * then, what is resident of the files that the books have something of, as
 * the kernel tells nobody what it reclaims; forgets who has not used a file
 * for long; and drops the accounts of cgroups that are gone.
 */
#ifndef MEMCGFS_BOOKKEEPER_H
#define MEMCGFS_BOOKKEEPER_H

#include "charge.h"

struct bookkeeper;

struct bookkeeper_config {
	struct inode_table *table;
	struct charge *charge;
	struct books *books;
	uint32_t share_decay_s; /* a use is forgotten so long after it */
};

int bookkeeper_new(const struct bookkeeper_config *config,
		   struct bookkeeper **out);

/* Ends the thread. A charger that doesn't answer is to be hurried before. */
struct bookkeeper *bookkeeper_free(struct bookkeeper *bookkeeper);

#endif
