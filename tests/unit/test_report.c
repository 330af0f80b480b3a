// SPDX-License-Identifier: GPL-2.0-or-later
/* The report as JSON: its keys are what scripts rely on. */
#include "report.h"

#include "morning.h"

/* The object as text, keys in their order; to be freed. */
static char *render(const struct stats_snapshot *snapshot)
{
	json_t *object = json_object();
	char *text;

	report_render_json(snapshot, object);
	text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	assert_non_null(text);
	return text;
}

static void test_keys(void **state)
{
	struct stats_snapshot snapshot = morning();
	char *text = render(&snapshot);
	char *counters = strstr(text, ",\"counters\":{");

	assert_non_null(counters);
	assert_non_null(strstr(counters, "\"opens_passthrough\":100,"
					 "\"opens_strict\":101,"));
	*counters = '\0';
	assert_string_equal(
		text,
		"{\"source\":\"/srv/data\",\"mountpoint\":\"/data\","
		"\"memcg\":\"/shared/data\",\"pid\":77,\"io\":\"auto\","
		"\"passthrough\":true,\"why_strict\":null,"
		"\"degraded\":[\"1 rule file is refused\"],"
		"\"inodes\":1234,"
		"\"hosts\":[{\"target\":\"/shared/data\","
		"\"host\":\"/shared/data/memcgfs\",\"charger\":\"running\","
		"\"restarts\":2,\"usage_bytes\":50331648,"
		"\"hosted_bytes\":40000000,\"foreign_bytes\":8192,"
		"\"pinned_bytes\":4096},"
		"{\"target\":\"/shared/libs\",\"host\":\"/shared/libs\","
		"\"charger\":\"away\",\"restarts\":0,\"usage_bytes\":0,"
		"\"hosted_bytes\":0,\"foreign_bytes\":0,"
		"\"pinned_bytes\":0}],"
		"\"scanners\":[{\"pid\":77,\"command\":\"tar\","
		"\"cgroup\":\"/backup\",\"files\":16,\"bytes\":65536,"
		"\"why\":\"it walks through directories\"}],"
		"\"rules_refused\":1,"
		"\"refused_rules\":[\"b/.memcgfs:3:1: unknown attribute "
		"\\\"mem\\\"\"]");
	free(text);
}

static void test_all_strict(void **state)
{
	struct stats_snapshot snapshot = morning();
	char *text;

	snapshot.mount.why_strict = "no luck";
	text = render(&snapshot);
	assert_non_null(strstr(text, "\"passthrough\":false,"
				     "\"why_strict\":\"no luck\","
				     "\"degraded\":[\"all reads and writes are "
				     "strict: no luck\""));
	free(text);
}

/* JSON is UTF-8, and names of files are bytes: none is left out. */
static void test_odd_names(void **state)
{
	struct stats_snapshot snapshot = morning();
	char *text;

	snapshot.mount.source = "/srv/\xff\"\n/\xc3\xa4";
	snapshot.mount.mountpoint = "/mnt/\xc3\xa4";
	text = render(&snapshot);
	assert_non_null(strstr(text, "\"source\":\"/srv/?\\\"\\n/??\","
				     "\"mountpoint\":\"/mnt/\xc3\xa4\""));
	free(text);
	assert_true(json_is_null(report_string(NULL)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_all_strict),
		cmocka_unit_test(test_odd_names),
	};

	return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
