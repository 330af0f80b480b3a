/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asking a running mount; the protocol is control.h's. */
#ifndef MEMCGFS_CTL_ASK_H
#define MEMCGFS_CTL_ASK_H

#include <jansson.h>
#include <stdbool.h>

#define ASK_WHY_MAX 8192

/*
 * Asks the mount that @path is in, or is the mount point of; NULL: the only
 * one there is. @about_path: the question is about that path. The answer,
 * which the caller owns, or NULL, and one line that says why.
 */
json_t *ask(const char *verb, const char *path, bool about_path,
	    char why[ASK_WHY_MAX]);

#endif
