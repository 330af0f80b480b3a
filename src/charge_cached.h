/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The third path, io=cached, of a whole mount: opens are no messages, and
 * pages are those of the mount's own inodes, in the client's kernel, as on a
 * disk's filesystem. What a client misses is a message: the charger reads it,
 * and the pages are recharged after the answer (see recharger.h). What is
 * likely to be missed next is filled in before it, by the charger at once.
 * Writes go to the backing file before they are answered.
 *
 * Only one copy of the data stays: where the charger itself has filled the
 * client's pages, those of the backing file are let go of, if the mount has
 * brought them in. (On a tmpfs they are the file.) What was written is the
 * other way around: it stays as the backing's pages until it is read.
 *
 * What a scanner misses is read so that the backing keeps nothing of it, nothing
 * is filled in ahead, and the client's pages that it filled are dropped.
 */
#ifndef MEMCGFS_CHARGE_CACHED_H
#define MEMCGFS_CHARGE_CACHED_H

#include "charge.h"

/*
 * Makes the charge one of an io=cached mount, whose requests so many workers
 * serve. To be called before there are any. 0 or -errno.
 */
int charge_cached_begin(struct charge *charge, const char *mountpoint,
			unsigned int workers);

/* The mount is being served. */
void charge_cached_ready(struct charge *charge);

/* A scanner opens the inode, or who looks at its pages. */
void charge_cached_note_scan(struct charge *charge, const struct inode *inode,
			     pid_t pid);

/* To be called now and then: drops what scanners have left. */
void charge_cached_tick(struct charge *charge);

/* The connection is gone. */
void charge_cached_end(struct charge *charge);

/* A request for data, which names the inode alone. */
struct charge_cached_io {
	struct inode *inode;
	uint64_t offset;
	size_t size;
	pid_t tid; /* of who asks; 0: not to be seen from here */
	int flags; /* of open(2), as they are now */
	bool is_direct; /* it fills no page of the client's */
	bool is_scan; /* of who goes once through many files */
	bool is_writeback; /* by a mapping, from pages that are known already */
	bool kill_priv;
	const void *data; /* of a write; the result of a read */
	/* Between a read and its end. */
	struct backing *backing;
	int ahead_fd;
	bool is_hosts; /* it was the host itself, or who lives in it */
	bool is_readers; /* there is no charger, and he pays */
};

/*
 * Reads: bytes, or -errno. After the answer, in either case,
 * charge_cached_end_read() has the pages recharged.
 */
int64_t charge_cached_read(struct charge *charge, struct charge_cached_io *io);
void charge_cached_end_read(struct charge *charge,
			    const struct charge_cached_io *io, int64_t result);

/*
 * Around what has the host read again what was read for others: gives the
 * backing for the second; or NULL. Both are the recharger's to call.
 */
struct backing *charge_cached_begin_recharge(struct charge *charge,
					     struct inode *inode);
void charge_cached_end_recharge(struct charge *charge, struct backing *backing);

/* Bytes written, or -errno. */
int64_t charge_cached_write(struct charge *charge,
			    const struct charge_cached_io *io);

struct charge_cached_range {
	struct inode *inode;
	uint64_t offset;
	uint64_t length;
};

/* To the range's offset; @by_file: as ftruncate(2) does. 0 or -errno. */
int charge_cached_truncate(struct charge *charge,
			   const struct charge_cached_range *range,
			   bool by_file, bool kill_priv);

int charge_cached_fallocate(struct charge *charge,
			    const struct charge_cached_range *range, int mode,
			    bool kill_priv);

/* As many bytes as @out is long. Bytes copied, or -errno. */
int64_t charge_cached_copy(struct charge *charge,
			   const struct charge_cached_range *in,
			   const struct charge_cached_range *out,
			   bool kill_priv);

/*
 * These attributes are about to be told. True: the file was changed beside the
 * mount since they were told last, and what the client has of it is stale, until
 * charge_cached_drop_stale(). That may wait for a read that the client has
 * asked for to be answered.
 */
bool charge_cached_note_attr(struct charge *charge, struct inode *inode,
			     const struct stat *st);
void charge_cached_drop_stale(struct charge *charge, struct inode *inode);

#endif
