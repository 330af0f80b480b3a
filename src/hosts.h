/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All hosts of a mount, one per target, and the bindings of rules to them.
 * Both are made when they are first asked for and stay until the mount ends:
 * there are few, however many files there are, so that an inode carries a
 * plain pointer, and I/O counts no references.
 */
#ifndef MEMCGFS_HOSTS_H
#define MEMCGFS_HOSTS_H

#include "host.h"
#include "policy.h"

struct hosts;

/* A rule, and who serves it. Bindings of equal rules are the same object. */
struct binding {
	struct policy_rule rule; /* its target is the one asked for */
	struct host *host; /* NULL: nothing is enforced */
};

/* @path and @is_lazy are set for each host. */
int hosts_new(const struct host_config *config, struct hosts **out);

/* Ends all chargers; nobody may use a binding any more. */
struct hosts *hosts_free(struct hosts *hosts);

/*
 * The binding of a rule, whose target is as a user writes it. A target that
 * is new is looked for, and given a charger, here, or, if it @is_lazy, when
 * it is first needed. Errors: -EINVAL: no path of a cgroup; else those of
 * host_new().
 */
int hosts_bind(struct hosts *hosts, const struct policy_rule *rule,
	       bool is_lazy, const struct binding **out);

/* Calls @fn for each host there is. */
void hosts_each(struct hosts *hosts,
		void (*fn)(struct host *host, void *userdata), void *userdata);

#endif
