/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A mount that has seen a morning's work, for those who tell of it. */
#ifndef MEMCGFS_TESTS_MORNING_H
#define MEMCGFS_TESTS_MORNING_H

#include "stats.h"
#include "unit.h"

static struct stats_host hosts[] = {
	{
		.target = (char[]){ "/shared/data" },
		.host = (char[]){ "/shared/data/memcgfs" },
		.charger = "running",
		.restarts = 2,
		.usage_bytes = 50331648,
		.hosted_bytes = 40000000,
		.foreign_bytes = 8192,
		.pinned_bytes = 4096,
	},
	{
		.target = (char[]){ "/shared/libs" },
		.host = (char[]){ "/shared/libs" },
		.charger = "away",
	},
};

static struct stats_scanner scanners[] = {
	{
		.pid = 77,
		.command = "tar",
		.cgroup = (char[]){ "/backup" },
		.files = 16,
		.bytes = 65536,
		.why = "it walks through directories",
	},
};

static char *refused[] = {
	(char[]){ "b/.memcgfs:3:1: unknown attribute \"mem\"" },
};

/* The counters are 100, 101... */
static inline struct stats_snapshot morning(void)
{
	struct stats_snapshot snapshot = {
		.mount = {
			.source = "/srv/data",
			.mountpoint = "/data",
			.memcg = "/shared/data",
			.io = "auto",
			.sees_owners = true,
			.pid = 77,
		},
		.inodes = 1234,
		.n_hosts = 2,
		.hosts = hosts,
		.n_scanners = 1,
		.scanners = scanners,
		.n_refused = 1,
		.refused = refused,
		.refused_count = 1,
	};

	for (int i = 0; i < STATS_COUNT; i++)
		snapshot.counters[i] = 100 + (uint64_t)i;
	return snapshot;
}

static inline void assert_line(const char *text, const char *line)
{
	const char *found = strstr(text, line);

	if (!found || (found != text && found[-1] != '\n') ||
	    found[strlen(line)] != '\n')
		fail_msg("no line \"%s\" in:\n%s", line, text);
}

#endif
