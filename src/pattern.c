// SPDX-License-Identifier: GPL-2.0-or-later
/* One pattern of a rule file; see pattern.h. */
#include "pattern.h"

#include "util.h"

#include <string.h>

/* An operator: a byte that stands for itself, or one of these. */
enum {
	OP_ANY = 256, /* one byte */
	OP_STAR, /* any bytes */
	OP_SET, /* from here on: one byte of set [op - OP_SET] */
};

/* Bytes, a bit for each. */
struct set {
	uint64_t bits[4];
};

/* What one name has to match: some of the pattern's operators. */
struct glob {
	uint32_t start;
	uint32_t count;
};

struct pattern {
	bool must_be_dir; /* a slash at the end */
	unsigned int name_count;
	uint64_t deep; /* bit N: the Nth name is "**" */
	struct glob *names;
	uint32_t *ops;
	struct set *sets;
};

/* The state in which everything matches, at any depth. */
#define STATE_ALL (1ull << PATTERN_NAMES_MAX)

/* -- sets of bytes -- */

static void set_add(struct set *set, unsigned char c)
{
	set->bits[c / 64] |= 1ull << c % 64;
}

static bool set_has(const struct set *set, unsigned char c)
{
	return set->bits[c / 64] >> c % 64 & 1;
}

static void set_add_range(struct set *set, unsigned int from, unsigned int to)
{
	for (unsigned int c = from; c <= to; c++)
		set_add(set, (unsigned char)c);
}

/* Names are never longer than this: neither NUL nor slash is in any. */
static void set_negate(struct set *set)
{
	for (size_t i = 0; i < ARRAY_SIZE(set->bits); i++)
		set->bits[i] = ~set->bits[i];
}

/* As git has them, whatever the locale: ASCII, and its own idea of space. */
static const struct {
	const char *name;
	const char *ranges; /* pairs of the first and the last */
} classes[] = {
	{ "alnum", "09AZaz" },	 { "alpha", "AZaz" },
	{ "blank", "  \t\t" },	 { "cntrl", "\001\037\177\177" },
	{ "digit", "09" },	 { "graph", "!~" },
	{ "lower", "az" },	 { "print", " ~" },
	{ "punct", "!/:@[`{~" }, { "space", "  \t\n\r\r" },
	{ "upper", "AZ" },	 { "xdigit", "09AFaf" },
};

static bool set_add_class(struct set *set, const char *name, size_t len)
{
	const char *range;

	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		if (strlen(classes[i].name) != len ||
		    memcmp(classes[i].name, name, len) != 0)
			continue;
		for (range = classes[i].ranges; *range; range += 2)
			set_add_range(set, (unsigned char)range[0],
				      (unsigned char)range[1]);
		return true;
	}
	return false;
}

/* -- reading a pattern -- */

struct reader {
	struct pattern *pattern;
	const char *text;
	size_t len;
	size_t at;
	bool is_path; /* slashes separate names */
	uint32_t op_count;
	uint32_t set_count;
};

/* The byte that is so far ahead; 0: the end is nearer. */
static unsigned char peek(const struct reader *reader, size_t ahead)
{
	return reader->len - reader->at > ahead ?
		       (unsigned char)reader->text[reader->at + ahead] :
		       0;
}

static bool peek_slash(const struct reader *reader)
{
	return peek(reader, 0) == '/' ||
	       (peek(reader, 0) == '\\' && peek(reader, 1) == '/');
}

static void add_op(struct reader *reader, uint32_t op)
{
	struct pattern *pattern = reader->pattern;

	pattern->ops[reader->op_count++] = op;
	pattern->names[pattern->name_count].count++;
}

/*
 * "[:name:]", with the reader at its "[". What only begins like one is the
 * byte "[".
 */
static int read_class(struct reader *reader, struct set *set,
		      unsigned char *last)
{
	const char *name = reader->text + reader->at + 2;
	const char *end = memchr(name, ']', reader->len - reader->at - 2);

	if (!end)
		return PATTERN_E_BRACKET;
	if (end == name || end[-1] != ':') {
		set_add(set, '[');
		*last = '[';
		reader->at++;
		return 0;
	}
	if (!set_add_class(set, name, (size_t)(end - 1 - name)))
		return PATTERN_E_CLASS;
	*last = 0;
	reader->at = (size_t)(end + 1 - reader->text);
	return 0;
}

/* One byte of a set, which may be escaped. */
static int read_member(struct reader *reader, unsigned char *c)
{
	if (peek(reader, 0) == '\\')
		reader->at++;
	*c = peek(reader, 0);
	if (!*c)
		return PATTERN_E_BRACKET;
	reader->at++;
	return 0;
}

