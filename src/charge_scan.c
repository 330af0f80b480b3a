// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The heart, 13: those who go once through many files; see charge.h. What is
 * resident when the first of them opens a file stays as it is, whosever it
 * is; what they bring in goes again after the last of them, unless somebody
 * else has the file open or has opened it since. To be dropped it need not
 * be found: it is all but what was there before. Folios are never larger than
 * the gap they came into, so that each goes as a whole.
 *
 * What is read strictly the kernel drops by itself (RWF_DONTCACHE), but not
 * what its readahead has left; and not every filesystem does: there, what lies
 * behind the reader is dropped piece by piece.
 */
#include "charge_priv.h"

#include "affinity.h"
#include "residency.h"
#include "util.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/uio.h>

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80 /* Linux 6.14 */
#endif

/* Where the filesystem keeps what is read: at most so much at a time, */
#define PIECE_BYTES (UINT64_C(4) << 20)
/* and the last piece's end again, where a folio may have lain across it. */
#define PIECE_OVERLAP_BYTES (UINT64_C(2) << 20)
/* Page by page, which takes a second for each 100 GiB. */
#define UNCOUNTED_MAX_BYTES (UINT64_C(4) << 30)

/* -- what was resident before -- */

/* Of an overlay's file no page is counted (Linux 6.18): they are another's. */
static bool is_counted(const struct charge *charge, const struct inode *inode)
{
	return inode_device(charge->table, inode)->fs_type !=
	       OVERLAYFS_SUPER_MAGIC;
}

static int keep_span(void *userdata, uint64_t first_page, uint64_t pages)
{
	struct shadow_run run = {
		.first_page = first_page,
		.pages = pages,
		.owner = SHADOW_HOST,
	};

	return shadow_map_set(userdata, &run);
}

/* Which pages are resident: *@out, or NULL if none are. 0 or -errno. */
static int look_which(struct charge *charge, const struct backing *backing,
		      uint64_t size_bytes, struct shadow_map **out)
{
	bool is_dark = !is_counted(charge, backing->inode);
	struct shadow_map *map;
	int r;

	if (is_dark && size_bytes > UNCOUNTED_MAX_BYTES)
		return -EFBIG;
	map = shadow_map_new();
	if (!map)
		return -ENOMEM;
	r = residency_spans(backing_read_fd(backing), size_bytes, is_dark,
			    keep_span, map);
	if (r < 0) {
		shadow_map_free(map);
		return r;
	}
	shadow_map_pack(map);
	*out = shadow_map_resident(map) ? map : shadow_map_free(map);
	return 0;
}

static void note_before(struct charge *charge, struct backing *backing,
			const struct backing_scan *before)
{
	struct backing_scan *scan = &backing->scan;

	inode_lock(charge->table, backing->inode);
	scan->is_seen = true;
	scan->is_blind = before->is_blind;
	scan->resident_bytes = before->resident_bytes;
	scan->kept = before->kept;
	inode_unlock(charge->table, backing->inode);
}

void charge_scan_begin(struct charge *charge, struct backing *backing,
		       const struct charge_scan_seen *seen)
{
	bool is_counted_here = is_counted(charge, backing->inode);
	struct backing_scan before = {
		.resident_bytes = seen->resident_bytes,
		.is_blind = charge_is_in_memory(charge, backing->inode) ||
			    seen->is_blind,
	};
	bool is_partly = seen->resident_bytes &&
			 seen->resident_bytes < seen->size_bytes;

	stats_add(charge->stats, STATS_scans, 1);
	stats_add(charge->stats, STATS_scan_spared_bytes, seen->resident_bytes);
	if (!seen->is_first)
		return;
	if (!before.is_blind && (is_partly || !is_counted_here) &&
	    look_which(charge, backing, seen->size_bytes, &before.kept) < 0)
		before.is_blind = true;
	if (!is_counted_here && before.kept)
		before.resident_bytes =
			shadow_map_resident(before.kept) * page_bytes();
	note_before(charge, backing, &before);
}

/* -- reading strictly -- */

