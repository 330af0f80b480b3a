// SPDX-License-Identifier: GPL-2.0-or-later
/* The accounting as a tree, told by the control socket. */
#include "control_priv.h"

static json_t *show_contributors(const struct account_view *account)
{
	json_t *contributors = json_array();

	for (size_t i = 0; i < account->n_contributions; i++) {
		const struct account_contribution *by =
			&account->contributions[i];

		json_array_append_new(
			contributors,
			json_pack("{so sI}", "path", report_string(by->path),
				  "bytes", (json_int_t)by->bytes));
	}
	return contributors;
}

/* Who opened what is none of an ordinary user's business. */
static json_t *show_account(const struct control_request *request,
			    const struct account_view *account)
{
	return json_pack(
		"{so si sI sI sI sI sI so}", "path",
		report_string(account->path), "depth", (int)account->depth,
		"usage_bytes", (json_int_t)account->usage_bytes, "own_bytes",
		(json_int_t)account->own_bytes, "hosted_bytes",
		(json_int_t)account->hosted_bytes, "shared_bytes",
		(json_int_t)account->shared_bytes, "foreign_bytes",
		(json_int_t)account->foreign_bytes, "contributors",
		request->is_master ? show_contributors(account) : json_array());
}

int control_run_tree(struct control_request *request)
{
	json_t *accounts = json_array();
	struct account_view *views;
	size_t n;
	int r;

	r = books_view(request->config->books, &views, &n);
	if (r < 0) {
		json_decref(accounts);
		return r;
	}
	for (size_t i = 0; i < n; i++)
		json_array_append_new(accounts,
				      show_account(request, &views[i]));
	books_view_free(views, n);
	json_object_set_new(request->answer, "accounts", accounts);
	return 0;
}
