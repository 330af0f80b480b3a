// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzzes the option parser. An input is a command line, an argument a line;
 * its first byte says who calls, and by which name.
 */
#include "fuzz.h"

#include "options.h"

#include <string.h>

#define ARGS_MAX 64

static bool is_mount(const struct options *options)
{
	return options->action == OPTIONS_MOUNT ||
	       options->action == OPTIONS_CHECK;
}

/* What is accepted can be believed. */
static void check_options(const struct options *options)
{
	must(options->action <= OPTIONS_VERSION);
	must(options->mount_options);
	if (!is_mount(options))
		return;
	must(options->source && options->mountpoint);
	must(options->memcg && *options->memcg);
	must(options->io <= POLICY_IO_STRICT);
	must(options->on_error <= POLICY_OPENER);
	must(options->attr_timeout >= 0 && options->attr_timeout <= 1e9);
	must(options->entry_timeout >= 0 && options->entry_timeout <= 1e9);
	must(options->negative_timeout >= 0 &&
	     options->negative_timeout <= 1e9);
	must(options->charger_timeout >= 1 && options->charger_timeout <= 1e9);
	must(options->charger_idle >= 1 && options->charger_idle <= 1e9);
	must(options->share_decay >= 1 && options->share_decay <= 1e9);
	must(options->max_threads >= 1 && options->max_threads <= 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *argv[ARGS_MAX + 2] = { NULL };
	struct options options;
	char *copy, *rest;
	int argc = 1;

	if (!size)
		return 0;
	copy = fuzz_text(data + 1, size - 1);
	rest = copy;
	argv[0] = (char *)(data[0] & 1 ? "/sbin/mount.memcgfs" : "memcgfs");
	while (argc <= ARGS_MAX && (argv[argc] = strsep(&rest, "\n")))
		argc++;
	argv[argc] = NULL;
	memset(&options, 0xaa, sizeof(options));
	if (options_parse(argc, argv, data[0] & 2, &options) == 0) {
		check_options(&options);
		options_clear(&options);
	}
	free(copy);
	return 0;
}
