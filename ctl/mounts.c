// SPDX-License-Identifier: GPL-2.0-or-later
/* The mounts of memcgfs that this process sees; see mounts.h. */
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOUNTINFO "/proc/self/mountinfo"
#define FS_TYPE "fuse.memcgfs"

/* -- mountinfo -- */

/* What it has of odd characters: \ooo. False: it is too long. */
static bool unescape(const char *from, char to[PATH_MAX])
{
	size_t len = 0;

	for (; *from && len + 1 < PATH_MAX; len++) {
		if (from[0] == '\\' && from[1] && from[2] && from[3]) {
			const char code[] = { from[1], from[2], from[3], 0 };

			to[len] = (char)strtoul(code, NULL, 8);
			from += 4;
		} else {
			to[len] = *from++;
		}
	}
	to[len] = '\0';
	return !*from;
}

static uid_t parse_owner(char *options)
{
	char *rest = options;
	char *option;

	while ((option = strsep(&rest, ",")))
		if (strncmp(option, "user_id=", 8) == 0)
			return (uid_t)strtoul(option + 8, NULL, 10);
	return 0;
}

/* Fields are apart by one space, and have none. */
static bool parse(char *line, struct mount *mount)
{
	enum { ID, PARENT, DEVICE, ROOT, POINT, FIELDS };
	char *fields[FIELDS], *rest = line, *type, *options;

	line[strcspn(line, "\n")] = '\0';
	for (int i = 0; i < FIELDS; i++)
		fields[i] = rest ? strsep(&rest, " ") : NULL;
	rest = rest ? strstr(rest, "- ") : NULL;
	if (!rest)
		return false;
	rest += 2;
	type = strsep(&rest, " ");
	if (strcmp(type, FS_TYPE) != 0 || !strsep(&rest, " "))
		return false;
	options = rest ? rest : type + strlen(type);
	mount->id = atoi(fields[ID]);
	mount->owner = parse_owner(options);
	snprintf(mount->device, sizeof(mount->device), "%s", fields[DEVICE]);
	return unescape(fields[ROOT], mount->root) &&
	       unescape(fields[POINT], mount->point);
}

/* Calls @fn for each mount until it returns true. */
static void each_mount(bool (*fn)(const struct mount *mount, void *userdata),
		       void *userdata)
{
	FILE *file = fopen(MOUNTINFO, "re");
	struct mount mount;
	char *line = NULL;
	size_t size = 0;

	while (file && getline(&line, &size, file) > 0)
		if (parse(line, &mount) && fn(&mount, userdata))
			break;
	free(line);
	if (file)
		fclose(file);
}

/* -- by a path -- */

/* The id of the mount that the fd is in; -1: it isn't told. */
static int mount_id_of(int fd)
{
	char path[64];
	char *line = NULL;
	size_t size = 0;
	int id = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	while (file && getline(&line, &size, file) > 0)
		if (sscanf(line, "mnt_id: %d", &id) == 1)
			break;
	free(line);
	if (file)
		fclose(file);
	return id;
}

struct search {
	int id;
	bool is_found;
	struct mount *found;
};

static bool has_id(const struct mount *mount, void *userdata)
{
	struct search *search = userdata;

	search->is_found = mount->id == search->id;
	if (search->is_found)
		*search->found = *mount;
	return search->is_found;
}

static int name_fd(int fd, char path[PATH_MAX])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, PATH_MAX - 1);
	if (n < 0)
		return -errno;
	path[n] = '\0';
	return n == PATH_MAX - 1 ? -ENAMETOOLONG : 0;
}

/* What is mounted may be a part of the tree: the way there comes first. */
static int path_inside(const struct mount *mount, int fd, char inside[PATH_MAX])
{
	size_t len = strcmp(mount->point, "/") ? strlen(mount->point) : 0;
	char full[PATH_MAX];
	int n, r;

	r = name_fd(fd, full);
	if (r < 0)
		return r;
	if (strncmp(full, mount->point, len) != 0)
		return -ENOENT;
	n = snprintf(inside, PATH_MAX, "%s%s",
		     strcmp(mount->root, "/") ? mount->root : "", full + len);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int mounts_find(const char *path, struct mount *found, char inside[PATH_MAX])
{
	struct search search = { .found = found };
	int fd, r;

	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	search.id = mount_id_of(fd);
	each_mount(has_id, &search);
	r = search.is_found ? path_inside(found, fd, inside) : -ENODEV;
	close(fd);
	return r;
}

/* -- all -- */

struct listing {
	int count;
	struct mount *first;
	char (*devices)[sizeof(((struct mount *)0)->device)];
	char *points;
	size_t size;
	size_t len;
};

static bool is_known(const struct listing *listing, const char *device)
{
	for (int i = 0; i < listing->count; i++)
		if (strcmp(listing->devices[i], device) == 0)
			return true;
	return false;
}

static bool list_one(const struct mount *mount, void *userdata)
{
	struct listing *listing = userdata;
	void *more;
	int n;

	if (is_known(listing, mount->device))
		return false;
	more = realloc(listing->devices, (size_t)(listing->count + 1) *
						 sizeof(*listing->devices));
	if (!more)
		return true;
	listing->devices = more;
	memcpy(listing->devices[listing->count], mount->device,
	       sizeof(mount->device));
	if (!listing->count++)
		*listing->first = *mount;
	n = snprintf(listing->points + listing->len,
		     listing->size - listing->len, "%s%s",
		     listing->len ? ", " : "", mount->point);
	if (n > 0 && (size_t)n < listing->size - listing->len)
		listing->len += (size_t)n;
	else
		listing->points[listing->len] = '\0';
	return false;
}

int mounts_list(struct mount *first, char *points, size_t size)
{
	struct listing listing = {
		.first = first,
		.points = points,
		.size = size,
	};

	*points = '\0';
	each_mount(list_one, &listing);
	free(listing.devices);
	return listing.count;
}
