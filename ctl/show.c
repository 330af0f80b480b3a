// SPDX-License-Identifier: GPL-2.0-or-later
/* Answers as text, for people; see show.h. */
#include "show.h"

#include "field.h"

#include <stdio.h>
#include <stdlib.h>

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

	printf("paths: io=%s, %s passthrough\n", field_text(answer, "io"),
	       json_is_true(json_object_get(answer, "passthrough")) ? "with" :
								      "no");
	printf("opens: %lld passthrough, %lld strict, %lld first touch, "
	       "%lld refused\n",
	       field_number(counters, "opens_passthrough"),
	       field_number(counters, "opens_strict"),
	       field_number(counters, "opens_first_touch"),
	       field_number(counters, "opens_refused"));
}

static void show_host(const json_t *host)
{
	char usage[SIZE_TEXT], hosted[SIZE_TEXT];
	char foreign[SIZE_TEXT], pinned[SIZE_TEXT];

	printf("host %s of target %s: charger %s, restarts %lld, usage %s, "
	       "hosted %s, foreign %s, pinned %s\n",
	       field_text(host, "host"), field_text(host, "target"),
	       field_text(host, "charger"), field_number(host, "restarts"),
	       field_size(host, "usage_bytes", usage),
	       field_size(host, "hosted_bytes", hosted),
	       field_size(host, "foreign_bytes", foreign),
	       field_size(host, "pinned_bytes", pinned));
}

static void show_scanner(const json_t *scanner)
{
	char bytes[SIZE_TEXT];

	printf("scanner %s, pid %lld, of %s: %lld files, %s; %s\n",
	       field_text(scanner, "command"), field_number(scanner, "pid"),
	       field_text(scanner, "cgroup"), field_number(scanner, "files"),
	       field_size(scanner, "bytes", bytes), field_text(scanner, "why"));
}

/* Those that aren't named are another user's, or too many. */
static void show_refused(const json_t *answer)
{
	const json_t *refused = json_object_get(answer, "refused_rules");
	long long more = field_number(answer, "rules_refused") -
			 (long long)json_array_size(refused);
	json_t *value;
	size_t i;

	json_array_foreach((json_t *)refused, i, value)
		printf("rules refused: %s\n", json_string_value(value));
	if (more > 0)
		printf("rules refused: %lld more\n", more);
}

void show_status(const json_t *answer, const struct choices *choices)
{
	const json_t *hosts = json_object_get(answer, "hosts");
	const json_t *scanners = json_object_get(answer, "scanners");
	const json_t *counters = json_object_get(answer, "counters");
	const char *key;
	json_t *value;
	size_t i;

	printf("%s on %s, memcg=%s, pid %lld\n", field_text(answer, "source"),
	       field_text(answer, "mountpoint"), field_text(answer, "memcg"),
	       field_number(answer, "pid"));
	show_degraded(json_object_get(answer, "degraded"));
	show_paths(answer);
	json_array_foreach((json_t *)hosts, i, value) show_host(value);
	json_array_foreach((json_t *)scanners, i, value) show_scanner(value);
	show_refused(answer);
	printf("inodes: %lld\n", field_number(answer, "inodes"));
	json_object_foreach((json_t *)counters, key, value)
		printf("%s: %lld\n", key, (long long)json_integer_value(value));
}

/* -- explain -- */

static void show_attribute(const json_t *rule, const json_t *said_by,
			   const char *key)
{
	const json_t *value = json_object_get(rule, key);
	char *text;

	/* It has no value: nobody is named a scanner, say. */
	if (json_is_null(value))
		return;
	text = json_dumps(value, JSON_ENCODE_ANY);
	printf("  %s=%s (%s)\n", key,
	       json_is_string(value) ? json_string_value(value) : text,
	       field_text(said_by, key));
	free(text);
}

static void show_path(const json_t *answer, const char *key)
{
	const json_t *path = json_object_get(answer, key);

	printf("  %s: %s, as %s\n", key, field_text(path, "path"),
	       field_text(path, "why"));
}

static void show_file(const json_t *answer)
{
	char size[SIZE_TEXT], resident[SIZE_TEXT], foreign[SIZE_TEXT];

	show_path(answer, "read");
	show_path(answer, "write");
	printf("  size %s, resident %s, foreign %s%s%s\n",
	       field_size(answer, "size_bytes", size),
	       field_size(answer, "resident_bytes", resident),
	       field_size(answer, "foreign_bytes", foreign),
	       json_is_true(json_object_get(answer, "pinned")) ? ", pinned" :
								 "",
	       json_is_true(json_object_get(answer, "open")) ? ", open" : "");
}

static void show_process(const json_t *answer)
{
	const json_t *late = json_object_get(answer, "of_late");
	const char *key;
	json_t *value;

	printf("%s, pid %lld, of %s: %s\n  as %s\n  of late:",
	       field_text(answer, "command"), field_number(answer, "pid"),
	       field_text(answer, "cgroup"),
	       json_is_true(json_object_get(answer, "scanner")) ? "a scanner" :
								  "no scanner",
	       field_text(answer, "why"));
	json_object_foreach((json_t *)late, key, value)
		printf(" %s %lld", key, (long long)json_integer_value(value));
	putchar('\n');
}

static void show_place(const json_t *answer)
{
	const json_t *rule = json_object_get(answer, "rule");
	const json_t *said_by = json_object_get(answer, "said_by");
	const char *key;
	json_t *value;

	printf("%s\n  target %s, host %s, charger %s\n",
	       field_text(answer, "asked"), field_text(answer, "target"),
	       field_text(answer, "host"), field_text(answer, "charger"));
	json_object_foreach((json_t *)rule, key, value)
	{
		(void)value;
		show_attribute(rule, said_by, key);
	}
	if (json_object_get(answer, "read"))
		show_file(answer);
}

void show_explain(const json_t *answer, const struct choices *choices)
{
	if (json_object_get(answer, "pid"))
		show_process(answer);
	else
		show_place(answer);
}

/* -- metrics -- */

void show_metrics(const json_t *answer, const struct choices *choices)
{
	fputs(field_text(answer, "text"), stdout);
}
