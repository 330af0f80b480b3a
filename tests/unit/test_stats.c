// SPDX-License-Identifier: GPL-2.0-or-later
/* The report: one line a figure, in the glossary's words; cut, never torn. */
#include "stats.h"

#include "morning.h"

#define REPORT_MAX 4096

static void test_report(void **state)
{
	struct stats_snapshot snapshot = morning();
	char text[REPORT_MAX];

	stats_render_text(&snapshot, text, sizeof(text));
	assert_line(text, "source /srv/data");
	assert_line(text, "memcg /shared/data");
	assert_line(text, "inodes 1234");
	assert_line(text, "degraded 1 rule file is refused");
	assert_line(text, "host /shared/data/memcgfs target /shared/data "
			  "charger running restarts 2 usage 50331648 "
			  "pinned 4096");
	assert_line(text, "host /shared/libs target /shared/libs "
			  "charger away restarts 0 usage 0 pinned 0");
	assert_line(text, "refused b/.memcgfs:3:1: unknown attribute \"mem\"");
	assert_line(text, "opens_passthrough 100 (opens that pass through)");
	assert_line(text, "opens_strict 101 (opens served by the charger)");
	assert_line(text, "scanner tar pid 77 cgroup /backup files 16 "
			  "bytes 65536: it walks through directories");
	assert_int_equal(count_lines(text), 8 + STATS_COUNT);
}

static void count(const char *reason, void *userdata)
{
	assert_true(*reason);
	++*(unsigned int *)userdata;
}

static unsigned int count_degraded(const struct stats_snapshot *snapshot)
{
	unsigned int found = 0;

	stats_each_degraded(snapshot, count, &found);
	return found;
}

/* What isn't as it should be is said, each by itself; nothing else is. */
static void test_degraded(void **state)
{
	struct stats_host down = hosts[0];
	struct stats_snapshot snapshot = morning();
	char text[REPORT_MAX];

	snapshot.n_refused = 0;
	snapshot.refused_count = 0;
	assert_int_equal(count_degraded(&snapshot), 0);
	snapshot.mount.why_strict = "the kernel has no FUSE passthrough";
	snapshot.mount.sees_owners = false;
	snapshot.refused_count = 300;
	down.charger = "down";
	snapshot.hosts = &down;
	snapshot.n_hosts = 1;
	assert_int_equal(count_degraded(&snapshot), 4);
	stats_render_text(&snapshot, text, sizeof(text));
	assert_line(text, "degraded all reads and writes are strict: the "
			  "kernel has no FUSE passthrough");
	assert_line(text, "degraded page owners can't be read: what is "
			  "resident already is dropped at first open");
	assert_line(text, "degraded host /shared/data/memcgfs: its charger "
			  "is down");
	assert_line(text, "degraded 300 rule files are refused");
	/* Without hosts nothing is enforced, and no owner looked at. */
	snapshot.n_hosts = 0;
	assert_int_equal(count_degraded(&snapshot), 2);
}

/* Of 1,000 refused files 256 are named, and all counted. */
static void test_many_refused(void **state)
{
	struct stats_snapshot snapshot = { 0 };
	char reason[32];

	for (int i = 0; i < 1000; i++) {
		snprintf(reason, sizeof(reason), "d%d/.memcgfs: bad", i);
		stats_add_refused(&snapshot, reason);
	}
	assert_int_equal(snapshot.refused_count, 1000);
	assert_int_equal(snapshot.n_refused, 256);
	assert_string_equal(snapshot.refused[255], "d255/.memcgfs: bad");
	stats_clear(&snapshot);
	assert_int_equal(snapshot.refused_count, 0);
}

static bool is_of_a(const char *reason, void *userdata)
{
	assert_string_equal(userdata, "asker");
	return strncmp(reason, "a/", 2) == 0;
}

/* What somebody may not know is taken out, and still counted. */
static void test_filter(void **state)
{
	struct stats_snapshot snapshot = { 0 };
	char asker[] = "asker";

	stats_add_refused(&snapshot, "b/.memcgfs: 1");
	stats_add_refused(&snapshot, "a/.memcgfs: 2");
	stats_add_refused(&snapshot, "b/.memcgfs: 3");
	stats_filter_refused(&snapshot, is_of_a, asker);
	assert_int_equal(snapshot.n_refused, 1);
	assert_string_equal(snapshot.refused[0], "a/.memcgfs: 2");
	assert_int_equal(snapshot.refused_count, 3);
	stats_clear(&snapshot);
}

