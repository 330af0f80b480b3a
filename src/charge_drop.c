// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The heart, 12: letting go of a file's pages as somebody asks for it; see
 * charge.h. The daemon does that itself, as it charges nobody.
 *
 * What is open by passthrough stays: its reader would bring it back at his
 * own charge, and no count of the kernel tells of that.
 */
#include "charge_priv.h"

#include "residency.h"
#include "util.h"

#include <fcntl.h>

static bool is_exposed(const struct inode *inode)
{
	return backing_is_open(inode) && inode_is_marked(inode, INODE_EXPOSED);
}

static void look_at_inode(struct charge *charge, const struct inode *inode,
			  struct charge_drop *drop)
{
	inode_lock(charge->table, inode);
	drop->is_pinned = inode_pin(inode);
	drop->is_open = is_exposed(inode);
	inode_unlock(charge->table, inode);
}

static int look_at_pages(struct charge *charge, struct inode *inode,
			 struct charge_drop *drop)
{
	struct charge_probe probe;
	int r;

	r = charge_probe(charge, inode, &probe);
	if (r < 0)
		return r;
	drop->resident_bytes = probe.resident_bytes;
	drop->is_unseen = probe.resident_bytes &&
			  !(probe.sees_owners && probe.sees_flags);
	drop->dirty_bytes = 0;
	drop->mapped_bytes = 0;
	for (size_t i = 0; i < probe.n_parts; i++) {
		drop->dirty_bytes += probe.parts[i].dirty_bytes;
		drop->mapped_bytes += probe.parts[i].mapped_bytes;
	}
	charge_probe_clear(&probe);
	return 0;
}

/* Who has opened it meanwhile may have been promised what is dropped now. */
static void see_to_openers(struct charge *charge, struct inode *inode)
{
	bool is_open;

	inode_lock(charge->table, inode);
	is_open = is_exposed(inode);
	if (inode->pages)
		shadow_forget(&inode->pages->shadow);
	inode->is_watched |= is_open;
	inode_unlock(charge->table, inode);
	if (is_open)
		charge_expose(charge, inode);
}

static int drop_by_each_fd(struct charge *charge, const struct backing *opened,
			   bool is_dirty)
{
	struct charge_pages pages;
	int r = 0;

	charge_get_pages(charge, opened, &pages);
	for (unsigned int i = 0; i < pages.n && r == 0; i++) {
		if (is_dirty && fdatasync(pages.fds[i]) < 0)
			r = -errno;
		else
			posix_fadvise(pages.fds[i], 0, 0, POSIX_FADV_DONTNEED);
	}
	charge_put_pages(charge, &pages);
	return r;
}

static int drop_pages(struct charge *charge, struct inode *inode,
		      struct charge_drop *drop)
{
	bool is_dirty = drop->dirty_bytes || drop->is_unseen;
	uint64_t before = drop->resident_bytes;
	struct backing opened = { .inode = inode };
	cleanup_close int fd = -1;
	int r;

	fd = inode_open(charge->table, inode, O_RDONLY | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return fd;
	opened.fds[BACKING_READ] = fd;
	r = drop_by_each_fd(charge, &opened, is_dirty);
	if (r < 0)
		return r;
	see_to_openers(charge, inode);
	charge_count(charge, &opened);
	r = look_at_pages(charge, inode, drop);
	if (r == 0 && drop->resident_bytes < before)
		drop->dropped_bytes = before - drop->resident_bytes;
	return r;
}

int charge_drop(struct charge *charge, struct inode *inode, bool force,
		struct charge_drop *drop)
{
	bool is_kept;
	int r;

	*drop = (struct charge_drop){ 0 };
	look_at_inode(charge, inode, drop);
	r = look_at_pages(charge, inode, drop);
	if (r < 0 || !drop->resident_bytes)
		return r;
	is_kept = drop->is_pinned || drop->is_open ||
		  (!force && (drop->dirty_bytes || drop->mapped_bytes ||
			      drop->is_unseen));
	return is_kept ? 0 : drop_pages(charge, inode, drop);
}
