// SPDX-License-Identifier: GPL-2.0-or-later
/* Answers as text, for people; see show.h. */
#include "show.h"

#include <stdio.h>
#include <stdlib.h>

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

static const char *size_of(const json_t *object, const char *key, char buf[32])
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? human(json_integer_value(value), buf) :
					"unknown";
}

static void show_host(const json_t *host)
{
	char usage[32], pinned[32];

	printf("host %s: charger %s, restarts %lld, usage %s, pinned %s\n",
	       text_of(host, "host"), text_of(host, "charger"),
	       (long long)json_integer_value(json_object_get(host, "restarts")),
	       size_of(host, "usage_bytes", usage),
	       size_of(host, "pinned_bytes", pinned));
}

void show_status(const json_t *answer)
{
	const json_t *hosts = json_object_get(answer, "hosts");
	const json_t *refused = json_object_get(answer, "refused_rules");
	const json_t *counters = json_object_get(answer, "counters");
	const char *key;
	json_t *value;
	size_t i;

	printf("%s on %s, memcg=%s\n", text_of(answer, "source"),
	       text_of(answer, "mountpoint"), text_of(answer, "memcg"));
	if (json_is_string(json_object_get(answer, "why_strict")))
		printf("degraded: all reads and writes are strict: %s\n",
		       text_of(answer, "why_strict"));
	json_array_foreach((json_t *)hosts, i, value) show_host(value);
	json_array_foreach((json_t *)refused, i, value)
		printf("rules refused: %s\n", json_string_value(value));
	printf("inodes %lld\n", (long long)json_integer_value(
					json_object_get(answer, "inodes")));
	json_object_foreach((json_t *)counters, key, value)
		printf("%s %lld\n", key, (long long)json_integer_value(value));
}

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

static void show_io(const json_t *answer)
{
	char size[32], resident[32], foreign[32];

	if (!json_object_get(answer, "read"))
		return;
	printf("  read: %s, as %s\n", text_of(answer, "read"),
	       text_of(answer, "why"));
	printf("  write: %s\n", text_of(answer, "write"));
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

	printf("%s\n  target %s, host %s\n", text_of(answer, "path"),
	       text_of(answer, "target"), text_of(answer, "host"));
	json_object_foreach((json_t *)rule, key, value)
	{
		(void)value;
		show_attribute(rule, said_by, key);
	}
	show_io(answer);
}
