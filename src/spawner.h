/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The spawner: a small process, started before the daemon has threads or
 * memory worth speaking of, that makes the chargers.
 *
 * It and the chargers are made by clone(2) with CLONE_FILES and without
 * CLONE_VM: each has its own mm, and all share one fd table, so that an fd
 * of the daemon is an fd of the charger by its number. A child of the daemon
 * itself would inherit its threads' locks in any state, and its memory.
 *
 * When the daemon dies, in whatever way, the spawner cuts off the mount, if it
 * was told to, kills the chargers, removes the cgroups that it was told to give back, and ends. When the
 * spawner dies, its chargers die with it.
 */
#ifndef MEMCGFS_SPAWNER_H
#define MEMCGFS_SPAWNER_H

#include "charger_main.h"

#include <sys/types.h>

struct spawner;

/* Must be called while the process has one thread, which then has to live
 * as long as the daemon. Returns 0 or -errno. */
int spawner_new(struct spawner **out);

/* Kills all chargers and waits for their end. */
struct spawner *spawner_free(struct spawner *spawner);

/*
 * Makes a charger. Gives its pidfd, which the caller owns, and its pid. The
 * charger may still fail to enter its host: see ring_wait_ready().
 * -ECHILD: the spawner is dead. Thread-safe.
 */
int spawner_spawn(struct spawner *spawner, const struct charger_birth *birth,
		  int *pidfd, pid_t *pid);

/* Kills a charger and waits until it is gone. */
int spawner_kill(struct spawner *spawner, pid_t pid);

/* The cgroup directory @path is to be removed if the daemon dies. */
int spawner_give_back(struct spawner *spawner, const char *path);

/* The mount is to be cut off if the daemon dies: see cutoff.h. */
int spawner_cut_off(struct spawner *spawner, const char *mountpoint,
		    dev_t device);

#endif
