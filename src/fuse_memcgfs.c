// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The FUSE front end; see fuse_memcgfs.h. Here: the table of operations, the
 * negotiation with the kernel, and what all handlers share.
 *
 * Locks (flock(2), fcntl(2)) are not among the operations on purpose: the
 * client's kernel then keeps them itself, with all of their rules (fork,
 * signals, deadlock detection), among all who use the mount.
 */
#include "fuse_priv.h"

#include "charge_cached.h"
#include "inode_place.h"
#include "log.h"
#include "passthrough.h"
#include "transport.h"
#include "util.h"

#include <linux/capability.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <string.h>

#define MAX_GROUPS 1024
#define MAX_BACKGROUND 256
#define RESERVE_THREADS 4

struct fuse_front *fuse_front_free(struct fuse_front *front)
{
	if (!front)
		return NULL;
	pool_free(front->pool);
	inval_free(front->inval);
	free(front);
	return NULL;
}

void fuse_front_set_session(struct fuse_front *front,
			    struct fuse_session *session)
{
	front->session = session;
	inval_set_session(front->inval, session);
}

struct fuse_front *front_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

struct inode *front_inode(struct fuse_front *front, fuse_ino_t ino)
{
	if (ino == FUSE_ROOT_ID)
		return inode_table_root(front->table);
	return (struct inode *)(uintptr_t)ino;
}

void fuse_front_note_open(struct fuse_front *front, uint64_t nodeid, pid_t pid)
{
	struct inode *inode = front_inode(front, nodeid);
	struct scanners_open open = {
		.caller = { .tid = pid, .uid = (uid_t)-1 },
		.inode = inode,
		.flags = O_RDONLY, /* it isn't told, nor when it is closed */
	};
	bool is_scanner;

	if (S_ISDIR(inode->type))
		scanners_note_dir(front->scanners, &open.caller, inode);
	if (!S_ISREG(inode->type))
		return;
	/* His first read may be yet to come. */
	rulebook_refresh(front->book, inode);
	open.named = charge_scanners(front->charge, inode);
	is_scanner = scanners_begin_open(front->scanners, &open);
	/* What a scanner opens he doesn't use. */
	if (!charge_is_scan(front->charge, inode, is_scanner))
		charge_note_use(front->charge, inode, pid);
	else
		charge_cached_note_scan(front->charge, inode, pid);
}

double front_show_attr(struct fuse_front *front, struct inode *inode,
		       struct stat *st)
{
	bool is_volatile = false;

	/*
	 * A write clears these bits, and the client's kernel goes on
	 * executing by its cached mode (seen on 6.18, with KILLPRIV_V2).
	 */
	if (S_ISREG(st->st_mode) && st->st_mode & (S_ISUID | S_ISGID))
		is_volatile = true;
	if (S_ISREG(st->st_mode) && front->config.is_cached)
		is_volatile |=
			charge_cached_note_attr(front->charge, inode, st);
	if (S_ISREG(st->st_mode))
		is_volatile |= charge_note_attr(front->charge, inode,
						(uint64_t)st->st_size);
	st->st_ino = inode_number(inode, st->st_ino);
	return is_volatile ? 0 : front->config.attr_timeout;
}

void front_fill_entry(struct fuse_front *front, struct inode *inode,
		      const struct stat *st, struct fuse_entry_param *entry)
{
	*entry = (struct fuse_entry_param){
		.ino = (uintptr_t)inode,
		.attr = *st,
		.entry_timeout = front->config.entry_timeout,
	};
	entry->attr_timeout = front_show_attr(front, inode, &entry->attr);
}

int front_lookup(struct fuse_front *front, struct inode *parent,
		 const char *name, struct inode **inode, struct stat *st)
{
	int r;

	r = inode_lookup(front->table, parent, name, inode, st);
	if (r == 0)
		inode_set_place(front->table, *inode, parent, name);
	return r;
}

struct scanners_caller front_caller(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return (struct scanners_caller){ .tid = ctx->pid, .uid = ctx->uid };
}

void front_note_change(struct fuse_front *front, const char *name)
{
	if (strcmp(name, RULEFILE_NAME) == 0)
		rulebook_touch(front->book);
}

