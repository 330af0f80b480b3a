// SPDX-License-Identifier: GPL-2.0-or-later
/* What the daemon's process is set up with; see process.h. */
#include "process.h"

#include "log.h"
#include "util.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

void process_open_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	close_fd(fd);
}

void process_raise_limits(void)
{
	struct rlimit files, sizes = { RLIM_INFINITY, RLIM_INFINITY };

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	/* Clients' limits are checked by their own kernel. */
	setrlimit(RLIMIT_FSIZE, &sizes);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	umask(0);
}

bool process_protect_from_oom(void)
{
	cleanup_close int fd =
		open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, "-1000", 5) == 5;
}

void process_let_go_of_terminal(void)
{
	cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	log_to_syslog();
	/* Relative paths are resolved by now. */
	if (null < 0 || chdir("/") < 0)
		return;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		dup2(null, fd);
}
