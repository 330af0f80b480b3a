// SPDX-License-Identifier: GPL-2.0-or-later
/* What the daemon counts, and the report of it; see stats.h. */
#include "stats.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEGRADED_MAX 4500 /* bytes: a path, and what is said of it */

static const struct {
	const char *name;
	const char *meaning;
} counters[] = {
#define X(name, meaning) { #name, meaning },
	STATS_COUNTERS(X)
#undef X
};

void stats_copy(const struct stats *stats, struct stats_snapshot *snapshot)
{
	for (int i = 0; i < STATS_COUNT; i++)
		snapshot->counters[i] = atomic_load_explicit(
			&stats->counters[i], memory_order_relaxed);
}

/* A string that grows as far as its buffer goes. */
struct text {
	char *buf;
	size_t size;
	size_t len;
};

static __attribute__((format(printf, 2, 3))) void text_add(struct text *text,
							   const char *fmt, ...)
{
	va_list ap;
	int n;

	if (text->len >= text->size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text->buf + text->len, text->size - text->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		text->len += (size_t)n;
}

static void add_degraded(const char *reason, void *userdata)
{
	text_add(userdata, "degraded %s\n", reason);
}

void stats_render_text(const struct stats_snapshot *snapshot, char *buf,
		       size_t size)
{
	struct text text = { .buf = buf, .size = size };

	text_add(&text, "source %s\nmemcg %s\ninodes %" PRIu64 "\n",
		 snapshot->mount.source, snapshot->mount.memcg,
		 snapshot->inodes);
	stats_each_degraded(snapshot, add_degraded, &text);
	for (size_t i = 0; i < snapshot->n_hosts; i++) {
		const struct stats_host *host = &snapshot->hosts[i];

		text_add(&text,
			 "host %s target %s charger %s restarts %u usage "
			 "%" PRIu64 " pinned %" PRIu64 "\n",
			 host->host, host->target, host->charger,
			 host->restarts, host->usage_bytes, host->pinned_bytes);
	}
	for (size_t i = 0; i < snapshot->n_scanners; i++) {
		const struct stats_scanner *scanner = &snapshot->scanners[i];

		text_add(&text,
			 "scanner %s pid %d cgroup %s files %" PRIu64
			 " bytes %" PRIu64 ": %s\n",
			 scanner->command, scanner->pid,
			 scanner->cgroup ? scanner->cgroup : "?",
			 scanner->files, scanner->bytes, scanner->why);
	}
	for (size_t i = 0; i < snapshot->n_refused; i++)
		text_add(&text, "refused %s\n", snapshot->refused[i]);
	for (int i = 0; i < STATS_COUNT; i++)
		text_add(&text, "%s %" PRIu64 " (%s)\n", counters[i].name,
			 snapshot->counters[i], counters[i].meaning);
}

bool stats_host_is_usable(const struct stats_host *host)
{
	return strcmp(host->charger, "running") == 0 ||
	       strcmp(host->charger, "away") == 0;
}

void stats_each_degraded(const struct stats_snapshot *snapshot,
			 void (*fn)(const char *reason, void *userdata),
			 void *userdata)
{
	const struct stats_mount *mount = &snapshot->mount;
	char reason[DEGRADED_MAX];

	if (mount->why_strict) {
		snprintf(reason, sizeof(reason),
			 "all reads and writes are strict: %s",
			 mount->why_strict);
		fn(reason, userdata);
	}
	if (mount->why_cached) {
		snprintf(reason, sizeof(reason),
			 "io=auto is io=cached here: %s", mount->why_cached);
		fn(reason, userdata);
	}
	if (mount->why_unwatched) {
		snprintf(
			reason, sizeof(reason),
			"who uses files is known by what is read and written alone: %s",
			mount->why_unwatched);
		fn(reason, userdata);
	}
	if (!mount->sees_owners && snapshot->n_hosts)
		fn("page owners can't be read: what is resident already is "
		   "dropped at first open",
		   userdata);
	for (size_t i = 0; i < snapshot->n_hosts; i++) {
		const struct stats_host *host = &snapshot->hosts[i];

		if (stats_host_is_usable(host))
			continue;
		snprintf(reason, sizeof(reason), "host %s: its charger is %s",
			 host->host, host->charger);
		fn(reason, userdata);
	}
	if (!snapshot->refused_count)
		return;
	snprintf(reason, sizeof(reason), "%zu rule file%s refused",
		 snapshot->refused_count,
		 snapshot->refused_count > 1 ? "s are" : " is");
	fn(reason, userdata);
}

void stats_add_host(struct stats_snapshot *snapshot,
		    const struct stats_host *host)
{
	struct stats_host *hosts, *added;

	hosts = realloc(snapshot->hosts,
			(snapshot->n_hosts + 1) * sizeof(*hosts));
	if (!hosts)
		return;
	snapshot->hosts = hosts;
	added = &hosts[snapshot->n_hosts];
	*added = *host;
	added->target = strdup(host->target);
	added->host = strdup(host->host);
	if (added->target && added->host) {
		snapshot->n_hosts++;
		return;
	}
	free(added->target);
	free(added->host);
}

void stats_add_scanner(struct stats_snapshot *snapshot,
		       const struct stats_scanner *scanner)
{
	struct stats_scanner *scanners, *added;

	scanners = realloc(snapshot->scanners,
			   (snapshot->n_scanners + 1) * sizeof(*scanners));
	if (!scanners)
		return;
	snapshot->scanners = scanners;
	added = &scanners[snapshot->n_scanners++];
	*added = *scanner;
	added->cgroup = scanner->cgroup ? strdup(scanner->cgroup) : NULL;
}

void stats_add_refused(struct stats_snapshot *snapshot, const char *reason)
{
	char **refused;
	char *copy;

	snapshot->refused_count++;
	if (snapshot->n_refused == STATS_REFUSED_MAX)
		return;
	copy = strdup(reason);
	refused = realloc(snapshot->refused,
			  (snapshot->n_refused + 1) * sizeof(*refused));
	if (refused)
		snapshot->refused = refused;
	if (refused && copy)
		refused[snapshot->n_refused++] = copy;
	else
		free(copy);
}

void stats_filter_refused(struct stats_snapshot *snapshot,
			  bool (*wanted)(const char *reason, void *userdata),
			  void *userdata)
{
	size_t kept = 0;

	for (size_t i = 0; i < snapshot->n_refused; i++) {
		char *reason = snapshot->refused[i];

		if (wanted(reason, userdata))
			snapshot->refused[kept++] = reason;
		else
			free(reason);
	}
	snapshot->n_refused = kept;
}

void stats_clear(struct stats_snapshot *snapshot)
{
	while (snapshot->n_hosts) {
		snapshot->n_hosts--;
		free(snapshot->hosts[snapshot->n_hosts].target);
		free(snapshot->hosts[snapshot->n_hosts].host);
	}
	while (snapshot->n_scanners)
		free(snapshot->scanners[--snapshot->n_scanners].cgroup);
	while (snapshot->n_refused)
		free(snapshot->refused[--snapshot->n_refused]);
	books_view_free(snapshot->accounts, snapshot->n_accounts);
	free(snapshot->hosts);
	free(snapshot->scanners);
	free(snapshot->refused);
	snapshot->accounts = NULL;
	snapshot->n_accounts = 0;
	snapshot->hosts = NULL;
	snapshot->scanners = NULL;
	snapshot->refused = NULL;
	snapshot->refused_count = 0;
}

const char *stats_name(enum stats_counter counter)
{
	return counters[counter].name;
}

const char *stats_meaning(enum stats_counter counter)
{
	return counters[counter].meaning;
}

bool stats_is_level(enum stats_counter counter)
{
	return counter == STATS_pinned_files || counter == STATS_pinned_bytes ||
	       counter == STATS_reader_pages;
}
