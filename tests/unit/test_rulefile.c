// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Rule files on disk: found, seen to change, read without a trace, refused.
 * Whose targets count needs cgroups, and is asked by the integration tests.
 */
#include "rulefile.h"

#include "residency.h"
#include "unit.h"
#include "util.h"

static char reason[RULEFILE_REASON_MAX];

static void put(const struct scratch *scratch, const char *text, mode_t mode)
{
	int fd = openat(scratch->fd, RULEFILE_NAME,
			O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int read_it(const struct scratch *scratch, bool is_trusted,
		   struct rules **out)
{
	struct rulefile_source source = {
		.dir_fd = scratch->fd,
		.file = RULEFILE_NAME,
		.shown = "sub/.memcgfs",
		.is_trusted = is_trusted,
	};

	strcpy(reason, "none");
	return rulefile_read(&source, out, reason);
}

static void expect_refused(const struct scratch *scratch, const char *why)
{
	struct rules *rules = NULL;

	assert_int_equal(read_it(scratch, false, &rules), RULEFILE_E_REFUSED);
	assert_null(rules);
	if (strncmp(reason, "sub/.memcgfs:", 13) != 0 || !strstr(reason, why))
		fail_msg("%s", reason);
}

static void test_none(void **state)
{
	struct rulefile_id id = { .ino = 1 };
	struct rules *rules = NULL;

	assert_int_equal(rulefile_look(((struct scratch *)*state)->fd, &id), 0);
	assert_int_equal(id.ino, 0);
	assert_int_equal(read_it(*state, false, &rules), -ENOENT);
	/* The mount's own must be there. */
	assert_int_equal(read_it(*state, true, &rules), RULEFILE_E_REFUSED);
}

static void test_a_good_one(void **state)
{
	struct rules *rules = NULL;

	put(*state, "# mine\n* pin\n", 0644);
	assert_int_equal(read_it(*state, false, &rules), 0);
	assert_int_equal(rules_count(rules), 1);
	assert_string_equal(rules_name(rules), "sub/.memcgfs");
	rules_unref(rules);
}

/* Evicted, and read: not one of its pages has come back. */
static void test_reading_leaves_no_pages(void **state)
{
	struct scratch *scratch = *state;
	static char text[60000];
	struct rules *rules = NULL;
	uint64_t resident = 1;
	int fd;

	memset(text, '#', sizeof(text) - 1);
	put(scratch, text, 0644);
	fd = openat(scratch->fd, RULEFILE_NAME, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	drop_pages(fd);
	assert_int_equal(read_it(scratch, false, &rules), 0);
	rules_unref(rules);
	assert_int_equal(residency_count(fd, 0, 0, &resident), 0);
	assert_int_equal(resident, 0);
	close(fd);
}

static void test_what_is_refused(void **state)
{
	struct scratch *scratch = *state;
	static char text[RULES_FILE_MAX + 2];

	put(scratch, "* pin", 0664);
	expect_refused(scratch, "mode 664");
	put(scratch, "* pin", 0646);
	expect_refused(scratch, "mode 646");
	put(scratch, "* pin\n* foo", 0644);
	expect_refused(scratch, ":2:3: unknown attribute \"foo\"");
	memset(text, '#', RULES_FILE_MAX + 1);
	put(scratch, text, 0644);
	expect_refused(scratch, "65537 bytes; at most 65536");
	put(scratch, "* memcg=@opener", 0644);
	expect_refused(scratch, ": 1: \"memcg=@opener\" needs");

	put(scratch, "* pin", 0644);
	assert_int_equal(
		linkat(scratch->fd, RULEFILE_NAME, scratch->fd, "other", 0), 0);
	expect_refused(scratch, "it has 2 names");

	unlinkat(scratch->fd, RULEFILE_NAME, 0);
	assert_int_equal(symlinkat("other", scratch->fd, RULEFILE_NAME), 0);
	expect_refused(scratch, "not a regular file");
	unlinkat(scratch->fd, RULEFILE_NAME, 0);
	assert_int_equal(mkfifoat(scratch->fd, RULEFILE_NAME, 0600), 0);
	unit_watchdog(10);
	expect_refused(scratch, "not a regular file");
	unit_watchdog(0);
}

/* The mounting user's own word may be a link, and have many names. */
static void test_a_trusted_one(void **state)
{
	struct scratch *scratch = *state;
	struct rules *rules = NULL;

	put(scratch, "* pin", 0644);
	assert_int_equal(
		renameat(scratch->fd, RULEFILE_NAME, scratch->fd, "other"), 0);
	assert_int_equal(linkat(scratch->fd, "other", scratch->fd, "third", 0),
			 0);
	assert_int_equal(symlinkat("other", scratch->fd, RULEFILE_NAME), 0);
	assert_int_equal(read_it(scratch, true, &rules), 0);
	rules_unref(rules);
}

/*
 * Unchanged it is the same, once it is older than a tick of the clock of
 * files; changed, replaced, or gone it is another.
 */
static void test_changes(void **state)
{
	struct scratch *scratch = *state;
	struct rulefile_id first, second, third, none;

	put(scratch, "* pin", 0644);
	assert_int_equal(rulefile_look(scratch->fd, &first), 0);
	assert_true(first.is_young);
	assert_false(rulefile_same(&first, &first));
	unit_sleep_ms(50);
	assert_int_equal(rulefile_look(scratch->fd, &first), 0);
	assert_int_equal(rulefile_look(scratch->fd, &second), 0);
	assert_true(rulefile_same(&second, &first));

	put(scratch, "*-pin", 0644);
	unit_sleep_ms(50);
	assert_int_equal(rulefile_look(scratch->fd, &second), 0);
	assert_false(rulefile_same(&second, &first));

	assert_int_equal(fchmodat(scratch->fd, RULEFILE_NAME, 0600, 0), 0);
	unit_sleep_ms(50);
	assert_int_equal(rulefile_look(scratch->fd, &third), 0);
	assert_false(rulefile_same(&third, &second));

	unlinkat(scratch->fd, RULEFILE_NAME, 0);
	assert_int_equal(rulefile_look(scratch->fd, &none), 0);
	assert_false(rulefile_same(&none, &third));
	assert_true(rulefile_same(&none, &none));
}

int main(void)
{
#define scratch_test(name) \
	cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)
	const struct CMUnitTest tests[] = {
		scratch_test(test_none),
		scratch_test(test_a_good_one),
		scratch_test(test_reading_leaves_no_pages),
		scratch_test(test_what_is_refused),
		scratch_test(test_a_trusted_one),
		scratch_test(test_changes),
	};

	return cmocka_run_group_tests_name("rulefile", tests, NULL, NULL);
}
