/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The books: which cgroup pays for how many bytes of the known files' cache,
 * which ones use them without paying, and who brought them in. A tree of
 * accounts as the cgroups are one; what each file has in it is an entry of
 * account_file.h.
 *
 * Of each account (usage and shared with what is below it):
 *   usage   bytes charged to it: usage(A) = sum of usage(children)
 *           + hosted(A) + own(A)
 *   own     bytes charged to the account itself of files that it uses, or
 *           that nobody has used of late
 *   hosted  the same of files that only others use
 *   shared  what it, or somebody below it, uses and doesn't host: the full
 *           resident amount of each such file, once: a pseudo-charge of a
 *           sharer, and of those above him up to below the first that hosts
 *           the file, or has its host below
 *   foreign what is charged to the account itself of files that others host
 * The model and its tables are from Tejun Heo's mail of 2015-02-04 on "Making
 * memcg track ownership per address_space or anon_vma" to linux-mm.
 *
 * Sums are kept in atomic counters: whoever changes a file's entry takes no
 * lock. In builds with ACCOUNTING_CHECKS each change is checked against the
 * invariant, all the way up. Pure: no system calls.
 */
#ifndef MEMCGFS_ACCOUNTING_H
#define MEMCGFS_ACCOUNTING_H

#include "contributors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct books;
struct account;

/* NULL: no memory. The root account, "/", is there from the start. */
struct books *books_new(void);

/* Asserts that all is given back: no charge, no use, no reference. */
struct books *books_free(struct books *books);

/*
 * The account of the cgroup at an absolute path, as /proc/PID/cgroup has it,
 * made with those above it if need be: a reference. NULL: no memory.
 */
struct account *books_find(struct books *books, const char *path);

struct account *account_ref(struct account *account);

/* Returns NULL. One that nothing refers to goes at the next books_prune(). */
struct account *account_unref(struct account *account);
void books_prune(struct books *books);

/* Its path. */
const char *account_path(const struct account *account);

uint64_t account_usage(const struct account *account);
uint64_t account_own(const struct account *account);
uint64_t account_hosted(const struct account *account);
uint64_t account_shared(const struct account *account);
uint64_t account_foreign(const struct account *account);

/* -- who brought it in -- */

/* Opens of @contributor had @bytes charged to @account. It may go unsaid. */
void account_contribute(struct account *account,
			const struct account *contributor, uint64_t bytes);

/* -- looking at the tree -- */

/* A copy of an account's figures. */
struct account_view {
	char *path;
	unsigned int depth; /* 0: the root */
	uint64_t usage_bytes;
	uint64_t own_bytes;
	uint64_t hosted_bytes;
	uint64_t shared_bytes;
	uint64_t foreign_bytes;
	struct account_contribution *contributions; /* the largest first */
	size_t n_contributions;
};

/*
 * All accounts, parents before their children, children by name. The figures
 * satisfy the invariant also while others change entries; a file that is
 * being changed may be told of as it is midway. -ENOMEM.
 */
int books_view(struct books *books, struct account_view **views, size_t *n);
void books_view_free(struct account_view *views, size_t n);

/* Whether the invariant holds everywhere, while nobody changes anything. */
bool books_balance(struct books *books);

/* -- for account_file.c alone -- */

/* NULL: it is the root. */
struct account *account_parent(const struct account *account);

/* Whether it is @top, or below that. */
bool account_is_within(const struct account *account,
		       const struct account *top);

/* What is more than before, or less. */
struct account_change {
	int64_t charged_bytes; /* to the account itself */
	int64_t own_bytes; /* of these, or of those that are there */
	int64_t foreign_bytes; /* the same */
};

void account_change(struct account *account,
		    const struct account_change *change);

/* To the account alone, not to those above it. */
void account_change_shared(struct account *account, int64_t bytes);

#endif
