/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mounts of memcgfs that this process sees (proc_pid_mountinfo(5)). */
#ifndef MEMCGFS_CTL_MOUNTS_H
#define MEMCGFS_CTL_MOUNTS_H

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

struct mount {
	int id;
	char device[32]; /* MAJOR:MINOR */
	char root[PATH_MAX]; /* what is mounted there: "/", unless it is bound */
	char point[PATH_MAX];
	uid_t owner;
};

/*
 * The one that has the path; @inside is how it calls what is there. 0;
 * -ENODEV: that is in none; or why the path can't be looked at.
 */
int mounts_find(const char *path, struct mount *found, char inside[PATH_MAX]);

/*
 * How many there are, each counted once however often it is bound; the first
 * of them; and their mount points, as far as they fit, for a message.
 */
int mounts_list(struct mount *first, char *points, size_t size);

#endif
