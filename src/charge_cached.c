// SPDX-License-Identifier: GPL-2.0-or-later
/* The heart, 13: the third path; see charge_cached.h. */
#include "charge_cached.h"

#include "affinity.h"
#include "charge_priv.h"
#include "log.h"
#include "mirror.h"
#include "recharger.h"
#include "residency.h"
#include "util.h"

#include <fcntl.h>
#include <sys/stat.h>

/* What is filled in ahead of who reads one thing after the other. */
#define AHEAD_MIN_BYTES (UINT64_C(1) << 20)
#define AHEAD_MAX_BYTES (UINT64_C(8) << 20)
/* Of a host's room, at most. */
#define AHEAD_ROOM_PART 8
/* So many at a time, and no more than half of the workers. */
#define AHEAD_AT_ONCE 4
/* Who hasn't read on for so long is done with what he has read. */
#define TRAIL_AGE_NS (UINT64_C(500) * 1000000)

int charge_cached_begin(struct charge *charge, const char *mountpoint,
			unsigned int workers)
{
	struct recharger_config config = { .charge = charge };
	int r;

	r = mirror_new(mountpoint, &charge->mirror);
	if (r < 0)
		return r;
	config.mirror = charge->mirror;
	charge->aheads_max = workers / 2 < AHEAD_AT_ONCE ? workers / 2 :
							   AHEAD_AT_ONCE;
	charge->place = &charge_in_mount;
	r = recharger_new(&config, &charge->recharger);
	if (r == 0)
		r = charge_trail_new(charge, &charge->trail);
	if (r < 0)
		charge_cached_end(charge);
	return r;
}

void charge_cached_ready(struct charge *charge)
{
	if (charge->recharger)
		recharger_begin(charge->recharger);
}

void charge_cached_note_scan(struct charge *charge, const struct inode *inode,
			     pid_t pid)
{
	if (S_ISREG(inode->type) && pid != getpid() &&
	    !charge_has_charger(charge, inode, pid))
		stats_add(charge->stats, STATS_scans, 1);
}

void charge_cached_tick(struct charge *charge)
{
	if (charge->trail)
		charge_trail_expire(charge->trail, now_ns() - TRAIL_AGE_NS);
}

void charge_cached_end(struct charge *charge)
{
	charge->trail = charge_trail_free(charge->trail);
	charge->recharger = recharger_free(charge->recharger);
	charge->mirror = mirror_free(charge->mirror);
}

/* -- what is known of a file -- */

static void note_attr(struct inode_cached *cached, const struct stat *st)
{
	cached->size_bytes = (uint64_t)st->st_size;
	cached->mtime_ns = timespec_ns(&st->st_mtim);
}

/* Whether what others had brought in is gone by now, claimed perhaps. */
static void look_again(struct inode_cached *cached, int fd)
{
	uint64_t resident;

	if (!cached->is_ours && residency_count(fd, 0, 0, &resident) == 0)
		cached->is_ours = !resident;
}

/* What was in memory before is claimed at the first use, and pinned or not. */
static void claim_first(struct charge *charge, struct backing *backing)
{
	struct inode *inode = backing->inode;
	struct inode_cached *cached = inode->pages->cached;
	bool is_first;
	uint64_t size;

	inode_lock(charge->table, inode);
	is_first = cached->is_unclaimed;
	cached->is_unclaimed = false;
	size = cached->size_bytes;
	inode_unlock(charge->table, inode);
	if (!is_first)
		return;
	if (!cached->is_ours)
		charge_claim(charge, backing, size);
	/* As one is opened for the first time: to say that it isn't. */
	charge_pin(charge, backing);
}

