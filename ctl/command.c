// SPDX-License-Identifier: GPL-2.0-or-later
/* The command line; see command.h. */
#include "command.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GLOBAL "jhV" /* letters of what all commands have */
#define MAX_OPTIONS 16
#define DEFAULT_LIMIT 20
#define DEFAULT_DELAY 1
#define HELP_COLUMN 25

enum option_type {
	TYPE_FLAG, /* bool */
	TYPE_WORD, /* char *: one of words */
	TYPE_NUMBER, /* long, from 1 on */
};

struct option_row {
	char letter;
	bool is_short; /* can be given as -letter */
	enum option_type type;
	size_t offset; /* in struct choices */
	const char *name;
	const char *argument;
	const char *const *words;
	const char *help;
};

#define FIELD(name) offsetof(struct choices, name)

static const char *const sort_words[] = { "size", "shared", "foreign", "name",
					  NULL };

static const struct option_row option_table[] = {
	{ 'j', false, TYPE_FLAG, FIELD(json), "json", NULL, NULL,
	  "the answer as it came: a JSON object on a line" },
	{ 'h', true, TYPE_FLAG, FIELD(help), "help", NULL, NULL,
	  "this text; behind a command, that command's" },
	{ 'V', true, TYPE_FLAG, FIELD(version), "version", NULL, NULL,
	  "the version" },
	{ 'a', true, TYPE_FLAG, FIELD(all), "all", NULL, NULL,
	  "all cgroups and figures, and who brought it in" },
	{ 's', true, TYPE_WORD, FIELD(sort), "sort", "KEY", sort_words,
	  "by size, shared, foreign or name (size)" },
	{ 'n', true, TYPE_NUMBER, FIELD(limit), "limit", "N", NULL,
	  "show at most N (20)" },
	{ 'y', true, TYPE_FLAG, FIELD(yes), "yes", NULL, NULL,
	  "drop dirty and mapped files, too, without asking" },
	{ 'd', true, TYPE_NUMBER, FIELD(delay), "delay", "S", NULL,
	  "ask again after S seconds (1)" },
};

static const size_t n_options = sizeof(option_table) / sizeof(option_table[0]);

/* -- parsing -- */

static const struct option_row *find_option(int letter)
{
	for (size_t i = 0; i < n_options; i++)
		if (option_table[i].letter == letter)
			return &option_table[i];
	return NULL;
}

static int take_word(const struct option_row *row, const char *text,
		     const char **out)
{
	for (const char *const *word = row->words; *word; word++) {
		if (strcmp(*word, text) == 0) {
			*out = *word;
			return 0;
		}
	}
	fprintf(stderr, "memcgfsctl: option \"--%s=%s\": allowed are",
		row->name, text);
	for (const char *const *word = row->words; *word; word++)
		fprintf(stderr, "%s %s", word == row->words ? "" : ",", *word);
	fprintf(stderr, "\n");
	return -EINVAL;
}

static int take_number(const struct option_row *row, const char *text,
		       long *out)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(text, &end, 10);
	if (errno || end == text || *end || number < 1) {
		fprintf(stderr,
			"memcgfsctl: option \"--%s=%s\": a number from 1 on is "
			"needed\n",
			row->name, text);
		return -EINVAL;
	}
	*out = number;
	return 0;
}

static int take_option(int letter, const char *text, struct choices *choices)
{
	const struct option_row *row = find_option(letter);
	char *field = (char *)choices;

	field += row->offset;
	if (row->type == TYPE_WORD)
		return take_word(row, text, (const char **)(void *)field);
	if (row->type == TYPE_NUMBER)
		return take_number(row, text, (long *)(void *)field);
	*(bool *)field = true;
	return 0;
}

/* What getopt() has against the one that it has just looked at. */
static int refuse_option(int c, const char *letters, char **argv)
{
	const struct option_row *row = find_option(optopt);

	if (c == ':' && row)
		fprintf(stderr, "memcgfsctl: option \"--%s\" needs a value\n",
			row->name);
	else if (row && strchr(letters, optopt))
		fprintf(stderr, "memcgfsctl: option \"--%s\" takes no value\n",
			row->name);
	else if (optopt)
		fprintf(stderr,
			"memcgfsctl: unknown option \"-%c\": see %s "
			"--help\n",
			optopt, argv[0]);
	else
		fprintf(stderr,
			"memcgfsctl: unknown option \"%s\": see %s "
			"--help\n",
			argv[optind - 1], argv[0]);
	return -EINVAL;
}

