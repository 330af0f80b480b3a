// SPDX-License-Identifier: GPL-2.0-or-later
/* Where an inode was last seen; see inode_place.h. */
#include "inode_place.h"

#include "util.h"

#include <stdatomic.h>
#include <string.h>

/* More than a path can have: what goes on longer goes round. */
#define DEPTH_MAX PATH_MAX

struct inode *inode_parent_get(struct inode_table *table, struct inode *inode,
			       char name[NAME_MAX + 1])
{
	struct inode *parent;

	inode_lock(table, inode);
	parent = inode->parent;
	if (parent) {
		inode_child_get(parent);
		if (name)
			strcpy(name, inode->name);
	}
	inode_unlock(table, inode);
	return parent;
}

/* The next one up, in exchange for @inode, which is held. */
static struct inode *step_up(struct inode_table *table, struct inode *inode,
			     char name[NAME_MAX + 1])
{
	struct inode *parent = inode_parent_get(table, inode, name);

	inode_child_put(table, inode);
	return parent;
}

/*
 * Whether @dir is the inode, or below it as far as is known. Directories that
 * were moved beside the mount may seem to be in each other for a while.
 */
static bool is_at_or_below(struct inode_table *table, struct inode *dir,
			   const struct inode *inode)
{
	bool is_below = false;

	inode_child_get(dir);
	for (int i = 0; dir && i < DEPTH_MAX; i++) {
		is_below |= dir == inode;
		dir = step_up(table, dir, NULL);
	}
	if (dir)
		inode_child_put(table, dir);
	return is_below;
}

static bool is_there(const struct inode *inode, const struct inode *parent,
		     const char *name)
{
	return inode->parent == parent && strcmp(inode->name, name) == 0;
}

void inode_set_place(struct inode_table *table, struct inode *inode,
		     struct inode *parent, const char *name)
{
	struct inode *old_parent = parent;
	char *new_name, *old_name;
	bool is_known;

	inode_lock(table, inode);
	is_known = is_there(inode, parent, name);
	inode_unlock(table, inode);
	if (is_known ||
	    (S_ISDIR(inode->type) && is_at_or_below(table, parent, inode)))
		return;
	new_name = inode_name_new(table, name);
	if (!new_name)
		return;
	inode_child_get(parent);
	inode_lock(table, inode);
	old_parent = inode->parent;
	old_name = inode->name;
	inode->parent = parent;
	inode->name = new_name;
	inode_unlock(table, inode);
	/* Pairs with the load of who looks whether it is up to date. */
	atomic_store(&inode->rule_epoch, 0);
	inode_name_free(table, old_name);
	if (old_parent)
		inode_child_put(table, old_parent);
}

bool inode_is_named(struct inode_table *table, const struct inode *inode,
		    const char *name)
{
	bool is_named;

	inode_lock(table, inode);
	is_named = inode->name && strcmp(inode->name, name) == 0;
	inode_unlock(table, inode);
	return is_named;
}

/* Puts "/name" before what begins at @at; 0: there is no room. */
static size_t prepend(char path[INODE_PATH_MAX], size_t at, const char *name)
{
	size_t len = strlen(name);

	if (at < len + 1)
		return 0;
	at -= len;
	memcpy(path + at, name, len);
	path[--at] = '/';
	return at;
}

int inode_path(struct inode_table *table, struct inode *inode,
	       char path[INODE_PATH_MAX])
{
	size_t at = INODE_PATH_MAX - 1;
	char name[NAME_MAX + 1];
	struct inode *last;

	path[at] = '\0';
	inode_child_get(inode);
	do {
		last = inode;
		inode = step_up(table, inode, name);
		if (inode)
			at = prepend(path, at, name);
	} while (inode && at);
	if (inode)
		inode_child_put(table, inode);
	else if (last != inode_table_root(table) && at)
		at = prepend(path, at, "?");
	if (!at)
		return -ENAMETOOLONG;
	if (!path[at])
		path[--at] = '/';
	memmove(path, path + at, INODE_PATH_MAX - at);
	return 0;
}
