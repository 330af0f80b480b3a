/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who reads a file of an io=cached mount and misses a page is charged for it
 * by his own kernel, as is who writes one; but each of them is known from the
 * message that asks for it, or brings it. The recharger, a thread, has those
 * pages dropped a moment later, and has the host's charger bring them in again
 * where they were read, but by no scanner: it reads them as any other client
 * does, so that the kernel's own rules keep them right, whoever writes
 * meanwhile. (To store data into the client's pages would write over what was
 * written there since.) Mapped pages of a file that is being written are
 * dropped after that.
 */
#ifndef MEMCGFS_RECHARGER_H
#define MEMCGFS_RECHARGER_H

#include "inode.h"
#include "mirror.h"

struct charge;
struct recharger;

struct recharger_config {
	struct charge *charge;
	struct mirror *mirror;
};

int recharger_new(const struct recharger_config *config,
		  struct recharger **out);

/* The connection is gone: what is in the queue is forgotten. */
struct recharger *recharger_free(struct recharger *recharger);

/* The mount is served: it can be looked at from now on. */
void recharger_begin(struct recharger *recharger);

/* What has become of a client's pages. */
struct recharger_range {
	uint64_t offset;
	uint64_t length;
	bool for_good; /* dropped: they needn't come back */
};

/* Has a range of the inode recharged soon; the caller holds the inode. */
void recharger_queue(struct recharger *recharger, struct inode *inode,
		     const struct recharger_range *range);

#endif
