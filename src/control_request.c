// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket: from a line that somebody sent to its answer. */
#include "control_priv.h"

#include "util.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define QUOTED_MAX 64 /* bytes of what was sent, in a message */

static __attribute__((format(printf, 3, 4))) int
refuse(struct control_request *request, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(request->reason, sizeof(request->reason), fmt, ap);
	va_end(ap);
	return r;
}

void control_refuse(struct control_request *request, int r)
{
	json_t *answer = request->answer;

	json_object_clear(answer);
	json_object_set_new(answer, "version", json_integer(CONTROL_VERSION));
	json_object_set_new(answer, "errno", json_integer(-r));
	/* What the reason quotes may be cut within a character. */
	if (json_object_set_new(answer, "error", json_string(request->reason)) <
		    0 ||
	    !*request->reason)
		json_object_set_new(answer, "error", json_string(strerror(-r)));
}

static int run_verb(struct control_request *request, const json_t *asked)
{
	const json_t *path = json_object_get(asked, "path");
	const char *name = json_string_value(json_object_get(asked, "verb"));
	const struct control_verb *verb;

	if (!name)
		return refuse(request, -EINVAL, "a request needs a \"verb\"");
	verb = control_find_verb(name);
	if (!verb)
		return refuse(request, -EOPNOTSUPP, "unknown verb \"%.*s\"",
			      QUOTED_MAX, name);
	if (path && !json_is_string(path))
		return refuse(request, -EINVAL, "\"path\" is to be a string");
	if (verb->needs_path && !path)
		return refuse(request, -EINVAL, "\"%s\" needs a \"path\"",
			      verb->name);
	if (verb->changes && !request->is_master)
		return refuse(request, -EPERM,
			      "only root and the mount's owner may %s",
			      verb->name);
	request->path = json_string_value(path);
	json_object_set_new(request->answer, "version",
			    json_integer(CONTROL_VERSION));
	return verb->run(request);
}

void control_answer(struct control_request *request, const char *line,
		    size_t size)
{
	json_t *asked;
	int r;

	asked = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(asked))
		r = refuse(request, -EINVAL,
			   "a request is a JSON object on a line");
	else
		r = run_verb(request, asked);
	if (r < 0)
		control_refuse(request, r);
	json_decref(asked);
}
