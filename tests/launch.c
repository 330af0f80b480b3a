/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * launch: become a test's actor, then the program he runs.
 *
 *	launch CGROUP_PROCS UID:GID[:GROUP...] FDS PROGRAM ARGUMENT...
 *
 * Enters the cgroup whose cgroup.procs is named, takes on the identity, may
 * open so many files; an empty word leaves what is. The program dies with the
 * parent, and its files are others' to read. It spares the tests to fork for
 * that, which takes as long as Python is large: in user-mode Linux a tenth of a
 * second each time.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FAILED 125
#define GROUPS_MAX 16

static void die_with_parent(void)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		err(FAILED, "cannot die with the parent");
}

static void enter_cgroup(const char *procs)
{
	int fd = open(procs, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "0", 1) != 1)
		err(FAILED, "cannot enter %s", procs);
	close(fd);
}

static void limit_fds(const char *number)
{
	rlim_t n = strtoul(number, NULL, 10);
	struct rlimit limit = { .rlim_cur = n, .rlim_max = n };

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		err(FAILED, "cannot limit files to %s", number);
}

static void become(char *identity)
{
	unsigned int ids[GROUPS_MAX + 2];
	size_t n = 0;
	char *word;

	while ((word = strsep(&identity, ":"))) {
		if (n == GROUPS_MAX + 2)
			errx(FAILED, "too many groups");
		ids[n++] = strtoul(word, NULL, 10);
	}
	if (n < 2)
		errx(FAILED, "an identity is UID:GID[:GROUP...]");
	if (setgroups(n - 2, ids + 2) < 0 ||
	    setresgid(ids[1], ids[1], ids[1]) < 0 ||
	    setresuid(ids[0], ids[0], ids[0]) < 0)
		err(FAILED, "cannot become user %u", ids[0]);
}

int main(int argc, char **argv)
{
	if (argc < 5)
		errx(FAILED, "usage: launch CGROUP_PROCS IDENTITY FDS PROGRAM "
			     "ARGUMENT...");
	if (*argv[1])
		enter_cgroup(argv[1]);
	umask(022);
	if (*argv[3])
		limit_fds(argv[3]);
	if (*argv[2])
		become(argv[2]);
	die_with_parent(); /* a change of identity would clear it */
	execvp(argv[4], argv + 4);
	err(errno == ENOENT ? 127 : 126, "%s", argv[4]);
}
