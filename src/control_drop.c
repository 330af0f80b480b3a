// SPDX-License-Identifier: GPL-2.0-or-later
/* Dropping files' pages, as a client of the control socket asks for it. */
#include "control_priv.h"

#include "util.h"

struct drop {
	struct control_request *request;
	bool force;
	json_t *left;
	uint64_t files;
	uint64_t dropped_bytes;
};

static void show_left(struct drop *drop, struct inode *inode,
		      const struct charge_drop *done)
{
	if (json_array_size(drop->left) >= CONTROL_SHOWN_MAX)
		return;
	json_array_append_new(
		drop->left,
		json_pack("{so sI sI sI sb sb sb}", "path",
			  control_show_place(drop->request, inode),
			  "resident_bytes", (json_int_t)done->resident_bytes,
			  "dirty_bytes", (json_int_t)done->dirty_bytes,
			  "mapped_bytes", (json_int_t)done->mapped_bytes,
			  "pinned", done->is_pinned, "open", done->is_open,
			  "unseen", done->is_unseen));
}

static int drop_file(void *userdata, struct inode *inode)
{
	struct drop *drop = userdata;
	const struct control_config *config = drop->request->config;
	struct charge_drop done;
	int r;

	/* One that was looked up only has no charger to look at it yet. */
	rulebook_refresh(config->book, inode);
	r = charge_drop(config->charge, inode, drop->force, &done);
	if (r == 0) {
		drop->files++;
		drop->dropped_bytes += done.dropped_bytes;
		if (done.resident_bytes)
			show_left(drop, inode, &done);
	}
	return control_skip(drop->request, r);
}

int control_run_drop(struct control_request *request)
{
	const json_t *force = json_object_get(request->asked, "force");
	struct drop drop = {
		.request = request,
		.force = json_is_true(force),
	};
	int r;

	if (force && !json_is_boolean(force))
		return control_explain(request, -EINVAL,
				       "\"force\" is to be true or false");
	drop.left = json_array();
	r = control_walk(request, &(struct control_walk){
					  .each = drop_file,
					  .userdata = &drop,
				  });
	json_object_set_new(request->answer, "files",
			    json_integer((json_int_t)drop.files));
	json_object_set_new(request->answer, "dropped_bytes",
			    json_integer((json_int_t)drop.dropped_bytes));
	json_object_set_new(request->answer, "left", drop.left);
	json_object_set_new(request->answer, "skipped_files",
			    json_integer((json_int_t)request->skipped));
	return r;
}
