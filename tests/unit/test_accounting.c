// SPDX-License-Identifier: GPL-2.0-or-later
/* The books: who pays, who hosts, who shares. */
#include "account_file.h"

#include "unit.h"
#include "util.h"

#include <stdatomic.h>

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

/* -- the tree -- */

/* Accounts are made with those above them, and are the same ones again. */
static void test_finding(void **state)
{
	struct desk *desk = *state;
	struct account *deep = books_find(desk->books, "/x/y z/B");
	struct account *again = books_find(desk->books, "/x/y z/B");
	struct account *root = books_find(desk->books, "/");

	assert_ptr_equal(deep, again);
	assert_string_equal(account_path(deep), "/x/y z/B");
	assert_string_equal(account_path(account_parent(deep)), "/x/y z");
	assert_string_equal(account_path(root), "/");
	assert_null(account_parent(root));
	assert_true(account_is_within(deep, root));
	assert_true(account_is_within(deep, deep));
	assert_false(account_is_within(root, deep));
	assert_false(account_is_within(deep, desk->a));
	account_unref(deep);
	account_unref(again);
	account_unref(root);
}

static void assert_paths(struct books *books, const char *const *paths,
			 size_t count)
{
	struct account_view *views;
	size_t n;

	assert_int_equal(books_view(books, &views, &n), 0);
	assert_int_equal(n, count);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(views[i].path, paths[i]);
	books_view_free(views, n);
}

/* Parents come first, then what is below them, by name. */
static void test_the_order_of_a_view(void **state)
{
	static const char *const some[] = { "/",    "/a",   "/a/c", "/a/d",
					    "/a b", "/a-b", "/a.b", "/ab" };
	struct books *books = books_new();

	for (size_t i = ARRAY_SIZE(some); i-- > 0;)
		account_unref(books_find(books, some[i]));
	assert_paths(books, some, ARRAY_SIZE(some));
	books_free(books);
}

/* Those that nothing refers to go, from the leaves on; the others stay. */
static void test_pruning(void **state)
{
	static const char *const all[] = { "/", "/a", "/a/b", "/a/b/c", "/d" };
	static const char *const held[] = { "/", "/a", "/a/b" };
	struct books *books = books_new();
	struct account *b = books_find(books, "/a/b");
	struct account_file file = { 0 };

	account_unref(books_find(books, "/a/b/c"));
	account_unref(books_find(books, "/d"));
	assert_paths(books, all, 5);
	books_prune(books);
	assert_paths(books, held, 3);

	/* A file holds its host, its payers, and who uses it. */
	assert_int_equal(account_file_set_host(&file, b), 0);
	assert_null(account_unref(b));
	books_prune(books);
	assert_paths(books, held, 3);
	account_file_clear(&file);
	books_prune(books);
	assert_paths(books, all, 1);
	assert_null(account_unref(NULL));
	books_free(books);
}

/* What B's opens, and those of a cgroup that is gone, brought to A. */
static void test_contributions(void **state)
{
	struct desk *desk = *state;
	struct account *gone = books_find(desk->books, "/gone");
	struct account_view *views;
	size_t n;

	account_contribute(desk->a, desk->b, 3);
	account_contribute(desk->a, gone, 40);
	account_contribute(desk->a, desk->b, 4);
	account_unref(gone);
	books_prune(desk->books);
	assert_int_equal(books_view(desk->books, &views, &n), 0);
	assert_int_equal(n, 5);
	assert_string_equal(views[1].path, "/A");
	assert_int_equal(views[1].n_contributions, 2);
	assert_string_equal(views[1].contributions[0].path, "/gone");
	assert_int_equal(views[1].contributions[0].bytes, 40);
	assert_string_equal(views[1].contributions[1].path, "/A/B");
	assert_int_equal(views[1].contributions[1].bytes, 7);
	assert_int_equal(views[2].n_contributions, 0);
	books_view_free(views, n);
}

/* What a view tells is what the accounts say. */
static void test_a_view(void **state)
{
	struct desk *desk = *state;
	struct account_part foreign = { .account = desk->d, .bytes = 1 * MIB };
	struct account_file file = { 0 };
	struct account_view *views;
	size_t n;

	put_file(&file, desk->b, 0);
	account_file_use(&file, desk->c, 0);
	assert_int_equal(account_file_charge(&file, 7 * MIB, &foreign, 1), 0);
	assert_int_equal(books_view(desk->books, &views, &n), 0);
	assert_int_equal(n, 5);
	assert_int_equal(views[0].usage_bytes, 8 * MIB);
	assert_int_equal(views[0].depth, 0);
	assert_int_equal(views[1].usage_bytes, 8 * MIB);
	assert_int_equal(views[1].own_bytes + views[1].hosted_bytes, 0);
	assert_int_equal(views[2].own_bytes, 7 * MIB);
	assert_int_equal(views[2].depth, 2);
	assert_int_equal(views[3].shared_bytes, 8 * MIB);
	assert_int_equal(views[4].hosted_bytes, 1 * MIB);
	assert_int_equal(views[4].foreign_bytes, 1 * MIB);
	books_view_free(views, n);
	account_file_clear(&file);
}

