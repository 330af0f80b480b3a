// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One file's entry: who pays for it, who uses it, who carries it for whom. The
 * module is built in here, as its memory is to run out.
 */
#include "unit.h"
#include "util.h"

#include <limits.h>

static unsigned int allocations_left = UINT_MAX;

static bool is_out_of_memory(void)
{
	if (!allocations_left)
		return true;
	allocations_left--;
	return false;
}

static void *scarce_calloc(size_t n, size_t size)
{
	return is_out_of_memory() ? NULL : calloc(n, size);
}

static void *scarce_realloc(void *p, size_t size)
{
	return is_out_of_memory() ? NULL : realloc(p, size);
}

#define calloc scarce_calloc
#define realloc scarce_realloc
#include "../../src/account_file.c"
#undef calloc
#undef realloc

/*
 *	/
 *	+-web
 *	| +-api
 *	| | +-one
 *	| | \-two
 *	| \-www
 *	\-batch
 */
struct firm {
	struct books *books;
	struct account *root, *web, *api, *one, *two, *www, *batch;
	struct account_file file;
};

static int firm_setup(void **state)
{
	struct firm *firm = calloc(1, sizeof(*firm));

	assert_non_null(firm);
	firm->books = books_new();
	firm->root = books_find(firm->books, "/");
	firm->web = books_find(firm->books, "/web");
	firm->api = books_find(firm->books, "/web/api");
	firm->one = books_find(firm->books, "/web/api/one");
	firm->two = books_find(firm->books, "/web/api/two");
	firm->www = books_find(firm->books, "/web/www");
	firm->batch = books_find(firm->books, "/batch");
	*state = firm;
	return 0;
}

static int firm_teardown(void **state)
{
	struct firm *firm = *state;

	account_file_clear(&firm->file);
	assert_true(books_balance(firm->books));
	account_unref(firm->root);
	account_unref(firm->web);
	account_unref(firm->api);
	account_unref(firm->one);
	account_unref(firm->two);
	account_unref(firm->www);
	account_unref(firm->batch);
	assert_null(books_free(firm->books));
	free(firm);
	return 0;
}

static void host(struct firm *firm, struct account *account)
{
	assert_int_equal(account_file_set_host(&firm->file, account), 0);
}

static void use(struct firm *firm, struct account *account, uint32_t now_s)
{
	assert_int_equal(account_file_use(&firm->file, account, now_s), 0);
}

static void charge(struct firm *firm, uint64_t bytes)
{
	assert_int_equal(account_file_charge(&firm->file, bytes, NULL, 0), 0);
}

/* And so many bytes of another payer. */
static void charge_both(struct firm *firm, uint64_t bytes,
			struct account *payer, uint64_t foreign_bytes)
{
	struct account_part part = { .account = payer, .bytes = foreign_bytes };

	assert_int_equal(account_file_charge(&firm->file, bytes, &part, 1), 0);
}

static void assert_pays(const struct account *account, uint64_t own,
			uint64_t hosted)
{
	assert_int_equal(account_own(account), own);
	assert_int_equal(account_hosted(account), hosted);
}

/* -- own and hosted -- */

/* The host's own: it uses the file, or nobody does. Else others' alone. */
static void test_own_and_hosted(void **state)
{
	struct firm *firm = *state;

	host(firm, firm->api);
	charge(firm, 100);
	assert_pays(firm->api, 100, 0);
	use(firm, firm->www, 1);
	assert_pays(firm->api, 0, 100);
	charge(firm, 120);
	assert_pays(firm->api, 0, 120);
	use(firm, firm->api, 2);
	assert_pays(firm->api, 120, 0);
	account_file_decay(&firm->file, 3);
	assert_pays(firm->api, 120, 0);
	assert_int_equal(firm->file.n_uses, 0);
}

