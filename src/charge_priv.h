/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the heart share; see charge.h. */
#ifndef MEMCGFS_CHARGE_PRIV_H
#define MEMCGFS_CHARGE_PRIV_H

#include "charge.h"
#include "sweeper.h"

#include <pthread.h>
#include <stdatomic.h>

struct mirror;
struct leases;
struct probe_buffer;
struct recharger;
struct charge_trail;
struct residency_found;

/* fds to look at a file's pages by. */
struct charge_pages {
	int fds[2];
	unsigned int n;
	int own_fd; /* of these, to be closed; or -1 */
};

/* Where the pages of a mount's files are. */
struct charge_place {
	void (*get_pages)(struct charge *charge, const struct backing *backing,
			  struct charge_pages *pages);
	/* As charge_settle(). */
	int64_t (*settle)(struct charge *charge, struct backing *backing,
			  bool refill, uint64_t dropped_pages);
};

/* In the backing files; or, with io=cached, in the mount's own, and there. */
extern const struct charge_place charge_in_backing;
extern const struct charge_place charge_in_mount;

struct charge {
	const struct charge_place *place;
	const struct binding *fallback;
	struct stats *stats;
	struct events *events;
	struct inode_table *table;
	struct arena *arena;
	struct openers *openers;
	struct books *books;
	const struct cgroup_tree *tree;
	struct leases *leases; /* of others; what is leased isn't opened */
	bool sees_owners;
	bool sees_flags;
	int fuse_fd;
	bool can_passthrough;
	/* For the inodes' claims; not taken by I/O, nor by opens of
	 * files whose pages are known to be the host's. */
	pthread_mutex_t claim_lock;
	pthread_cond_t claim_ended;
	struct sweeper *sweeper; /* of what scans leave; NULL: it has ended */
	/* Of the last probe, for the next; taken and put back by exchange. */
	_Atomic(struct probe_buffer *) spare;
	/* Of io=cached; else NULL. */
	struct mirror *mirror;
	struct recharger *recharger;
	struct charge_trail *trail; /* see charge_trail.c */
	atomic_uint aheads; /* being filled in */
	unsigned int aheads_max;
};

/* The rule that holds for the inode now, and the host; it never goes away. */
static inline const struct binding *binding_of(const struct charge *charge,
					       const struct inode *inode)
{
	const struct binding *binding =
		atomic_load_explicit(&inode->binding, memory_order_acquire);

	return binding ? binding : charge->fallback;
}

/* A charger that doesn't answer, or can't be had, is not waited for. */
static inline bool charge_can_ask(const struct charger *charger)
{
	return !charger_is_silent(charger) && !charger_is_down(charger);
}

/*
 * Has a call made by the charger of the host, or, without a host, or without
 * a charger where the rule says so, by the calling thread: its result, which
 * is in *call with what else it gave.
 */
int64_t charge_call(struct charge *charge, const struct binding *binding,
		    struct ring_call *call);

/*
 * Has a RING_CLAIM or a RING_PROBE made, one at a time of an inode: who looks
 * at pages maps them, and those that are mapped can't be dropped by another.
 */
int64_t charge_call_alone(struct charge *charge, struct inode *inode,
			  const struct binding *binding,
			  struct ring_call *call);

/* The same, by the charger of the inode's host. */
int64_t charge_call_claim(struct charge *charge, struct inode *inode,
			  struct ring_call *call);

/*
 * Counts the file's pages, the host's and the others, and changes nothing.
 * 0 or -errno.
 */
int charge_look_quickly(struct charge *charge, const struct backing *backing,
			struct residency_found *found);

/* To be given back; there is at least one fd. */
static inline void charge_get_pages(struct charge *charge,
				    const struct backing *backing,
				    struct charge_pages *pages)
{
	charge->place->get_pages(charge, backing, pages);
}

void charge_put_pages(struct charge *charge, struct charge_pages *pages);

/* In the flags of a call that looks at the pages behind one of the fds. */
static inline uint32_t charge_page_flags(const struct charge_pages *pages,
					 unsigned int i)
{
	return pages->fds[i] == pages->own_fd ? RING_QUIET_FD : 0;
}

