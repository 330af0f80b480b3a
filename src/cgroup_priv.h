/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the cgroups share; see cgroup.h. */
#ifndef MEMCGFS_CGROUP_PRIV_H
#define MEMCGFS_CGROUP_PRIV_H

#include "cgroup.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CGROUP_LEAF_NAME "memcgfs"
#define CGROUP_FILE_MAX 8192 /* of those that are read */
#define CGROUP_NAME_MAX (CGROUP_PATH_MAX + 32) /* of a file in one */

/*
 * v1 and v2 side by side. Documentation/admin-guide/cgroup-v2.rst and
 * cgroup-v1/memory.rst of the kernel describe the files.
 */
struct cgroup_version {
	int number;
	const char *proc_id; /* of its line in /proc/PID/cgroup; NULL: any */
	const char *proc_controller; /* in that line */
	const char *limit_file;
	const char *high_file; /* where reclaim begins; NULL: only there */
	const char *usage_file;
	const char *swap_limit_file; /* NULL: no swap is reckoned with */
	const char *swap_usage_file;
	const char *inactive_file; /* keys of memory.stat, with descendants */
	const char *active_file;
	const char *reclaim_file; /* counts reclaim of the cgroup's pages */
	const char *reclaim_key; /* NULL: the file is just the number */
	bool reclaim_is_local; /* look at the ancestors and the system too */
	const char *hands_on_file; /* the controllers that children have */
	bool no_internal_processes;
	bool enter_by_ancestor; /* who moves a process needs a right there */
};

struct cgroup_tree {
	const struct cgroup_version *version;
	char *mountpoint;
	int fd;
};

/* Makes one cgroup, whose parent exists: 0 or -errno; removes an empty one. */
int cgroup_make(const struct cgroup_tree *tree, const char *path);
void cgroup_remove(const char *path);

const struct cgroup_tree *cgroup_host_tree(const struct cgroup_host *host);

/* The name of the cgroup directory, relative to the mount point. */
static inline const char *cgroup_relative(const char *path)
{
	return path[1] ? path + 1 : ".";
}

static inline bool cgroup_exists(const struct cgroup_tree *tree,
				 const char *path)
{
	return faccessat(tree->fd, cgroup_relative(path), F_OK, 0) == 0;
}

/* Makes the path that of the cgroup above; false: it is the root's. */
static inline bool cgroup_path_up(char *path)
{
	char *slash = strrchr(path, '/');

	if (!path[1])
		return false;
	slash[slash == path ? 1 : 0] = '\0';
	return true;
}

#endif
