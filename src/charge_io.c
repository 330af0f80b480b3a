// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The heart, 2: the I/O of strict files; see charge.h. Data pass through the
 * calling thread's buffer of the arena.
 */
#include "charge_priv.h"

#include "util.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>

/* What a worker thread keeps for the calls that it makes by itself. */
static __thread struct worker {
	struct ring_call call;
	struct charger_context context;
} worker;

/* -- calls -- */

/* Made by the worker itself: with its own rights, for its own cgroup. */
static int64_t make_here(struct charge *charge, struct charger_call *call)
{
	/* The arena begins at the buffer's address less its offset. */
	worker.context.arena = arena_buffer(charge->arena, 0);
	if (!worker.context.arena)
		return -ENOMEM;
	worker.context.arena -=
		arena_offset(charge->arena, worker.context.arena);
	charger_perform(&worker.context, call->ring);
	return call->ring->result;
}

void charge_call_begin(struct charge *charge, enum ring_op op,
		       struct charger_call *call)
{
	if (charge->host) {
		charger_call_begin(host_charger(charge->host), op, call);
		return;
	}
	*call = (struct charger_call){ .ring = &worker.call };
	worker.call = (struct ring_call){
		.op = op,
		.append_size = RING_SIZE_UNKNOWN,
		.scratch_fds = { -1, -1 },
	};
}

int64_t charge_call_make(struct charge *charge, struct charger_call *call)
{
	int64_t r = -EHOSTDOWN;

	if (charge->host)
		r = charger_call_make(call);
	/* What makes pages the host's can't be made by anybody else. */
	if (call->ring->op == RING_CLAIM || call->ring->op == RING_AHEAD)
		return r;
	if (r == -EHOSTDOWN &&
	    (!charge->host || charge->rule.on_error == POLICY_OPENER))
		r = make_here(charge, call);
	return r;
}

void charge_call_end(struct charge *charge, struct charger_call *call)
{
	if (charge->host)
		charger_call_end(call);
}

/* -- reading and writing -- */

/* The fd to use: that for direct I/O where the file is open for it now. */
static int io_fd(const struct charge_file *file, int flags, bool writable)
{
	if (flags & O_DIRECT)
		return backing_direct_fd(file->charge->table, file->backing,
					 writable);
	return writable ? backing_write_fd(file->backing) :
			  backing_read_fd(file->backing);
}

int64_t charge_read(struct charge_read *read)
{
	struct charge *charge = read->file.charge;
	int fd = io_fd(&read->file, read->flags, false);
	struct charger_call call;
	int64_t n;

	if (fd < 0)
		return fd;
	read->data = arena_buffer(charge->arena, read->size);
	if (!read->data)
		return -ENOMEM;
	stats_add(charge->stats, STATS_strict_reads, 1);
	charge_call_begin(charge, RING_READ, &call);
	call.ring->fd = fd;
	call.ring->offset = read->offset;
	call.ring->length = read->size;
	call.ring->buffer = arena_offset(charge->arena, read->data);
	n = charge_call_make(charge, &call);
	charge_call_end(charge, &call);
	return n;
}

int64_t charge_read_pipe(const struct charge_read *read, int pipe_fd)
{
	struct charge *charge = read->file.charge;
	struct charger_call call;
	int64_t n;

	stats_add(charge->stats, STATS_strict_reads, 1);
	charge_call_begin(charge, RING_SPLICE, &call);
	call.ring->fd = backing_read_fd(read->file.backing);
	call.ring->fd2 = pipe_fd;
	call.ring->offset = read->offset;
	call.ring->length = read->size;
	n = charge_call_make(charge, &call);
	charge_call_end(charge, &call);
	return n;
}

static uint32_t write_flags(const struct charge_write *write)
{
	uint32_t flags = write->kill_priv ? RING_KILL_PRIV : 0;

	if (write->flags & O_APPEND)
		flags |= RWF_APPEND;
	if ((write->flags & O_SYNC) == O_SYNC)
		flags |= RWF_SYNC;
	else if (write->flags & O_DSYNC)
		flags |= RWF_DSYNC;
	return flags;
}

/* A write beyond the end leaves a hole, which a mapping would fill. */
static void note_end(const struct charge_write *write, int64_t written)
{
	struct backing *backing = write->file.backing;
	uint64_t end = write->offset + (uint64_t)written;
	uint64_t seen =
		atomic_load_explicit(&backing->end_bytes, memory_order_relaxed);

	if (end <= seen)
		return;
	if (write->offset > seen)
		charge_refill(write->file.charge, backing,
			      write->file.readable);
	else
		atomic_store_explicit(&backing->end_bytes, end,
				      memory_order_relaxed);
}

