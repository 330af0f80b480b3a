// SPDX-License-Identifier: GPL-2.0-or-later
/* A file of rules, parsed; see rules.h. */
#include "rules.h"

#include "scanlist.h"
#include "util.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define BLANK " \t\r\n"
#define SHOWN_MAX 60 /* bytes of the input that a message quotes */

struct rules {
	_Atomic unsigned int refs;
	char *name;
	size_t count;
	struct rules_line *lines;
};

struct parser {
	const char *text; /* of the file; it ends with a NUL of ours */
	struct rules *rules;
	struct rules_error *error;
	unsigned int line;
	const char *line_start;
};

static __attribute__((format(printf, 3, 4))) int
refuse(struct parser *parser, const char *at, const char *fmt, ...)
{
	va_list ap;

	parser->error->line = parser->line;
	parser->error->column = (unsigned int)(at - parser->line_start) + 1;
	va_start(ap, fmt);
	vsnprintf(parser->error->text, sizeof(parser->error->text), fmt, ap);
	va_end(ap);
	return RULES_E_INVALID;
}

/* A word of the line. */
struct word {
	const char *text;
	size_t len;
};

static int shown(const struct word *word)
{
	return word->len < SHOWN_MAX ? (int)word->len : SHOWN_MAX;
}

#define SHOW(word) shown(word), (word)->text

static bool word_is(const struct word *word, const char *text)
{
	return word->len == strlen(text) &&
	       memcmp(word->text, text, word->len) == 0;
}

/* -- values -- */

static int parse_memcg(struct parser *parser, struct rules_line *line,
		       const struct word *value)
{
	if (word_is(value, "@shared"))
		return refuse(parser, value->text,
			      "\"memcg=@shared\" is not built yet; "
			      "allowed are a cgroup's path, @opener and "
			      "@mount");
	if (value->text[0] != '/' && !word_is(value, "@opener") &&
	    !word_is(value, "@mount"))
		return refuse(parser, value->text,
			      "\"memcg=%.*s\": allowed are a cgroup's path "
			      "(it begins with a slash), @opener and @mount",
			      SHOW(value));
	line->memcg = strndup(value->text, value->len);
	return line->memcg ? 0 : -ENOMEM;
}

static int parse_io(struct parser *parser, struct rules_line *line,
		    const struct word *value)
{
	if (word_is(value, "auto"))
		line->io = POLICY_IO_AUTO;
	else if (word_is(value, "strict"))
		line->io = POLICY_IO_STRICT;
	else
		return refuse(parser, value->text,
			      word_is(value, "cached") ?
				      "\"io=%.*s\" is of a whole mount: "
				      "allowed are auto, strict" :
				      "\"io=%.*s\": allowed are auto, strict",
			      SHOW(value));
	return 0;
}

static int parse_ahead(struct parser *parser, struct rules_line *line,
		       const struct word *value)
{
	char text[32] = "";

	if (value->len < sizeof(text))
		memcpy(text, value->text, value->len);
	if (parse_size(text, &line->ahead_bytes) == 0)
		return 0;
	return refuse(parser, value->text,
		      "\"ahead=%.*s\": a size is needed, in bytes or with "
		      "one of K, M, G, T",
		      SHOW(value));
}

static int parse_on_error(struct parser *parser, struct rules_line *line,
			  const struct word *value)
{
	if (word_is(value, "deny"))
		line->on_error = POLICY_DENY;
	else if (word_is(value, "opener"))
		line->on_error = POLICY_OPENER;
	else
		return refuse(parser, value->text,
			      "\"on_error=%.*s\": allowed are deny, opener",
			      SHOW(value));
	return 0;
}

static int parse_scanners(struct parser *parser, struct rules_line *line,
			  const struct word *value)
{
	line->scanners = strndup(value->text, value->len);
	if (!line->scanners)
		return -ENOMEM;
	if (scanlist_is_valid(line->scanners))
		return 0;
	return refuse(parser, value->text,
		      "\"scanners=%.*s\": " SCANLIST_ALLOWED, SHOW(value));
}

static void set_pin(struct rules_line *line, bool is_on)
{
	line->pin = is_on;
}

static void set_scan(struct rules_line *line, bool is_on)
{
	line->scan = is_on ? POLICY_SCAN_ALWAYS : POLICY_SCAN_AUTO;
}

static void set_noscan(struct rules_line *line, bool is_on)
{
	line->scan = is_on ? POLICY_SCAN_NEVER : POLICY_SCAN_AUTO;
}