/* The first time, with what is there before the mount has brought in any. */
static int make_cached(struct charge *charge, struct backing *backing)
{
	struct inode *inode = backing->inode;
	int fd = backing_read_fd(backing);
	struct inode_cached first = { .is_unclaimed = true };
	uint64_t resident = 1;
	struct stat st;

	if (inode->pages && inode->pages->cached) {
		look_again(inode->pages->cached, fd);
		return 0;
	}
	if (fstat(fd, &st) < 0)
		return -errno;
	note_attr(&first, &st);
	residency_count(fd, 0, 0, &resident);
	first.is_ours = !resident;
	return inode_make_cached(charge->table, inode, &first);
}

/*
 * Opens the backing, and makes room for what is to be known of the file. That
 * it may be opened so the client's kernel has asked nobody.
 */
static int open_seen(struct charge *charge, struct inode *inode, int flags,
		     struct backing **out)
{
	struct backing *backing;
	int r;

	r = backing_open(charge->table, inode, flags & O_RDWR, flags & O_APPEND,
			 &backing);
	if (r < 0)
		return r;
	r = make_cached(charge, backing);
	if (r < 0)
		charge_close_backing(charge, backing);
	else
		*out = backing;
	return r;
}

/* The same for who has use of the file. */
static int open_cached(struct charge *charge, struct inode *inode, int flags,
		       struct backing **out)
{
	int r = open_seen(charge, inode, flags, out);

	if (r == 0)
		claim_first(charge, *out);
	return r;
}

/*
 * What is changed through the mount is no news to the client: attributes that
 * differ meanwhile say nothing.
 */
static void begin_change(struct charge *charge, const struct backing *backing)
{
	inode_lock(charge->table, backing->inode);
	backing->inode->pages->cached->changes++;
	inode_unlock(charge->table, backing->inode);
}

/* Opens the backing for what changes the file, until end_change(). */
static int open_to_change(struct charge *charge, struct inode *inode, int flags,
			  struct backing **out)
{
	int r = open_cached(charge, inode, flags, out);

	if (r == 0)
		begin_change(charge, *out);
	return r;
}

/* The last one out tells what is there now. */
static void end_change(struct charge *charge, const struct backing *backing)
{
	struct inode *inode = backing->inode;
	struct stat st;
	bool is_seen = fstat(backing_read_fd(backing), &st) == 0;

	inode_lock(charge->table, inode);
	inode->pages->cached->changes--;
	inode->pages->cached->changed++;
	inode->pages->cached->changed_ms = now_ms();
	if (is_seen)
		note_attr(inode->pages->cached, &st);
	inode_unlock(charge->table, inode);
}

static bool is_other(const struct inode_cached *cached, const struct stat *st)
{
	return !cached->changes &&
	       (cached->size_bytes != (uint64_t)st->st_size ||
		cached->mtime_ns != timespec_ns(&st->st_mtim));
}

/* Whether it looks like it; and how many changes were made by then. */
static bool may_be_changed(struct charge *charge, struct inode *inode,
			   const struct stat *st, uint32_t *changed)
{
	struct inode_cached *cached;
	bool is_other_now;

	inode_lock(charge->table, inode);
	cached = inode->pages ? inode->pages->cached : NULL;
	is_other_now = cached && is_other(cached, st);
	if (cached)
		*changed = cached->changed;
	inode_unlock(charge->table, inode);
	return is_other_now;
}

/* The attributes told may be older than a change that was made here. */
static void look_for_change(struct charge *charge, struct inode *inode,
			    uint32_t changed)
{
	struct inode_cached *cached = inode->pages->cached;
	int fd = inode_fd_get(charge->table, inode);
	struct stat st;
	int r;

	if (fd < 0)
		return;
	r = fstatat(fd, "", &st, AT_EMPTY_PATH);
	inode_fd_put(charge->table, inode);
	inode_lock(charge->table, inode);
	if (r == 0 && cached->changed == changed && is_other(cached, &st)) {
		cached->is_stale = true;
		note_attr(cached, &st);
	}
	inode_unlock(charge->table, inode);
}

