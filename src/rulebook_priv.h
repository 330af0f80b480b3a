/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the rulebook share; see rulebook.h. */
#ifndef MEMCGFS_RULEBOOK_PRIV_H
#define MEMCGFS_RULEBOOK_PRIV_H

#include "rulebook.h"

#include "mover.h"
#include "util.h"

#include <pthread.h>
#include <stdatomic.h>

/*
 * A directory's snapshot. It doesn't change; who finds another one to hold
 * replaces it.
 */
struct rule_dir {
	struct rulebook *book;
	_Atomic uint32_t refs;
	/* When this, and all above it, was last found to hold. */
	_Atomic uint32_t epoch;
	_Atomic uint32_t checked_ms;
	uint32_t reading; /* the book's, when its file was read */
	bool is_watched; /* its file is: a change raises the book's epoch */
	_Atomic uint32_t looked_ms; /* when the file was looked at */
	uint32_t serial; /* none other has the same */
	struct rulenode *node;
	struct rulenode *above; /* what it was made from; NULL: the root */
	struct rules *own; /* NULL: no rule file, or a refused one */
	struct rulefile_id id; /* which was read */
	struct refusal *refusal; /* why it was refused */
	char name[]; /* the directory's */
};

struct rulebook {
	struct rulebook_config config;
	struct rulenode_defaults defaults;
	bool is_active; /* there may be rules at all */
	_Atomic uint32_t epoch; /* grows whenever something changed */
	/* Grows when files are to be read again that haven't changed, as who
	 * may enter a cgroup has. */
	_Atomic uint32_t reading;
	_Atomic uint32_t last_serial;
	struct mover *mover;
	pthread_mutex_t lock; /* for all below */
	struct list refusals;
	struct rules *mount_rules; /* a ref, or NULL */
};

static inline uint32_t rulebook_now_ms(void)
{
	return (uint32_t)(clock_ns(CLOCK_MONOTONIC_COARSE) / 1000000);
}

/*
 * The snapshot that holds for the directory at the time @now, of
 * rulebook_now_ms(): a ref, or NULL: no memory.
 */
struct rule_dir *rule_dir_look(struct rulebook *book, struct inode *inode,
			       uint32_t now);

#endif
