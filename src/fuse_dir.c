// SPDX-License-Identifier: GPL-2.0-or-later
/* The FUSE front end: names and directories. */
#include "fuse_priv.h"

#include "util.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Replies, if it is there: 0; else -errno, and there is no reply yet. */
static int reply_lookup(fuse_req_t req, struct inode *parent, const char *name)
{
	struct fuse_front *front = front_of(req);
	struct fuse_entry_param entry;
	struct inode *inode;
	struct stat st;
	int r;

	r = front_lookup(front, parent, name, &inode, &st);
	if (r < 0)
		return r;
	front_fill_entry(front, inode, &st, &entry);
	/* A reply that the kernel no longer wants leaves no reference. */
	if (fuse_reply_entry(req, &entry) == -ENOENT)
		inode_forget(front->table, inode, 1);
	return 0;
}

/* To a lookup alone: who makes a name expects one. */
static void reply_miss(fuse_req_t req)
{
	struct scanners_caller caller = front_caller(req);
	struct fuse_front *front = front_of(req);
	struct fuse_entry_param none = {
		.entry_timeout = front->config.negative_timeout,
	};

	scanners_note_miss(front->scanners, &caller);
	if (none.entry_timeout > 0)
		fuse_reply_entry(req, &none);
	else
		fuse_reply_err(req, ENOENT);
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	int r = reply_lookup(req, front_inode(front_of(req), parent), name);

	if (r == -ENOENT)
		reply_miss(req);
	else if (r < 0)
		fuse_reply_err(req, -r);
}

