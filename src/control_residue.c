// SPDX-License-Identifier: GPL-2.0-or-later
/* What is foreign of files, and why it stays; see control_priv.h. */
#include "control_priv.h"

#include "cgroup.h"
#include "inode_place.h"
#include "mappers.h"
#include "residency.h"
#include "util.h"

#define PIDS_MAX 16

json_t *control_show_place(const struct control_request *request,
			   struct inode *inode)
{
	char path[INODE_PATH_MAX];

	if (inode_path(request->config->table, inode, path) < 0)
		return json_null();
	return report_string(path);
}

json_t *control_show_owner(const struct control_request *request,
			   uint64_t owner_ino)
{
	char path[CGROUP_PATH_MAX];

	cgroup_tree_name_owner(request->config->tree, owner_ino, path);
	return report_string(path);
}

int control_skip(struct control_request *request, int r)
{
	if (r == -EOPNOTSUPP)
		return control_explain(request, r,
				       "page owners can't be read here");
	if (r == -EPIPE || r == -ENOMEM)
		return r;
	/* One that was removed meanwhile is none. */
	request->skipped += r < 0 && r != -ENOENT && r != -ESTALE;
	return 0;
}

void residue_init(struct residue *residue, struct control_request *request)
{
	*residue = (struct residue){
		.request = request,
		.array = json_array(),
	};
}

/* Other users' processes are none of an ordinary user's business. */
static json_t *show_pids(struct residue *residue, struct inode *inode)
{
	const struct control_request *request = residue->request;
	json_t *array = json_array();
	pid_t pids[PIDS_MAX];
	size_t n;

	if (!residue->has_looked && request->is_master)
		mappers_new(&residue->mappers);
	residue->has_looked = true;
	if (!residue->mappers)
		return array;
	n = charge_mappers(request->config->charge, inode, residue->mappers,
			   pids, PIDS_MAX);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_integer(pids[i]));
	return array;
}

/* Of a part that nothing keeps, the reason is that nobody has claimed it. */
static const char *reason_of(const struct charge_part *part)
{
	uint32_t flags = (part->mapped_bytes ? RESIDENCY_MAPPED : 0) |
			 (part->dirty_bytes ? RESIDENCY_DIRTY : 0) |
			 (part->locked_bytes ? RESIDENCY_LOCKED : 0);

	return flags ? residency_reason(flags) : CONTROL_UNCLAIMED;
}

static void show_part(struct residue *residue, struct inode *inode,
		      const struct charge_part *part)
{
	json_t *shown;

	if (residue->count++ >= CONTROL_SHOWN_MAX)
		return;
	shown = json_pack("{so so sI ss}", "path",
			  control_show_place(residue->request, inode), "owner",
			  control_show_owner(residue->request, part->owner_ino),
			  "bytes", (json_int_t)part->bytes, "reason",
			  reason_of(part));
	json_object_set_new(shown, "pids",
			    part->mapped_bytes ? show_pids(residue, inode) :
						 json_array());
	json_array_append_new(residue->array, shown);
}

uint64_t residue_add(struct residue *residue, struct inode *inode,
		     const struct charge_probe *probe)
{
	struct charge *charge = residue->request->config->charge;
	uint64_t bytes = 0;

	/* Where nothing is enforced nothing is foreign. */
	if (!charge_gate(charge, inode))
		return 0;
	for (size_t i = 0; i < probe->n_parts; i++) {
		const struct charge_part *part = &probe->parts[i];

		if (part->is_host || !part->bytes)
			continue;
		show_part(residue, inode, part);
		bytes += part->bytes;
	}
	return bytes;
}

void residue_discard(struct residue *residue)
{
	mappers_free(residue->mappers);
	json_decref(residue->array);
	*residue = (struct residue){ 0 };
}

void residue_finish(struct residue *residue)
{
	json_t *answer = residue->request->answer;

	json_object_set(answer, "residue", residue->array);
	json_object_set_new(answer, "residue_count",
			    json_integer((json_int_t)residue->count));
	json_object_set_new(
		answer, "skipped_files",
		json_integer((json_int_t)residue->request->skipped));
	residue_discard(residue);
}
