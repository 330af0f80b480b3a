/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mount, and its connection to the kernel: a session of libfuse. */
#ifndef MEMCGFS_CONNECTION_H
#define MEMCGFS_CONNECTION_H

#include "fuse_memcgfs.h"
#include "places.h"

struct connection_config {
	const struct places *places;
	const char *memcg; /* as /proc/mounts is to show it */
	const char *mount_options; /* for libfuse and the kernel */
	bool debug;
	struct fuse_front *front; /* who answers */
	struct inode_table *table;
	struct arena *arena;
};

/* 0, or -errno, logged: FUSE over io_uring is not to be had. */
int connection_check_uring(void);

/* Each gives 0, or -errno of what has been logged. */
int connection_new(const struct connection_config *config,
		   struct fuse_session **out);
int connection_mount(const struct connection_config *config,
		     struct fuse_session *fuse);

/* Serves until the mount ends, or a signal ends it: 0, or -errno. */
int connection_serve(struct fuse_session *fuse, int max_threads);

void connection_unmount(struct fuse_session *fuse);

/* Of libfuse. */
const char *connection_library_version(void);

/* What libfuse logged last. */
const char *connection_last_words(void);

#endif