/* At no offset that a file has: it is told before anything is read. */
static bool keeps_what_is_read(int fd)
{
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	off_t beyond = (off_t)(INT64_MAX - (int64_t)page_bytes());

	return preadv2(fd, &iov, 1, beyond, RWF_DONTCACHE) < 0 &&
	       errno == EOPNOTSUPP;
}

uint32_t charge_scan_read_flags(struct backing *backing, int fd)
{
	struct backing_scan *scan = &backing->scan;

	/* Two who probe at once find the same. */
	if (!atomic_load_explicit(&scan->is_probed, memory_order_acquire)) {
		atomic_store_explicit(&scan->is_cached, keeps_what_is_read(fd),
				      memory_order_relaxed);
		atomic_store_explicit(&scan->is_probed, true,
				      memory_order_release);
	}
	return atomic_load_explicit(&scan->is_cached, memory_order_relaxed) ?
		       0 :
		       RWF_DONTCACHE;
}

static void drop_range(int fd, uint64_t offset, uint64_t end)
{
	if (offset < end)
		posix_fadvise(fd, (off_t)offset, (off_t)(end - offset),
			      POSIX_FADV_DONTNEED);
}

/* Drops all between the two but what was there before. */
static void drop_gaps(int fd, const struct shadow_map *kept, uint64_t from,
		      uint64_t to)
{
	uint64_t at = from / page_bytes(), end = to / page_bytes();
	struct shadow_run run;

	while (at < end && kept && shadow_map_next(kept, at, &run)) {
		if (run.first_page >= end)
			break;
		drop_range(fd, at * page_bytes(),
			   run.first_page * page_bytes());
		at = run.first_page + run.pages;
	}
	drop_range(fd, at * page_bytes(), end * page_bytes());
}

/* Whether what they bring in may be dropped; the inode's lock is held. */
static bool may_drop(const struct backing_scan *scan)
{
	return scan->is_seen && !scan->is_used && !scan->is_blind;
}

/*
 * Drops what lies behind the reader, as far as it came from scans. The map stays
 * where it is, as this one has the file open.
 */
static void drop_behind(struct charge *charge, struct backing *backing,
			uint64_t from, uint64_t end)
{
	const struct shadow_map *kept;
	bool may;

	inode_lock(charge->table, backing->inode);
	may = may_drop(&backing->scan);
	kept = backing->scan.kept;
	inode_unlock(charge->table, backing->inode);
	if (may)
		drop_gaps(backing_read_fd(backing), kept, from, end);
}

void charge_scan_note_read(const struct charge_file *file, uint64_t end,
			   uint64_t bytes)
{
	struct charge *charge = file->charge;
	struct backing *backing = file->backing;
	struct backing_scan *scan = &backing->scan;
	uint64_t from;

	stats_add(charge->stats, STATS_scan_bytes, bytes);
	atomic_fetch_add_explicit(&scan->read_bytes, bytes,
				  memory_order_relaxed);
	if (!atomic_load_explicit(&scan->is_cached, memory_order_relaxed))
		return;
	from = atomic_load_explicit(&scan->swept_bytes, memory_order_relaxed);
	if (end < from + PIECE_BYTES ||
	    !atomic_compare_exchange_strong_explicit(&scan->swept_bytes, &from,
						     end, memory_order_relaxed,
						     memory_order_relaxed))
		return;
	from = from > PIECE_OVERLAP_BYTES ? from - PIECE_OVERLAP_BYTES : 0;
	drop_behind(charge, backing, from, end);
}

/* -- opening and closing -- */

static void wait_until_swept(struct charge *charge,
			     const struct backing *backing)
{
	pthread_mutex_lock(&charge->claim_lock);
	while (atomic_load(&backing->is_swept))
		pthread_cond_wait(&charge->claim_ended, &charge->claim_lock);
	pthread_mutex_unlock(&charge->claim_lock);
}

/*
 * An open counts before it is known what is resident: a sweep that began
 * earlier is waited for, and a later one sees that somebody is there.
 */
