// SPDX-License-Identifier: GPL-2.0-or-later
/* A session, 2: the cgroups that it charges to; see session_priv.h. */
#include "session_priv.h"

#include "log.h"
#include "residency.h"
#include "util.h"

static int explain_host_error(const struct session *session, int r)
{
	const char *memcg = session->options.memcg;

	switch (r) {
	case -ENOENT:
		log_error("memcg=%s: no such cgroup below %s (create it, or "
			  "add the option create)",
			  memcg, cgroup_tree_mountpoint(session->tree));
		return r;
	case -ENOTSUP:
		log_error("memcg=%s: the memory controller is not enabled in "
			  "this cgroup (write +memory to its parent's "
			  "cgroup.subtree_control)",
			  memcg);
		return r;
	case -ETIMEDOUT:
		log_error("memcg=%s: the charger there does not begin to "
			  "work; is the cgroup frozen?",
			  memcg);
		return r;
	case -EINVAL:
		log_error("memcg=%s: a path as in /proc/PID/cgroup is needed, "
			  "or one below %s",
			  memcg, cgroup_tree_mountpoint(session->tree));
		return r;
	case -EACCES:
	case -EPERM:
		log_error("memcg=%s: no right to put processes into this "
			  "cgroup (its cgroup.procs must be writable)",
			  memcg);
		return r;
	default:
		return log_error_errno(r,
				       "memcg=%s: cannot start a charger "
				       "there",
				       memcg);
	}
}

/* Called by a charger's supervisor; the book may not be there yet. */
static void on_lost_pins(void *userdata)
{
	struct session *session = userdata;
	struct rulebook *book = atomic_load(&session->book);

	if (book)
		rulebook_sweep(book);
}

/* The mount's own rule, and its host; rules in files come to them. */
static int start_hosts(struct session *session)
{
	const struct options *options = &session->options;
	struct host_config config = {
		.tree = session->tree,
		.spawner = session->spawner,
		.books = session->books,
		.events = session->events,
		.openers = session->openers,
		.kpagecgroup_fd = session->kpagecgroup_fd,
		.kpageflags_fd = session->kpageflags_fd,
		.arena_fd = arena_fd(session->arena),
		.create = options->create,
		.timeout_ns = (uint64_t)(options->charger_timeout * 1e9),
		.idle_ns = (uint64_t)(options->charger_idle * 1e9),
		.pin_max_bytes = options->pin_max,
		.lost_pins = on_lost_pins,
		.userdata = session,
	};
	struct policy_rule rule = {
		.target = options->memcg[0] == '@' ? NULL : options->memcg,
		.io = options->io,
		.on_error = options->on_error,
		.ahead_bytes = options->ahead_bytes,
		.scanners = options->scanners,
	};
	int r;

	r = hosts_new(&config, &session->hosts);
	if (r == 0)
		r = hosts_bind(session->hosts, &rule, false,
			       &session->fallback);
	if (r < 0)
		return explain_host_error(session, r);
	session->host = session->fallback->host;
	return 0;
}

int session_start_cgroups(struct session *session)
{
	int r;

	r = cgroup_tree_new(&session->tree);
	if (r < 0)
		return log_error_errno(r, "the memory controller is mounted "
					  "nowhere (neither cgroup v2 nor v1)");
	session->books = books_new();
	r = session->books ? openers_new(session->tree, session->books,
					 &session->openers) :
			     -ENOMEM;
	if (r < 0)
		return log_error_errno(r, "cannot keep books");
	session->kpagecgroup_fd = residency_open_kpagecgroup();
	session->kpageflags_fd = residency_open_kpageflags();
	/* For the threads of libfuse, and those of the front's pool. */
	r = arena_new(2 * (unsigned int)session->options.max_threads + 2,
		      &session->arena);
	if (r < 0)
		return log_error_errno(r, "cannot make buffers");
	return start_hosts(session);
}

static void hurry(struct host *host, void *userdata)
{
	(void)userdata;
	charger_hurry(host_charger(host));
}

void session_hurry(struct session *session)
{
	hosts_each(session->hosts, hurry, NULL);
}
