/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What answers have by their keys, in forms that can be shown. */
#ifndef MEMCGFS_CTL_FIELD_H
#define MEMCGFS_CTL_FIELD_H

#include "size.h"

#include <jansson.h>

/* A string; "none" where there is none. */
const char *field_text(const json_t *object, const char *key);

/* An integer; 0 where there is none. */
long long field_number(const json_t *object, const char *key);

/* Bytes for people; "unknown" where there are none. */
const char *field_size(const json_t *object, const char *key,
		       char buf[SIZE_TEXT]);

/* A line that says how many files couldn't be looked at, if any. */
void field_show_skipped(const json_t *answer);

/*
 * Replaces what a terminal would obey, in all strings: they have names and
 * lines of files that anybody may have made.
 */
void field_make_safe(json_t *value);

#endif
