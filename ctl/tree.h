/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The books, drawn as a tree of cgroups, in the form of the mail that the
 * model is from:
 *
 *	A (usage=48M, hosted= 8M)
 *	+-B (usage= 8M, shared= 8M)
 *	\-C (usage=32M, shared= 8M)
 */
#ifndef MEMCGFS_CTL_TREE_H
#define MEMCGFS_CTL_TREE_H

#include "command.h"

#include <stdio.h>

/* An account's place in the drawing. */
struct tree_row {
	const json_t *account; /* borrowed of the answer */
	char *label; /* "| +-B", to be freed by tree_free() */
};

struct tree {
	struct tree_row *rows;
	size_t n_rows;
};

struct tree_how {
	bool all; /* those without any bytes, and from the root on */
	const char *sort; /* of siblings, as of files; NULL: as they came */
};

/*
 * Lays the accounts of an answer of "tree" out; they outlive it. Without
 * memory, there are no rows.
 */
void tree_lay_out(const json_t *answer, const struct tree_how *how,
		  struct tree *tree);
void tree_free(struct tree *tree);

/* Draws them with their figures, all of them or those that aren't 0. */
void tree_print(const struct tree *tree, bool all, FILE *out);

void tree_show(const json_t *answer, const struct choices *choices);

#endif
