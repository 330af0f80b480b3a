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
#include <sys/stat.h>
#include <sys/uio.h>

#define COPY_PIECE_BYTES (8 << 20)

/* Newer than the C library's headers may know: Linux 6.14. */
#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x80
#endif

/* -- calls -- */

/* Made by the worker itself: with its own rights, for its own cgroup. */
static int64_t make_here(struct charge *charge, struct ring_call *call)
{
	struct charger_context context = {
		.arena = arena_buffer(charge->arena, 0),
		.kpagecgroup_fd = -1,
		.kpageflags_fd = -1,
	};

	if (!context.arena)
		return -ENOMEM;
	/* The arena begins at the buffer's address less its offset. */
	context.arena -= arena_offset(charge->arena, context.arena);
	for (int i = 0; i < RING_SCRATCH_FDS; i++)
		call->scratch_fds[i] = -1;
	charger_perform(&context, call);
	call->is_made_here = true;
	return call->result;
}

int64_t charge_call(struct charge *charge, const struct binding *binding,
		    struct ring_call *call)
{
	int64_t r = -EHOSTDOWN;

	if (binding->host)
		r = charger_call(host_charger(binding->host), call);
	if (call->look_ns)
		stats_add(charge->stats, STATS_look_ns, call->look_ns);
	/* What makes pages the host's can't be made by anybody else. */
	if (call->op == RING_CLAIM || call->op == RING_AHEAD ||
	    call->op == RING_FILL || call->op == RING_PROBE)
		return r;
	if ((r == -EHOSTDOWN || r == -ETIMEDOUT) &&
	    (!binding->host || binding->rule.on_error == POLICY_OPENER))
		r = make_here(charge, call);
	return r;
}

static int64_t file_call(const struct charge_file *file, struct ring_call *call)
{
	struct charge *charge = file->charge;
	const struct inode *inode = file->backing->inode;
	struct charge_memory memory;
	int64_t r;

	r = charge_take_memory(charge, inode, call, &memory);
	if (r < 0)
		return r;
	r = charge_call(charge, binding_of(charge, inode), call);
	charge_give_memory(&memory);
	return r;
}

/* -- reading and writing -- */

/* The fd to read with, by how the file is open now. */
static int read_fd(const struct charge_file *file, int flags)
{
	struct inode_table *table = file->charge->table;
	int fd = -1;

	if (flags & O_DIRECT)
		return backing_special_fd(table, file->backing,
					  BACKING_DIRECT_READ);
	/* Who mounts without rights over files may be refused it. */
	if (flags & O_NOATIME)
		fd = backing_special_fd(table, file->backing,
					BACKING_QUIET_READ);
	if (fd < 0 && file->is_scan)
		fd = backing_special_fd(table, file->backing, BACKING_SCAN);
	return fd >= 0 ? fd : backing_read_fd(file->backing);
}

static int write_fd(const struct charge_file *file, int flags)
{
	if (flags & O_DIRECT)
		return backing_special_fd(file->charge->table, file->backing,
					  BACKING_DIRECT_WRITE);
	return backing_write_fd(file->backing);
}

int64_t charge_read(struct charge_read *read)
{
	struct charge *charge = read->file.charge;
	bool is_scan = read->file.is_scan && !(read->flags & O_DIRECT);
	int fd = read_fd(&read->file, read->flags);
	struct ring_call call;
	int64_t n;

	if (fd < 0)
		return fd;
	read->data = arena_buffer(charge->arena, read->size);
	if (!read->data)
		return -ENOMEM;
	stats_add(charge->stats, STATS_strict_reads, 1);
	call = (struct ring_call){
		.op = RING_READ,
		.fd = fd,
		.offset = read->offset,
		.length = read->size,
		.buffer = arena_offset(charge->arena, read->data),
		.flags = read->passes_by ? RWF_DONTCACHE : 0,
	};
	if (is_scan)
		call.flags = charge_scan_read_flags(read->file.backing, fd);
	n = file_call(&read->file, &call);
	read->is_made_here = call.is_made_here;
	if (is_scan && n > 0)
		charge_scan_note_read(&read->file, read->offset + (uint64_t)n,
				      (uint64_t)n);
	return n;
}

int64_t charge_read_pipe(const struct charge_read *read, int pipe_fd)
{
	struct charge *charge = read->file.charge;
	int fd = read_fd(&read->file, read->flags);
	struct ring_call call = {
		.op = RING_SPLICE,
		.fd = fd,
		.fd2 = pipe_fd,
		.offset = read->offset,
		.length = read->size,
	};

	if (fd < 0)
		return fd;
	stats_add(charge->stats, STATS_strict_reads, 1);
	return file_call(&read->file, &call);
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
	int fd = write_fd(&write->file, write->flags);
	struct ring_call call;
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
	call = (struct ring_call){
		.op = RING_WRITE,
		.append_size = RING_SIZE_UNKNOWN,
		.fd = fd,
		.fd2 = backing_write_fd(write->file.backing),
		.offset = write->offset,
		.length = write->size,
		.flags = write_flags(write),
		.buffer = arena_offset(charge->arena, buffer),
	};
	n = file_call(&write->file, &call);
	if (n > 0)
		note_end(write, n);
	/* Direct writes drop the pages that they pass by. */
	if (n > 0 && write->flags & O_DIRECT)
		charge_refill(charge, write->file.backing, false);
	return n;
}

