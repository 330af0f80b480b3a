// SPDX-License-Identifier: GPL-2.0-or-later
/* The state of a mount, taken at one moment; see report.h. */
#include "report.h"

static const char *charger_state(const struct charger *charger)
{
	if (charger_is_down(charger))
		return "down";
	if (charger_is_away(charger))
		return "away";
	return charger_is_silent(charger) ? "silent" : "running";
}

static void add_host(struct host *host, void *userdata)
{
	const struct charger *charger = host_charger(host);
	struct stats_host taken = {
		.target = (char *)host_target(host),
		.host = (char *)host_path(host),
		.charger = charger_state(charger),
		.restarts = charger_restarts(charger),
		.usage_bytes = account_usage(host_account(host)),
		.pinned_bytes = host_pinned(host),
	};

	stats_add_host(userdata, &taken);
}

static void add_refused(const char *reason, void *userdata)
{
	stats_add_refused(userdata, reason);
}

void report_take(const struct report_source *from,
		 struct stats_snapshot *snapshot)
{
	*snapshot = (struct stats_snapshot){
		.source = from->source,
		.mountpoint = from->mountpoint,
		.memcg = from->memcg,
		.why_strict = from->why_strict,
		.inodes = inode_table_count(from->table),
	};
	stats_copy(from->stats, snapshot);
	hosts_each(from->hosts, add_host, snapshot);
	rulebook_each_refused(from->book, add_refused, snapshot);
}
