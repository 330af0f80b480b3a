// SPDX-License-Identifier: GPL-2.0-or-later
/* What the calls on a ring do; see charger_ops.h. */
#include "charger_ops.h"

#include "creds.h"
#include "residency.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define AHEAD_SMALL_BYTES (64 * 1024)
/* Up to here each page is looked at, then one of each few. */
#define AHEAD_RAMP_BYTES (1024 * 1024)
#define AHEAD_STEP_BYTES (16 * 1024)

#define FILL_PIECE_BYTES (128 * 1024)

#define NO_MEMORY_TRIES 100

/*
 * A charger that no OOM killer may choose is refused memory while one whom it
 * has chosen has yet to give his back (Linux 7.2): that is worth a wait. False:
 * it has been waited long enough.
 */
static bool wait_for_memory(struct charger_context *context)
{
	static const struct timespec wait = { .tv_nsec = 10000000 };

	if (!context->memory_tries)
		return false;
	context->memory_tries--;
	ppoll(NULL, 0, &wait, NULL);
	return true;
}

static int64_t do_read(struct charger_context *context, struct ring_call *call)
{
	struct iovec iov = {
		.iov_base = context->arena + call->buffer,
		.iov_len = call->length,
	};
	ssize_t n;

	n = preadv2(call->fd, &iov, 1, (off_t)call->offset, (int)call->flags);
	/* Where a filesystem has no such reads, it is one like others. */
	if (n < 0 && errno == EOPNOTSUPP && call->flags)
		n = preadv2(call->fd, &iov, 1, (off_t)call->offset, 0);
	return n < 0 ? -errno : n;
}

static int64_t do_splice(struct charger_context *context,
			 struct ring_call *call)
{
	loff_t offset = (loff_t)call->offset;
	uint64_t done = 0;
	ssize_t n = 0;

	(void)context;
	if (call->attempts)
		return -ERESTART;
	while (done < call->length) {
		n = splice(call->fd, &offset, call->fd2, NULL,
			   call->length - done, SPLICE_F_NONBLOCK);
		if (n <= 0)
			break;
		done += (uint64_t)n;
	}
	return done || n >= 0 ? (int64_t)done : -errno;
}

/*
 * How much of an append its former charger wrote before it died: what the
 * file grew by, as far as it is this data. (The client's kernel holds the
 * inode's lock for the whole append, so nobody else grows it through the
 * mount.)
 */
static uint64_t append_landed(struct ring_call *call, const char *data)
{
	char piece[4096];
	uint64_t done = 0;
	size_t want;
	ssize_t n;

	while (done < call->length) {
		want = call->length - done < sizeof(piece) ?
			       call->length - done :
			       sizeof(piece);
		n = pread(call->fd2, piece, want,
			  (off_t)(call->append_size + done));
		if (n <= 0 || memcmp(piece, data + done, (size_t)n) != 0)
			break;
		done += (uint64_t)n;
	}
	return done;
}

/* Writes from byte @done of the data on: bytes done by now, or -errno. */
static int64_t write_rest(struct charger_context *context,
			  struct ring_call *call, uint64_t done)
{
	char *data = context->arena + call->buffer;
	struct iovec iov;
	int64_t r = 0;
	ssize_t n;

	while (done < call->length) {
		iov.iov_base = data + done;
		iov.iov_len = call->length - done;
		n = pwritev2(call->fd, &iov, 1, (off_t)(call->offset + done),
			     (int)(call->flags & ~RING_KILL_PRIV));
		r = n < 0 ? -errno : 0;
		if (n > 0)
			done += (uint64_t)n;
		else if (r != -ENOMEM || !wait_for_memory(context))
			break;
	}
	return done ? (int64_t)done : r;
}

/* A write at an offset may be repeated; an append has to look first. */
static int64_t do_write(struct charger_context *context, struct ring_call *call)
{
	uint64_t done = 0;
	struct stat st;

	creds_keep_suid(!(call->flags & RING_KILL_PRIV));
	if (call->flags & RWF_APPEND &&
	    call->append_size != RING_SIZE_UNKNOWN) {
		done = append_landed(call, context->arena + call->buffer);
	} else if (call->flags & RWF_APPEND) {
		if (fstat(call->fd, &st) < 0)
			return -errno;
		call->append_size = (uint64_t)st.st_size;
	}
	return write_rest(context, call, done);
}

