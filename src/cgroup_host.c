// SPDX-License-Identifier: GPL-2.0-or-later
/* The cgroups as memcgfs sees them, 3: hosts; see cgroup.h. */
#include "cgroup_priv.h"

#include "util.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_CREATED 64

struct cgroup_host {
	struct cgroup_tree *tree;
	char *target;
	char *leaf; /* below it */
	atomic_bool is_leaf; /* which of them is the host */
	ino_t target_ino; /* 0: never seen */
	int procs_fd; /* -1: it isn't open */
	uint64_t memcg_ino;
	char *created[MAX_CREATED];
	unsigned int n_created;
};

static int host_create(struct cgroup_host *host, const char *path)
{
	char *copy;
	int r;

	if (host->n_created == MAX_CREATED)
		return -ENAMETOOLONG;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	r = cgroup_make(host->tree, path);
	if (r < 0) {
		free(copy);
		return r;
	}
	host->created[host->n_created++] = copy;
	return 0;
}

/* Makes the cgroup and its missing ancestors, from the top. */
static int host_create_missing(struct cgroup_host *host, const char *path)
{
	char part[CGROUP_PATH_MAX];
	const char *slash = path;
	int r;

	do {
		slash = strchrnul(slash + 1, '/');
		memcpy(part, path, (size_t)(slash - path));
		part[slash - path] = '\0';
		if (cgroup_exists(host->tree, part))
			continue;
		r = host_create(host, part);
		if (r < 0)
			return r;
	} while (*slash);
	return 0;
}

/* Whether a process that enters the cgroup would get EBUSY. */
static bool needs_leaf(const struct cgroup_tree *tree, const char *path)
{
	char name[CGROUP_NAME_MAX];
	char text[CGROUP_FILE_MAX];

	if (!tree->version->no_internal_processes || !path[1])
		return false;
	snprintf(name, sizeof(name), "%s/%s", cgroup_relative(path),
		 tree->version->hands_on_file);
	return read_small_file(tree->fd, name, text, sizeof(text)) > 1;
}

static int host_pick(struct cgroup_host *host)
{
	bool is_leaf = needs_leaf(host->tree, host->target);

	atomic_store(&host->is_leaf, is_leaf);
	if (!is_leaf || cgroup_exists(host->tree, host->leaf))
		return 0;
	return host_create(host, host->leaf);
}

/* The directory whose memory cgroup pays for processes in @path. */
static int memcg_ino_of(const struct cgroup_tree *tree, const char *path,
			uint64_t *ino)
{
	char name[CGROUP_NAME_MAX];
	struct stat st;

	snprintf(name, sizeof(name), "%s/%s", cgroup_relative(path),
		 tree->version->usage_file);
	if (path[1] && faccessat(tree->fd, name, F_OK, 0) < 0)
		return -ENOTSUP;
	if (fstatat(tree->fd, cgroup_relative(path), &st, 0) < 0)
		return -errno;
	*ino = st.st_ino;
	return 0;
}

/* What was opened stays while it is the same cgroup; 1: it is another. */
static int host_open_files(struct cgroup_host *host)
{
	const char *path = cgroup_host_path(host);
	bool was_open = host->procs_fd >= 0;
	char name[CGROUP_NAME_MAX];
	uint64_t ino = 0;
	int r;

	r = memcg_ino_of(host->tree, path, &ino);
	/* A leaf may lack the controller: then its parent pays. */
	if (r == -ENOTSUP && path != host->target)
		r = memcg_ino_of(host->tree, host->target, &ino);
	if (r < 0 || (was_open && ino == host->memcg_ino))
		return r;
	snprintf(name, sizeof(name), "%s/cgroup.procs", cgroup_relative(path));
	close_fd(host->procs_fd);
	host->procs_fd = openat(host->tree->fd, name, O_WRONLY | O_CLOEXEC);
	host->memcg_ino = ino;
	return host->procs_fd < 0 ? -errno : was_open;
}

int cgroup_host_prepare(struct cgroup_tree *tree, const char *path,
			struct cgroup_host **out)
{
	struct cgroup_host *host;

