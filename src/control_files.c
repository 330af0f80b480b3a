// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The largest, most shared, most foreign files by the books, told by the
 * control socket.
 */
#include "control_priv.h"

#include "inode_place.h"
#include "util.h"

#include <string.h>

#define LIMIT_DEFAULT 20
#define LIMIT_MAX 10000

struct row {
	struct inode *inode; /* with one lookup more */
	struct charge_figures figures;
	char *path; /* when sorted by it */
};

struct files {
	struct control_request *request;
	/* Below 0: the first one comes first. */
	int (*compare)(const struct row *a, const struct row *b);
	bool needs_path;
	struct row *rows; /* the first ones, in order */
	size_t limit;
	size_t n;
	uint64_t count; /* of all */
};

/* -- in what order -- */

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a < b) - (a > b);
}

static int by_size(const struct row *a, const struct row *b)
{
	return compare_numbers(a->figures.resident_bytes,
			       b->figures.resident_bytes);
}

static int by_sharers(const struct row *a, const struct row *b)
{
	return compare_numbers(a->figures.sharers, b->figures.sharers) ?:
		       by_size(a, b);
}

static int by_foreign(const struct row *a, const struct row *b)
{
	return compare_numbers(a->figures.foreign_bytes, b->figures.foreign_bytes) ?:
		       by_size(a, b);
}

static int by_name(const struct row *a, const struct row *b)
{
	return strcmp(a->path, b->path);
}

static const struct {
	const char *name;
	int (*compare)(const struct row *a, const struct row *b);
} orders[] = {
	{ "size", by_size },
	{ "shared", by_sharers },
	{ "foreign", by_foreign },
	{ "name", by_name },
};

static int read_order(struct files *files)
{
	const json_t *sort = json_object_get(files->request->asked, "sort");
	const char *name = sort ? json_string_value(sort) : "size";

	for (size_t i = 0; name && i < ARRAY_SIZE(orders); i++)
		if (strcmp(orders[i].name, name) == 0)
			files->compare = orders[i].compare;
	files->needs_path = files->compare == by_name;
	return files->compare ?
		       0 :
		       control_explain(files->request, -EINVAL,
				       "\"sort\" is to be one of size, shared, "
				       "foreign, name");
}

static int read_limit(struct files *files)
{
	const json_t *limit = json_object_get(files->request->asked, "limit");
	json_int_t number = limit ? json_integer_value(limit) : LIMIT_DEFAULT;

	if (number < 1 || number > LIMIT_MAX)
		return control_explain(files->request, -EINVAL,
				       "\"limit\" is to be a number from 1 to "
				       "%d",
				       LIMIT_MAX);
	files->limit = (size_t)number;
	return 0;
}

/* -- the first ones -- */

static void row_clear(struct files *files, struct row *row)
{
	inode_forget(files->request->config->table, row->inode, 1);
	free(row->path);
}

/* Where it belongs among the rows. */
static size_t find_place(const struct files *files, const struct row *row)
{
	size_t low = 0, high = files->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (files->compare(&files->rows[middle], row) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Takes the row, unless it comes behind as many as are wanted. */
static void add_row(struct files *files, struct row *row)
{
	size_t at = find_place(files, row);

	if (at == files->limit) {
		free(row->path);
		return;
	}
	inode_ref(files->request->config->table, row->inode);
	if (files->n == files->limit)
		row_clear(files, &files->rows[--files->n]);
	memmove(&files->rows[at + 1], &files->rows[at],
		(files->n++ - at) * sizeof(*row));
	files->rows[at] = *row;
}

static int look_at_file(void *userdata, struct inode *inode)
{
	struct files *files = userdata;
	const struct control_config *config = files->request->config;
	struct row row = { .inode = inode };
	char path[INODE_PATH_MAX];

	charge_read_figures(config->charge, inode, &row.figures);
	if (!row.figures.resident_bytes)
		return 0;
	if (files->needs_path) {
		if (inode_path(config->table, inode, path) < 0)
			strcpy(path, "");
		row.path = strdup(path);
		if (!row.path)
			return -ENOMEM;
	}
	files->count++;
	add_row(files, &row);
	return 0;
}

/* -- what is told of them -- */

static json_t *show_sharers(const struct charge_entry *entry)
{
	json_t *sharers = json_array();

	for (size_t i = 0; i < entry->n_sharers; i++)
		json_array_append_new(sharers, report_string(account_path(
						       entry->sharers[i])));
	return sharers;
}

static json_t *show_residue(const struct charge_entry *entry)
{
	const char *reason = entry->reason ? entry->reason : CONTROL_UNCLAIMED;
	json_t *residue = json_array();

	for (size_t i = 0; i < entry->n_foreign; i++) {
		const struct account_part *part = &entry->foreign[i];

		json_array_append_new(
			residue,
			json_pack("{so sI ss}", "owner",
				  report_string(account_path(part->account)),
				  "bytes", (json_int_t)part->bytes, "reason",
				  reason));
	}
	return residue;
}

static int show_row(const struct files *files, const struct row *row,
		    json_t *array)
{
	struct control_request *request = files->request;
	struct charge_entry entry;
	int r;

	r = charge_read_entry(request->config->charge, row->inode, &entry);
	if (r < 0)
		return r;
	json_array_append_new(
		array,
		json_pack("{so sI sI so so sb so}", "path",
			  control_show_place(request, row->inode),
			  "resident_bytes",
			  (json_int_t)entry.figures.resident_bytes,
			  "foreign_bytes",
			  (json_int_t)entry.figures.foreign_bytes, "host",
			  report_string(entry.host ? account_path(entry.host) :
						     NULL),
			  "sharers", show_sharers(&entry), "has_more_sharers",
			  entry.has_more_sharers, "residue",
			  show_residue(&entry)));
	charge_entry_clear(&entry);
	return 0;
}

static int show(const struct files *files)
{
	json_t *array = json_array();
	int r = 0;

	for (size_t i = 0; i < files->n && r == 0; i++)
		r = show_row(files, &files->rows[i], array);
	json_object_set_new(files->request->answer, "files", array);
	json_object_set_new(files->request->answer, "count",
			    json_integer((json_int_t)files->count));
	return r;
}

int control_run_files(struct control_request *request)
{
	struct files files = { .request = request };
	int r;

	r = read_order(&files);
	if (r == 0)
		r = read_limit(&files);
	if (r < 0)
		return r;
	files.rows = calloc(files.limit, sizeof(*files.rows));
	if (!files.rows)
		return -ENOMEM;
	r = control_walk(request, &(struct control_walk){
					  .is_booked = true,
					  .each = look_at_file,
					  .userdata = &files,
				  });
	if (r == 0)
		r = show(&files);
	for (size_t i = 0; i < files.n; i++)
		row_clear(&files, &files.rows[i]);
	free(files.rows);
	return r;
}
