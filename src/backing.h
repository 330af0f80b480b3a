/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file below an inode, while it is open through the mount: at most one
 * fd for reading, one for reading and writing and one for each other way, all
 * shared by every open of the inode, and one passthrough id. All passthrough
 * opens of an inode have to use the same id (Linux 6.18 answers EBUSY, which
 * users see as EIO), so it is made once and published under the lock; who
 * loses that race closes his own.
 *
 * After the last close a backing that was open for reading alone stays for
 * a while, in a bounded list, so that the next open costs no system call. Where
 * opens aren't known, and each request opens it, one that is open for writing
 * stays, too: whoever has it written is to drop it soon.
 */
#ifndef MEMCGFS_BACKING_H
#define MEMCGFS_BACKING_H

#include "backing_reads.h"
#include "inode.h"
#include "sweeper.h"

enum backing_use {
	BACKING_READ,
	BACKING_WRITE, /* O_RDWR */
	BACKING_DIRECT_READ,
	BACKING_DIRECT_WRITE,
	BACKING_QUIET_READ, /* O_NOATIME */
	BACKING_SCAN, /* with a readahead of its own, if it has any */
	BACKING_USES,
};

struct host;

/* Room that was promised to an open file. */
struct reservation {
	struct host *host;
	uint64_t bytes; /* 0: none */
};

/*
 * What those who go once through a file found and did, from the first of
 * them until it is swept; see charge_scan.c. The inode's lock protects it,
 * where nothing else is said.
 */
struct backing_scan {
	uint32_t opens; /* theirs, among the backing's */
	bool is_used; /* by others, since the first of them came */
	bool is_seen; /* what was resident is known, in the next three */
	bool is_blind; /* it can't be told: all stays */
	uint64_t resident_bytes; /* before the first */
	struct shadow_map *kept; /* which pages those are; NULL: none, or all */
	bool is_late; /* one of them came as a user */
	bool is_queued; /* to be swept: the queue has one of the opens */
	int cpu; /* where the latest of them waits, or AFFINITY_ANY */
	struct sweeper_item item; /* the queue's */
	/* Of who reads strictly; these are atomic, and relaxed. */
	_Atomic bool is_probed; /* whether the next is known */
	_Atomic bool is_cached; /* the filesystem keeps what it reads */
	_Atomic uint64_t read_bytes;
	_Atomic uint64_t swept_bytes; /* up to where, while it is read */
};

struct backing {
	struct inode *inode;
	int fds[BACKING_USES]; /* inode lock to set; then fixed while open */
	int id; /* inode lock to set: of passthrough; 0: none yet */
	int fuse_fd;
	bool no_passthrough; /* inode lock: registering it failed */
	bool is_leaving; /* inode lock: it doesn't stay when it is idle */
	/*
	 * Whatever is written by the fd for that lands at the end: the file
	 * was append-only. Inode lock to set.
	 */
	_Atomic bool appends;
	uint32_t opens; /* inode lock; each is one of the inode's lookups */
	uint32_t users; /* inode lock: clients' opens that are no scan's */
	/*
	 * Pages are being dropped. Set before it is seen that nobody has the
	 * file open; who opens it says so before he looks at this.
	 */
	_Atomic bool is_swept;
	struct backing_scan scan;
	struct backing_reads reads; /* inode lock */
	struct reservation reserved; /* inode lock */
	_Atomic uint64_t end_bytes; /* the file's end, as far as is known */
	uint64_t idle_since_ns; /* inode lock */
	struct list idle_link; /* inode lock */
};

/* For inode_table_new(). */
extern const struct inode_hooks backing_hooks;

/*
 * The backing of an inode, opened once more: for reading, or, with
 * @writable, for both. @append is the caller's O_APPEND, without which
 * append-only files can't be opened. The inode lives until it is closed, even
 * if the kernel forgets it, as it may from a request's answer on.
 */
int backing_open(struct inode_table *table, struct inode *inode, bool writable,
		 bool append, struct backing **out);

/* The same for a new file, already open for both as @fd, which it takes. */
int backing_adopt(struct inode_table *table, struct inode *inode, int fd,
		  struct backing **out);

/*
 * Ends one open. Gives what was reserved, to be given back, if it was the
 * last; else nothing.
 */
struct reservation backing_close(struct inode_table *table,
				 struct backing *backing);

/* Whether somebody has it open; the caller has the inode's lock. */
static inline bool backing_is_open(const struct inode *inode)
{
	return inode->backing && inode->backing->opens;
}

/* The best fd for reading and metadata; for writing; never fails. */
int backing_read_fd(const struct backing *backing);
int backing_write_fd(const struct backing *backing);

/* An fd for one of the other uses; opened at the first call. Or -errno. */
int backing_special_fd(struct inode_table *table, struct backing *backing,
		       enum backing_use use);

/* The id for passthrough, registered at the first call; or -errno. */
int backing_passthrough_id(struct inode_table *table, struct backing *backing,
			   int fuse_fd);

/* Forgets the inode's idle backing, if it has one: its last link goes. */
void backing_drop_idle(struct inode_table *table, struct inode *inode);

/* The same, if it is open for writing; one in use goes after the last use. */
void backing_drop_writer(struct inode_table *table, struct inode *inode);

/* Forgets those that are idle since before @since_ns. */
void backing_expire(struct inode_table *table, uint64_t since_ns);

#endif