static void forget_one(struct fuse_front *front, fuse_ino_t ino,
		       uint64_t nlookup)
{
	if (ino != FUSE_ROOT_ID)
		inode_forget(front->table, front_inode(front, ino), nlookup);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	forget_one(front_of(req), ino, nlookup);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count,
		     struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget_one(front_of(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

/* -- making -- */

/* What is to be made under a name, by one of three system calls. */
struct new_object {
	mode_t mode;
	dev_t rdev;
	const char *target; /* of a symbolic link */
};

static int make_object(int dir_fd, const char *name,
		       const struct new_object *object)
{
	int r;

	if (object->target)
		r = symlinkat(object->target, dir_fd, name);
	else if (S_ISDIR(object->mode))
		r = mkdirat(dir_fd, name, object->mode);
	else
		r = mknodat(dir_fd, name, object->mode, object->rdev);
	return r < 0 ? -errno : 0;
}

static void make_and_reply(fuse_req_t req, fuse_ino_t parent, const char *name,
			   const struct new_object *object)
{
	struct fuse_front *front = front_of(req);
	struct inode *dir = front_inode(front, parent);
	int dir_fd, r;

	dir_fd = inode_fd_get(front->table, dir);
	if (dir_fd < 0) {
		fuse_reply_err(req, -dir_fd);
		return;
	}
	r = front_assume_caller(req, object->mode & S_ISGID);
	if (r == 0)
		r = make_object(dir_fd, name, object);
	creds_restore();
	inode_fd_put(front->table, dir);
	if (r == 0)
		r = reply_lookup(req, dir, name);
	if (r < 0)
		fuse_reply_err(req, -r);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	      dev_t rdev)
{
	struct new_object object = { .mode = mode, .rdev = rdev };

	make_and_reply(req, parent, name, &object);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct new_object object = { .mode = mode | S_IFDIR };

	make_and_reply(req, parent, name, &object);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		const char *name)
{
	struct new_object object = { .target = target };

	make_and_reply(req, parent, name, &object);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent,
	     const char *newname)
{
	struct fuse_front *front = front_of(req);
	struct inode *inode = front_inode(front, ino);
	struct inode *dir = front_inode(front, newparent);
	char path[PROC_FD_MAX];
	int dir_fd, fd;
	int r = 0;

	fd = inode_fd_get(front->table, inode);
	dir_fd = inode_fd_get(front->table, dir);
	if (fd < 0 || dir_fd < 0)
		r = fd < 0 ? fd : dir_fd;
	else if (linkat(AT_FDCWD, proc_fd_path(path, fd), dir_fd, newname,
			AT_SYMLINK_FOLLOW) < 0)
		r = -errno;
	if (dir_fd >= 0)
		inode_fd_put(front->table, dir);
	if (fd >= 0)
		inode_fd_put(front->table, inode);
	if (r == 0) {
		front_note_change(front, newname);
		r = reply_lookup(req, dir, newname);
	}
	if (r < 0)
		fuse_reply_err(req, -r);
}

/* -- removing -- */

/* A name that is about to go, and the inode behind it. */
struct victim {
	struct fuse_front *front;
	struct inode *inode; /* NULL: the kernel doesn't know it */
	bool is_last; /* of its names */
};

/* An idle backing is dropped, so that the file's space is freed. */
static struct victim victim_get(struct fuse_front *front, struct inode *dir,
				const char *name)
{
	struct victim victim = { .front = front };

	victim.inode =
		inode_find_victim(front->table, dir, name, &victim.is_last);
	if (victim.inode && victim.is_last) {
		charge_unpin(front->charge, victim.inode);
		scanners_let_go(front->scanners, victim.inode);
		backing_drop_idle(front->table, victim.inode);
	}
	return victim;
}

/* @r is what became of the removal. */
static void victim_put(const struct victim *victim, int r)
{
	if (!victim->inode)
		return;
	if (r < 0 && victim->is_last)
		inode_fd_unpin(victim->front->table, victim->inode);
	inode_forget(victim->front->table, victim->inode, 1);
}

static void remove_and_reply(fuse_req_t req, fuse_ino_t parent,
			     const char *name, int flags)
{
	struct fuse_front *front = front_of(req);
	struct inode *dir = front_inode(front, parent);
	struct victim victim;
	int dir_fd;
	int r = 0;

	victim = victim_get(front, dir, name);
	dir_fd = inode_fd_get(front->table, dir);
	if (dir_fd < 0) {
		r = dir_fd;
	} else {
		if (unlinkat(dir_fd, name, flags) < 0)
			r = -errno;
		inode_fd_put(front->table, dir);
	}
	victim_put(&victim, r);
	front_note_change(front, name);
	fuse_reply_err(req, -r);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_and_reply(req, parent, name, 0);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_and_reply(req, parent, name, AT_REMOVEDIR);
}

/*
 * The client's kernel moves what it knows of a name without asking: so it is
 * looked up here, that it has the rules of its new place.
 */
static void note_place(struct fuse_front *front, struct inode *dir,
		       const char *name)
{
	struct inode *inode;
	struct stat st;

	front_note_change(front, name);
	if (front_lookup(front, dir, name, &inode, &st) < 0)
		return;
	/* With all that is below it. */
	if (S_ISDIR(st.st_mode))
		rulebook_touch(front->book);
	inode_forget(front->table, inode, 1);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
	       fuse_ino_t newparent, const char *newname, unsigned int flags)
{
	struct fuse_front *front = front_of(req);
	struct inode *dir = front_inode(front, parent);
	struct inode *newdir = front_inode(front, newparent);
	struct victim victim = { .front = front };
	int dir_fd, newdir_fd;
	int r = 0;

	/* What is left behind belongs to the caller. */
	if (flags & RENAME_WHITEOUT)
		r = front_assume_caller(req, false);
	if (!(flags & (RENAME_EXCHANGE | RENAME_NOREPLACE)))
		victim = victim_get(front, newdir, newname);
	dir_fd = inode_fd_get(front->table, dir);
	newdir_fd = inode_fd_get(front->table, newdir);
	if (dir_fd < 0 || newdir_fd < 0)
		r = dir_fd < 0 ? dir_fd : newdir_fd;
	if (r == 0 && renameat2(dir_fd, name, newdir_fd, newname, flags) < 0)
		r = -errno;
	creds_restore();
	if (newdir_fd >= 0)
		inode_fd_put(front->table, newdir);
	if (dir_fd >= 0)
		inode_fd_put(front->table, dir);
	victim_put(&victim, r);
	if (r == 0) {
		note_place(front, newdir, newname);
		note_place(front, dir, name);
	}
	fuse_reply_err(req, -r);
}

/* -- reading directories -- */

/* An open directory; the kernel makes one call on it at a time. */
struct dir {
	DIR *stream;
	off_t offset; /* of the next entry */
	struct dirent *pending; /* read, but it didn't fit the last reply */
	/* Names of files that were read from the start on, for those who look
	 * for scanners; DIR_LOST: not from there, or not in one go. */
	uint32_t listed;
};

#define DIR_LOST UINT32_MAX

static struct dir *dir_of(const struct fuse_file_info *fi)
{
	return (struct dir *)(uintptr_t)fi->fh;
}

static int dir_open(struct fuse_front *front, struct inode *inode,
		    struct dir **out)
{
	cleanup_close int fd = -1;
	struct dir *dir;

	fd = inode_open(front->table, inode, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	dir = calloc(1, sizeof(*dir));
	if (!dir)
		return -ENOMEM;
	dir->stream = fdopendir(fd);
	if (!dir->stream) {
		free(dir);
		return -errno;
	}
	steal_fd(&fd);
	*out = dir;
	return 0;
}

static void dir_close(struct dir *dir)
{
	closedir(dir->stream);
	free(dir);
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fuse_front *front = front_of(req);
	struct inode *inode = front_inode(front, ino);
	struct scanners_caller caller = front_caller(req);
	struct dir *dir = NULL;
	int r;

	r = dir_open(front, inode, &dir);
	if (r < 0) {
		fuse_reply_err(req, -r);
		return;
	}
	fi->fh = (uintptr_t)dir;
	/* Kept as long as the directory's mtime is: see attr_timeout. */
	fi->cache_readdir = 1;
	fi->keep_cache = scanners_open_dir(front->scanners, &caller, inode);
	if (fuse_reply_open(req, fi) == -ENOENT)
		dir_close(dir);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	dir_close(dir_of(fi));
	fuse_reply_err(req, 0);
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
		 struct fuse_file_info *fi)
{
	struct fuse_front *front = front_of(req);
	cleanup_close int own = -1;
	int fd, r;

	if (!fi->fh)
		own = inode_open(front->table, front_inode(front, ino),
				 O_RDONLY | O_DIRECTORY);
	fd = fi->fh ? dirfd(dir_of(fi)->stream) : own;
	if (fd < 0) {
		fuse_reply_err(req, -fd);
		return;
	}
	r = datasync ? fdatasync(fd) : fsync(fd);
	fuse_reply_err(req, r < 0 ? errno : 0);
}

/* The next entry without taking it; NULL with errno 0: the end. */
static struct dirent *dir_peek(struct dir *dir)
{
	errno = 0;
	if (!dir->pending)
		dir->pending = readdir(dir->stream);
	return dir->pending;
}

static void dir_seek(struct dir *dir, off_t offset)
{
	if (offset == dir->offset)
		return;
	seekdir(dir->stream, offset);
	dir->offset = offset;
	dir->pending = NULL;
	dir->listed = offset ? DIR_LOST : 0;
}

/* A reply as it is being filled. */
struct listing {
	fuse_req_t req;
	struct fuse_front *front;
	struct inode *inode;
	bool plus;
	char *buf;
	size_t size;
	size_t used;
	/* Those in it, for those who look for scanners; or NULL. */
	struct listings_file *files;
	uint32_t n_files;
};

/* Of the smallest entry in a reply, its name included. */
#define ENTRY_MIN_BYTES 32

static bool is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/*
 * What is told of an entry besides its name. One that is gone by now, and
 * the dots, are told without an inode.
 */
static struct inode *entry_look(const struct listing *listing,
				const struct dirent *entry,
				struct fuse_entry_param *param)
{
	struct inode *inode;
	struct stat st;

	*param = (struct fuse_entry_param){
		.attr.st_mode = (mode_t)DTTOIF(entry->d_type),
		.attr.st_ino = inode_number(listing->inode, entry->d_ino),
	};
	if (!listing->plus || is_dot(entry->d_name) ||
	    front_lookup(listing->front, listing->inode, entry->d_name, &inode,
			 &st) < 0)
		return NULL;
	front_fill_entry(listing->front, inode, &st, param);
	return inode;
}

/* False: it doesn't fit. */
static bool listing_add(struct listing *listing, const struct dirent *entry)
{
	char *at = listing->buf + listing->used;
	size_t left = listing->size - listing->used;
	struct fuse_entry_param param;
	struct inode *inode;
	size_t needed;

	inode = entry_look(listing, entry, &param);
	needed = listing->plus ? fuse_add_direntry_plus(listing->req, at, left,
							entry->d_name, &param,
							entry->d_off) :
				 fuse_add_direntry(listing->req, at, left,
						   entry->d_name, &param.attr,
						   entry->d_off);
	if (needed > left) {
		if (inode)
			inode_forget(listing->front->table, inode, 1);
		return false;
	}
	listing->used += needed;
	if (listing->files &&
	    (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN))
		listing->files[listing->n_files++] = (struct listings_file){
			.ino = (uint32_t)entry->d_ino,
			.name = listings_name(entry->d_name),
		};
	return true;
}

/* What was listed now continues what was listed before. */
static void tell_scanners(const struct listing *listing, struct dir *dir,
			  bool is_end)
{
	if (!listing->files || dir->listed == DIR_LOST)
		return;
	scanners_list(listing->front->scanners, listing->inode, dir->listed,
		      listing->files, listing->n_files, is_end);
	dir->listed += listing->n_files;
}

static void list_and_reply(struct listing *listing, struct dir *dir,
			   off_t offset)
{
	cleanup_free char *buf = malloc(listing->size);
	cleanup_free struct listings_file *files =
		calloc(listing->size / ENTRY_MIN_BYTES + 1, sizeof(*files));
	struct dirent *entry;
	int r;

	if (!buf) {
		fuse_reply_err(listing->req, ENOMEM);
		return;
	}
	listing->buf = buf;
	listing->files = files;
	dir_seek(dir, offset);
	while ((entry = dir_peek(dir)) && listing_add(listing, entry)) {
		dir->offset = entry->d_off;
		dir->pending = NULL;
	}
	r = entry ? 0 : errno;
	tell_scanners(listing, dir, !entry && !r);
	if (r && !listing->used)
		fuse_reply_err(listing->req, r);
	else
		fuse_reply_buf(listing->req, buf, listing->used);
}

static void list_inode(struct listing *listing, fuse_ino_t ino,
		       const struct fuse_file_info *fi, off_t offset)
{
	struct scanners_caller caller = front_caller(listing->req);
	struct dir *dir = dir_of(fi);
	int r = 0;

	listing->front = front_of(listing->req);
	listing->inode = front_inode(listing->front, ino);
	/* Opens of directories are no messages of io=cached. */
	if (!fi->fh && offset == 0)
		scanners_note_dir(listing->front->scanners, &caller,
				  listing->inode);
	if (!fi->fh)
		r = dir_open(listing->front, listing->inode, &dir);
	if (r < 0)
		fuse_reply_err(listing->req, -r);
	else
		list_and_reply(listing, dir, offset);
	if (!fi->fh && r == 0)
		dir_close(dir);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		struct fuse_file_info *fi)
{
	struct listing listing = { .req = req, .size = size };

	list_inode(&listing, ino, fi, offset);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	struct listing listing = { .req = req, .size = size, .plus = true };

	list_inode(&listing, ino, fi, offset);
}