bool charge_join(const struct charge_file *file, pid_t tid, uint32_t *uses)
{
	struct charge *charge = file->charge;
	struct backing *backing = file->backing;
	struct backing_scan *scan = &backing->scan;
	int cpu = file->is_scan ? affinity_follow(tid) : AFFINITY_ANY;
	bool is_first = false;

	inode_lock(charge->table, backing->inode);
	if (file->is_scan) {
		is_first = scan->opens++ == 0;
		scan->cpu = cpu;
		scan->is_used |= backing->users > 0;
	} else {
		backing->users++;
		backing->inode->uses++;
		scan->is_used = scan->opens > 0;
	}
	*uses = backing->inode->uses;
	inode_unlock(charge->table, backing->inode);
	if (atomic_load(&backing->is_swept))
		wait_until_swept(charge, backing);
	return is_first;
}

/* Under the lock: the last scan ends; gives what is to be freed. */
static struct shadow_map *reset(struct charge *charge, struct backing *backing)
{
	struct backing_scan *scan = &backing->scan;
	struct shadow_map *kept = scan->kept;
	uint64_t read =
		atomic_load_explicit(&scan->read_bytes, memory_order_relaxed);
	uint64_t size =
		atomic_load_explicit(&backing->end_bytes, memory_order_relaxed);

	if (read > size)
		read = size;
	if (!atomic_load_explicit(&scan->is_cached, memory_order_relaxed) &&
	    read > scan->resident_bytes)
		stats_add(charge->stats, STATS_scan_dropped_bytes,
			  read - scan->resident_bytes);
	scan->kept = NULL;
	scan->is_seen = scan->is_used = scan->is_blind = false;
	scan->is_late = false;
	scan->resident_bytes = 0;
	atomic_store_explicit(&scan->read_bytes, 0, memory_order_relaxed);
	atomic_store_explicit(&scan->swept_bytes, 0, memory_order_relaxed);
	return kept;
}

static void end_scan(struct charge *charge, struct backing *backing)
{
	struct shadow_map *kept = NULL;

	inode_lock(charge->table, backing->inode);
	if (--backing->scan.opens == 0)
		kept = reset(charge, backing);
	inode_unlock(charge->table, backing->inode);
	shadow_map_free(kept);
	charge_close_backing(charge, backing);
}

/* -- sweeping -- */

static void set_swept(struct charge *charge, struct backing *backing, bool is)
{
	pthread_mutex_lock(&charge->claim_lock);
	atomic_store(&backing->is_swept, is);
	if (!is)
		pthread_cond_broadcast(&charge->claim_ended);
	pthread_mutex_unlock(&charge->claim_lock);
}

/* Pages that are resident, or @unknown. */
static uint64_t count_pages(int fd, uint64_t unknown)
{
	struct stat st;
	uint64_t pages;

	if (fstat(fd, &st) < 0 ||
	    residency_count_file(fd, (uint64_t)st.st_size, &pages) < 0)
		return unknown;
	return pages;
}

/*
 * Drops what the scans brought in. True: all of that went, or there was
 * nothing, so that nobody needs to look whose it is.
 */
static bool drop(struct charge *charge, struct backing *backing)
{
	const struct backing_scan *scan = &backing->scan;
	uint64_t before = scan->resident_bytes / page_bytes();
	int fd = backing_read_fd(backing);
	uint64_t there = count_pages(fd, 0), left;

	if (there <= before && is_counted(charge, backing->inode))
		return true;
	if (scan->kept)
		drop_gaps(fd, scan->kept, 0, INT64_MAX);
	else
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	left = count_pages(fd, there);
	if (left < there &&
	    atomic_load_explicit(&scan->is_cached, memory_order_relaxed))
		there = left; /* counted as it was read */
	if (left < there)
		stats_add(charge->stats, STATS_scan_dropped_bytes,
			  (there - left) * page_bytes());
	charge_note_left(charge, backing->inode, left * page_bytes());
	return left <= before;
}