bool charge_cached_note_attr(struct charge *charge, struct inode *inode,
			     const struct stat *st)
{
	uint32_t changed;
	bool is_stale;

	if (may_be_changed(charge, inode, st, &changed))
		look_for_change(charge, inode, changed);
	inode_lock(charge->table, inode);
	is_stale = inode->pages && inode->pages->cached &&
		   inode->pages->cached->is_stale;
	inode_unlock(charge->table, inode);
	return is_stale;
}

void charge_cached_drop_stale(struct charge *charge, struct inode *inode)
{
	inode_lock(charge->table, inode);
	inode->pages->cached->is_stale = false;
	inode_unlock(charge->table, inode);
	mirror_drop(charge->fuse_fd, (uintptr_t)inode, 0, 0);
}

/* -- where the pages are -- */

static void get_pages(struct charge *charge, const struct backing *backing,
		      struct charge_pages *pages)
{
	*pages = (struct charge_pages){ .own_fd = -1 };
	pages->own_fd = mirror_open(charge->mirror, (uintptr_t)backing->inode);
	/* What the client's kernel has forgotten has no pages there. */
	if (pages->own_fd >= 0)
		pages->fds[pages->n++] = pages->own_fd;
	pages->fds[pages->n++] = backing_read_fd(backing);
}

/* Has all that isn't the host's recharged; how many pages that are. */
static int64_t recharge_foreign(struct charge *charge, struct inode *inode,
				const struct shadow_map *map)
{
	struct recharger_range range = { 0 };
	struct shadow_run run;
	uint64_t at = 0;
	int64_t n = 0;

	while (shadow_map_next(map, at, &run)) {
		at = run.first_page + run.pages;
		if (run.owner == SHADOW_HOST)
			continue;
		range.offset = run.first_page * page_bytes();
		range.length = run.pages * page_bytes();
		recharger_queue(charge->recharger, inode, &range);
		n += (int64_t)run.pages;
	}
	return n;
}

/* The backing's are claimed, the mount's own recharged in the background. */
static int64_t settle(struct charge *charge, struct backing *backing,
		      bool refill, uint64_t dropped_pages)
{
	struct inode *inode = backing->inode;
	struct shadow_map *map;
	struct charge_probe probe;
	struct stat st;
	int64_t r;

	(void)refill;
	(void)dropped_pages;
	if (fstat(backing_read_fd(backing), &st) < 0)
		return -errno;
	r = make_cached(charge, backing);
	if (r == 0)
		r = charge_claim(charge, backing, (uint64_t)st.st_size);
	if (r < 0)
		return r == -EHOSTDOWN ? 0 : r;
	map = shadow_map_new();
	if (!map)
		return -ENOMEM;
	r = charge_probe_map(charge, inode, &probe, map);
	if (r == 0) {
		charge_enter(charge, inode, &probe);
		charge_probe_clear(&probe);
		r = recharge_foreign(charge, inode, map);
	}
	shadow_map_free(map);
	return r;
}

const struct charge_place charge_in_mount = {
	.get_pages = get_pages,
	.settle = settle,
};

/* -- reading -- */

/* Whether the client's pages that this fills are charged to the host. */
static bool is_by_host(struct charge *charge, const struct charge_cached_io *io)
{
	struct host *host = binding_of(charge, io->inode)->host;

	return !host || charge_has_charger(charge, io->inode, io->tid) ||
	       host_has_thread(host, io->tid);
}

/*
 * How much is to be filled in behind what was asked for: all that is near of
 * who begins to read, twice as much of who has come to the end of that.
 */
static uint64_t ahead_bytes(struct charge *charge,
			    const struct charge_cached_io *io)
{
	struct host *host = binding_of(charge, io->inode)->host;
	uint64_t room = host_room(host) / AHEAD_ROOM_PART;
	struct inode_cached *cached = io->inode->pages->cached;
	uint64_t bytes = 0;

	inode_lock(charge->table, io->inode);
	if (!io->offset)
		bytes = AHEAD_MIN_BYTES;
	else if (io->offset == cached->ahead_end)
		bytes = 2 * (uint64_t)cached->ahead_bytes;
	if (bytes > AHEAD_MAX_BYTES)
		bytes = AHEAD_MAX_BYTES;
	if (bytes > room)
		bytes = room;
	if (bytes) {
		cached->ahead_bytes = (uint32_t)bytes;
		cached->ahead_end = io->offset + io->size + bytes;
	}
	inode_unlock(charge->table, io->inode);
	return bytes;
}

