// SPDX-License-Identifier: GPL-2.0-or-later
/* A command that was called; see call.h. */
#include "call.h"

#include "ask.h"
#include "field.h"
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>

void call_show_error(const struct call *call, json_t *answer)
{
	json_t *error = json_object_get(answer, "error");

	field_make_safe(error);
	if (call->path)
		fprintf(stderr, "memcgfsctl: \"%s\": %s\n", call->path,
			json_string_value(error));
	else
		fprintf(stderr, "memcgfsctl: %s\n", json_string_value(error));
}

json_t *call_ask(const struct call *call, json_t *more)
{
	const struct command *command = call->command;
	struct question question = {
		.verb = command->name,
		.path = call->path,
		.about_path = command->about_path,
		.more = more,
		.progress = command->is_long ? progress_show : NULL,
		.userdata = (void *)command->name,
	};
	char why[ASK_WHY_MAX];
	json_t *answer;

	answer = ask(&question, why);
	json_decref(more);
	if (command->is_long)
		progress_end();
	if (answer && !json_object_get(answer, "error"))
		return answer;
	if (answer)
		call_show_error(call, answer);
	else
		fprintf(stderr, "memcgfsctl: %s\n", why);
	json_decref(answer);
	return NULL;
}

void call_show(const struct call *call, json_t *answer)
{
	const struct command *command = call->command;

	/* Which of several it was; one that is no UTF-8 wasn't answered. */
	if (command->about_path && call->path)
		json_object_set_new(answer, "asked", json_string(call->path));
	if (call->choices->json) {
		json_dumpf(answer, stdout, JSON_COMPACT);
		putchar('\n');
	} else if (command->show) {
		if (!command->is_text)
			field_make_safe(answer);
		command->show(answer, call->choices);
	}
}

int call_run(const struct call *call)
{
	const struct command *command = call->command;
	json_t *answer;
	int status;

	answer = call_ask(call,
			  command->ask ? command->ask(call->choices) : NULL);
	if (!answer)
		return EXIT_FAILURE;
	status = command->judge ? command->judge(answer) : EXIT_SUCCESS;
	call_show(call, answer);
	json_decref(answer);
	return status;
}
