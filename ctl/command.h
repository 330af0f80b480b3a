/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line: commands, and which options each of them has. One table
 * of options drives parsing and --help.
 */
#ifndef MEMCGFS_CTL_COMMAND_H
#define MEMCGFS_CTL_COMMAND_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define COMMAND_USAGE 2 /* exit status: the command line is wrong */

/* What was given, or the default. */
struct choices {
	bool json;
	bool help;
	bool version;
	bool all;
	bool yes;
	const char *sort; /* size, shared, foreign or name */
	long limit;
	long delay; /* seconds */
};

struct call;

struct command {
	const char *name;
	const char *arguments; /* in the help, behind the options */
	const char *help;
	const char *options; /* letters of its own ones */
	int min_paths;
	int max_paths;
	bool about_path; /* the path says what, not only which mount */
	bool about_pid; /* or it is a process's number */
	bool is_long; /* so progress is told */
	bool is_text; /* the answer is one, whose lines are to stay */
	/* Prints an answer for people. */
	void (*show)(const json_t *answer, const struct choices *choices);
	/* The exit status that an answer means; NULL: 0. */
	int (*judge)(const json_t *answer);
	/* What to ask in addition, to be freed; NULL: nothing. */
	json_t *(*ask)(const struct choices *choices);
	/* Does all, instead of one question; the exit status. */
	int (*run)(const struct call *call);
};

/* A command that was called, with one of its paths. */
struct call {
	const struct command *command;
	const struct choices *choices;
	const char *path; /* NULL: none was given */
};

/*
 * Reads the command line: @command is one of the table, which ends with an
 * empty one; the @n_paths words behind it are its @paths. 0; or -EINVAL, and
 * that was said. With --help or --version there may be no command.
 */
int command_parse(const struct command *table, int argc, char **argv,
		  struct choices *choices, const struct command **command,
		  char ***paths, int *n_paths);

/* What --help prints: of all, or of one. */
void command_print_help(const struct command *table);
void command_print_help_of(const struct command *command);

#endif
