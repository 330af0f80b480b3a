/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The FUSE front end: unpacks requests, calls one function below, replies
 * exactly once. It knows names, attributes and handles; what is charged to
 * whom is charge.h's.
 */
#ifndef MEMCGFS_FUSE_MEMCGFS_H
#define MEMCGFS_FUSE_MEMCGFS_H

#include "rulebook.h"
#include "scanners.h"

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 17)
#include <fuse_lowlevel.h>

struct fuse_front;

struct fuse_front_config {
	struct charge *charge;
	struct rulebook *book;
	struct scanners *scanners;
	struct inode_table *table;
	bool is_cached; /* the mount's path is io=cached */
	double attr_timeout; /* seconds */
	double entry_timeout;
	double negative_timeout; /* of names that aren't there */
	unsigned int max_threads;
	uint64_t patience_ns; /* with a charger that doesn't answer */
	/* Called once, when the kernel is ready to be served. */
	void (*ready)(void *userdata, const char *why_strict); /* or NULL */
	void *userdata;
};

int fuse_front_new(const struct fuse_front_config *config,
		   struct fuse_front **out);
struct fuse_front *fuse_front_free(struct fuse_front *front);

/* For fuse_session_new(); the userdata is the front. */
const struct fuse_lowlevel_ops *fuse_front_ops(const struct fuse_front *front);

/* To be told before the loop starts: handlers send notifications. */
void fuse_front_set_session(struct fuse_front *front,
			    struct fuse_session *session);

/*
 * The process has opened the inode that the kernel knows by @nodeid, and
 * holds, without a message.
 */
void fuse_front_note_open(struct fuse_front *front, uint64_t nodeid, pid_t pid);

#endif