static void give_too_much(void *account)
{
	struct account_change change = { .charged_bytes = -1 };

	account_change(account, &change);
}

static void charge_amiss(void *account)
{
	struct account_change change = { .own_bytes = 1 };

	account_change(account, &change);
}

/* Nobody gives back more than there is, or owns what isn't charged. */
static void test_false_changes_die_here(void **state)
{
	struct desk *desk = *state;

	expect_abort(give_too_much, desk->b);
#ifndef __SANITIZE_THREAD__ /* there are no checks there, see the Makefile */
	expect_abort(charge_amiss, desk->b);
#else
	(void)charge_amiss;
#endif
}

/* -- random histories against books that are kept the naive way -- */

#define ACCOUNTS 24
#define FILES 12
#define NOBODY (-1)
#define NEVER UINT32_MAX

struct model_file {
	struct account_file file;
	int host;
	uint64_t paid[ACCOUNTS];
	uint32_t used[ACCOUNTS]; /* when last */
};

struct model {
	struct books *books;
	uint32_t seed;
	uint32_t now_s;
	int parents[ACCOUNTS]; /* of 0, the root: NOBODY */
	char paths[ACCOUNTS][256];
	bool exists[ACCOUNTS];
	struct model_file files[FILES];
};

static uint32_t draw(struct model *model, uint32_t below)
{
	return unit_random(&model->seed) % below;
}

static void model_build(struct model *model, uint32_t seed)
{
	memset(model, 0, sizeof(*model));
	model->seed = seed;
	model->books = books_new();
	model->parents[0] = NOBODY;
	model->exists[0] = true;
	strcpy(model->paths[0], "/");
	for (int i = 1; i < ACCOUNTS; i++) {
		int parent = (int)draw(model, (uint32_t)i);

		model->parents[i] = parent;
		snprintf(model->paths[i], sizeof(model->paths[i]), "%.200s/%d",
			 parent ? model->paths[parent] : "", i);
	}
	for (int i = 0; i < FILES; i++) {
		model->files[i].host = NOBODY;
		for (int a = 0; a < ACCOUNTS; a++)
			model->files[i].used[a] = NEVER;
	}
}

/* The account, to be given back, and that it is there from now on. */
static struct account *model_find(struct model *model, int account)
{
	for (int up = account; up != NOBODY; up = model->parents[up])
		model->exists[up] = true;
	return books_find(model->books, model->paths[account]);
}

static void step_host(struct model *model, struct model_file *file)
{
	struct account *host;

	file->host = (int)draw(model, ACCOUNTS + 1) - 1;
	host = file->host == NOBODY ? NULL : model_find(model, file->host);
	assert_int_equal(account_file_set_host(&file->file, host), 0);
	account_unref(host);
}

static void step_charge(struct model *model, struct model_file *file)
{
	struct account_part parts[ACCOUNTS];
	uint64_t host_bytes = 0;
	size_t n = 0;

	for (int i = 0; i < ACCOUNTS; i++) {
		file->paid[i] = 0;
		if (i == file->host)
			file->paid[i] = host_bytes = draw(model, 3) * 4096;
		else if (draw(model, 8) == 0)
			file->paid[i] = draw(model, 100) * 4096;
		if (i == file->host || (!file->paid[i] && draw(model, 8)))
			continue;
		parts[n].account = model_find(model, i);
		parts[n++].bytes = file->paid[i];
	}
	assert_int_equal(account_file_charge(&file->file, host_bytes, parts, n),
			 0);
	while (n)
		account_unref(parts[--n].account);
}

static void step_use(struct model *model, struct model_file *file)
{
	int user = (int)draw(model, ACCOUNTS);
	struct account *account = model_find(model, user);

	file->used[user] = model->now_s;
	assert_int_equal(account_file_use(&file->file, account, model->now_s),
			 0);
	account_unref(account);
}

static void step_decay(struct model *model, struct model_file *file)
{
	uint32_t before_s = model->now_s - draw(model, model->now_s + 1) / 4;

	account_file_decay(&file->file, before_s);
	for (int i = 0; i < ACCOUNTS; i++)
		if (file->used[i] != NEVER && file->used[i] < before_s)
			file->used[i] = NEVER;
}

