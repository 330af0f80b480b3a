/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * "mount -o remount,..." of a mount that is there: mount(8) leaves it to the
 * program that mounted, with all options that the mount has and "remount"
 * among them. What can be changed is the kernel's to change: "ro", "nosuid"
 * and the like; the daemon isn't told, and the rest stays as it is.
 */
#ifndef MEMCGFS_REMOUNT_H
#define MEMCGFS_REMOUNT_H

#include <stdbool.h>

/* Whether an argument of this command line asks for it. */
bool remount_is_asked(int argc, char **argv);

/* Does it, and logs what is wrong. 0 or -errno. */
int remount(int argc, char **argv);

#endif
