// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The books: the tree of accounts; see accounting.h.
 *
 * What is charged to an account itself is one counter, and what of it is its
 * own another: hosted is the difference. So a file whose users change moves
 * nothing between counters, and a view is in balance at any moment.
 */
#include "accounting.h"

#include "list.h"
#include "util.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#ifdef ACCOUNTING_CHECKS
#define CHECKS true
#else
#define CHECKS false
#endif

struct account {
	struct books *books;
	struct account *parent;
	unsigned int depth;
	_Atomic uint32_t refs; /* taken relaxed; given with release, so that
				* books_prune() sees what was done before */
	/* Relaxed: sums, they order nothing. */
	_Atomic uint64_t usage_bytes;
	_Atomic uint64_t charged_bytes;
	_Atomic uint64_t own_bytes;
	_Atomic uint64_t shared_bytes;
	_Atomic uint64_t foreign_bytes;
	struct contributors contributors;
	/* These four: the books' lock. */
	struct list children;
	struct list link; /* in the parent's children */
	UT_hash_handle hh;
	size_t index; /* in the view that is being made */
	char path[];
};

struct books {
	struct lock lock; /* for the tree; before a contributors' lock */
	struct account *accounts; /* uthash head, by path */
	struct account *root;
};

/* -- accounts, all under the books' lock -- */

static struct account *account_free(struct account *account)
{
	assert(list_empty(&account->children));
	assert(atomic_load(&account->refs) == 0);
	assert(account_usage(account) == 0);
	assert(account_own(account) == 0);
	assert(account_shared(account) == 0);
	assert(account_foreign(account) == 0);
	HASH_DELETE(hh, account->books->accounts, account);
	list_del(&account->link);
	contributors_destroy(&account->contributors);
	free(account);
	return NULL;
}

static struct account *account_new(struct books *books, struct account *parent,
				   const char *path, size_t length)
{
	struct account *account;

	account = calloc(1, sizeof(*account) + length + 1);
	if (!account)
		return NULL;
	account->books = books;
	account->parent = parent;
	account->depth = parent ? parent->depth + 1 : 0;
	memcpy(account->path, path, length);
	HASH_ADD_KEYPTR(hh, books->accounts, account->path, length, account);
	if (!account->hh.tbl) {
		free(account);
		return NULL;
	}
	contributors_init(&account->contributors);
	list_init(&account->children);
	list_init(&account->link);
	if (parent)
		list_add(&parent->children, &account->link);
	return account;
}

static struct account *find(struct books *books, const char *path,
			    size_t length)
{
	struct account *account;

	HASH_FIND(hh, books->accounts, path, length, account);
	return account;
}

/* From the root down, what isn't there yet. */
static struct account *make(struct books *books, const char *path,
			    size_t length)
{
	struct account *account = books->root;
	struct account *parent;

	for (size_t end = 2; account && end <= length; end++) {
		if (end < length && path[end] != '/')
			continue;
		parent = account;
		account = find(books, path, end);
		if (!account)
			account = account_new(books, parent, path, end);
	}
	return account;
}

/* -- the books -- */

struct books *books_new(void)
{
	struct books *books;

	books = calloc(1, sizeof(*books));
	if (!books)
		return NULL;
	lock_init(&books->lock);
	books->root = account_new(books, NULL, "/", 1);
	if (!books->root)
		return books_free(books);
	return books;
}

void books_prune(struct books *books)
{
	struct account *account, *next;
	bool again;

	lock_take(&books->lock);
	do {
		again = false;
		for (account = books->accounts; account; account = next) {
			next = account->hh.next;
			if (!account->parent ||
			    !list_empty(&account->children) ||
			    atomic_load_explicit(&account->refs,
						 memory_order_acquire))
				continue;
			account_free(account);
			again = true; /* its parent may have come before */
		}
	} while (again);
	lock_give(&books->lock);
}

struct books *books_free(struct books *books)
{
	if (!books)
		return NULL;
	books_prune(books);
	if (books->root)
		account_free(books->root);
	lock_destroy(&books->lock);
	free(books);
	return NULL;
}

struct account *books_find(struct books *books, const char *path)
{
	size_t length = strlen(path);
	struct account *account;

	assert(path[0] == '/');
	lock_take(&books->lock);
	account = find(books, path, length);
	if (!account)
		account = make(books, path, length);
	if (account)
		account_ref(account);
	lock_give(&books->lock);
	return account;
}

/* -- an account -- */

struct account *account_ref(struct account *account)
{
	atomic_fetch_add_explicit(&account->refs, 1, memory_order_relaxed);
	return account;
}

struct account *account_unref(struct account *account)
{
	uint32_t before;

	if (!account)
		return NULL;
	before = atomic_fetch_sub_explicit(&account->refs, 1,
					   memory_order_release);
	assert(before > 0);
	(void)before;
	return NULL;
}

const char *account_path(const struct account *account)
{
	return account->path;
}

struct account *account_parent(const struct account *account)
{
	return account->parent;
}

bool account_is_within(const struct account *account, const struct account *top)
{
	while (account && account->depth > top->depth)
		account = account->parent;
	return account == top;
}

static uint64_t sum_of(const _Atomic uint64_t *sum)
{
	return atomic_load_explicit(sum, memory_order_relaxed);
}

uint64_t account_usage(const struct account *account)
{
	return sum_of(&account->usage_bytes);
}

