// SPDX-License-Identifier: GPL-2.0-or-later
/* The FUSE front end: attributes, extended ones, and what else an inode has. */
#include "fuse_priv.h"

#include "util.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

/* The inode's fd for metadata: that of an open file, or an O_PATH one. */
struct meta_fd {
	struct fuse_front *front;
	struct inode *inode; /* NULL: the fd is the file's */
	int fd; /* or -errno */
};

#define cleanup_meta __attribute__((cleanup(meta_fd_put)))

static struct meta_fd meta_fd_get(fuse_req_t req, fuse_ino_t ino,
				  const struct fuse_file_info *fi)
{
	struct meta_fd meta = { .front = front_of(req) };

	/* Files of io=cached have no handle. */
	if (fi && fi->fh && S_ISREG(front_inode(meta.front, ino)->type)) {
		struct charge_file file = file_of(meta.front, fi);

		meta.fd = charge_file_fd(&file);
		return meta;
	}
	meta.inode = front_inode(meta.front, ino);
	meta.fd = inode_fd_get(meta.front->table, meta.inode);
	return meta;
}

static void meta_fd_put(struct meta_fd *meta)
{
	if (meta->inode && meta->fd >= 0)
		inode_fd_put(meta->front->table, meta->inode);
}

static void reply_attr(fuse_req_t req, struct inode *inode, int fd)
{
	double timeout;
	struct stat st;

	if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	timeout = front_show_attr(front_of(req), inode, &st);
	fuse_reply_attr(req, &st, timeout);
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	cleanup_meta struct meta_fd meta = meta_fd_get(req, ino, fi);

	if (meta.fd < 0)
		fuse_reply_err(req, -meta.fd);
	else
		reply_attr(req, front_inode(meta.front, ino), meta.fd);
}

void op_statx(fuse_req_t req, fuse_ino_t ino, int flags, int mask,
	      struct fuse_file_info *fi)
{
	cleanup_meta struct meta_fd meta = meta_fd_get(req, ino, fi);
	struct inode *inode = front_inode(meta.front, ino);
	struct statx stx;
	struct stat st;
	double timeout;

