// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzzes the control protocol. An input is a line that an ordinary user
 * sends: there is an answer, which can be sent, and nothing was changed. What
 * asks for a path needs a mount, and so is tested with one.
 */
#include "fuzz.h"

#include "control_priv.h"

static void take_report(void *userdata, struct stats_snapshot *snapshot)
{
	(void)userdata;
	*snapshot = (struct stats_snapshot){
		.mount = { .source = "/s", .mountpoint = "/m", .memcg = "/c" },
	};
}

static int reload(void *userdata, char reason[RULEFILE_REASON_MAX])
{
	(void)userdata;
	(void)reason;
	must(false);
	return 0;
}

static bool needs_mount(const char *line, size_t size)
{
	json_t *asked = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL);
	const char *name = json_string_value(json_object_get(asked, "verb"));
	static const char *const verbs[] = { "explain", "files", "tree",
					     "verify" };
	bool needs = false;

	for (size_t i = 0; name && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		needs |= strcmp(name, verbs[i]) == 0;

	json_decref(asked);
	return needs;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct control_config config = {
		.report = take_report,
		.reload = reload,
	};
	struct control_request request = {
		.config = &config,
		.caller = { .uid = 1000 },
		.answer = json_object(),
	};
	char *line = fuzz_text(data, size);
	char *text;

	if (size < CONTROL_REQUEST_MAX && !needs_mount(line, size)) {
		control_answer(&request, line, size);
		text = json_dumps(request.answer, JSON_COMPACT);
		must(text && !strchr(text, '\n'));
		must(json_object_get(request.answer, "version"));
		must(!json_object_get(request.answer, "errno") ==
		     !json_object_get(request.answer, "error"));
		free(text);
	}
	json_decref(request.answer);
	free(line);
	return 0;
}
