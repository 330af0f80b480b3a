// SPDX-License-Identifier: GPL-2.0-or-later
/* Who brought it in; see contributors.h. */
#include "contributors.h"

#include "util.h"

#include <string.h>

void contributors_init(struct contributors *contributors)
{
	*contributors = (struct contributors){ .n_named = 0 };
	lock_init(&contributors->lock);
}

void contributors_destroy(struct contributors *contributors)
{
	contributors_free_copy(contributors->named, contributors->n_named);
	lock_destroy(&contributors->lock);
}

static struct account_contribution *find(struct contributors *contributors,
					 const char *path)
{
	for (size_t i = 0; i < contributors->n_named; i++)
		if (strcmp(contributors->named[i].path, path) == 0)
			return &contributors->named[i];
	return NULL;
}

static struct account_contribution *smallest(struct contributors *contributors)
{
	struct account_contribution *least = &contributors->named[0];

	for (size_t i = 1; i < contributors->n_named; i++)
		if (contributors->named[i].bytes < least->bytes)
			least = &contributors->named[i];
	return least;
}

/* A new one, which has nothing yet; NULL: no memory. */
static struct account_contribution *make(struct contributors *contributors,
					 const char *path)
{
	struct account_contribution *made;
	char *copy;

	if (!contributors->named)
		contributors->named = calloc(CONTRIBUTORS_MAX, sizeof(*made));
	copy = contributors->named ? strdup(path) : NULL;
	if (!copy)
		return NULL;
	if (contributors->n_named < CONTRIBUTORS_MAX) {
		made = &contributors->named[contributors->n_named++];
	} else {
		made = smallest(contributors);
		contributors->others_bytes += made->bytes;
		free(made->path);
	}
	*made = (struct account_contribution){ .path = copy };
	return made;
}

void contributors_add(struct contributors *contributors, const char *path,
		      uint64_t bytes)
{
	struct account_contribution *named;

	lock_take(&contributors->lock);
	named = find(contributors, path);
	if (!named)
		named = make(contributors, path);
	if (named)
		named->bytes += bytes;
	else
		contributors->others_bytes += bytes;
	lock_give(&contributors->lock);
}

/* The largest first. */
static int compare(const void *a, const void *b)
{
	uint64_t one = ((const struct account_contribution *)a)->bytes;
	uint64_t other = ((const struct account_contribution *)b)->bytes;

	return (one < other) - (one > other);
}

static int copy_one(struct account_contribution *copy, size_t *n,
		    const char *path, uint64_t bytes)
{
	copy[*n].path = strdup(path);
	copy[*n].bytes = bytes;
	return copy[(*n)++].path ? 0 : -ENOMEM;
}

/* Under the lock. */
static int copy_all(const struct contributors *from,
		    struct account_contribution *copy, size_t *n)
{
	int r = 0;

	for (size_t i = 0; i < from->n_named && r == 0; i++)
		r = copy_one(copy, n, from->named[i].path,
			     from->named[i].bytes);
	if (r < 0)
		return r;
	qsort(copy, *n, sizeof(*copy), compare);
	if (!from->others_bytes)
		return 0;
	return copy_one(copy, n, CONTRIBUTORS_OTHERS, from->others_bytes);
}

int contributors_copy(struct contributors *contributors,
		      struct account_contribution **copy, size_t *n)
{
	struct account_contribution *made = NULL;
	size_t count = 0;
	int r = 0;

	lock_take(&contributors->lock);
	if (contributors->n_named || contributors->others_bytes) {
		made = calloc(contributors->n_named + 1, sizeof(*made));
		r = made ? copy_all(contributors, made, &count) : -ENOMEM;
	}
	lock_give(&contributors->lock);
	if (r < 0) {
		contributors_free_copy(made, count);
		return r;
	}
	*copy = made;
	*n = count;
	return 0;
}

void contributors_free_copy(struct account_contribution *copy, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(copy[i].path);
	free(copy);
}
