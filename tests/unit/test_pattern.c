// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Patterns, name by name: what they match, where nothing can match any more,
 * and what is no pattern. That all of it is as in git is asked of git itself,
 * by the integration tests.
 */
#include "pattern.h"

#include "unit.h"
#include "util.h"

static struct pattern *pattern_of(const char *text)
{
	struct pattern *pattern = NULL;
	int r = pattern_new(text, strlen(text), &pattern);

	if (r)
		fail_msg("\"%s\": %d", text, r);
	return pattern;
}

/* The state in the directory that the path's last name is in. */
static uint64_t state_in(const struct pattern *pattern, const char *path)
{
	uint64_t state = pattern_start(pattern);
	const char *slash;
	char name[64];

	for (; (slash = strchr(path, '/')); path = slash + 1) {
		snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
		state = pattern_enter(pattern, state, name);
	}
	return state;
}

/* A path that ends with a slash is a directory's. */
static bool matches(const char *text, const char *path)
{
	struct pattern *pattern = pattern_of(text);
	char copy[128];
	size_t len = strlen(path);
	bool is_dir = path[len - 1] == '/';
	const char *name;
	bool is_match;

	snprintf(copy, sizeof(copy), "%.*s", (int)(len - is_dir), path);
	name = strrchr(copy, '/') ? strrchr(copy, '/') + 1 : copy;
	is_match =
		pattern_match(pattern, state_in(pattern, copy), name, is_dir);
	pattern_free(pattern);
	return is_match;
}

static const struct {
	const char *pattern;
	const char *yes[4];
	const char *no[4];
} cases[] = {
	/* Without a slash: at any depth, the last name alone. */
	{ "*.so*", { "a.so", "x/y/lib.so.1", ".so" }, { "a.s", "x.so/y" } },
	{ "a", { "a", "x/a", "a/a" }, { "b", "a/b", "aa", "A" } },
	/* With one in front or in the middle: from the file's directory. */
	{ "/a", { "a" }, { "x/a", "a/b" } },
	{ "a/b", { "a/b" }, { "b", "x/a/b", "a/b/c" } },
	{ "a/*", { "a/b" }, { "a/b/c", "a", "b" } },
	/* Any number of directories, none included. */
	{ "**/b", { "b", "a/b", "a/a/b" }, { "b/a" } },
	{ "a/**", { "a/b", "a/b/c" }, { "a", "b/a/c" } },
	{ "a/**/b", { "a/b", "a/x/b", "a/x/y/b" }, { "b", "a/b/c" } },
	{ "**", { "a", "a/b/c" }, { NULL } },
	/* Within a name it is a star. */
	{ "a**b", { "ab", "axxb", "x/ab" }, { "a/b" } },
	{ "x/a**", { "x/ab" }, { "x/ab/c" } },
	/* At the end: the directory, and all below. */
	{ "tmp/", { "tmp/", "x/tmp/", "tmp/a", "x/tmp/y/z" }, { "tmp", "x" } },
	{ "/a/b/", { "a/b/", "a/b/c" }, { "a/b", "x/a/b/c", "a/" } },
	/* Bytes of a set. */
	{ "[a-c]", { "a", "c" }, { "d", "ab" } },
	{ "[!a-c]", { "d", "-" }, { "a" } },
	{ "[^a-c]", { "d" }, { "b" } },
	{ "[]-]", { "]", "-" }, { "a" } },
	{ "[a-]", { "a", "-" }, { "b" } },
	{ "[[:digit:]_]", { "0", "9", "_" }, { "a" } },
	{ "[[:upper:][:digit:]]", { "A", "7" }, { "a" } },
	{ "[\\]]", { "]" }, { "\\" } },
	/* Escapes. */
	{ "\\*", { "*" }, { "a" } },
	{ "a\\b", { "ab" }, { "a\\b" } },
	/* Bytes, not letters: two of them are in an umlaut. */
	{ "??", { "\303\244", "ab" }, { "a", "abc" } },
	{ "*a*b*c*", { "abc", "xaxbxcx", "aabbcc" }, { "acb", "ab" } },
};

static void test_what_matches(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (int n = 0; n < 4 && cases[i].yes[n]; n++)
			if (!matches(cases[i].pattern, cases[i].yes[n]))
				fail_msg("%s doesn't match %s",
					 cases[i].pattern, cases[i].yes[n]);
		for (int n = 0; n < 4 && cases[i].no[n]; n++)
			if (matches(cases[i].pattern, cases[i].no[n]))
				fail_msg("%s matches %s", cases[i].pattern,
					 cases[i].no[n]);
	}
}

