/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The background's work on drift: a thread that, when pages were reclaimed
 * and brought back anywhere in the system, looks at the files whose pages
 * clients bring in by themselves, and has those claimed that came to be
 * another's. It keeps to a share of one CPU.
 */
#ifndef MEMCGFS_RECONCILER_H
#define MEMCGFS_RECONCILER_H

#include "charge.h"

struct reconciler;

struct reconciler_config {
	struct inode_table *table;
	struct charge *charge;
	double percent; /* of one CPU, more than 0 */
};

int reconciler_new(const struct reconciler_config *config,
		   struct reconciler **out);

/* Ends the thread. A charger that doesn't answer is to be hurried before. */
struct reconciler *reconciler_free(struct reconciler *reconciler);

#endif