/* A foreign payer's part is its own, or hosted, as the host's is. */
static void test_foreign_parts(void **state)
{
	struct firm *firm = *state;

	host(firm, firm->api);
	charge_both(firm, 100, firm->www, 30);
	assert_pays(firm->www, 30, 0);
	use(firm, firm->batch, 1);
	assert_pays(firm->api, 0, 100);
	assert_pays(firm->www, 0, 30);
	use(firm, firm->www, 1);
	assert_pays(firm->api, 0, 100);
	assert_pays(firm->www, 30, 0);
	assert_int_equal(account_foreign(firm->www), 30);
	assert_int_equal(account_foreign(firm->web), 0);
	assert_int_equal(account_foreign(firm->api), 0);
	assert_int_equal(account_shared(firm->www), 130);
	assert_int_equal(account_file_resident(&firm->file), 130);
	assert_int_equal(account_file_foreign(&firm->file), 30);
	assert_int_equal(account_usage(firm->web), 130);

	/* Claimed: the host has it. */
	charge(firm, 130);
	assert_pays(firm->www, 0, 0);
	assert_int_equal(account_foreign(firm->www), 0);
	assert_int_equal(account_shared(firm->www), 130);
}

/* A part of nothing is none, two of one account are one, the host's is its. */
static void test_odd_parts(void **state)
{
	struct firm *firm = *state;
	struct account_part parts[] = {
		{ .account = firm->www, .bytes = 0 },
		{ .account = firm->batch, .bytes = 1 },
		{ .account = firm->api, .bytes = 20 },
		{ .account = firm->batch, .bytes = 2 },
	};

	host(firm, firm->api);
	assert_int_equal(account_file_charge(&firm->file, 100, parts, 4), 0);
	assert_int_equal(firm->file.n_foreign, 1);
	assert_int_equal(firm->file.host_bytes, 120);
	assert_int_equal(account_usage(firm->web), 120);
	assert_int_equal(account_foreign(firm->api), 0);
	assert_int_equal(account_foreign(firm->batch), 3);
}

/* The entry's own parts again, with more of the host's. */
static void test_its_own_parts(void **state)
{
	struct firm *firm = *state;

	host(firm, firm->api);
	charge_both(firm, 100, firm->www, 30);
	assert_int_equal(account_file_charge(&firm->file, 110,
					     firm->file.foreign,
					     firm->file.n_foreign),
			 0);
	assert_int_equal(account_usage(firm->api), 110);
	assert_int_equal(account_foreign(firm->www), 30);
}

/* -- shared -- */

/* Two below api use a file that www hosts: api carries it once, web not. */
static void test_carried_once(void **state)
{
	struct firm *firm = *state;

	host(firm, firm->www);
	charge(firm, 50);
	use(firm, firm->one, 1);
	use(firm, firm->two, 2);
	assert_int_equal(account_shared(firm->one), 50);
	assert_int_equal(account_shared(firm->two), 50);
	assert_int_equal(account_shared(firm->api), 50);
	assert_int_equal(account_shared(firm->web), 0);
	assert_int_equal(account_shared(firm->www), 0);

	/* One goes, and api still carries it for the other. */
	account_file_decay(&firm->file, 2);
	assert_int_equal(account_shared(firm->one), 0);
	assert_int_equal(account_shared(firm->api), 50);
	account_file_decay(&firm->file, 3);
	assert_int_equal(account_shared(firm->api), 0);
}

/* From another branch it is carried all the way, but for the root. */
static void test_carried_from_afar(void **state)
{
	struct firm *firm = *state;

	host(firm, firm->batch);
	charge(firm, 50);
	use(firm, firm->one, 1);
	assert_int_equal(account_shared(firm->one), 50);
	assert_int_equal(account_shared(firm->api), 50);
	assert_int_equal(account_shared(firm->web), 50);
	assert_int_equal(account_shared(firm->root), 0);
}

/* Below its host it is carried up to there; the host itself pays. */
static void test_sharers_below_the_host(void **state)
{
	struct firm *firm = *state;

	host(firm, firm->web);
	charge(firm, 50);
	use(firm, firm->one, 1);
	use(firm, firm->web, 1);
	assert_int_equal(account_shared(firm->one), 50);
	assert_int_equal(account_shared(firm->api), 50);
	assert_int_equal(account_shared(firm->web), 0);
	assert_int_equal(account_file_sharers(&firm->file), 1);
	assert_ptr_equal(account_file_sharer(&firm->file, 0), firm->one);
	assert_null(account_file_sharer(&firm->file, 1));
}

