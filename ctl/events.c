// SPDX-License-Identifier: GPL-2.0-or-later
/* What happens in a mount; see events.h. */
#include "events.h"

#include "ask.h"
#include "call.h"
#include "field.h"
#include "interrupt.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* -- a line -- */

static void print_time(double seconds, FILE *out)
{
	time_t whole = (time_t)seconds;
	char text[64];
	struct tm tm;

	localtime_r(&whole, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	fprintf(out, "%s.%03d", text, (int)((seconds - (double)whole) * 1000));
}

static void print_value(const char *key, const json_t *value, FILE *out)
{
	char size[SIZE_TEXT];

	if (json_is_string(value))
		fprintf(out, " %s=%s", key, json_string_value(value));
	else if (json_is_integer(value) && strstr(key, "bytes"))
		fprintf(out, " %s=%s", key,
			size_text(json_integer_value(value), size));
	else if (json_is_integer(value))
		fprintf(out, " %s=%lld", key,
			(long long)json_integer_value(value));
}

/* Those that have a place of their own in the line. */
static bool is_placed(const char *key)
{
	static const char *const keys[] = { "version", "time", "event", "path",
					    "reason" };

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(key, keys[i]) == 0)
			return true;
	return false;
}

void events_print(json_t *event, FILE *out)
{
	const char *path, *reason, *key;
	json_t *value;

	field_make_safe(event);
	path = json_string_value(json_object_get(event, "path"));
	reason = json_string_value(json_object_get(event, "reason"));
	print_time(json_number_value(json_object_get(event, "time")), out);
	fprintf(out, " %s", field_text(event, "event"));
	if (path)
		fprintf(out, " %s", path);
	json_object_foreach(event, key, value)
	{
		if (!is_placed(key))
			print_value(key, value, out);
	}
	fprintf(out, "%s%s\n", reason ? ": " : "", reason ? reason : "");
}

/* -- following -- */

/* False: it is to end, as nobody reads on, or wants more. */
static bool wait_for_more(const struct ask *ask, const sigset_t *mask)
{
	struct pollfd pfds[] = {
		{ .fd = ask->fd, .events = POLLIN },
		{ .fd = STDOUT_FILENO }, /* POLLERR: its reader has left */
	};

	while (!interrupt_came() && !ask_has_line(ask))
		if (ppoll(pfds, 2, NULL, mask) > 0)
			return !(pfds[1].revents & (POLLERR | POLLNVAL));
	return !interrupt_came();
}

/* The exit status, or -1: go on. */
static int take_line(const struct call *call, struct ask *ask)
{
	char why[ASK_WHY_MAX];
	json_t *line = ask_next(ask, why);
	int status = -1;

	if (!line) {
		fprintf(stderr, "memcgfsctl: %s\n",
			*why ? why : "the mount has ended");
		return EXIT_FAILURE;
	}
	if (json_object_get(line, "error")) {
		call_show_error(call, line);
		status = EXIT_FAILURE;
	} else if (call->choices->json) {
		json_dumpf(line, stdout, JSON_COMPACT);
		putchar('\n');
	} else if (json_object_get(line, "event")) {
		events_print(line, stdout);
	}
	json_decref(line);
	if (fflush(stdout) == EOF && errno == EPIPE)
		_exit(EXIT_SUCCESS); /* there is nobody to write to */
	return status;
}

int events_run(const struct call *call)
{
	struct question question = { .verb = "events", .path = call->path };
	char why[ASK_WHY_MAX];
	sigset_t mask;
	struct ask ask;
	int status = -1;

	if (ask_open(&question, &ask, why) < 0) {
		fprintf(stderr, "memcgfsctl: %s\n", why);
		return EXIT_FAILURE;
	}
	interrupt_catch(&mask);
	while (status < 0 && wait_for_more(&ask, &mask))
		status = take_line(call, &ask);
	ask_close(&ask);
	return status < 0 ? EXIT_SUCCESS : status;
}
