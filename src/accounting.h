/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The books: which cgroup pays for how many bytes of the files that are
 * known. A tree of accounts as the cgroups are one, and charges in it; a
 * charge is an object that remembers what it took, so that undoing it is
 * exact. Pure: no system calls.
 *
 * Usage is computed, not kept: usage(A) = sum of usage(children) + own(A)
 * holds by construction. Charging is one atomic addition. Accounts are made
 * and freed while nobody charges.
 */
#ifndef MEMCGFS_ACCOUNTING_H
#define MEMCGFS_ACCOUNTING_H

#include <stdint.h>

struct account;

/* What one file has charged to one account; zeroed: nothing. */
struct account_charge {
	struct account *account;
	uint64_t bytes;
};

/* A child of @parent, or a root where that is NULL. NULL: no memory. */
struct account *account_new(struct account *parent, const char *name);

/* Asserts that nothing is charged to it or below; frees all below, too. */
struct account *account_free(struct account *account);

const char *account_name(const struct account *account);

/* Bytes charged to the account itself, and with all below it. */
uint64_t account_own(const struct account *account);
uint64_t account_usage(const struct account *account);

/*
 * Makes the charge one of @bytes in @account, whatever it was before. The
 * caller sees to it that nobody else changes the same charge meanwhile.
 */
void account_charge(struct account *account, struct account_charge *charge,
		    uint64_t bytes);

/* Gives back what the charge took. */
void account_uncharge(struct account_charge *charge);

#endif
