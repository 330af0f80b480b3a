// SPDX-License-Identifier: GPL-2.0-or-later
/* A snapshot as text for Prometheus; see metrics.h. */
#include "metrics.h"

#include "report.h"
#include "util.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct label {
	const char *name; /* NULL: there are no more */
	const char *value;
};

/* UTF-8, in which three characters are to be written with a backslash. */
static void write_value(FILE *out, const char *text)
{
	json_t *string = report_string(text);
	const char *value = json_string_value(string);

	for (; value && *value; value++)
		switch (*value) {
		case '\n':
			fputs("\\n", out);
			break;
		case '\\':
		case '"':
			fputc('\\', out);
			__attribute__((fallthrough));
		default:
			fputc(*value, out);
		}
	json_decref(string);
}

static void write_labels(FILE *out, const struct stats_snapshot *snapshot,
			 const struct label *labels)
{
	fputs("{mountpoint=\"", out);
	write_value(out, snapshot->mount.mountpoint);
	for (; labels && labels->name; labels++) {
		fprintf(out, "\",%s=\"", labels->name);
		write_value(out, labels->value);
	}
	fputs("\"}", out);
}

static void write_family(FILE *out, const char *name, const char *type,
			 const char *help)
{
	fprintf(out, "# HELP memcgfs_%s %s\n# TYPE memcgfs_%s %s\n", name, help,
		name, type);
}

static void write_sample(FILE *out, const struct stats_snapshot *snapshot,
			 const char *name, const struct label *labels,
			 uint64_t value)
{
	fprintf(out, "memcgfs_%s", name);
	write_labels(out, snapshot, labels);
	fprintf(out, " %" PRIu64 "\n", value);
}

/* -- the mount -- */

static void count_degraded(const char *reason, void *userdata)
{
	uint64_t *count = userdata;

	++*count;
}

static void write_gauge(FILE *out, const struct stats_snapshot *snapshot,
			const char *name, const char *help, uint64_t value)
{
	write_family(out, name, "gauge", help);
	write_sample(out, snapshot, name, NULL, value);
}

static void write_mount(FILE *out, const struct stats_snapshot *snapshot)
{
	const struct stats_mount *mount = &snapshot->mount;
	const struct label labels[] = {
		{ "source", mount->source },
		{ "memcg", mount->memcg },
		{ "io", mount->io },
		{ "version", MEMCGFS_VERSION },
		{ NULL, NULL },
	};
	uint64_t degraded = 0;

	stats_each_degraded(snapshot, count_degraded, &degraded);
	write_family(out, "info", "gauge", "The mount; always 1.");
	write_sample(out, snapshot, "info", labels, 1);
	write_gauge(out, snapshot, "degraded",
		    "Things that aren't as they should be now; 0: all is well.",
		    degraded);
	write_gauge(out, snapshot, "inodes", "Known files and directories.",
		    snapshot->inodes);
	write_gauge(out, snapshot, "scanners",
		    "Processes that go through many files once, now.",
		    snapshot->n_scanners);
	write_gauge(out, snapshot, "rules_refused",
		    "Rule files that are refused.", snapshot->refused_count);
}

/* -- its hosts -- */

static uint64_t host_is_up(const struct stats_host *host)
{
	return stats_host_is_usable(host);
}

static uint64_t host_restarts(const struct stats_host *host)
{
	return host->restarts;
}

static uint64_t host_pinned_bytes(const struct stats_host *host)
{
	return host->pinned_bytes;
}

static uint64_t host_usage_bytes(const struct stats_host *host)
{
	return host->usage_bytes;
}

static const struct {
	const char *name;
	const char *type;
	const char *help;
	uint64_t (*get)(const struct stats_host *host);
} host_families[] = {
	{ "host_charger_up", "gauge",
	  "Whether the host has a charger that answers, or had no work.",
	  host_is_up },
	{ "host_restarts_total", "counter",
	  "How often the charger had to be replaced.", host_restarts },
	{ "host_pinned_bytes", "gauge", "Bytes that the host keeps resident.",
	  host_pinned_bytes },
	{ "host_usage_bytes", "gauge",
	  "Bytes of known files that are charged to the host.",
	  host_usage_bytes },
};

