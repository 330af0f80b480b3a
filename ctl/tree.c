// SPDX-License-Identifier: GPL-2.0-or-later
/* The books, drawn as a tree; see tree.h. */
#include "tree.h"

#include "field.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX_MAX 1024 /* 512 levels; the rest is drawn there */

/* Places are those of nodes; 0 is above all accounts, and means none. */
struct node {
	const json_t *account;
	bool is_shown;
	size_t parent;
	size_t first; /* of its children */
	size_t last;
	size_t next; /* of its siblings */
};

struct drawing {
	const struct tree_how *how;
	struct node *nodes;
	size_t n; /* of accounts: their places are 1 to n */
	struct tree *tree;
	char prefix[PREFIX_MAX + 8];
};

/* -- which ones -- */

static bool has_bytes(const json_t *account)
{
	return field_number(account, "usage_bytes") ||
	       field_number(account, "shared_bytes") ||
	       field_number(account, "foreign_bytes");
}

static void add_child(struct node *nodes, size_t parent, size_t child)
{
	nodes[child].parent = parent;
	if (nodes[parent].last)
		nodes[nodes[parent].last].next = child;
	else
		nodes[parent].first = child;
	nodes[parent].last = child;
}

/* They come depth first: the parent is the last one that is less deep. */
static void link_nodes(struct drawing *drawing, const json_t *accounts,
		       size_t *at_depth)
{
	size_t deepest = 0, depth, i;
	json_t *account;

	at_depth[0] = 0;
	json_array_foreach((json_t *)accounts, i, account)
	{
		depth = (size_t)field_number(account, "depth");
		if (depth > deepest)
			depth = deepest;
		drawing->nodes[i + 1].account = account;
		add_child(drawing->nodes, at_depth[depth], i + 1);
		deepest = depth + 1;
		at_depth[deepest] = i + 1;
	}
}

static void mark_shown(struct drawing *drawing)
{
	struct node *nodes = drawing->nodes;

	for (size_t i = drawing->n; i; i--) {
		nodes[i].is_shown |= drawing->how->all ||
				     has_bytes(nodes[i].account);
		nodes[nodes[i].parent].is_shown |= nodes[i].is_shown;
	}
	if (drawing->n)
		nodes[1].is_shown = true;
}

/* The only child that is shown, or 0. */
static size_t only_child(const struct node *nodes, size_t parent)
{
	size_t only = 0;

	for (size_t i = nodes[parent].first; i; i = nodes[i].next) {
		if (nodes[i].is_shown && only)
			return 0;
		if (nodes[i].is_shown)
			only = i;
	}
	return only;
}

/* Whether it says no more than its only child does. */
static bool is_passage(const struct node *nodes, size_t i)
{
	return only_child(nodes, i) &&
	       !field_number(nodes[i].account, "own_bytes") &&
	       !field_number(nodes[i].account, "hosted_bytes");
}

/* Below what the drawing begins: below the way down to where all is. */
static size_t find_top(const struct drawing *drawing)
{
	size_t top = 0, next = only_child(drawing->nodes, 0);

	while (!drawing->how->all && next && is_passage(drawing->nodes, next)) {
		top = next;
		next = only_child(drawing->nodes, top);
	}
	return top;
}

/* -- in which order -- */

static const char *sort_key(const char *sort)
{
	if (strcmp(sort, "shared") == 0)
		return "shared_bytes";
	return strcmp(sort, "foreign") == 0 ? "foreign_bytes" : "usage_bytes";
}

static bool comes_first(const json_t *a, const json_t *b, const char *sort)
{
	long long one, other;

	if (strcmp(sort, "name") == 0)
		return strcmp(field_text(a, "path"), field_text(b, "path")) < 0;
	one = field_number(a, sort_key(sort));
	other = field_number(b, sort_key(sort));
	return one > other || (one == other && comes_first(a, b, "name"));
}

static int compare(const void *a, const void *b, void *userdata)
{
	const struct drawing *drawing = userdata;
	const json_t *one = drawing->nodes[*(const size_t *)a].account;
	const json_t *other = drawing->nodes[*(const size_t *)b].account;

	if (comes_first(one, other, drawing->how->sort))
		return -1;
	return comes_first(other, one, drawing->how->sort);
}

/* The places of its children that are shown, to be freed. */
static size_t *list_children(struct drawing *drawing, size_t parent, size_t *n)
{
	const struct node *nodes = drawing->nodes;
	size_t count = 0, i, *list;

	for (i = nodes[parent].first; i; i = nodes[i].next)
		count += nodes[i].is_shown;
	list = calloc(count + 1, sizeof(*list));
	*n = 0;
	for (i = list ? nodes[parent].first : 0; i; i = nodes[i].next)
		if (nodes[i].is_shown)
			list[(*n)++] = i;
	if (*n && drawing->how->sort)
		qsort_r(list, *n, sizeof(*list), compare, drawing);
	return list;
}

/* -- lines -- */

