// SPDX-License-Identifier: GPL-2.0-or-later
/* A list of those who are scanners anyway. */
#include "scanlist.h"

#include "unit.h"

#include "util.h"

#define TREE "/sys/fs/cgroup"

static const struct scanlist_reader nightly = {
	.command = "tar",
	.cgroup = "/backup.slice/nightly",
	.uid = 34,
};

static void test_what_is_a_list(void **state)
{
	static const char *const valid[] = {
		"tar",
		"tar:grep",
		"cgroup:/a",
		"uid:0",
		"a b:cgroup:/:uid:4294967294",
	};
	static const char *const invalid[] = {
		"",
		":",
		"tar:",
		":tar",
		"tar::grep",
		"/bin/tar",
		"cgroup",
		"cgroup:",
		"cgroup:a",
		"uid",
		"uid:",
		"uid:x",
		"uid:-1",
		"uid:4294967295",
		"uid:99999999999",
		"cgroup:/a:b:",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(valid); i++)
		if (!scanlist_is_valid(valid[i]))
			fail_msg("\"%s\" is refused", valid[i]);
	for (size_t i = 0; i < ARRAY_SIZE(invalid); i++)
		if (scanlist_is_valid(invalid[i]))
			fail_msg("\"%s\" is accepted", invalid[i]);
}

static void test_whom_it_names(void **state)
{
	static const char *const naming[] = {
		"tar",
		"grep:tar",
		"cgroup:/backup.slice",
		"cgroup:/",
		"uid:34",
		"cgroup:/backup.slice/nightly/",
		"uid:7:uid:34",
		"cgroup:" TREE "/backup.slice",
	};
	static const char *const others[] = {
		"ta",
		"tart",
		"grep:rsync",
		"uid:3",
		"uid:340",
		"backup.slice",
		"cgroup:/backup",
		"cgroup:/backup.slice/night",
		"cgroup:/backup.slice/nightly/more",
		"cgroup:" TREE "x/tar",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(naming); i++)
		if (!scanlist_names(naming[i], TREE, &nightly))
			fail_msg("\"%s\" doesn't name him", naming[i]);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (scanlist_names(others[i], TREE, &nightly))
			fail_msg("\"%s\" names him", others[i]);
}

/* Of a long name the kernel keeps 15 bytes; who is nowhere is in no cgroup. */
static void test_what_the_kernel_tells(void **state)
{
	struct scanlist_reader reader = { .command = "updatedb.plocat" };

	(void)state;
	assert_true(scanlist_names("updatedb.plocate", TREE, &reader));
	assert_true(scanlist_names("updatedb.plocat", TREE, &reader));
	assert_false(scanlist_names("updatedb.mlocate", TREE, &reader));
	assert_false(scanlist_names("cgroup:/", TREE, &reader));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_a_list),
		cmocka_unit_test(test_whom_it_names),
		cmocka_unit_test(test_what_the_kernel_tells),
	};

	unit_watchdog(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
