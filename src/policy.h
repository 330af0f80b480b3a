/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is to be done with a file: which cgroup pays for it, and by which
 * path its bytes go. Pure: it is handed facts, and makes no system calls.
 *
 * A file's rule is that of the mount's options, changed by rule files: see
 * rulenode.h.
 */
#ifndef MEMCGFS_POLICY_H
#define MEMCGFS_POLICY_H

#include <stdbool.h>
#include <stdint.h>

enum policy_io {
	POLICY_IO_AUTO, /* passthrough wherever ownership is safe */
	POLICY_IO_STRICT, /* every read and write by the charger */
	POLICY_IO_CACHED, /* of a whole mount: see charge_cached.h */
};

enum policy_on_error {
	POLICY_DENY, /* without a host, opens fail */
	POLICY_OPENER, /* without a host, the kernel's first touch */
};

/* Who reads a file as a scanner does: once, and without keeping it. */
enum policy_scan {
	POLICY_SCAN_AUTO, /* who is seen to be one */
	POLICY_SCAN_ALWAYS, /* everybody */
	POLICY_SCAN_NEVER, /* nobody */
};

struct policy_rule {
	const char *target; /* NULL: @opener, nothing is enforced */
	enum policy_io io;
	enum policy_on_error on_error;
	uint64_t ahead_bytes; /* the largest file charged whole at open */
	bool pin; /* what is charged ahead stays, locked */
	enum policy_scan scan;
	const char *scanners; /* who is one anyway, see scanlist.h; or NULL */
};

/* What is known when a file is opened. */
struct policy_facts {
	bool is_cached; /* the mount is io=cached */
	bool can_passthrough; /* kernel, rights, and the file's filesystem */
	bool host_is_down;
	bool opener_in_host; /* the kernel charges his reads and writes right */
	bool readable; /* and so can be mapped */
	bool writable;
	bool direct; /* O_DIRECT */
	bool append; /* O_APPEND */
	bool all_owned; /* every page is resident, and the host's */
	bool is_scan; /* the opener goes once through many files */
	bool in_memory; /* the pages are all there is of it, as on a tmpfs */
	bool has_foreign; /* some pages are another's, or it can't be told */
	uint64_t size_bytes;
	/*
	 * The host's room for this file: three quarters of what its cache may
	 * take, less the files that are open in passthrough already. Pages of a
	 * file that fits stay until they are read.
	 */
	uint64_t room_bytes;
};

enum policy_path {
	POLICY_PASSTHROUGH, /* as it is */
	POLICY_AHEAD, /* make it resident, then passthrough */
	POLICY_STRICT, /* through the charger; mapped from the backing */
	POLICY_STRICT_AHEAD, /* the same, and resident for who maps it */
	POLICY_CACHED, /* pages of the mount's own; see charge_cached.h */
	POLICY_SCAN_AHEAD, /* as POLICY_AHEAD, until it is closed */
	POLICY_SCAN, /* strict, and what is read isn't kept */
	POLICY_REFUSE,
};

/*
 * A scan keeps at most so much of each file that it has open, or that part of
 * the host's room if it is more: larger files are read strictly. What is dropped
 * again soon must not push out what is in use. Measured: see bench/scan.py.
 */
#define POLICY_SCAN_AHEAD_BYTES (UINT64_C(1) << 20)
#define POLICY_SCAN_ROOM_PART 8

/* Whether the rule has an open of that kind treated as a scan's. */
bool policy_is_scan(const struct policy_rule *rule, bool is_scanner,
		    bool writable);

enum policy_path policy_choose(const struct policy_rule *rule,
			       const struct policy_facts *facts);

/* Why it is that path: a clause for reports. */
const char *policy_why(const struct policy_rule *rule,
		       const struct policy_facts *facts);

/* The words for reports; the middle two are those of rules and options. */
const char *policy_path_name(enum policy_path path);
const char *policy_io_name(enum policy_io io);
const char *policy_on_error_name(enum policy_on_error on_error);
const char *policy_scan_name(enum policy_scan scan);

#endif
