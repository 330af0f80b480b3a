/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rule files on disk: whether there is one, whether it may be believed, and
 * its rules. It is believed if it is a regular file of at most 64 KiB that
 * nobody but its owner or root can write, and if its owner could himself
 * enter each cgroup that it names. Otherwise it is refused as a whole.
 *
 * Who can write a directory can put a file of somebody else there, that was
 * in another one: so a file that names cgroups must have one name only, in a
 * directory that its owner alone can write, and that owner must have the
 * right to them, too.
 *
 * A rule file is a covered file as any other: reading it here leaves no page
 * of it behind that was not there before.
 */
#ifndef MEMCGFS_RULEFILE_H
#define MEMCGFS_RULEFILE_H

#include "cgroup.h"
#include "rules.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#define RULEFILE_NAME ".memcgfs"

/* Which file it was, in which state; zeroed: there was none. */
struct rulefile_id {
	ino_t ino;
	off_t size;
	struct timespec mtime;
	struct timespec ctime;
	/* It may change once more in the same tick of the file's clock. */
	bool is_young;
};

/* Whether it is what it was then. */
bool rulefile_same(const struct rulefile_id *now,
		   const struct rulefile_id *then);

/* Looks whether there is one in the directory; an O_PATH fd will do. */
int rulefile_look(int dir_fd, struct rulefile_id *id);

struct rulefile_source {
	int dir_fd;
	const char *file; /* its name in there */
	const char *shown; /* how messages and decisions call it */
	const struct cgroup_tree *tree;
	bool is_trusted; /* the mounting user's own word: targets are checked
			    as his */
	bool can_opener; /* memcg=@opener can be had on this mount */
};

#define RULEFILE_REASON_MAX 512

/* It is refused, and why is told: "sub/.memcgfs:3:7: ...". */
#define RULEFILE_E_REFUSED 1

/* The rules; RULEFILE_E_REFUSED, or -ENOENT, -ENOMEM. */
int rulefile_read(const struct rulefile_source *source, struct rules **out,
		  char reason[RULEFILE_REASON_MAX]);

#endif
