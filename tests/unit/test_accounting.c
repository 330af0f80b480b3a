// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The books: charges that undo exactly, and at every account
 * usage(A) = sum of usage(children) + own(A).
 */
#include "accounting.h"

#include "unit.h"
#include "util.h"

/*
 * The first table of "[RFC] Making memcg track ownership per address_space
 * or anon_vma" (Tejun Heo, 4 Feb 2015):
 *	A (usage=48M)
 *	+-B (usage=16M)
 *	\-C (usage=32M)
 */
static void test_first_table(void **state)
{
	struct account_charge b_file = { 0 }, c_file = { 0 };
	struct account *a = account_new(NULL, "A");
	struct account *b = account_new(a, "B");
	struct account *c = account_new(a, "C");

	account_charge(b, &b_file, 16 * MIB);
	account_charge(c, &c_file, 32 * MIB);
	assert_int_equal(account_usage(b), 16 * MIB);
	assert_int_equal(account_usage(c), 32 * MIB);
	assert_int_equal(account_usage(a), 48 * MIB);
	assert_int_equal(account_own(a), 0);

	account_uncharge(&b_file);
	assert_int_equal(account_usage(a), 32 * MIB);
	account_uncharge(&c_file);
	assert_int_equal(account_usage(a), 0);
	assert_null(account_free(a));
}

/* "/" over "web" over "web/api": each counts all below it. */
static void test_three_levels(void **state)
{
	struct account *root = account_new(NULL, "/");
	struct account *web = account_new(root, "web");
	struct account *api = account_new(web, "web/api");
	struct account_charge files[3] = { 0 };

	assert_string_equal(account_name(api), "web/api");
	account_charge(root, &files[0], 1);
	account_charge(web, &files[1], 20);
	account_charge(api, &files[2], 300);
	assert_int_equal(account_usage(api), 300);
	assert_int_equal(account_usage(web), 320);
	assert_int_equal(account_usage(root), 321);
	assert_int_equal(account_own(web), 20);
	for (int i = 0; i < 3; i++)
		account_uncharge(&files[i]);
	account_free(root);
}

/* A file grows from 4K to 12K, and moves: the old charge is taken back. */
static void test_a_charge_remembers(void **state)
{
	struct account *root = account_new(NULL, "root");
	struct account *b = account_new(root, "B");
	struct account *c = account_new(root, "C");
	struct account_charge file = { 0 };

	account_charge(b, &file, 4096);
	account_charge(b, &file, 12288);
	assert_int_equal(account_own(b), 12288);
	account_charge(c, &file, 8192);
	assert_int_equal(account_own(b), 0);
	assert_int_equal(account_own(c), 8192);
	assert_ptr_equal(file.account, c);
	assert_int_equal(file.bytes, 8192);

	account_uncharge(&file);
	assert_null(file.account);
	account_uncharge(&file); /* nothing is left to undo */
	assert_int_equal(account_usage(root), 0);
	account_charge(b, &file, 0);
	account_uncharge(&file);
	account_free(root);
}

/* Accounts go in any order; a child that goes leaves its parent's list. */
static void test_freeing(void **state)
{
	struct account *root = account_new(NULL, "root");
	struct account *b = account_new(root, "B");
	struct account *c = account_new(root, "C");
	struct account_charge file = { 0 };

	account_new(c, "C/deep");
	assert_null(account_free(b));
	account_charge(c, &file, 5);
	assert_int_equal(account_usage(root), 5);
	account_uncharge(&file);
	assert_null(account_free(root)); /* C and all below it, too */
	assert_null(account_free(NULL));
}

static void free_account(void *account)
{
	account_free(account);
}

/* A charge that is left, there or below, is found by who frees. */
static void test_a_leaked_charge_dies_here(void **state)
{
	struct account *root = account_new(NULL, "root");
	struct account *b = account_new(root, "B");
	struct account_charge file = { 0 };

	account_charge(b, &file, 1);
	expect_abort(free_account, b);
	expect_abort(free_account, root);
	account_uncharge(&file);
	account_free(root);
}

static void uncharge(void *charge)
{
	account_uncharge(charge);
}

/* Nobody gives back more than an account has. */
static void test_a_false_charge_dies_here(void **state)
{
	struct account *b = account_new(NULL, "B");
	struct account_charge forged = { .account = b, .bytes = 1 };

	expect_abort(uncharge, &forged);
	account_free(b);
}

