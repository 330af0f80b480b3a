// SPDX-License-Identifier: GPL-2.0-or-later
/* Files of rules: what their lines say, and where what is wrong with them. */
#include "rules.h"

#include "unit.h"
#include "util.h"

static struct rules *parse(const char *text)
{
	struct rules *rules = NULL;
	struct rules_error error;
	int r;

	r = rules_parse("file", text, strlen(text), &rules, &error);
	if (r)
		fail_msg("%u:%u: %s", error.line, error.column, error.text);
	return rules;
}

/* A file as people write it: 9 lines, of which 5 say something. */
static void test_a_file(void **state)
{
	struct rules *rules =
		parse("\xef\xbb\xbf# whose is what\n"
		      "\n"
		      "*            memcg=/shared/data\r\n"
		      "*.so*\tmemcg=/shared/libs pin\n"
		      "  /weights/** memcg=/ml ahead=4G io=strict\n"
		      "nothing\n"
		      "\"a b\" memcg=@opener on_error=opener\n"
		      "   # the end\n"
		      "tmp/ -pin !memcg");
	const struct rules_line *line;

	assert_string_equal(rules_name(rules), "file");
	assert_int_equal(rules_count(rules), 5);

	line = rules_line(rules, 0);
	assert_int_equal(line->number, 3);
	assert_string_equal(line->memcg, "/shared/data");
	assert_int_equal(line->says, 1 << RULES_MEMCG);

	line = rules_line(rules, 1);
	assert_int_equal(line->says, 1 << RULES_MEMCG | 1 << RULES_PIN);
	assert_true(line->pin);

	line = rules_line(rules, 2);
	assert_int_equal(line->number, 5);
	assert_int_equal(line->ahead_bytes, 4096 * MIB);
	assert_int_equal(line->io, POLICY_IO_STRICT);

	line = rules_line(rules, 3);
	assert_string_equal(line->memcg, "@opener");
	assert_int_equal(line->on_error, POLICY_OPENER);
	assert_true(pattern_match(line->pattern, pattern_start(line->pattern),
				  "a b", false));

	/* It says: not pinned, and as to the cgroup: what the mount says. */
	line = rules_line(rules, 4);
	assert_int_equal(line->number, 9);
	assert_int_equal(line->says, 1 << RULES_MEMCG | 1 << RULES_PIN);
	assert_int_equal(line->unsays, 1 << RULES_MEMCG);
	assert_false(line->pin);
	rules_unref(rules);
}

/* Who reads as a scanner reads: everybody, nobody, who looks like one. */
static void test_scanners(void **state)
{
	static const enum policy_scan scans[] = { POLICY_SCAN_ALWAYS,
						  POLICY_SCAN_NEVER,
						  POLICY_SCAN_AUTO,
						  POLICY_SCAN_AUTO };
	struct rules *rules = parse("a scan\nb noscan\nc -scan\nd -noscan\n"
				    "e !noscan scanners=tar:uid:7");
	const struct rules_line *line;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(scans); i++) {
		line = rules_line(rules, i);
		assert_int_equal(line->says, 1 << RULES_SCAN);
		assert_int_equal(line->scan, scans[i]);
	}
	line = rules_line(rules, 4);
	assert_int_equal(line->unsays, 1 << RULES_SCAN);
	assert_string_equal(line->scanners, "tar:uid:7");
	rules_unref(rules);
}

/* What is wrong is quoted, at its place, with what is allowed. */
static const struct {
	const char *text;
	unsigned int line, column;
	const char *said;
} refused[] = {
	{ "* memgc=/a", 1, 3, "unknown attribute \"memgc\"" },
	{ "\n\n*  pin foo", 3, 8, "unknown attribute \"foo\"" },
	{ "* pin=yes", 1, 7, "\"pin\" takes no value" },
	{ "* memcg", 1, 3, "\"memcg\" needs a value" },
	{ "* -memcg", 1, 4, "\"memcg\" needs a value" },
	{ "* memcg=", 1, 3, "\"memcg=\": a value is needed" },
	{ "* !io=auto", 1, 7, "\"!io\" takes no value" },
	{ "* -pin=1", 1, 8, "\"-pin\" takes no value" },
	{ "* pin -pin", 1, 8, "\"pin\" is said twice" },
	{ "* memcg=a", 1, 9, "\"memcg=a\": allowed are a cgroup's path" },
	{ "* memcg=@me", 1, 9, "\"memcg=@me\": allowed are" },
	{ "* memcg=@shared", 1, 9, "\"memcg=@shared\" is not built yet" },
	{ "* scan=1", 1, 8, "\"scan\" takes no value" },
	{ "* noscan=1", 1, 10, "\"noscan\" takes no value" },
	{ "* scan noscan", 1, 8, "\"scan\" is said twice" },
	{ "* scanners", 1, 3, "\"scanners\" needs a value" },
	{ "* scanners=a::b", 1, 12, "\"scanners=a::b\": allowed are command" },
	{ "* scanners=uid:me", 1, 12, "\"scanners=uid:me\": allowed are" },
	{ "* io=cached", 1, 6, "\"io=cached\" is of a whole mount" },
	{ "* io=fast", 1, 6, "\"io=fast\": allowed are auto, strict" },
	{ "* ahead=-1", 1, 9, "\"ahead=-1\": a size is needed" },
	{ "* ahead=99999999999999999999999999999999999", 1, 9, "\"ahead=9" },
	{ "* on_error=no", 1, 12, "\"on_error=no\": allowed are deny" },
	{ "!a pin", 1, 1, "negative patterns (\"!a\")" },
	{ "[attr]a pin", 1, 1, "macros" },
	{ "\"[attr]a\" pin", 1, 1, "macros" },
	{ "\"a pin", 1, 1, "closing quote is missing" },
	{ "\"a\"pin", 1, 4, "a blank is needed" },
	{ "\"\\q\" pin", 1, 2, "unknown escape" },
	{ "\"\\000\" pin", 1, 2, "unknown escape" },
	{ "\"\" pin", 1, 1, "pattern \"\": it is empty" },
	{ "[a pin", 1, 1, "pattern \"[a\": \"[\" without \"]\"" },
	{ "a\n b\xff", 2, 3, "byte 0xff: no UTF-8" },
	{ "\xc0\x80", 1, 1, "byte 0xc0: no UTF-8" },
	{ "\xed\xa0\x80", 1, 1, "byte 0xed: no UTF-8" },
	{ "\xc3", 1, 1, "byte 0xc3: no UTF-8" },
};

