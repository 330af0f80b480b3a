// SPDX-License-Identifier: GPL-2.0-or-later
/* What "top" shows; see topview.h. */
#include "topview.h"

#include "field.h"
#include "files.h"
#include "fit.h"
#include "tree.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_ROWS 3 /* title, summary, heading */
#define FOOT_ROWS 1 /* keys */
#define KEYS                                                          \
	"t tree  f files  h hosts | by s size  r shared  o foreign  " \
	"n name | q quit"

/* Lines that are to be shown, or scrolled past. */
struct body {
	char **lines;
	size_t n;
	size_t size;
};

void topview_init(struct topview *view)
{
	*view = (struct topview){ .sort = "size" };
}

void topview_clear(struct topview *view)
{
	json_decref(view->status);
	json_decref(view->tree);
	json_decref(view->files);
	json_decref(view->before);
	free(view->trouble);
	topview_init(view);
}

/* -- answers -- */

static void set(json_t **place, json_t *answer)
{
	json_decref(*place);
	*place = answer;
	field_make_safe(answer);
}

void topview_set_status(struct topview *view, json_t *status, double seconds)
{
	json_decref(view->before);
	view->before = view->status;
	view->status = NULL;
	view->seconds = seconds;
	set(&view->status, status);
}

void topview_set_tree(struct topview *view, json_t *tree)
{
	set(&view->tree, tree);
}

void topview_set_files(struct topview *view, json_t *files)
{
	set(&view->files, files);
}

void topview_set_trouble(struct topview *view, const char *why)
{
	free(view->trouble);
	view->trouble = why ? strdup(why) : NULL;
}

/* -- keys -- */

static void show_kind(struct topview *view, enum topview_kind kind)
{
	view->kind = kind;
	view->scroll = 0;
}

/* What is too far is brought back when it is drawn. */
static void scroll(struct topview *view, int key, size_t page)
{
	size_t up = key == TOPVIEW_UP	   ? 1 :
		    key == TOPVIEW_PAGE_UP ? page :
		    key == TOPVIEW_HOME	   ? view->scroll :
					     0;

	if (key == TOPVIEW_DOWN)
		view->scroll++;
	else if (key == TOPVIEW_PAGE_DOWN)
		view->scroll += page;
	else if (key == TOPVIEW_END)
		view->scroll = SIZE_MAX / 2;
	else
		view->scroll -= up < view->scroll ? up : view->scroll;
}

bool topview_press(struct topview *view, int key, size_t rows)
{
	size_t around = HEAD_ROWS + FOOT_ROWS;

	switch (key) {
	case 'q':
		return false;
	case 't':
		show_kind(view, TOPVIEW_TREE);
		break;
	case 'f':
		show_kind(view, TOPVIEW_FILES);
		break;
	case 'h':
		show_kind(view, TOPVIEW_HOSTS);
		break;
	case 's':
		view->sort = "size";
		break;
	case 'r':
		view->sort = "shared";
		break;
	case 'o':
		view->sort = "foreign";
		break;
	case 'n':
		view->sort = "name";
		break;
	default:
		scroll(view, key, rows > around ? rows - around : 1);
	}
	return true;
}

/* -- the body -- */

static __attribute__((format(printf, 2, 3))) void add(struct body *body,
						      const char *fmt, ...)
{
	size_t size = body->size ? 2 * body->size : 64;
	char **lines = body->lines;
	va_list ap;

	if (body->n == body->size) {
		lines = realloc(lines, size * sizeof(*lines));
		if (!lines)
			return;
		body->lines = lines;
		body->size = size;
	}
	va_start(ap, fmt);
	if (vasprintf(&lines[body->n], fmt, ap) >= 0)
		body->n++;
	va_end(ap);
}

static void body_free(struct body *body)
{
	for (size_t i = 0; i < body->n; i++)
		free(body->lines[i]);
	free(body->lines);
}

/* What is 0 is not to be looked at. */
static const char *size_or_dash(const json_t *object, const char *key,
				char buf[SIZE_TEXT])
{
	return field_number(object, key) ? field_size(object, key, buf) : "-";
}

#define TREE_FORM "%8s %8s %8s %8s %8s  %s"

static void fill_tree(const struct topview *view, struct body *body)
{
	struct tree_how how = { .sort = view->sort };
	char usage[SIZE_TEXT], own[SIZE_TEXT], hosted[SIZE_TEXT];
	char shared[SIZE_TEXT], foreign[SIZE_TEXT];
	struct tree tree;

	tree_lay_out(view->tree, &how, &tree);
	for (size_t i = 0; i < tree.n_rows; i++) {
		const json_t *account = tree.rows[i].account;

		add(body, TREE_FORM,
		    size_or_dash(account, "usage_bytes", usage),
		    size_or_dash(account, "own_bytes", own),
		    size_or_dash(account, "hosted_bytes", hosted),
		    size_or_dash(account, "shared_bytes", shared),
		    size_or_dash(account, "foreign_bytes", foreign),
		    tree.rows[i].label);
	}
	tree_free(&tree);
}

static void fill_files(const struct topview *view, unsigned int columns,
		       struct body *body)
{
	const json_t *files = json_object_get(view->files, "files");
	char line[FILES_LINE];
	json_t *file;
	size_t i;

	json_array_foreach((json_t *)files, i, file)
		add(body, "%s", files_line(file, columns, line));
}

#define HOST_FORM "%-8s %8s %8s %8s %8s %8s  %s"

