/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One pattern of a rule file, matched name by name on the way down a tree.
 *
 * A pattern matches as in gitattributes(5): "*", "?" and "[...]" within a
 * name, byte by byte; "**" as a name of its own for any number of
 * directories; relative to the rule file's directory where it has a slash in
 * front or in the middle, else at any depth. One thing is other than there:
 * with a slash at its end it matches the directory and everything below it.
 *
 * The names of a pattern are the states of a nondeterministic automaton. Its
 * state in a directory is a set of positions, that is all that is known of
 * the way there: bit N says that the Nth name may match in this directory.
 * Matching takes time in proportion to the product of both lengths at most.
 */
#ifndef MEMCGFS_PATTERN_H
#define MEMCGFS_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATTERN_NAMES_MAX 63

/*
 * Why a pattern is refused: but for the first and the last of them, because
 * it could never match.
 */
enum {
	PATTERN_E_NUL = 1, /* it has a NUL byte */
	PATTERN_E_EMPTY, /* nothing is left of it */
	PATTERN_E_SLASHES, /* there is no name between two slashes */
	PATTERN_E_DOTS, /* "." or ".." */
	PATTERN_E_BRACKET, /* "[" without "]" */
	PATTERN_E_CLASS, /* "[[:what:]]" */
	PATTERN_E_BACKSLASH, /* nothing behind it */
	PATTERN_E_NAMES, /* more than PATTERN_NAMES_MAX */
};

struct pattern;

/* Returns 0, -ENOMEM, or one of the above. */
int pattern_new(const char *text, size_t len, struct pattern **out);
struct pattern *pattern_free(struct pattern *pattern);

/* One of the above, in words. */
const char *pattern_error(int r);

/* The state in the directory that the pattern is relative to. */
uint64_t pattern_start(const struct pattern *pattern);

/* The state in a directory within; 0: nothing there can match. */
uint64_t pattern_enter(const struct pattern *pattern, uint64_t state,
		       const char *dir_name);

/* Does it match that name in a directory with that state? */
bool pattern_match(const struct pattern *pattern, uint64_t state,
		   const char *name, bool is_dir);

#endif