/* How many pages of a file of this size are resident. 0 or -errno. */
int charge_count_pages(struct charge *charge, const struct backing *backing,
		       uint64_t size_bytes, uint64_t *resident);

/* The state of the clock and of the host that a look at pages is good for. */
struct shadow_moment charge_moment(const struct charge *charge,
				   struct host *host);

/* Tells of an inode, with its path and its host, who follows events. */
void charge_tell(struct charge *charge, struct inode *inode,
		 struct event event);

/* What is resident of the file is to be the host's; no more is brought in. */
int charge_claim(struct charge *charge, struct backing *backing,
		 uint64_t size_bytes);

/*
 * Makes the file's pages resident, and the host's. @need tells how much of
 * that is to be done. -errno: it couldn't be done.
 */
int charge_ahead(struct charge *charge, struct backing *backing,
		 uint64_t size_bytes, enum shadow_need need);

/*
 * Whether the file's pages are all that there is of it, as on a tmpfs: they
 * can't be reclaimed.
 */
bool charge_is_in_memory(const struct charge *charge,
			 const struct inode *inode);

/* What a call has taken; @host NULL: nothing. */
struct charge_memory {
	struct host *host;
	struct budget_take take;
};

/*
 * Takes what the call may add to such a file out of the host's room, and
 * gives it back after the call. -ENOSPC: the host is full.
 */
int charge_take_memory(const struct charge *charge, const struct inode *inode,
		       const struct ring_call *call,
		       struct charge_memory *memory);
void charge_give_memory(const struct charge_memory *memory);

/* The host's room for the file; what it has reserved already is its own. */
uint64_t charge_room(struct charge *charge, struct host *host,
		     struct backing *backing);

/*
 * Pins the file, if its rule says so and it isn't: after its pages are the
 * host's. Without budget or memory it isn't pinned, which is counted, and
 * said once. -EHOSTDOWN, -ETIMEDOUT: the host's charger can't do it now.
 */
int charge_pin(struct charge *charge, struct backing *backing);

/* Pages of it may have been dropped, lock and all: it is to be pinned anew. */
void charge_tear_pin(struct charge *charge, struct inode *inode);

/* Unpins what its rule doesn't pin, or not there. */
void charge_unpin_unwanted(struct charge *charge, struct inode *inode);

/* Makes a range resident by the binding's charger. */
int charge_range(struct charge *charge, const struct binding *binding,
		 const struct backing *backing, uint64_t offset,
		 uint64_t length);

/*
 * The file grew, or pages of it were dropped: makes it resident again for
 * those who map it or read it by passthrough. They are who did it, if that is
 * @readable, and all others who have it open.
 */
void charge_refill(struct charge *charge, struct backing *backing,
		   bool readable);

/* A claim dropped so many pages of others: for the counts and the events. */
void charge_note_dropped(struct charge *charge, struct inode *inode,
			 uint64_t pages);

/*
 * Claims what is resident of the file. @refill: brings back what that dropped,
 * and @dropped_pages that a claim of late has, if the file is in use at all.
 * The pages that stayed another's, or -errno.
 */
int64_t charge_settle(struct charge *charge, struct backing *backing,
		      bool refill, uint64_t dropped_pages);

/*
 * For the books; the caller has the inode's lock. Who is to pay from now on;
 * what was looked at, and is the host's or another's; and how much is resident,
 * whosever. Who the others are is asked in the background, if their pages
 * aren't as many as the books have.
 */
void charge_set_payer(struct inode *inode, struct host *host);
void charge_note_owned(struct inode *inode, struct host *host, uint64_t bytes,
		       uint64_t foreign_bytes);
void charge_note_resident(struct inode *inode, uint64_t bytes);

/*
 * So much is resident after what scans brought in was dropped: a part of it
 * may be gone that a shadow has. The inode's lock is not held in these two, of
 * which the other forgets an inode that the books have nothing of.
 */
