// SPDX-License-Identifier: GPL-2.0-or-later
/* Which processes map which files; see mappers.h. */
#include "mappers.h"

#include "util.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

struct mapping {
	struct mappers_file file;
	pid_t pid;
};

struct mappers {
	struct mapping *mappings; /* each one once, sorted */
	size_t n;
	size_t room;
};

/* "START-END PERMS OFFSET MAJOR:MINOR INODE NAME"; false: of no file. */
static bool parse_line(const char *line, uintptr_t *start,
		       struct mappers_file *file)
{
	unsigned int major, minor;

	if (sscanf(line, "%" SCNxPTR "-%*x %*s %*x %x:%x %" SCNu64, start,
		   &major, &minor, &file->ino) != 4)
		return false;
	file->device = makedev(major, minor);
	return file->ino != 0;
}

static int by_file(const void *a, const void *b)
{
	const struct mapping *x = a, *y = b;

	if (x->file.device != y->file.device)
		return x->file.device < y->file.device ? -1 : 1;
	if (x->file.ino != y->file.ino)
		return x->file.ino < y->file.ino ? -1 : 1;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

static int add_mapping(struct mappers *mappers, const struct mapping *mapping)
{
	struct mapping *mappings = mappers->mappings;

	/* A library has several mappings, one after another. */
	if (mappers->n && by_file(&mappings[mappers->n - 1], mapping) == 0)
		return 0;
	if (mappers->n == mappers->room) {
		size_t room = mappers->room ? 2 * mappers->room : 1024;

		mappings = reallocarray(mappings, room, sizeof(*mappings));
		if (!mappings)
			return -ENOMEM;
		mappers->mappings = mappings;
		mappers->room = room;
	}
	mappings[mappers->n++] = *mapping;
	return 0;
}

/* One that is gone by now, or may not be looked at, maps nothing. */
static int add_process(struct mappers *mappers, pid_t pid)
{
	struct mapping mapping = { .pid = pid };
	cleanup_free char *line = NULL;
	size_t room = 0;
	uintptr_t start;
	char name[32];
	FILE *maps;
	int r = 0;

	snprintf(name, sizeof(name), "/proc/%d/maps", (int)pid);
	maps = fopen(name, "re");
	if (!maps)
		return 0;
	while (r == 0 && getline(&line, &room, maps) > 0)
		if (parse_line(line, &start, &mapping.file))
			r = add_mapping(mappers, &mapping);
	fclose(maps);
	return r;
}

static void sort(struct mappers *mappers)
{
	struct mapping *all = mappers->mappings;
	size_t kept = 0;

	if (mappers->n)
		qsort(all, mappers->n, sizeof(*all), by_file);
	for (size_t i = 0; i < mappers->n; i++)
		if (!kept || by_file(&all[kept - 1], &all[i]) != 0)
			all[kept++] = all[i];
	mappers->n = kept;
}

int mappers_new(struct mappers **out)
{
	struct mappers *mappers = calloc(1, sizeof(*mappers));
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int r = mappers && proc ? 0 : !mappers ? -ENOMEM : -errno;
	pid_t pid;

	while (r == 0 && (entry = readdir(proc))) {
		pid = (pid_t)strtol(entry->d_name, NULL, 10);
		if (pid > 0)
			r = add_process(mappers, pid);
	}
	if (proc)
		closedir(proc);
	if (r < 0) {
		mappers_free(mappers);
		return r;
	}
	sort(mappers);
	*out = mappers;
	return 0;
}

struct mappers *mappers_free(struct mappers *mappers)
{
	if (!mappers)
		return NULL;
	free(mappers->mappings);
	free(mappers);
	return NULL;
}

/* The line of this process's own maps that begins at that address. */
static int find_own(const void *address, struct mappers_file *file)
{
	cleanup_free char *line = NULL;
	struct mappers_file found;
	size_t room = 0;
	uintptr_t start;
	int r = -ENOENT;
	FILE *maps;

	maps = fopen("/proc/self/maps", "re");
	if (!maps)
		return -errno;
	while (r == -ENOENT && getline(&line, &room, maps) > 0)
		if (parse_line(line, &start, &found) &&
		    start == (uintptr_t)address)
			r = 0;
	fclose(maps);
	if (r == 0)
		*file = found;
	return r;
}

/* By mapping it, which touches none of its pages. */
int mappers_identify(int fd, struct mappers_file *file)
{
	void *map = mmap(NULL, 1, PROT_NONE, MAP_SHARED, fd, 0);
	int r;

	if (map == MAP_FAILED)
		return -errno;
	r = find_own(map, file);
	munmap(map, 1);
	return r;
}

size_t mappers_find(const struct mappers *mappers,
		    const struct mappers_file *file, pid_t *pids, size_t max)
{
	const struct mapping wanted = { .file = *file };
	const struct mapping *all = mappers->mappings;
	size_t low = 0, high = mappers->n, found;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (by_file(&all[middle], &wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (found = 0; low + found < mappers->n; found++) {
		const struct mapping *mapping = &all[low + found];

		if (mapping->file.device != file->device ||
		    mapping->file.ino != file->ino)
			break;
		if (found < max)
			pids[found] = mapping->pid;
	}
	return found;
}