int front_assume_caller(fuse_req_t req, bool with_groups)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct caller caller = {
		.uid = ctx->uid,
		.gid = ctx->gid,
	};
	gid_t groups[MAX_GROUPS];
	int n, r;

	r = creds_set_umask(ctx->umask);
	if (r < 0 || !front_of(req)->can_switch)
		return r;
	if (with_groups) {
		creds_keep_suid(true);
		n = fuse_req_getgroups(req, MAX_GROUPS, groups);
		caller.n_groups = n > 0 && n <= MAX_GROUPS ? (size_t)n : 0;
		caller.groups = groups;
	}
	return creds_assume(&caller);
}

/* -- jobs -- */

struct queued_job {
	struct gate_wait wait;
	struct fuse_front *front;
	struct gate *gate; /* that it is, or waits to get, inside; or NULL */
	uint64_t since_ns;
	struct job job;
	char payload[];
};

static void leave_gate(struct fuse_front *front, struct gate *gate);

static void run_queued(void *userdata)
{
	struct queued_job *queued = userdata;

	queued->job.run(queued->front, &queued->job);
	leave_gate(queued->front, queued->gate);
	free(queued);
}

/* @copy: what it brings goes away with the worker's next request. */
static struct queued_job *queued_new(struct fuse_front *front,
				     struct gate *gate, const struct job *job,
				     bool copy)
{
	size_t size = copy ? job->payload_size : 0;
	struct queued_job *queued;

	queued = malloc(sizeof(*queued) + size);
	if (!queued)
		return NULL;
	queued->front = front;
	queued->gate = gate;
	queued->since_ns = now_ns();
	queued->job = *job;
	if (size) {
		memcpy(queued->payload, job->payload, size);
		queued->job.payload = queued->payload;
	}
	return queued;
}

/* Whether others have waited in vain meanwhile, so that it needn't, too. */
static bool is_overdue(const struct fuse_front *front,
		       const struct queued_job *queued)
{
	return charge_is_silent(front->charge, queued->job.inode) &&
	       now_ns() - queued->since_ns > front->config.patience_ns;
}

static void fail_queued(struct queued_job *queued, int error)
{
	fuse_reply_err(queued->job.req, error);
	free(queued);
}

/* Whoever waited longest is next, unless that was for nothing. */
static void leave_gate(struct fuse_front *front, struct gate *gate)
{
	struct queued_job *queued;
	struct gate_wait *wait;

	while (gate && (wait = gate_leave(gate))) {
		queued = container_of(wait, struct queued_job, wait);
		if (is_overdue(front, queued))
			fail_queued(queued, ETIMEDOUT);
		else if (pool_submit(front->pool, run_queued, queued) < 0)
			fail_queued(queued, ENOMEM);
		else
			return;
	}
}

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18)
#define req_is_uring(req) fuse_req_is_uring(req)
#else
#define req_is_uring(req) false
#endif

/* Whether the calling worker may take a job: not if it is among the last. */
static bool begin_work(struct fuse_front *front)
{
	unsigned int max = front->config.max_threads;
	unsigned int before = atomic_fetch_add_explicit(&front->at_work, 1,
							memory_order_relaxed);

	return max <= 2 * RESERVE_THREADS || before < max - RESERVE_THREADS;
}

static void end_work(struct fuse_front *front)
{
	atomic_fetch_sub_explicit(&front->at_work, 1, memory_order_relaxed);
}

/* By a thread of the pool, now or when there is room inside the gate. */
static void queue_job(struct fuse_front *front, struct gate *gate,
		      bool is_inside, const struct job *job)
{
	struct queued_job *queued;

	queued = queued_new(front, gate, job, !req_is_uring(job->req));
	if (queued && !is_inside && !gate_wait(gate, &queued->wait))
		return;
	if (queued && pool_submit(front->pool, run_queued, queued) == 0)
		return;
	free(queued);
	fuse_reply_err(job->req, ENOMEM);
	leave_gate(front, gate);
}

void front_dispatch(const struct job *job)
{
	struct fuse_front *front = front_of(job->req);
	struct gate *gate = charge_gate(front->charge, job->inode);
	bool is_inside = !gate || gate_try(gate);
	struct job own;

	if (!is_inside || req_is_uring(job->req)) {
		queue_job(front, gate, is_inside, job);
		return;
	}
	if (begin_work(front)) {
		own = *job;
		own.run(front, &own);
		leave_gate(front, gate);
	} else {
		queue_job(front, gate, true, job);
	}
	end_work(front);
}

/* -- negotiation -- */