/* One table drives parsing, messages and the manual. */
static const struct attribute {
	struct rules_attribute_info info;
	/* NULL: it has no value, and may be set ("pin") and unset ("-pin"). */
	int (*parse)(struct parser *parser, struct rules_line *line,
		     const struct word *value);
	void (*set)(struct rules_line *line, bool is_on);
	/* Its opposite has a name, too; or NULL. */
	const char *opposite;
	void (*set_opposite)(struct rules_line *line, bool is_on);
} attributes[RULES_ATTRIBUTES] = {
	[RULES_MEMCG] = {
		{ "memcg", "memcg=PATH|@opener|@mount",
		  "the cgroup that pays; @opener: the kernel's first touch; "
		  "@mount: the one that the mount names" },
		parse_memcg,
	},
	[RULES_IO] = {
		{ "io", "io=auto|strict",
		  "passthrough where ownership is safe, or never" },
		parse_io,
	},
	[RULES_AHEAD] = {
		{ "ahead", "ahead=SIZE",
		  "the largest file that is charged whole at open" },
		parse_ahead,
	},
	[RULES_PIN] = {
		{ "pin", "pin",
		  "kept resident from the first open on, within pin_max=" },
		.set = set_pin,
	},
	[RULES_ON_ERROR] = {
		{ "on_error", "on_error=deny|opener",
		  "when the cgroup can't be used: fail opens, or fall back to "
		  "first touch" },
		parse_on_error,
	},
	[RULES_SCAN] = {
		{ "scan", "scan, noscan",
		  "read by everybody as a scanner reads, or by nobody" },
		.set = set_scan,
		.opposite = "noscan",
		.set_opposite = set_noscan,
	},
	[RULES_SCANNERS] = {
		{ "scanners", "scanners=WHO[:WHO...]",
		  "who is a scanner anyway: a command's name, cgroup:PATH, "
		  "uid:N" },
		parse_scanners,
	},
};

const struct rules_attribute_info *
rules_attribute_info(enum rules_attribute attribute)
{
	return &attributes[attribute].info;
}

/* -- attributes -- */

static int refuse_unknown(struct parser *parser, const struct word *name)
{
	return refuse(parser, name->text,
		      "unknown attribute \"%.*s\": allowed are memcg=, io=, "
		      "ahead=, pin, on_error=, scan, noscan, scanners=",
		      SHOW(name));
}

static bool is_opposite(const struct attribute *attribute,
			const struct word *name)
{
	return attribute->opposite && word_is(name, attribute->opposite);
}

static int find_attribute(const struct word *name)
{
	for (int i = 0; i < RULES_ATTRIBUTES; i++)
		if (word_is(name, attributes[i].info.name) ||
		    is_opposite(&attributes[i], name))
			return i;
	return -1;
}

/* Of one that has no value. */
static int switch_attribute(struct parser *parser, struct rules_line *line,
			    const struct attribute *attribute, bool is_on,
			    const struct word *name, const struct word *value)
{
	if (is_opposite(attribute, name))
		attribute->set_opposite(line, is_on);
	else
		attribute->set(line, is_on);
	return value->len ? refuse(parser, value->text,
				   "\"%.*s\" takes no value", SHOW(name)) :
			    0;
}

static int set_attribute(struct parser *parser, struct rules_line *line,
			 int index, char prefix, const struct word *name,
			 const struct word *value)
{
	const struct attribute *attribute = &attributes[index];
	const struct rules_attribute_info *info = &attribute->info;

	if (line->says & 1u << index)
		return refuse(parser, value->text, "\"%s\" is said twice",
			      info->name);
	line->says |= 1u << index;
	if (prefix == '!')
		line->unsays |= 1u << index;
	if (prefix && value->len)
		return refuse(parser, value->text, "\"%c%s\" takes no value",
			      prefix, info->name);
	if (prefix == '!')
		return 0;
	if (!attribute->parse)
		return switch_attribute(parser, line, attribute, prefix != '-',
					name, value);
	if (prefix || !value->len)
		return refuse(parser, value->text,
			      "\"%s\" needs a value, as in \"%s\"", info->name,
			      info->form);
	return attribute->parse(parser, line, value);
}

