// SPDX-License-Identifier: GPL-2.0-or-later
/* Which process a thread belongs to. */
#include "identity.h"

#include "unit.h"

#include "util.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define TICK_NS UINT64_C(20000000)

static void test_a_process(void **state)
{
	struct identity own;
	uint64_t now = clock_ns(CLOCK_BOOTTIME);

	(void)state;
	assert_int_equal(identity_read(getpid(), &own), 0);
	assert_int_equal(own.pid, getpid());
	assert_int_equal(own.parent, getppid());
	assert_int_equal(own.group, getpgrp());
	assert_string_equal(own.command, "test_identity");
	assert_in_range(own.start_ns, 1, now);
	assert_false(own.is_idle);
}

static void *name_own(void *arg)
{
	struct identity *found = arg;

	prctl(PR_SET_NAME, "a thread");
	identity_read((pid_t)syscall(SYS_gettid), found);
	return NULL;
}

/* It is its process, by whatever name it goes. */
static void test_a_thread(void **state)
{
	struct identity own, of_thread = { 0 };
	pthread_t thread;

	(void)state;
	identity_read(getpid(), &own);
	assert_int_equal(pthread_create(&thread, NULL, name_own, &of_thread),
			 0);
	pthread_join(thread, NULL);
	assert_int_equal(of_thread.pid, getpid());
	assert_int_equal(of_thread.start_ns, own.start_ns);
	assert_string_equal(of_thread.command, own.command);
}

/* A child that does nothing but wait, at idle priority, under an odd name. */
static pid_t idler(void)
{
	struct sched_param param = { 0 };
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sched_setscheduler(0, SCHED_IDLE, &param);
	prctl(PR_SET_NAME, "odd) R (one");
	for (;;)
		pause();
}

static void test_another(void **state)
{
	struct identity found = { 0 };
	uint64_t before = clock_ns(CLOCK_BOOTTIME);
	pid_t pid = idler();

	(void)state;
	for (int i = 0; i < 1000 && found.command[0] != 'o'; i++) {
		assert_int_equal(identity_read(pid, &found), 0);
		usleep(1000);
	}
	assert_string_equal(found.command, "odd) R (one");
	assert_int_equal(found.parent, getpid());
	assert_true(found.start_ns + TICK_NS >= before);
	assert_true(found.is_idle);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(identity_read(pid, &found), -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_process),
		cmocka_unit_test(test_a_thread),
		cmocka_unit_test(test_another),
	};

	unit_watchdog(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