static void write_hosts(FILE *out, const struct stats_snapshot *snapshot)
{
	for (size_t f = 0; f < ARRAY_SIZE(host_families); f++) {
		if (!snapshot->n_hosts)
			return;
		write_family(out, host_families[f].name, host_families[f].type,
			     host_families[f].help);
		for (size_t i = 0; i < snapshot->n_hosts; i++) {
			const struct stats_host *host = &snapshot->hosts[i];
			const struct label labels[] = {
				{ "host", host->host },
				{ "target", host->target },
				{ NULL, NULL },
			};

			write_sample(out, snapshot, host_families[f].name,
				     labels, host_families[f].get(host));
		}
	}
}

/* -- its accounts -- */

static const struct {
	const char *name;
	const char *help;
	size_t offset; /* of a figure in a view */
} account_families[] = {
	{ "cgroup_usage_bytes",
	  "Bytes of known files that are charged to the cgroup, or below it.",
	  offsetof(struct account_view, usage_bytes) },
	{ "cgroup_own_bytes",
	  "Of these, bytes of files that the cgroup uses itself.",
	  offsetof(struct account_view, own_bytes) },
	{ "cgroup_hosted_bytes",
	  "Of these, bytes of files that only others use.",
	  offsetof(struct account_view, hosted_bytes) },
	{ "cgroup_shared_bytes",
	  "Bytes that the cgroup, or one below it, uses and nobody there hosts.",
	  offsetof(struct account_view, shared_bytes) },
	{ "cgroup_foreign_bytes",
	  "Bytes that are charged to the cgroup of files that others host.",
	  offsetof(struct account_view, foreign_bytes) },
};

static uint64_t figure_of(const struct account_view *account, size_t offset)
{
	return *(const uint64_t *)((const char *)account + offset);
}

static void write_accounts(FILE *out, const struct stats_snapshot *snapshot)
{
	for (size_t f = 0; f < ARRAY_SIZE(account_families); f++) {
		const char *name = account_families[f].name;

		if (!snapshot->n_accounts)
			return;
		write_family(out, name, "gauge", account_families[f].help);
		for (size_t i = 0; i < snapshot->n_accounts; i++) {
			const struct account_view *account =
				&snapshot->accounts[i];
			const struct label labels[] = {
				{ "cgroup", account->path }, { NULL, NULL }
			};

			write_sample(out, snapshot, name, labels,
				     figure_of(account,
					       account_families[f].offset));
		}
	}
}

/* -- its counters -- */

/* Sentences, as Prometheus has them; times are in seconds there. */
static void write_counter(FILE *out, const struct stats_snapshot *snapshot,
			  enum stats_counter counter)
{
	uint64_t value = snapshot->counters[counter];
	char name[64], help[128];

	snprintf(help, sizeof(help), "%s.", stats_meaning(counter));
	help[0] = (char)(help[0] >= 'a' && help[0] <= 'z' ?
				 help[0] - 'a' + 'A' :
				 help[0]);
	if (stats_is_level(counter)) {
		write_gauge(out, snapshot, stats_name(counter), help, value);
		return;
	}
	if (counter == STATS_look_ns) {
		write_family(out, "look_seconds_total", "counter", help);
		fputs("memcgfs_look_seconds_total", out);
		write_labels(out, snapshot, NULL);
		fprintf(out, " %.9f\n", (double)value / 1e9);
		return;
	}
	snprintf(name, sizeof(name), "%s_total", stats_name(counter));
	write_family(out, name, "counter", help);
	write_sample(out, snapshot, name, NULL, value);
}

char *metrics_render(const struct stats_snapshot *snapshot)
{
	char *text = NULL;
	size_t size;
	FILE *out;
	bool failed;

	out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	write_mount(out, snapshot);
	write_hosts(out, snapshot);
	write_accounts(out, snapshot);
	for (int i = 0; i < STATS_COUNT; i++)
		write_counter(out, snapshot, i);
	failed = ferror(out);
	if (fclose(out) == EOF || failed) {
		free(text);
		return NULL;
	}
	return text;
}
