// SPDX-License-Identifier: GPL-2.0-or-later
/* Which process a thread belongs to; see identity.h. */
#include "identity.h"

#include "task.h"
#include "util.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_CLASS_SHIFT 13
#define IOPRIO_CLASS_IDLE 3

/* Numbers of fields in /proc/PID/stat, see task.h. */
#define STAT_PARENT 4
#define STAT_GROUP 5
#define STAT_START 22
#define STAT_POLICY 41

/*
 * Most who ask are alone in their process, or its first thread: the kernel
 * knows that without a text, which takes ten times as long. (Of a thread that
 * isn't the first, or isn't there, it says ESRCH; of another user's, EPERM.)
 */
static pid_t thread_group(pid_t tid)
{
	char path[32], text[1024];
	const char *at;

	if (tgkill(tid, tid, 0) == 0 || errno == EPERM)
		return tid;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	if (read_small_file(AT_FDCWD, path, text, sizeof(text)) < 0)
		return 0;
	at = strstr(text, "\nTgid:");
	return at ? (pid_t)strtol(at + strlen("\nTgid:"), NULL, 10) : 0;
}

static uint64_t stat_number(const char *text, int field)
{
	const char *at = task_stat_field(text, field);

	return at ? strtoull(at, NULL, 10) : 0;
}

static uint64_t ticks_ns(uint64_t ticks)
{
	return ticks * (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK));
}

static void copy_command(char command[IDENTITY_COMMAND_BYTES], const char *text)
{
	const char *begin = strchr(text, '(');
	const char *end = strrchr(text, ')');
	size_t len = begin && end > begin ? (size_t)(end - begin - 1) : 0;

	if (len >= IDENTITY_COMMAND_BYTES)
		len = IDENTITY_COMMAND_BYTES - 1;
	memcpy(command, begin ? begin + 1 : "", len);
	command[len] = '\0';
}

static bool is_idle(pid_t tid, uint64_t policy)
{
	long ioprio = syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, tid);

	return policy == SCHED_IDLE || policy == SCHED_BATCH ||
	       (ioprio >= 0 &&
		ioprio >> IOPRIO_CLASS_SHIFT == IOPRIO_CLASS_IDLE);
}

int identity_read(pid_t tid, struct identity *identity)
{
	char path[32], text[TASK_STAT_BYTES];
	pid_t pid = thread_group(tid);

	if (pid <= 0)
		return -ESRCH;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (read_small_file(AT_FDCWD, path, text, sizeof(text)) < 0)
		return -ESRCH;
	*identity = (struct identity){
		.pid = pid,
		.parent = (pid_t)stat_number(text, STAT_PARENT),
		.group = (pid_t)stat_number(text, STAT_GROUP),
		.start_ns = ticks_ns(stat_number(text, STAT_START)),
		.is_idle = is_idle(tid, stat_number(text, STAT_POLICY)),
	};
	copy_command(identity->command, text);
	return 0;
}
