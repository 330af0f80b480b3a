/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What control.c, control_request.c and control_verbs.c share. */
#ifndef MEMCGFS_CONTROL_PRIV_H
#define MEMCGFS_CONTROL_PRIV_H

#include "control.h"
#include "creds.h"

#include <jansson.h>

#define CONTROL_GROUPS_MAX 256
#define CONTROL_REQUEST_MAX 16384 /* bytes of a line */

/* A request, and who makes it. */
struct control_request {
	const struct control_config *config;
	struct caller caller;
	gid_t groups[CONTROL_GROUPS_MAX];
	bool is_master; /* root, or the mount's owner */
	const char *path; /* within the mount, or NULL */
	json_t *answer; /* an object, to be filled */
	char reason[RULEFILE_REASON_MAX]; /* of a failure, if there is more to
					     say of it than its errno */
};

struct control_verb {
	const char *name;
	bool changes; /* masters alone may */
	bool needs_path;
	/* 0, or -errno. */
	int (*run)(struct control_request *request);
};

/* The verb of that name, or NULL. */
const struct control_verb *control_find_verb(const char *name);

/*
 * Does what a line asks for, and sets the answer, or why there is none: the
 * request comes with who asks, and an empty answer.
 */
void control_answer(struct control_request *request, const char *line,
		    size_t size);

/* The answer is that it can't be had. */
void control_refuse(struct control_request *request, int r);

#endif
