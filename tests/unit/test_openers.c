// SPDX-License-Identifier: GPL-2.0-or-later
/* Who opens: the account of the cgroup that a thread lives in. */
#include "openers.h"

#include "cgroup.h"
#include "unit.h"
#include "util.h"

struct desk {
	struct cgroup_tree *tree;
	struct books *books;
	struct openers *openers;
	char path[CGROUP_PATH_MAX]; /* of this process's cgroup */
};

static int desk_setup(void **state)
{
	struct desk *desk = calloc(1, sizeof(*desk));

	*state = desk;
	desk->books = books_new();
	if (cgroup_tree_new(&desk->tree) < 0 ||
	    cgroup_tree_path_of(desk->tree, getpid(), desk->path) < 0)
		return 0; /* the tests skip */
	return openers_new(desk->tree, desk->books, &desk->openers);
}

/* Whatever was asked, by whom ever, no reference is left. */
static int desk_teardown(void **state)
{
	struct desk *desk = *state;

	openers_free(desk->openers);
	books_free(desk->books);
	cgroup_tree_free(desk->tree);
	free(desk);
	return 0;
}

static struct desk *get_desk(void **state)
{
	struct desk *desk = *state;

	if (!desk->openers)
		unit_skip("no memory controller here");
	return desk;
}

static void test_the_same_account_again(void **state)
{
	struct desk *desk = get_desk(state);
	struct account *account;

	account = openers_account(desk->openers, getpid(), UINT64_MAX);
	assert_non_null(account);
	assert_string_equal(account_path(account), desk->path);
	assert_ptr_equal(openers_account(desk->openers, getpid(), 0), account);
	assert_ptr_equal(openers_account(desk->openers, getpid(), UINT64_MAX),
			 account);
}

static void test_nobody(void **state)
{
	struct desk *desk = get_desk(state);
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	assert_non_null(openers_account(desk->openers, pid, 0));
	waitpid(pid, NULL, 0);
	/* What was seen holds for as long as the caller says. */
	assert_non_null(openers_account(desk->openers, pid, UINT64_MAX));
	assert_null(openers_account(desk->openers, pid, 0));
	assert_null(openers_account(desk->openers, 0, UINT64_MAX));
	assert_null(openers_account(desk->openers, -1, 0));
}

static void *ask(void *arg)
{
	struct desk *desk = arg;

	for (pid_t pid = 1; pid < 100; pid++)
		openers_account(desk->openers, pid, 0);
	return openers_account(desk->openers, getpid(), 0);
}

/* A worker that ends gives back what it has kept: books_free() would tell. */
static void test_a_thread_ends(void **state)
{
	struct desk *desk = get_desk(state);
	void *account;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, ask, desk), 0);
	pthread_join(thread, &account);
	assert_non_null(account);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_same_account_again,
						desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_nobody, desk_setup,
						desk_teardown),
		cmocka_unit_test_setup_teardown(test_a_thread_ends, desk_setup,
						desk_teardown),
	};

	unit_watchdog(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
