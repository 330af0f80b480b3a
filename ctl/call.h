/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A command that was called: from its question to what is printed. */
#ifndef MEMCGFS_CTL_CALL_H
#define MEMCGFS_CTL_CALL_H

#include "command.h"

/*
 * Asks what the command asks, and @more, or NULL, which is given up. The
 * answer; or NULL, and why was said.
 */
json_t *call_ask(const struct call *call, json_t *more);

/* Prints an answer, for people or as it came. */
void call_show(const struct call *call, json_t *answer);

/* Says what the daemon had against it. */
void call_show_error(const struct call *call, json_t *answer);

/* All of that: the exit status. */
int call_run(const struct call *call);

#endif
