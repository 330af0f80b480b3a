// SPDX-License-Identifier: GPL-2.0-or-later
/* What happens, told by the control socket until the client leaves. */
#include "control_priv.h"

#include "util.h"

#define LOOK_MS 100 /* whether he has */

static void add_string(json_t *line, const char *key, const char *text)
{
	if (text)
		json_object_set_new(line, key, report_string(text));
}

static json_t *new_line(uint64_t time_ns, const char *name)
{
	return json_pack("{sf ss}", "time", (double)time_ns / 1e9, "event",
			 name);
}

static int send_line(struct control_request *request, json_t *line)
{
	int r = line ? control_send(request, line) : -ENOMEM;

	json_decref(line);
	return r;
}

static int send_event(struct control_request *request,
		      const struct event *event)
{
	json_t *line = new_line(event->time_ns, event_name(event->kind));

	add_string(line, "path", event->path);
	add_string(line, "host", event->host);
	add_string(line, "account", event->account);
	add_string(line, "reason", event->reason);
	if (event->bytes)
		json_object_set_new(line, "bytes",
				    json_integer((json_int_t)event->bytes));
	return send_line(request, line);
}

static int send_missed(struct control_request *request, uint64_t missed,
		       uint64_t time_ns)
{
	json_t *line = new_line(time_ns, "missed");

	json_object_set_new(line, "count", json_integer((json_int_t)missed));
	return send_line(request, line);
}

static int follow(struct control_request *request, uint64_t place)
{
	struct events *events = request->config->events;
	const struct event *event;
	uint64_t missed;
	int r;

	/* He is told when it begins. */
	r = send_event(request,
		       &(struct event){ .kind = EVENT_follow,
					.time_ns = clock_ns(CLOCK_REALTIME) });
	while (r == 0 && !control_is_left(request)) {
		event = events_next(events, &place, LOOK_MS, &missed);
		if (event && missed)
			r = send_missed(request, missed, event->time_ns);
		if (event && r == 0)
			r = send_event(request, event);
		event_unref(event);
	}
	return r;
}

int control_run_events(struct control_request *request)
{
	struct events *events = request->config->events;
	uint64_t place;
	int r;

	r = events_follow(events, &place);
	if (r < 0)
		return control_explain(request, r,
				       "too many follow events; try again");
	r = follow(request, place);
	events_unfollow(events);
	return r;
}