/* Of a cgroup below another that is drawn, the last part of its path. */
static const char *name_of(const json_t *account, bool is_top)
{
	const char *path = field_text(account, "path");
	const char *slash = strrchr(path, '/');

	return !is_top && slash && slash[1] ? slash + 1 : path;
}

static void add_row(struct drawing *drawing, size_t i, const char *branch,
		    bool is_top)
{
	const json_t *account = drawing->nodes[i].account;
	struct tree_row *row = &drawing->tree->rows[drawing->tree->n_rows];

	if (asprintf(&row->label, "%s%s%s", drawing->prefix, branch,
		     name_of(account, is_top)) < 0)
		return;
	row->account = account;
	drawing->tree->n_rows++;
}

static void draw_children(struct drawing *drawing, size_t parent, size_t len,
			  bool is_top)
{
	size_t n, *list = list_children(drawing, parent, &n);

	for (size_t i = 0; i < n; i++) {
		bool is_last = i + 1 == n;
		size_t longer = len;

		drawing->prefix[len] = '\0';
		add_row(drawing, list[i],
			is_top	? "" :
			is_last ? "\\-" :
				  "+-",
			is_top);
		if (!is_top && len < PREFIX_MAX) {
			memcpy(drawing->prefix + len, is_last ? "  " : "| ", 3);
			longer += 2;
		}
		draw_children(drawing, list[i], longer, false);
	}
	free(list);
}

void tree_lay_out(const json_t *answer, const struct tree_how *how,
		  struct tree *tree)
{
	const json_t *accounts = json_object_get(answer, "accounts");
	size_t n = json_array_size(accounts), *at_depth;
	struct drawing drawing = { .how = how, .n = n, .tree = tree };

	*tree = (struct tree){ .rows = calloc(n + 1, sizeof(*tree->rows)) };
	drawing.nodes = calloc(n + 1, sizeof(*drawing.nodes));
	at_depth = calloc(n + 1, sizeof(*at_depth));
	if (tree->rows && drawing.nodes && at_depth) {
		link_nodes(&drawing, accounts, at_depth);
		mark_shown(&drawing);
		draw_children(&drawing, find_top(&drawing), 0, true);
	}
	free(at_depth);
	free(drawing.nodes);
}

void tree_free(struct tree *tree)
{
	for (size_t i = 0; i < tree->n_rows; i++)
		free(tree->rows[i].label);
	free(tree->rows);
	*tree = (struct tree){ 0 };
}

/* -- figures -- */

static const struct figure {
	const char *key;
	const char *name;
	bool is_always;
	bool is_of_all; /* left out otherwise */
} figures[] = {
	{ "usage_bytes", "usage", true, false },
	{ "own_bytes", "own", false, true },
	{ "hosted_bytes", "hosted", false, false },
	{ "shared_bytes", "shared", false, false },
	{ "foreign_bytes", "foreign", false, false },
};

static const size_t n_figures = sizeof(figures) / sizeof(figures[0]);

static bool is_told(const struct figure *figure, const json_t *account,
		    bool all)
{
	return figure->is_always || all ||
	       (!figure->is_of_all && field_number(account, figure->key));
}

/* So many columns does the widest figure take. */
static int figure_width(const struct tree *tree, bool all)
{
	size_t width = 1, len;
	char size[SIZE_TEXT];

	for (size_t i = 0; i < tree->n_rows; i++) {
		const json_t *account = tree->rows[i].account;

		for (size_t k = 0; k < n_figures; k++) {
			if (!is_told(&figures[k], account, all))
				continue;
			len = strlen(field_size(account, figures[k].key, size));
			width = len > width ? len : width;
		}
	}
	return (int)width;
}

static void print_row(const struct tree_row *row, bool all, int width,
		      FILE *out)
{
	const char *between = "";
	char size[SIZE_TEXT];

	fprintf(out, "%s (", row->label);
	for (size_t k = 0; k < n_figures; k++) {
		if (!is_told(&figures[k], row->account, all))
			continue;
		fprintf(out, "%s%s=%*s", between, figures[k].name, width,
			field_size(row->account, figures[k].key, size));
		between = ", ";
	}
	fprintf(out, ")");
}

static void print_contributors(const json_t *account, FILE *out)
{
	const json_t *list = json_object_get(account, "contributors");
	char size[SIZE_TEXT];
	json_t *value;
	size_t i;

	json_array_foreach((json_t *)list, i, value)
		fprintf(out, "%s %s %s", i ? "," : " by",
			field_text(value, "path"),
			field_size(value, "bytes", size));
}

void tree_print(const struct tree *tree, bool all, FILE *out)
{
	int width = figure_width(tree, all);

	for (size_t i = 0; i < tree->n_rows; i++) {
		print_row(&tree->rows[i], all, width, out);
		if (all)
			print_contributors(tree->rows[i].account, out);
		fprintf(out, "\n");
	}
}

void tree_show(const json_t *answer, const struct choices *choices)
{
	struct tree_how how = { .all = choices->all };
	struct tree tree;

	tree_lay_out(answer, &how, &tree);
	tree_print(&tree, choices->all, stdout);
	tree_free(&tree);
}
