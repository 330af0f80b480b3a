/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Cutting a mount off from its daemon, for good: who waits for an answer gets
 * an error instead.
 *
 * The kernel does so when /dev/fuse is closed. With io=cached threads of the
 * daemon, and chargers, wait for pages of the mount, which the daemon itself
 * is to read. If it is killed meanwhile, they wait on, where no signal reaches
 * them, and keep /dev/fuse open: so it would stay for ever (Linux 6.18).
 */
#ifndef MEMCGFS_CUTOFF_H
#define MEMCGFS_CUTOFF_H

#include <sys/types.h>

/*
 * Cuts off what is mounted there, if it is of that device; it stays mounted.
 * 0; -ENODEV: it isn't there; -EPERM: this process may not.
 */
int cutoff(const char *mountpoint, dev_t device);

#endif
