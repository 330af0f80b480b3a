// SPDX-License-Identifier: GPL-2.0-or-later
/* Other threads of the system; see task.h. */
#include "task.h"

#include "util.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static ssize_t read_again(const struct task_file *file, char *text, size_t size)
{
	ssize_t n = pread(file->fd, text, size - 1, 0);

	if (n >= 0)
		text[n] = '\0';
	return n;
}

ssize_t task_file_read(struct task_file *file, pid_t tid, const char *name,
		       char *text, size_t size)
{
	char path[64];
	ssize_t n;

	if (file->tid == tid) {
		n = read_again(file, text, size);
		if (n >= 0)
			return n;
	}
	task_file_close(file);
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)tid, name);
	file->fd = open(path, O_RDONLY | O_CLOEXEC);
	file->tid = file->fd >= 0 ? tid : 0;
	return file->fd >= 0 ? read_again(file, text, size) : -1;
}

void task_file_close(struct task_file *file)
{
	if (file->tid)
		close_fd(file->fd);
	file->tid = 0;
}

const char *task_stat_field(const char *text, int field)
{
	/* The second one, a name in parentheses, may have anything in it. */
	const char *at = strrchr(text, ')');

	for (int i = 2; at && i < field; i++) {
		at = strchr(at, ' ');
		at = at ? at + 1 : NULL;
	}
	return at;
}