/* The others' answers may be what the charger waits for. */
static bool begin_ahead(struct charge *charge)
{
	if (atomic_fetch_add(&charge->aheads, 1) < charge->aheads_max)
		return true;
	atomic_fetch_sub(&charge->aheads, 1);
	return false;
}

static bool is_missing(int fd, const struct ring_call *call)
{
	uint64_t resident;

	return residency_count(fd, call->offset, call->length, &resident) ==
		       0 &&
	       !resident;
}

/*
 * Before the answer: who has it goes on to pages that are the host's already,
 * and waits for their data, if he is that fast, as for his own.
 */
static void fill_ahead(struct charge *charge, struct charge_cached_io *io)
{
	struct ring_call call = {
		.op = RING_FILL,
		.fd2 = -1,
		.offset = io->offset + io->size,
		.offset2 = io->offset,
	};
	struct stat st;

	if (fstat(backing_read_fd(io->backing), &st) < 0 ||
	    (uint64_t)st.st_size <= call.offset || !begin_ahead(charge))
		return;
	call.length = ahead_bytes(charge, io);
	if (call.length > (uint64_t)st.st_size - call.offset)
		call.length = (uint64_t)st.st_size - call.offset;
	if (call.length)
		io->ahead_fd =
			mirror_open(charge->mirror, (uintptr_t)io->inode);
	call.fd = io->ahead_fd;
	if (io->ahead_fd >= 0 && io->inode->pages->cached->is_ours &&
	    is_missing(io->ahead_fd, &call))
		call.fd2 = backing_read_fd(io->backing);
	if (io->ahead_fd >= 0)
		charge_call(charge, binding_of(charge, io->inode), &call);
	atomic_fetch_sub(&charge->aheads, 1);
}

static struct backing_read read_of(const struct charge_cached_io *io)
{
	return (struct backing_read){
		.offset = io->offset,
		.size = io->size,
		.is_lent = !io->is_hosts && !io->is_readers,
	};
}

/* What fills no page of the client's has none to be dropped for it. */
static bool is_counted(const struct charge_cached_io *io)
{
	return !io->is_scan && !io->is_direct;
}

static void begin_read(struct charge *charge, const struct charge_cached_io *io)
{
	struct backing_read read = read_of(io);

	if (!is_counted(io))
		return;
	inode_lock(charge->table, io->inode);
	backing_reads_begin(&io->backing->reads, &read);
	inode_unlock(charge->table, io->inode);
}

int64_t charge_cached_read(struct charge *charge, struct charge_cached_io *io)
{
	struct charge_read read = {
		.file = { .charge = charge, .readable = true },
		.offset = io->offset,
		.size = io->size,
		.flags = io->flags,
	};
	int64_t n;
	int r;

	io->ahead_fd = -1;
	io->backing = NULL;
	r = io->is_scan ?
		    open_seen(charge, io->inode, O_RDONLY, &io->backing) :
		    open_cached(charge, io->inode, O_RDONLY, &io->backing);
	if (r < 0)
		return r;
	read.file.backing = io->backing;
	read.file.is_scan = io->is_scan;
	read.passes_by = !io->inode->pages->cached->is_ours;
	io->is_hosts = io->is_direct || is_by_host(charge, io);
	if (io->is_scan)
		affinity_follow(io->tid);
	else
		charge_note_use(charge, io->inode, io->tid);
	if (!io->is_scan && !io->is_hosts)
		fill_ahead(charge, io);
	io->is_readers = false;
	begin_read(charge, io);
	n = charge_read(&read);
	io->is_readers = read.is_made_here;
	io->data = read.data;
	return n;
}

