/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What rules say of the names in a directory. A node is what is left to match
 * there of all rule files above it and of its own; it is made from its
 * parent's, and is its parent's where nothing differs, so that most of a tree
 * shares a few. Nodes and decisions never change, and are counted by
 * references, thread-safe. Pure: no system calls.
 */
#ifndef MEMCGFS_RULENODE_H
#define MEMCGFS_RULENODE_H

#include "rules.h"

/* What holds where no rule says anything: the mount's options. */
struct rulenode_defaults {
	/* Its target is a path or "@opener", never NULL. */
	struct policy_rule rule;
};

/* Where an attribute's value is said. */
struct decision_source {
	struct rules *rules; /* NULL: by the mount's options */
	unsigned int line;
};

struct decision {
	_Atomic unsigned int refs;
	/* Its target is a path or "@opener". */
	struct policy_rule rule;
	struct decision_source sources[RULES_ATTRIBUTES];
	/* The caller's, who keeps it alive; what he has made of this. */
	_Atomic(const void *) userdata;
	struct decision *next; /* of the same node; its own */
	char target[];
};

struct decision *decision_ref(struct decision *decision);
struct decision *decision_unref(struct decision *decision);

struct rulenode;

/*
 * The root's node. @mount_rules hold for the whole mount, and yield to all
 * others; @own are those of the root directory; both may be NULL, and are
 * referenced as needed. 0 or -ENOMEM.
 */
int rulenode_new_root(const struct rulenode_defaults *defaults,
		      struct rules *mount_rules, struct rules *own,
		      struct rulenode **out);

/* The node of a directory within, which has rules of its @own or NULL. */
int rulenode_enter(struct rulenode *parent, const char *name, struct rules *own,
		   struct rulenode **out);

struct rulenode *rulenode_ref(struct rulenode *node);
struct rulenode *rulenode_unref(struct rulenode *node);

/*
 * What holds for a name in the directory: a reference. Names for which the
 * same lines decide have the same object. 0 or -ENOMEM.
 */
int rulenode_decide(struct rulenode *node, const char *name, bool is_dir,
		    struct decision **out);

#endif
