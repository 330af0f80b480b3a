// SPDX-License-Identifier: GPL-2.0-or-later
/* Dropping files from memory; see drop.h. */
#include "drop.h"

#include "call.h"
#include "field.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NAMED_MAX 10

void drop_show(const json_t *answer, const struct choices *choices)
{
	char size[SIZE_TEXT];

	printf("files %lld, dropped %s\n", field_number(answer, "files"),
	       field_size(answer, "dropped_bytes", size));
}

static void name_left(const json_t *left)
{
	char dirty[SIZE_TEXT], mapped[SIZE_TEXT];
	size_t n = json_array_size(left);

	for (size_t i = 0; i < n && i < NAMED_MAX; i++) {
		json_t *file = json_array_get(left, i);

		field_make_safe(file);
		fprintf(stderr, "%s: dirty %s, mapped %s\n",
			field_text(file, "path"),
			field_size(file, "dirty_bytes", dirty),
			field_size(file, "mapped_bytes", mapped));
	}
	if (n > NAMED_MAX)
		fprintf(stderr, "and %zu more\n", n - NAMED_MAX);
}

/* Whether the user wants these dropped, too. */
static bool ask_user(void)
{
	char *line = NULL;
	size_t size = 0;
	bool is_yes;

	fprintf(stderr, "Drop these, too? What is dirty is written first, what "
			"is mapped is read again by who needs it. [y/N] ");
	is_yes = getline(&line, &size, stdin) > 0 &&
		 (*line == 'y' || *line == 'Y');
	free(line);
	return is_yes;
}

/* How many files of the answer were left; -1: there is none. */
static int drop(const struct call *call, bool force)
{
	json_t *answer = call_ask(call, json_pack("{sb}", "force", force));
	const json_t *left = json_object_get(answer, "left");
	int n = answer ? (int)json_array_size(left) : -1;

	if (answer)
		call_show(call, answer);
	fflush(stdout);
	name_left(left);
	json_decref(answer);
	return n;
}

int drop_run(const struct call *call)
{
	bool may_ask = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
	bool force = call->choices->yes;
	int left = drop(call, force);

	if (left > 0 && !force && may_ask && ask_user()) {
		force = true;
		left = drop(call, force);
	}
	if (left > 0 && !force && !may_ask)
		fprintf(stderr,
			"memcgfsctl: \"%s\": %d files are dirty or mapped, and "
			"nobody is there to ask: --yes drops these, too\n",
			call->path, left);
	else if (left > 0 && force)
		fprintf(stderr,
			"memcgfsctl: \"%s\": %d files couldn't be dropped\n",
			call->path, left);
	return left ? EXIT_FAILURE : EXIT_SUCCESS;
}
