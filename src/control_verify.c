// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The books, held against what the kernel says of each page, for a client of
 * the control socket.
 *
 * The kernel tells nobody which pages it reclaims, nor what a reader beside the
 * mount brings in for the host: the books are told of that when they count
 * again. Such a file has moved meanwhile. What the books may not be wrong about
 * is a page that somebody pays for who isn't to: each that they don't know of is
 * a disagreement, if it is found again at a second look. So the host is judged,
 * too: all parts make up what is resident, and where the books have too much of
 * the host's, they have too little of another's, but for what was reclaimed.
 */
#include "control_priv.h"

#include <string.h>

struct verify {
	struct control_request *request;
	struct residue residue;
	json_t *disagreements;
	uint64_t files;
	uint64_t resident_bytes;
	uint64_t foreign_bytes;
	uint64_t moved_files;
	uint64_t unseen_files; /* nobody could look whose their pages are */
};

/*
 * What the books have of such a part. Pages of the host's target that its leaf
 * doesn't hold are the host's to them.
 */
static uint64_t bytes_by_books(const struct charge_entry *entry,
			       const char *owner)
{
	if (strcmp(account_path(entry->host), owner) == 0)
		return entry->host_bytes;
	for (size_t i = 0; i < entry->n_foreign; i++)
		if (strcmp(account_path(entry->foreign[i].account), owner) == 0)
			return entry->foreign[i].bytes;
	return 0;
}

/*
 * How many parts there are that the books don't know of, or not as large;
 * they are added to the array, unless it is NULL.
 */
static unsigned int compare(struct verify *verify, struct inode *inode,
			    const struct charge_entry *entry,
			    const struct charge_probe *probe, json_t *array)
{
	unsigned int count = 0;

	for (size_t i = 0; entry->host && i < probe->n_parts; i++) {
		const struct charge_part *part = &probe->parts[i];
		json_t *owner;
		uint64_t books;

		if (part->is_host)
			continue;
		owner = control_show_owner(verify->request, part->owner_ino);
		books = bytes_by_books(entry, json_string_value(owner));
		count += part->bytes > books;
		if (array && part->bytes > books &&
		    json_array_size(array) < CONTROL_SHOWN_MAX)
			json_array_append_new(
				array,
				json_pack("{so sO sI sI}", "path",
					  control_show_place(verify->request,
							     inode),
					  "account", owner, "books_bytes",
					  (json_int_t)books, "kernel_bytes",
					  (json_int_t)part->bytes));
		json_decref(owner);
	}
	return count;
}

/* The second look, at what the first one found: whether it is so. */
static int look_again(struct verify *verify, struct inode *inode,
		      struct charge_probe *probe)
{
	struct charge *charge = verify->request->config->charge;
	struct charge_entry entry;
	int r;

	charge_probe_clear(probe);
	r = charge_read_entry(charge, inode, &entry);
	if (r < 0)
		return r;
	r = charge_probe(charge, inode, probe);
	if (r == 0 &&
	    !compare(verify, inode, &entry, probe, verify->disagreements))
		verify->moved_files++;
	charge_entry_clear(&entry);
	return r;
}

static bool is_unseen(const struct charge_probe *probe)
{
	return probe->resident_bytes && !probe->sees_owners;
}

static int hold_against(struct verify *verify, struct inode *inode,
			const struct charge_entry *entry,
			struct charge_probe *probe)
{
	if (compare(verify, inode, entry, probe, NULL))
		return look_again(verify, inode, probe);
	if (entry->host &&
	    (entry->figures.resident_bytes != probe->resident_bytes ||
	     entry->host_bytes != probe->host_bytes))
		verify->moved_files++;
	return 0;
}

/*
 * With what the kernel has said, the books are put right: by masters, as
 * others change nothing.
 */
static int verify_pages(struct verify *verify, struct inode *inode,
			struct charge_probe *probe)
{
	const struct control_config *config = verify->request->config;
	struct charge *charge = config->charge;
	struct charge_entry entry;
	bool is_booked;
	int r;

	/* One that was looked up only has no binding yet. */
	rulebook_refresh(config->book, inode);
	r = charge_read_entry(charge, inode, &entry);
	if (r < 0)
		return r;
	is_booked = entry.host;
	r = charge_probe(charge, inode, probe);
	if (r == 0)
		r = hold_against(verify, inode, &entry, probe);
	charge_entry_clear(&entry);
	if (r == 0 && verify->request->is_master && !is_unseen(probe) &&
	    (is_booked || probe->resident_bytes))
		r = charge_enter(charge, inode, probe);
	return r;
}

static int verify_file(void *userdata, struct inode *inode)
{
	struct verify *verify = userdata;
	struct charge_probe probe = { 0 };
	int r;

	r = verify_pages(verify, inode, &probe);
	if (r == 0) {
		verify->files++;
		verify->unseen_files += is_unseen(&probe);
		verify->resident_bytes += probe.resident_bytes;
		verify->foreign_bytes +=
			residue_add(&verify->residue, inode, &probe);
	}
	charge_probe_clear(&probe);
	return control_skip(verify->request, r);
}

static void show(struct verify *verify)
{
	json_t *answer = verify->request->answer;

	json_object_set_new(answer, "files",
			    json_integer((json_int_t)verify->files));
	json_object_set_new(answer, "resident_bytes",
			    json_integer((json_int_t)verify->resident_bytes));
	json_object_set_new(answer, "foreign_bytes",
			    json_integer((json_int_t)verify->foreign_bytes));
	json_object_set_new(answer, "moved_files",
			    json_integer((json_int_t)verify->moved_files));
	json_object_set_new(answer, "unseen_files",
			    json_integer((json_int_t)verify->unseen_files));
	json_object_set(answer, "disagreements", verify->disagreements);
	residue_finish(&verify->residue);
}

int control_run_verify(struct control_request *request)
{
	struct verify verify = {
		.request = request,
		.disagreements = json_array(),
	};
	int r;

	residue_init(&verify.residue, request);
	r = control_walk(request, &(struct control_walk){
					  .each = verify_file,
					  .userdata = &verify,
				  });
	if (r == 0)
		show(&verify);
	else
		residue_discard(&verify.residue);
	json_decref(verify.disagreements);
	return r;
}
