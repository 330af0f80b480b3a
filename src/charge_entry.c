// SPDX-License-Identifier: GPL-2.0-or-later
/* The heart, 10: what the books have of a file, for reports; see charge.h. */
#include "charge_priv.h"

#include "residency.h"
#include "util.h"

static void read_figures(const struct inode *inode,
			 struct charge_figures *figures)
{
	const struct account_file *file = &inode->pages->account;

	*figures = (struct charge_figures){
		.resident_bytes = account_file_resident(file),
		.foreign_bytes = account_file_foreign(file),
		.sharers = account_file_sharers(file),
	};
}

void charge_read_figures(struct charge *charge, struct inode *inode,
			 struct charge_figures *figures)
{
	*figures = (struct charge_figures){ 0 };
	inode_lock(charge->table, inode);
	if (inode->pages)
		read_figures(inode, figures);
	inode_unlock(charge->table, inode);
}

/* How much an entry takes: it may grow until it is read. */
static void measure(struct charge *charge, const struct inode *inode,
		    size_t *n_foreign, size_t *n_sharers)
{
	inode_lock(charge->table, inode);
	*n_foreign = inode->pages ? inode->pages->account.n_foreign : 0;
	*n_sharers = inode->pages ? inode->pages->account.n_uses : 0;
	inode_unlock(charge->table, inode);
}

/* What of it there is room for; its accounts are references. */
static void read_entry(const struct inode *inode, struct charge_entry *entry,
		       size_t n_foreign, size_t n_sharers)
{
	const struct account_file *file = &inode->pages->account;
	struct account *account;

	read_figures(inode, &entry->figures);
	entry->host_bytes = file->host_bytes;
	entry->host = file->host ? account_ref(file->host) : NULL;
	for (size_t i = 0; i < n_foreign && i < file->n_foreign; i++) {
		entry->foreign[i] = file->foreign[i];
		account_ref(entry->foreign[i].account);
		entry->n_foreign++;
	}
	for (size_t i = 0; i < n_sharers; i++) {
		account = (struct account *)account_file_sharer(file, i);
		if (!account)
			break;
		entry->sharers[entry->n_sharers++] = account_ref(account);
	}
	entry->has_more_sharers = account_file_has_more(file);
	entry->reason = inode->residue_flags ?
				residency_reason(inode->residue_flags) :
				NULL;
}

int charge_read_entry(struct charge *charge, struct inode *inode,
		      struct charge_entry *entry)
{
	size_t n_foreign, n_sharers;

	*entry = (struct charge_entry){ 0 };
	measure(charge, inode, &n_foreign, &n_sharers);
	entry->foreign = calloc(n_foreign + 1, sizeof(*entry->foreign));
	entry->sharers = calloc(n_sharers + 1, sizeof(struct account *));
	if (!entry->foreign || !entry->sharers) {
		charge_entry_clear(entry);
		return -ENOMEM;
	}
	inode_lock(charge->table, inode);
	if (inode->pages)
		read_entry(inode, entry, n_foreign, n_sharers);
	inode_unlock(charge->table, inode);
	return 0;
}

void charge_entry_clear(struct charge_entry *entry)
{
	if (entry->host)
		account_unref(entry->host);
	for (size_t i = 0; i < entry->n_foreign; i++)
		account_unref(entry->foreign[i].account);
	for (size_t i = 0; i < entry->n_sharers; i++)
		account_unref(entry->sharers[i]);
	free(entry->foreign);
	free(entry->sharers);
	*entry = (struct charge_entry){ 0 };
}
