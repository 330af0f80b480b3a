/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An inode table over a scratch directory, in both of its modes: with file
 * handles, which are root's, and without, as an ordinary user has it. Root
 * gets the second by lowering the right to use handles.
 */
#ifndef MEMCGFS_TESTS_TABLE_H
#define MEMCGFS_TESTS_TABLE_H

#include "backing.h"
#include "unit.h"
#include "util.h"

#include <linux/capability.h>
#include <sys/syscall.h>

#define SHARDS 64

struct place {
	struct scratch *scratch;
	struct inode_table *table;
	struct inode *root;
	unsigned int fds; /* open before the table was */
};

static inline void raise_or_lower_handles(bool raise)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct caps[2];
	unsigned int cap = 1u << CAP_DAC_READ_SEARCH;

	if (syscall(SYS_capget, &head, caps) < 0)
		return;
	caps[0].effective &= ~cap;
	if (raise)
		caps[0].effective |= caps[0].permitted & cap;
	syscall(SYS_capset, &head, caps);
}

static inline int place_setup(void **state, bool handles)
{
	struct inode_limits limits = {
		.path_fds = 2 * SHARDS,
		.idle_backings = 2 * SHARDS,
	};
	struct place *place = calloc(1, sizeof(*place));
	void *scratch = NULL;
	int r;

	if (!place || scratch_setup(&scratch) < 0) {
		free(place);
		return -1;
	}
	raise_or_lower_handles(handles);
	place->scratch = scratch;
	place->fds = count_fds();
	r = inode_table_new(fcntl(place->scratch->fd, F_DUPFD_CLOEXEC, 3),
			    &limits, &backing_hooks, &place->table);
	if (r == 0)
		place->root = inode_table_root(place->table);
	*state = place;
	unit_watchdog(60);
	return r;
}

static inline int place_setup_with_handles(void **state)
{
	return place_setup(state, true);
}

static inline int place_setup_without(void **state)
{
	return place_setup(state, false);
}

/* Whatever a test leaves in it, a table closes all of its fds. */
static inline int place_teardown(void **state)
{
	struct place *place = *state;
	void *scratch = place->scratch;
	bool balanced;

	inode_table_free(place->table);
	balanced = count_fds() == place->fds;
	if (!balanced)
		print_error("%u fds were open before, and %u are now\n",
			    place->fds, count_fds());
	scratch_teardown(&scratch);
	raise_or_lower_handles(true);
	free(place);
	unit_watchdog(0);
	return balanced ? 0 : -1;
}

static inline bool has_handles(struct place *place)
{
	return inode_device(place->table, place->root)->mount_fd >= 0;
}

/* Looks the name up once. */
static inline struct inode *look_up(struct place *place, const char *name)
{
	struct inode *inode = NULL;
	struct stat st;

	assert_int_equal(
		inode_lookup(place->table, place->root, name, &inode, &st), 0);
	return inode;
}

/* A test in both modes. */
#define table_test(name)                                                      \
	{ #name " (handles)", name, place_setup_with_handles, place_teardown, \
	  NULL },                                                             \
	{                                                                     \
#name " (no handles)", name, place_setup_without,             \
			place_teardown, NULL                                  \
	}

#endif
