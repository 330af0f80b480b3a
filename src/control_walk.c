// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Going through the known files for a client of the control socket; see
 * control_priv.h. The table is gone through in parts, of which each inode is
 * held for as long as it is looked at; no lock is.
 */
#include "control_priv.h"

#include "inode_place.h"
#include "util.h"

#include <sys/stat.h>
#include <uthash.h>

/* More than a path can have: what goes on longer goes round. */
#define DEPTH_MAX 2100

/* A directory that was looked at, which is held until the end. */
struct seen {
	UT_hash_handle hh;
	struct inode *dir;
	bool is_below; /* the top, or the top itself */
	bool is_open; /* to the caller, with all above it */
};

struct walker {
	struct control_request *request;
	const struct control_walk *walk;
	struct inode *top;
	struct seen *seen;
	uint64_t done;
	uint64_t total;
};

/* -- directories -- */

static struct seen *look_at_dir(struct walker *walker, struct inode *dir,
				int depth);

/* That of the directory, which is the root or nowhere without @above. */
static bool is_open_dir(const struct walker *walker, struct inode *dir,
			const struct seen *above)
{
	struct inode_table *table = walker->request->config->table;

	if (walker->request->is_master)
		return true;
	if (above ? !above->is_open : dir != inode_table_root(table))
		return false;
	return control_check_access(walker->request, dir, X_OK) == 0;
}

static struct seen *add_dir(struct walker *walker, struct inode *dir, int depth)
{
	struct inode_table *table = walker->request->config->table;
	struct seen *seen = calloc(1, sizeof(*seen)), *above = NULL;
	struct inode *parent;

	if (!seen)
		return NULL;
	parent = inode_parent_get(table, dir, NULL);
	if (parent && depth < DEPTH_MAX)
		above = look_at_dir(walker, parent, depth + 1);
	if (parent)
		inode_child_put(table, parent);
	inode_child_get(dir);
	seen->dir = dir;
	seen->is_below = dir == walker->top || (above && above->is_below);
	seen->is_open = is_open_dir(walker, dir, above);
	HASH_ADD_PTR(walker->seen, dir, seen);
	return seen;
}

static struct seen *look_at_dir(struct walker *walker, struct inode *dir,
				int depth)
{
	struct seen *seen;

	HASH_FIND_PTR(walker->seen, &dir, seen);
	return seen ? seen : add_dir(walker, dir, depth);
}

static void forget_dirs(struct walker *walker)
{
	struct seen *seen, *next;

	HASH_ITER(hh, walker->seen, seen, next) {
		HASH_DEL(walker->seen, seen);
		inode_child_put(walker->request->config->table, seen->dir);
		free(seen);
	}
}

/* -- files -- */

/* One that is nowhere is below everything, and for masters alone. */
static bool is_wanted(struct walker *walker, struct inode *inode)
{
	struct inode_table *table = walker->request->config->table;
	bool is_master = walker->request->is_master;
	struct inode *parent = inode_parent_get(table, inode, NULL);
	const struct seen *seen;

	if (!parent)
		return is_master && walker->top == inode_table_root(table);
	seen = look_at_dir(walker, parent, 0);
	inode_child_put(table, parent);
	return seen && seen->is_below && seen->is_open &&
	       (is_master ||
		control_check_access(walker->request, inode, R_OK) == 0);
}

static int look_at_file(struct walker *walker, struct inode *inode)
{
	const struct control_walk *walk = walker->walk;
	int r;

	/* Some may have come since they were counted. */
	if (walker->done == walker->total)
		walker->total++;
	r = control_progress(walker->request, walker->done++, walker->total,
			     "files");
	if (r == 0 && is_wanted(walker, inode))
		r = walk->each(walk->userdata, inode);
	return r;
}

static bool is_file(const struct inode *inode)
{
	return S_ISREG(inode->type);
}

static bool is_booked(const struct inode *inode)
{
	return is_file(inode) && inode_is_marked(inode, INODE_CHARGED);
}

static int look_at_all(struct walker *walker)
{
	struct inode_table *table = walker->request->config->table;
	bool (*wanted)(const struct inode *inode) =
		walker->walk->is_booked ? is_booked : is_file;
	struct inode **found;
	unsigned int part = 0;
	size_t count;
	int r = 0;

	if (walker->request->streams)
		walker->total = inode_table_count_some(table, wanted);
	while (r == 0 &&
	       inode_table_next(table, &part, wanted, &found, &count)) {
		for (size_t i = 0; i < count; i++) {
			if (r == 0)
				r = look_at_file(walker, found[i]);
			inode_forget(table, found[i], 1);
		}
		free(found);
	}
	return r;
}

int control_walk(struct control_request *request,
		 const struct control_walk *walk)
{
	struct inode_table *table = request->config->table;
	struct walker walker = {
		.request = request,
		.walk = walk,
	};
	int r;

	r = control_find_inode(request, request->path ? request->path : "/",
			       &walker.top);
	if (r < 0)
		return r;
	if (S_ISDIR(walker.top->type))
		r = look_at_all(&walker);
	else if (S_ISREG(walker.top->type))
		r = walk->each(walk->userdata, walker.top);
	else
		r = control_explain(request, -EINVAL,
				    "a file or a directory is needed");
	forget_dirs(&walker);
	inode_forget(table, walker.top, 1);
	return r;
}
