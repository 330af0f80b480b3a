/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Backing files of the kernel's FUSE passthrough (Linux 6.9): a file that is
 * registered with the connection is read, written and mapped by the client's
 * kernel without a message to the daemon.
 *
 * The kernel writes with the credentials that the file was registered with:
 * it is done without CAP_FSETID, so that a write clears suid and sgid bits.
 */
#ifndef MEMCGFS_PASSTHROUGH_H
#define MEMCGFS_PASSTHROUGH_H

/*
 * Why files can't pass through here, as far as that is known without a mount;
 * NULL: they can, unless the kernel was built without it.
 */
const char *passthrough_why_not(void);

/*
 * Registers the file behind @fd with the FUSE connection behind @fuse_fd.
 * Gives an id (> 0) or -errno: -EPERM without CAP_SYS_ADMIN in the initial
 * user namespace, -ELOOP for a file on too deep a stack of filesystems.
 */
int passthrough_register(int fuse_fd, int fd);

void passthrough_unregister(int fuse_fd, int id);

#endif
