// SPDX-License-Identifier: GPL-2.0-or-later
/* The FUSE front end: open files. */
#include "fuse_priv.h"
#include "holes.h"
#include "inode_place.h"
#include "transport.h"

#include "util.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>

/* Smaller reads are faster copied than passed on by reference. */
#define PIPE_MIN_BYTES (128 * 1024)
#define SHORTEST_TIMEOUT 1e-6 /* seconds */

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* Filesystems whose close(2) has nothing to tell: no flush message. */
static bool close_is_silent(int64_t fs_type)
{
	switch (fs_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case TMPFS_MAGIC:
		return true;
	default:
		return false;
	}
}

static void fill_info(struct fuse_front *front, struct inode *inode,
		      const struct charge_reply *reply,
		      struct fuse_file_info *fi)
{
	fi->fh = charge_file_pack(&reply->file);
	fi->backing_id = reply->backing_id;
	fi->direct_io = reply->direct_io;
	/*
	 * A write that takes several messages must not mix with another; of
	 * direct I/O that is not asked.
	 */
	fi->parallel_direct_writes = (fi->flags & O_DIRECT) != 0;
	fi->noflush =
		!reply->file.writable ||
		close_is_silent(inode_device(front->table, inode)->fs_type);
}

static void close_file(struct fuse_front *front, const struct charge_file *file)
{
	charge_close(file);
	scanners_close(front->scanners, file->reader);
}

static void run_open(struct fuse_front *front, struct job *job)
{
	struct scanners_open open = {
		.caller = front_caller(job->req),
		.inode = job->inode,
		.flags = job->fi.flags,
		.named = charge_scanners(front->charge, job->inode),
	};
	struct charge_request request = {
		.inode = job->inode,
		.flags = job->fi.flags,
		.tid = open.caller.tid,
		.kill_priv = front_kills_priv(job->req, &job->fi),
	};
	bool was_volatile = job->inode->attrs_volatile;
	struct scanners_before before;
	struct charge_reply reply;
	int r;

	request.is_scan = scanners_begin_open(front->scanners, &open);
	r = charge_open(front->charge, &request, &reply);
	if (r < 0) {
		fuse_reply_err(job->req, -r);
		return;
	}
	before = (struct scanners_before){
		.resident_bytes = reply.before.resident_bytes,
		.uses = reply.before.uses,
	};
	reply.file.reader = scanners_end_open(front->scanners, &open,
					      reply.size_bytes, &before);
	/* Attributes given out before may not be kept any longer. */
	if (job->inode->attrs_volatile && !was_volatile)
		fuse_lowlevel_notify_inval_inode(front->session,
						 (uintptr_t)job->inode, -1, 0);
	fill_info(front, job->inode, &reply, &job->fi);
	if (fuse_reply_open(job->req, &job->fi) == -ENOENT)
		close_file(front, &reply.file);
}

/* Its rules say before whose gate it waits. */
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct job job = {
		.req = req,
		.inode = front_inode(front_of(req), ino),
		.fi = *fi,
		.run = run_open,
	};

	rulebook_refresh(front_of(req)->book, job.inode);
	front_dispatch(&job);
}

/* -- creating -- */

/* Makes a file, as the caller would, and opens it for both. */
static int make_file(fuse_req_t req, int dir_fd, const char *name, int flags,
		     mode_t mode)
{
	int fd, r;

	r = front_assume_caller(req, mode & S_ISGID);
	if (r < 0) {
		creds_restore();
		return r;
	}
	fd = openat(dir_fd, name, flags | O_RDWR | O_CLOEXEC | O_NOCTTY, mode);
	if (fd < 0)
		fd = -errno;
	creds_restore();
	return fd;
}

/*
 * The kernel asks for the attributes of a file that it has just made, unless
 * it may keep them: and nobody can have mapped it yet. The shortest time makes
 * it a tick of its clock, by which files' times go, too.
 */
static double attr_timeout_of_new(const struct fuse_entry_param *entry)
{
	if (entry->attr_timeout > 0 ||
	    entry->attr.st_mode & (S_ISUID | S_ISGID))
		return entry->attr_timeout;
	return SHORTEST_TIMEOUT;
}

int file_open_new(struct fuse_front *front, struct job *job,
		  const struct charge_request *request, int fd)
{
	struct charge_reply reply;
	int r;

	r = charge_create(front->charge, request, fd, &reply);
	if (r == 0)
		fill_info(front, request->inode, &reply, &job->fi);
	return r;
}

/* The new file's inode, opened; on success the inode has one lookup more. */
static int adopt_file(struct fuse_front *front, struct job *job, int owned_fd,
		      struct fuse_entry_param *entry)
{
	cleanup_close int fd = owned_fd;
	struct charge_request request = {
		.flags = job->fi.flags & ~(O_CREAT | O_EXCL | O_TRUNC),
		.tid = fuse_req_ctx(job->req)->pid,
	};
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	r = inode_lookup_fd(front->table, fd, &st, &request.inode);
	if (r < 0)
		return r;
	/* One without a name is ruled as its directory's files are. */
	inode_set_place(front->table, request.inode, job->inode,
			job->payload ? job->payload : "");
	rulebook_refresh(front->book, request.inode);
	r = front->open_new(front, job, &request, steal_fd(&fd));
	if (r < 0) {
		inode_forget(front->table, request.inode, 1);
		return r;
	}
	front_fill_entry(front, request.inode, &st, entry);
	entry->attr_timeout = attr_timeout_of_new(entry);
	job->inode = request.inode;
	return 0;
}

