// SPDX-License-Identifier: GPL-2.0-or-later
/* What a thread may do, as the kernel sees it. */
#include "creds.h"

#include "unit.h"

#include <linux/capability.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keep_suid),
		cmocka_unit_test(test_around_another),
		cmocka_unit_test(test_a_new_thread),
	};

	unit_watchdog(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