void charge_note_left(struct charge *charge, struct inode *inode,
		      uint64_t bytes);
void charge_let_go(struct charge *charge, struct inode *inode);

/* An open that went well: who uses the file, and what it has brought in. */
void charge_note_open(struct charge *charge,
		      const struct charge_request *request,
		      uint64_t resident_bytes);

/* The same of a scan, which is no use. */
void charge_note_scan(struct charge *charge, struct inode *inode);

/* What is resident of the file, as the kernel counts it now. */
void charge_count(struct charge *charge, const struct backing *backing);

/* The same at once, unless that took long: then it is left to the next time. */
void charge_count_soon(struct charge *charge, const struct backing *backing);

/*
 * Whether somebody beside the mount has a write lease on the file, so that
 * nobody has it open here. What is looked at in the background isn't opened
 * then: it would take the lease from him.
 */
bool charge_is_leased(struct charge *charge, struct inode *inode);

/* The client may bring in pages of the file by himself from now on. */
void charge_expose(struct charge *charge, struct inode *inode);

/* None that a client could have brought in is left, if nobody has it open. */
void charge_unexpose(struct charge *charge, struct inode *inode);

/*
 * Keeps what a probe told of the file's pages, page by page, if some are
 * another's; takes the map, which may be NULL.
 */
void charge_keep_map(struct charge *charge, struct inode *inode,
		     struct shadow_map *map);

/*
 * Tries to drop those that were another's then. The pages that stayed, if all
 * of them did. 0: some went, or there is no knowing: all of the file is to be
 * looked at, and *@dropped_pages are those that a client may want back. Or
 * -errno.
 */
int64_t charge_retry(struct charge *charge, struct backing *backing,
		     uint64_t *dropped_pages);

/* What charge.spare holds; NULL is none. */
void probe_buffer_free(struct probe_buffer *buffer);

/* Has the file looked at until no page is another's, and nobody maps it. */
void charge_watch(struct charge *charge, struct inode *inode);

/*
 * An open of a client begins, before anything is seen of the file: whether it
 * is the first of the scans that are there, and how many uses the inode has
 * had by then. And one ends: whether it is to be closed as a scan's.
 */
bool charge_join(const struct charge_file *file, pid_t tid, uint32_t *uses);
bool charge_leave(const struct charge_file *file);

/* What the open of a scan has seen. */
struct charge_scan_seen {
	uint64_t size_bytes;
	uint64_t resident_bytes;
	bool is_blind; /* the latter can't be told */
	bool is_first; /* of the scans that have it open */
};

/* Remembers what is resident, before the scan brings in more. */
void charge_scan_begin(struct charge *charge, struct backing *backing,
		       const struct charge_scan_seen *seen);

/* Ends the open: what scans brought in is dropped soon after the last. */
void charge_scan_close(const struct charge_file *file);

/* What scanners leave in an io=cached mount; the recharger outlives it. */
int charge_trail_new(struct charge *charge, struct charge_trail **out);
struct charge_trail *charge_trail_free(struct charge_trail *trail);

/* A range that a scanner has missed; it is dropped when it lies behind him. */
void charge_trail_add(struct charge_trail *trail, struct inode *inode,
		      uint64_t offset, uint64_t length);
void charge_trail_expire(struct charge_trail *trail, uint64_t before_ns);

/* For the sweeper; @userdata is the heart. */
void charge_scan_swept(void *userdata, struct sweeper_item *item);

/* Strict reads of scans: how, by one of its fds; and what has been read. */
uint32_t charge_scan_read_flags(struct backing *backing, int fd);
void charge_scan_note_read(const struct charge_file *file, uint64_t end,
			   uint64_t bytes);

/*
 * Looks whose the resident pages are, for the shadow and the books, and leaves
 * them as they are. Those that are another's, or -errno.
 */
int64_t charge_see(struct charge *charge, struct backing *backing,
		   uint64_t size_bytes, uint64_t *resident_pages);

/* Ends one open of the backing, and what the last one had reserved. */
void charge_close_backing(struct charge *charge, struct backing *backing);

#endif
