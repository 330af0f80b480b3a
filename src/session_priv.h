/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of a session share. */
#ifndef MEMCGFS_SESSION_PRIV_H
#define MEMCGFS_SESSION_PRIV_H

#include "bookkeeper.h"
#include "connection.h"
#include "control.h"
#include "exporter.h"
#include "janitor.h"
#include "options.h"
#include "reconciler.h"
#include "session.h"
#include "usewatch.h"

#include <stdatomic.h>

struct session {
	struct options options;
	struct places places;
	int report_fd; /* tells the waiting parent: 0, mounted; or -1 */
	bool is_ready;
	bool unprotected; /* from the OOM killer */

	struct spawner *spawner;
	struct cgroup_tree *tree;
	struct books *books;
	struct openers *openers;
	struct arena *arena;
	struct hosts *hosts;
	const struct binding *fallback; /* the mount's own rule */
	struct host *host; /* its host; NULL: nothing is enforced */
	struct events *events;
	int kpagecgroup_fd; /* these two, -1: no right to it */
	int kpageflags_fd;
	struct inode_table *table;
	struct charge *charge;
	_Atomic(struct rulebook *) book;
	const char *why_cached; /* though io=auto was asked for; or NULL */
	_Atomic(const char *) why_strict; /* NULL: files can pass through */
	struct usewatch *watch; /* NULL: not wanted, or no right to it */
	_Atomic(const char *) why_unwatched; /* NULL: all is well */
	struct reconciler *reconciler; /* NULL: nothing drifts */
	struct bookkeeper *bookkeeper;
	struct control *control;
	int metrics_fd; /* bound, until there is an exporter; or -1 */
	struct httpd *httpd; /* NULL: there are no metrics to serve */
	struct exporter *exporter; /* NULL: nobody is to scrape */
	struct scanners *scanners;
	struct fuse_front *front;
	struct fuse_session *fuse;
	bool is_mounted;
	struct stats stats;

	struct janitor *janitor;
	json_t *degraded; /* the janitor's: reasons, as told last */
};

/*
 * All of these log what is wrong, and return -errno.
 *
 * session_hosts.c: the cgroups, and the mount's own rule with its host.
 */
int session_start_cgroups(struct session *session);

/* Who waits for a charger of the session need not any more. */
void session_hurry(struct session *session);

/* session_rules.c: the book of rules, and reading the mount's own again. */
int session_make_book(struct session *session);
int session_reload(void *userdata, char reason[RULEFILE_REASON_MAX]);

/*
 * session_watch.c: who uses what, where opens make no message; to be made
 * before there are threads, and begun when that is known.
 */
int session_make_watch(struct session *session);
void session_begin_watch(struct session *session);

/* session_report.c: the report, for whoever asks, and to the log. */
void session_take_report(void *userdata, struct stats_snapshot *snapshot);
void session_log_report(struct session *session);

/* Tells who follows events what isn't as it should be since the last time. */
void session_tell_degraded(struct session *session);

#endif
