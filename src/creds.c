// SPDX-License-Identifier: GPL-2.0-or-later
/* On whose behalf a thread acts; see creds.h. */
#include "creds.h"

#include "util.h"

#include <linux/capability.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* What changing fsuid takes away, and creating in any directory needs. */
#define KEPT_CAPS                                                         \
	(CREDS_MASK(CAP_DAC_OVERRIDE) | CREDS_MASK(CAP_DAC_READ_SEARCH) | \
	 CREDS_MASK(CAP_FOWNER) | CREDS_MASK(CAP_MKNOD))

/* A thread's own umask is only its own after unshare(CLONE_FS). */
static __thread bool has_own_umask;
static __thread mode_t current_umask;
static __thread bool has_groups;
static __thread bool is_switched;

/* A new thread has what the one that made it had then. */
static __thread enum { UNKNOWN, LOWERED, RAISED } fsetid;

static bool set_effective(unsigned int raise, unsigned int lower)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &head, caps) < 0)
		return false;
	caps[0].effective |= caps[0].permitted & raise;
	caps[0].effective &= ~lower;
	return syscall(SYS_capset, &head, caps) == 0;
}

bool creds_have(unsigned int mask)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct caps[2];

	return syscall(SYS_capget, &head, caps) == 0 &&
	       (caps[0].effective & mask) == mask;
}

bool creds_are_without(pid_t tid, unsigned int mask)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
		.pid = tid,
	};
	struct __user_cap_data_struct caps[2];

	return tid > 0 && syscall(SYS_capget, &head, caps) == 0 &&
	       (caps[0].effective & mask) != mask;
}

bool creds_can_switch(void)
{
	return creds_have(CREDS_MASK(CAP_SETUID) | CREDS_MASK(CAP_SETGID) |
			  CREDS_MASK(CAP_DAC_OVERRIDE));
}

int creds_set_umask(mode_t mask)
{
	if (!has_own_umask) {
		if (unshare(CLONE_FS) < 0)
			return -errno;
		has_own_umask = true;
		current_umask = umask(mask);
	}
	if (current_umask != mask)
		umask(mask);
	current_umask = mask;
	return 0;
}

int creds_assume(const struct caller *caller)
{
	if (!caller->uid && !caller->gid && !caller->n_groups)
		return 0;
	if (caller->n_groups) {
		if (syscall(SYS_setgroups, caller->n_groups, caller->groups) <
		    0)
			return -errno;
		has_groups = true;
	}
	is_switched = true;
	syscall(SYS_setfsgid, caller->gid);
	syscall(SYS_setfsuid, caller->uid);
	if (caller->uid) {
		set_effective(KEPT_CAPS, CREDS_MASK(CAP_FSETID));
		fsetid = LOWERED;
	}
	return 0;
}

/* With an fsuid that isn't 0 the kernel takes all rights over files away. */
int creds_assume_rights(const struct caller *caller)
{
	if (caller->uid == geteuid())
		return 0;
	if (!creds_can_switch() ||
	    syscall(SYS_setgroups, caller->n_groups, caller->groups) < 0)
		return -EPERM;
	has_groups = caller->n_groups > 0;
	is_switched = true;
	syscall(SYS_setfsgid, caller->gid);
	syscall(SYS_setfsuid, caller->uid);
	fsetid = LOWERED;
	/* It tells of no failure; one that can't be says what there was. */
	if ((uid_t)syscall(SYS_setfsuid, -1) != caller->uid) {
		creds_restore();
		return -EPERM;
	}
	return 0;
}

void creds_restore(void)
{
	if (has_groups)
		syscall(SYS_setgroups, 0, NULL);
	has_groups = false;
	if (!is_switched)
		return;
	is_switched = false;
	/*
	 * The kernel gives an fsuid that becomes 0 its filesystem
	 * capabilities back.
	 */
	if (syscall(SYS_setfsuid, geteuid()) != 0)
		fsetid = RAISED;
	syscall(SYS_setfsgid, getegid());
}

void creds_keep_suid(bool keep)
{
	unsigned int mask = CREDS_MASK(CAP_FSETID);

	if (fsetid == (keep ? RAISED : LOWERED))
		return;
	if (set_effective(keep ? mask : 0, keep ? 0 : mask))
		fsetid = keep ? RAISED : LOWERED;
}

int creds_limit(unsigned int mask)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &head, caps) < 0)
		return -errno;
	caps[0] = (struct __user_cap_data_struct){
		.effective = caps[0].effective & mask,
		.permitted = caps[0].permitted & mask,
	};
	caps[1] = (struct __user_cap_data_struct){ 0 };
	return syscall(SYS_capset, &head, caps) < 0 ? -errno : 0;
}
