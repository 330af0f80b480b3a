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
	field_show_skipped(answer);
}

/* Whether it is left for no other reason, so that it can be insisted on. */
static bool is_a_question(const json_t *file)
{
	return !json_is_true(json_object_get(file, "pinned")) &&
	       !json_is_true(json_object_get(file, "open")) &&
	       (field_number(file, "dirty_bytes") ||
		field_number(file, "mapped_bytes") ||
		json_is_true(json_object_get(file, "unseen")));
}

static void name_one(const json_t *file)
{
	char resident[SIZE_TEXT], dirty[SIZE_TEXT], mapped[SIZE_TEXT];

	fprintf(stderr, "%s: resident %s, dirty %s, mapped %s%s%s%s\n",
		field_text(file, "path"),
		field_size(file, "resident_bytes", resident),
		field_size(file, "dirty_bytes", dirty),
		field_size(file, "mapped_bytes", mapped),
		json_is_true(json_object_get(file, "pinned")) ? ", pinned" : "",
		json_is_true(json_object_get(file, "open")) ? ", open" : "",
		json_is_true(json_object_get(file, "unseen")) ?
			", as far as can be told" :
			"");
}

static void name_left(const json_t *left)
{
	size_t n = json_array_size(left);

	for (size_t i = 0; i < n && i < NAMED_MAX; i++) {
		json_t *file = json_array_get(left, i);

		field_make_safe(file);
		name_one(file);
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

	fprintf(stderr, "Drop the dirty and the mapped ones, too, as far as "
			"can be? What is dirty is written first. [y/N] ");
	is_yes = getline(&line, &size, stdin) > 0 &&
		 (*line == 'y' || *line == 'Y');
	free(line);
	return is_yes;
}

/* What was left: how much of it, and can be insisted on. */
struct left {
	size_t files;
	size_t questions;
};

/* -1: there was no answer. */
static int drop(const struct call *call, bool force, struct left *left)
{
	json_t *answer = call_ask(call, json_pack("{sb}", "force", force));
	const json_t *files = json_object_get(answer, "left");
	json_t *file;
	size_t i;

	if (!answer)
		return -1;
	*left = (struct left){ .files = json_array_size(files) };
	json_array_foreach((json_t *)files, i, file)
		left->questions += is_a_question(file);
	call_show(call, answer);
	fflush(stdout);
	name_left(files);
	json_decref(answer);
	return 0;
}

int drop_run(const struct call *call)
{
	bool may_ask = isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
	bool force = call->choices->yes;
	struct left left;

	if (drop(call, force, &left) < 0)
		return EXIT_FAILURE;
	if (left.questions && !force && may_ask && ask_user() &&
	    drop(call, true, &left) < 0)
		return EXIT_FAILURE;
	if (left.questions && !force && !may_ask)
		fprintf(stderr,
			"memcgfsctl: \"%s\": %zu files are dirty or mapped, "
			"and nobody is there to ask: --yes drops these, too\n",
			call->path, left.questions);
	return left.files ? EXIT_FAILURE : EXIT_SUCCESS;
}
