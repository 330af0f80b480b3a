// SPDX-License-Identifier: GPL-2.0-or-later
/* Answers as text, for people; see show.h. */
#include "show.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Control characters; those from U+0080 to U+009F are c2 80 to c2 9f. */
static bool is_control(const char *c)
{
	unsigned char first = (unsigned char)c[0];
	unsigned char second = first ? (unsigned char)c[1] : 0;

	return first < 0x20 || first == 0x7f ||
	       (first == 0xc2 && second >= 0x80 && second < 0xa0);
}

static void make_string_safe(json_t *value)
{
	char *text = strdup(json_string_value(value));

	for (char *c = text; c && *c; c++) {
		if (!is_control(c))
			continue;
		if ((unsigned char)*c == 0xc2)
			*c++ = '?';
		*c = '?';
	}
	json_string_set(value, text ? text : "");
	free(text);
}

void show_make_safe(json_t *value)
{
	const char *key;
	json_t *part;
	size_t i;

	if (json_is_string(value))
		make_string_safe(value);
	json_array_foreach(value, i, part) show_make_safe(part);
	json_object_foreach(value, key, part) show_make_safe(part);
}

/* Bytes in the largest unit that leaves a whole part: "1.5M". */
static const char *human(json_int_t bytes, char buf[32])
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes;
	int unit = -1;

	while (value >= 1024 && unit < 5) {
		value /= 1024;
		unit++;
	}
	if (unit < 0)
		snprintf(buf, 32, "%lld", (long long)bytes);
	else
		snprintf(buf, 32, value < 10 ? "%.1f%c" : "%.0f%c", value,
			 units[unit]);
	return buf;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "none";
}

static long long number_of(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

static const char *size_of(const json_t *object, const char *key, char buf[32])
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? human(json_integer_value(value), buf) :
					"unknown";
}

/* -- status -- */

static void show_degraded(const json_t *degraded)
{
	json_t *value;
	size_t i;

	if (!json_array_size(degraded))
		printf("degraded: no\n");
	json_array_foreach((json_t *)degraded, i, value)
		printf("degraded: %s\n", json_string_value(value));
}

static void show_paths(const json_t *answer)
{
	const json_t *counters = json_object_get(answer, "counters");

	printf("paths: io=%s, %s passthrough\n", text_of(answer, "io"),
	       json_is_true(json_object_get(answer, "passthrough")) ? "with" :
								      "no");
	printf("opens: %lld passthrough, %lld strict, %lld first touch, "
	       "%lld refused\n",
	       number_of(counters, "opens_passthrough"),
	       number_of(counters, "opens_strict"),
	       number_of(counters, "opens_first_touch"),
	       number_of(counters, "opens_refused"));
}

static void show_host(const json_t *host)
{
	char usage[32], pinned[32];

	printf("host %s of target %s: charger %s, restarts %lld, usage %s, "
	       "pinned %s\n",
	       text_of(host, "host"), text_of(host, "target"),
	       text_of(host, "charger"), number_of(host, "restarts"),
	       size_of(host, "usage_bytes", usage),
	       size_of(host, "pinned_bytes", pinned));
}

/* Those that aren't named are another user's, or too many. */
static void show_refused(const json_t *answer)
{
	const json_t *refused = json_object_get(answer, "refused_rules");
	long long more = number_of(answer, "rules_refused") -
			 (long long)json_array_size(refused);
	json_t *value;
	size_t i;

	json_array_foreach((json_t *)refused, i, value)
		printf("rules refused: %s\n", json_string_value(value));
	if (more > 0)
		printf("rules refused: %lld more\n", more);
}

void show_status(const json_t *answer)
{
	const json_t *hosts = json_object_get(answer, "hosts");
	const json_t *counters = json_object_get(answer, "counters");
	const char *key;
	json_t *value;
	size_t i;

	printf("%s on %s, memcg=%s, pid %lld\n", text_of(answer, "source"),
	       text_of(answer, "mountpoint"), text_of(answer, "memcg"),
	       number_of(answer, "pid"));
	show_degraded(json_object_get(answer, "degraded"));
	show_paths(answer);
	json_array_foreach((json_t *)hosts, i, value) show_host(value);
	show_refused(answer);
	printf("inodes: %lld\n", number_of(answer, "inodes"));
	json_object_foreach((json_t *)counters, key, value)
		printf("%s: %lld\n", key, (long long)json_integer_value(value));
}

/* -- explain -- */

static void show_attribute(const json_t *rule, const json_t *said_by,
			   const char *key)
{
	const json_t *value = json_object_get(rule, key);
	char *text = json_dumps(value, JSON_ENCODE_ANY);

	printf("  %s=%s (%s)\n", key,
	       json_is_string(value) ? json_string_value(value) : text,
	       text_of(said_by, key));
	free(text);
}

static void show_path(const json_t *answer, const char *key)
{
	const json_t *path = json_object_get(answer, key);

	printf("  %s: %s, as %s\n", key, text_of(path, "path"),
	       text_of(path, "why"));
}

static void show_file(const json_t *answer)
{
	char size[32], resident[32], foreign[32];

	show_path(answer, "read");
	show_path(answer, "write");
	printf("  size %s, resident %s, foreign %s%s%s\n",
	       size_of(answer, "size_bytes", size),
	       size_of(answer, "resident_bytes", resident),
	       size_of(answer, "foreign_bytes", foreign),
	       json_is_true(json_object_get(answer, "pinned")) ? ", pinned" :
								 "",
	       json_is_true(json_object_get(answer, "open")) ? ", open" : "");
}

void show_explain(const json_t *answer)
{
	const json_t *rule = json_object_get(answer, "rule");
	const json_t *said_by = json_object_get(answer, "said_by");
	const char *key;
	json_t *value;

	printf("%s\n  target %s, host %s, charger %s\n",
	       text_of(answer, "asked"), text_of(answer, "target"),
	       text_of(answer, "host"), text_of(answer, "charger"));
	json_object_foreach((json_t *)rule, key, value)
	{
		(void)value;
		show_attribute(rule, said_by, key);
	}
	if (json_object_get(answer, "read"))
		show_file(answer);
}
