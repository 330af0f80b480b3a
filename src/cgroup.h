/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cgroups as memcgfs sees them: the hierarchy that has the memory
 * controller (v2, v1, or the v1 one of a hybrid system), targets in it, and
 * hosts. The only user of libcgroup; what differs between v1 and v2 is a
 * row of a table in cgroup.c.
 */
#ifndef MEMCGFS_CGROUP_H
#define MEMCGFS_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUP_PATH_MAX 4096

struct cgroup_tree;

/* Finds the memory controller. -ENOENT: it is mounted nowhere. */
int cgroup_tree_new(struct cgroup_tree **out);
struct cgroup_tree *cgroup_tree_free(struct cgroup_tree *tree);

/* 1 or 2, and where it is mounted. */
int cgroup_tree_version(const struct cgroup_tree *tree);
const char *cgroup_tree_mountpoint(const struct cgroup_tree *tree);

/*
 * The path within the hierarchy that @text names: a path as in
 * /proc/PID/cgroup, or one below the mount point. -EINVAL: neither.
 */
int cgroup_tree_parse(const struct cgroup_tree *tree, const char *text,
		      char path[CGROUP_PATH_MAX]);

/* The memory cgroup of a thread, as a path within the hierarchy. */
int cgroup_tree_path_of(const struct cgroup_tree *tree, pid_t tid,
			char path[CGROUP_PATH_MAX]);

/* The same, out of the text of /proc/PID/cgroup. */
int cgroup_tree_parse_proc(const struct cgroup_tree *tree, const char *text,
			   char path[CGROUP_PATH_MAX]);

/*
 * The path of the cgroup whose directory has that inode number, which is what
 * /proc/kpagecgroup tells of pages; 0, which is no cgroup, counts as the root.
 * One that was removed, though pages of it are left (v1, and v2 before 7.2,
 * which gives them to the parent), has none: -ENOENT. -EXDEV: it is out of
 * sight from here, beside the root of a cgroup namespace, say. -EPERM: without
 * CAP_DAC_READ_SEARCH there is no asking by number.
 */
int cgroup_tree_path_of_ino(const struct cgroup_tree *tree, uint64_t ino,
			    char path[CGROUP_PATH_MAX]);

/*
 * Cuts the path down to the target that it is the leaf of, if it has the name
 * of one and this is v2: see below.
 */
void cgroup_tree_cut_leaf(const struct cgroup_tree *tree, char *path);

/*
 * The name that the owner of pages, by its number, has in the books and in
 * reports: its path, or, of another target's leaf, that target's; "/(gone)" of
 * one that was removed, and "/(unknown)" if that can't be told. A moment after
 * it was removed the kernel names the next one above instead (v1 on Linux
 * 6.18, v2 on 7.2), as whose its pages count from then on.
 */
void cgroup_tree_name_owner(const struct cgroup_tree *tree, uint64_t ino,
			    char path[CGROUP_PATH_MAX]);

/*
 * A host: the cgroup that holds the charge for a target. It is the target
 * itself, or the leaf "memcgfs" below it where the target may hold no
 * process (v2: it has controllers in cgroup.subtree_control; a process that
 * enters it gets EBUSY).
 */
struct cgroup_host;

/*
 * Opens the host of the target at @path; @create makes what is missing.
 * -ENOENT: no such cgroup; -EACCES: the calling user couldn't enter it;
 * -ENOTSUP: the memory controller isn't enabled in it.
 */
int cgroup_host_new(struct cgroup_tree *tree, const char *path, bool create,
		    struct cgroup_host **out);

/*
 * The same in two steps: a host that isn't open has paths alone. It may be
 * opened again, by one thread: if its target was removed meanwhile and made
 * anew, that is the host from then on, and 1 is returned.
 */
int cgroup_host_prepare(struct cgroup_tree *tree, const char *path,
			struct cgroup_host **out);
int cgroup_host_open(struct cgroup_host *host, bool create);

/* Also removes the cgroups made by cgroup_host_new(), where empty. */
struct cgroup_host *cgroup_host_free(struct cgroup_host *host);

const char *cgroup_host_target(const struct cgroup_host *host);
const char *cgroup_host_path(const struct cgroup_host *host);

/* Of cgroup.procs, to enter the host by writing "0" to it. */
int cgroup_host_procs_fd(const struct cgroup_host *host);

/* What /proc/kpagecgroup says of pages charged to the host. */
uint64_t cgroup_host_memcg_ino(const struct cgroup_host *host);

/* The directories made here, the deepest last; NULL after the last one. */
const char *cgroup_host_created(const struct cgroup_host *host,
				unsigned int index);

/*
 * Whether a host can be made of that path, as far as is known without trying,
 * with the rights that the calling thread has now: -ENOENT: no such cgroup;
 * -ENOTSUP; -EACCES: its cgroup.procs can't be written, or,
 * on v2, that of no cgroup above it.
 */
int cgroup_target_check(const struct cgroup_tree *tree, const char *path);

struct cgroup_room {
	/*
	 * What file cache could take if all of it were dropped first: the
	 * least, over the host and its ancestors, of limit less usage plus
	 * file cache. UINT64_MAX: no limit anywhere.
	 */
	uint64_t bytes;
	/*
	 * The same for what can't be dropped (a process's own memory, files of
	 * a tmpfs): with what could be swapped out for it. v1, whose limits of
	 * swap contain those of memory, isn't relied on to swap.
	 */
	uint64_t anon_bytes;
	/* The least limit, over the same. UINT64_MAX: none. */
	uint64_t limit_bytes;
	/* The host's own; another one: it was removed, and made anew. */
	uint64_t ino;
	/*
	 * Grows whenever pages of the host may have been reclaimed. v2:
	 * pgsteal of memory.stat; v1, which lacks it: limits hit on the way
	 * up (memory.failcnt), and the system's own reclaim (/proc/vmstat).
	 */
	uint64_t reclaims;
};

/* Reads a few small files: not for the hot path. */
int cgroup_host_room(const struct cgroup_host *host, struct cgroup_room *room);

#endif
