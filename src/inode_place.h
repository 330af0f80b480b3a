/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where an inode was last seen: the directory, and its name there. An inode
 * with several names has the place of the one used last. A place holds its
 * directory's inode, so that the way up to the root is there as long as the
 * inode is.
 */
#ifndef MEMCGFS_INODE_PLACE_H
#define MEMCGFS_INODE_PLACE_H

#include "inode.h"

#include <limits.h>

/* Room for a path within the mount, with its 0. */
#define INODE_PATH_MAX 4096

/*
 * The inode was seen as @name in @parent, both of which the caller holds. If
 * that is news, its rule is to be looked up again. Without memory it stays
 * where it was.
 */
void inode_set_place(struct inode_table *table, struct inode *inode,
		     struct inode *parent, const char *name);

/*
 * The inode's directory, to be given back with inode_child_put(), and, unless
 * @name is NULL, its name there. NULL: the root, or nowhere.
 */
struct inode *inode_parent_get(struct inode_table *table, struct inode *inode,
			       char name[NAME_MAX + 1]);

/* Whether that was its name when it was last seen. */
bool inode_is_named(struct inode_table *table, const struct inode *inode,
		    const char *name);

/*
 * The inode's path within the mount, "/" for the root; -ENAMETOOLONG. One
 * that is nowhere is shown below "?".
 */
int inode_path(struct inode_table *table, struct inode *inode,
	       char path[INODE_PATH_MAX]);

#endif
