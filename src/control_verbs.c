// SPDX-License-Identifier: GPL-2.0-or-later
/* What can be asked through the control socket; see control.h. */
#include "control_priv.h"

#include "inode_place.h"
#include "metrics.h"
#include "util.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void set(json_t *object, const char *key, json_t *value)
{
	/* Without memory it goes unsaid. */
	json_object_set_new(object, key, value);
}

/* -- status -- */

/* A refusal quotes the file: it is for those who may read that. */
static bool may_know(const char *reason, void *userdata)
{
	const struct control_request *request = userdata;
	const char *end = strstr(reason, RULEFILE_NAME ":");
	cleanup_free char *path = NULL;
	struct inode *inode = NULL;

	if (request->is_master)
		return true;
	if (end)
		path = strndup(reason,
			       (size_t)(end - reason) + strlen(RULEFILE_NAME));
	if (!path || control_find_inode(request, path, &inode) < 0)
		return false;
	inode_forget(request->config->table, inode, 1);
	return true;
}

static int run_status(struct control_request *request)
{
	const struct control_config *config = request->config;
	struct stats_snapshot snapshot;

	config->report(config->userdata, &snapshot);
	stats_filter_refused(&snapshot, may_know, request);
	report_render_json(&snapshot, request->answer);
	stats_clear(&snapshot);
	return 0;
}

/* -- metrics -- */

static int run_metrics(struct control_request *request)
{
	const struct control_config *config = request->config;
	cleanup_free char *text = NULL;
	struct stats_snapshot snapshot;

	config->report(config->userdata, &snapshot);
	text = metrics_render(&snapshot);
	stats_clear(&snapshot);
	set(request->answer, "text", report_string(text));
	return text ? 0 : -ENOMEM;
}

/* -- explain -- */

static json_t *show_source(const struct decision_source *source)
{
	char text[INODE_PATH_MAX + 64];

	if (!source->rules)
		return json_string("mount");
	snprintf(text, sizeof(text), "%s:%u", rules_name(source->rules),
		 source->line);
	return report_string(text);
}

/* @decision: who said what; NULL: the mount did. */
static void show_rule(json_t *answer, const struct policy_rule *rule,
		      const struct decision *decision)
{
	static const struct decision_source mount;
	json_t *values = json_object(), *sources = json_object();
	const char *target = rule->target ? rule->target : "@opener";

	for (int i = 0; i < RULES_ATTRIBUTES; i++)
		set(sources, rules_attribute_info(i)->name,
		    show_source(decision ? &decision->sources[i] : &mount));
	set(values, "memcg", report_string(target));
	set(values, "io", json_string(policy_io_name(rule->io)));
	set(values, "ahead", json_integer((json_int_t)rule->ahead_bytes));
	set(values, "pin", json_boolean(rule->pin));
	set(values, "on_error",
	    json_string(policy_on_error_name(rule->on_error)));
	set(values, "scan", json_string(policy_scan_name(rule->scan)));
	set(values, "scanners", report_string(rule->scanners));
	set(answer, "rule", values);
	set(answer, "said_by", sources);
}

static void show_binding(json_t *answer, const struct binding *binding)
{
	struct host *host = binding->host;

	set(answer, "target",
	    report_string(host ? host_target(host) : "@opener"));
	set(answer, "host", report_string(host ? host_path(host) : NULL));
	set(answer, "charger",
	    report_string(host ? report_charger(host_charger(host)) : NULL));
}

static json_t *show_path(const struct charge_path *path)
{
	return json_pack("{ss ss}", "path", policy_path_name(path->path), "why",
			 path->why);
}

static json_t *bytes_or_null(int64_t bytes)
{
	return bytes < 0 ? json_null() : json_integer(bytes);
}

static int show_view(const struct control_request *request, struct inode *inode,
		     const struct binding *binding)
{
	json_t *answer = request->answer;
	struct charge_view view;
	int r;

	r = charge_look(request->config->charge, inode, binding, &view);
	if (r < 0)
		return r;
	set(answer, "read", show_path(&view.read));
	set(answer, "write", show_path(&view.write));
	set(answer, "size_bytes", json_integer((json_int_t)view.size_bytes));
	set(answer, "resident_bytes", bytes_or_null(view.resident_bytes));
	set(answer, "foreign_bytes", bytes_or_null(view.foreign_bytes));
	set(answer, "pinned", json_boolean(view.is_pinned));
	set(answer, "open", json_boolean(view.is_open));
	return 0;
}

static const char *type_word(const struct inode *inode)
{
	if (S_ISREG(inode->type))
		return "file";
	return S_ISDIR(inode->type) ? "directory" : "other";
}

/* What holds for it now; the root, which has no name, has the mount's rule. */
static int show_decision(const struct control_request *request,
			 struct inode *inode, const struct binding **binding)
{
	struct rulebook *book = request->config->book;
	struct rulebook_answer rules = { 0 };
	int r;

	r = rulebook_explain(book, inode, &rules);
	if (r == -ENOENT)
		rules.binding = rulebook_fallback(book);
	else if (r < 0)
		return r;
	show_binding(request->answer, rules.binding);
	show_rule(request->answer,
		  rules.decision ? &rules.decision->rule : &rules.binding->rule,
		  rules.decision);
	decision_unref(rules.decision);
	*binding = rules.binding;
	return 0;
}

static int explain(const struct control_request *request, struct inode *inode)
{
	const struct binding *binding = NULL;
	char path[INODE_PATH_MAX];
	int r;

	r = inode_path(request->config->table, inode, path);
	if (r < 0)
		return r;
	set(request->answer, "path", report_string(path));
	set(request->answer, "type", json_string(type_word(inode)));
	r = show_decision(request, inode, &binding);
	if (r < 0 || !S_ISREG(inode->type))
		return r;
	return show_view(request, inode, binding);
}

static int run_explain(struct control_request *request)
{
	const json_t *pid = json_object_get(request->asked, "pid");
	struct inode *inode = NULL;
	int r;

	if (json_is_integer(pid))
		return control_explain_process(request,
					       json_integer_value(pid));
	if (!request->path)
		return control_explain(request, -EINVAL,
				       "\"explain\" needs a \"path\", or the "
				       "\"pid\" of a process");
	r = control_find_inode(request, request->path, &inode);
	if (r < 0)
		return r;
	r = explain(request, inode);
	inode_forget(request->config->table, inode, 1);
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
	{ .name = "explain", .run = run_explain },
	{ .name = "reload", .masters_may = "reload", .run = run_reload },
	{ .name = "events",
	  .masters_may = "follow events",
	  .run = control_run_events },
	{ .name = "metrics", .run = run_metrics },
	{ .name = "tree", .run = control_run_tree },
	{ .name = "files", .is_long = true, .run = control_run_files },
	{ .name = "verify", .is_long = true, .run = control_run_verify },
	{ .name = "claim",
	  .masters_may = "claim",
	  .is_long = true,
	  .run = control_run_claim },
	{ .name = "drop",
	  .masters_may = "drop",
	  .is_long = true,
	  .needs_path = true,
	  .run = control_run_drop },
};

const struct control_verb *control_find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}
