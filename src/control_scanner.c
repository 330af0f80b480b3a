// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket: a process, and whether it is a scanner. */
#include "control_priv.h"

#include <errno.h>
#include <limits.h>

static json_t *show_sums(const struct scanners_view *view)
{
	const struct scanner_sums *sums = &view->sums;

	return json_pack("{si si si si si si si si si si si}", "files",
			 (int)sums->files, "listed_itself", (int)sums->own,
			 "listed_for_it", (int)sums->helped, "again",
			 (int)sums->again, "searched", (int)sums->searched,
			 "wrote", (int)sums->wrote, "directories",
			 (int)sums->dirs, "steps", (int)sums->steps,
			 "left_opened", (int)sums->left_opened, "left_listed",
			 (int)sums->left_listed, "open", (int)view->open_now);
}

/* Without memory some of it goes unsaid. */
static void show(const struct scanners_view *view, void *userdata)
{
	json_t *answer = userdata;

	json_object_set_new(answer, "pid", json_integer(view->pid));
	json_object_set_new(answer, "command", report_string(view->command));
	json_object_set_new(answer, "cgroup", report_string(view->cgroup));
	json_object_set_new(answer, "scanner", json_boolean(view->is_scanner));
	json_object_set_new(answer, "named", json_boolean(view->is_named));
	json_object_set_new(answer, "idle", json_boolean(view->is_idle));
	json_object_set_new(answer, "files",
			    json_integer((json_int_t)view->files));
	json_object_set_new(answer, "bytes",
			    json_integer((json_int_t)view->bytes));
	json_object_set_new(answer, "why", report_string(view->why));
	json_object_set_new(answer, "of_late", show_sums(view));
}

int control_explain_process(struct control_request *request, json_int_t pid)
{
	struct scanners *scanners = request->config->scanners;
	int r = -ESRCH;

	if (pid > 0 && pid <= INT_MAX)
		r = scanners_view(scanners, (pid_t)pid, show, request->answer);
	return r < 0 ? control_explain(request, r,
				       "the process %lld has opened nothing "
				       "here of late",
				       (long long)pid) :
		       0;
}
