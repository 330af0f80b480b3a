// SPDX-License-Identifier: GPL-2.0-or-later
/* The books: who pays, who hosts, who shares. */
#include "account_file.h"

#include "unit.h"
#include "util.h"

/* A desk with the books on it, and files. */
struct desk {
	struct books *books;
	struct account *a, *b, *c, *d;
};

static int desk_setup(void **state)
{
	struct desk *desk = calloc(1, sizeof(*desk));

	assert_non_null(desk);
	desk->books = books_new();
	desk->a = books_find(desk->books, "/A");
	desk->b = books_find(desk->books, "/A/B");
	desk->c = books_find(desk->books, "/A/C");
	desk->d = books_find(desk->books, "/A/D");
	*state = desk;
	return 0;
}

static int desk_teardown(void **state)
{
	struct desk *desk = *state;

	account_unref(desk->a);
	account_unref(desk->b);
	account_unref(desk->c);
	account_unref(desk->d);
	assert_null(books_free(desk->books));
	free(desk);
	return 0;
}

/* Its host uses it, and pays for all of it. */
static void put_file(struct account_file *file, struct account *host,
		     uint64_t mib)
{
	assert_int_equal(account_file_set_host(file, host), 0);
	assert_int_equal(account_file_use(file, host, 0), 0);
	assert_int_equal(account_file_charge(file, mib * MIB, NULL, 0), 0);
}

static void charge_host(struct account_file *file, uint64_t mib)
{
	assert_int_equal(account_file_charge(file, mib * MIB, NULL, 0), 0);
}

/* A line of a table; what isn't said is 0. */
struct line {
	uint64_t usage, hosted, shared; /* MiB */
};

static void assert_line(const struct account *account, struct line line)
{
	assert_int_equal(account_usage(account), line.usage * MIB);
	assert_int_equal(account_hosted(account), line.hosted * MIB);
	assert_int_equal(account_shared(account), line.shared * MIB);
}

/*
 * The four tables of "[RFC] Making memcg track ownership per address_space
 * or anon_vma" (Tejun Heo, 4 Feb 2015), one after the other.
 */
static void test_the_four_tables(void **state)
{
	struct desk *desk = *state;
	struct account_file of_b = { 0 }, of_c = { 0 }, of_d = { 0 };
	struct account_file inode = { 0 };

	/* B has 16M, 8M of these an inode; C has 32M. */
	put_file(&of_b, desk->b, 8);
	put_file(&inode, desk->b, 8);
	put_file(&of_c, desk->c, 32);
	assert_line(desk->a, (struct line){ .usage = 48 });
	assert_line(desk->b, (struct line){ .usage = 16 });
	assert_line(desk->c, (struct line){ .usage = 32 });

	/* C starts accessing the inode of B: it becomes A's. */
	assert_int_equal(account_file_use(&inode, desk->c, 1), 0);
	assert_int_equal(account_file_set_host(&inode, desk->a), 0);
	charge_host(&inode, 8);
	assert_line(desk->a, (struct line){ .usage = 48, .hosted = 8 });
	assert_line(desk->b, (struct line){ .usage = 8, .shared = 8 });
	assert_line(desk->c, (struct line){ .usage = 32, .shared = 8 });

	/* D gets created, and uses 8M of its own. */
	put_file(&of_d, desk->d, 8);
	assert_line(desk->a, (struct line){ .usage = 56, .hosted = 8 });
	assert_line(desk->b, (struct line){ .usage = 8, .shared = 8 });
	assert_line(desk->c, (struct line){ .usage = 32, .shared = 8 });
	assert_line(desk->d, (struct line){ .usage = 8 });

	/* And it also accesses the inode. */
	assert_int_equal(account_file_use(&inode, desk->d, 2), 0);
	assert_line(desk->a, (struct line){ .usage = 56, .hosted = 8 });
	assert_line(desk->b, (struct line){ .usage = 8, .shared = 8 });
	assert_line(desk->c, (struct line){ .usage = 32, .shared = 8 });
	assert_line(desk->d, (struct line){ .usage = 8, .shared = 8 });

	/* D accesses an area of it that others haven't accessed yet. */
	charge_host(&inode, 16);
	assert_line(desk->a, (struct line){ .usage = 64, .hosted = 16 });
	assert_line(desk->b, (struct line){ .usage = 8, .shared = 16 });
	assert_line(desk->c, (struct line){ .usage = 32, .shared = 16 });
	assert_line(desk->d, (struct line){ .usage = 8, .shared = 16 });

	assert_true(books_balance(desk->books));
	account_file_clear(&of_b);
	account_file_clear(&of_c);
	account_file_clear(&of_d);
	account_file_clear(&inode);
	assert_line(desk->a, (struct line){ .usage = 0 });
}

/* A charge is one number in the host, until it is another, or undone. */
static void test_a_charge_is_undone(void **state)
{
	struct desk *desk = *state;
	struct account_file file = { 0 };

	put_file(&file, desk->b, 4);
	charge_host(&file, 12);
	assert_int_equal(account_own(desk->b), 12 * MIB);
	assert_int_equal(account_file_resident(&file), 12 * MIB);
	charge_host(&file, 0);
	assert_int_equal(account_own(desk->b), 0);
	charge_host(&file, 5);
	account_file_clear(&file);
	account_file_clear(&file); /* nothing is left to undo */
	assert_null(file.host);
	assert_line(desk->a, (struct line){ .usage = 0 });
}

static void free_books(void *books)
{
	books_free(books);
}

/* A charge, or a reference, that is left is found by who frees. */
static void test_a_leak_dies_here(void **state)
{
	struct books *books = books_new();
	struct account *b = books_find(books, "/A/B");
	struct account_file file = { 0 };

	expect_abort(free_books, books);
	put_file(&file, b, 1);
	account_unref(b);
	expect_abort(free_books, books);
	account_file_clear(&file);
	assert_null(books_free(books));
	assert_null(books_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_four_tables,
						desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_a_charge_is_undone,
						desk_setup, desk_teardown),
		cmocka_unit_test(test_a_leak_dies_here),
	};

	return cmocka_run_group_tests_name("accounting", tests, NULL, NULL);
}