int64_t charge_write(const struct charge_write *write)
{
	struct charge *charge = write->file.charge;
	int fd = io_fd(&write->file, write->flags, true);
	struct charger_call call;
	void *buffer;
	int64_t n;

	if (fd < 0)
		return fd;
	/* Data that were received there are there: touching would clear it. */
	buffer = arena_buffer(charge->arena, 0);
	if (write->data != buffer) {
		buffer = arena_buffer(charge->arena, write->size);
		if (!buffer)
			return -ENOMEM;
		memcpy(buffer, write->data, write->size);
	}
	stats_add(charge->stats, STATS_strict_writes, 1);
	charge_call_begin(charge, RING_WRITE, &call);
	call.ring->fd = fd;
	call.ring->fd2 = backing_write_fd(write->file.backing);
	call.ring->offset = write->offset;
	call.ring->length = write->size;
	call.ring->flags = write_flags(write);
	call.ring->buffer = arena_offset(charge->arena, buffer);
	n = charge_call_make(charge, &call);
	charge_call_end(charge, &call);
	if (n > 0)
		note_end(write, n);
	/* Direct writes drop the pages that they pass by. */
	if (n > 0 && write->flags & O_DIRECT)
		charge_refill(charge, write->file.backing, false);
	return n;
}

/* -- the rest -- */

static void forget_pages(struct charge *charge, struct inode *inode)
{
	inode_lock(charge->table, inode);
	shadow_forget(&inode->shadow);
	inode_unlock(charge->table, inode);
}

static int truncate_fd(struct charge *charge, int fd, uint64_t size,
		       bool kill_priv)
{
	struct charger_call call;
	int64_t r;

	charge_call_begin(charge, RING_TRUNCATE, &call);
	call.ring->fd = fd;
	call.ring->offset = size;
	call.ring->flags = kill_priv ? RING_KILL_PRIV : 0;
	r = charge_call_make(charge, &call);
	charge_call_end(charge, &call);
	return (int)r;
}

int charge_truncate(struct charge *charge, struct inode *inode,
		    const struct charge_file *file, uint64_t size,
		    bool kill_priv)
{
	struct backing *backing;
	int r;

	if (file && backing_write_fd(file->backing) >= 0) {
		r = truncate_fd(charge, backing_write_fd(file->backing), size,
				kill_priv);
		forget_pages(charge, inode);
		if (r == 0 && size)
			charge_refill(charge, file->backing, file->readable);
		return r;
	}
	r = backing_open(charge->table, inode, true, false, &backing);
	if (r < 0)
		return r;
	r = truncate_fd(charge, backing_write_fd(backing), size, kill_priv);
	forget_pages(charge, inode);
	if (r == 0 && size)
		charge_refill(charge, backing, false);
	charge_close_backing(charge, backing);
	return r;
}

int charge_fallocate(const struct charge_file *file, int mode, uint64_t offset,
		     uint64_t length, bool kill_priv)
{
	struct charge *charge = file->charge;
	struct charger_call call;
	int64_t r;

	charge_call_begin(charge, RING_FALLOCATE, &call);
	call.ring->fd = backing_write_fd(file->backing);
	call.ring->offset = offset;
	call.ring->length = length;
	call.ring->flags = (uint32_t)mode | (kill_priv ? RING_KILL_PRIV : 0);
	r = charge_call_make(charge, &call);
	charge_call_end(charge, &call);
	forget_pages(charge, file->backing->inode);
	if (r == 0)
		charge_refill(charge, file->backing, file->readable);
	return (int)r;
}

int64_t charge_copy_range(const struct charge_copy *copy)
{
	struct charge *charge = copy->out.charge;
	struct charger_call call;
	int64_t n;

	charge_call_begin(charge, RING_COPY_RANGE, &call);
	call.ring->fd = backing_read_fd(copy->in.backing);
	call.ring->offset = copy->in_offset;
	call.ring->fd2 = backing_write_fd(copy->out.backing);
	call.ring->offset2 = copy->out_offset;
	call.ring->length = copy->length;
	call.ring->flags = copy->kill_priv ? RING_KILL_PRIV : 0;
	n = charge_call_make(charge, &call);
	charge_call_end(charge, &call);
	forget_pages(charge, copy->out.backing->inode);
	if (n > 0)
		charge_refill(charge, copy->out.backing, copy->out.readable);
	return n;
}

void charge_note_splice(const struct charge_file *file)
{
	stats_add(file->charge->stats, STATS_splice_reads, 1);
}
