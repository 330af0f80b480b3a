// SPDX-License-Identifier: GPL-2.0-or-later
/* Other threads, as /proc shows them. */
#include "task.h"

#include "unit.h"
#include "util.h"

static void test_stat_fields(void **state)
{
	/* The name is 16 bytes of anything. */
	const char *text = "17 (a) R (b)) S 1 2 3";

	(void)state;
	assert_int_equal(*task_stat_field(text, TASK_STAT_STATE), 'S');
	assert_string_equal(task_stat_field(text, 4), "1 2 3");
	assert_string_equal(task_stat_field(text, 6), "3");
	assert_null(task_stat_field(text, 7));
	assert_null(task_stat_field("", TASK_STAT_STATE));
	assert_null(task_stat_field("17 (cut", TASK_STAT_STATE));
}

static pid_t start_child(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* One fd for as long as the same thread is asked for, and the next's then. */
static void test_file_of_one_thread(void **state)
{
	struct task_file file = { 0 };
	char text[TASK_STAT_BYTES];
	pid_t first = start_child(), second = start_child();
	int fd;

	(void)state;
	assert_true(task_file_read(&file, first, "stat", text, sizeof(text)) >
		    0);
	assert_int_equal(atoi(text), first);
	fd = file.fd;
	assert_true(task_file_read(&file, first, "stat", text, sizeof(text)) >
		    0);
	assert_int_equal(file.fd, fd);
	assert_true(task_file_read(&file, second, "stat", text, sizeof(text)) >
		    0);
	assert_int_equal(atoi(text), second);
	assert_int_equal(file.tid, second);
	end_child(first);
	end_child(second);
	assert_true(task_file_read(&file, second, "stat", text, sizeof(text)) <
		    0);
	assert_int_equal(file.tid, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat_fields),
		cmocka_unit_test(test_file_of_one_thread),
	};

	unit_watchdog(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
