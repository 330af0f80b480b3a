// SPDX-License-Identifier: GPL-2.0-or-later
/* What a thread may do, as the kernel sees it. */
#include "creds.h"

#include "unit.h"

#include <linux/capability.h>
#include <sched.h>

static bool has_fsetid(void)
{
	return creds_have(CREDS_MASK(CAP_FSETID));
}

static void test_keep_suid(void **state)
{
	(void)state;
	if (!has_fsetid())
		unit_skip("no CAP_FSETID");
	for (int i = 0; i < 2; i++) {
		creds_keep_suid(false);
		assert_false(has_fsetid());
	}
	creds_keep_suid(true);
	assert_true(has_fsetid());
}

/* Acting for another takes it away, and the end of that gives it back. */
static void test_around_another(void **state)
{
	struct caller caller = { .uid = 65534, .gid = 65534 };

	(void)state;
	if (!has_fsetid())
		unit_skip("no CAP_FSETID");
	for (int i = 0; i < 2; i++) {
		creds_keep_suid(i);
		assert_int_equal(creds_assume(&caller), 0);
		assert_false(has_fsetid());
		creds_restore();
		creds_keep_suid(true);
		assert_true(has_fsetid());
		creds_keep_suid(false);
		assert_false(has_fsetid());
		creds_keep_suid(true);
	}
}

static void *keep_thread(void *arg)
{
	bool *kept = arg;

	creds_keep_suid(true);
	*kept = has_fsetid();
	return NULL;
}

/* A thread has what its maker had, which was not what it thinks it has. */
static void test_a_new_thread(void **state)
{
	pthread_t thread;
	bool kept = false;

	(void)state;
	if (!has_fsetid())
		unit_skip("no CAP_FSETID");
	creds_keep_suid(false);
	pthread_create(&thread, NULL, keep_thread, &kept);
	pthread_join(thread, NULL);
	creds_keep_suid(true);
	assert_true(kept);
}

/* Writes the one line of a new user namespace's map: root is root. */
static bool map_root(pid_t pid, const char *map)
{
	char name[64];
	bool written;
	int fd;

	snprintf(name, sizeof(name), "/proc/%d/%s", (int)pid, map);
	fd = open(name, O_WRONLY | O_CLOEXEC);
	written = fd >= 0 && write(fd, "0 0 1", 5) == 5;
	close(fd);
	return written;
}

/*
 * In a namespace that knows root alone nobody can take on user 12001: that
 * is said, and not taken for being him. Else root's rights would be his.
 */
static int assume_one_without_a_number(int ready_fd, int go_fd)
{
	struct caller user = { .uid = 12001, .gid = 0 };
	char byte = 'x';

	if (unshare(CLONE_NEWUSER) < 0)
		return 3;
	if (write(ready_fd, &byte, 1) != 1 || read(go_fd, &byte, 1) != 1)
		return 2;
	if (creds_assume_rights(&user) != -EPERM)
		return 1;
	return creds_have(CREDS_MASK(CAP_DAC_OVERRIDE)) ? 0 : 4;
}

static void in_a_namespace(void *arg)
{
	int ready[2], go[2], status;
	char byte;
	pid_t pid;

	(void)arg;
	if (pipe(ready) < 0 || pipe(go) < 0)
		_exit(2);
	pid = fork();
	if (pid == 0)
		_exit(assume_one_without_a_number(ready[1], go[0]));
	close(ready[1]);
	if (read(ready[0], &byte, 1) == 1 &&
	    (!map_root(pid, "uid_map") || !map_root(pid, "gid_map") ||
	     write(go[1], &byte, 1) != 1))
		_exit(2);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		_exit(5);
	_exit(WEXITSTATUS(status));
}

static void test_one_without_a_number(void **state)
{
	int status;

	(void)state;
	if (!creds_can_switch())
		unit_skip("no right to switch");
	status = status_of_child(in_a_namespace, NULL);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 3)
		unit_skip("no user namespaces here");
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keep_suid),
		cmocka_unit_test(test_around_another),
		cmocka_unit_test(test_a_new_thread),
		cmocka_unit_test(test_one_without_a_number),
	};

	unit_watchdog(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