/* Takes the options with these letters that come next. */
static int take_options(const char *letters, bool stop_at_word, int argc,
			char **argv, struct choices *choices)
{
	struct option longs[MAX_OPTIONS] = { 0 };
	char shorts[2 * MAX_OPTIONS + 3];
	size_t n, len = 0;
	int c, r = 0;

	if (stop_at_word)
		shorts[len++] = '+';
	shorts[len++] = ':'; /* a value that is missing is told apart */
	for (n = 0; letters[n]; n++) {
		const struct option_row *row = find_option(letters[n]);

		longs[n] = (struct option){ row->name, row->type != TYPE_FLAG,
					    NULL, row->letter };
		if (row->is_short)
			shorts[len++] = row->letter;
		if (row->is_short && row->type != TYPE_FLAG)
			shorts[len++] = ':';
	}
	shorts[len] = '\0';
	opterr = 0;
	while (r == 0 &&
	       (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1)
		r = c == '?' || c == ':' ? refuse_option(c, letters, argv) :
					   take_option(c, optarg, choices);
	return r;
}

static const struct command *find_command(const struct command *table,
					  const char *name)
{
	for (; table->name; table++)
		if (strcmp(table->name, name) == 0)
			return table;
	fprintf(stderr,
		"memcgfsctl: unknown command \"%s\": see memcgfsctl --help\n",
		name);
	return NULL;
}

/* Behind the command's name, argv[0] of what is left. */
static int parse_rest(const struct command *command, int argc, char **argv,
		      struct choices *choices)
{
	char letters[MAX_OPTIONS], name[64];
	char *given = argv[0];
	int r;

	snprintf(letters, sizeof(letters), "%s%s", GLOBAL,
		 command->options ? command->options : "");
	snprintf(name, sizeof(name), "memcgfsctl %s", command->name);
	argv[0] = name;
	optind = 0; /* begins anew */
	r = take_options(letters, false, argc, argv, choices);
	argv[0] = given;
	return r;
}

static int check_paths(const struct command *command, char **paths, int n)
{
	if (n < command->min_paths)
		fprintf(stderr,
			"memcgfsctl: \"%s\" needs a path: memcgfsctl %s %s\n",
			command->name, command->name, command->arguments);
	else if (n > command->max_paths)
		fprintf(stderr,
			"memcgfsctl: unexpected argument \"%s\": memcgfsctl "
			"%s %s\n",
			paths[command->max_paths], command->name,
			command->arguments);
	else
		return 0;
	return -EINVAL;
}

int command_parse(const struct command *table, int argc, char **argv,
		  struct choices *choices, const struct command **command,
		  char ***paths, int *n_paths)
{
	static char own_name[] = "memcgfsctl"; /* however it was called */
	int r, begin;

	argv[0] = own_name;
	*command = NULL;
	*choices = (struct choices){
		.sort = sort_words[0],
		.limit = DEFAULT_LIMIT,
		.delay = DEFAULT_DELAY,
	};
	r = take_options(GLOBAL, true, argc, argv, choices);
	if (r < 0 || choices->help || choices->version)
		return r;
	begin = optind;
	if (begin == argc) {
		fprintf(stderr, "memcgfsctl: a command is needed: see "
				"memcgfsctl --help\n");
		return -EINVAL;
	}
	*command = find_command(table, argv[begin]);
	if (!*command ||
	    parse_rest(*command, argc - begin, argv + begin, choices) < 0)
		return -EINVAL;
	if (choices->help || choices->version)
		return 0;
	*paths = argv + begin + optind;
	*n_paths = argc - begin - optind;
	return check_paths(*command, *paths, *n_paths);
}

/* -- help -- */

/* A line of two columns, or two lines. */
static void print_entry(const char *form, const char *help)
{
	if (strlen(form) + 6 > HELP_COLUMN)
		printf("    %s\n%*s%s\n", form, HELP_COLUMN, "", help);
	else
		printf("    %-*s%s\n", HELP_COLUMN - 4, form, help);
}

static void print_option(const struct option_row *row)
{
	char form[64], brief[8] = "";

	if (row->is_short)
		snprintf(brief, sizeof(brief), "-%c, ", row->letter);
	snprintf(form, sizeof(form), "%s--%s%s%s", brief, row->name,
		 row->argument ? "=" : "", row->argument ? row->argument : "");
	print_entry(form, row->help);
}

static void print_options(const char *letters)
{
	for (; letters && *letters; letters++)
		print_option(find_option(*letters));
}

/* Its options, too: "files [--sort=KEY] [--limit=N] [PATH]". */
static void write_form(const struct command *command, char *form, size_t size)
{
	const char *letters = command->options ? command->options : "";
	size_t len = (size_t)snprintf(form, size, "%s", command->name);

	for (; *letters && len < size; letters++) {
		const struct option_row *row = find_option(*letters);

		len += (size_t)snprintf(form + len, size - len, " [--%s%s%s]",
					row->name, row->argument ? "=" : "",
					row->argument ? row->argument : "");
	}
	if (len < size)
		snprintf(form + len, size - len, " %s", command->arguments);
}

void command_print_help(const struct command *table)
{
	char form[128];

	printf("usage: memcgfsctl [OPTION...] COMMAND [OPTION...] "
	       "[ARGUMENT...]\n\n"
	       "Speaks to a running mount of memcgfs. MOUNTPOINT, or any path "
	       "in the mount, is\nneeded where there are several.\n\n"
	       "options:\n");
	print_options(GLOBAL);
	printf("\noptions of some commands:\n");
	for (size_t i = 0; i < n_options; i++)
		if (!strchr(GLOBAL, option_table[i].letter))
			print_option(&option_table[i]);
	printf("\ncommands:\n");
	for (; table->name; table++) {
		write_form(table, form, sizeof(form));
		print_entry(form, table->help);
	}
}

void command_print_help_of(const struct command *command)
{
	char form[128];

	write_form(command, form, sizeof(form));
	printf("usage: memcgfsctl %s\n\n%s\n\noptions:\n", form, command->help);
	print_options(command->options);
	print_options(GLOBAL);
}
