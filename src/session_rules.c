// SPDX-License-Identifier: GPL-2.0-or-later
/* A session, 3: its rules; see session_priv.h. */
#include "session_priv.h"

#include "log.h"
#include "util.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* The rules of rules=FILE; @reason says what is wrong with them. */
static int read_mount_rules(struct session *session, struct rules **out,
			    char reason[RULEFILE_REASON_MAX])
{
	struct rulefile_source source = {
		.dir_fd = AT_FDCWD,
		.file = session->options.rules,
		.shown = session->options.rules,
		.tree = session->tree,
		.is_trusted = true,
		.can_opener = true,
	};
	int r;

	if (!session->options.rules)
		return 0;
	r = rulefile_read(&source, out, reason);
	if (r < 0)
		snprintf(reason, RULEFILE_REASON_MAX, "%s: %s",
			 session->options.rules, strerror(-r));
	return r ? -EINVAL : 0;
}

int session_make_book(struct session *session)
{
	struct rulebook_config config = {
		.table = session->table,
		.charge = session->charge,
		.hosts = session->hosts,
		.tree = session->tree,
		.fallback = session->fallback,
		.events = session->events,
		.memcg = session->options.memcg,
		.reads_files = !session->options.norulefiles,
	};
	char reason[RULEFILE_REASON_MAX];
	struct rulebook *book = NULL;
	struct rules *rules = NULL;
	int r;

	r = read_mount_rules(session, &rules, reason);
	if (r < 0) {
		log_error("rules=%s", reason);
		return r;
	}
	config.mount_rules = rules;
	r = rulebook_new(&config, &book);
	if (r == 0)
		atomic_store(&session->book, book);
	rules_unref(rules);
	return r < 0 ? log_error_errno(r, "cannot start") : 0;
}

/* Rules that are wrong now leave those that hold as they are. */
int session_reload(void *userdata, char reason[RULEFILE_REASON_MAX])
{
	struct session *session = userdata;
	struct rules *rules = NULL;
	int r;

	r = read_mount_rules(session, &rules, reason);
	if (r == 0)
		rulebook_reload(session->book, rules);
	rules_unref(rules);
	return r;
}
