// SPDX-License-Identifier: GPL-2.0-or-later
/* The heart, 7: what is to be told of a file; see charge.h. */
#include "charge_priv.h"

#include "residency.h"
#include "util.h"

#include <sys/stat.h>

/*
 * Asks the kernel; only a charger can look without bringing in pages that are
 * not the host's. One that doesn't answer isn't waited for.
 */
static int64_t count_foreign(struct charge *charge,
			     const struct binding *binding,
			     const struct backing *backing,
			     const struct charge_view *view)
{
	struct residency_found found;

	if (!binding->host || view->resident_bytes < 0)
		return -1;
	if (!view->resident_bytes)
		return 0;
	if (charger_is_silent(host_charger(binding->host)) ||
	    charge_look_quickly(charge, backing, &found) < 0)
		return -1;
	return (int64_t)(found.foreign_pages * page_bytes());
}

static struct charge_path look_at_path(const struct binding *binding,
				       const struct policy_facts *facts)
{
	return (struct charge_path){
		.path = policy_choose(&binding->rule, facts),
		.why = policy_why(&binding->rule, facts),
	};
}

static void look_at_paths(struct charge *charge, struct backing *backing,
			  const struct binding *binding,
			  struct charge_view *view)
{
	struct policy_facts facts = {
		.is_cached = charge->place == &charge_in_mount,
		.can_passthrough = charge->can_passthrough,
		.host_is_down = binding->host &&
				charger_is_down(host_charger(binding->host)),
		.readable = true,
		.is_scan = policy_is_scan(&binding->rule, false, false),
		.in_memory = charge_is_in_memory(charge, backing->inode),
		.has_foreign = view->foreign_bytes != 0,
		.size_bytes = view->size_bytes,
		.all_owned = view->foreign_bytes == 0 &&
			     (uint64_t)view->resident_bytes >=
				     pages_of(view->size_bytes) * page_bytes(),
	};

	if (binding->host)
		facts.room_bytes = charge_room(charge, binding->host, backing);
	view->read = look_at_path(binding, &facts);
	facts.writable = true;
	view->write = look_at_path(binding, &facts);
}

static int look_at_backing(struct charge *charge, struct backing *backing,
			   const struct binding *binding,
			   struct charge_view *view)
{
	struct inode *inode = backing->inode;
	uint64_t resident;
	struct stat st;
	int r;

	if (fstat(backing_read_fd(backing), &st) < 0)
		return -errno;
	/* Of files that a user may only read he isn't told (seen on 6.18). */
	r = charge_count_pages(charge, backing, (uint64_t)st.st_size,
			       &resident);
	if (r < 0 && r != -EPERM)
		return r;
	*view = (struct charge_view){
		.size_bytes = (uint64_t)st.st_size,
		.resident_bytes = r < 0 ? -1 :
					  (int64_t)(resident * page_bytes()),
	};
	view->foreign_bytes = count_foreign(charge, binding, backing, view);
	inode_lock(charge->table, inode);
	view->is_pinned = inode_pin(inode);
	view->is_open = backing->opens > 1; /* one is ours */
	inode_unlock(charge->table, inode);
	look_at_paths(charge, backing, binding, view);
	return 0;
}

int charge_look(struct charge *charge, struct inode *inode,
		const struct binding *binding, struct charge_view *view)
{
	struct backing *backing;
	int r;

	if (!S_ISREG(inode->type))
		return -EINVAL;
	r = backing_open(charge->table, inode, false, false, &backing);
	if (r < 0)
		return r;
	r = look_at_backing(charge, backing, binding, view);
	charge_close_backing(charge, backing);
	return r;
}
