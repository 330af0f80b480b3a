// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket: from a line that somebody sent to its answer. */
#include "control_priv.h"

#include "util.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define QUOTED_MAX 64 /* bytes of what was sent, in a message */

/* For masters, and for all others, at a time: chargers have other work. */
#define LONG_WORKS 2

int control_explain(struct control_request *request, int r, const char *fmt,
		    ...)
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

static int run_long(struct control_request *request,
		    const struct control_verb *verb)
{
	int r;

	if (atomic_fetch_add(request->long_works, 1) < LONG_WORKS)
		r = verb->run(request);
	else
		r = control_explain(request, -EAGAIN,
				    "others have such work done; try again");
	atomic_fetch_sub(request->long_works, 1);
	return r;
}

static int run_verb(struct control_request *request, const json_t *asked)
{
	const json_t *path = json_object_get(asked, "path");
	const json_t *stream = json_object_get(asked, "stream");
	const char *name = json_string_value(json_object_get(asked, "verb"));
	const struct control_verb *verb;

	if (!name)
		return control_explain(request, -EINVAL,
				       "a request needs a \"verb\"");
	verb = control_find_verb(name);
	if (!verb)
		return control_explain(request, -EOPNOTSUPP,
				       "unknown verb \"%.*s\"", QUOTED_MAX,
				       name);
	if (path && !json_is_string(path))
		return control_explain(request, -EINVAL,
				       "\"path\" is to be a string");
	if (stream && !json_is_boolean(stream))
		return control_explain(request, -EINVAL,
				       "\"stream\" is to be true or false");
	if (verb->needs_path && !path)
		return control_explain(request, -EINVAL,
				       "\"%s\" needs a \"path\"", verb->name);
	if (verb->masters_may && !request->is_master)
		return control_explain(request, -EPERM,
				       "only root and the mount's owner may %s",
				       verb->masters_may);
	request->asked = asked;
	request->path = json_string_value(path);
	request->streams = json_is_true(stream);
	json_object_set_new(request->answer, "version",
			    json_integer(CONTROL_VERSION));
	return verb->is_long ? run_long(request, verb) : verb->run(request);
}

void control_answer(struct control_request *request, const char *line,
		    size_t size)
{
	json_t *asked;
	int r;

	asked = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(asked))
		r = control_explain(request, -EINVAL,
				    "a request is a JSON object on a line");
	else
		r = run_verb(request, asked);
	request->asked = NULL;
	if (r < 0)
		control_refuse(request, r);
	json_decref(asked);
}