static void test_what_is_refused(void **state)
{
	struct rules_error error;
	struct rules *rules = NULL;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		error = (struct rules_error){ 0 };
		r = rules_parse("file", refused[i].text,
				strlen(refused[i].text), &rules, &error);
		if (r != RULES_E_INVALID || error.line != refused[i].line ||
		    error.column != refused[i].column ||
		    !strstr(error.text, refused[i].said))
			fail_msg("\"%s\": %d, %u:%u: %s", refused[i].text, r,
				 error.line, error.column, error.text);
		assert_null(rules);
	}
}

/* A NUL is no text, wherever it is; and 64 KiB are the most. */
static void test_what_is_no_text(void **state)
{
	static char text[RULES_FILE_MAX + 1];
	struct rules_error error;
	struct rules *rules = NULL;

	assert_int_equal(rules_parse("file", "* pin\n\0", 7, &rules, &error),
			 RULES_E_INVALID);
	assert_int_equal(error.line, 2);
	memset(text, '#', sizeof(text));
	assert_int_equal(rules_parse("file", text, sizeof(text), &rules,
				     &error),
			 RULES_E_INVALID);
	assert_int_equal(
		rules_parse("file", text, sizeof(text) - 1, &rules, &error), 0);
	assert_int_equal(rules_count(rules), 0);
	rules_unref(rules);
}

/* An empty file has no rules, and is a good one. */
static void test_an_empty_file(void **state)
{
	struct rules *rules = parse("");

	assert_int_equal(rules_count(rules), 0);
	assert_ptr_equal(rules_ref(rules), rules);
	assert_null(rules_unref(rules));
	assert_null(rules_unref(rules));
	assert_null(rules_unref(NULL));
}

/* What it shows of a long word is cut. */
static void test_long_input(void **state)
{
	char text[3000] = "* ";
	struct rules_error error;
	struct rules *rules;

	memset(text + 2, 'x', sizeof(text) - 3);
	assert_int_equal(rules_parse("file", text, sizeof(text) - 1, &rules,
				     &error),
			 RULES_E_INVALID);
	assert_true(strlen(error.text) < sizeof(error.text) - 1);
}

struct seen {
	unsigned int lines[8];
	const char *targets[8];
	unsigned int count;
	unsigned int stop_after;
};

static int see(const char *target, unsigned int line, void *userdata)
{
	struct seen *seen = userdata;

	seen->targets[seen->count] = target;
	seen->lines[seen->count++] = line;
	return seen->count == seen->stop_after ? -EACCES : 0;
}

static void test_targets(void **state)
{
	struct rules *rules = parse("a memcg=/a\nb pin\nc memcg=@mount\n"
				    "d memcg=/d");
	struct seen seen = { 0 };

	assert_int_equal(rules_each_target(rules, see, &seen), 0);
	assert_int_equal(seen.count, 3);
	assert_string_equal(seen.targets[1], "@mount");
	assert_int_equal(seen.lines[2], 4);
	seen = (struct seen){ .stop_after = 2 };
	assert_int_equal(rules_each_target(rules, see, &seen), -EACCES);
	assert_int_equal(seen.count, 2);
	rules_unref(rules);
}

/* 50,000 files of random words and bytes: refused or not, nothing breaks. */
static void test_noise(void **state)
{
	static const char *const words[] = {
		"*",	 "a",	 " ",	  "\n",	    "\"",	"\\",	"pin",
		"memcg", "=",	 "/x",	  "@mount", "!",	"-",	"#",
		"[",	 "]",	 "ahead", "4G",	    "\xc3\xa4", "\xff", "\\101",
		"\t",	 "tmp/", "**",	  "\r\n",   "io=auto",
	};
	unsigned int good = 0, said = 0;
	struct rules_error error;
	struct rules *rules;
	uint32_t seed = 1;
	char text[256];
	int count;

	for (int i = 0; i < UNIT_ROUNDS(50000); i++) {
		text[0] = '\0';
		count = (int)(unit_random(&seed) % 16);
		while (count--)
			strcat(text,
			       words[unit_random(&seed) % ARRAY_SIZE(words)]);
		if (rules_parse("f", text, strlen(text), &rules, &error))
			continue;
		good++;
		said += rules_count(rules) > 0;
		rules_unref(rules);
	}
	assert_true(good > (unsigned int)UNIT_ROUNDS(2000));
	assert_true(said > (unsigned int)UNIT_ROUNDS(30));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_file),
		cmocka_unit_test(test_scanners),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_what_is_no_text),
		cmocka_unit_test(test_an_empty_file),
		cmocka_unit_test(test_long_input),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
