// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The FUSE front end: files of an io=cached mount. Opens are no messages (the
 * first is answered that there are none), so requests come without a handle,
 * and without a release: they name the inode.
 */
#include "fuse_priv.h"
#include "charge_cached.h"
#include "inode_place.h"
#include "transport.h"

#include "util.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

/* Such requests name the caller's lock owner; what fills pages names none. */
static bool is_direct(const struct fuse_file_info *fi)
{
	return fi->lock_owner != 0;
}

static struct charge_cached_io io_of(struct fuse_front *front,
				     const struct job *job)
{
	(void)front;
	return (struct charge_cached_io){
		.inode = job->inode,
		.offset = (uint64_t)job->io.offset,
		.size = job->io.size,
		.tid = fuse_req_ctx(job->req)->pid,
		.flags = job->fi.flags,
		.is_direct = is_direct(&job->fi),
		.is_writeback = job->fi.writepage,
		.kill_priv = front_kills_priv(job->req, &job->fi),
		.data = job->payload,
	};
}

static bool is_own_thread(pid_t tid)
{
	return tgkill(getpid(), tid, 0) == 0;
}

/*
 * The daemon and its chargers open files of the mount themselves, some of them
 * before they answer a read, which then has its pages: they aren't to wait.
 */
static bool is_one_of_us(struct fuse_front *front, const struct inode *inode,
			 pid_t tid)
{
	return is_own_thread(tid) ||
	       charge_has_charger(front->charge, inode, tid);
}

/* A charger is none, nor is the daemon, whatever the file's rule says. */
static bool is_scan(struct fuse_front *front, const struct job *job)
{
	struct scanners_caller caller = front_caller(job->req);
	struct charge *charge = front->charge;
	bool is_scanner;

	if (charge_has_charger(charge, job->inode, caller.tid))
		return false;
	is_scanner = scanners_note_read(front->scanners, &caller,
					charge_scanners(charge, job->inode),
					job->io.size);
	return charge_is_scan(charge, job->inode, is_scanner) &&
	       !is_own_thread(caller.tid);
}

static void run_read(struct fuse_front *front, struct job *job)
{
	struct charge_cached_io io = io_of(front, job);
	int64_t n;

	io.is_scan = is_scan(front, job);
	n = charge_cached_read(front->charge, &io);
	if (n < 0)
		fuse_reply_err(job->req, (int)-n);
	else
		fuse_reply_buf(job->req, io.data, (size_t)n);
	charge_cached_end_read(front->charge, &io, n);
}

/* Without opens it is here that the rules are looked at. */
static void cached_read(fuse_req_t req, fuse_ino_t ino, size_t size,
			off_t offset, struct fuse_file_info *fi)
{
	struct job job = {
		.req = req,
		.inode = front_inode(front_of(req), ino),
		.fi = *fi,
		.run = run_read,
		.io = { .size = size, .offset = offset },
	};

	rulebook_refresh(front_of(req)->book, job.inode);
	front_dispatch(&job);
}

static void run_write(struct fuse_front *front, struct job *job)
{
	struct charge_cached_io io = io_of(front, job);
	int64_t n;

	n = charge_cached_write(front->charge, &io);
	if (inode_is_named(front->table, job->inode, RULEFILE_NAME))
		rulebook_touch(front->book);
	if (n < 0)
		fuse_reply_err(job->req, (int)-n);
	else
		fuse_reply_write(job->req, (size_t)n);
}

static void cached_write(fuse_req_t req, fuse_ino_t ino, const char *data,
			 size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct job job = {
		.req = req,
		.inode = front_inode(front_of(req), ino),
		.fi = *fi,
		.run = run_write,
		.io = { .size = size, .offset = offset },
		.payload = transport_payload(data),
		.payload_size = size,
	};

	rulebook_refresh(front_of(req)->book, job.inode);
	front_dispatch(&job);
}