uint64_t account_own(const struct account *account)
{
	return sum_of(&account->own_bytes);
}

uint64_t account_hosted(const struct account *account)
{
	uint64_t own = account_own(account);
	uint64_t charged = sum_of(&account->charged_bytes);

	/* Who changes both is seen midway. */
	return charged > own ? charged - own : 0;
}

uint64_t account_shared(const struct account *account)
{
	return sum_of(&account->shared_bytes);
}

uint64_t account_foreign(const struct account *account)
{
	return sum_of(&account->foreign_bytes);
}

void account_contribute(struct account *account,
			const struct account *contributor, uint64_t bytes)
{
	contributors_add(&account->contributors, contributor->path, bytes);
}

/* -- changing it -- */

static bool is_balanced(const struct account *account)
{
	uint64_t usage = sum_of(&account->charged_bytes);
	const struct list *link;

	for (link = account->children.next; link != &account->children;
	     link = link->next)
		usage += account_usage(
			container_of(link, const struct account, link));
	return account_usage(account) == usage &&
	       account_own(account) <= sum_of(&account->charged_bytes) &&
	       account_foreign(account) <= sum_of(&account->charged_bytes);
}

/* Nobody gives back more than there is. */
static void add(_Atomic uint64_t *sum, int64_t bytes)
{
	uint64_t before;

	if (!bytes)
		return;
	before = atomic_fetch_add_explicit(sum, (uint64_t)bytes,
					   memory_order_relaxed);
	assert((int64_t)(before + (uint64_t)bytes) >= 0);
	(void)before;
}

/* A change and its check are one step: so no other is seen midway. */
static void checks_begin(struct account *account)
{
	if (CHECKS)
		lock_take(&account->books->lock);
}

static void checks_end(struct account *account)
{
	if (!CHECKS)
		return;
	for (struct account *up = account; up; up = up->parent)
		assert(is_balanced(up));
	lock_give(&account->books->lock);
}

void account_change(struct account *account,
		    const struct account_change *change)
{
	checks_begin(account);
	add(&account->charged_bytes, change->charged_bytes);
	add(&account->own_bytes, change->own_bytes);
	add(&account->foreign_bytes, change->foreign_bytes);
	if (change->charged_bytes)
		for (struct account *up = account; up; up = up->parent)
			add(&up->usage_bytes, change->charged_bytes);
	checks_end(account);
}

void account_change_shared(struct account *account, int64_t bytes)
{
	add(&account->shared_bytes, bytes);
}

bool books_balance(struct books *books)
{
	const struct account *account;
	bool balance = true;

	lock_take(&books->lock);
	for (account = books->accounts; account; account = account->hh.next)
		balance &= is_balanced(account);
	lock_give(&books->lock);
	return balance;
}

/* -- looking at it -- */

/* A slash comes before all else: so what is below follows at once. */
static int rank_of(char c)
{
	return !c ? 0 : c == '/' ? 1 : 1 + (unsigned char)c;
}

static int compare(const void *a, const void *b)
{
	const char *one = (*(struct account *const *)a)->path;
	const char *other = (*(struct account *const *)b)->path;

	while (*one && *one == *other) {
		one++;
		other++;
	}
	return rank_of(*one) - rank_of(*other);
}

static int view_one(struct account *account, struct account_view *view)
{
	uint64_t own = account_own(account);
	uint64_t charged = sum_of(&account->charged_bytes);

	*view = (struct account_view){
		.path = strdup(account->path),
		.depth = account->depth,
		.usage_bytes = charged,
		.own_bytes = own < charged ? own : charged,
		.hosted_bytes = own < charged ? charged - own : 0,
		.shared_bytes = account_shared(account),
		.foreign_bytes = account_foreign(account),
	};
	if (!view->path)
		return -ENOMEM;
	return contributors_copy(&account->contributors, &view->contributions,
				 &view->n_contributions);
}

/* Under the lock. */
static int view_all(struct books *books, struct account **sorted,
		    struct account_view *views)
{
	size_t n = 0;
	struct account *account;
	int r = 0;

	for (account = books->accounts; account; account = account->hh.next)
		sorted[n++] = account;
	qsort(sorted, n, sizeof(*sorted), compare);
	for (size_t i = 0; i < n && r == 0; i++) {
		sorted[i]->index = i;
		r = view_one(sorted[i], &views[i]);
	}
	for (size_t i = n; i > 1 && r == 0; i--)
		views[sorted[i - 1]->parent->index].usage_bytes +=
			views[i - 1].usage_bytes;
	return r;
}

int books_view(struct books *books, struct account_view **out, size_t *out_n)
{
	cleanup_free struct account **sorted = NULL;
	struct account_view *views;
	int r = -ENOMEM;
	size_t n;

	lock_take(&books->lock);
	n = HASH_COUNT(books->accounts);
	sorted = calloc(n, sizeof(*sorted));
	views = calloc(n, sizeof(*views));
	if (sorted && views)
		r = view_all(books, sorted, views);
	lock_give(&books->lock);
	if (r < 0) {
		books_view_free(views, views ? n : 0);
		return r;
	}
	*out = views;
	*out_n = n;
	return 0;
}

void books_view_free(struct account_view *views, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(views[i].path);
		contributors_free_copy(views[i].contributions,
				       views[i].n_contributions);
	}
	free(views);
}
