/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers as text, for people. */
#ifndef MEMCGFS_CTL_SHOW_H
#define MEMCGFS_CTL_SHOW_H

#include <jansson.h>

/*
 * Replaces what a terminal would obey, in all strings: they have names and
 * lines of files that anybody may have made.
 */
void show_make_safe(json_t *value);

void show_status(const json_t *answer);
void show_explain(const json_t *answer);

#endif
