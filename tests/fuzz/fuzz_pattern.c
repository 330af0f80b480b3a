// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzzes the matcher of patterns, and holds it against a slow one that is
 * made of the manual's words. An input is a pattern, a NUL, and a path, which
 * is a directory if it ends with a slash.
 */
#include "fuzz.h"

#include "pattern.h"

#include <fnmatch.h>

#define NAMES_MAX 64
#define TEXT_MAX 60 /* what the slow one can do in time */
#define STARS_MAX 6

/* A path, or a pattern, cut into names. */
struct names {
	size_t count;
	const char *name[NAMES_MAX];
};

/* False: there are too many. Empty names are left out. */
static bool cut(char *text, struct names *names)
{
	char *rest = text;
	char *name;

	names->count = 0;
	while ((name = strsep(&rest, "/"))) {
		if (!*name)
			continue;
		if (names->count == NAMES_MAX)
			return false;
		names->name[names->count++] = name;
	}
	return true;
}

/* As the daemon does it: down the path, name by name. */
static bool match_fast(const struct pattern *pattern, const struct names *path,
		       bool is_dir)
{
	uint64_t state = pattern_start(pattern);

	for (size_t i = 0; i + 1 < path->count; i++)
		state = pattern_enter(pattern, state, path->name[i]);
	return pattern_match(pattern, state, path->name[path->count - 1],
			     is_dir);
}

/* -- the slow one -- */

struct slow {
	struct names pattern;
	bool must_be_dir; /* it ends with a slash */
	bool is_path; /* it has another slash */
	const struct names *path;
	bool is_dir;
};

static bool is_deep(const struct slow *slow, size_t index)
{
	const char *name = slow->pattern.name[index];

	return slow->is_path && strspn(name, "*") == strlen(name) &&
	       strlen(name) > 1;
}

/* What is left of the path, where the pattern's last name is to match. */
static bool ends_well(const struct slow *slow, size_t at)
{
	if (at + 1 < slow->path->count)
		return slow->must_be_dir; /* below a directory that matches */
	return !slow->must_be_dir || slow->is_dir;
}

static bool match_slow(const struct slow *slow, size_t index, size_t at)
{
	bool is_last = index + 1 == slow->pattern.count;

	if (at == slow->path->count)
		return false;
	if (is_deep(slow, index) && is_last)
		return !slow->must_be_dir || at + 1 < slow->path->count ||
		       slow->is_dir;
	if (is_deep(slow, index))
		return match_slow(slow, index + 1, at) ||
		       match_slow(slow, index, at + 1);
	if (fnmatch(slow->pattern.name[index], slow->path->name[at], 0) != 0)
		return false;
	return is_last ? ends_well(slow, at) :
			 match_slow(slow, index + 1, at + 1);
}

/* fnmatch(3) has ideas of its own about what these mean. */
static bool is_plain(const char *text)
{
	size_t stars = 0;

	for (const char *at = text; *at; at++)
		stars += *at == '*';
	return strlen(text) < TEXT_MAX && stars <= STARS_MAX &&
	       !strpbrk(text, "\\[");
}

static void compare(const char *text, const struct names *path, bool is_dir,
		    bool found)
{
	char *copy = fuzz_text((const uint8_t *)text, strlen(text));
	size_t len = strlen(copy);
	struct slow slow = { .path = path, .is_dir = is_dir };
	bool expected = false;

	slow.must_be_dir = copy[len - 1] == '/';
	if (slow.must_be_dir)
		copy[len - 1] = '\0';
	slow.is_path = strchr(copy, '/');
	must(cut(copy, &slow.pattern));
	if (slow.is_path)
		expected = match_slow(&slow, 0, 0);
	for (size_t at = 0; !slow.is_path && at < path->count; at++)
		expected |= match_slow(&slow, 0, at);
	must(expected == found);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *rest;
	char *text = fuzz_two_texts(data, size, &rest);
	char *path_text = fuzz_text((const uint8_t *)rest, strlen(rest));
	bool is_dir = *rest && rest[strlen(rest) - 1] == '/';
	struct pattern *pattern = NULL;
	struct names path;
	bool found;
	int r;

	r = pattern_new(text, strlen(text), &pattern);
	if (r > 0)
		must(*pattern_error(r));
	if (r == 0 && cut(path_text, &path) && path.count) {
		found = match_fast(pattern, &path, is_dir);
		if (is_plain(text) && strlen(rest) < TEXT_MAX)
			compare(text, &path, is_dir, found);
	}
	pattern_free(pattern);
	free(path_text);
	free(text);
	return 0;
}
