// SPDX-License-Identifier: GPL-2.0-or-later
/* The heart, 13: what is told of a file to who follows events; see events.h. */
#include "charge_priv.h"

#include "inode_place.h"

void charge_tell(struct charge *charge, struct inode *inode, struct event event)
{
	const struct binding *binding = binding_of(charge, inode);
	char path[INODE_PATH_MAX];

	if (!events_are_followed(charge->events))
		return;
	if (inode_path(charge->table, inode, path) == 0)
		event.path = path;
	if (binding->host)
		event.host = host_path(binding->host);
	events_tell(charge->events, &event);
}
