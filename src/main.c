// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memcgfs: mounts a directory so that all of its file cache is charged to
 * one memory cgroup.
 *
 * Here: the process, in the foreground or not; its work is session.h's.
 */
#include "connection.h"
#include "log.h"
#include "process.h"
#include "remount.h"
#include "session.h"
#include "util.h"

#include <fcntl.h>
#include <stdio.h>

/* The one that was started waits for the one that serves. */
static int wait_for_report(int fd)
{
	signed char result = -1;

	return read(fd, &result, 1) == 1 && result == 0 ? EXIT_SUCCESS :
							  EXIT_FAILURE;
}

static int run_in_background(struct options *options)
{
	int report_fds[2];
	pid_t pid;

	if (pipe2(report_fds, O_CLOEXEC) < 0) {
		log_error_errno(-errno, "cannot start");
		return EXIT_FAILURE;
	}
	pid = fork();
	if (pid < 0) {
		log_error_errno(-errno, "cannot start");
		return EXIT_FAILURE;
	}
	if (pid) {
		close_fd(report_fds[1]);
		options_clear(options);
		return wait_for_report(report_fds[0]);
	}
	close_fd(report_fds[0]);
	setsid();
	return session_run(options, report_fds[1]);
}

int main(int argc, char **argv)
{
	struct options options;

	process_open_standard_fds();
	if (remount_is_asked(argc, argv))
		return remount(argc, argv) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	if (options_parse(argc, argv, geteuid() == 0, &options) < 0)
		return EXIT_FAILURE;
	if (options.debug)
		log_set_level(LOG_LEVEL_DEBUG);
	switch (options.action) {
	case OPTIONS_HELP:
		options_print_help();
		break;
	case OPTIONS_VERSION:
		printf("memcgfs %s, libfuse %s\n", MEMCGFS_VERSION,
		       connection_library_version());
		break;
	case OPTIONS_CHECK:
		break;
	case OPTIONS_MOUNT:
		return options.foreground ? session_run(&options, -1) :
					    run_in_background(&options);
	}
	options_clear(&options);
	return EXIT_SUCCESS;
}
