/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is a scanner anyway: what is said behind scanners=, with colons between.
 *
 *   NAME         a command, as in /proc/PID/comm, which has 15 bytes at most
 *   cgroup:PATH  who lives in that cgroup, or below it
 *   uid:N        whoever has that user's number
 *
 * As colons separate, none can be in a path; and no command is called
 * "cgroup" or "uid". Pure: the text is checked once, and matched as it is.
 */
#ifndef MEMCGFS_SCANLIST_H
#define MEMCGFS_SCANLIST_H

#include <stdbool.h>
#include <sys/types.h>

/* For messages, behind what was given. */
#define SCANLIST_ALLOWED \
	"allowed are command names, cgroup:PATH and uid:N, with colons between"

#define SCANLIST_COMMAND_MAX 15 /* bytes, the kernel's TASK_COMM_LEN less 1 */

/* Who reads. */
struct scanlist_reader {
	const char *command;
	const char *cgroup; /* its path within the hierarchy; NULL: not known */
	uid_t uid;
};

bool scanlist_is_valid(const char *text);

/*
 * Whether a valid list names the reader. @mountpoint is the hierarchy's: paths
 * below it name the same cgroups.
 */
bool scanlist_names(const char *text, const char *mountpoint,
		    const struct scanlist_reader *reader);

#endif