/* What is above the host shares too, and carries it alone. */
static void test_sharers_above_the_host(void **state)
{
	struct firm *firm = *state;

	host(firm, firm->one);
	charge(firm, 50);
	use(firm, firm->web, 1);
	use(firm, firm->two, 1);
	assert_int_equal(account_shared(firm->web), 50);
	assert_int_equal(account_shared(firm->two), 50);
	assert_int_equal(account_shared(firm->api), 0);
	assert_int_equal(account_shared(firm->root), 0);
}

/* -- decay -- */

/* Five minutes after its last use, not its first. */
static void test_decay(void **state)
{
	struct firm *firm = *state;

	host(firm, firm->web);
	charge(firm, 50);
	use(firm, firm->one, 1000);
	use(firm, firm->two, 1000);
	use(firm, firm->one, 1200);
	use(firm, firm->one, 1100); /* told late */
	account_file_decay(&firm->file, 1300 - 300);
	assert_int_equal(account_file_sharers(&firm->file), 2);
	account_file_decay(&firm->file, 1301 - 300);
	assert_int_equal(account_file_sharers(&firm->file), 1);
	assert_ptr_equal(account_file_sharer(&firm->file, 0), firm->one);
	account_file_decay(&firm->file, 1500 - 300);
	assert_int_equal(account_file_sharers(&firm->file), 1);
	assert_pays(firm->web, 0, 50);
	account_file_decay(&firm->file, 1501 - 300);
	assert_int_equal(account_file_sharers(&firm->file), 0);
	assert_pays(firm->web, 50, 0);
}

/* Who used it last turns out to have gone through it once. */
static void test_the_last_use_was_none(void **state)
{
	struct firm *firm = *state;

	host(firm, firm->web);
	charge(firm, 50);
	use(firm, firm->one, 1000);
	use(firm, firm->two, 1100);
	account_file_forget_last_user(&firm->file);
	assert_int_equal(account_file_sharers(&firm->file), 1);
	assert_ptr_equal(account_file_sharer(&firm->file, 0), firm->one);
	assert_int_equal(account_shared(firm->two), 0);
	account_file_forget_last_user(&firm->file);
	account_file_forget_last_user(&firm->file);
	assert_int_equal(account_file_sharers(&firm->file), 0);
	assert_pays(firm->web, 50, 0);
}

/* api carries it for one, and no longer for itself. */
static void test_decay_of_a_carrier(void **state)
{
	struct firm *firm = *state;

	host(firm, firm->web);
	charge(firm, 50);
	use(firm, firm->api, 1);
	use(firm, firm->one, 2);
	account_file_decay(&firm->file, 2);
	assert_int_equal(account_file_sharers(&firm->file), 1);
	assert_int_equal(account_shared(firm->api), 50);
	use(firm, firm->api, 3);
	account_file_decay(&firm->file, 3);
	assert_int_equal(account_shared(firm->one), 0);
	assert_int_equal(account_shared(firm->api), 50);
}

/* Who uses it alone, however deep he lives, costs no memory. */
static void test_a_lonely_user(void **state)
{
	struct firm *firm = *state;
	struct account *deep = books_find(firm->books, "/web/api/a/b/c/d");

	host(firm, firm->web);
	charge(firm, 50);
	allocations_left = 0;
	use(firm, deep, 1);
	allocations_left = UINT_MAX;
	assert_int_equal(account_shared(deep), 50);
	assert_int_equal(account_shared(firm->api), 50);
	use(firm, firm->one, 2);
	account_file_decay(&firm->file, 2);
	assert_int_equal(account_shared(deep), 0);
	assert_int_equal(account_shared(firm->one), 50);
	assert_false(firm->file.has_many);
	account_unref(deep);
}

