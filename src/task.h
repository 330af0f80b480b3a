/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Other threads of the system, as /proc/TID shows them. */
#ifndef MEMCGFS_TASK_H
#define MEMCGFS_TASK_H

#include <stddef.h>
#include <sys/types.h>

/*
 * A file of /proc/TID that is asked again and again: its fd names one thread,
 * not a number that may be used again, and tells at each read what holds now.
 * A repeated question is one system call. Zeroed, it is of no thread.
 */
struct task_file {
	pid_t tid; /* 0: none is open */
	int fd;
};

/*
 * Reads the file @name of a thread into @text, and ends it there. The bytes
 * read, or a negative number: there is no such thread.
 */
ssize_t task_file_read(struct task_file *file, pid_t tid, const char *name,
		       char *text, size_t size);

void task_file_close(struct task_file *file);

/* Fields of /proc/TID/stat, by their numbers in proc_pid_stat(5), from 3 on. */
#define TASK_STAT_STATE 3
#define TASK_STAT_FLAGS 9
#define TASK_STAT_PROCESSOR 39
#define TASK_STAT_BYTES 1024

/* Of the flags: PF_EXITING of include/linux/sched.h. */
#define TASK_FLAG_ENDING 0x4

/* Where in the text of the file a field begins, or NULL. */
const char *task_stat_field(const char *text, int field);

#endif
