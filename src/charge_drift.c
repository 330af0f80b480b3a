// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The heart, 5: drift; see charge.h. While a client has a file open or mapped
 * whose pages he brings in himself, one that was reclaimed is brought back by
 * him, and he is charged for it. Such files are exposed: known to the inode
 * table from their open on, until they were looked at after their last close.
 *
 * A mapping outlives that close: the kernel maps the backing file itself, so
 * FUSE's is released with its last fd (Linux 6.18), as ld.so does at once. So
 * what is found mapped then, or, whenever that was, has pages that couldn't be
 * moved, is watched: exposed further, and looked at now and then until nobody
 * maps it.
 */
#include "charge_priv.h"

#include "leases.h"
#include "residency.h"
#include "util.h"

#include <fcntl.h>
#include <sys/stat.h>

void charge_expose(struct charge *charge, struct inode *inode)
{
	inode_mark(charge->table, inode, INODE_EXPOSED);
}

static bool stays_exposed(const struct inode *inode)
{
	return backing_is_open(inode) || inode->is_watched;
}

void charge_unexpose(struct charge *charge, struct inode *inode)
{
	inode_unmark(charge->table, inode, INODE_EXPOSED, stays_exposed);
}

/* What is known of an exposed file before it is looked at. */
struct exposure {
	bool is_open;
	bool is_watched;
	bool is_gone; /* the client's kernel has forgotten it */
};

static struct exposure exposure_of(struct charge *charge, struct inode *inode)
{
	struct exposure seen;

	inode_lock(charge->table, inode);
	seen.is_open = backing_is_open(inode);
	seen.is_watched = inode->is_watched;
	/* Left are the marks' lookups, and that of who looks. */
	seen.is_gone = inode->lookups <= inode_count_marks(inode) + 1;
	inode_unlock(charge->table, inode);
	return seen;
}

static void set_watched(struct charge *charge, struct inode *inode,
			bool is_watched)
{
	inode_lock(charge->table, inode);
	inode->is_watched = is_watched;
	inode_unlock(charge->table, inode);
}

void charge_watch(struct charge *charge, struct inode *inode)
{
	set_watched(charge, inode, true);
	charge_expose(charge, inode);
}

bool charge_is_leased(struct charge *charge, struct inode *inode)
{
	bool is_leased;
	struct stat st;
	int fd;

	if (!leases_exist(charge->leases))
		return false;
	fd = inode_fd_get(charge->table, inode);
	if (fd < 0)
		return false;
	is_leased = fstatat(fd, "", &st, AT_EMPTY_PATH) == 0 &&
		    leases_have(charge->leases, st.st_dev, st.st_ino);
	inode_fd_put(charge->table, inode);
	return is_leased;
}

static bool is_due(const struct exposure *seen, enum charge_reason reason)
{
	if (reason == CHARGE_REFAULTS)
		return true;
	if (seen->is_watched)
		return reason == CHARGE_RETRY;
	/* Whether it is mapped is to be seen once, after its last close. */
	return !seen->is_open && !seen->is_gone;
}

/*
 * Most of it is another's: not what a client brought back, but the file has
 * another host now. Who used it is to find it there again, even if this look
 * is before the mover's.
 */
static bool has_moved(const struct residency_found *found)
{
	return found->foreign_pages > found->resident_pages;
}

/*
 * After its last close: claims what is another's, and tells whether somebody
 * maps the file. Without a page resident that is what it was.
 */
static int64_t look_at_closed(struct charge *charge, struct backing *backing,
			      const struct exposure *seen,
			      uint64_t dropped_pages, bool *is_mapped)
{
	struct residency_found found;
	int64_t r;

	r = charge_look_quickly(charge, backing, &found);
	if (r < 0)
		return r;
	*is_mapped = !seen->is_gone &&
		     (found.resident_pages + found.foreign_pages ?
			      found.mapped_pages > 0 :
			      seen->is_watched);
	return found.foreign_pages || dropped_pages ?
		       charge_settle(charge, backing,
				     seen->is_watched || has_moved(&found),
				     dropped_pages) :
		       0;
}

/* Looks at the file: the pages that stayed another's, or -errno. */
static int64_t look(struct charge *charge, struct inode *inode,
		    const struct exposure *seen, enum charge_reason reason)
{
	struct backing *backing;
	uint64_t dropped_pages = 0;
	bool is_mapped = false;
	int64_t r;

	if (charge_is_leased(charge, inode))
		return -EAGAIN;
	r = backing_open(charge->table, inode, false, false, &backing);
	if (r < 0)
		return r;
	stats_add(charge->stats, STATS_reconciles, 1);
	/* What no page was brought back of is as it was, but for residue. */
	r = reason == CHARGE_RETRY ?
		    charge_retry(charge, backing, &dropped_pages) :
		    0;
	if (r == 0 && seen->is_open)
		r = charge_settle(charge, backing, true, dropped_pages);
	else if (r == 0)
		r = look_at_closed(charge, backing, seen, dropped_pages,
				   &is_mapped);
	set_watched(charge, inode, r != 0 || is_mapped);
	charge_close_backing(charge, backing);
	return r;
}

uint64_t charge_look_ns(const struct charge *charge)
{
	return atomic_load_explicit(&charge->stats->counters[STATS_look_ns],
				    memory_order_relaxed);
}

int64_t charge_reconcile(struct charge *charge, struct inode *inode,
			 enum charge_reason reason)
{
	const struct binding *binding = binding_of(charge, inode);
	struct exposure seen = exposure_of(charge, inode);
	int64_t r = 0;

	if (binding->host && is_due(&seen, reason))
		r = charge_can_ask(host_charger(binding->host)) ?
			    look(charge, inode, &seen, reason) :
			    -EAGAIN;
	/* What can't be looked at now is tried again, unless it is no more. */
	if (!binding->host || r == -ESTALE || r == -ENOENT)
		set_watched(charge, inode, false);
	else if (r < 0)
		set_watched(charge, inode, true);
	/* Who opened it meanwhile keeps it where it is. */
	charge_unexpose(charge, inode);
	return r;
}
