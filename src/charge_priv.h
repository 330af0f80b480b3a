/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What charge.c and charge_io.c share. */
#ifndef MEMCGFS_CHARGE_PRIV_H
#define MEMCGFS_CHARGE_PRIV_H

#include "charge.h"

struct charge {
	struct policy_rule rule;
	struct host *host;
	struct stats *stats;
	struct inode_table *table;
	struct arena *arena;
	bool sees_owners;
	int fuse_fd;
	bool can_passthrough;
};

/*
 * Has a call made by the charger of the host, or, without a host, or without
 * a charger where the rule says so, by the calling thread: its result, which
 * is in *call with what else it gave.
 */
int64_t charge_call(struct charge *charge, struct ring_call *call);

/*
 * Makes the file's pages resident, and the host's. @need tells how much of
 * that is to be done. -errno: it couldn't be done.
 */
int charge_ahead(struct charge *charge, struct backing *backing,
		 uint64_t size_bytes, enum shadow_need need);

/*
 * The file grew, or pages of it were dropped: makes it resident again for
 * those who map it or read it by passthrough. They are who did it, if that is
 * @readable, and all others who have it open.
 */
void charge_refill(struct charge *charge, struct backing *backing,
		   bool readable);

/* Ends one open of the backing, and what the last one had reserved. */
void charge_close_backing(struct charge *charge, struct backing *backing);

#endif
