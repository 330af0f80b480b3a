/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file of rules, parsed: lines of a pattern and what is to hold for the
 * files that it matches. The syntax is that of gitattributes(5), less macros;
 * see memcgfs-rules(5). A file is accepted whole or refused whole, and what
 * was accepted never changes: it is shared by all who match against it.
 */
#ifndef MEMCGFS_RULES_H
#define MEMCGFS_RULES_H

#include "pattern.h"
#include "policy.h"

#define RULES_FILE_MAX (64 * 1024) /* bytes */

/* What a line can say; bits of masks are 1 << these. */
enum rules_attribute {
	RULES_MEMCG,
	RULES_IO,
	RULES_AHEAD,
	RULES_PIN,
	RULES_ON_ERROR,
	RULES_SCAN,
	RULES_SCANNERS,
	RULES_ATTRIBUTES,
};

#define RULES_ALL ((1u << RULES_ATTRIBUTES) - 1)

struct rules_line {
	struct pattern *pattern;
	unsigned int number; /* in the file, from 1 */
	unsigned int says; /* attributes that are decided here, */
	unsigned int unsays; /* of those: by being left to the mount ("!") */
	const char *memcg; /* the values; a path, "@opener" or "@mount" */
	enum policy_io io;
	uint64_t ahead_bytes;
	bool pin;
	enum policy_on_error on_error;
	enum policy_scan scan;
	const char *scanners;
};

struct rules;

struct rules_error {
	unsigned int line;
	unsigned int column; /* in bytes, from 1 */
	char text[256]; /* quotes the input, says what is allowed */
};

#define RULES_E_INVALID 1

/*
 * Parses @size bytes. @name is how the file is called in reports. Returns 0,
 * -ENOMEM, or RULES_E_INVALID with the first error told.
 */
int rules_parse(const char *name, const char *text, size_t size,
		struct rules **out, struct rules_error *error);

/* Counted references; thread-safe. */
struct rules *rules_ref(struct rules *rules);
struct rules *rules_unref(struct rules *rules);

const char *rules_name(const struct rules *rules);

/* The lines that say anything, in the file's order. */
size_t rules_count(const struct rules *rules);
const struct rules_line *rules_line(const struct rules *rules, size_t index);

/* Calls @fn for each memcg= of the file until it returns other than 0. */
int rules_each_target(const struct rules *rules,
		      int (*fn)(const char *target, unsigned int line,
				void *userdata),
		      void *userdata);

/* An attribute's name, how it is written, and what it means. */
struct rules_attribute_info {
	const char *name;
	const char *form;
	const char *help;
};

const struct rules_attribute_info *
rules_attribute_info(enum rules_attribute attribute);

#endif