/* One more than are known takes the place of who was seen first. */
static void test_a_crowd_of_users(void **state)
{
	struct account *users[ACCOUNT_USERS_MAX + 1];
	struct firm *firm = *state;
	char path[32];

	host(firm, firm->web);
	charge(firm, 50);
	for (uint32_t i = 0; i <= ACCOUNT_USERS_MAX; i++) {
		snprintf(path, sizeof(path), "/web/api/user%u", i);
		users[i] = books_find(firm->books, path);
		assert_false(account_file_has_more(&firm->file));
		use(firm, users[i], 100 + i);
	}
	assert_true(account_file_has_more(&firm->file));
	assert_int_equal(account_file_sharers(&firm->file), ACCOUNT_USERS_MAX);
	assert_int_equal(account_shared(users[0]), 0);
	assert_int_equal(account_shared(users[1]), 50);
	assert_int_equal(account_shared(firm->api), 50);
	host(firm, firm->one);
	assert_true(account_file_has_more(&firm->file));
	account_file_decay(&firm->file, 101);
	assert_true(account_file_has_more(&firm->file));
	account_file_decay(&firm->file, 102);
	assert_false(account_file_has_more(&firm->file));
	assert_int_equal(account_file_sharers(&firm->file),
			 ACCOUNT_USERS_MAX - 1);
	for (uint32_t i = 0; i <= ACCOUNT_USERS_MAX; i++)
		account_unref(users[i]);
}

/* Who used it last: by the time told, not by the order. */
static void test_the_last_user(void **state)
{
	struct firm *firm = *state;

	assert_null(account_file_last_user(&firm->file));
	host(firm, firm->batch);
	use(firm, firm->one, 5); /* api and web carry it, and don't use it */
	assert_ptr_equal(account_file_last_user(&firm->file), firm->one);
	use(firm, firm->two, 9);
	use(firm, firm->www, 7);
	assert_ptr_equal(account_file_last_user(&firm->file), firm->two);
	use(firm, firm->one, 10);
	assert_ptr_equal(account_file_last_user(&firm->file), firm->one);
	account_file_decay(&firm->file, 11);
	assert_null(account_file_last_user(&firm->file));
}

/* -- another host -- */

/* The charge stays where it is until it is said where it is. */
static void test_another_host(void **state)
{
	struct firm *firm = *state;

	host(firm, firm->one);
	charge_both(firm, 100, firm->web, 30);
	use(firm, firm->one, 1);
	use(firm, firm->www, 1);
	host(firm, firm->web);
	assert_int_equal(firm->file.host_bytes, 30);
	assert_int_equal(account_file_foreign(&firm->file), 100);
	assert_int_equal(account_foreign(firm->one), 100);
	assert_int_equal(account_foreign(firm->web), 0);
	assert_pays(firm->one, 100, 0);
	assert_pays(firm->web, 0, 30);
	assert_int_equal(account_usage(firm->web), 130);
	assert_int_equal(account_shared(firm->one), 130);
	assert_int_equal(account_shared(firm->api), 130);
	assert_int_equal(account_shared(firm->www), 130);
	charge(firm, 130);
	assert_pays(firm->one, 0, 0);
	assert_pays(firm->web, 0, 130);
	assert_int_equal(account_usage(firm->api), 0);
}

/* Where nobody is to pay, nothing is foreign, and nobody shares. */
static void test_no_host(void **state)
{
	struct firm *firm = *state;

	charge_both(firm, 0, firm->batch, 10);
	use(firm, firm->one, 1);
	assert_int_equal(account_foreign(firm->batch), 0);
	assert_int_equal(account_file_foreign(&firm->file), 0);
	assert_int_equal(account_shared(firm->one), 0);
	assert_int_equal(account_file_sharers(&firm->file), 1);
	assert_pays(firm->batch, 0, 10);

	host(firm, firm->www);
	assert_int_equal(account_foreign(firm->batch), 10);
	assert_int_equal(account_shared(firm->api), 10);
	charge(firm, 10);
	host(firm, NULL);
	assert_int_equal(account_shared(firm->api), 0);
	assert_int_equal(account_file_foreign(&firm->file), 0);
	assert_int_equal(account_usage(firm->www), 10);
}

