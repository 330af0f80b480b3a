// SPDX-License-Identifier: GPL-2.0-or-later
/* The cgroups as memcgfs sees them; see cgroup.h. */
#include "cgroup.h"

#include "util.h"

#include <fcntl.h>
#include <libcgroup.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

#define LEAF_NAME "memcgfs"
#define GONE_NAME "/(gone)"
#define UNKNOWN_NAME "/(unknown)"
#define CONTROLLER "memory"
#define MAX_CREATED 64
#define STAT_FILE_MAX 8192
#define FILEID_KERNFS 0xfe /* as in the kernel's include/linux/exportfs.h */

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

struct cgroup_tree {
	const struct cgroup_version *version;
	char *mountpoint;
	int fd;
};

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

/* Copies the path with single slashes and none at its end. */
static int path_normalize(const char *text, char path[CGROUP_PATH_MAX])
{
	size_t len = 0;
	size_t part;

	while (*text) {
		text += strspn(text, "/");
		part = strcspn(text, "/");
		if (!part)
			break;
		if ((part == 1 && text[0] == '.') ||
		    (part == 2 && text[0] == '.' && text[1] == '.'))
			return -EINVAL;
		if (part > NAME_MAX || len + part + 2 > CGROUP_PATH_MAX)
			return -ENAMETOOLONG;
		path[len++] = '/';
		memcpy(path + len, text, part);
		len += part;
		text += part;
	}
	if (!len)
		path[len++] = '/';
	path[len] = '\0';
	return 0;
}

int cgroup_tree_parse(const struct cgroup_tree *tree, const char *text,
		      char path[CGROUP_PATH_MAX])
{
	size_t len = strlen(tree->mountpoint);

	if (text[0] != '/')
		return -EINVAL;
	if (strncmp(text, tree->mountpoint, len) == 0 &&
	    (text[len] == '/' || !text[len]))
		return path_normalize(text + len, path);
	if (strncmp(text, "/sys/", 5) == 0)
		return -EINVAL;
	return path_normalize(text, path);
}

/* Whether a comma-separated list has the word; an empty list has "". */
static bool list_has(const char *list, size_t len, const char *word)
{
	size_t word_len = strlen(word);
	const char *end = list + len;
	size_t part;

	for (; list <= end; list += part + 1) {
		part = strcspn(list, ",:");
		if (part == word_len && strncmp(list, word, part) == 0)
			return true;
	}
	return false;
}

/* Whether "ID:CONTROLLERS:" is the hierarchy's; @len is without the last :. */
static bool is_line_of(const struct cgroup_tree *tree, const char *line,
		       size_t len)
{
	const char *id = tree->version->proc_id;
	size_t id_len = strcspn(line, ":");

	if (id && (strlen(id) != id_len || strncmp(line, id, id_len) != 0))
		return false;
	return list_has(line + id_len + 1, len - id_len - 1,
			tree->version->proc_controller);
}

/*
 * Lines are "ID:CONTROLLERS:PATH"; only the first two colons mean anything.
 * v2 has no controllers in its line.
 */
int cgroup_tree_parse_proc(const struct cgroup_tree *tree, const char *text,
			   char path[CGROUP_PATH_MAX])
{
	const char *list, *start, *end;

	for (; *text; text = *end ? end + 1 : end) {
		end = strchrnul(text, '\n');
		list = memchr(text, ':', (size_t)(end - text));
		start = list ? memchr(list + 1, ':', (size_t)(end - list - 1)) :
			       NULL;
		if (!start || !is_line_of(tree, text, (size_t)(start - text)))
			continue;
		start++;
		if (end - start >= CGROUP_PATH_MAX)
			return -ENAMETOOLONG;
		memcpy(path, start, (size_t)(end - start));
		path[end - start] = '\0';
		return 0;
	}
	return -ENOENT;
}

