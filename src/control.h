/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket, by which memcgfsctl speaks to a running mount.
 *
 * It is a stream socket in the abstract namespace, so that nothing is left of
 * it after any death, called "memcgfs/MAJOR:MINOR/RANDOM" for the mount's
 * device number. The last part keeps anybody else from taking the name first;
 * it is to be found in /proc/net/unix, and who listens there is to be believed
 * only if he is root or the mount's owner (SO_PEERCRED; unix(7)).
 *
 * A connection is one request, a JSON object on a line, {"verb": ..., "path":
 * ...}, and one answer, a JSON object on a line with "version" and what the
 * verb gives, or "error", a text, and "errno". A request for long work may
 * have "stream": true; then lines {"progress": {"done": N, "total": N, "unit":
 * ...}} come before the answer. What happens ("events") comes as a line each,
 * until the client leaves. Work that nobody waits for any more ends.
 *
 * Any user may ask for the status, and for files that he may read; root and
 * the mount's owner alone may change anything.
 *
 * A client gets a thread of its own, and a bounded time to say what he wants
 * and to take each line of the answer, so that nobody waits for another. Of one
 * user, and of all, so many are served at a time, and so many have long work
 * done, or follow events; who comes in addition is told so.
 */
#ifndef MEMCGFS_CONTROL_H
#define MEMCGFS_CONTROL_H

#include "events.h"
#include "report.h"
#include "scanners.h"

#define CONTROL_VERSION 1

struct control;

struct control_config {
	const char *mountpoint;
	struct inode_table *table;
	struct rulebook *book;
	struct charge *charge;
	struct events *events;
	struct books *books;
	const struct cgroup_tree *tree;
	struct scanners *scanners;
	/* These two are called by many threads at a time. */
	void (*report)(void *userdata, struct stats_snapshot *snapshot);
	/* Reads the mount's rules again; -errno, and the reason is told. */
	int (*reload)(void *userdata, char reason[RULEFILE_REASON_MAX]);
	void *userdata;
};

/* Begins to listen, when the mount is there. */
int control_new(const struct control_config *config, struct control **out);

/* Whoever is being served is cut off. */
struct control *control_free(struct control *control);

#endif
