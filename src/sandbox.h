/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon and its chargers may still do. A charger has the daemon's
 * fds, and lives where others can reach it: it keeps the few capabilities that
 * its calls need, and a filter (libseccomp) of the few system calls that they
 * make.
 */
#ifndef MEMCGFS_SANDBOX_H
#define MEMCGFS_SANDBOX_H

/*
 * Before there are threads, the daemon: gives up what none of its clients can
 * have it do; the right to exceed quotas among it.
 */
int sandbox_drop_daemon_capabilities(void);

/*
 * Before there are threads, a charger, and the spawner that makes them:
 * likewise. 0 or -errno.
 */
int sandbox_drop_charger_capabilities(void);

/*
 * From here on, all threads: of write(2) only that to @procs_fd is left,
 * which enters the host. 0, or -errno: this kernel has no filters, say.
 */
int sandbox_filter_calls(int procs_fd);

#endif
