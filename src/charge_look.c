// SPDX-License-Identifier: GPL-2.0-or-later
/* The heart, 4: what is to be told of a file; see charge.h. */
#include "charge_priv.h"

#include "residency.h"
#include "util.h"

#include <sys/stat.h>

/* Asks the kernel; only a charger can look without bringing in pages. */
static int64_t count_foreign(struct charge *charge,
			     const struct binding *binding,
			     const struct backing *backing, uint64_t size_bytes)
{
	struct ring_call call = {
		.op = RING_CLAIM,
		.flags = RING_LOOK,
		.fd = backing_read_fd(backing),
		.length = size_bytes,
	};

	if (!binding->host)
		return -1;
	if (!size_bytes)
		return 0;
	if (charge_call(charge, binding, &call) < 0)
		return -1;
	return (int64_t)(call.foreign_pages * page_bytes());
}

static void look_at_paths(struct charge *charge, struct backing *backing,
			  struct charge_view *view)
{
	const struct binding *binding = view->binding;
	struct policy_facts facts = {
		.can_passthrough = charge->can_passthrough,
		.host_is_down = binding->host &&
				charger_is_down(host_charger(binding->host)),
		.readable = true,
		.size_bytes = view->size_bytes,
		.all_owned = view->foreign_bytes == 0 &&
			     view->resident_bytes >=
				     pages_of(view->size_bytes) * page_bytes(),
	};

	if (binding->host)
		facts.room_bytes = charge_room(charge, binding->host, backing);
	view->read_path = policy_choose(&binding->rule, &facts);
	view->why = policy_why(&binding->rule, &facts);
	facts.writable = true;
	view->write_path = policy_choose(&binding->rule, &facts);
}

static int look_at_backing(struct charge *charge, struct backing *backing,
			   struct charge_view *view)
{
	struct inode *inode = backing->inode;
	uint64_t resident;
	struct stat st;
	int r;

	if (fstat(backing_read_fd(backing), &st) < 0)
		return -errno;
	r = residency_count(backing_read_fd(backing), 0, 0, &resident);
	if (r < 0)
		return r;
	*view = (struct charge_view){
		.binding = binding_of(charge, inode),
		.size_bytes = (uint64_t)st.st_size,
		.resident_bytes = resident * page_bytes(),
	};
	view->foreign_bytes =
		count_foreign(charge, view->binding, backing, view->size_bytes);
	inode_lock(charge->table, inode);
	view->is_pinned = inode->pin;
	view->is_open = backing->opens > 1; /* one is ours */
	inode_unlock(charge->table, inode);
	look_at_paths(charge, backing, view);
	return 0;
}

int charge_look(struct charge *charge, struct inode *inode,
		struct charge_view *view)
{
	struct backing *backing;
	int r;

	if (!S_ISREG(inode->type))
		return -EINVAL;
	r = backing_open(charge->table, inode, false, false, &backing);
	if (r < 0)
		return r;
	r = look_at_backing(charge, backing, view);
	charge_close_backing(charge, backing);
	return r;
}