/* -- no memory -- */

/* What an entry and the books say; text, as it is compared whole. */
static void tell(const struct firm *firm, char *text, size_t size)
{
	const struct account *all[] = { firm->root, firm->web, firm->api,
					firm->one,  firm->two, firm->www,
					firm->batch };
	size_t n = 0;

	n += (size_t)snprintf(text + n, size - n, "%p %lu %lu %zu\n",
			      (void *)firm->file.host,
			      account_file_resident(&firm->file),
			      account_file_foreign(&firm->file),
			      account_file_sharers(&firm->file));
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		n += (size_t)snprintf(text + n, size - n, "%lu %lu %lu %lu\n",
				      account_usage(all[i]),
				      account_own(all[i]),
				      account_shared(all[i]),
				      account_foreign(all[i]));
}

static int change_host(struct firm *firm)
{
	return account_file_set_host(&firm->file, firm->one);
}

static int change_user(struct firm *firm)
{
	return account_file_use(&firm->file, firm->two, 9);
}

static int change_charge(struct firm *firm)
{
	struct account_part parts[] = {
		{ .account = firm->root, .bytes = 7 },
		{ .account = firm->web, .bytes = 8 },
	};

	return account_file_charge(&firm->file, 1, parts, 2);
}

/* With memory for 0, 1, 2... allocations: all or nothing. */
static void test_no_memory(void **state)
{
	static int (*const changes[])(struct firm *) = {
		change_host,
		change_user,
		change_charge,
	};
	struct firm *firm = *state;
	char before[1024], after[1024];
	unsigned int failures;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		account_file_clear(&firm->file);
		host(firm, firm->www);
		charge_both(firm, 100, firm->batch, 30);
		use(firm, firm->batch, 1);
		use(firm, firm->api, 1);
		tell(firm, before, sizeof(before));
		for (failures = 0, r = -ENOMEM; r == -ENOMEM; failures++) {
			allocations_left = failures;
			r = changes[i](firm);
			allocations_left = UINT_MAX;
			tell(firm, after, sizeof(after));
			if (r == -ENOMEM)
				assert_string_equal(after, before);
		}
		assert_int_equal(r, 0);
		assert_string_not_equal(after, before);
		assert_true(failures > 1);
	}
}

/* To know less, none is needed. */
static void test_less_needs_no_memory(void **state)
{
	struct firm *firm = *state;

	host(firm, firm->www);
	charge_both(firm, 100, firm->batch, 30);
	use(firm, firm->one, 1);
	use(firm, firm->two, 2);
	allocations_left = 0;
	assert_int_equal(account_file_use(&firm->file, firm->one, 2), 0);
	account_file_decay(&firm->file, 3);
	assert_int_equal(account_file_sharers(&firm->file), 0);
	account_file_clear(&firm->file);
	allocations_left = UINT_MAX;
	assert_int_equal(account_usage(firm->root), 0);
}

#define at_firm(test) \
	cmocka_unit_test_setup_teardown(test, firm_setup, firm_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		at_firm(test_own_and_hosted),
		at_firm(test_foreign_parts),
		at_firm(test_odd_parts),
		at_firm(test_its_own_parts),
		at_firm(test_carried_once),
		at_firm(test_carried_from_afar),
		at_firm(test_sharers_below_the_host),
		at_firm(test_sharers_above_the_host),
		at_firm(test_decay),
		at_firm(test_the_last_use_was_none),
		at_firm(test_decay_of_a_carrier),
		at_firm(test_a_lonely_user),
		at_firm(test_a_crowd_of_users),
		at_firm(test_the_last_user),
		at_firm(test_another_host),
		at_firm(test_no_host),
		at_firm(test_no_memory),
		at_firm(test_less_needs_no_memory),
	};

	return cmocka_run_group_tests_name("account_file", tests, NULL, NULL);
}
