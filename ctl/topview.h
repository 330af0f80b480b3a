/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What "top" shows, and what keys change about it: lines of text in so many
 * rows and columns, whatever draws them.
 */
#ifndef MEMCGFS_CTL_TOPVIEW_H
#define MEMCGFS_CTL_TOPVIEW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum topview_kind {
	TOPVIEW_TREE,
	TOPVIEW_FILES,
	TOPVIEW_HOSTS,
};

/* Keys that are no letters. */
enum topview_key {
	TOPVIEW_UP = 256,
	TOPVIEW_DOWN,
	TOPVIEW_PAGE_UP,
	TOPVIEW_PAGE_DOWN,
	TOPVIEW_HOME,
	TOPVIEW_END,
};

enum topview_look {
	TOPVIEW_PLAIN,
	TOPVIEW_BOLD,
	TOPVIEW_HEADING,
};

struct topview {
	enum topview_kind kind;
	const char *sort; /* as option --sort has it */
	size_t scroll; /* lines above those that are shown */
	json_t *status; /* the last answers, or NULL */
	json_t *tree;
	json_t *files;
	json_t *before; /* the status before the last, */
	double seconds; /* which was so long before */
	char *trouble; /* why there is no new answer; or NULL */
};

struct topview_line {
	char *text; /* at most as wide as was asked for */
	enum topview_look look;
};

struct topview_screen {
	struct topview_line *lines;
	size_t n_lines; /* one for each row; 0: no memory */
};

void topview_init(struct topview *view);
void topview_clear(struct topview *view);

/* These take the answer over. */
void topview_set_status(struct topview *view, json_t *status, double seconds);
void topview_set_tree(struct topview *view, json_t *tree);
void topview_set_files(struct topview *view, json_t *files);

/* Why there is none; it is copied. NULL: all is well. */
void topview_set_trouble(struct topview *view, const char *why);

/* A letter or a topview_key, where a page has @rows. False: it is to end. */
bool topview_press(struct topview *view, int key, size_t rows);

/* The screen, to be freed; it brings the scrolling within what there is. */
void topview_draw(struct topview *view, size_t rows, unsigned int columns,
		  struct topview_screen *screen);
void topview_screen_free(struct topview_screen *screen);

#endif
