/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * On whose behalf a thread acts. The client's kernel has already checked
 * permissions (default_permissions), so a thread takes over what shows in
 * new objects (uid, gid, umask, membership of groups) and in cleared suid
 * and sgid bits, and keeps the rights it needs.
 *
 * All of it is per thread (the system calls are made raw: the C library's
 * would change every thread). An unprivileged daemon acts as itself.
 */
#ifndef MEMCGFS_CREDS_H
#define MEMCGFS_CREDS_H

#include <stddef.h>
#include <stdbool.h>
#include <sys/types.h>

struct caller {
	uid_t uid;
	gid_t gid;
	/* Supplementary groups, where they matter; else none. */
	size_t n_groups;
	const gid_t *groups;
};

/* A set of the first 32 capabilities (CAP_... of linux/capability.h). */
#define CREDS_MASK(cap) (1u << (cap))

/* Whether the thread has all of the mask, effective. */
bool creds_have(unsigned int mask);

/* Whether another thread is known not to have; of one unseen (0) nothing is. */
bool creds_are_without(pid_t tid, unsigned int mask);

/* Whether this process can act for others: asked once, at the start. */
bool creds_can_switch(void);

/*
 * From here to creds_restore() the thread creates as the caller does, whose
 * rights to it were checked, so that it keeps its own to enter directories.
 */
int creds_assume(const struct caller *caller);
void creds_restore(void);

/* Of whom no group is known, or wanted: a group that nobody is in. */
#define CREDS_NO_GROUP 65534

/*
 * From here to creds_restore() the thread may do to files what that user may,
 * and no more. -EPERM: this process can't switch,
 * or not to him, who has no number in its user namespace.
 */
int creds_assume_rights(const struct caller *caller);

/* The umask alone, of this thread alone; any process can have that. */
int creds_set_umask(mode_t mask);

/*
 * Keeps, of all capabilities, those in the mask that the process has; before
 * there are threads. 0 or -errno.
 */
int creds_limit(unsigned int mask);

/*
 * Whether what the thread writes keeps suid and sgid bits, and so does what
 * it opens, whoever writes to it by passthrough later (CAP_FSETID). A thread
 * remembers what it is set to: to say the same again costs nothing, so it
 * is said before each use, and not taken back.
 */
void creds_keep_suid(bool keep);

#endif