/* As far as is known; what went is counted by the bookkeeper. */
static void note_in_books(struct charge *charge,
			  const struct charge_cached_io *io, uint64_t bytes)
{
	struct inode *inode = io->inode;
	struct inode_pages *pages = inode->pages;
	uint64_t known, size;

	inode_lock(charge->table, inode);
	charge_set_payer(inode, binding_of(charge, inode)->host);
	known = account_file_resident(&pages->account);
	size = pages_of(pages->cached->size_bytes) * page_bytes();
	if (known + bytes <= size)
		charge_note_resident(inode, known + bytes);
	/* What the reader pays is asked of the kernel, and claimed some day. */
	inode->is_unclear |= io->is_readers;
	inode_unlock(charge->table, inode);
	if (io->is_readers)
		charge_watch(charge, inode);
	if (!io->is_hosts)
		charge_note_open(charge,
				 &(struct charge_request){
					 .inode = inode,
					 .tid = io->tid,
				 },
				 known);
	else
		inode_mark(charge->table, inode, INODE_CHARGED);
}

/*
 * The client has the data now: once is enough. A folio that reaches behind the
 * file's end goes with all that is there only.
 */
static void drop_backing_pages(struct charge *charge,
			       const struct backing *backing,
			       const struct backing_span *span)
{
	struct inode *inode = backing->inode;
	const struct inode_cached *cached = inode->pages->cached;
	uint64_t size_bytes;

	if (span->first >= span->end || !cached->is_ours)
		return;
	inode_lock(charge->table, inode);
	size_bytes = cached->size_bytes;
	inode_unlock(charge->table, inode);
	posix_fadvise(
		backing_read_fd(backing), (off_t)span->first,
		span->end < size_bytes ? (off_t)(span->end - span->first) : 0,
		POSIX_FADV_DONTNEED);
}

static void end_counted(struct charge *charge,
			const struct charge_cached_io *io)
{
	struct backing_read read = read_of(io);
	struct backing_span span;

	inode_lock(charge->table, io->inode);
	span = backing_reads_end(&io->backing->reads, &read);
	inode_unlock(charge->table, io->inode);
	drop_backing_pages(charge, io->backing, &span);
}

struct backing *charge_cached_begin_recharge(struct charge *charge,
					     struct inode *inode)
{
	struct backing *backing;
	bool is_there;

	/* With one that is gone it is forgotten what is lent. */
	inode_lock(charge->table, inode);
	is_there = inode->backing;
	inode_unlock(charge->table, inode);
	if (!is_there ||
	    backing_open(charge->table, inode, false, false, &backing) < 0)
		return NULL;
	inode_lock(charge->table, inode);
	backing_reads_begin_recharge(&backing->reads);
	inode_unlock(charge->table, inode);
	return backing;
}

void charge_cached_end_recharge(struct charge *charge, struct backing *backing)
{
	struct backing_span span;

	if (!backing)
		return;
	inode_lock(charge->table, backing->inode);
	span = backing_reads_end_recharge(&backing->reads);
	inode_unlock(charge->table, backing->inode);
	drop_backing_pages(charge, backing, &span);
	charge_close_backing(charge, backing);
}

/* Nothing is to stay, but what was there before. */
static void end_scan(struct charge *charge, const struct charge_cached_io *io,
		     int64_t result)
{
	struct backing_read read = read_of(io);
	struct backing_span span = backing_reads_alone(&read);

	if (!io->is_direct)
		charge_trail_add(charge->trail, io->inode, io->offset,
				 io->size);
	/* Where it has to be kept to be read. */
	if (result > 0 && atomic_load_explicit(&io->backing->scan.is_cached,
					       memory_order_relaxed))
		drop_backing_pages(charge, io->backing, &span);
	charge_close_backing(charge, io->backing);
}

