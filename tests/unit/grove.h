/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cgroups of a test's own, below /memcgfs-unit-PID, and a scratch directory. */
#ifndef MEMCGFS_TESTS_GROVE_H
#define MEMCGFS_TESTS_GROVE_H

#include "cgroup.h"
#include "unit.h"
#include "util.h"

struct grove {
	struct scratch *scratch;
	struct cgroup_tree *tree;
	int fd; /* of the mount point */
	char base[64]; /* the cgroup that the test may make */
};

static inline int grove_setup(void **state)
{
	struct grove *grove = calloc(1, sizeof(*grove));
	void *scratch = NULL;
	int r;

	if (!grove || scratch_setup(&scratch) < 0) {
		free(grove);
		return -1;
	}
	*state = grove;
	grove->scratch = scratch;
	snprintf(grove->base, sizeof(grove->base), "/memcgfs-unit-%d",
		 (int)getpid());
	grove->fd = -1;
	r = cgroup_tree_new(&grove->tree);
	if (r < 0)
		return r == -ENOENT ? 0 : r; /* the tests skip */
	grove->fd = open(cgroup_tree_mountpoint(grove->tree),
			 O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return grove->fd < 0 ? -1 : 0;
}

static inline int grove_remove_one(const char *path, const struct stat *st,
				   int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_DP)
		rmdir(path);
	return 0;
}

/* Whatever failed, no cgroup stays; the deepest are removed first. */
static inline int grove_teardown(void **state)
{
	struct grove *grove = *state;
	void *scratch = grove->scratch;
	char path[CGROUP_PATH_MAX];

	if (grove->tree) {
		snprintf(path, sizeof(path), "%s%s",
			 cgroup_tree_mountpoint(grove->tree), grove->base);
		nftw(path, grove_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	}
	close_fd(grove->fd);
	cgroup_tree_free(grove->tree);
	scratch_teardown(&scratch);
	free(grove);
	return 0;
}

static inline void need_tree(const struct grove *grove)
{
	if (!grove->tree)
		unit_skip("the memory controller is mounted nowhere");
}

static inline bool exists(const struct grove *grove, const char *path)
{
	return faccessat(grove->fd, path + 1, F_OK, 0) == 0;
}

static inline void need_root(const struct grove *grove)
{
	need_tree(grove);
	if (geteuid() != 0)
		unit_skip("only root may make cgroups at the top");
}

static inline void write_at(struct grove *grove, const char *below,
			    const char *name, const char *text)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s%s/%s", grove->base + 1, below, name);
	fd = openat(grove->fd, path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

#endif
