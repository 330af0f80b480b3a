// SPDX-License-Identifier: GPL-2.0-or-later
/* The books; see accounting.h. */
#include "accounting.h"

#include "list.h"
#include "util.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

struct account {
	struct account *parent;
	struct list children;
	struct list link; /* in the parent's children */
	_Atomic uint64_t own_bytes; /* relaxed: a sum, it orders nothing */
	char name[];
};

struct account *account_new(struct account *parent, const char *name)
{
	size_t size = strlen(name) + 1;
	struct account *account;

	account = calloc(1, sizeof(*account) + size);
	if (!account)
		return NULL;
	account->parent = parent;
	memcpy(account->name, name, size);
	list_init(&account->children);
	list_init(&account->link);
	if (parent)
		list_add(&parent->children, &account->link);
	return account;
}

struct account *account_free(struct account *account)
{
	struct list *link;

	if (!account)
		return NULL;
	while (!list_empty(&account->children)) {
		link = account->children.next;
		account_free(container_of(link, struct account, link));
	}
	assert(account_own(account) == 0);
	list_del(&account->link);
	free(account);
	return NULL;
}

const char *account_name(const struct account *account)
{
	return account->name;
}

uint64_t account_own(const struct account *account)
{
	return atomic_load_explicit(&account->own_bytes, memory_order_relaxed);
}

uint64_t account_usage(const struct account *account)
{
	uint64_t usage = account_own(account);
	const struct list *link;

	for (link = account->children.next; link != &account->children;
	     link = link->next)
		usage += account_usage(
			container_of(link, const struct account, link));
	return usage;
}

void account_charge(struct account *account, struct account_charge *charge,
		    uint64_t bytes)
{
	account_uncharge(charge);
	charge->account = account;
	charge->bytes = bytes;
	atomic_fetch_add_explicit(&account->own_bytes, bytes,
				  memory_order_relaxed);
}

void account_uncharge(struct account_charge *charge)
{
	if (!charge->account)
		return;
	assert(account_own(charge->account) >= charge->bytes);
	atomic_fetch_sub_explicit(&charge->account->own_bytes, charge->bytes,
				  memory_order_relaxed);
	charge->account = NULL;
	charge->bytes = 0;
}
