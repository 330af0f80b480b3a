// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The cgroups as memcgfs sees them, 1: the hierarchy, and what libcgroup does
 * in it; see cgroup.h.
 */
#include "cgroup_priv.h"

#include "util.h"

#include <fcntl.h>
#include <libcgroup.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CONTROLLER "memory"

static const struct cgroup_version versions[] = {
	{
		.number = 2,
		.proc_id = "0",
		.proc_controller = "",
		.limit_file = "memory.max",
		.high_file = "memory.high",
		.usage_file = "memory.current",
		.swap_limit_file = "memory.swap.max",
		.swap_usage_file = "memory.swap.current",
		.inactive_file = "inactive_file",
		.active_file = "active_file",
		.reclaim_file = "memory.stat",
		.reclaim_key = "pgsteal",
		.hands_on_file = "cgroup.subtree_control",
		.no_internal_processes = true,
		.enter_by_ancestor = true,
	},
	{
		.number = 1,
		.proc_controller = CONTROLLER,
		.limit_file = "memory.limit_in_bytes",
		.usage_file = "memory.usage_in_bytes",
		.inactive_file = "total_inactive_file",
		.active_file = "total_active_file",
		.reclaim_file = "memory.failcnt",
		.reclaim_is_local = true,
	},
};

/* libcgroup's codes; ECGOTHER leaves the system's in its own errno. */
static int translate_error(int code)
{
	switch (code) {
	case 0:
		return 0;
	case ECGOTHER:
		return cgroup_get_last_errno() ? -cgroup_get_last_errno() :
						 -EIO;
	case ECGROUPNOTALLOWED:
	case ECGROUPNOTOWNER:
		return -EACCES;
	case ECGROUPNOTEXIST:
	case ECGROUPNOTMOUNTED:
	case ECGROUPSUBSYSNOTMOUNTED:
		return -ENOENT;
	default:
		return -EIO;
	}
}

int cgroup_tree_new(struct cgroup_tree **out)
{
	cleanup_free struct cgroup_tree *tree = NULL;
	bool v2;
	int r;

	r = translate_error(cgroup_init());
	if (r < 0)
		return r;
	tree = calloc(1, sizeof(*tree));
	if (!tree)
		return -ENOMEM;
	r = cgroup_get_subsys_mount_point(CONTROLLER, &tree->mountpoint);
	if (r)
		return translate_error(r);
	tree->fd = open(tree->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tree->fd < 0) {
		r = -errno;
		free(tree->mountpoint);
		return r;
	}
	v2 = faccessat(tree->fd, "cgroup.controllers", F_OK, 0) == 0;
	tree->version = &versions[v2 ? 0 : 1];
	*out = steal_ptr(&tree);
	return 0;
}

struct cgroup_tree *cgroup_tree_free(struct cgroup_tree *tree)
{
	if (!tree)
		return NULL;
	close_fd(tree->fd);
	free(tree->mountpoint);
	free(tree);
	return NULL;
}

int cgroup_tree_version(const struct cgroup_tree *tree)
{
	return tree->version->number;
}

const char *cgroup_tree_mountpoint(const struct cgroup_tree *tree)
{
	return tree->mountpoint;
}

/* Whether the parent gives its children the controller: v2, if told to. */
static bool is_handed_on(const struct cgroup_tree *tree, const char *path)
{
	size_t parent_len = (size_t)(strrchr(path, '/') - path);
	const char *list_file = tree->version->hands_on_file;
	char name[CGROUP_NAME_MAX];
	char text[CGROUP_FILE_MAX];

	if (!list_file)
		return false;
	snprintf(name, sizeof(name), ".%.*s/%s", (int)parent_len, path,
		 list_file);
	if (read_small_file(tree->fd, name, text, sizeof(text)) < 0)
		return false;
	for (char *rest = text, *word; (word = strsep(&rest, " \n"));)
		if (strcmp(word, CONTROLLER) == 0)
			return true;
	return false;
}

/*
 * Makes one cgroup whose parent exists. libcgroup turns the controller on from
 * the root of the tree down, which isn't for the user of a delegated subtree;
 * where it is on, a directory is all that is needed.
 */
int cgroup_make(const struct cgroup_tree *tree, const char *path)
{
	struct cgroup *cgroup;
	int r = ECGFAIL;

	if (is_handed_on(tree, path))
		return mkdirat(tree->fd, cgroup_relative(path), 0755) < 0 ?
			       -errno :
			       0;
	cgroup = cgroup_new_cgroup(path + 1);
	if (!cgroup)
		return -ENOMEM;
	if (cgroup_add_controller(cgroup, CONTROLLER))
		r = cgroup_create_cgroup(cgroup, 1);
	cgroup_free(&cgroup);
	return translate_error(r);
}

/* Only an empty cgroup goes: no process is ever moved. */
void cgroup_remove(const char *path)
{
	struct cgroup *cgroup;

	cgroup = cgroup_new_cgroup(path + 1);
	if (!cgroup)
		return;
	if (cgroup_add_controller(cgroup, CONTROLLER))
		cgroup_delete_cgroup_ext(cgroup, CGFLAG_DELETE_EMPTY_ONLY);
	cgroup_free(&cgroup);
}