static int parse_attribute(struct parser *parser, struct rules_line *line,
			   const struct word *word)
{
	char prefix = word->text[0] == '-' || word->text[0] == '!' ?
			      word->text[0] :
			      '\0';
	struct word name = {
		.text = word->text + !!prefix,
		.len = word->len - !!prefix,
	};
	const char *equals = memchr(name.text, '=', name.len);
	struct word value = { .text = name.text };
	int index;

	if (equals) {
		value.text = equals + 1;
		value.len = (size_t)(name.text + name.len - value.text);
		name.len = (size_t)(equals - name.text);
		if (!value.len)
			return refuse(parser, word->text,
				      "\"%.*s\": a value is needed",
				      SHOW(word));
	}
	index = find_attribute(&name);
	if (index < 0)
		return refuse_unknown(parser, &name);
	return set_attribute(parser, line, index, prefix, &name, &value);
}

/* -- patterns -- */

static int octal(const char *digits)
{
	int value = 0;

	for (int i = 0; i < 3; i++) {
		if (digits[i] < '0' || digits[i] > '7')
			return -1;
		value = value * 8 + digits[i] - '0';
	}
	return value < 256 ? value : -1;
}

/* The byte that an escape of C stands for, and how long that is; or -1. */
static int unescape(const char *at, size_t *len)
{
	static const char names[] = "abfnrtv\\\"";
	static const char bytes[] = "\a\b\f\n\r\t\v\\\"";
	const char *found = *at ? strchr(names, *at) : NULL;

	*len = found ? 1 : 3;
	return found ? bytes[found - names] : octal(at);
}

/* A pattern in double quotes, as C has them: what it stands for. */
static int unquote(struct parser *parser, const char **at, char **out,
		   size_t *out_len)
{
	const char *from = *at + 1;
	cleanup_free char *text = malloc(strcspn(from, "\n") + 1);
	size_t len = 0, escape;
	int c;

	if (!text)
		return -ENOMEM;
	while (*from != '"') {
		c = (unsigned char)*from;
		escape = 0;
		if (!c || c == '\n')
			return refuse(parser, *at,
				      "the pattern's closing quote is missing");
		if (c == '\\')
			c = unescape(++from, &escape);
		if (c <= 0)
			return refuse(parser, from - 1,
				      "an unknown escape within quotes");
		text[len++] = (char)c;
		from += escape ? escape : 1;
	}
	*at = from + 1;
	*out_len = len;
	*out = steal_ptr(&text);
	return 0;
}

static int take_pattern(struct parser *parser, const char **at, char **text,
			size_t *len)
{
	const char *start = *at;
	int r = 0;

	if (*start == '"') {
		r = unquote(parser, at, text, len);
		if (r == 0 && !strchr(BLANK, **at))
			r = refuse(parser, *at,
				   "a blank is needed behind the quotes");
		return r;
	}
	*len = strcspn(start, BLANK);
	*at += *len;
	*text = strndup(start, *len);
	return *text ? 0 : -ENOMEM;
}

static int parse_pattern(struct parser *parser, const char **at,
			 struct pattern **out)
{
	const char *start = *at;
	cleanup_free char *text = NULL;
	struct word word;
	size_t len = 0;
	int r;

	r = take_pattern(parser, at, &text, &len);
	if (r)
		return r;
	if (len >= 6 && memcmp(text, "[attr]", 6) == 0)
		return refuse(parser, start,
			      "macros (\"[attr]\") are not supported");
	word = (struct word){ .text = text, .len = len };
	if (len && text[0] == '!')
		return refuse(parser, start,
			      "negative patterns (\"%.*s\") are not "
			      "supported; a literal \"!\" is written \"\\!\"",
			      SHOW(&word));
	r = pattern_new(text, len, out);
	return r > 0 ? refuse(parser, start, "pattern \"%.*s\": %s",
			      SHOW(&word), pattern_error(r)) :
		       r;
}

/* -- lines -- */

static void line_clear(struct rules_line *line)
{
	pattern_free(line->pattern);
	free((char *)line->memcg);
	free((char *)line->scanners);
	*line = (struct rules_line){ 0 };
}

static int parse_words(struct parser *parser, const char *at,
		       struct rules_line *line)
{
	struct word word;
	int r;

	r = parse_pattern(parser, &at, &line->pattern);
	while (r == 0) {
		at += strspn(at, " \t\r");
		word.text = at;
		word.len = strcspn(at, BLANK);
		if (!word.len)
			return 0;
		at += word.len;
		r = parse_attribute(parser, line, &word);
	}
	return r;
}

