/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The background's work on rules: a thread that watches rule files, looks
 * through what is resident when one changed (and each half minute, as a new
 * file is watched by nobody), and moves pages of files that belong to another
 * host now. A page that can't be moved, as it is mapped,
 * say, is tried again, ever less often.
 */
#ifndef MEMCGFS_MOVER_H
#define MEMCGFS_MOVER_H

#include "charge.h"

struct mover;

struct mover_config {
	struct inode_table *table;
	struct charge *charge;
	/* Called by the thread for each inode that may have pages. */
	void (*on_sweep)(void *userdata, struct inode *inode);
	void (*on_watch)(void *userdata); /* a watched file changed */
	void *userdata;
};

int mover_new(const struct mover_config *config, struct mover **out);

/* Ends the thread; what is queued is forgotten. */
void mover_stop(struct mover *mover);

/* After that, and when nobody calls it any more. */
struct mover *mover_free(struct mover *mover);

/*
 * Watches the rule file in the directory: whether changes of it will be told.
 * They aren't where others may make them, on another machine. Where the
 * kernel has no more watches (fs.inotify.max_user_watches) that is said once:
 * changes are seen when the directory is used.
 */
bool mover_watch(struct mover *mover, int dir_fd);

/* Has all that is resident looked through soon. */
void mover_sweep(struct mover *mover);

/* Has the inode's pages moved to its host. */
void mover_queue(struct mover *mover, struct inode *inode);

#endif