/* NULL: files can pass through; else why not. */
static const char *why_no_passthrough(struct fuse_conn_info *conn)
{
	const char *why = passthrough_why_not();

	if (!why && !fuse_set_feature_flag(conn, FUSE_CAP_PASSTHROUGH))
		why = "the kernel was built without FUSE passthrough";
	if (why)
		fuse_unset_feature_flag(conn, FUSE_CAP_PASSTHROUGH);
	return why;
}

/*
 * How many filesystems may lie between the source and its device, for files
 * to pass through. What the source needs, and no more: the kernel allows two
 * in all, counts ours for one, and overlayfs shall work on top of it.
 */
static unsigned int backing_depth(const struct fuse_front *front)
{
	struct inode *root = inode_table_root(front->table);

	switch (inode_device(front->table, root)->fs_type) {
	case OVERLAYFS_SUPER_MAGIC:
	case ECRYPTFS_SUPER_MAGIC:
	case FUSE_SUPER_MAGIC:
		return 1;
	default:
		return 0;
	}
}

/*
 * What changes beside the mount is told by charge_cached_note_attr(): the
 * kernel would take each write through the mount for such a change.
 */
static void negotiate_cached(struct fuse_conn_info *conn)
{
	fuse_unset_feature_flag(conn, FUSE_CAP_PASSTHROUGH);
	fuse_unset_feature_flag(conn, FUSE_CAP_AUTO_INVAL_DATA);
	fuse_set_feature_flag(conn, FUSE_CAP_EXPLICIT_INVAL_DATA);
	fuse_set_feature_flag(conn, FUSE_CAP_NO_OPEN_SUPPORT);
	fuse_set_feature_flag(conn, FUSE_CAP_NO_OPENDIR_SUPPORT);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	/* Wanted where the kernel has them. */
	static const uint64_t features[] = {
		FUSE_CAP_DONT_MASK,
		FUSE_CAP_POSIX_ACL,
		FUSE_CAP_READDIRPLUS,
		FUSE_CAP_READDIRPLUS_AUTO,
		FUSE_CAP_PARALLEL_DIROPS,
		/* No GETXATTR(security.capability) before each write. */
		FUSE_CAP_HANDLE_KILLPRIV_V2,
		/* Only matters to files that can't pass through. */
		FUSE_CAP_DIRECT_IO_ALLOW_MMAP,
	};
	struct fuse_front *front = userdata;
	bool is_cached = front->config.is_cached;
	const char *why_strict = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		fuse_set_feature_flag(conn, features[i]);
	fuse_unset_feature_flag(conn, FUSE_CAP_WRITEBACK_CACHE);
	/* It truncates a running program, and says ETXTBSY after (6.18). */
	fuse_unset_feature_flag(conn, FUSE_CAP_ATOMIC_O_TRUNC);
	if (is_cached)
		negotiate_cached(conn);
	else
		why_strict = why_no_passthrough(conn);
	conn->max_backing_stack_depth = backing_depth(front);
	conn->max_write = ARENA_BUFFER_BYTES;
	conn->max_read = (unsigned int)transport_max_read();
	conn->max_background = MAX_BACKGROUND;
	conn->time_gran = 1;
	charge_set_connection(front->charge, transport_fd(),
			      !is_cached && !why_strict);
	front->config.ready(front->config.userdata, why_strict);
}

static const struct fuse_lowlevel_ops all_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.statx = op_statx,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.create = op_create,
	.tmpfile = op_tmpfile,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.ioctl = op_ioctl,
	.fallocate = op_fallocate,
	.lseek = op_lseek,
	.copy_file_range = op_copy_file_range,
};

int fuse_front_new(const struct fuse_front_config *config,
		   struct fuse_front **out)
{
	struct fuse_front *front;
	int r;

	front = calloc(1, sizeof(*front));
	if (!front)
		return -ENOMEM;
	front->config = *config;
	front->charge = config->charge;
	front->book = config->book;
	front->scanners = config->scanners;
	front->table = config->table;
	front->can_switch = creds_can_switch();
	front->ops = all_ops;
	front->open_new = file_open_new;
	front->set_size = file_set_size;
	if (config->is_cached)
		cached_take_over(front);
	r = pool_new(config->max_threads, &front->pool);
	if (r == 0)
		r = inval_new(config->table, &front->inval);
	if (r < 0) {
		fuse_front_free(front);
		return r;
	}
	*out = front;
	return 0;
}

const struct fuse_lowlevel_ops *fuse_front_ops(const struct fuse_front *front)
{
	return &front->ops;
}
