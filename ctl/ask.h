/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Asking a running mount; the protocol is control.h's. */
#ifndef MEMCGFS_CTL_ASK_H
#define MEMCGFS_CTL_ASK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define ASK_WHY_MAX 8192

struct question {
	const char *verb;
	/* The mount is the one that it is in, or is the mount point of; NULL:
	 * the only one there is. */
	const char *path;
	bool about_path; /* the question is about that path */
	json_t *more; /* what else is asked for; borrowed; or NULL */
	/* Told of how far the work is, if it isn't NULL. */
	void (*progress)(const json_t *progress, void *userdata);
	void *userdata;
};

/* A question that is being answered. */
struct ask {
	char point[4096]; /* of the mount */
	int fd; /* to poll for more, if ask_has_line() says no */
	char *text;
	size_t size;
	size_t len;
	size_t taken;
};

/* These give, if they fail, one line that says why. */
int ask_open(const struct question *question, struct ask *ask,
	     char why[ASK_WHY_MAX]);

/* The next line, which the caller owns; NULL: there is none, for that reason,
 * which is empty if the daemon has said all. */
json_t *ask_next(struct ask *ask, char why[ASK_WHY_MAX]);

/* Whether a line has come that wasn't taken. */
bool ask_has_line(const struct ask *ask);

/* The daemon ends what it still does for it. */
void ask_close(struct ask *ask);

/* All of that: the answer, which the caller owns; or NULL. */
json_t *ask(const struct question *question, char why[ASK_WHY_MAX]);

#endif