static const struct {
	const char *text;
	int error;
} refused[] = {
	{ "", PATTERN_E_EMPTY },	{ "/", PATTERN_E_EMPTY },
	{ "//", PATTERN_E_SLASHES },	{ "a//b", PATTERN_E_SLASHES },
	{ ".", PATTERN_E_DOTS },	{ "a/../b", PATTERN_E_DOTS },
	{ "[a", PATTERN_E_BRACKET },	{ "[]", PATTERN_E_BRACKET },
	{ "[a\\", PATTERN_E_BRACKET },	{ "[[:letter:]]", PATTERN_E_CLASS },
	{ "a\\", PATTERN_E_BACKSLASH },
};

static void test_what_is_refused(void **state)
{
	struct pattern *pattern = NULL;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		r = pattern_new(refused[i].text, strlen(refused[i].text),
				&pattern);
		if (r != refused[i].error)
			fail_msg("\"%s\": %d", refused[i].text, r);
		assert_non_null(pattern_error(r));
	}
	assert_int_equal(pattern_new("a\0b", 3, &pattern), PATTERN_E_NUL);
	assert_null(pattern);
	assert_null(pattern_free(NULL));
}

/* 63 names are the most; the last of them is matched at its depth alone. */
static void test_as_many_names_as_may_be(void **state)
{
	char text[2 * PATTERN_NAMES_MAX + 3] = "";
	struct pattern *pattern = NULL;

	for (int i = 0; i < PATTERN_NAMES_MAX; i++)
		strcat(text, "/a");
	assert_true(matches(text, text + 1));
	assert_false(matches(text, text + 3));
	strcat(text, "/a");
	assert_int_equal(pattern_new(text, strlen(text), &pattern),
			 PATTERN_E_NAMES);
}

/* Where nothing can match any more it costs nothing. */
static void test_states(void **state)
{
	struct pattern *pattern = pattern_of("/a/*/c");

	assert_int_equal(state_in(pattern, "a/b/x"), 4);
	assert_int_equal(state_in(pattern, "b/x"), 0);
	assert_int_equal(state_in(pattern, "a/b/c/x"), 0);
	pattern_free(pattern);

	/* Below "tmp/" all is the same. */
	pattern = pattern_of("tmp/");
	assert_int_equal(state_in(pattern, "tmp/x"),
			 state_in(pattern, "tmp/a/b/x"));
	pattern_free(pattern);

	/* And so it is everywhere, for a pattern without a slash. */
	pattern = pattern_of("*.so");
	assert_int_equal(state_in(pattern, "a/b/x"), pattern_start(pattern));
	pattern_free(pattern);
}

/*
 * 100 stars, and a name of 255 bytes that all but matches: a matcher that
 * tries all ways to share them out would not end.
 */
static void test_a_bomb(void **state)
{
	char text[256] = "";
	char name[256];
	struct pattern *pattern;

	for (int i = 0; i < 100; i++)
		strcat(text, "a*");
	strcat(text, "b");
	memset(name, 'a', sizeof(name) - 1);
	name[255] = '\0';
	pattern = pattern_of(text);
	unit_watchdog(10);
	for (int i = 0; i < 1000; i++)
		assert_false(pattern_match(pattern, pattern_start(pattern),
					   name, false));
	unit_watchdog(0);
	name[254] = 'b';
	assert_true(
		pattern_match(pattern, pattern_start(pattern), name, false));
	pattern_free(pattern);
}

/* A million characters at random: sanitizers look on. */
static void test_noise(void **state)
{
	static const char bytes[] = "ab*?[]!^-\\/:.\"\303";
	unsigned int good = 0, hits = 0;
	struct pattern *pattern;
	uint32_t seed = 1;
	char text[12];
	size_t len;

	for (int i = 0; i < UNIT_ROUNDS(100000); i++) {
		len = unit_random(&seed) % sizeof(text);
		for (size_t n = 0; n < len; n++)
			text[n] =
				bytes[unit_random(&seed) % (sizeof(bytes) - 1)];
		if (pattern_new(text, len, &pattern))
			continue;
		good++;
		hits += pattern_match(
			pattern,
			pattern_enter(pattern, pattern_start(pattern), "a"),
			"b", i % 2);
		pattern_free(pattern);
	}
	assert_true(good > (unsigned int)UNIT_ROUNDS(10000));
	assert_true(hits > (unsigned int)UNIT_ROUNDS(100));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_matches),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_as_many_names_as_may_be),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_a_bomb),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