/* Ends the open of a scan, and what it brought in if it is the last. */
static void sweep(struct charge *charge, struct backing *backing)
{
	struct inode *inode = backing->inode;
	bool is_clean = false, is_due;

	inode_ref(charge->table, inode);
	set_swept(charge, backing, true);
	inode_lock(charge->table, inode);
	backing->scan.is_queued = false;
	is_due = backing->scan.opens == 1 && may_drop(&backing->scan);
	inode_unlock(charge->table, inode);
	if (is_due)
		is_clean = drop(charge, backing);
	set_swept(charge, backing, false);
	end_scan(charge, backing);
	if (is_clean)
		charge_unexpose(charge, inode);
	charge_let_go(charge, inode);
	inode_forget(charge->table, inode, 1);
}

void charge_scan_swept(void *userdata, struct sweeper_item *item)
{
	sweep(userdata, container_of(item, struct backing, scan.item));
}

/* What there may be to be dropped; the inode's lock is held. */
static uint64_t bytes_brought(const struct backing *backing)
{
	const struct backing_scan *scan = &backing->scan;
	uint64_t size =
		atomic_load_explicit(&backing->end_bytes, memory_order_relaxed);

	if (!may_drop(scan) || scan->resident_bytes >= size)
		return 0;
	return size - scan->resident_bytes;
}

void charge_scan_close(const struct charge_file *file)
{
	struct charge *charge = file->charge;
	struct backing *backing = file->backing;
	bool is_queued;
	uint64_t bytes;
	int cpu;

	inode_lock(charge->table, backing->inode);
	cpu = backing->scan.cpu;
	bytes = bytes_brought(backing);
	/* One sweep is enough, after the last of them. */
	is_queued = bytes && !backing->scan.is_queued;
	if (is_queued)
		backing->scan.is_queued = true;
	inode_unlock(charge->table, backing->inode);
	if (!is_queued)
		end_scan(charge, backing);
	else if (!charge->sweeper ||
		 !sweeper_add(charge->sweeper, &backing->scan.item, bytes, cpu))
		sweep(charge, backing);
}

bool charge_leave(const struct charge_file *file)
{
	struct charge *charge = file->charge;
	struct backing *backing = file->backing;
	bool is_scan = file->is_scan;

	if (is_scan)
		return true;
	inode_lock(charge->table, backing->inode);
	if (backing->users)
		backing->users--;
	else
		is_scan = backing->scan.is_late;
	inode_unlock(charge->table, backing->inode);
	return is_scan;
}

/* -- after the fact -- */

/*
 * Makes the caller's open of the backing, or that of the only user, a scan's
 * that found nothing resident. 0: it is his; 1: the caller's; or -EBUSY.
 */
static int make_scan(struct charge *charge, struct backing *backing,
		     const struct charge_before *before)
{
	struct inode *inode = backing->inode;
	struct backing_scan *scan = &backing->scan;
	int r = -EBUSY;

	inode_lock(charge->table, inode);
	if (inode->uses == before->uses && backing->users < 2 && !scan->opens) {
		r = backing->users ? 0 : 1;
		scan->is_seen = true;
		scan->is_late = backing->users;
		scan->opens = 1;
		backing->users = 0;
		account_file_forget_last_user(&inode->pages->account);
	}
	inode_unlock(charge->table, inode);
	return r;
}

void charge_spare(struct charge *charge, struct inode *inode,
		  const struct charge_before *before)
{
	const struct binding *binding = binding_of(charge, inode);
	struct charge_file file = { .charge = charge, .is_scan = true };
	int r;

	/* Which pages there were isn't known; of a tmpfs they are the file. */
	if (before->resident_bytes ||
	    !policy_is_scan(&binding->rule, true, false) ||
	    charge_is_in_memory(charge, inode) || !is_counted(charge, inode))
		return;
	if (backing_open(charge->table, inode, false, false, &file.backing) < 0)
		return;
	r = make_scan(charge, file.backing, before);
	if (r > 0)
		charge_scan_close(&file);
	else
		charge_close_backing(charge, file.backing);
	if (r >= 0)
		stats_add(charge->stats, STATS_scans, 1);
}
