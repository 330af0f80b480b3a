// SPDX-License-Identifier: GPL-2.0-or-later
/* A session, 4: what is reported of it; see session_priv.h. */
#include "session_priv.h"

#include "log.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

#define REPORT_BYTES 8192
#define DEGRADED_BYTES 5000

static struct report_source report_source(struct session *session)
{
	return (struct report_source){
		.mount = {
			.source = session->places.source,
			.mountpoint = session->places.mountpoint,
			.memcg = session->options.memcg,
			.io = policy_io_name(session->options.io),
			.is_cached = session->options.io == POLICY_IO_CACHED,
			.why_strict = atomic_load(&session->why_strict),
			.why_cached = session->why_cached,
			.why_unwatched = atomic_load(&session->why_unwatched),
			.sees_owners = session->kpagecgroup_fd >= 0,
			.pid = getpid(),
		},
		.stats = &session->stats,
		.table = session->table,
		.hosts = session->hosts,
		.book = session->book,
		.books = session->books,
		.scanners = session->scanners,
	};
}

void session_take_report(void *userdata, struct stats_snapshot *snapshot)
{
	struct report_source source = report_source(userdata);

	report_take(&source, snapshot);
}

/* The whole report, however long: in a string to be freed; NULL: no memory. */
static char *render_status(struct session *session)
{
	size_t size = REPORT_BYTES;
	struct stats_snapshot snapshot;
	char *text;

	session_take_report(session, &snapshot);
	for (;;) {
		text = malloc(size);
		if (!text)
			break;
		stats_render_text(&snapshot, text, size);
		if (strlen(text) + 1 < size)
			break;
		free(text);
		size *= 2;
	}
	stats_clear(&snapshot);
	return text;
}

void session_log_report(struct session *session)
{
	cleanup_free char *text = render_status(session);
	char *rest = text;
	char *line;

	while ((line = strsep(&rest, "\n")))
		if (*line)
			log_info("%s", line);
}

/* -- as events -- */

static void add_reason(const char *reason, void *userdata)
{
	json_object_set_new(userdata, reason, json_true());
}

/* Those that are among the new and not among the old. */
static void tell_new(struct session *session, const json_t *old, json_t *new,
		     const char *prefix)
{
	char text[DEGRADED_BYTES];
	const char *reason;
	json_t *value;

	json_object_foreach(new, reason, value)
	{
		if (json_object_get(old, reason))
			continue;
		snprintf(text, sizeof(text), "%s%s", prefix, reason);
		events_tell(session->events,
			    &(struct event){ .kind = EVENT_degraded,
					     .reason = text });
	}
}

void session_tell_degraded(struct session *session)
{
	struct stats_snapshot snapshot;
	json_t *old = session->degraded;
	json_t *new;

	session->degraded = NULL;
	if (events_are_followed(session->events)) {
		new = json_object();
		session_take_report(session, &snapshot);
		stats_each_degraded(&snapshot, add_reason, new);
		stats_clear(&snapshot);
		tell_new(session, old, new, "");
		tell_new(session, new, old, "no longer: ");
		session->degraded = new;
	}
	json_decref(old);
}