	if (meta.fd < 0) {
		fuse_reply_err(req, -meta.fd);
		return;
	}
	if (statx(meta.fd, "", flags | AT_EMPTY_PATH,
		  (unsigned int)mask | STATX_BASIC_STATS, &stx) < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	st.st_mode = stx.stx_mode;
	st.st_size = (off_t)stx.stx_size;
	st.st_mtim.tv_sec = stx.stx_mtime.tv_sec;
	st.st_mtim.tv_nsec = stx.stx_mtime.tv_nsec;
	st.st_ino = stx.stx_ino;
	timeout = front_show_attr(meta.front, inode, &st);
	stx.stx_ino = st.st_ino;
	fuse_reply_statx(req, 0, &stx, timeout);
}

/* -- setattr -- */

static int set_mode(int fd, mode_t mode)
{
	char path[PROC_FD_MAX];

	creds_keep_suid(true);
	return chmod(proc_fd_path(path, fd), mode) < 0 ? -errno : 0;
}

/*
 * By the owner himself, where he is no user of rights: the kernel then
 * decides of the sgid bit by his groups.
 */
static int set_owner(fuse_req_t req, int fd, const struct stat *attr,
		     int to_set)
{
	uid_t uid = to_set & FUSE_SET_ATTR_UID ? attr->st_uid : (uid_t)-1;
	gid_t gid = to_set & FUSE_SET_ATTR_GID ? attr->st_gid : (gid_t)-1;
	bool as_caller = uid == (uid_t)-1 && fuse_req_ctx(req)->uid;
	int r = 0;

	creds_keep_suid(true);
	if (as_caller)
		r = front_assume_caller(req, true);
	if (r == 0 && fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
		r = -errno;
	if (as_caller)
		creds_restore();
	return r;
}

/*
 * Nothing is set: by chown(2) to nobody and no group, which moves the ctime,
 * and clears suid and sgid if the owner makes it; or ahead of a fallocate(2),
 * which may be anybody's, and clears them itself.
 */
static int keep_owner(fuse_req_t req, int fd)
{
	uid_t caller = fuse_req_ctx(req)->uid;
	struct stat st;

	if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
		return -errno;
	if (caller && caller != st.st_uid && !S_ISDIR(st.st_mode) &&
	    st.st_mode & (S_ISUID | S_ISGID))
		return 0;
	return set_owner(req, fd, &st, 0);
}

static struct timespec time_to_set(int to_set, int set, int now,
				   struct timespec value)
{
	if (to_set & now)
		value.tv_nsec = UTIME_NOW;
	else if (!(to_set & set))
		value.tv_nsec = UTIME_OMIT;
	return value;
}

static int set_times(int fd, const struct stat *attr, int to_set)
{
	struct timespec times[2] = {
		time_to_set(to_set, FUSE_SET_ATTR_ATIME,
			    FUSE_SET_ATTR_ATIME_NOW, attr->st_atim),
		time_to_set(to_set, FUSE_SET_ATTR_MTIME,
			    FUSE_SET_ATTR_MTIME_NOW, attr->st_mtim),
	};

	return utimensat(fd, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

int file_set_size(struct fuse_front *front, const struct job *job)
{
	struct charge_file file = file_of(front, &job->fi);

	return charge_truncate(front->charge, job->inode,
			       job->setattr.has_fi ? &file : NULL,
			       (uint64_t)job->setattr.attr.st_size,
			       job->setattr.to_set & FUSE_SET_ATTR_KILL_SUID);
}

static int set_attr(struct fuse_front *front, struct job *job, int fd)
{
	const struct stat *attr = &job->setattr.attr;
	int to_set = job->setattr.to_set;
	int r = 0;

	if (!to_set)
		r = keep_owner(job->req, fd);
	if (to_set & FUSE_SET_ATTR_MODE)
		r = set_mode(fd, attr->st_mode);
	if (r == 0 && to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		r = set_owner(job->req, fd, attr, to_set);
	if (r == 0 && to_set & FUSE_SET_ATTR_SIZE)
		r = front->set_size(front, job);
	if (r == 0 &&
	    to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME |
		      FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW))
		r = set_times(fd, attr, to_set);
	return r;
}

static void run_setattr(struct fuse_front *front, struct job *job)
{
	int fd = inode_fd_get(front->table, job->inode);
	int r;

	if (fd < 0) {
		fuse_reply_err(job->req, -fd);
		return;
	}
	r = set_attr(front, job, fd);
	if (r < 0)
		fuse_reply_err(job->req, -r);
	else
		reply_attr(job->req, job->inode, fd);
	inode_fd_put(front->table, job->inode);
}

/*
 * Who lists a directory moves the time that is set now, unless he is shown what
 * the client's kernel keeps.
 */
static void let_listing_go(struct fuse_front *front, fuse_ino_t ino, int to_set)
{
	if (S_ISDIR(front_inode(front, ino)->type) &&
	    to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW))
		fuse_lowlevel_notify_inval_inode(front->session, ino, 0, 0);
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi)
{
	struct job job = {
		.req = req,
		.inode = front_inode(front_of(req), ino),
		.run = run_setattr,
		.setattr = {
			.attr = *attr,
			.to_set = to_set,
			.has_fi = fi,
		},
	};

	if (fi)
		job.fi = *fi;
	let_listing_go(front_of(req), ino, to_set);
	if (!(to_set & FUSE_SET_ATTR_SIZE)) {
		run_setattr(front_of(req), &job);
		return;
	}
	if (!fi)
		rulebook_refresh(front_of(req)->book, job.inode);
	front_dispatch(&job);
}

/* -- links and filesystems -- */

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	cleanup_meta struct meta_fd meta = meta_fd_get(req, ino, NULL);
	char target[PATH_MAX + 1];
	ssize_t n;

	if (meta.fd < 0) {
		fuse_reply_err(req, -meta.fd);
		return;
	}
	n = readlinkat(meta.fd, "", target, PATH_MAX);
	if (n < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	target[n] = '\0';
	fuse_reply_readlink(req, target);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	cleanup_meta struct meta_fd meta = meta_fd_get(req, ino, NULL);
	struct statvfs fs;

	if (meta.fd < 0)
		fuse_reply_err(req, -meta.fd);
	else if (fstatvfs(meta.fd, &fs) < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_statfs(req, &fs);
}

/* -- extended attributes -- */

static void get_xattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		      size_t size)
{
	cleanup_meta struct meta_fd meta = meta_fd_get(req, ino, NULL);
	cleanup_free char *value = NULL;
	char path[PROC_FD_MAX];
	ssize_t n;

	if (meta.fd < 0) {
		fuse_reply_err(req, -meta.fd);
		return;
	}
	value = malloc(size ? size : 1);
	if (!value) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	n = getxattr(proc_fd_path(path, meta.fd), name, value, size);
	if (n < 0)
		fuse_reply_err(req, errno);
	else if (!size)
		fuse_reply_xattr(req, (size_t)n);
	else
		fuse_reply_buf(req, value, (size_t)n);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	if (xattr_is_virtual(name))
		xattr_get_virtual(req, ino, name, size);
	else
		get_xattr(req, ino, name, size);
}

/* Root in a container may have been left without the right to. */
static bool sees_trusted(fuse_req_t req)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);

	return !ctx->uid &&
	       !creds_are_without(ctx->pid, CREDS_MASK(CAP_SYS_ADMIN));
}

/*
 * Takes out the names that only the privileged see listed natively, and those
 * which the files below have though they are memcgfs' own.
 */
static size_t hide_names(fuse_req_t req, char *names, size_t size)
{
	static const char trusted[] = "trusted.";
	size_t kept = 0;
	size_t len;

	for (size_t at = 0; at < size; at += len) {
		len = strlen(names + at) + 1;
		if (xattr_is_virtual(names + at) ||
		    (strncmp(names + at, trusted, strlen(trusted)) == 0 &&
		     !sees_trusted(req)))
			continue;
		memmove(names + kept, names + at, len);
		kept += len;
	}
	return kept;
}

/* The list in full (it is at most XATTR_LIST_MAX), as the caller sees it. */
static ssize_t list_names(fuse_req_t req, int fd, char **names)
{
	char path[PROC_FD_MAX];
	ssize_t n;

	*names = malloc(XATTR_LIST_MAX);
	if (!*names)
		return -ENOMEM;
	n = listxattr(proc_fd_path(path, fd), *names, XATTR_LIST_MAX);
	if (n < 0)
		return -errno;
	return (ssize_t)hide_names(req, *names, (size_t)n);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	cleanup_meta struct meta_fd meta = meta_fd_get(req, ino, NULL);
	cleanup_free char *names = NULL;
	ssize_t n = meta.fd;

	if (n >= 0)
		n = list_names(req, meta.fd, &names);
	if (n < 0)
		fuse_reply_err(req, (int)-n);
	else if (!size)
		fuse_reply_xattr(req, (size_t)n);
	else if ((size_t)n > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, names, (size_t)n);
}

static void set_xattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		      const char *value, size_t size, int flags)
{
	cleanup_meta struct meta_fd meta = meta_fd_get(req, ino, NULL);
	bool is_acl = strncmp(name, "system.posix_acl_", 17) == 0;
	bool as_caller = is_acl && fuse_req_ctx(req)->uid;
	char path[PROC_FD_MAX];
	int r = meta.fd;

	proc_fd_path(path, meta.fd);
	/* An ACL may take the sgid bit along, by the caller's groups. */
	creds_keep_suid(true);
	if (r >= 0 && as_caller)
		r = front_assume_caller(req, true);
	if (r >= 0 && setxattr(path, name, value, size, flags) < 0)
		r = -errno;
	if (as_caller)
		creds_restore();
	fuse_reply_err(req, r < 0 ? -r : 0);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		 const char *value, size_t size, int flags)
{
	if (xattr_is_virtual(name))
		xattr_set_virtual(req, ino, name);
	else
		set_xattr(req, ino, name, value, size, flags);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	cleanup_meta struct meta_fd meta = meta_fd_get(req, ino, NULL);
	char path[PROC_FD_MAX];
	int r = xattr_is_virtual(name) ? -EOPNOTSUPP : meta.fd;

	if (r >= 0 && removexattr(proc_fd_path(path, meta.fd), name) < 0)
		r = -errno;
	fuse_reply_err(req, r < 0 ? -r : 0);
}

