// SPDX-License-Identifier: GPL-2.0-or-later
/* What a client of the control socket may see; see control_priv.h. */
#include "control_priv.h"

#include "inode_place.h"
#include "util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int control_check_access(const struct control_request *request,
			 struct inode *inode, int mode)
{
	struct inode_table *table = request->config->table;
	char proc[PROC_FD_MAX];
	int fd, r;

	fd = inode_fd_get(table, inode);
	if (fd < 0)
		return fd;
	r = request->is_master ? 0 : creds_assume_rights(&request->caller);
	if (r == 0 &&
	    faccessat(AT_FDCWD, proc_fd_path(proc, fd), mode, AT_EACCESS) < 0)
		r = -errno;
	if (!request->is_master)
		creds_restore();
	inode_fd_put(table, inode);
	return r;
}

/* One step down: an inode with one lookup more in exchange for @dir's. */
static int step_down(const struct control_request *request, struct inode *dir,
		     const char *name, struct inode **out)
{
	struct inode_table *table = request->config->table;
	struct inode *next;
	struct stat st;
	int r;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	if (!S_ISDIR(dir->type))
		return -ENOTDIR;
	r = control_check_access(request, dir, X_OK);
	if (r == 0)
		r = inode_lookup(table, dir, name, &next, &st);
	if (r < 0)
		return r;
	inode_set_place(table, next, dir, name);
	inode_forget(table, dir, 1);
	*out = next;
	return 0;
}

int control_find_inode(const struct control_request *request, const char *path,
		       struct inode **out)
{
	struct inode_table *table = request->config->table;
	struct inode *inode = inode_table_root(table);
	cleanup_free char *copy = strdup(path);
	char *rest = copy;
	char *name;
	int r = copy ? 0 : -ENOMEM;

	inode_ref(table, inode);
	while (r == 0 && (name = strsep(&rest, "/")))
		if (*name)
			r = step_down(request, inode, name, &inode);
	if (r == 0 && !S_ISLNK(inode->type))
		r = control_check_access(request, inode, R_OK);
	if (r < 0)
		inode_forget(table, inode, 1);
	else
		*out = inode;
	return r;
}