static void step_clear(struct model *model, struct model_file *file)
{
	account_file_clear(&file->file);
	file->host = NOBODY;
	for (int i = 0; i < ACCOUNTS; i++) {
		file->paid[i] = 0;
		file->used[i] = NEVER;
	}
}

static void step_prune(struct model *model)
{
	books_prune(model->books);
	memset(model->exists, 0, sizeof(model->exists));
	model->exists[0] = true;
	for (int i = 0; i < FILES; i++)
		for (int a = 0; a < ACCOUNTS; a++) {
			const struct model_file *file = &model->files[i];

			if (file->host != a && !file->paid[a] &&
			    file->used[a] == NEVER)
				continue;
			for (int up = a; up != NOBODY; up = model->parents[up])
				model->exists[up] = true;
		}
}

static void model_step(struct model *model)
{
	struct model_file *file = &model->files[draw(model, FILES)];

	model->now_s += draw(model, 3);
	switch (draw(model, 16)) {
	case 0:
		step_clear(model, file);
		break;
	case 1:
		step_prune(model);
		break;
	case 2:
	case 3:
		step_decay(model, file);
		break;
	case 4:
	case 5:
	case 6:
		step_host(model, file);
		break;
	case 7:
	case 8:
	case 9:
		step_charge(model, file);
		break;
	default:
		step_use(model, file);
	}
}

static bool model_is_within(const struct model *model, int account, int top)
{
	while (account != NOBODY && account != top)
		account = model->parents[account];
	return account == top;
}

static uint64_t model_resident(const struct model_file *file)
{
	uint64_t sum = 0;

	for (int i = 0; i < ACCOUNTS; i++)
		sum += file->paid[i];
	return sum;
}

/* Whether it carries the file as shared: a sharer is at it, or below. */
static bool model_carries(const struct model *model,
			  const struct model_file *file, int account)
{
	if (file->host == NOBODY || account == file->host)
		return false;
	/* Who has the host below carries for itself alone. */
	if (model_is_within(model, file->host, account))
		return file->used[account] != NEVER;
	for (int i = 0; i < ACCOUNTS; i++)
		if (file->used[i] != NEVER && i != file->host &&
		    model_is_within(model, i, account))
			return true;
	return false;
}

static bool model_owns(const struct model_file *file, int account)
{
	bool is_used = false;

	for (int i = 0; i < ACCOUNTS; i++)
		is_used |= file->used[i] != NEVER;
	return !is_used || file->used[account] != NEVER;
}

/* All figures of an account, from all files. */
static struct account_view model_view(const struct model *model, int account)
{
	struct account_view view = { .usage_bytes = 0 };

	for (int i = 0; i < FILES; i++) {
		const struct model_file *file = &model->files[i];

		for (int a = 0; a < ACCOUNTS; a++)
			if (model_is_within(model, a, account))
				view.usage_bytes += file->paid[a];
		if (model_owns(file, account))
			view.own_bytes += file->paid[account];
		else
			view.hosted_bytes += file->paid[account];
		if (file->host != NOBODY && file->host != account)
			view.foreign_bytes += file->paid[account];
		if (model_carries(model, file, account))
			view.shared_bytes += model_resident(file);
	}
	return view;
}

static const struct account_view *find_view(const struct account_view *views,
					    size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(views[i].path, path) == 0)
			return &views[i];
	return NULL;
}

static void assert_same_accounts(const struct model *model)
{
	struct account_view *views, naive;
	const struct account_view *view;
	size_t n, count = 0;

	assert_int_equal(books_view(model->books, &views, &n), 0);
	for (int i = 0; i < ACCOUNTS; i++) {
		view = find_view(views, n, model->paths[i]);
		assert_int_equal(!!view, model->exists[i]);
		if (!view)
			continue;
		count++;
		naive = model_view(model, i);
		assert_int_equal(view->usage_bytes, naive.usage_bytes);
		assert_int_equal(view->own_bytes, naive.own_bytes);
		assert_int_equal(view->hosted_bytes, naive.hosted_bytes);
		assert_int_equal(view->shared_bytes, naive.shared_bytes);
		assert_int_equal(view->foreign_bytes, naive.foreign_bytes);
	}
	assert_int_equal(n, count);
	books_view_free(views, n);
	assert_true(books_balance(model->books));
}

