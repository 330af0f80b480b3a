/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inodes that the client's kernel knows, one object per (device, inode,
 * generation) of the backing: found by file handle (name_to_handle_at(2)),
 * so that knowing an inode costs memory, and no fd. O_PATH fds are a cache
 * in front of open_by_handle_at(2), bounded over the table. Where the
 * backing has no handles, or the user no right to use them, an inode keeps
 * its O_PATH fd for as long as it is known.
 *
 * Locks: the table is split into shards; a shard's lock protects its hash
 * table, its lists, and the fields of its inodes (marked below). No system
 * call is made under it.
 */
#ifndef MEMCGFS_INODE_H
#define MEMCGFS_INODE_H

#include "account_file.h"
#include "devices.h"
#include "hash.h"
#include "list.h"
#include "pagecache_shadow.h"
#include "shadow_map.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct backing;
struct binding;
struct inode_table;
struct path_fd;
struct pin_state;
struct recharge;
struct rule_dir;

/*
 * What an inode is listed for. One that is holds a lookup of itself, so that
 * it stays known whatever the client's kernel forgets; but not where that
 * would cost an fd: there the mark goes with the last of the others.
 */
enum inode_mark {
	INODE_EXPOSED, /* a client may bring in pages by himself */
	INODE_CHARGED, /* the books have something of it */
	INODE_MARKS,
};

/* What io=cached knows of a file; see charge_cached.h. Shard lock. */
struct inode_cached {
	struct recharge *recharge; /* the recharger's lock */
	uint64_t size_bytes; /* these two, as they were told last */
	uint64_t mtime_ns;
	uint64_t ahead_end; /* where what was brought in ahead ends */
	uint32_t ahead_bytes; /* so much of it */
	uint32_t changed; /* so many changes were made through the mount */
	uint32_t changed_ms; /* when the last one ended */
	uint16_t changes; /* being made: at most one by each thread */
	bool is_stale : 1; /* what the client has was changed beside the mount */
	bool is_unclaimed : 1; /* scanners alone have been here */
	/* What is resident of the backing came by the mount; relaxed, a hint. */
	_Atomic bool is_ours;
};

/* What is known of a file's pages, from its first open on; shard lock. */
struct inode_pages {
	struct pagecache_shadow shadow;
	struct account_file account; /* what the books have */
	struct shadow_map *map; /* whose they are; see charge_residue.c */
	struct inode *exposed_next; /* while it is marked so */
	struct inode *exposed_prev;
	struct inode_cached *cached; /* to set; then fixed; else NULL */
};

struct inode {
	struct hash_link link; /* shard lock */
	struct backing *backing; /* shard lock; see backing.h */
	struct inode_pages *pages; /* shard lock to set; then fixed */
	uint64_t lookups; /* shard lock: the kernel's, and of users */
	struct path_fd *path_fd; /* shard lock: O_PATH; NULL: none */
	uint16_t type; /* S_IFMT bits */
	/*
	 * Once open for reading and writing through the mount: a mapping may
	 * change its times behind the client kernel's back, so attributes
	 * are not to be cached. Set once; atomic, relaxed.
	 */
	_Atomic bool attrs_volatile;
	_Atomic bool inval_queued; /* see inval.h */
	/* The heart's lock; see charge_call_alone(). */
	uint16_t claims_begun;
	uint16_t claims_ended;
	_Atomic unsigned char move; /* see mover.c */
	_Atomic unsigned char marks; /* bits of inode_mark; shard lock to set */
	bool is_watched : 1; /* shard lock; see charge_drift.c */
	bool is_unclear : 1; /* shard lock; see charge_note_owned() */
	uint8_t residue_flags; /* shard lock; see residency_reason() */
	_Atomic uint32_t children; /* that hold it; see inode_child_get() */
	uint32_t uses; /* shard lock: opens so far, but for scanners' */
	_Atomic uint32_t rule_epoch; /* these three: when binding was found */
	_Atomic uint32_t rule_serial;
	_Atomic uint32_t rule_ms;
	/* Where it was last seen, see inode_place.h; shard lock. */
	struct inode *parent; /* NULL: nowhere; it holds a child of it */
	char *name; /* of inode_name_new() */
	union {
		struct rule_dir *rule_dir; /* shard lock; of directories */
		struct pin_state *pin; /* shard lock; see inode_pin() */
	};
	/* Which rule holds: see rulebook.h. */
	_Atomic(const struct binding *) binding;
	/*
	 * The key, from here to the end of the handle. A struct file_handle
	 * takes twice as much for its type and length.
	 */
	uint32_t device; /* see devices.h */
	uint16_t handle_type;
	uint16_t handle_bytes;
	unsigned char handle[];
};

/* The lock is the shard's. NULL: it isn't pinned; see charge_pin.c. */
static inline struct pin_state *inode_pin(const struct inode *inode)
{
	return S_ISREG(inode->type) ? inode->pin : NULL;
}

struct inode_limits {
	unsigned int path_fds; /* at most so many O_PATH fds, unless pinned */
	unsigned int idle_backings; /* see backing.h */
	bool keeps_writers; /* idle ones that are open for writing, too */
	bool reads_exactly; /* backings have no readahead: the client's has */
};

/* A shard's idle backings: its list and their number (its lock). */
struct inode_idle {
	struct list list;
	unsigned int count;
};

/* What the owners of the inodes' parts are called for when one goes. */
struct inode_hooks {
	/* Under the shard's lock: takes the backing off its lists. */
	void (*detach)(struct inode_idle *idle, struct backing *backing);
	/* Then, without it: frees it. */
	void (*release)(struct backing *backing);
	void (*release_rules)(struct rule_dir *dir); /* NULL: there are none */
};