	host = calloc(1, sizeof(*host));
	if (!host)
		return -ENOMEM;
	host->tree = tree;
	host->procs_fd = -1;
	host->target = strdup(path);
	if (asprintf(&host->leaf, "%s/" CGROUP_LEAF_NAME, path) < 0)
		host->leaf = NULL;
	if (!host->target || !host->leaf) {
		cgroup_host_free(host);
		return -ENOMEM;
	}
	*out = host;
	return 0;
}

/* What others made anew isn't given back. */
static void host_disown_created(struct cgroup_host *host)
{
	while (host->n_created)
		free(host->created[--host->n_created]);
}

/* Whether the target is there; notes when it is not what it was. */
static int host_find_target(struct cgroup_host *host)
{
	struct stat st;
	int r;

	r = fstatat(host->tree->fd, cgroup_relative(host->target), &st, 0) < 0 ?
		    -errno :
		    0;
	if (host->target_ino && (r < 0 || st.st_ino != host->target_ino))
		host_disown_created(host);
	if (r == 0)
		host->target_ino = st.st_ino;
	return r;
}

int cgroup_host_open(struct cgroup_host *host, bool create)
{
	int r = 0;

	if (create)
		r = host_create_missing(host, host->target);
	if (r == 0)
		r = host_find_target(host);
	if (r == 0)
		r = host_pick(host);
	if (r == 0)
		r = host_open_files(host);
	return r;
}

int cgroup_host_new(struct cgroup_tree *tree, const char *path, bool create,
		    struct cgroup_host **out)
{
	struct cgroup_host *host;
	int r;

	r = cgroup_host_prepare(tree, path, &host);
	if (r < 0)
		return r;
	r = cgroup_host_open(host, create);
	if (r < 0) {
		cgroup_host_free(host);
		return r;
	}
	*out = host;
	return 0;
}

struct cgroup_host *cgroup_host_free(struct cgroup_host *host)
{
	if (!host)
		return NULL;
	close_fd(host->procs_fd);
	while (host->n_created) {
		cgroup_remove(host->created[--host->n_created]);
		free(host->created[host->n_created]);
	}
	free(host->leaf);
	free(host->target);
	free(host);
	return NULL;
}

const char *cgroup_host_target(const struct cgroup_host *host)
{
	return host->target;
}

const char *cgroup_host_path(const struct cgroup_host *host)
{
	return atomic_load(&host->is_leaf) ? host->leaf : host->target;
}

const struct cgroup_tree *cgroup_host_tree(const struct cgroup_host *host)
{
	return host->tree;
}

int cgroup_host_procs_fd(const struct cgroup_host *host)
{
	return host->procs_fd;
}

uint64_t cgroup_host_memcg_ino(const struct cgroup_host *host)
{
	return host->memcg_ino;
}

const char *cgroup_host_created(const struct cgroup_host *host,
				unsigned int index)
{
	return index < host->n_created ? host->created[index] : NULL;
}

static int may_write_procs(const struct cgroup_tree *tree, const char *path)
{
	char name[CGROUP_NAME_MAX];

	snprintf(name, sizeof(name), "%s/cgroup.procs", cgroup_relative(path));
	return faccessat(tree->fd, name, W_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/*
 * On v2 one needs the right to the common ancestor of where a process is and
 * where it goes, too (cgroup-v2.rst, "Delegation Containment"). So without one
 * to any ancestor nobody gets in from outside.
 */
static int may_write_ancestor(const struct cgroup_tree *tree, const char *path)
{
	char above[CGROUP_PATH_MAX];
	int r = 0;

	strcpy(above, path);
	while (cgroup_path_up(above)) {
		r = may_write_procs(tree, above);
		if (r == 0)
			return 0;
	}
	return r;
}

int cgroup_target_check(const struct cgroup_tree *tree, const char *path)
{
	uint64_t ino;
	int r;

	r = memcg_ino_of(tree, path, &ino);
	if (r == -ENOTSUP && !cgroup_exists(tree, path))
		r = -ENOENT;
	if (r == 0)
		r = may_write_procs(tree, path);
	if (r == 0 && tree->version->enter_by_ancestor)
		r = may_write_ancestor(tree, path);
	return r;
}