/* -- a random history against books kept the naive way -- */

#define ACCOUNTS 20
#define FILES 100

struct model {
	struct account *accounts[ACCOUNTS];
	int parents[ACCOUNTS]; /* -1: of the root */
	struct account_charge files[FILES];
	int holders[FILES]; /* -1: not charged */
	uint64_t bytes[FILES];
};

static void model_build(struct model *model, uint32_t *seed)
{
	char name[16];

	memset(model, 0, sizeof(*model));
	for (int i = 0; i < ACCOUNTS; i++) {
		model->parents[i] =
			i ? (int)(unit_random(seed) % (unsigned int)i) : -1;
		snprintf(name, sizeof(name), "cgroup-%d", i);
		model->accounts[i] = account_new(
			i ? model->accounts[model->parents[i]] : NULL, name);
	}
	for (int i = 0; i < FILES; i++)
		model->holders[i] = -1;
}

static void model_step(struct model *model, uint32_t *seed)
{
	int file = (int)(unit_random(seed) % FILES);

	if (unit_random(seed) % 3 == 0) {
		account_uncharge(&model->files[file]);
		model->holders[file] = -1;
		return;
	}
	model->holders[file] = (int)(unit_random(seed) % ACCOUNTS);
	model->bytes[file] = unit_random(seed) % (64 * MIB);
	account_charge(model->accounts[model->holders[file]],
		       &model->files[file], model->bytes[file]);
}

static uint64_t model_own(const struct model *model, int account)
{
	uint64_t sum = 0;

	for (int i = 0; i < FILES; i++)
		if (model->holders[i] == account)
			sum += model->bytes[i];
	return sum;
}

/* Children come after their parents. */
static void assert_balanced(const struct model *model)
{
	uint64_t children[ACCOUNTS] = { 0 };
	uint64_t usage;

	for (int i = ACCOUNTS - 1; i >= 0; i--) {
		usage = children[i] + model_own(model, i);
		assert_int_equal(account_own(model->accounts[i]),
				 model_own(model, i));
		assert_int_equal(account_usage(model->accounts[i]), usage);
		if (model->parents[i] >= 0)
			children[model->parents[i]] += usage;
	}
}

/* 10 trees of 20 cgroups, 100 files, 2,000 moves each. */
static void test_random_histories(void **state)
{
	struct model model;

	for (uint32_t story = 1; story <= 10; story++) {
		uint32_t seed = story * 7919;

		model_build(&model, &seed);
		for (int step = 0; step < 2000; step++) {
			model_step(&model, &seed);
			if (step % 20 == 0)
				assert_balanced(&model);
		}
		for (int i = 0; i < FILES; i++)
			account_uncharge(&model.files[i]);
		assert_int_equal(account_usage(model.accounts[0]), 0);
		account_free(model.accounts[0]);
	}
}

struct charging_thread {
	struct account *account;
	struct account_charge charge;
};

static void *charging_thread(void *arg)
{
	struct charging_thread *thread = arg;

	for (uint64_t i = 1; i <= 20000; i++)
		account_charge(thread->account, &thread->charge, i);
	return NULL;
}

/* 8 threads charge one account at a time: nothing is lost. */
static void test_concurrent_charges(void **state)
{
	struct account *root = account_new(NULL, "root");
	struct charging_thread threads[8] = { { 0 } };

	for (int i = 0; i < 8; i++)
		threads[i].account = root;
	run_threads(8, charging_thread, threads, sizeof(threads[0]));
	assert_int_equal(account_usage(root), 8 * 20000);
	for (int i = 0; i < 8; i++)
		account_uncharge(&threads[i].charge);
	account_free(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_table),
		cmocka_unit_test(test_three_levels),
		cmocka_unit_test(test_a_charge_remembers),
		cmocka_unit_test(test_freeing),
		cmocka_unit_test(test_a_leaked_charge_dies_here),
		cmocka_unit_test(test_a_false_charge_dies_here),
		cmocka_unit_test(test_random_histories),
		cmocka_unit_test(test_concurrent_charges),
	};

	return cmocka_run_group_tests_name("accounting", tests, NULL, NULL);
}
