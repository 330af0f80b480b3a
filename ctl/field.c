// SPDX-License-Identifier: GPL-2.0-or-later
/* What answers have by their keys; see field.h. */
#include "field.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *field_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "none";
}

long long field_number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

const char *field_size(const json_t *object, const char *key,
		       char buf[SIZE_TEXT])
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) ?
		       size_text(json_integer_value(value), buf) :
		       "unknown";
}

void field_show_skipped(const json_t *answer)
{
	if (field_number(answer, "skipped_files"))
		printf("skipped: %lld files\n",
		       field_number(answer, "skipped_files"));
}

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

void field_make_safe(json_t *value)
{
	const char *key;
	json_t *part;
	size_t i;

	if (json_is_string(value))
		make_string_safe(value);
	json_array_foreach(value, i, part) field_make_safe(part);
	json_object_foreach(value, key, part) field_make_safe(part);
}
