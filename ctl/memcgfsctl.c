// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memcgfsctl: asks a running mount, through its control socket, and shows
 * what it says, as text or as it came (JSON).
 */
#include "ask.h"
#include "command.h"
#include "field.h"
#include "files.h"
#include "show.h"
#include "tree.h"

#include <errno.h>
#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct command commands[] = {
	{
		.name = "status",
		.arguments = "[MOUNTPOINT]",
		.help = "the mount, its hosts, what is degraded",
		.max_paths = 1,
		.show = show_status,
	},
	{
		.name = "tree",
		.arguments = "[MOUNTPOINT]",
		.help = "who pays for the cache, and who uses it: the cgroups "
			"as a tree",
		.options = "a",
		.max_paths = 1,
		.show = tree_show,
	},
	{
		.name = "files",
		.arguments = "[PATH]",
		.help = "the files that have the most in memory; below PATH",
		.options = "sn",
		.max_paths = 1,
		.about_path = true,
		.ask = files_ask,
		.show = files_show,
	},
	{
		.name = "explain",
		.arguments = "PATH...",
		.help = "which rule holds for a file, which cgroup pays, how "
			"it is read",
		.min_paths = 1,
		.max_paths = INT_MAX,
		.about_path = true,
		.show = show_explain,
	},
	{
		.name = "reload",
		.arguments = "[MOUNTPOINT]",
		.help = "look at all rules again",
		.max_paths = 1,
	},
	{ 0 },
};

static int show(const struct call *call, json_t *answer)
{
	const struct command *command = call->command;
	int status = command->judge ? command->judge(answer) : EXIT_SUCCESS;

	/* Which of several it was; one that is no UTF-8 wasn't answered. */
	if (command->about_path && call->path)
		json_object_set_new(answer, "asked", json_string(call->path));
	if (call->choices->json) {
		json_dumpf(answer, stdout, JSON_COMPACT);
		putchar('\n');
	} else if (command->show) {
		field_make_safe(answer);
		command->show(answer, call->choices);
	}
	return status;
}

static int show_error(const struct call *call, json_t *answer)
{
	json_t *error = json_object_get(answer, "error");

	field_make_safe(error);
	if (call->path)
		fprintf(stderr, "memcgfsctl: \"%s\": %s\n", call->path,
			json_string_value(error));
	else
		fprintf(stderr, "memcgfsctl: %s\n", json_string_value(error));
	return EXIT_FAILURE;
}

/* One question and its answer: the exit status. */
static int run(const struct call *call)
{
	const struct command *command = call->command;
	struct question question = {
		.verb = command->name,
		.path = call->path,
		.about_path = command->about_path,
		.more = command->ask ? command->ask(call->choices) : NULL,
	};
	char why[ASK_WHY_MAX];
	json_t *answer;
	int status;

	answer = ask(&question, why);
	json_decref(question.more);
	if (!answer) {
		fprintf(stderr, "memcgfsctl: %s\n", why);
		return EXIT_FAILURE;
	}
	status = json_object_get(answer, "error") ? show_error(call, answer) :
						    show(call, answer);
	json_decref(answer);
	return status;
}

/* For each path; the worst exit status. */
static int run_all(const struct command *command, const struct choices *choices,
		   char **paths, int n_paths)
{
	struct call call = { .command = command, .choices = choices };
	int worst = EXIT_SUCCESS, status, i = 0;

	do {
		call.path = i < n_paths ? paths[i] : NULL;
		status = command->run ? command->run(&call) : run(&call);
		worst = status > worst ? status : worst;
	} while (++i < n_paths);
	if (fflush(stdout) == EOF) {
		fprintf(stderr, "memcgfsctl: cannot write: %s\n",
			strerror(errno));
		return EXIT_FAILURE;
	}
	return worst;
}

int main(int argc, char **argv)
{
	const struct command *command;
	struct choices choices;
	char **paths;
	int n_paths;

	setlocale(LC_CTYPE, "");
	if (command_parse(commands, argc, argv, &choices, &command, &paths,
			  &n_paths) < 0)
		return COMMAND_USAGE;
	if (choices.version)
		printf("memcgfsctl %s\n", MEMCGFS_VERSION);
	else if (choices.help && command)
		command_print_help_of(command);
	else if (choices.help)
		command_print_help(commands);
	else
		return run_all(command, &choices, paths, n_paths);
	return EXIT_SUCCESS;
}
