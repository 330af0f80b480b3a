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

/* Asks, and gives the answer back at once: an address to compare. */
static struct account *ask(struct desk *desk, pid_t tid, uint64_t age_ns)
{
	struct account *account = openers_account(desk->openers, tid, age_ns);

	account_unref(account);
	return account;
}

static void test_the_same_account_again(void **state)
{
	struct desk *desk = get_desk(state);
	struct account *account;

	account = openers_account(desk->openers, getpid(), UINT64_MAX);
	assert_non_null(account);
	assert_string_equal(account_path(account), desk->path);
	assert_ptr_equal(ask(desk, getpid(), 0), account);
	assert_ptr_equal(ask(desk, getpid(), UINT64_MAX), account);
	account_unref(account);
}

static void test_nobody(void **state)
{
	struct desk *desk = get_desk(state);
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	assert_non_null(ask(desk, pid, 0));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* What was seen holds for as long as the caller says. */
	assert_non_null(ask(desk, pid, UINT64_MAX));
	assert_null(ask(desk, pid, 0));
	assert_null(ask(desk, 0, UINT64_MAX));
	assert_null(ask(desk, -1, 0));
}

static size_t count_accounts(struct desk *desk)
{
	struct account_view *views;
	size_t n;

	books_prune(desk->books);
	assert_int_equal(books_view(desk->books, &views, &n), 0);
	books_view_free(views, n);
	return n;
}

/* What is kept for the next time holds no account for ever. */
static void test_expiry(void **state)
{
	struct desk *desk = get_desk(state);
	uint64_t before = now_ns();
	size_t known;

	assert_non_null(ask(desk, getpid(), 0));
	known = count_accounts(desk);
	assert_true(known > 1 || strcmp(desk->path, "/") == 0);
	openers_expire(desk->openers, before);
	assert_int_equal(count_accounts(desk), known);
	openers_expire(desk->openers, UINT64_MAX);
	assert_int_equal(count_accounts(desk), 1); /* the root */
	assert_non_null(ask(desk, getpid(), UINT64_MAX));
	assert_int_equal(count_accounts(desk), known);
}

static void *ask_all(void *arg)
{
	struct desk *desk = arg;

	for (int round = 0; round < UNIT_ROUNDS(100); round++)
		for (pid_t pid = 1; pid < 20; pid++)
			ask(desk, pid, 1000000);
	return ask(desk, getpid(), 0);
}

/* While others ask: who takes a reference out of a cache has it alone. */
static void test_expiry_while_others_ask(void **state)
{
	struct desk *desk = get_desk(state);
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, ask_all, desk), 0);
	for (int i = 0; i < UNIT_ROUNDS(1000); i++) {
		openers_expire(desk->openers, now_ns());
		books_prune(desk->books);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(count_accounts(desk), 1);
}

/* A worker that ends gives back what it has kept: books_free() would tell. */
static void test_a_thread_ends(void **state)
{
	struct desk *desk = get_desk(state);
	void *account;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, ask_all, desk), 0);
	pthread_join(thread, &account);
	assert_non_null(account);
}

/* Where cgroup v1 has it is no place that it lived in; v2 remembers. */
static void test_a_zombie(void **state)
{
	struct desk *desk = get_desk(state);
	struct account *account;
	siginfo_t info;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	account = openers_account(desk->openers, pid, 0);
	if (account)
		assert_string_equal(account_path(account), desk->path);
	account_unref(account);
	waitpid(pid, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_same_account_again,
						desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_nobody, desk_setup,
						desk_teardown),
		cmocka_unit_test_setup_teardown(test_a_zombie, desk_setup,
						desk_teardown),
		cmocka_unit_test_setup_teardown(test_expiry, desk_setup,
						desk_teardown),
		cmocka_unit_test_setup_teardown(test_expiry_while_others_ask,
						desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_a_thread_ends, desk_setup,
						desk_teardown),
	};

	unit_watchdog(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
