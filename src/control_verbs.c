// SPDX-License-Identifier: GPL-2.0-or-later
/* What can be asked through the control socket; see control.h. */
#include "control_priv.h"

#include "inode_place.h"
#include "util.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

static void set(json_t *object, const char *key, json_t *value)
{
	/* Without memory it goes unsaid. */
	json_object_set_new(object, key, value);
}

static json_t *string_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

/* -- status -- */

static json_t *show_host(const struct stats_host *host)
{
	return json_pack("{ss ss ss si sI sI}", "target", host->target, "host",
			 host->host, "charger", host->charger, "restarts",
			 (int)host->restarts, "usage_bytes",
			 (json_int_t)host->usage_bytes, "pinned_bytes",
			 (json_int_t)host->pinned_bytes);
}

static int run_status(struct control_request *request)
{
	json_t *hosts = json_array(), *refused = json_array();
	json_t *counters = json_object();
	json_t *answer = request->answer;
	struct stats_snapshot snapshot;

	report_take(&request->config->report, &snapshot);
	set(answer, "source", json_string(snapshot.source));
	set(answer, "mountpoint", json_string(snapshot.mountpoint));
	set(answer, "memcg", json_string(snapshot.memcg));
	set(answer, "why_strict", string_or_null(snapshot.why_strict));
	set(answer, "inodes", json_integer((json_int_t)snapshot.inodes));
	for (size_t i = 0; i < snapshot.n_hosts; i++)
		json_array_append_new(hosts, show_host(&snapshot.hosts[i]));
	set(answer, "hosts", hosts);
	for (size_t i = 0; i < snapshot.n_refused; i++)
		json_array_append_new(refused,
				      json_string(snapshot.refused[i]));
	set(answer, "refused_rules", refused);
	for (int i = 0; i < STATS_COUNT; i++)
		set(counters, stats_name(i),
		    json_integer((json_int_t)snapshot.counters[i]));
	set(answer, "counters", counters);
	stats_clear(&snapshot);
	return 0;
}

/* -- explain -- */

/*
 * Whether the caller may read what is there, by the rules of the filesystem
 * below: his rights are taken on for a moment. Nothing is followed out of the
 * source.
 */
static int check_readable(const struct control_request *request)
{
	struct inode_table *table = request->config->report.table;
	struct inode *root = inode_table_root(table);
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	const char *path = *request->path ? request->path : ".";
	char proc[PROC_FD_MAX];
	int root_fd, fd, r;

	root_fd = inode_fd_get(table, root);
	if (root_fd < 0)
		return root_fd;
	r = creds_assume_rights(&request->caller);
	fd = r < 0 ? -1 :
		     (int)syscall(SYS_openat2, root_fd, path, &how,
				  sizeof(how));
	if (r == 0 && (fd < 0 || faccessat(AT_FDCWD, proc_fd_path(proc, fd),
					   R_OK, AT_EACCESS) < 0))
		r = -errno;
	creds_restore();
	close_fd(fd);
	inode_fd_put(table, root);
	return r;
}

/* The inode at the path, with one lookup more. */
static int find_inode(const struct control_request *request, struct inode **out)
{
	struct inode_table *table = request->config->report.table;
	struct inode *inode = inode_table_root(table), *next;
	cleanup_free char *copy = strdup(request->path);
	char *rest = copy;
	struct stat st;
	char *name;
	int r = copy ? 0 : -ENOMEM;

	inode_ref(table, inode);
	while (r == 0 && (name = strsep(&rest, "/"))) {
		if (!*name)
			continue;
		r = inode_lookup(table, inode, name, &next, &st);
		if (r < 0)
			break;
		inode_set_place(table, next, inode, name);
		inode_forget(table, inode, 1);
		inode = next;
	}
	if (r < 0)
		inode_forget(table, inode, 1);
	else
		*out = inode;
	return r;
}

static json_t *show_source(const struct decision_source *source)
{
	if (!source->rules)
		return json_string("mount");
	return json_sprintf("%s:%u", rules_name(source->rules), source->line);
}

static void show_rule(json_t *answer, const struct decision *decision)
{
	json_t *rule = json_object(), *sources = json_object();

	for (int i = 0; i < RULES_ATTRIBUTES; i++)
		set(sources, rules_attribute_info(i)->name,
		    show_source(&decision->sources[i]));
	set(rule, "memcg", json_string(decision->rule.target));
	set(rule, "io",
	    json_string(decision->rule.io == POLICY_IO_STRICT ? "strict" :
								"auto"));
	set(rule, "ahead",
	    json_integer((json_int_t)decision->rule.ahead_bytes));
	set(rule, "pin", json_boolean(decision->rule.pin));
	set(rule, "on_error",
	    json_string(decision->rule.on_error == POLICY_DENY ? "deny" :
								 "opener"));
	set(answer, "rule", rule);
	set(answer, "said_by", sources);
}

static void show_binding(json_t *answer, const struct binding *binding)
{
	struct host *host = binding->host;

	set(answer, "target", string_or_null(host ? host_target(host) : NULL));
	set(answer, "host", string_or_null(host ? host_path(host) : NULL));
}

static int show_view(const struct control_request *request, struct inode *inode)
{
	json_t *answer = request->answer;
	struct charge_view view;
	int r;

	if (!S_ISREG(inode->type))
		return 0;
	r = charge_look(request->config->charge, inode, &view);
	if (r < 0)
		return r;
	set(answer, "read", json_string(policy_path_name(view.read_path)));
	set(answer, "write", json_string(policy_path_name(view.write_path)));
	set(answer, "why", json_string(view.why));
	set(answer, "size_bytes", json_integer((json_int_t)view.size_bytes));
	set(answer, "resident_bytes",
	    json_integer((json_int_t)view.resident_bytes));
	set(answer, "foreign_bytes",
	    view.foreign_bytes < 0 ? json_null() :
				     json_integer(view.foreign_bytes));
	set(answer, "pinned", json_boolean(view.is_pinned));
	set(answer, "open", json_boolean(view.is_open));
	return 0;
}

static int explain(const struct control_request *request, struct inode *inode)
{
	struct rulebook *book = request->config->report.book;
	char path[INODE_PATH_MAX];
	struct rulebook_answer rules;
	int r;

	r = inode_path(request->config->report.table, inode, path);
	if (r < 0)
		return r;
	rulebook_refresh(book, inode);
	r = rulebook_explain(book, inode, &rules);
	if (r < 0)
		return r;
	set(request->answer, "path", json_string(path));
	show_binding(request->answer, rules.binding);
	show_rule(request->answer, rules.decision);
	decision_unref(rules.decision);
	return show_view(request, inode);
}

static int run_explain(struct control_request *request)
{
	struct inode *inode = NULL;
	int r;

	r = check_readable(request);
	if (r == 0)
		r = find_inode(request, &inode);
	if (r < 0)
		return r;
	r = explain(request, inode);
	inode_forget(request->config->report.table, inode, 1);
	return r;
}

/* -- reload -- */

static int run_reload(struct control_request *request)
{
	return request->config->reload(request->config->userdata,
				       request->reason);
}

static const struct control_verb verbs[] = {
	{ .name = "status", .run = run_status },
	{ .name = "explain", .needs_path = true, .run = run_explain },
	{ .name = "reload", .changes = true, .run = run_reload },
};

const struct control_verb *control_find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}