static void assert_same_file(const struct model_file *file)
{
	uint64_t resident = model_resident(file);
	uint64_t foreign =
		file->host == NOBODY ? 0 : resident - file->paid[file->host];
	size_t sharers = 0;

	for (int i = 0; i < ACCOUNTS; i++)
		sharers += file->used[i] != NEVER && i != file->host;
	assert_int_equal(account_file_resident(&file->file), resident);
	assert_int_equal(account_file_foreign(&file->file), foreign);
	assert_int_equal(account_file_sharers(&file->file), sharers);
	assert_null(account_file_sharer(&file->file, sharers));
	for (size_t i = 0; i < sharers; i++)
		assert_non_null(account_file_sharer(&file->file, i));
}

/* 20 trees of 24 cgroups, 12 files, and 3,000 steps each. */
static void test_random_histories(void **state)
{
	static struct model model;

	for (uint32_t story = 1; story <= 20; story++) {
		model_build(&model, story * 7919);
		for (int step = 0; step < UNIT_ROUNDS(3000); step++) {
			model_step(&model);
			if (step % 10)
				continue;
			assert_same_accounts(&model);
			for (int i = 0; i < FILES; i++)
				assert_same_file(&model.files[i]);
		}
		for (int i = 0; i < FILES; i++)
			step_clear(&model, &model.files[i]);
		step_prune(&model);
		assert_same_accounts(&model);
		assert_null(books_free(model.books));
	}
}

/* -- all at once -- */

#define CLERKS 6

struct clerk {
	struct desk *desk;
	uint32_t seed;
	const _Atomic bool *is_over;
	unsigned int faults;
};

static struct account *any_account(struct clerk *clerk)
{
	char path[32];

	snprintf(path, sizeof(path), "/A/%c/%u",
		 'B' + (int)(unit_random(&clerk->seed) % 3),
		 unit_random(&clerk->seed) % 4);
	return books_find(clerk->desk->books, path);
}

/* Each has a file of its own, and its entry changes all the time. */
static void *clerk_thread(void *arg)
{
	struct clerk *clerk = arg;
	struct account_file file = { 0 };

	for (uint32_t i = 0; i < UNIT_ROUNDS(10000); i++) {
		struct account *one = any_account(clerk);
		struct account *other = any_account(clerk);
		struct account_part part = { .account = other, .bytes = i };

		account_file_set_host(&file, one);
		account_file_use(&file, i % 3 ? other : one, i);
		account_file_charge(&file, i * 3, &part, one != other);
		account_contribute(one, other, i);
		account_file_decay(&file, i > 4 ? i - 4 : 0);
		account_unref(one);
		account_unref(other);
		if (i % 100 == 0)
			account_file_clear(&file);
	}
	account_file_clear(&file);
	return NULL;
}

/* What it looks at is in balance at any moment. */
static void *auditor_thread(void *arg)
{
	struct clerk *clerk = arg;

	while (!atomic_load(clerk->is_over)) {
		uint64_t charged = 0;
		struct account_view *views;
		size_t n;

		if (books_view(clerk->desk->books, &views, &n) < 0)
			continue;
		for (size_t i = 0; i < n; i++)
			charged += views[i].own_bytes + views[i].hosted_bytes;
		clerk->faults += charged != views[0].usage_bytes;
		books_view_free(views, n);
		books_prune(clerk->desk->books);
	}
	return NULL;
}

static void test_many_clerks(void **state)
{
	_Atomic bool is_over = false;
	struct clerk auditor = { .desk = *state, .is_over = &is_over };
	struct clerk clerks[CLERKS] = { { 0 } };
	pthread_t thread;

	assert_int_equal(
		pthread_create(&thread, NULL, auditor_thread, &auditor), 0);
	for (uint32_t i = 0; i < CLERKS; i++)
		clerks[i] = (struct clerk){ .desk = *state, .seed = i + 1 };
	run_threads(CLERKS, clerk_thread, clerks, sizeof(clerks[0]));
	atomic_store(&is_over, true);
	pthread_join(thread, NULL);
	assert_int_equal(auditor.faults, 0);
	assert_line(auditor.desk->a, (struct line){ .usage = 0 });
	assert_true(books_balance(auditor.desk->books));
}

#define at_desk(test) \
	cmocka_unit_test_setup_teardown(test, desk_setup, desk_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		at_desk(test_the_four_tables),
		at_desk(test_a_charge_is_undone),
		cmocka_unit_test(test_a_leak_dies_here),
		at_desk(test_finding),
		cmocka_unit_test(test_the_order_of_a_view),
		cmocka_unit_test(test_pruning),
		at_desk(test_contributions),
		at_desk(test_a_view),
		at_desk(test_false_changes_die_here),
		cmocka_unit_test(test_random_histories),
		at_desk(test_many_clerks),
	};

	return cmocka_run_group_tests_name("accounting", tests, NULL, NULL);
}
