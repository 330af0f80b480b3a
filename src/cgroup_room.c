// SPDX-License-Identifier: GPL-2.0-or-later
/* The cgroups as memcgfs sees them, 4: the room of hosts; see cgroup.h. */
#include "cgroup_priv.h"

#include "util.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
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
	return least(limit, system_swap);
}

static uint64_t free_swap(void)
{
	struct sysinfo info;

	return sysinfo(&info) < 0 ? 0 : info.freeswap * info.mem_unit;
}

/* Narrows the room to one level's; a root cgroup has no limit file, and none. */
static int level_room(const struct cgroup_version *version, int dir_fd,
		      uint64_t system_swap, struct cgroup_room *room)
{
	char text[CGROUP_FILE_MAX];
	uint64_t limit, high, usage, cache;
	int r;

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
	char text[CGROUP_FILE_MAX];

	if (read_small_file(AT_FDCWD, "/proc/vmstat", text, sizeof(text)) < 0)
		return 0;
	return stat_value(text, "pgsteal_kswapd") +
	       stat_value(text, "pgsteal_direct");
}

static const struct cgroup_room boundless = {
	.bytes = UINT64_MAX,
	.anon_bytes = UINT64_MAX,
	.limit_bytes = UINT64_MAX,
};

/* With the room of the cgroup at @path, the host's own or one above it. */
static int add_level(const struct cgroup_tree *tree, const char *path,
		     uint64_t system_swap, struct cgroup_room *sum)
{
	struct cgroup_room level = boundless;
	cleanup_close int dir_fd = -1;
	struct stat st;
	int r;

	dir_fd = openat(tree->fd, cgroup_relative(path),
			O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0 || fstat(dir_fd, &st) < 0)
		return -errno;
	r = level_room(tree->version, dir_fd, system_swap, &level);
	if (r < 0)
		return r;
	sum->bytes = least(sum->bytes, level.bytes);
	sum->anon_bytes = least(sum->anon_bytes, level.anon_bytes);
	sum->limit_bytes = least(sum->limit_bytes, level.limit_bytes);
	if (!sum->ino || tree->version->reclaim_is_local)
		sum->reclaims += level.reclaims;
	if (!sum->ino)
		sum->ino = st.st_ino;
	return 0;
}

int cgroup_host_room(const struct cgroup_host *host, struct cgroup_room *room)
{
	const struct cgroup_tree *tree = cgroup_host_tree(host);
	uint64_t system_swap = tree->version->swap_limit_file ? free_swap() : 0;
	struct cgroup_room sum = boundless;
	char path[CGROUP_PATH_MAX];
	int r;

	strcpy(path, cgroup_host_path(host));
	do {
		r = add_level(tree, path, system_swap, &sum);
		if (r < 0)
			return r;
	} while (cgroup_path_up(path));
	if (tree->version->reclaim_is_local)
		sum.reclaims += system_reclaims();
	*room = sum;
	return 0;
}