static void adopt_and_reply(struct fuse_front *front, struct job *job, int fd)
{
	struct fuse_entry_param entry;
	struct charge_file file;
	int r = fd;

	if (r >= 0)
		r = adopt_file(front, job, fd, &entry);
	if (r < 0) {
		fuse_reply_err(job->req, -r);
		return;
	}
	if (fuse_reply_create(job->req, &entry, &job->fi) == -ENOENT) {
		file = file_of(front, &job->fi);
		if (file.backing)
			charge_close(&file);
		inode_forget(front->table, job->inode, 1);
	}
}

static int create_in(struct fuse_front *front, struct job *job)
{
	int dir_fd, fd;

	dir_fd = inode_fd_get(front->table, job->inode);
	if (dir_fd < 0)
		return dir_fd;
	fd = make_file(job->req, dir_fd, job->payload,
		       O_CREAT | O_EXCL | O_NOFOLLOW, job->create_mode);
	inode_fd_put(front->table, job->inode);
	/*
	 * Somebody was faster. The permission to open what he made is the
	 * client kernel's to check: have it look the name up again.
	 */
	if (fd == -EEXIST && !(job->fi.flags & O_EXCL))
		return -ESTALE;
	return fd;
}

static void run_create(struct fuse_front *front, struct job *job)
{
	struct scanners_caller caller = front_caller(job->req);

	scanners_note_create(front->scanners, &caller, job->inode);
	adopt_and_reply(front, job, create_in(front, job));
}

/*
 * An empty file has no pages, and needs no charger: it is made at once, not
 * behind others that wait for the directory's host.
 */
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	struct job job = {
		.req = req,
		.inode = front_inode(front_of(req), parent),
		.fi = *fi,
		.payload = name,
		.create_mode = mode,
	};

	run_create(front_of(req), &job);
}

/* Without a name no handle finds the file: its fd is kept. */
static void run_tmpfile(struct fuse_front *front, struct job *job)
{
	int dir_fd, fd;

	dir_fd = inode_fd_get(front->table, job->inode);
	if (dir_fd < 0) {
		fuse_reply_err(job->req, -dir_fd);
		return;
	}
	fd = make_file(job->req, dir_fd, ".",
		       O_TMPFILE | (job->fi.flags & O_EXCL), job->create_mode);
	inode_fd_put(front->table, job->inode);
	adopt_and_reply(front, job, fd);
}

void op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode,
		struct fuse_file_info *fi)
{
	struct job job = {
		.req = req,
		.inode = front_inode(front_of(req), parent),
		.fi = *fi,
		.create_mode = mode,
	};

	run_tmpfile(front_of(req), &job);
}

/* -- reading and writing: strict files alone come here -- */

/*
 * Direct reads name the caller's lock owner; what fills the client's page
 * cache (sendfile(2) does, even here) names none.
 */
static bool fills_client_cache(const struct fuse_file_info *fi)
{
	return fi->lock_owner == 0;
}

/*
 * Answers a large read without a copy in the daemon; false: it is still to
 * be answered. At the file's end it is: the answer's length comes first.
 */
static bool reply_by_pipe(fuse_req_t req, const struct charge_read *read)
{
	int64_t n;
	int fd;

	/* What is passed on by reference can't be dropped. */
	if (read->flags & O_DIRECT || read->file.is_scan)
		return false;
	fd = transport_pipe_begin(read->size);
	if (fd < 0)
		return false;
	n = charge_read_pipe(read, fd);
	if (n != (int64_t)read->size) {
		transport_pipe_drop();
		if (n != -ETIMEDOUT && n != -EHOSTDOWN)
			return false;
		fuse_reply_err(req, (int)-n);
		return true;
	}
	if (transport_pipe_send() < 0)
		return false;
	fuse_reply_none(req);
	return true;
}

static void run_read(struct fuse_front *front, struct job *job)
{
	struct charge_read read = {
		.file = file_of(front, &job->fi),
		.offset = (uint64_t)job->io.offset,
		.size = job->io.size,
		.flags = job->fi.flags,
	};
	int64_t n;

	if (fills_client_cache(&job->fi) && charge_note_splice(&read.file))
		inval_queue(front->inval, job->inode);
	if (read.size >= PIPE_MIN_BYTES && reply_by_pipe(job->req, &read))
		return;
	n = charge_read(&read);
	if (n < 0)
		fuse_reply_err(job->req, (int)-n);
	else
		fuse_reply_buf(job->req, read.data, (size_t)n);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	     struct fuse_file_info *fi)
{
	struct job job = {
		.req = req,
		.inode = front_inode(front_of(req), ino),
		.fi = *fi,
		.run = run_read,
		.io = { .size = size, .offset = offset },
	};

	front_dispatch(&job);
}

