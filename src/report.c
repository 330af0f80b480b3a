// SPDX-License-Identifier: GPL-2.0-or-later
/* The state of a mount, taken at one moment; see report.h. */
#include "report.h"

#include "util.h"

#include <string.h>

const char *report_charger(const struct charger *charger)
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
	const struct account *account = host_account(host);
	struct stats_host taken = {
		.target = (char *)host_target(host),
		.host = (char *)host_path(host),
		.charger = report_charger(charger),
		.restarts = charger_restarts(charger),
		.usage_bytes = account_usage(account),
		.hosted_bytes = account_hosted(account),
		.foreign_bytes = account_foreign(account),
		.pinned_bytes = host_pinned(host),
	};

	stats_add_host(userdata, &taken);
}

static void add_scanner(const struct scanners_view *view, void *userdata)
{
	struct stats_scanner taken = {
		.pid = view->pid,
		.cgroup = (char *)view->cgroup,
		.files = view->files,
		.bytes = view->bytes,
	};

	memcpy(taken.command, view->command, sizeof(taken.command));
	memcpy(taken.why, view->why, sizeof(taken.why));
	stats_add_scanner(userdata, &taken);
}

_Static_assert(sizeof(((struct stats_scanner *)0)->command) ==
			       IDENTITY_COMMAND_BYTES &&
		       sizeof(((struct stats_scanner *)0)->why) ==
			       SCANNERS_WHY_BYTES,
	       "they are copied whole");

static void add_refused(const char *reason, void *userdata)
{
	stats_add_refused(userdata, reason);
}

void report_take(const struct report_source *from,
		 struct stats_snapshot *snapshot)
{
	*snapshot = (struct stats_snapshot){
		.mount = from->mount,
		.inodes = inode_table_count(from->table),
	};
	stats_copy(from->stats, snapshot);
	/* Without memory, they go unsaid. */
	books_view(from->books, &snapshot->accounts, &snapshot->n_accounts);
	hosts_each(from->hosts, add_host, snapshot);
	if (from->scanners)
		scanners_each(from->scanners, add_scanner, snapshot);
	rulebook_each_refused(from->book, add_refused, snapshot);
}

/* -- as JSON -- */

json_t *report_string(const char *text)
{
	cleanup_free char *ascii = NULL;
	json_t *string;

	if (!text)
		return json_null();
	string = json_string(text);
	ascii = string ? NULL : strdup(text);
	if (!ascii)
		return string;
	for (char *c = ascii; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	return json_string(ascii);
}

static json_t *render_host(const struct stats_host *host)
{
	return json_pack("{so so ss si sI sI sI sI}", "target",
			 report_string(host->target), "host",
			 report_string(host->host), "charger", host->charger,
			 "restarts", (int)host->restarts, "usage_bytes",
			 (json_int_t)host->usage_bytes, "hosted_bytes",
			 (json_int_t)host->hosted_bytes, "foreign_bytes",
			 (json_int_t)host->foreign_bytes, "pinned_bytes",
			 (json_int_t)host->pinned_bytes);
}

static json_t *render_hosts(const struct stats_snapshot *snapshot)
{
	json_t *hosts = json_array();

	for (size_t i = 0; i < snapshot->n_hosts; i++)
		json_array_append_new(hosts, render_host(&snapshot->hosts[i]));
	return hosts;
}

static json_t *render_scanners(const struct stats_snapshot *snapshot)
{
	json_t *scanners = json_array();

	for (size_t i = 0; i < snapshot->n_scanners; i++) {
		const struct stats_scanner *scanner = &snapshot->scanners[i];

		json_array_append_new(
			scanners,
			json_pack("{si so so sI sI so}", "pid", scanner->pid,
				  "command", report_string(scanner->command),
				  "cgroup", report_string(scanner->cgroup),
				  "files", (json_int_t)scanner->files, "bytes",
				  (json_int_t)scanner->bytes, "why",
				  report_string(scanner->why)));
	}
	return scanners;
}

static json_t *render_refused(const struct stats_snapshot *snapshot)
{
	json_t *refused = json_array();

	for (size_t i = 0; i < snapshot->n_refused; i++)
		json_array_append_new(refused,
				      report_string(snapshot->refused[i]));
	return refused;
}

static json_t *render_counters(const struct stats_snapshot *snapshot)
{
	json_t *counters = json_object();

	for (int i = 0; i < STATS_COUNT; i++)
		json_object_set_new(
			counters, stats_name(i),
			json_integer((json_int_t)snapshot->counters[i]));
	return counters;
}

static void add_degraded(const char *reason, void *userdata)
{
	json_array_append_new(userdata, report_string(reason));
}

void report_render_json(const struct stats_snapshot *snapshot, json_t *object)
{
	const struct stats_mount *mount = &snapshot->mount;
	json_t *degraded = json_array();

	stats_each_degraded(snapshot, add_degraded, degraded);
	json_object_set_new(object, "source", report_string(mount->source));
	json_object_set_new(object, "mountpoint",
			    report_string(mount->mountpoint));
	json_object_set_new(object, "memcg", report_string(mount->memcg));
	json_object_set_new(object, "pid", json_integer(mount->pid));
	json_object_set_new(object, "io", json_string(mount->io));
	json_object_set_new(object, "passthrough",
			    json_boolean(!mount->is_cached &&
					 !mount->why_strict));
	json_object_set_new(object, "why_strict",
			    report_string(mount->why_strict));
	json_object_set_new(object, "degraded", degraded);
	json_object_set_new(object, "inodes",
			    json_integer((json_int_t)snapshot->inodes));
	json_object_set_new(object, "hosts", render_hosts(snapshot));
	json_object_set_new(object, "scanners", render_scanners(snapshot));
	json_object_set_new(object, "rules_refused",
			    json_integer((json_int_t)snapshot->refused_count));
	json_object_set_new(object, "refused_rules", render_refused(snapshot));
	json_object_set_new(object, "counters", render_counters(snapshot));
}