static int64_t do_truncate(struct charger_context *context,
			   struct ring_call *call)
{
	char path[PROC_FD_MAX];
	int r;

	creds_keep_suid(!(call->flags & RING_KILL_PRIV));
	if (call->flags & RING_BY_NAME)
		r = truncate(proc_fd_path(path, call->fd), (off_t)call->offset);
	else
		r = ftruncate(call->fd, (off_t)call->offset);
	return r < 0 ? -errno : 0;
}

static int64_t do_fallocate(struct charger_context *context,
			    struct ring_call *call)
{
	creds_keep_suid(!(call->flags & RING_KILL_PRIV));
	return fallocate(call->fd, (int)(call->flags & ~RING_KILL_PRIV),
			 (off_t)call->offset, (off_t)call->length) < 0 ?
		       -errno :
		       0;
}

static int64_t do_copy_range(struct charger_context *context,
			     struct ring_call *call)
{
	loff_t in = (loff_t)call->offset;
	loff_t out = (loff_t)call->offset2;
	ssize_t n;

	creds_keep_suid(!(call->flags & RING_KILL_PRIV));
	n = copy_file_range(call->fd, &in, call->fd2, &out, call->length, 0);
	return n < 0 ? -errno : n;
}

/* fds of a call's own are noted on its slot; see RING_SCRATCH_FDS. */
static int scratch_note(struct ring_call *call, int index, int fd)
{
	if (fd >= 0)
		call->scratch_fds[index] = fd;
	return fd;
}

static void scratch_close(struct ring_call *call)
{
	int fd;

	for (int i = 0; i < RING_SCRATCH_FDS; i++) {
		fd = call->scratch_fds[i];
		call->scratch_fds[i] = -1;
		close_fd(fd);
	}
}

/* A file description with a readahead state, and no traces, of its own. */
static int open_for_ahead(int fd)
{
	char path[PROC_FD_MAX];
	int own;

	own = open(proc_fd_path(path, fd),
		   O_RDONLY | O_NOATIME | O_CLOEXEC | O_NOCTTY);
	return own < 0 ? -errno : own;
}

/*
 * What readahead left out (it never waits for memory) is faulted in; this
 * also allocates what a hole of a tmpfs file lacks.
 */
static int populate(int fd, uint64_t offset, uint64_t length)
{
	uint64_t start = offset / page_bytes() * page_bytes();
	size_t bytes = (size_t)(offset + length - start);
	void *map;
	int r = 0;

	map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, (off_t)start);
	if (map == MAP_FAILED)
		return -errno;
	if (madvise(map, bytes, MADV_POPULATE_READ) < 0)
		r = -errno;
	munmap(map, bytes);
	return r;
}

/*
 * Small files: POSIX_FADV_WILLNEED adds the pages, charged to this process,
 * one by one, and starts their I/O. It moves no atime.
 */
static void ahead_small(const struct ring_call *call)
{
	posix_fadvise(call->fd, (off_t)call->offset, (off_t)call->length,
		      POSIX_FADV_WILLNEED);
}

/*
 * Larger ones: as a sequential reader's readahead does it, in folios that
 * grow with the window; reads and mappings of large folios run at several
 * times the speed of those of single pages. RWF_NOWAIT starts readahead where
 * pages are missing, and where a window's mark is, and waits for nothing: the
 * file's own reader waits for a page only if it comes before its data. The
 * device's own window is kept: twice that reads cold files at a third.
 */
static void ahead_large(const struct ring_call *call, int quiet_fd)
{
	uint64_t end = call->offset + call->length;
	uint64_t at = call->offset;
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };

	for (; at < end;
	     at += at < AHEAD_RAMP_BYTES ? page_bytes() : AHEAD_STEP_BYTES)
		preadv2(quiet_fd, &iov, 1, (off_t)at, RWF_NOWAIT);
}

static bool is_resident(const struct ring_call *call)
{
	uint64_t resident = 0;

	return residency_count(call->fd, call->offset, call->length,
			       &resident) == 0 &&
	       resident >= pages_of(call->length);
}

