// SPDX-License-Identifier: GPL-2.0-or-later
/* Metrics: a line a figure, with its help and type; odd names are escaped. */
#include "metrics.h"

#include "morning.h"

static const struct stats_host odd = {
	.target = (char[]){ "/a\"b\\c\nd\xff" },
	.host = (char[]){ "/e" },
	.charger = "silent",
};

static struct account_view accounts[] = {
	{ .path = (char[]){ "/" }, .usage_bytes = 8192 },
	{
		.path = (char[]){ "/shared" },
		.depth = 1,
		.usage_bytes = 8192,
		.own_bytes = 4096,
		.hosted_bytes = 4095,
		.shared_bytes = 7,
		.foreign_bytes = 1,
	},
};

/* The morning's, with accounts, and a host of an odd name. */
static struct stats_snapshot measured(void)
{
	struct stats_snapshot snapshot = morning();

	hosts[1] = odd;
	snapshot.n_refused = 0;
	snapshot.refused_count = 0;
	snapshot.n_accounts = 2;
	snapshot.accounts = accounts;
	snapshot.counters[STATS_claims] = 17;
	snapshot.counters[STATS_pinned_bytes] = 4096;
	snapshot.counters[STATS_look_ns] = 1500000000;
	return snapshot;
}

static void test_lines(void **state)
{
	struct stats_snapshot snapshot = measured();
	char *text = metrics_render(&snapshot);

	assert_non_null(text);
	assert_line(text, "memcgfs_inodes{mountpoint=\"/data\"} 1234");
	assert_line(text, "# TYPE memcgfs_inodes gauge");
	assert_line(text, "memcgfs_degraded{mountpoint=\"/data\"} 1");
	assert_line(text, "# HELP memcgfs_claims_total Files whose owners were "
			  "looked at.");
	assert_line(text, "# TYPE memcgfs_claims_total counter");
	assert_line(text, "memcgfs_claims_total{mountpoint=\"/data\"} 17");
	assert_line(text, "# TYPE memcgfs_pinned_bytes gauge");
	assert_line(text, "memcgfs_pinned_bytes{mountpoint=\"/data\"} 4096");
	assert_line(text, "memcgfs_look_seconds_total{mountpoint=\"/data\"} "
			  "1.500000000");
	assert_line(text, "memcgfs_host_restarts_total{mountpoint=\"/data\","
			  "host=\"/shared/data/memcgfs\","
			  "target=\"/shared/data\"} 2");
	assert_line(text, "memcgfs_host_charger_up{mountpoint=\"/data\","
			  "host=\"/shared/data/memcgfs\","
			  "target=\"/shared/data\"} 1");
	assert_line(text, "memcgfs_host_charger_up{mountpoint=\"/data\","
			  "host=\"/e\",target=\"/a\\\"b\\\\c\\nd?\"} 0");
	assert_line(text, "memcgfs_cgroup_usage_bytes{mountpoint=\"/data\","
			  "cgroup=\"/\"} 8192");
	assert_line(text, "memcgfs_cgroup_own_bytes{mountpoint=\"/data\","
			  "cgroup=\"/shared\"} 4096");
	assert_line(text, "memcgfs_cgroup_hosted_bytes{mountpoint=\"/data\","
			  "cgroup=\"/shared\"} 4095");
	assert_line(text, "memcgfs_cgroup_shared_bytes{mountpoint=\"/data\","
			  "cgroup=\"/shared\"} 7");
	assert_line(text, "memcgfs_cgroup_foreign_bytes{mountpoint=\"/data\","
			  "cgroup=\"/shared\"} 1");
	free(text);
}

/* A family is told of once, and every line belongs to the one before. */
static void test_families(void **state)
{
	struct stats_snapshot snapshot = measured();
	char *text = metrics_render(&snapshot);
	char *rest = text, *line;
	char family[128] = "";

	while ((line = strsep(&rest, "\n")) && *line) {
		if (sscanf(line, "# HELP %127s", family) == 1)
			continue;
		if (line[0] == '#')
			line += strlen("# TYPE ");
		assert_memory_equal(line, family, strlen(family));
	}
	free(text);
	assert_int_equal(stats_is_level(STATS_claims), false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_families),
	};

	unit_watchdog(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