/* -- ioctl -- */

/* Those that touch an inode's attributes alone, and their sizes. */
static const struct safe_ioctl {
	unsigned int cmd;
	size_t in_size;
	size_t out_size;
} safe_ioctls[] = {
	{ FS_IOC_GETFLAGS, 0, sizeof(int) },
	{ FS_IOC_SETFLAGS, sizeof(int), 0 },
	{ FS_IOC_GETVERSION, 0, sizeof(int) },
	{ FS_IOC_FSGETXATTR, 0, sizeof(struct fsxattr) },
	{ FS_IOC_FSSETXATTR, sizeof(struct fsxattr), 0 },
};

static const struct safe_ioctl *find_ioctl(unsigned int cmd, size_t in_size,
					   size_t out_size)
{
	for (size_t i = 0; i < ARRAY_SIZE(safe_ioctls); i++)
		if (safe_ioctls[i].cmd == cmd &&
		    safe_ioctls[i].in_size <= in_size &&
		    safe_ioctls[i].out_size <= out_size)
			return &safe_ioctls[i];
	return NULL;
}

void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned int cmd, void *arg,
	      struct fuse_file_info *fi, unsigned int flags, const void *in_buf,
	      size_t in_size, size_t out_size)
{
	struct fuse_front *front = front_of(req);
	struct inode *inode = front_inode(front, ino);
	union {
		int word;
		struct fsxattr fsx;
	} value = { 0 };
	const struct safe_ioctl *known;
	cleanup_close int fd = -1;
	int r;

	(void)arg;
	(void)fi;
	(void)flags;
	known = find_ioctl(cmd, in_size, out_size);
	if (!known || (!S_ISREG(inode->type) && !S_ISDIR(inode->type))) {
		fuse_reply_err(req, ENOTTY);
		return;
	}
	fd = inode_open(front->table, inode, O_RDONLY | O_NONBLOCK);
	if (fd < 0) {
		fuse_reply_err(req, -fd);
		return;
	}
	if (known->in_size)
		memcpy(&value, in_buf, known->in_size);
	r = ioctl(fd, cmd, &value);
	if (r < 0) {
		fuse_reply_err(req, errno);
		return;
	}
	/*
	 * Who may write to it is to be asked again; and the client's kernel
	 * keeps the ctime, that was set along with the flags.
	 */
	if (known->in_size) {
		backing_drop_writer(front->table, inode);
		fuse_lowlevel_notify_inval_inode(front->session, ino, -1, 0);
	}
	fuse_reply_ioctl(req, r, &value, known->out_size);
}
