// SPDX-License-Identifier: GPL-2.0-or-later
/* What a charger may still do; see sandbox.h. */
#include "sandbox.h"

#include "creds.h"
#include "util.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Newer than the C library's headers may know. */
#ifndef __NR_cachestat
#define __NR_cachestat 451
#endif

/*
 * To open or truncate any covered file anew, without a trace in its atime; to
 * keep suid bits where root writes; to see page frames in /proc/self/pagemap;
 * to lock pages of pinned files.
 */
#define CHARGER_CAPS                                                      \
	(CREDS_MASK(CAP_DAC_OVERRIDE) | CREDS_MASK(CAP_DAC_READ_SEARCH) | \
	 CREDS_MASK(CAP_FOWNER) | CREDS_MASK(CAP_FSETID) |                \
	 CREDS_MASK(CAP_IPC_LOCK) | CREDS_MASK(CAP_SYS_ADMIN))

/*
 * To do for clients what their own kernel has allowed them (each right over
 * files, all xattrs, device nodes, ids and groups of new files), to mount and
 * pass through, and to see openers where /proc hides other users' processes.
 */
#define DAEMON_CAPS                                                      \
	(CHARGER_CAPS | CREDS_MASK(CAP_CHOWN) | CREDS_MASK(CAP_SETUID) | \
	 CREDS_MASK(CAP_SETGID) | CREDS_MASK(CAP_MKNOD) |                \
	 CREDS_MASK(CAP_SETFCAP) | CREDS_MASK(CAP_LINUX_IMMUTABLE) |     \
	 CREDS_MASK(CAP_SYS_PTRACE))

/* The sanitizers' runtimes make calls of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#else
#define IS_SANITIZED 0
#endif

#define OPEN_TO_WRITE (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)

static const int allowed[] = {
	/* the calls themselves */
	SCMP_SYS(pread64),
	SCMP_SYS(preadv2),
	SCMP_SYS(pwritev2),
	SCMP_SYS(splice),
	SCMP_SYS(truncate),
	SCMP_SYS(ftruncate),
	SCMP_SYS(fallocate),
	SCMP_SYS(copy_file_range),
	SCMP_SYS(sync_file_range),
	SCMP_SYS(fadvise64),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(close),
	/* looking at pages */
	__NR_cachestat,
	SCMP_SYS(mincore),
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(madvise),
	SCMP_SYS(mlock),
	/* rights, and where to run */
	SCMP_SYS(capget),
	SCMP_SYS(capset),
	SCMP_SYS(sched_setaffinity),
	SCMP_SYS(sched_yield),
	/* the C library, and its end */
	SCMP_SYS(futex),
	SCMP_SYS(brk),
	SCMP_SYS(mprotect),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(pause),
	SCMP_SYS(ppoll),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* What was dropped doesn't come back by execve(2). */
static int limit_for_good(uint32_t caps)
{
	int r = creds_limit(caps);

	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = -errno;
	return r;
}

/* An ordinary user's mounts by fusermount3(1), which is suid. */
int sandbox_drop_daemon_capabilities(void)
{
	return geteuid() ? creds_limit(DAEMON_CAPS) :
			   limit_for_good(DAEMON_CAPS);
}

int sandbox_drop_charger_capabilities(void)
{
	return limit_for_good(CHARGER_CAPS);
}

static int add_rules(scmp_filter_ctx filter, int procs_fd)
{
	int r;

	r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0) /* the kernel's own errors */
		r = seccomp_attr_set(filter, SCMP_FLTATR_API_SYSRAWRC, 1);
	for (size_t i = 0; i < ARRAY_SIZE(allowed) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	if (r == 0)
		r = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
			SCMP_A2(SCMP_CMP_MASKED_EQ, OPEN_TO_WRITE, O_RDONLY));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(write), 1,
				     SCMP_A0(SCMP_CMP_EQ,
					     (scmp_datum_t)procs_fd));
	return r;
}

int sandbox_filter_calls(int procs_fd)
{
	scmp_filter_ctx filter;
	int r;

	if (IS_SANITIZED)
		return 0;
	filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!filter)
		return -ENOMEM;
	r = add_rules(filter, procs_fd);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}