static int cached_set_size(struct fuse_front *front, const struct job *job)
{
	struct charge_cached_range range = {
		.inode = job->inode,
		.offset = (uint64_t)job->setattr.attr.st_size,
	};
	int to_set = job->setattr.to_set;

	return charge_cached_truncate(front->charge, &range,
				      job->setattr.has_fi,
				      to_set & FUSE_SET_ATTR_KILL_SUID);
}

static void run_fallocate(struct fuse_front *front, struct job *job)
{
	struct charge_cached_range range = {
		.inode = job->inode,
		.offset = (uint64_t)job->fallocate.offset,
		.length = (uint64_t)job->fallocate.length,
	};
	int r;

	r = charge_cached_fallocate(front->charge, &range, job->fallocate.mode,
				    front_caller_kills_priv(job->req));
	fuse_reply_err(job->req, -r);
}

static void cached_fallocate(fuse_req_t req, fuse_ino_t ino, int mode,
			     off_t offset, off_t length,
			     struct fuse_file_info *fi)
{
	struct job job = {
		.req = req,
		.inode = front_inode(front_of(req), ino),
		.run = run_fallocate,
		.fallocate = {
			.mode = mode,
			.offset = offset,
			.length = length,
		},
	};

	(void)fi;
	front_dispatch(&job);
}

static void run_copy(struct fuse_front *front, struct job *job)
{
	struct charge_cached_range in = {
		.inode = job->inode,
		.offset = (uint64_t)job->copy.in_offset,
	};
	struct charge_cached_range out = {
		.inode = (struct inode *)(uintptr_t)job->copy.out_fi.fh,
		.offset = (uint64_t)job->copy.out_offset,
		.length = job->copy.length,
	};
	int64_t n;

	n = charge_cached_copy(front->charge, &in, &out,
			       front_caller_kills_priv(job->req));
	if (n < 0)
		fuse_reply_err(job->req, (int)-n);
	else
		fuse_reply_write(job->req, (size_t)n);
}

/* The other inode has the place of its handle. */
static void cached_copy(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			struct fuse_file_info *fi_in, fuse_ino_t ino_out,
			off_t off_out, struct fuse_file_info *fi_out,
			size_t length, int flags)
{
	struct job job = {
		.req = req,
		.inode = front_inode(front_of(req), ino_in),
		.run = run_copy,
		.copy = {
			.out_fi.fh =
				(uintptr_t)front_inode(front_of(req), ino_out),
			.in_offset = off_in,
			.out_offset = off_out,
			.length = length,
		},
	};

	(void)fi_in;
	(void)fi_out;
	(void)flags;
	front_dispatch(&job);
}

/* -- attributes -- */

/*
 * An answer that says that the file was changed beside the mount comes after
 * what the client has of it is gone: who asks before he reads reads what is
 * there. To drop pages may wait for reads that others have asked for, so that
 * is left to a few threads of the pool; where there are none left, and for
 * what isn't asked for (a lookup's attributes), the answer may not be kept.
 */
#define THREADS_PER_DROP 8

struct stale_reply {
	fuse_req_t req;
	struct inode *inode;
	struct stat st;
};

static void reply_now(struct stale_reply *reply)
{
	double timeout =
		front_show_attr(front_of(reply->req), reply->inode, &reply->st);

	fuse_reply_attr(reply->req, &reply->st, timeout);
}

static bool begin_drop(struct fuse_front *front)
{
	unsigned int max = front->config.max_threads / THREADS_PER_DROP;

	if (atomic_fetch_add(&front->drops, 1) < max)
		return true;
	atomic_fetch_sub(&front->drops, 1);
	return false;
}

static void drop_and_reply(void *userdata)
{
	struct stale_reply *reply = userdata;
	struct fuse_front *front = front_of(reply->req);

	charge_cached_drop_stale(front->charge, reply->inode);
	reply_now(reply);
	atomic_fetch_sub(&front->drops, 1);
	free(reply);
}