void charge_cached_end_read(struct charge *charge,
			    const struct charge_cached_io *io, int64_t result)
{
	struct recharger_range range = {
		.offset = io->offset,
		.length = io->size,
	};

	if (!io->backing)
		return;
	if (io->is_scan) {
		end_scan(charge, io, result);
		return;
	}
	if (is_counted(io))
		end_counted(charge, io);
	if (!io->is_hosts && !io->is_readers)
		recharger_queue(charge->recharger, io->inode, &range);
	if (!io->is_direct && result > 0)
		note_in_books(charge, io, (uint64_t)result);
	mirror_close(charge->mirror, io->ahead_fd);
	charge_close_backing(charge, io->backing);
}

/* -- writing -- */

int64_t charge_cached_write(struct charge *charge,
			    const struct charge_cached_io *io)
{
	struct charge_write write = {
		.file = { .charge = charge, .writable = true },
		.offset = io->offset,
		.data = io->data,
		.size = io->size,
		.flags = io->flags,
		.kill_priv = io->kill_priv,
	};
	struct recharger_range range = {
		.offset = io->offset,
		.length = io->size,
		.for_good = true,
	};
	int64_t n;
	int r;

	/* Pages of a mapping are written where they are. */
	if (io->is_writeback)
		write.flags &= ~(O_APPEND | O_DIRECT);
	r = open_to_change(charge, io->inode, O_RDWR | (write.flags & O_APPEND),
			   &write.file.backing);
	if (r < 0)
		return r;
	if (!io->is_writeback)
		charge_note_use(charge, io->inode, io->tid);
	n = charge_write(&write);
	end_change(charge, write.file.backing);
	if (!io->is_direct && !io->is_writeback)
		recharger_queue(charge->recharger, io->inode, &range);
	charge_close_backing(charge, write.file.backing);
	return n;
}

/* Of the file as a whole: no more are to be expected. */
static void end_whole_change(struct charge *charge, struct backing *backing)
{
	struct inode *inode = backing->inode;

	end_change(charge, backing);
	charge_close_backing(charge, backing);
	backing_drop_idle(charge->table, inode);
}

int charge_cached_truncate(struct charge *charge,
			   const struct charge_cached_range *range,
			   bool by_file, bool kill_priv)
{
	struct charge_file file = { .charge = charge, .writable = true };
	int r;

	r = open_to_change(charge, range->inode, O_RDWR | O_APPEND,
			   &file.backing);
	if (r < 0)
		return r;
	r = charge_truncate(charge, range->inode, by_file ? &file : NULL,
			    range->offset, kill_priv);
	end_whole_change(charge, file.backing);
	return r;
}

int charge_cached_fallocate(struct charge *charge,
			    const struct charge_cached_range *range, int mode,
			    bool kill_priv)
{
	struct charge_file file = { .charge = charge, .writable = true };
	int r;

	r = open_to_change(charge, range->inode, O_RDWR | O_APPEND,
			   &file.backing);
	if (r < 0)
		return r;
	r = charge_fallocate(&file, mode, range->offset, range->length,
			     kill_priv);
	end_whole_change(charge, file.backing);
	return r;
}

int64_t charge_cached_copy(struct charge *charge,
			   const struct charge_cached_range *in,
			   const struct charge_cached_range *out,
			   bool kill_priv)
{
	struct charge_copy copy = {
		.in = { .charge = charge, .readable = true },
		.in_offset = in->offset,
		.out = { .charge = charge, .writable = true },
		.out_offset = out->offset,
		.length = out->length,
		.kill_priv = kill_priv,
	};
	int64_t n;
	int r;

	r = open_cached(charge, in->inode, O_RDONLY, &copy.in.backing);
	if (r < 0)
		return r;
	r = open_to_change(charge, out->inode, O_RDWR, &copy.out.backing);
	n = r;
	if (r == 0) {
		n = charge_copy_range(&copy);
		end_whole_change(charge, copy.out.backing);
	}
	charge_close_backing(charge, copy.in.backing);
	return n;
}