static void run_write(struct fuse_front *front, struct job *job)
{
	struct charge_write write = {
		.file = file_of(front, &job->fi),
		.offset = (uint64_t)job->io.offset,
		.data = job->payload,
		.size = job->io.size,
		.flags = job->fi.flags,
		.kill_priv = front_kills_priv(job->req, &job->fi),
	};
	int64_t n;

	n = charge_write(&write);
	if (n < 0)
		fuse_reply_err(job->req, (int)-n);
	else
		fuse_reply_write(job->req, (size_t)n);
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
	      off_t offset, struct fuse_file_info *fi)
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

	front_dispatch(&job);
}

static void run_fallocate(struct fuse_front *front, struct job *job)
{
	struct charge_file file = file_of(front, &job->fi);
	int r;

	r = charge_fallocate(&file, job->fallocate.mode,
			     (uint64_t)job->fallocate.offset,
			     (uint64_t)job->fallocate.length,
			     front_caller_kills_priv(job->req));
	fuse_reply_err(job->req, -r);
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
		  off_t length, struct fuse_file_info *fi)
{
	struct job job = {
		.req = req,
		.inode = front_inode(front_of(req), ino),
		.fi = *fi,
		.run = run_fallocate,
		.fallocate = {
			.mode = mode,
			.offset = offset,
			.length = length,
		},
	};

	front_dispatch(&job);
}

static void run_copy(struct fuse_front *front, struct job *job)
{
	struct charge_copy copy = {
		.in = file_of(front, &job->fi),
		.in_offset = (uint64_t)job->copy.in_offset,
		.out = file_of(front, &job->copy.out_fi),
		.out_offset = (uint64_t)job->copy.out_offset,
		.length = job->copy.length,
		.kill_priv = front_caller_kills_priv(job->req),
	};
	int64_t n;

	n = charge_copy_range(&copy);
	if (n < 0)
		fuse_reply_err(job->req, (int)-n);
	else
		fuse_reply_write(job->req, (size_t)n);
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			struct fuse_file_info *fi_in, fuse_ino_t ino_out,
			off_t off_out, struct fuse_file_info *fi_out,
			size_t length, int flags)
{
	struct job job = {
		.req = req,
		.inode = front_inode(front_of(req), ino_in),
		.fi = *fi_in,
		.run = run_copy,
		.copy = {
			.out_fi = *fi_out,
			.in_offset = off_in,
			.out_offset = off_out,
			.length = length,
		},
	};

	(void)ino_out;
	(void)flags;
	front_dispatch(&job);
}

/* -- the rest of an open file -- */

void front_reply_seek(const struct job *job, int fd)
{
	off_t at = holes_seek(fd, job->seek.offset, job->seek.whence);

	if (at < 0)
		fuse_reply_err(job->req, (int)-at);
	else
		fuse_reply_lseek(job->req, at);
}

static void run_lseek(struct fuse_front *front, struct job *job)
{
	struct charge_file file = file_of(front, &job->fi);

	front_reply_seek(job, charge_file_fd(&file));
}

/* It may wait for the disk, as an fsync(2) does. */
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
	      struct fuse_file_info *fi)
{
	struct job job = {
		.req = req,
		.inode = front_inode(front_of(req), ino),
		.fi = *fi,
		.run = run_lseek,
		.seek = { .offset = offset, .whence = whence },
	};

	front_dispatch(&job);
}

static void run_fsync(struct fuse_front *front, struct job *job)
{
	struct charge_file file = file_of(front, &job->fi);
	int fd = charge_file_fd(&file);
	int r;

	r = job->datasync ? fdatasync(fd) : fsync(fd);
	fuse_reply_err(job->req, r < 0 ? errno : 0);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
	      struct fuse_file_info *fi)
{
	struct job job = {
		.req = req,
		.inode = front_inode(front_of(req), ino),
		.fi = *fi,
		.run = run_fsync,
		.datasync = datasync,
	};

	front_dispatch(&job);
}

/* What closing a copy of the fd tells is what closing the file would. */
static void run_flush(struct fuse_front *front, struct job *job)
{
	struct charge_file file = file_of(front, &job->fi);
	int fd;

	fd = fcntl(charge_file_fd(&file), F_DUPFD_CLOEXEC, 0);
	if (fd < 0 || close(fd) < 0)
		fuse_reply_err(job->req, errno);
	else
		fuse_reply_err(job->req, 0);
}

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct job job = {
		.req = req,
		.inode = front_inode(front_of(req), ino),
		.fi = *fi,
		.run = run_flush,
	};

	front_dispatch(&job);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_front *front = front_of(req);
	struct charge_file file = file_of(front, fi);
	bool is_rules = file.writable &&
			inode_is_named(front->table, front_inode(front, ino),
				       RULEFILE_NAME);

	close_file(front, &file);
	if (is_rules)
		rulebook_touch(front->book);
	fuse_reply_err(req, 0);
}
