/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who opens files, and directories, of the mount, where opens make no message
 * to the daemon.
 *
 * fanotify(7) tells, a few milliseconds later: an opener is delayed by 0.5 to
 * 1.2 microseconds (`make bench-fanotify`, Linux 6.18). It takes
 * CAP_SYS_ADMIN. Who has ended meanwhile isn't known any more, nor, in a storm
 * of opens, all of them. As long as an event waits to be taken the mount is
 * busy, and can only be unmounted lazily: for a millisecond or two.
 */
#ifndef MEMCGFS_USEWATCH_H
#define MEMCGFS_USEWATCH_H

#include <stdint.h>
#include <sys/types.h>

struct usewatch;

struct usewatch_config {
	/*
	 * The process @pid, or one without a number here, has opened the
	 * inode, which the kernel doesn't forget as long as this runs.
	 */
	void (*opened)(void *userdata, uint64_t nodeid, pid_t pid);
	/* There were opens that nothing is known of. */
	void (*lost)(void *userdata);
	/* Once: whether it works from now on, 0 or -errno. Or: it ended. */
	void (*told)(void *userdata, int error);
	void *userdata;
};

/*
 * Must be called while the process has one thread, which then has to live as
 * long as the daemon. 0 or -errno.
 */
int usewatch_new(const struct usewatch_config *config, struct usewatch **out);

/*
 * From here on the filesystem of that device, mounted there, is watched, and
 * the functions are called, by a thread. Doesn't wait. 0 or -errno.
 */
int usewatch_begin(struct usewatch *watch, const char *mountpoint,
		   dev_t device);

/*
 * Nothing is called any more. Where requests to the mount are no longer
 * served, the connection must have been ended before.
 */
struct usewatch *usewatch_free(struct usewatch *watch);

#endif