static void fill_hosts(const struct topview *view, struct body *body)
{
	const json_t *hosts = json_object_get(view->status, "hosts");
	char usage[SIZE_TEXT], hosted[SIZE_TEXT], foreign[SIZE_TEXT];
	char pinned[SIZE_TEXT], restarts[SIZE_TEXT];
	json_t *host;
	size_t i;

	json_array_foreach((json_t *)hosts, i, host)
	{
		snprintf(restarts, sizeof(restarts), "%lld",
			 field_number(host, "restarts"));
		add(body, HOST_FORM, field_text(host, "charger"), restarts,
		    size_or_dash(host, "usage_bytes", usage),
		    size_or_dash(host, "hosted_bytes", hosted),
		    size_or_dash(host, "foreign_bytes", foreign),
		    size_or_dash(host, "pinned_bytes", pinned),
		    field_text(host, "host"));
	}
}

/* How much it grows in a second. */
static double rate_of(const struct topview *view, const char *counter)
{
	const json_t *then = json_object_get(view->before, "counters");
	const json_t *now = json_object_get(view->status, "counters");

	if (!json_object_get(then, counter) || view->seconds <= 0)
		return 0;
	return (double)(field_number(now, counter) -
			field_number(then, counter)) /
	       view->seconds;
}

static void fill_counters(const struct topview *view, struct body *body)
{
	json_t *counters = json_object_get(view->status, "counters");
	const char *key;
	json_t *value;

	add(body, "%s", "");
	add(body, "%18s %12s  %s", "TOTAL", "A SECOND", "COUNTER");
	json_object_foreach(counters, key, value)
		add(body, "%18lld %12.0f  %s",
		    (long long)json_integer_value(value), rate_of(view, key),
		    key);
}

static void fill(const struct topview *view, unsigned int columns,
		 struct body *body)
{
	switch (view->kind) {
	case TOPVIEW_TREE:
		fill_tree(view, body);
		break;
	case TOPVIEW_FILES:
		fill_files(view, columns, body);
		break;
	case TOPVIEW_HOSTS:
		fill_hosts(view, body);
		fill_counters(view, body);
	}
}

/* -- around it -- */

static void write_title(const struct topview *view, char *line, size_t size)
{
	snprintf(line, size, "memcgfs %s  memcg=%s  io=%s",
		 field_text(view->status, "mountpoint"),
		 field_text(view->status, "memcg"),
		 field_text(view->status, "io"));
}

/* How the mount is, and what of which view is shown. */
static void write_summary(const struct topview *view, size_t n_lines,
			  char *line, size_t size)
{
	static const char *const kinds[] = { "tree", "files", "hosts" };
	json_t *degraded = json_object_get(view->status, "degraded");
	const char *first = json_string_value(json_array_get(degraded, 0));

	if (view->trouble)
		snprintf(line, size, "%s", view->trouble);
	else if (!view->status)
		snprintf(line, size, "asking...");
	else
		snprintf(line, size, "%s%s%s: %zu lines; degraded: %s",
			 kinds[view->kind],
			 view->kind == TOPVIEW_HOSTS ? "" : " by ",
			 view->kind == TOPVIEW_HOSTS ? "" : view->sort, n_lines,
			 first ? first : "no");
}

static void write_heading(const struct topview *view, unsigned int columns,
			  char line[FILES_LINE])
{
	switch (view->kind) {
	case TOPVIEW_TREE:
		snprintf(line, FILES_LINE, TREE_FORM, "USAGE", "OWN", "HOSTED",
			 "SHARED", "FOREIGN", "CGROUP");
		break;
	case TOPVIEW_FILES:
		files_line(NULL, columns, line);
		break;
	case TOPVIEW_HOSTS:
		snprintf(line, FILES_LINE, HOST_FORM, "CHARGER", "RESTARTS",
			 "USAGE", "HOSTED", "FOREIGN", "PINNED", "HOST");
	}
}

static void put(struct topview_screen *screen, size_t row, const char *text,
		enum topview_look look, unsigned int columns)
{
	char fitted[FILES_LINE];

	if (row >= screen->n_lines)
		return;
	free(screen->lines[row].text);
	fit_begin(text, columns, fitted, sizeof(fitted));
	screen->lines[row].text = strdup(fitted);
	screen->lines[row].look = look;
}

void topview_draw(struct topview *view, size_t rows, unsigned int columns,
		  struct topview_screen *screen)
{
	size_t page =
		rows > HEAD_ROWS + FOOT_ROWS ? rows - HEAD_ROWS - FOOT_ROWS : 0;
	struct body body = { 0 };
	char line[FILES_LINE];

	screen->lines = calloc(rows, sizeof(*screen->lines));
	screen->n_lines = screen->lines ? rows : 0;
	fill(view, columns, &body);
	if (view->scroll + page > body.n || view->scroll > body.n)
		view->scroll = body.n > page ? body.n - page : 0;
	write_title(view, line, sizeof(line));
	put(screen, 0, line, TOPVIEW_BOLD, columns);
	write_summary(view, body.n, line, sizeof(line));
	put(screen, 1, line, TOPVIEW_PLAIN, columns);
	write_heading(view, columns, line);
	put(screen, 2, line, TOPVIEW_HEADING, columns);
	for (size_t i = 0; i < page; i++)
		put(screen, HEAD_ROWS + i,
		    view->scroll + i < body.n ? body.lines[view->scroll + i] :
						"",
		    TOPVIEW_PLAIN, columns);
	put(screen, rows - 1, KEYS, TOPVIEW_BOLD, columns);
	body_free(&body);
}

void topview_screen_free(struct topview_screen *screen)
{
	for (size_t i = 0; i < screen->n_lines; i++)
		free(screen->lines[i].text);
	free(screen->lines);
	*screen = (struct topview_screen){ 0 };
}
