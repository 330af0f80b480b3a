// SPDX-License-Identifier: GPL-2.0-or-later
/* A session, 5: who uses files that are opened without a word; see usewatch.h. */
#include "session_priv.h"

#include "creds.h"
#include "log.h"
#include "util.h"

#include <linux/capability.h>
#include <string.h>

static void on_opened(void *userdata, uint64_t nodeid, pid_t pid)
{
	struct session *session = userdata;

	fuse_front_note_open(session->front, nodeid, pid);
}

static void on_lost(void *userdata)
{
	struct session *session = userdata;

	stats_add(&session->stats, STATS_opens_missed, 1);
}

static void on_told(void *userdata, int error)
{
	struct session *session = userdata;
	const char *why;

	if (error == 0)
		return;
	why = error == -EPERM ? "fanotify takes CAP_SYS_ADMIN" :
				strerrordesc_np(-error);
	atomic_store(&session->why_unwatched, why);
	log_warning("who uses files is known by what is read and written "
		    "alone: %s",
		    why);
}

int session_make_watch(struct session *session)
{
	struct usewatch_config config = {
		.opened = on_opened,
		.lost = on_lost,
		.told = on_told,
		.userdata = session,
	};
	int r;

	if (session->options.io != POLICY_IO_CACHED ||
	    !creds_have(CREDS_MASK(CAP_SYS_ADMIN)))
		return 0;
	r = usewatch_new(&config, &session->watch);
	return r < 0 ? log_error_errno(r, "cannot start the watcher") : 0;
}

void session_begin_watch(struct session *session)
{
	int r = -EPERM;

	if (session->options.io != POLICY_IO_CACHED)
		return;
	if (session->watch)
		r = usewatch_begin(session->watch, session->places.mountpoint,
				   inode_table_excluded(session->table));
	if (r < 0)
		on_told(session, r);
}