static int64_t do_ahead(struct charger_context *context, struct ring_call *call)
{
	int r = 0;
	int fd;

	(void)context;
	if (call->length <= AHEAD_SMALL_BYTES) {
		ahead_small(call);
		if (is_resident(call))
			return 0;
	}
	fd = scratch_note(call, 0, open_for_ahead(call->fd));
	if (fd < 0)
		return fd;
	if (call->length > AHEAD_SMALL_BYTES)
		ahead_large(call, fd);
	if (!is_resident(call))
		r = populate(fd, call->offset, call->length);
	scratch_close(call);
	return r;
}

/* The kernel takes no more than a piece at once (Linux 6.18). */
static void will_need(int fd, uint64_t offset, uint64_t end)
{
	for (uint64_t at = offset; at < end; at += FILL_PIECE_BYTES)
		posix_fadvise(fd, (off_t)at,
			      (off_t)(end - at < FILL_PIECE_BYTES ?
					      end - at :
					      FILL_PIECE_BYTES),
			      POSIX_FADV_WILLNEED);
}

/*
 * The kernel adds the pages, charged to this process, and asks the daemon for
 * them. The disk has all to read before the first is asked for.
 */
static int64_t do_fill(struct charger_context *context, struct ring_call *call)
{
	uint64_t end = call->offset + call->length;

	(void)context;
	if (call->fd2 >= 0)
		will_need(call->fd2, call->offset2, end);
	will_need(call->fd, call->offset, end);
	return 0;
}

/* What it takes to look at a file's pages; its fds are the call's own. */
struct look {
	struct residency_tables tables;
	struct residency_range range;
};

static int look_begin(const struct charger_context *context,
		      struct ring_call *call, struct look *look)
{
	*look = (struct look){
		.tables.kpagecgroup_fd = context->kpagecgroup_fd,
		.tables.kpageflags_fd = -1,
		.range.offset = call->offset,
		.range.length = call->length,
	};
	look->range.fd = call->fd;
	if (!(call->flags & RING_QUIET_FD))
		look->range.fd =
			scratch_note(call, 0, residency_open_quietly(call->fd));
	look->tables.pagemap_fd =
		scratch_note(call, 1, residency_open_pagemap());
	if (look->range.fd < 0)
		return look->range.fd;
	return look->tables.pagemap_fd < 0 ? look->tables.pagemap_fd : 0;
}

/* Drops a run of foreign pages; those in use (mapped, locked) stay. */
static int drop_run(void *userdata, uint64_t offset, uint64_t length)
{
	const int *fd = userdata;

	/* Dirty pages are dropped only once they are clean. */
	sync_file_range(*fd, (off_t)offset, (off_t)length,
			SYNC_FILE_RANGE_WRITE_AND_WAIT);
	posix_fadvise(*fd, (off_t)offset, (off_t)length, POSIX_FADV_DONTNEED);
	return 0;
}

/* Without the kernel's tables every resident page counts as foreign. */
static int claim_blindly(struct ring_call *call)
{
	int r;

	r = residency_count(call->fd, call->offset, call->length,
			    &call->foreign_pages);
	if (r < 0)
		return r;
	drop_run(&call->fd, call->offset, call->length);
	call->resident_pages = 0;
	return residency_count(call->fd, call->offset, call->length,
			       &call->residue_pages);
}

/* Counts, drops what is foreign, and counts again what stayed. */
static int claim_range(struct charger_context *context, struct ring_call *call,
		       struct look *look)
{
	struct residency_found found;
	bool drops = !(call->flags & RING_LOOK);
	int r;

	r = residency_walk(&look->tables, &look->range, context->memcg_ino,
			   drops ? drop_run : NULL, &look->range.fd, &found);
	if (r < 0)
		return r;
	call->foreign_pages = found.foreign_pages;
	if (found.foreign_pages && drops) {
		look->tables.kpageflags_fd = context->kpageflags_fd;
		look->tables.no_flags_of = context->memcg_ino;
		r = residency_walk(&look->tables, &look->range,
				   context->memcg_ino, NULL, NULL, &found);
		if (r < 0)
			return r;
	}
	call->resident_pages = found.resident_pages;
	call->mapped_pages = found.mapped_pages;
	/* Others may bring in more meanwhile: they weren't found, then. */
	call->residue_pages = found.foreign_pages;
	call->residue_flags = found.foreign_flags;
	if (call->foreign_pages < call->residue_pages)
		call->foreign_pages = call->residue_pages;
	return 0;
}