/* False: it can't be dropped now. */
static bool submit_drop(struct fuse_front *front, const struct stale_reply *it)
{
	struct stale_reply *reply;

	if (!begin_drop(front))
		return false;
	reply = malloc(sizeof(*reply));
	if (reply) {
		*reply = *it;
		if (pool_submit(front->pool, drop_and_reply, reply) == 0)
			return true;
		free(reply);
	}
	atomic_fetch_sub(&front->drops, 1);
	return false;
}

static void cached_getattr(fuse_req_t req, fuse_ino_t ino,
			   struct fuse_file_info *fi)
{
	struct fuse_front *front = front_of(req);
	struct stale_reply reply = {
		.req = req,
		.inode = front_inode(front, ino),
	};
	int fd, r;

	(void)fi;
	fd = inode_fd_get(front->table, reply.inode);
	if (fd < 0) {
		fuse_reply_err(req, -fd);
		return;
	}
	r = fstatat(fd, "", &reply.st, AT_EMPTY_PATH) < 0 ? errno : 0;
	inode_fd_put(front->table, reply.inode);
	if (r)
		fuse_reply_err(req, r);
	else if (!S_ISREG(reply.st.st_mode) ||
		 !charge_cached_note_attr(front->charge, reply.inode,
					  &reply.st) ||
		 is_one_of_us(front, reply.inode, fuse_req_ctx(req)->pid) ||
		 !submit_drop(front, &reply))
		reply_now(&reply);
}

/* -- what needs no pages -- */

static void run_lseek(struct fuse_front *front, struct job *job)
{
	struct backing *backing;
	int r;

	r = backing_open(front->table, job->inode, false, false, &backing);
	if (r < 0) {
		fuse_reply_err(job->req, -r);
		return;
	}
	front_reply_seek(job, backing_read_fd(backing));
	backing_close(front->table, backing);
}

static void cached_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset,
			 int whence, struct fuse_file_info *fi)
{
	struct job job = {
		.req = req,
		.inode = front_inode(front_of(req), ino),
		.run = run_lseek,
		.seek = { .offset = offset, .whence = whence },
	};

	(void)fi;
	front_dispatch(&job);
}

static void run_fsync(struct fuse_front *front, struct job *job)
{
	struct backing *backing;
	int fd, r;

	r = backing_open(front->table, job->inode, false, false, &backing);
	if (r < 0) {
		fuse_reply_err(job->req, -r);
		return;
	}
	fd = backing_read_fd(backing);
	r = job->datasync ? fdatasync(fd) : fsync(fd);
	fuse_reply_err(job->req, r < 0 ? errno : 0);
	backing_close(front->table, backing);
}

static void cached_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
			 struct fuse_file_info *fi)
{
	struct job job = {
		.req = req,
		.inode = front_inode(front_of(req), ino),
		.run = run_fsync,
		.datasync = datasync,
	};

	(void)fi;
	front_dispatch(&job);
}

/* Of a file that was made before the kernel has learned that none is open. */
static void cached_release(fuse_req_t req, fuse_ino_t ino,
			   struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

/* It is kept for the first write. */
static int cached_open_new(struct fuse_front *front, struct job *job,
			   const struct charge_request *request, int fd)
{
	struct backing *backing;
	int r;

	r = backing_adopt(front->table, request->inode, fd, &backing);
	if (r < 0)
		return r;
	backing_close(front->table, backing);
	job->fi.fh = 0;
	job->fi.keep_cache = 1;
	return 0;
}

void cached_take_over(struct fuse_front *front)
{
	struct fuse_lowlevel_ops *ops = &front->ops;

	front->open_new = cached_open_new;
	front->set_size = cached_set_size;
	ops->open = NULL;
	ops->opendir = NULL;
	ops->releasedir = cached_release;
	ops->getattr = cached_getattr;
	ops->read = cached_read;
	ops->write = cached_write;
	ops->flush = NULL;
	ops->release = cached_release;
	ops->fsync = cached_fsync;
	ops->fallocate = cached_fallocate;
	ops->lseek = cached_lseek;
	ops->copy_file_range = cached_copy;
}
