// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memcgfsctl: asks a running mount, through its control socket, and shows
 * what it says, as text or as it came (JSON).
 */
#include "ask.h"
#include "show.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_USAGE 2

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
	printf("usage: memcgfsctl [OPTION...] COMMAND [ARGUMENT...]\n\n"
	       "Speaks to a running mount of memcgfs. MOUNTPOINT, or any path "
	       "in the mount, is\nneeded where there are several.\n\noptions:\n"
	       "    --json               the answer as it came: a JSON object "
	       "on a line\n"
	       "    -h, --help           this text\n"
	       "    -V, --version        the version\n\ncommands:\n");
	for (size_t i = 0; i < n_commands; i++)
		printf("    %-8s%-13s%s\n", commands[i].name,
		       commands[i].arguments, commands[i].help);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < n_commands; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	fprintf(stderr,
		"memcgfsctl: unknown command \"%s\": see memcgfsctl --help\n",
		name);
	return NULL;
}

static void show(const struct command *command, const char *path,
		 json_t *answer, bool as_json)
{
	/* Which of several it was; one that is no UTF-8 wasn't answered. */
	if (command->takes_path)
		json_object_set_new(answer, "asked", json_string(path));
	if (as_json) {
		json_dumpf(answer, stdout, JSON_COMPACT);
		putchar('\n');
	} else if (command->show) {
		show_make_safe(answer);
		command->show(answer);
	}
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
	show_make_safe(json_object_get(answer, "error"));
	error = json_string_value(json_object_get(answer, "error"));
	if (!error)
		show(command, path, answer, as_json);
	else if (path)
		fprintf(stderr, "memcgfsctl: \"%s\": %s\n", path, error);
	else
		fprintf(stderr, "memcgfsctl: %s\n", error);
	json_decref(answer);
	return !error;
}

static int run_all(const struct command *command, char **paths, int count,
		   bool as_json)
{
	bool good = true;

	if (command->takes_path && !count) {
		fprintf(stderr,
			"memcgfsctl: \"%s\" needs a path: memcgfsctl %s %s\n",
			command->name, command->name, command->arguments);
		return EXIT_USAGE;
	}
	if (!command->takes_path && count > 1) {
		fprintf(stderr,
			"memcgfsctl: unexpected argument \"%s\": memcgfsctl "
			"%s %s\n",
			paths[1], command->name, command->arguments);
		return EXIT_USAGE;
	}
	if (!count)
		good = run(command, NULL, as_json);
	for (int i = 0; i < count; i++)
		good &= run(command, paths[i], as_json);
	if (fflush(stdout) == EOF) {
		fprintf(stderr, "memcgfsctl: cannot write: %s\n",
			strerror(errno));
		good = false;
	}
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	const struct command *command;
	bool as_json = false;
	int c;

	while ((c = getopt_long(argc, argv, "hV", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			as_json = true;
			break;
		case 'h':
			print_help();
			return EXIT_SUCCESS;
		case 'V':
			printf("memcgfsctl %s\n", MEMCGFS_VERSION);
			return EXIT_SUCCESS;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind == argc) {
		fprintf(stderr, "memcgfsctl: a command is needed: see "
				"memcgfsctl --help\n");
		return EXIT_USAGE;
	}
	command = find_command(argv[optind]);
	if (!command)
		return EXIT_USAGE;
	return run_all(command, argv + optind + 1, argc - optind - 1, as_json);
}