int cgroup_tree_path_of(const struct cgroup_tree *tree, pid_t tid,
			char path[CGROUP_PATH_MAX])
{
	char text[STAT_FILE_MAX];
	char name[64];
	int r;

	snprintf(name, sizeof(name), "/proc/%d/cgroup", (int)tid);
	r = read_small_file(AT_FDCWD, name, text, sizeof(text));
	if (r < 0)
		return r;
	return cgroup_tree_parse_proc(tree, text, path);
}

/* The name of the cgroup directory, relative to the mount point. */
static const char *relative(const char *path)
{
	return path[1] ? path + 1 : ".";
}

/*
 * An O_PATH fd of the directory with that inode number, which is all that a
 * handle of the cgroup filesystems has (Linux 5.5).
 */
static int open_by_ino(const struct cgroup_tree *tree, uint64_t ino)
{
	union {
		struct file_handle handle;
		char space[sizeof(struct file_handle) + sizeof(ino)];
	} of = {
		.handle.handle_bytes = sizeof(ino),
		.handle.handle_type = FILEID_KERNFS,
	};
	int fd;

	memcpy(of.handle.f_handle, &ino, sizeof(ino));
	fd = open_by_handle_at(tree->fd, &of.handle, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == ESTALE ? -ENOENT : -errno;
	return fd;
}

/* It was there a moment ago, but not by the path that it had. */
static int why_not_found(const struct cgroup_tree *tree, uint64_t ino)
{
	cleanup_close int fd = open_by_ino(tree, ino);

	return fd < 0 ? fd : -EXDEV;
}

int cgroup_tree_path_of_ino(const struct cgroup_tree *tree, uint64_t ino,
			    char path[CGROUP_PATH_MAX])
{
	char name[PROC_FD_MAX], link[CGROUP_PATH_MAX], found[CGROUP_PATH_MAX];
	cleanup_close int fd = -1;
	struct stat st;
	ssize_t len;

	if (!ino) {
		strcpy(path, "/");
		return 0;
	}
	fd = open_by_ino(tree, ino);
	if (fd < 0)
		return fd;
	len = readlink(proc_fd_path(name, fd), link, sizeof(link) - 1);
	if (len < 0)
		return -errno;
	link[len] = '\0';
	if (cgroup_tree_parse(tree, link, found) < 0 ||
	    fstatat(tree->fd, relative(found), &st, 0) < 0 || st.st_ino != ino)
		return why_not_found(tree, ino);
	strcpy(path, found);
	return 0;
}

void cgroup_tree_name_owner(const struct cgroup_tree *tree, uint64_t ino,
			    char path[CGROUP_PATH_MAX])
{
	int r = cgroup_tree_path_of_ino(tree, ino, path);

	if (r == 0)
		cgroup_tree_cut_leaf(tree, path);
	else
		strcpy(path, r == -ENOENT ? GONE_NAME : UNKNOWN_NAME);
}

void cgroup_tree_cut_leaf(const struct cgroup_tree *tree, char *path)
{
	size_t len = strlen(path), cut = sizeof("/" LEAF_NAME) - 1;

	if (cgroup_tree_version(tree) == 2 && len > cut &&
	    strcmp(path + len - cut, "/" LEAF_NAME) == 0)
		path[len - cut] = '\0';
}

static bool cgroup_exists(const struct cgroup_tree *tree, const char *path)
{
	return faccessat(tree->fd, relative(path), F_OK, 0) == 0;
}

/* Whether the parent gives its children the controller: v2, if told to. */
static bool is_handed_on(const struct cgroup_tree *tree, const char *path)
{
	size_t parent_len = (size_t)(strrchr(path, '/') - path);
	const char *list_file = tree->version->hands_on_file;
	char name[CGROUP_PATH_MAX + 32];
	char text[STAT_FILE_MAX];

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
static int create_one(const struct cgroup_tree *tree, const char *path)
{
	struct cgroup *cgroup;
	int r = ECGFAIL;

	if (is_handed_on(tree, path))
		return mkdirat(tree->fd, relative(path), 0755) < 0 ? -errno : 0;
	cgroup = cgroup_new_cgroup(path + 1);
	if (!cgroup)
		return -ENOMEM;
	if (cgroup_add_controller(cgroup, CONTROLLER))
		r = cgroup_create_cgroup(cgroup, 1);
	cgroup_free(&cgroup);
	return translate_error(r);
}

/* Only an empty cgroup goes: no process is ever moved. */
static void delete_one(const char *path)
{
	struct cgroup *cgroup;

	cgroup = cgroup_new_cgroup(path + 1);
	if (!cgroup)
		return;
	if (cgroup_add_controller(cgroup, CONTROLLER))
		cgroup_delete_cgroup_ext(cgroup, CGFLAG_DELETE_EMPTY_ONLY);
	cgroup_free(&cgroup);
}

static int host_create(struct cgroup_host *host, const char *path)
{
	char *copy;
	int r;

	if (host->n_created == MAX_CREATED)
		return -ENAMETOOLONG;
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	r = create_one(host->tree, path);
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
	char name[CGROUP_PATH_MAX + 32];
	char text[STAT_FILE_MAX];

	if (!tree->version->no_internal_processes || !path[1])
		return false;
	snprintf(name, sizeof(name), "%s/%s", relative(path),
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
	char name[CGROUP_PATH_MAX + 32];
	struct stat st;

	snprintf(name, sizeof(name), "%s/%s", relative(path),
		 tree->version->usage_file);
	if (path[1] && faccessat(tree->fd, name, F_OK, 0) < 0)
		return -ENOTSUP;
	if (fstatat(tree->fd, relative(path), &st, 0) < 0)
		return -errno;
	*ino = st.st_ino;
	return 0;
}

/* What was opened stays while it is the same cgroup; 1: it is another. */
static int host_open_files(struct cgroup_host *host)
{
	const char *path = cgroup_host_path(host);
	bool was_open = host->procs_fd >= 0;
	char name[CGROUP_PATH_MAX + 32];
	uint64_t ino = 0;
	int r;

	r = memcg_ino_of(host->tree, path, &ino);
	/* A leaf may lack the controller: then its parent pays. */
	if (r == -ENOTSUP && path != host->target)
		r = memcg_ino_of(host->tree, host->target, &ino);
	if (r < 0 || (was_open && ino == host->memcg_ino))
		return r;
	snprintf(name, sizeof(name), "%s/cgroup.procs", relative(path));
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
	if (asprintf(&host->leaf, "%s/" LEAF_NAME, path) < 0)
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

	r = fstatat(host->tree->fd, relative(host->target), &st, 0) < 0 ?
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
		delete_one(host->created[--host->n_created]);
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
	char name[CGROUP_PATH_MAX + 32];

	snprintf(name, sizeof(name), "%s/cgroup.procs", relative(path));
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
	char *slash;
	int r = 0;

	strcpy(above, path);
	while (above[1]) {
		slash = strrchr(above, '/');
		slash[slash == above ? 1 : 0] = '\0';
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

/* The number in a file of one number; "max" is UINT64_MAX. */
static int read_number(int dir_fd, const char *name, uint64_t *value)
{
	char text[64];
	int r;

	r = read_small_file(dir_fd, name, text, sizeof(text));
	if (r < 0)
		return r;
	*value = strncmp(text, "max", 3) == 0 ? UINT64_MAX :
						strtoull(text, NULL, 10);
	return 0;
}

/* The number behind "key " at the start of a line; 0 where there is none. */
static uint64_t stat_value(const char *text, const char *key)
{
	size_t len = strlen(key);

	while (text) {
		if (strncmp(text, key, len) == 0 && text[len] == ' ')
			return strtoull(text + len, NULL, 10);
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return 0;
}

static int read_reclaims(const struct cgroup_version *version, int dir_fd,
			 const char *stat_text, uint64_t *reclaims)
{
	if (version->reclaim_key) {
		*reclaims = stat_value(stat_text, version->reclaim_key);
		return 0;
	}
	return read_number(dir_fd, version->reclaim_file, reclaims);
}

/* What the system could swap out, if the cgroup lets it. */
static uint64_t level_swap(const struct cgroup_version *version, int dir_fd,
			   uint64_t system_swap)
{
	uint64_t limit, usage;

	if (!version->swap_limit_file || !system_swap ||
	    read_number(dir_fd, version->swap_limit_file, &limit) < 0 ||
	    read_number(dir_fd, version->swap_usage_file, &usage) < 0)
		return 0;
	limit = limit > usage ? limit - usage : 0;
	return limit < system_swap ? limit : system_swap;
}

static uint64_t free_swap(void)
{
	struct sysinfo info;

	return sysinfo(&info) < 0 ? 0 : info.freeswap * info.mem_unit;
}

/* One level's room; a root cgroup has no limit file, and no limit. */
static int level_room(const struct cgroup_version *version, int dir_fd,
		      uint64_t system_swap, struct cgroup_room *room)
{
	char text[STAT_FILE_MAX];
	uint64_t limit, high, usage, cache;
	int r;

	room->bytes = UINT64_MAX;
	room->anon_bytes = UINT64_MAX;
	room->limit_bytes = UINT64_MAX;
	room->reclaims = 0;
	if (read_number(dir_fd, version->limit_file, &limit) < 0)
		return 0;
	if (version->high_file &&
	    read_number(dir_fd, version->high_file, &high) == 0 && high < limit)
		limit = high;
	r = read_small_file(dir_fd, "memory.stat", text, sizeof(text));
	if (r < 0)
		return r;
	r = read_reclaims(version, dir_fd, text, &room->reclaims);
	if (r < 0)
		return r;
	r = read_number(dir_fd, version->usage_file, &usage);
	if (r < 0)
		return r;
	cache = stat_value(text, version->inactive_file) +
		stat_value(text, version->active_file);
	usage = usage > cache ? usage - cache : 0;
	/* v1 says "no limit" with the largest number of whole pages. */
	if (limit < INT64_MAX / 4096 * 4096) {
		room->limit_bytes = limit;
		room->bytes = limit > usage ? limit - usage : 0;
		room->anon_bytes =
			room->bytes + level_swap(version, dir_fd, system_swap);
	}
	return 0;
}

static uint64_t system_reclaims(void)
{
	char text[STAT_FILE_MAX];

	if (read_small_file(AT_FDCWD, "/proc/vmstat", text, sizeof(text)) < 0)
		return 0;
	return stat_value(text, "pgsteal_kswapd") +
	       stat_value(text, "pgsteal_direct");
}

int cgroup_host_room(const struct cgroup_host *host, struct cgroup_room *room)
{
	const struct cgroup_version *version = host->tree->version;
	struct cgroup_room sum = {
		.bytes = UINT64_MAX,
		.anon_bytes = UINT64_MAX,
		.limit_bytes = UINT64_MAX,
	};
	uint64_t system_swap = version->swap_limit_file ? free_swap() : 0;
	char path[CGROUP_PATH_MAX];
	struct cgroup_room level;
	cleanup_close int dir_fd = -1;
	struct stat st;
	char *slash;
	int r;

	strcpy(path, cgroup_host_path(host));
	for (bool own = true;; own = false) {
		dir_fd = openat(host->tree->fd, relative(path),
				O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir_fd < 0 || (own && fstat(dir_fd, &st) < 0))
			return -errno;
		r = level_room(version, dir_fd, system_swap, &level);
		if (r < 0)
			return r;
		if (level.bytes < sum.bytes)
			sum.bytes = level.bytes;
		if (level.anon_bytes < sum.anon_bytes)
			sum.anon_bytes = level.anon_bytes;
		if (level.limit_bytes < sum.limit_bytes)
			sum.limit_bytes = level.limit_bytes;
		if (own || version->reclaim_is_local)
			sum.reclaims += level.reclaims;
		slash = strrchr(path, '/');
		if (!path[1])
			break;
		slash[slash == path ? 1 : 0] = '\0';
		dir_fd = close_fd(dir_fd);
	}
	if (version->reclaim_is_local)
		sum.reclaims += system_reclaims();
	sum.ino = st.st_ino;
	*room = sum;
	return 0;
}
