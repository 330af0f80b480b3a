// SPDX-License-Identifier: GPL-2.0-or-later
/* The cgroups as memcgfs sees them, 2: their paths; see cgroup.h. */
#include "cgroup_priv.h"

#include "util.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define GONE_NAME "/(gone)"
#define UNKNOWN_NAME "/(unknown)"
#define FILEID_KERNFS 0xfe /* as in the kernel's include/linux/exportfs.h */

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
	char text[CGROUP_FILE_MAX];
	char name[64];
	int r;

	snprintf(name, sizeof(name), "/proc/%d/cgroup", (int)tid);
	r = read_small_file(AT_FDCWD, name, text, sizeof(text));
	if (r < 0)
		return r;
	return cgroup_tree_parse_proc(tree, text, path);
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
	    fstatat(tree->fd, cgroup_relative(found), &st, 0) < 0 ||
	    st.st_ino != ino)
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
	size_t len = strlen(path), cut = sizeof("/" CGROUP_LEAF_NAME) - 1;

	if (cgroup_tree_version(tree) == 2 && len > cut &&
	    strcmp(path + len - cut, "/" CGROUP_LEAF_NAME) == 0)
		path[len - cut] = '\0';
}
