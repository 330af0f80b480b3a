/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which processes map which files, as /proc/PID/maps tells it: read once, as
 * that takes a moment, and then asked about any number of files.
 */
#ifndef MEMCGFS_MAPPERS_H
#define MEMCGFS_MAPPERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mappers;

/* A file, by the numbers that the kernel tells of mappings. */
struct mappers_file {
	dev_t device; /* the filesystem's, which of btrfs isn't stat(2)'s */
	uint64_t ino;
};

/*
 * Looks at all processes that there are and that may be looked at (that takes
 * CAP_SYS_PTRACE where they are others'). -ENOMEM; or there is no /proc.
 */
int mappers_new(struct mappers **out);
struct mappers *mappers_free(struct mappers *mappers);

/* What the file behind @fd, which can be read, is in there. 0 or -errno. */
int mappers_identify(int fd, struct mappers_file *file);

/*
 * The processes that map the file, by number, @max of them at most; how many
 * there are in all.
 */
size_t mappers_find(const struct mappers *mappers,
		    const struct mappers_file *file, pid_t *pids, size_t max);

#endif
