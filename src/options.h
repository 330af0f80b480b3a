/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The command line. One table drives parsing, defaults and --help; an error
 * is one line that quotes what was given and says what is allowed.
 */
#ifndef MEMCGFS_OPTIONS_H
#define MEMCGFS_OPTIONS_H

#include "policy.h"

#include <stdbool.h>
#include <stdint.h>

enum options_action {
	OPTIONS_MOUNT,
	OPTIONS_CHECK, /* the options alone */
	OPTIONS_HELP,
	OPTIONS_VERSION,
};

enum options_scan {
	OPTIONS_SCAN_AUTO,
	OPTIONS_SCAN_OFF, /* no scanner is looked for */
};

struct options {
	enum options_action action;
	bool foreground;
	bool debug;
	char *source; /* as given */
	char *mountpoint;
	char *memcg; /* as given: a path, or @opener */
	bool create;
	enum policy_io io;
	enum policy_on_error on_error;
	uint64_t ahead_bytes;
	bool io_uring; /* insist on it */
	double attr_timeout;
	double entry_timeout;
	double negative_timeout; /* of names that aren't there */
	uint64_t max_threads;
	double charger_timeout; /* seconds */
	double charger_idle; /* seconds */
	double share_decay; /* seconds */
	double reconcile_percent; /* of one CPU */
	char *rules; /* a file, as given; NULL: none */
	bool norulefiles;
	char *metrics; /* where to serve them, as given; NULL: nowhere */
	enum options_scan scan;
	char *scanners; /* who is one anyway, see scanlist.h; or NULL */
	uint64_t pin_max; /* bytes, of each host; 0: a part of its limit */
	/* Of the kernel's mount, for libfuse: comma-separated, or "". */
	char *mount_options;
};

/*
 * Parses the command line of memcgfs, or, by the name in argv[0], that of a
 * mount(8) helper, which is also given options that are not for it. Logs
 * what is wrong, and returns -EINVAL. @is_root decides some defaults.
 */
int options_parse(int argc, char **argv, bool is_root, struct options *options);
void options_clear(struct options *options);

/* What --help prints. */
void options_print_help(void);

#endif
