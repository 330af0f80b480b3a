/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the FUSE front end share. */
#ifndef MEMCGFS_FUSE_PRIV_H
#define MEMCGFS_FUSE_PRIV_H

#include "creds.h"
#include "fuse_memcgfs.h"
#include "inval.h"
#include "pool.h"

struct job;

struct fuse_front {
	struct fuse_front_config config;
	struct charge *charge;
	struct rulebook *book;
	struct scanners *scanners;
	struct inode_table *table;
	struct fuse_session *session;
	struct pool *pool;
	struct inval *inval;
	atomic_uint at_work; /* workers with a job */
	atomic_uint drops; /* by the pool; see fuse_cached.c */
	bool can_switch; /* act with the caller's ids */
	/*
	 * By the mount's path: the operations; opening a file just made, whose
	 * fd it takes, into the job's fi; and truncating one. 0 or -errno.
	 */
	struct fuse_lowlevel_ops ops;
	int (*open_new)(struct fuse_front *front, struct job *job,
			const struct charge_request *request, int fd);
	int (*set_size)(struct fuse_front *front, const struct job *job);
};

/* The front and the inode of a request. */
struct fuse_front *front_of(fuse_req_t req);
struct inode *front_inode(struct fuse_front *front, fuse_ino_t ino);

/* The attributes to show, from those of the backing; and for how long. */
double front_show_attr(struct fuse_front *front, struct inode *inode,
		       struct stat *st);

/*
 * libfuse 3.18 passes on what the kernel says of the caller's CAP_FSETID;
 * before that it has to be guessed.
 */
static inline bool front_kills_priv(fuse_req_t req,
				    const struct fuse_file_info *fi)
{
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18)
	(void)req;
	return fi->kill_suidgid;
#else
	(void)fi;
	return fuse_req_ctx(req)->uid != 0;
#endif
}

/* For calls whose message says nothing of it. */
static inline bool front_caller_kills_priv(fuse_req_t req)
{
	return fuse_req_ctx(req)->uid != 0;
}

/* Who makes a request, for those who look for scanners. */
struct scanners_caller front_caller(fuse_req_t req);

/* The reply's entry for an inode just looked up. */
void front_fill_entry(struct fuse_front *front, struct inode *inode,
		      const struct stat *st, struct fuse_entry_param *entry);

/* Looks a name up, whose inode has one lookup more and its place then. */
int front_lookup(struct fuse_front *front, struct inode *parent,
		 const char *name, struct inode **inode, struct stat *st);

/* What was behind the name has changed: it may be a file of rules. */
void front_note_change(struct fuse_front *front, const char *name);

/*
 * Acts as the caller from here to creds_restore(). His groups are looked up
 * only @with_groups: the system needs them for a setgid bit in @mode alone.
 */
int front_assume_caller(fuse_req_t req, bool with_groups);

/*
 * A request whose work may wait: for a charger, a disk. With /dev/fuse it is
 * done in the worker that took it, unless most of them are at it already:
 * should they all wait for one host, the last few go on serving what needs no
 * charger. Over io_uring a worker is all that serves its CPU, too. What they
 * can't do is done by a thread of the pool. Of one host's jobs no more are
 * begun than its charger can make at once: the others wait without a thread.
 */
struct job {
	fuse_req_t req;
	struct inode *inode;
	struct fuse_file_info fi;
	void (*run)(struct fuse_front *front, struct job *job);
	/* What the request brings: a write's data, a new file's name. */
	const char *payload;
	size_t payload_size;
	union {
		struct {
			size_t size;
			off_t offset;
		} io;
		mode_t create_mode;
		struct {
			struct stat attr;
			int to_set;
			bool has_fi;
		} setattr;
		struct {
			int mode;
			off_t offset;
			off_t length;
		} fallocate;
		struct {
			struct fuse_file_info out_fi;
			off_t in_offset;
			off_t out_offset;
			size_t length;
		} copy;
		struct {
			off_t offset;
			int whence;
		} seek;
		int datasync;
	};
};

void front_dispatch(const struct job *job);

/* Answers an lseek(2) with what is found in the file of the fd. */
void front_reply_seek(const struct job *job, int fd);

static inline struct charge_file file_of(const struct fuse_front *front,
					 const struct fuse_file_info *fi)
{
	return charge_file_unpack(front->charge, fi->fh);
}

/* fuse_dir.c */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void op_forget_multi(fuse_req_t req, size_t count,
		     struct fuse_forget_data *forgets);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	      dev_t rdev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
	       fuse_ino_t newparent, const char *newname, unsigned int flags);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent,
	     const char *newname);
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
		 struct fuse_file_info *fi);

/* fuse_attr.c */
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi);
void op_statx(fuse_req_t req, fuse_ino_t ino, int flags, int mask,
	      struct fuse_file_info *fi);
void op_readlink(fuse_req_t req, fuse_ino_t ino);
void op_statfs(fuse_req_t req, fuse_ino_t ino);
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		 const char *value, size_t size, int flags);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);
void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
	      struct fuse_file_info *fi, unsigned int flags, const void *in_buf,
	      size_t in_size, size_t out_size);

int file_set_size(struct fuse_front *front, const struct job *job);

/* fuse_xattr.c */
bool xattr_is_virtual(const char *name);
void xattr_get_virtual(fuse_req_t req, fuse_ino_t ino, const char *name,
		       size_t size);
void xattr_set_virtual(fuse_req_t req, fuse_ino_t ino, const char *name);

/* fuse_cached.c: takes over what it does otherwise than fuse_file.c. */
void cached_take_over(struct fuse_front *front);

/* fuse_file.c */
int file_open_new(struct fuse_front *front, struct job *job,
		  const struct charge_request *request, int fd);
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi);
void op_tmpfile(fuse_req_t req, fuse_ino_t parent, mode_t mode,
		struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
	     struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
	      off_t offset, struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
	      struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset,
		  off_t length, struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
	      struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			struct fuse_file_info *fi_in, fuse_ino_t ino_out,
			off_t off_out, struct fuse_file_info *fi_out,
			size_t length, int flags);

#endif
