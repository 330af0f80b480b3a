/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules that hold for the known inodes: it brings together where an inode
 * is (inode_place.h), the rule files on the way there (rulefile.h), what they
 * say of its name (rulenode.h), and who serves that (hosts.h).
 *
 * Each directory that is used has a snapshot of the rules below it, made from
 * its parent's and its own rule file, which is looked at again when it is used
 * after RULEBOOK_RECHECK_MS. So a changed file holds from then on for new
 * opens, whoever changed it and how. Files of rules are watched as well
 * (inotify(7)): then all that is resident is looked through, and what belongs
 * to another host now is moved there, in the background.
 *
 * An inode carries its binding. As long as nothing changed, an open compares
 * two numbers.
 */
#ifndef MEMCGFS_RULEBOOK_H
#define MEMCGFS_RULEBOOK_H

#include "charge.h"
#include "rulefile.h"
#include "rulenode.h"

#define RULEBOOK_RECHECK_MS 250

struct rulebook;

struct rulebook_config {
	struct inode_table *table;
	struct charge *charge;
	struct hosts *hosts;
	const struct cgroup_tree *tree;
	const struct binding *fallback; /* the mount's own rule */
	struct events *events;
	const char *memcg; /* its target as the user gave it, or @opener */
	struct rules *mount_rules; /* of rules=FILE, or NULL; it takes a ref */
	bool reads_files; /* .memcgfs files in directories count */
};

int rulebook_new(const struct rulebook_config *config, struct rulebook **out);

/* Ends its thread, before the inode table goes; the rest after it. */
void rulebook_stop(struct rulebook *book);
struct rulebook *rulebook_free(struct rulebook *book);

/* Frees a directory's snapshot: for the inode table's hooks. */
void rule_dir_unref(struct rule_dir *dir);

/*
 * Sees to it that the inode has the binding that its rules say now. To be
 * called before it is opened or truncated, not for each read or write.
 */
void rulebook_refresh(struct rulebook *book, struct inode *inode);

/*
 * A directory, or a file with rules, was moved, removed or written through
 * the mount: all is to be looked at again.
 */
void rulebook_touch(struct rulebook *book);

/*
 * Reads everything again, changed or not; @mount_rules take the place of what rules=FILE
 * was (NULL: there are none).
 */
void rulebook_reload(struct rulebook *book, struct rules *mount_rules);

/* Has all that is resident, or pinned, looked through again. */
void rulebook_sweep(struct rulebook *book);

/* What holds for an inode now, and where that is said. */
struct rulebook_answer {
	const struct binding *binding;
	struct decision *decision; /* to be given back: decision_unref() */
};

/* -ENOENT: the inode has no place, and the mount's own rule. */
int rulebook_explain(struct rulebook *book, struct inode *inode,
		     struct rulebook_answer *answer);

/* Which is this. */
const struct binding *rulebook_fallback(const struct rulebook *book);

/* Files that were refused, and why; calls @fn for each, under a lock. */
void rulebook_each_refused(struct rulebook *book,
			   void (*fn)(const char *reason, void *userdata),
			   void *userdata);

#endif