/* A byte, a class, or the end of a range that begins with @last. */
static int read_members(struct reader *reader, struct set *set,
			unsigned char *last)
{
	unsigned char c = peek(reader, 0), next = peek(reader, 1);
	int r;

	if (c == '[' && next == ':')
		return read_class(reader, set, last);
	if (c == '-' && *last && next && next != ']') {
		reader->at++;
		r = read_member(reader, &c);
		if (r)
			return r;
		set_add_range(set, *last, c);
		*last = 0;
		return 0;
	}
	r = read_member(reader, last);
	if (r == 0)
		set_add(set, *last);
	return r;
}

static int read_set(struct reader *reader)
{
	struct set *set = &reader->pattern->sets[reader->set_count];
	unsigned char last = 0;
	bool negated;
	int r;

	reader->at++;
	negated = peek(reader, 0) == '!' || peek(reader, 0) == '^';
	reader->at += negated;
	/* A "]" in front is one of the bytes. */
	do {
		r = read_members(reader, set, &last);
		if (r)
			return r;
	} while (peek(reader, 0) != ']');
	reader->at++;
	if (negated)
		set_negate(set);
	add_op(reader, OP_SET + reader->set_count++);
	return 0;
}

static bool is_dots(const struct reader *reader, const struct glob *name)
{
	const uint32_t *ops = reader->pattern->ops + name->start;

	return (name->count == 1 && ops[0] == '.') ||
	       (name->count == 2 && ops[0] == '.' && ops[1] == '.');
}

static bool is_deep(const struct pattern *pattern, unsigned int index)
{
	return pattern->deep >> index & 1;
}

/* The name that was read so far is complete; the next one begins. */
static int end_name(struct reader *reader)
{
	struct pattern *pattern = reader->pattern;
	struct glob *name = &pattern->names[pattern->name_count];

	if (!name->count && !is_deep(pattern, pattern->name_count))
		return PATTERN_E_SLASHES;
	if (is_dots(reader, name))
		return PATTERN_E_DOTS;
	if (++pattern->name_count > PATTERN_NAMES_MAX)
		return PATTERN_E_NAMES;
	name[1] = (struct glob){ .start = reader->op_count };
	return 0;
}

static int read_stars(struct reader *reader)
{
	struct pattern *pattern = reader->pattern;
	struct glob *name = &pattern->names[pattern->name_count];
	size_t start = reader->at;
	bool is_first = !name->count;
	int r;

	while (peek(reader, 0) == '*')
		reader->at++;
	if (!reader->is_path || !is_first || reader->at - start < 2 ||
	    (peek(reader, 0) && !peek_slash(reader))) {
		if (is_first || pattern->ops[reader->op_count - 1] != OP_STAR)
			add_op(reader, OP_STAR);
		return 0;
	}
	/* To git, an escaped slash behind it means one directory or more. */
	if (peek(reader, 0) == '\\') {
		add_op(reader, OP_STAR);
		r = end_name(reader);
		if (r)
			return r;
	}
	pattern->deep |= 1ull << pattern->name_count;
	return 0;
}

static int read_escape(struct reader *reader)
{
	unsigned char c = peek(reader, 1);

	if (!c)
		return PATTERN_E_BACKSLASH;
	reader->at += 2;
	if (c == '/')
		return end_name(reader);
	add_op(reader, c);
	return 0;
}

static int read_one(struct reader *reader)
{
	unsigned char c = peek(reader, 0);

	switch (c) {
	case '[':
		return read_set(reader);
	case '*':
		return read_stars(reader);
	case '\\':
		return read_escape(reader);
	}
	reader->at++;
	if (c == '/')
		return end_name(reader);
	add_op(reader, c == '?' ? OP_ANY : c);
	return 0;
}

static int read_pattern(struct reader *reader)
{
	struct pattern *pattern = reader->pattern;
	int r;

	reader->is_path = memchr(reader->text, '/', reader->len);
	if (reader->is_path)
		reader->at += reader->text[0] == '/';
	else
		pattern->deep = 1;
	if (!reader->is_path)
		end_name(reader);
	while (reader->at < reader->len) {
		r = read_one(reader);
		if (r)
			return r;
	}
	return end_name(reader);
}

static size_t count_bytes(const char *text, size_t len, char c)
{
	size_t count = 0;

	for (size_t i = 0; i < len; i++)
		count += text[i] == c;
	return count;
}

/* Room for what is read, and for one name more, as there is a next one. */
static struct pattern *pattern_alloc(const char *text, size_t len)
{
	struct pattern *pattern = calloc(1, sizeof(*pattern));

