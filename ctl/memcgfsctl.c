// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memcgfsctl: asks a running mount, through its control socket, and shows
 * what it says, as text or as it came (JSON).
 */
#include "ask.h"
#include "show.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct command {
	const char *name;
	const char *arguments;
	const char *help;
	bool takes_path; /* one or more; else at most a mount point */
	void (*show)(const json_t *answer);
};

static const struct command commands[] = {
	{ "status", "[MOUNTPOINT]", "the mount, its hosts, what is degraded",
	  false, show_status },
	{ "explain", "PATH...",
	  "which rule holds for a file, which cgroup pays, how it is read",
	  true, show_explain },
	{ "reload", "[MOUNTPOINT]", "look at all rules again", false, NULL },
};

static const size_t n_commands = sizeof(commands) / sizeof(commands[0]);

static void print_help(void)
{
	printf("usage: memcgfsctl [--json] COMMAND [ARGUMENT...]\n\n"
	       "Speaks to a running mount of memcgfs. MOUNTPOINT is needed "
	       "where there are several.\n\n"
	       "    --json\t\tthe answer as it came: one JSON object a line\n"
	       "    -h, --help\t\tthis text\n\ncommands:\n");
	for (size_t i = 0; i < n_commands; i++)
		printf("    %-8s %-12s  %s\n", commands[i].name,
		       commands[i].arguments, commands[i].help);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < n_commands; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	fprintf(stderr,
		"memcgfsctl: unknown command \"%s\": see memcgfsctl "
		"--help\n",
		name);
	return NULL;
}

/* One question and its answer: whether it went well. */
static bool run(const struct command *command, const char *path, bool as_json)
{
	char why[ASK_WHY_MAX];
	json_t *answer;
	const char *error;

	answer = ask(command->name, path, command->takes_path, why);
	if (!answer) {
		fprintf(stderr, "memcgfsctl: %s\n", why);
		return false;
	}
	error = json_string_value(json_object_get(answer, "error"));
	if (as_json) {
		json_dumpf(answer, stdout, JSON_COMPACT);
		putchar('\n');
	} else if (!error && command->show) {
		command->show(answer);
	}
	if (error && !as_json)
		fprintf(stderr, "memcgfsctl: %s: %s\n",
			path ? path : command->name, error);
	json_decref(answer);
	return !error;
}

static int run_all(const struct command *command, char **paths, int count,
		   bool as_json)
{
	bool good = true;

	if (command->takes_path && !count) {
		fprintf(stderr,
			"memcgfsctl: \"%s\" needs a path: memcgfsctl "
			"%s %s\n",
			command->name, command->name, command->arguments);
		return EXIT_FAILURE;
	}
	if (!command->takes_path && count > 1) {
		fprintf(stderr,
			"memcgfsctl: unexpected argument \"%s\": "
			"memcgfsctl %s %s\n",
			paths[1], command->name, command->arguments);
		return EXIT_FAILURE;
	}
	if (!count)
		return run(command, NULL, as_json) ? EXIT_SUCCESS :
						     EXIT_FAILURE;
	for (int i = 0; i < count; i++)
		good &= run(command, paths[i], as_json);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	const struct command *command;
	bool as_json = false;
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			as_json = true;
		} else if (strcmp(argv[i], "-h") == 0 ||
			   strcmp(argv[i], "--help") == 0) {
			print_help();
			return EXIT_SUCCESS;
		} else {
			fprintf(stderr,
				"memcgfsctl: unknown option \"%s\": "
				"see memcgfsctl --help\n",
				argv[i]);
			return EXIT_FAILURE;
		}
	}
	if (i == argc) {
		fprintf(stderr, "memcgfsctl: a command is needed: see "
				"memcgfsctl --help\n");
		return EXIT_FAILURE;
	}
	command = find_command(argv[i++]);
	if (!command)
		return EXIT_FAILURE;
	/* Behind the command, too. */
	if (i < argc && strcmp(argv[i], "--json") == 0) {
		as_json = true;
		i++;
	}
	return run_all(command, argv + i, argc - i, as_json);
}
