// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the books cost: a use that is known, a charge that changes, an entry's
 * memory, a view of a thousand accounts; with few files and with a million,
 * where only memory's own latency differs. All is processor time.
 */
#include "account_file.h"

#include "util.h"

#include <malloc.h>
#include <stdio.h>

#define ACCOUNTS 1000
#define ROUNDS (1u << 21)
#define VIEWS 20
#define FEW 64 /* whose entries the processor's cache holds */

struct bench {
	struct books *books;
	struct account *accounts[ACCOUNTS];
	struct account_file *files;
	size_t n_files;
};

/* 10 slices of 10 services of 9 jobs, all in all. */
static int make_accounts(struct bench *bench)
{
	char path[64];

	bench->books = books_new();
	if (!bench->books)
		return -ENOMEM;
	for (int i = 0; i < ACCOUNTS; i++) {
		snprintf(path, sizeof(path), "/slice-%d/service-%d/job-%d",
			 i % 10, i / 10 % 10, i / 100);
		bench->accounts[i] = books_find(bench->books, path);
		if (!bench->accounts[i])
			return -ENOMEM;
	}
	return 0;
}

/* Each with its host, that uses it and pays for 64K. */
static int fill(struct account_file *files, size_t n, const struct bench *bench)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		struct account *host = bench->accounts[i % ACCOUNTS];

		r = account_file_set_host(&files[i], host);
		if (r == 0)
			r = account_file_use(&files[i], host, 1);
		if (r == 0)
			r = account_file_charge(&files[i], 65536, NULL, 0);
	}
	return r;
}

/* An entry's memory beside the struct, as the allocator has it. */
static int make_files(struct bench *bench, size_t n)
{
	size_t before;
	int r;

	bench->files = calloc(n, sizeof(*bench->files));
	if (!bench->files)
		return -ENOMEM;
	bench->n_files = n;
	before = mallinfo2().uordblks;
	r = fill(bench->files, n, bench);
	printf("%-34s %8.1f bytes (and %zu in the inode)\n", "  an entry",
	       (double)(mallinfo2().uordblks - before) / (double)n,
	       sizeof(*bench->files));
	return r;
}

static void tell(const char *what, uint64_t since_ns, uint64_t rounds)
{
	printf("%-34s %8.1f ns\n", what,
	       (double)(thread_ns() - since_ns) / (double)rounds);
}

/* One of @few files that are far from one another; a power of two. */
static struct account_file *pick(const struct bench *bench, uint32_t few,
				 uint32_t i)
{
	return &bench->files[(uint64_t)(i % few) * 2654435761u % bench->n_files];
}

static int use_known(const struct bench *bench, const char *what, uint32_t few)
{
	uint64_t since_ns = thread_ns();
	int r = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct account_file *file = pick(bench, few, i);

		r |= account_file_use(file, file->host, i);
	}
	tell(what, since_ns, ROUNDS);
	return r;
}

static int change_charges(const struct bench *bench, const char *what,
			  uint32_t few)
{
	uint64_t since_ns = thread_ns();
	int r = 0;

	for (uint32_t i = 0; i < ROUNDS; i++)
		r |= account_file_charge(pick(bench, few, i), i % 65536, NULL,
					 0);
	tell(what, since_ns, ROUNDS);
	return r;
}

static int view(const struct bench *bench)
{
	uint64_t since_ns = thread_ns();
	struct account_view *views;
	size_t n = 0;
	int r = 0;

	for (int i = 0; i < VIEWS && r == 0; i++) {
		r = books_view(bench->books, &views, &n);
		if (r == 0)
			books_view_free(views, n);
	}
	printf("  a view of %-22zu %8.1f us\n", n,
	       (double)(thread_ns() - since_ns) / VIEWS / 1000);
	return r;
}

/* One file, and the worst of so many who use it: the last one. */
static int use_shared(const struct bench *bench, uint32_t sharers)
{
	struct account_file file = { 0 };
	uint64_t since_ns;
	char what[64];
	int r;

	r = account_file_set_host(&file, bench->accounts[0]);
	for (uint32_t i = 1; i <= sharers && r == 0; i++)
		r = account_file_use(&file, bench->accounts[i], 1);
	since_ns = thread_ns();
	for (uint32_t i = 0; i < ROUNDS / 10 && r == 0; i++)
		r = account_file_use(&file, bench->accounts[sharers], i);
	snprintf(what, sizeof(what), "  a known use, the last of %u", sharers);
	tell(what, since_ns, ROUNDS / 10);
	since_ns = thread_ns();
	for (uint32_t i = 0; i < ROUNDS / 100 && r == 0; i++)
		r = account_file_charge(&file, i, NULL, 0);
	snprintf(what, sizeof(what), "  a change of its charge");
	tell(what, since_ns, ROUNDS / 100);
	account_file_clear(&file);
	return r;
}

static int measure(struct bench *bench, size_t n_files)
{
	int r;

	printf("%zu files:\n", n_files);
	r = make_files(bench, n_files);
	if (r == 0)
		r = use_known(bench, "  a known use, of 64 files", FEW);
	if (r == 0)
		r = use_known(bench, "  the same, of any file", ROUNDS);
	if (r == 0)
		r = change_charges(bench, "  a charge changes, of 64 files",
				   FEW);
	if (r == 0)
		r = change_charges(bench, "  the same, of any file", ROUNDS);
	if (r == 0)
		r = view(bench);
	for (size_t i = 0; i < bench->n_files; i++)
		account_file_clear(&bench->files[i]);
	free(bench->files);
	return r;
}

int main(void)
{
	struct bench bench = { 0 };
	int r;

	r = make_accounts(&bench);
	for (size_t n = 100; n <= 1000000 && r == 0; n *= 100)
		r = measure(&bench, n);
	puts("one file with many users:");
	for (uint32_t n = 1; n < ACCOUNTS && r == 0; n *= 10)
		r = use_shared(&bench, n);
	for (int i = 0; i < ACCOUNTS; i++)
		account_unref(bench.accounts[i]);
	books_free(bench.books);
	if (r < 0)
		fputs("bench: no memory\n", stderr);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