static int parse_line(struct parser *parser, const char *at)
{
	struct rules *rules = parser->rules;
	struct rules_line *line = &rules->lines[rules->count];
	int r;

	at += strspn(at, " \t\r");
	if (!*at || *at == '\n' || *at == '#')
		return 0;
	line->number = parser->line;
	r = parse_words(parser, at, line);
	if (r || !line->says)
		line_clear(line);
	else
		rules->count++;
	return r;
}

/* -- the file -- */

/* The length of the UTF-8 sequence there; 0: it is none (RFC 3629). */
static size_t utf8_length(const unsigned char *at)
{
	size_t len = *at < 0x80 ? 1 :
		     *at < 0xc2 ? 0 :
		     *at < 0xe0 ? 2 :
		     *at < 0xf0 ? 3 :
		     *at < 0xf5 ? 4 :
				  0;

	for (size_t i = 1; i < len; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) ||
	    (*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f))
		return 0;
	return len;
}

/* Whether it is text at all, before anything is believed of it. */
static int check_text(struct parser *parser, size_t size)
{
	const char *end = parser->text + size;
	const char *at = parser->text;
	size_t len;

	while (at < end) {
		len = utf8_length((const unsigned char *)at);
		if (!*at)
			return refuse(parser, at, "a NUL byte: no text");
		if (!len)
			return refuse(parser, at, "byte 0x%02x: no UTF-8",
				      (unsigned char)*at);
		if (*at == '\n') {
			parser->line++;
			parser->line_start = at + 1;
		}
		at += len;
	}
	return 0;
}

static int parse_lines(struct parser *parser)
{
	const char *at = parser->text;
	int r = 0;

	if (strncmp(at, "\xef\xbb\xbf", 3) == 0)
		at += 3;
	for (parser->line = 1; *at && r == 0; parser->line++) {
		parser->line_start = at;
		r = parse_line(parser, at);
		at += strcspn(at, "\n");
		at += *at == '\n';
	}
	return r;
}

static size_t count_lines(const char *text)
{
	size_t count = 1;

	for (; *text; text++)
		count += *text == '\n';
	return count;
}

static int parse_all(struct parser *parser, const char *name, size_t size)
{
	struct rules *rules = parser->rules;
	int r;

	rules->name = strdup(name);
	if (!rules->name)
		return -ENOMEM;
	r = check_text(parser, size);
	if (r)
		return r;
	rules->lines = calloc(count_lines(parser->text), sizeof(*rules->lines));
	return rules->lines ? parse_lines(parser) : -ENOMEM;
}

int rules_parse(const char *name, const char *text, size_t size,
		struct rules **out, struct rules_error *error)
{
	cleanup_free char *copy = malloc(size + 1);
	struct parser parser = {
		.text = copy,
		.error = error,
		.line = 1,
		.line_start = copy,
	};
	int r;

	parser.rules = calloc(1, sizeof(*parser.rules));
	if (!copy || !parser.rules) {
		free(parser.rules);
		return -ENOMEM;
	}
	parser.rules->refs = 1;
	if (size)
		memcpy(copy, text, size);
	copy[size] = '\0';
	r = size > RULES_FILE_MAX ? refuse(&parser, copy, "more than %d bytes",
					   RULES_FILE_MAX) :
				    parse_all(&parser, name, size);
	if (r) {
		rules_unref(parser.rules);
		return r;
	}
	*out = parser.rules;
	return 0;
}

struct rules *rules_ref(struct rules *rules)
{
	atomic_fetch_add(&rules->refs, 1);
	return rules;
}

struct rules *rules_unref(struct rules *rules)
{
	if (!rules || atomic_fetch_sub(&rules->refs, 1) > 1)
		return NULL;
	for (size_t i = 0; i < rules->count; i++)
		line_clear(&rules->lines[i]);
	free(rules->lines);
	free(rules->name);
	free(rules);
	return NULL;
}

const char *rules_name(const struct rules *rules)
{
	return rules->name;
}

size_t rules_count(const struct rules *rules)
{
	return rules->count;
}

const struct rules_line *rules_line(const struct rules *rules, size_t index)
{
	return &rules->lines[index];
}

int rules_each_target(const struct rules *rules,
		      int (*fn)(const char *target, unsigned int line,
				void *userdata),
		      void *userdata)
{
	const struct rules_line *line;
	int r = 0;

	for (size_t i = 0; i < rules->count && r == 0; i++) {
		line = &rules->lines[i];
		if (line->memcg)
			r = fn(line->memcg, line->number, userdata);
	}
	return r;
}