/*
 * A table for the tree below @root_fd (a directory, O_RDONLY), which it
 * takes over, also on failure.
 */
int inode_table_new(int root_fd, const struct inode_limits *limits,
		    const struct inode_hooks *hooks, struct inode_table **out);
struct inode_table *inode_table_free(struct inode_table *table);

struct inode *inode_table_root(struct inode_table *table);
const struct inode_limits *inode_table_limits(const struct inode_table *t);

/* How many inodes are known, for reports; and those that @wanted says yes to. */
uint64_t inode_table_count(struct inode_table *table);
uint64_t inode_table_count_some(struct inode_table *table,
				bool (*wanted)(const struct inode *inode));

/*
 * The filesystem that must not be entered: the mount itself, where the
 * mount point is below the source.
 */
void inode_table_exclude(struct inode_table *table, dev_t dev);

/* That filesystem; 0: it isn't known yet. */
dev_t inode_table_excluded(const struct inode_table *table);

/*
 * The inode behind a name, with one more lookup, and its attributes. A
 * filesystem mounted on the name is crossed into; -ELOOP: it is the
 * excluded one.
 */
int inode_lookup(struct inode_table *table, struct inode *parent,
		 const char *name, struct inode **out, struct stat *st);

/*
 * The same for an open file, whose attributes are @st. One without a name
 * is found by no handle: its O_PATH fd is pinned.
 */
int inode_lookup_fd(struct inode_table *table, int fd, const struct stat *st,
		    struct inode **out);

/*
 * The inode behind a name that is about to go, if it is known: then with one
 * more lookup, else NULL. If the name is its last, its O_PATH fd is pinned:
 * it may live on (open, or somebody's current directory), and no handle finds
 * it then.
 */
struct inode *inode_find_victim(struct inode_table *table, struct inode *parent,
				const char *name, bool *is_last);

/* One more lookup of an inode that the caller knows to live; and fewer. */
void inode_ref(struct inode_table *table, struct inode *inode);
void inode_forget(struct inode_table *table, struct inode *inode,
		  uint64_t lookups);

/*
 * One more that hangs on an inode which the caller knows to live, and one
 * fewer: unlike inode_ref() it takes no lock, so it may be called under that
 * of another inode.
 */
void inode_child_get(struct inode *inode);
void inode_child_put(struct inode_table *table, struct inode *inode);

/*
 * An O_PATH fd of the inode, to be given back; or -errno. The inode lives
 * until then, even if the kernel forgets it.
 */
int inode_fd_get(struct inode_table *table, struct inode *inode);
void inode_fd_put(struct inode_table *table, struct inode *inode);

/* Closes it where it is only kept for the next time: its last name is gone. */
void inode_fd_drop(struct inode_table *table, struct inode *inode);

/* A victim's last name didn't go. */
void inode_fd_unpin(struct inode_table *table, struct inode *inode);

/* Opens the inode's file; an fd that the caller owns, or -errno. */
int inode_open(struct inode_table *table, struct inode *inode, int flags);

const struct device *inode_device(const struct inode_table *table,
				  const struct inode *inode);

/* The inode number shown to clients: unlike on each backing device. */
ino_t inode_number(const struct inode *inode, ino_t ino);

/* The lock of the inode's shard, which also guards the shard's idle list. */
void inode_lock(struct inode_table *table, const struct inode *inode);
void inode_unlock(struct inode_table *table, const struct inode *inode);

struct inode_idle *inode_idle(struct inode_table *table,
			      const struct inode *inode);

/*
 * The known inodes, a part of the table at a time: those of part *@part (0 at
 * first) that @wanted, under the lock, says yes to, with one more lookup
 * each, in an array that the caller frees. False: there are no more parts.
 */
bool inode_table_next(struct inode_table *table, unsigned int *part,
		      bool (*wanted)(const struct inode *inode),
		      struct inode ***found, size_t *count);

/* A copy of a name, for an inode to have; NULL: no memory. */
char *inode_name_new(struct inode_table *table, const char *name);
void inode_name_free(struct inode_table *table, char *name);

/* Makes room for what is known of its pages. 0 or -ENOMEM. */
int inode_make_pages(struct inode_table *table, struct inode *inode);

/* And what io=cached knows, this, unless there is some. 0 or -ENOMEM. */
int inode_make_cached(struct inode_table *table, struct inode *inode,
		      const struct inode_cached *first);

/*
 * Marks an inode that has been open. The caller holds it, and, against
 * inode_unmark(), what makes that one say that it stays.
 */
void inode_mark(struct inode_table *table, struct inode *inode,
		enum inode_mark mark);

/*
 * Takes the mark off again, unless @stays, under the lock, says no; the caller
 * holds the inode.
 */
void inode_unmark(struct inode_table *table, struct inode *inode,
		  enum inode_mark mark,
		  bool (*stays)(const struct inode *inode));

/* How many marks it has, and lookups of itself. */
unsigned int inode_count_marks(const struct inode *inode);

bool inode_is_marked(const struct inode *inode, enum inode_mark mark);

/* As inode_table_next(), for those that are exposed, without a look at all. */
bool inode_exposed_next(struct inode_table *table, unsigned int *part,
			struct inode ***found, size_t *count);

/* Calls @fn for each shard's idle list, its lock held. */
void inode_table_each_idle(struct inode_table *table,
			   void (*fn)(struct inode_idle *idle, void *userdata),
			   void *userdata);

#endif
