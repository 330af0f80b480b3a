// SPDX-License-Identifier: GPL-2.0-or-later
/* What `top` looks at, for scripts; see toplines.h. */
#include "toplines.h"

#include "call.h"
#include "interrupt.h"
#include "top.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define VERSION 1 /* of the schema */

/* The answer to one of the round's questions; NULL, and why was said. */
static json_t *ask_one(const struct call *call, const char *verb, json_t *more)
{
	struct command command = { .name = verb };
	struct call one = *call;

	one.command = &command;
	return call_ask(&one, more);
}

/* All answers of a round; NULL: one was missing. */
static json_t *ask_all(const struct call *call)
{
	json_t *limit = json_pack("{si}", "limit", TOP_FILES);
	json_t *status = ask_one(call, "status", NULL);
	json_t *tree = status ? ask_one(call, "tree", NULL) : NULL;
	json_t *files = tree ? ask_one(call, "files", json_incref(limit)) :
			       NULL;

	json_decref(limit);
	if (files)
		return json_pack("{si so so so}", "version", VERSION, "status",
				 status, "tree", tree, "files", files);
	json_decref(status);
	json_decref(tree);
	return NULL;
}

/* A line, at once. 0, or -errno: what is missing was told. */
static int print_round(const struct call *call)
{
	json_t *round = ask_all(call);

	if (!round)
		return -ENODATA;
	json_dumpf(round, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(round);
	return fflush(stdout) == EOF ? -errno : 0;
}

/* Until the next round: whether there is to be one. */
static bool wait_for_it(const struct call *call, const sigset_t *mask)
{
	struct timespec delay = { .tv_sec = call->choices->delay };
	struct pollfd reader = { .fd = STDOUT_FILENO };

	return !interrupt_came() && ppoll(&reader, 1, &delay, mask) == 0;
}

int toplines_run(const struct call *call)
{
	sigset_t mask;
	int r;

	interrupt_catch(&mask);
	do {
		r = print_round(call);
	} while (r == 0 && wait_for_it(call, &mask));
	if (r == -EPIPE)
		_exit(EXIT_SUCCESS); /* there is nobody to write to */
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
