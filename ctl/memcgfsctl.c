// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memcgfsctl: asks a running mount, through its control socket, and shows
 * what it says, as text or as it came (JSON).
 */
#include "call.h"
#include "drop.h"
#include "events.h"
#include "files.h"
#include "show.h"
#include "top.h"
#include "tree.h"
#include "verify.h"

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
		.is_long = true,
		.ask = files_ask,
		.show = files_show,
	},
	{
		.name = "explain",
		.arguments = "PATH|PID...",
		.help = "which rule holds for a file, which cgroup pays, how "
			"it is read; or why a process is a scanner",
		.min_paths = 1,
		.max_paths = INT_MAX,
		.about_path = true,
		.about_pid = true,
		.show = show_explain,
	},
	{
		.name = "verify",
		.arguments = "[PATH]",
		.help = "ask the kernel for the owner of every page, and "
			"compare the books",
		.max_paths = 1,
		.about_path = true,
		.is_long = true,
		.show = verify_show,
		.judge = verify_judge,
	},
	{
		.name = "claim",
		.arguments = "[PATH]",
		.help = "have foreign pages charged to their host",
		.max_paths = 1,
		.about_path = true,
		.is_long = true,
		.show = claim_show,
	},
	{
		.name = "drop",
		.arguments = "PATH",
		.help = "drop files from memory",
		.options = "y",
		.min_paths = 1,
		.max_paths = 1,
		.about_path = true,
		.is_long = true,
		.show = drop_show,
		.run = drop_run,
	},
	{
		.name = "events",
		.arguments = "[MOUNTPOINT]",
		.help = "follow what happens",
		.max_paths = 1,
		.run = events_run,
	},
	{
		.name = "top",
		.arguments = "[MOUNTPOINT]",
		.help = "cgroups, files and hosts, live on the terminal",
		.options = "d",
		.max_paths = 1,
		.run = top_run,
	},
	{
		.name = "metrics",
		.arguments = "[MOUNTPOINT]",
		.help = "counters and the books, as Prometheus reads them",
		.max_paths = 1,
		.is_text = true,
		.show = show_metrics,
	},
	{
		.name = "reload",
		.arguments = "[MOUNTPOINT]",
		.help = "look at all rules again",
		.max_paths = 1,
	},
	{ 0 },
};

/* For each path; the worst exit status. */
static int run_all(const struct command *command, const struct choices *choices,
		   char **paths, int n_paths)
{
	struct call call = { .command = command, .choices = choices };
	int worst = EXIT_SUCCESS, status, i = 0;

	do {
		call.path = i < n_paths ? paths[i] : NULL;
		status = command->run ? command->run(&call) : call_run(&call);
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
