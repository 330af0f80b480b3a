// SPDX-License-Identifier: GPL-2.0-or-later
/* The control protocol: from a line, by whomever, to an answer. */
#include "control_priv.h"

#include "unit.h"

/* A daemon of which only this is known. */
struct fake {
	unsigned int reports;
	unsigned int reloads;
	int reload_result;
};

static void take_report(void *userdata, struct stats_snapshot *snapshot)
{
	struct fake *fake = userdata;

	fake->reports++;
	*snapshot = (struct stats_snapshot){
		.mount = { .source = "/s", .mountpoint = "/m", .memcg = "/c" },
	};
	stats_add_refused(snapshot, "secret/.memcgfs:1:1: unknown ...");
}

static int reload(void *userdata, char reason[RULEFILE_REASON_MAX])
{
	struct fake *fake = userdata;

	fake->reloads++;
	if (fake->reload_result < 0)
		snprintf(reason, RULEFILE_REASON_MAX, "rules:12: no such");
	return fake->reload_result;
}

/* The answer to a line, to be given back. */
static json_t *ask(struct fake *fake, bool is_master, const char *line,
		   size_t size)
{
	struct control_config config = {
		.report = take_report,
		.reload = reload,
		.userdata = fake,
	};
	struct control_request request = {
		.config = &config,
		.caller = { .uid = is_master ? 0 : 1000 },
		.is_master = is_master,
		.answer = json_object(),
	};

	control_answer(&request, line, size);
	assert_int_equal(
		json_integer_value(json_object_get(request.answer, "version")),
		CONTROL_VERSION);
	return request.answer;
}

static void expect_error(bool is_master, const char *line, int number,
			 const char *text)
{
	struct fake fake = { 0 };
	json_t *answer = ask(&fake, is_master, line, strlen(line));

	assert_int_equal(json_integer_value(json_object_get(answer, "errno")),
			 number);
	assert_string_equal(json_string_value(json_object_get(answer, "error")),
			    text);
	assert_int_equal(json_object_size(answer), 3);
	assert_int_equal(fake.reports + fake.reloads, 0);
	json_decref(answer);
}

static void test_what_is_for_masters(void **state)
{
	expect_error(false, "{\"verb\":\"events\"}", EPERM,
		     "only root and the mount's owner may follow events");
	expect_error(true, "{\"verb\":\"status\",\"stream\":1}", EINVAL,
		     "\"stream\" is to be true or false");
}

static void test_errors(void **state)
{
	const char *no_object = "a request is a JSON object on a line";

	expect_error(true, "", EINVAL, no_object);
	expect_error(true, "status", EINVAL, no_object);
	expect_error(true, "[\"status\"]", EINVAL, no_object);
	expect_error(true, "{\"verb\":\"status\"", EINVAL, no_object);
	expect_error(true, "{\"verb\":\"status\"} {}", EINVAL, no_object);
	expect_error(true, "{\"verb\":\"status\",\"verb\":\"reload\"}", EINVAL,
		     no_object);
	expect_error(true, "{}", EINVAL, "a request needs a \"verb\"");
	expect_error(true, "{\"verb\":1}", EINVAL,
		     "a request needs a \"verb\"");
	expect_error(true, "{\"verb\":\"frob\"}", EOPNOTSUPP,
		     "unknown verb \"frob\"");
	expect_error(
		true, "{\"verb\":\"explain\"}", EINVAL,
		"\"explain\" needs a \"path\", or the \"pid\" of a process");
	expect_error(true, "{\"verb\":\"explain\",\"path\":[]}", EINVAL,
		     "\"path\" is to be a string");
	expect_error(true, "{\"verb\":\"explain\",\"path\":\"a\\u0000b\"}",
		     EINVAL, no_object);
	expect_error(false, "{\"verb\":\"reload\"}", EPERM,
		     "only root and the mount's owner may reload");
}

/* What is quoted is cut, and so may be within a character of its own. */
static void test_long_verbs(void **state)
{
	struct fake fake = { 0 };
	char line[16000];
	json_t *answer;
	int n;

	for (int shift = 0; shift < 2; shift++) {
		n = snprintf(line, sizeof(line), "{\"verb\":\"%s",
			     shift ? "x" : "");
		for (int i = 0; i < 7000; i++)
			n += snprintf(line + n, sizeof(line) - (size_t)n,
				      "\xc3\xa4");
		n += snprintf(line + n, sizeof(line) - (size_t)n, "\"}");
		answer = ask(&fake, true, line, (size_t)n);
		assert_int_equal(
			json_integer_value(json_object_get(answer, "errno")),
			EOPNOTSUPP);
		assert_true(json_string_length(
				    json_object_get(answer, "error")) < 100);
		json_decref(answer);
	}
}

/* Brackets as deep as a line has room for, and any bytes, are no request. */
static void test_garbage(void **state)
{
	char line[CONTROL_REQUEST_MAX];
	struct fake fake = { 0 };
	uint32_t seed = 12345;

	memset(line, '[', sizeof(line));
	json_decref(ask(&fake, true, line, sizeof(line)));
	for (int round = 0; round < UNIT_ROUNDS(5000); round++) {
		static const char start[] = "{\"verb\":\"reload\"}";
		size_t size = sizeof(start) - 1;

		memcpy(line, start, size);
		for (uint32_t i = unit_random(&seed) % 3 + 1; i; i--)
			line[unit_random(&seed) % size] =
				(char)unit_random(&seed);
		json_decref(ask(&fake, false, line, size));
	}
	assert_int_equal(fake.reports + fake.reloads, 0);
}

static size_t named(const json_t *answer)
{
	return json_array_size(json_object_get(answer, "refused_rules"));
}

/* Root gets all of the status. What others may not know: test_control.py. */
static void test_status(void **state)
{
	static const char line[] = "{\"verb\":\"status\"}";
	struct fake fake = { 0 };
	json_t *answer;

	answer = ask(&fake, true, line, strlen(line));
	assert_int_equal(fake.reports, 1);
	assert_null(json_object_get(answer, "error"));
	assert_string_equal(
		json_string_value(json_object_get(answer, "source")), "/s");
	assert_int_equal(named(answer), 1);
	json_decref(answer);
}

static void test_reload(void **state)
{
	static const char line[] = "{\"verb\":\"reload\"}";
	struct fake fake = { 0 };
	json_t *answer;

	answer = ask(&fake, true, line, strlen(line));
	assert_int_equal(fake.reloads, 1);
	assert_null(json_object_get(answer, "error"));
	json_decref(answer);
	fake.reload_result = -EINVAL;
	answer = ask(&fake, true, line, strlen(line));
	assert_string_equal(json_string_value(json_object_get(answer, "error")),
			    "rules:12: no such");
	json_decref(answer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_what_is_for_masters),
		cmocka_unit_test(test_long_verbs),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_reload),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