/* The largest numbers are written whole. */
static void test_large_numbers(void **state)
{
	struct stats_host large = {
		.target = (char[]){ "/a" },
		.host = (char[]){ "/a" },
		.charger = "down",
		.restarts = UINT32_MAX,
		.usage_bytes = UINT64_MAX,
		.pinned_bytes = UINT64_MAX,
	};
	struct stats_snapshot snapshot = morning();
	char text[REPORT_MAX];

	snapshot.n_hosts = 1;
	snapshot.hosts = &large;
	snapshot.counters[STATS_claims] = UINT64_MAX;
	stats_render_text(&snapshot, text, sizeof(text));
	assert_line(text, "host /a target /a charger down restarts 4294967295 "
			  "usage 18446744073709551615 "
			  "pinned 18446744073709551615");
	assert_line(text, "claims 18446744073709551615 "
			  "(files whose owners were looked at)");
}

/* What is added is a copy; clearing a snapshot leaves nothing behind. */
static void test_adding(void **state)
{
	struct stats_snapshot snapshot = { 0 };
	char reason[] = "x/.memcgfs: a symbolic link";

	for (int i = 0; i < 2; i++)
		stats_add_host(&snapshot, &hosts[i]);
	stats_add_refused(&snapshot, reason);
	reason[0] = '?';
	assert_int_equal(snapshot.n_hosts, 2);
	assert_string_equal(snapshot.hosts[1].host, "/shared/libs");
	assert_ptr_not_equal(snapshot.hosts[1].host, hosts[1].host);
	assert_int_equal(snapshot.n_refused, 1);
	assert_string_equal(snapshot.refused[0], "x/.memcgfs: a symbolic link");
	stats_clear(&snapshot);
	assert_int_equal(snapshot.n_hosts + snapshot.n_refused, 0);
	assert_null(snapshot.hosts);
}

/* Each size of buffer from 1 up: a prefix, a string, no byte behind it. */
static void test_truncation(void **state)
{
	struct stats_snapshot snapshot = morning();
	char whole[REPORT_MAX], text[REPORT_MAX];
	size_t length;

	stats_render_text(&snapshot, whole, sizeof(whole));
	length = strlen(whole);
	assert_true(length < sizeof(whole) - 1);
	for (size_t size = 1; size <= length + 2; size++) {
		memset(text, '#', sizeof(text));
		stats_render_text(&snapshot, text, size);
		assert_int_equal(strlen(text),
				 size - 1 < length ? size - 1 : length);
		assert_memory_equal(text, whole, strlen(text));
		assert_int_equal(text[size], '#');
	}
	text[0] = '#';
	stats_render_text(&snapshot, text, 0);
	assert_int_equal(text[0], '#');
}

static void *counting_thread(void *arg)
{
	struct stats *stats = *(struct stats **)arg;

	for (int i = 0; i < 10000; i++) {
		stats_add(stats, STATS_opens_strict, 1);
		stats_add(stats, STATS_ahead_bytes, 4096);
	}
	return NULL;
}

/* 8 threads count 10,000 opens of 4 KiB each; the copy has them all. */
static void test_counting(void **state)
{
	static struct stats stats;
	struct stats *same[8];
	struct stats_snapshot snapshot = { 0 };

	for (int i = 0; i < 8; i++)
		same[i] = &stats;
	run_threads(8, counting_thread, same, sizeof(same[0]));
	stats_copy(&stats, &snapshot);
	assert_int_equal(snapshot.counters[STATS_opens_strict], 80000);
	assert_int_equal(snapshot.counters[STATS_ahead_bytes], 80000 * 4096);
	assert_int_equal(snapshot.counters[STATS_claims], 0);
	assert_null(snapshot.mount.source); /* the counters alone are copied */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_degraded),
		cmocka_unit_test(test_many_refused),
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_large_numbers),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_adding),
		cmocka_unit_test(test_counting),
	};

	return cmocka_run_group_tests_name("stats", tests, NULL, NULL);
}