static int64_t do_claim(struct charger_context *context, struct ring_call *call)
{
	struct look look;
	int r;

	if (context->kpagecgroup_fd < 0)
		return call->flags & RING_LOOK ? -EOPNOTSUPP :
						 claim_blindly(call);
	r = look_begin(context, call, &look);
	if (r == 0)
		r = claim_range(context, call, &look);
	scratch_close(call);
	return r;
}

/* The runs that a probe has met. */
struct probe {
	struct residency_run *runs;
	uint64_t count;
	uint64_t max;
	uint64_t memcg_ino;
};

static int probe_note(void *userdata, const struct residency_run *run)
{
	struct probe *probe = userdata;
	struct residency_run *noted;

	if (probe->count == probe->max)
		return -ENOBUFS;
	noted = &probe->runs[probe->count++];
	*noted = *run;
	if (run->owner_ino == probe->memcg_ino)
		noted->flags |= RING_RUN_OF_HOST;
	return 0;
}

static int64_t do_probe(struct charger_context *context, struct ring_call *call)
{
	struct probe probe = {
		.max = call->offset2,
		.memcg_ino = context->memcg_ino,
	};
	size_t bytes = call->offset2 * sizeof(*probe.runs);
	struct look look;
	int r;

	if (context->kpagecgroup_fd < 0)
		return -EOPNOTSUPP;
	probe.runs = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
			  call->fd2, 0);
	if (probe.runs == MAP_FAILED)
		return -errno;
	r = look_begin(context, call, &look);
	look.tables.kpageflags_fd = context->kpageflags_fd;
	look.tables.no_flags_of = UINT64_MAX;
	if (r == 0)
		r = residency_runs(&look.tables, &look.range, probe_note,
				   &probe);
	scratch_close(call);
	munmap(probe.runs, bytes);
	return r == 0 || r == -ENOBUFS ? (int64_t)probe.count : r;
}

static int64_t do_pin(struct charger_context *context, struct ring_call *call)
{
	if (!context->pins)
		return -EOPNOTSUPP;
	/* To lock what isn't there is to be told of no memory, not to wait. */
	context->memory_tries = 0;
	return pins_add(context->pins, call->offset2, call->fd, call->length);
}

static int64_t do_unpin(struct charger_context *context, struct ring_call *call)
{
	if (context->pins)
		pins_remove(context->pins, call->offset2);
	return 0;
}

typedef int64_t (*charger_op)(struct charger_context *context,
			      struct ring_call *call);

static const charger_op charger_ops[] = {
	[RING_READ] = do_read,		 [RING_SPLICE] = do_splice,
	[RING_WRITE] = do_write,	 [RING_TRUNCATE] = do_truncate,
	[RING_FALLOCATE] = do_fallocate, [RING_COPY_RANGE] = do_copy_range,
	[RING_AHEAD] = do_ahead,	 [RING_CLAIM] = do_claim,
	[RING_PROBE] = do_probe,	 [RING_PIN] = do_pin,
	[RING_UNPIN] = do_unpin,	 [RING_FILL] = do_fill,
};

static bool is_look(const struct ring_call *call)
{
	return call->op == RING_CLAIM || call->op == RING_PROBE ||
	       call->op == RING_AHEAD;
}

void charger_perform(struct charger_context *context, struct ring_call *call)
{
	uint64_t begin = is_look(call) ? thread_ns() : 0;

	context->memory_tries = NO_MEMORY_TRIES;
	if (call->op >= ARRAY_SIZE(charger_ops)) {
		call->result = -EOPNOTSUPP;
		return;
	}
	do {
		call->result = charger_ops[call->op](context, call);
	} while (call->result == -ENOMEM && wait_for_memory(context));
	if (is_look(call))
		call->look_ns = thread_ns() - begin;
}