/* -- the rest -- */

/* Pages went, and nobody says which. */
static void forget_pages(struct charge *charge, const struct backing *backing)
{
	struct inode *inode = backing->inode;

	inode_lock(charge->table, inode);
	shadow_forget(&inode->pages->shadow);
	inode_unlock(charge->table, inode);
	charge_count_soon(charge, backing);
	charge_tear_pin(charge, inode);
}

static int truncate_backing(struct charge *charge,
			    const struct backing *backing, uint64_t size,
			    uint32_t flags)
{
	struct ring_call call = {
		.op = RING_TRUNCATE,
		.fd = backing_write_fd(backing),
		.offset = size,
		.flags = flags,
	};

	return (int)charge_call(charge, binding_of(charge, backing->inode),
				&call);
}

int charge_truncate(struct charge *charge, struct inode *inode,
		    const struct charge_file *file, uint64_t size,
		    bool kill_priv)
{
	uint32_t flags = (kill_priv ? RING_KILL_PRIV : 0) |
			 (file ? 0 : RING_BY_NAME);
	struct backing *backing;
	int r;

	if (file && backing_write_fd(file->backing) >= 0) {
		r = truncate_backing(charge, file->backing, size, flags);
		forget_pages(charge, file->backing);
		if (r == 0 && size)
			charge_refill(charge, file->backing, file->readable);
		return r;
	}
	r = backing_open(charge->table, inode, true, false, &backing);
	if (r < 0)
		return r;
	r = truncate_backing(charge, backing, size, flags);
	forget_pages(charge, backing);
	if (r == 0 && size)
		charge_refill(charge, backing, false);
	charge_close_backing(charge, backing);
	return r;
}

int charge_fallocate(const struct charge_file *file, int mode, uint64_t offset,
		     uint64_t length, bool kill_priv)
{
	struct charge *charge = file->charge;
	struct ring_call call = {
		.op = RING_FALLOCATE,
		.fd = backing_write_fd(file->backing),
		.offset = offset,
		.length = length,
		.flags = (uint32_t)mode | (kill_priv ? RING_KILL_PRIV : 0),
	};
	int64_t r;

	r = file_call(file, &call);
	forget_pages(charge, file->backing);
	if (r == 0)
		charge_refill(charge, file->backing, file->readable);
	return (int)r;
}

/*
 * The charger that writes would bring in the pages it reads, too. Where they
 * are another host's, that one's charger does it first, piece by piece.
 */
static int64_t copy_for_two(const struct charge_copy *copy,
			    struct ring_call *call)
{
	const struct charge_file *in = &copy->in;
	struct charge *charge = in->charge;
	uint64_t end = copy->in_offset + copy->length;
	int64_t n, done = 0;
	struct stat st;
	int r;

	if (fstat(backing_read_fd(in->backing), &st) < 0)
		return -errno;
	if (end > (uint64_t)st.st_size)
		end = (uint64_t)st.st_size;
	while (call->offset < end) {
		call->length = end - call->offset < COPY_PIECE_BYTES ?
				       end - call->offset :
				       COPY_PIECE_BYTES;
		r = charge_range(charge, binding_of(charge, in->backing->inode),
				 in->backing, call->offset, call->length);
		if (r < 0)
			return done ? done : r;
		n = file_call(&copy->out, call);
		if (n <= 0)
			return done ? done : n;
		done += n;
		call->offset += (uint64_t)n;
		call->offset2 += (uint64_t)n;
	}
	return done;
}

static bool is_of_two_hosts(const struct charge_copy *copy)
{
	const struct charge_file *in = &copy->in, *out = &copy->out;
	struct host *host = binding_of(in->charge, in->backing->inode)->host;

	return host &&
	       host != binding_of(out->charge, out->backing->inode)->host;
}

int64_t charge_copy_range(const struct charge_copy *copy)
{
	struct charge *charge = copy->out.charge;
	struct ring_call call = {
		.op = RING_COPY_RANGE,
		.fd = backing_read_fd(copy->in.backing),
		.offset = copy->in_offset,
		.fd2 = backing_write_fd(copy->out.backing),
		.offset2 = copy->out_offset,
		.length = copy->length,
		.flags = copy->kill_priv ? RING_KILL_PRIV : 0,
	};
	int64_t n;

	n = is_of_two_hosts(copy) ? copy_for_two(copy, &call) :
				    file_call(&copy->out, &call);
	forget_pages(charge, copy->out.backing);
	if (n > 0)
		charge_refill(charge, copy->out.backing, copy->out.readable);
	return n;
}

bool charge_note_splice(const struct charge_file *file)
{
	stats_add(file->charge->stats, STATS_splice_reads, 1);
	return file->charge->can_passthrough;
}
