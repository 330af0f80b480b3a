// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The heart, 5: drift; see charge.h. While a client has a file open whose
 * pages he reads or maps himself, one that was reclaimed is brought back by
 * him, and he is charged for it. Such files are exposed: known to the
 * inode table from their open on, until they were looked at after their last
 * close.
 */
#include "charge_priv.h"

#include "residency.h"
#include "util.h"

#include <sys/stat.h>

void charge_expose(struct charge *charge, struct inode *inode)
{
	inode_expose(charge->table, inode);
}

static bool stays_exposed(const struct inode *inode)
{
	return (inode->backing && inode->backing->opens) || inode->has_residue;
}

static bool never_stays(const struct inode *inode)
{
	return false;
}

void charge_conceal(struct charge *charge, struct inode *inode)
{
	inode_conceal(charge->table, inode, never_stays);
}

static void set_residue(struct charge *charge, struct inode *inode,
			bool has_residue)
{
	inode_lock(charge->table, inode);
	inode->has_residue = has_residue;
	inode_unlock(charge->table, inode);
}

/* A charger that doesn't answer, or can't be had, is not waited for. */
static bool can_look(const struct charge *charge, const struct inode *inode)
{
	const struct binding *binding = binding_of(charge, inode);
	const struct charger *charger;

	if (!binding->host)
		return false;
	charger = host_charger(binding->host);
	return !charger_is_silent(charger) && !charger_is_down(charger);
}

int64_t charge_reconcile(struct charge *charge, struct inode *inode,
			 enum charge_reason reason)
{
	struct backing *backing;
	bool is_open, had_residue;
	int64_t r;

	inode_lock(charge->table, inode);
	had_residue = inode->has_residue;
	is_open = inode->backing && inode->backing->opens;
	inode_unlock(charge->table, inode);
	if (reason == CHARGE_NO_REASON ||
	    (reason == CHARGE_RETRY && !had_residue)) {
		inode_conceal(charge->table, inode, stays_exposed);
		return 0;
	}
	if (!can_look(charge, inode))
		return -EAGAIN;
	r = backing_open(charge->table, inode, false, false, &backing);
	if (r == 0) {
		stats_add(charge->stats, STATS_reconciles, 1);
		r = charge_settle(charge, backing, is_open);
		charge_close_backing(charge, backing);
	}
	if (r < 0 && r != -ESTALE && r != -ENOENT)
		return r;
	set_residue(charge, inode, r > 0);
	/* Who opened it meanwhile keeps it where it is. */
	if (!is_open)
		inode_conceal(charge->table, inode, stays_exposed);
	return r;
}