	if (!pattern)
		return NULL;
	pattern->names = calloc(PATTERN_NAMES_MAX + 2, sizeof(struct glob));
	pattern->ops = calloc(len + 1, sizeof(uint32_t));
	pattern->sets =
		calloc(count_bytes(text, len, '[') + 1, sizeof(struct set));
	if (pattern->names && pattern->ops && pattern->sets)
		return pattern;
	return pattern_free(pattern);
}

int pattern_new(const char *text, size_t len, struct pattern **out)
{
	bool must_be_dir = len && text[len - 1] == '/';
	struct reader reader = { .text = text, .len = len - must_be_dir };
	int r;

	if (!reader.len)
		return PATTERN_E_EMPTY;
	if (memchr(text, '\0', len))
		return PATTERN_E_NUL;
	reader.pattern = pattern_alloc(text, len);
	if (!reader.pattern)
		return -ENOMEM;
	reader.pattern->must_be_dir = must_be_dir;
	r = read_pattern(&reader);
	if (r) {
		pattern_free(reader.pattern);
		return r;
	}
	*out = reader.pattern;
	return 0;
}

struct pattern *pattern_free(struct pattern *pattern)
{
	if (!pattern)
		return NULL;
	free(pattern->names);
	free(pattern->ops);
	free(pattern->sets);
	free(pattern);
	return NULL;
}

const char *pattern_error(int r)
{
	static const char *const texts[] = {
		[PATTERN_E_NUL] = "it has a NUL byte",
		[PATTERN_E_EMPTY] = "it is empty",
		[PATTERN_E_SLASHES] = "there is no name between two slashes",
		[PATTERN_E_DOTS] = "\".\" and \"..\" match nothing",
		[PATTERN_E_BRACKET] = "\"[\" without \"]\"",
		[PATTERN_E_CLASS] = "no such class of characters",
		[PATTERN_E_BACKSLASH] = "nothing follows the backslash",
		[PATTERN_E_NAMES] = "it has more than 63 names",
	};

	return texts[r];
}

/* -- matching -- */

static bool op_matches(const struct pattern *pattern, uint32_t op,
		       unsigned char c)
{
	if (op >= OP_SET)
		return set_has(&pattern->sets[op - OP_SET], c);
	return op == OP_ANY || op == c;
}

/*
 * What a star took is given back to the last star alone: if that one can't
 * make it match, none before it can.
 */
static bool glob_matches(const struct pattern *pattern, unsigned int index,
			 const char *name)
{
	const uint32_t *op = pattern->ops + pattern->names[index].start;
	const uint32_t *end = op + pattern->names[index].count;
	const uint32_t *star = NULL;
	const char *taken = NULL;

	while (*name) {
		if (op < end && *op == OP_STAR) {
			star = ++op;
			taken = name;
		} else if (op < end &&
			   op_matches(pattern, *op, (unsigned char)*name)) {
			op++;
			name++;
		} else if (star) {
			op = star;
			name = ++taken;
		} else {
			return false;
		}
	}
	while (op < end && *op == OP_STAR)
		op++;
	return op == end;
}

/* "**" stands for no directory, too. */
static uint64_t close_state(const struct pattern *pattern, uint64_t state)
{
	for (unsigned int i = 0; i + 1 < pattern->name_count; i++)
		if (state >> i & 1 && is_deep(pattern, i))
			state |= 1ull << (i + 1);
	return state;
}

uint64_t pattern_start(const struct pattern *pattern)
{
	return close_state(pattern, 1);
}

uint64_t pattern_enter(const struct pattern *pattern, uint64_t state,
		       const char *dir_name)
{
	uint64_t next = 0;

	if (state & STATE_ALL)
		return STATE_ALL;
	for (unsigned int i = 0; i < pattern->name_count; i++) {
		bool is_last = i + 1 == pattern->name_count;

		if (!(state >> i & 1))
			continue;
		if (is_deep(pattern, i))
			next |= is_last && pattern->must_be_dir ? STATE_ALL :
								  1ull << i;
		else if ((!is_last || pattern->must_be_dir) &&
			 glob_matches(pattern, i, dir_name))
			next |= is_last ? STATE_ALL : 1ull << (i + 1);
	}
	return next & STATE_ALL ? STATE_ALL : close_state(pattern, next);
}

bool pattern_match(const struct pattern *pattern, uint64_t state,
		   const char *name, bool is_dir)
{
	unsigned int last = pattern->name_count - 1;

	if (state & STATE_ALL)
		return true;
	if (!(state >> last & 1) || (pattern->must_be_dir && !is_dir))
		return false;
	return is_deep(pattern, last) || glob_matches(pattern, last, name);
}
