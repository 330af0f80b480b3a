// SPDX-License-Identifier: GPL-2.0-or-later
/* A command that was called; see call.h. */
#include "call.h"

#include "ask.h"
#include "field.h"
#include "mounts.h"
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

/* A process's number, if that isn't a file here; 0: it is none. */
static long number_of(const struct call *call)
{
	char *end;
	long pid;

	if (!call->command->about_pid || !call->path ||
	    access(call->path, F_OK) == 0)
		return 0;
	pid = strtol(call->path, &end, 10);
	return *end || pid <= 0 ? 0 : pid;
}

/* The mount where the caller is is asked; else the only one there is. */
static void ask_about(struct question *question, long pid)
{
	char inside[PATH_MAX];
	struct mount mount;

	json_object_set_new(question->more, "pid", json_integer(pid));
	question->about_path = false;
	question->path = mounts_find(".", &mount, inside) == 0 ? "." : NULL;
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
	long pid = number_of(call);
	char why[ASK_WHY_MAX];
	json_t *answer;

	if (pid) {
		question.more = more = more ? more : json_object();
		ask_about(&question, pid);
	}
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
