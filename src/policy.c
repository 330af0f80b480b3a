// SPDX-License-Identifier: GPL-2.0-or-later
/* What is to be done with a file; see policy.h. */
#include "policy.h"

static enum policy_path choose_without_host(const struct policy_rule *rule,
					    const struct policy_facts *facts)
{
	if (rule->target && rule->on_error == POLICY_DENY)
		return POLICY_REFUSE;
	if (facts->is_cached)
		return POLICY_CACHED;
	return facts->can_passthrough ? POLICY_PASSTHROUGH : POLICY_REFUSE;
}

/* What is to be kept resident is; and who writes has use of what he wrote. */
bool policy_is_scan(const struct policy_rule *rule, bool is_scanner,
		    bool writable)
{
	if (!rule->target || rule->pin || writable)
		return false;
	return rule->scan == POLICY_SCAN_ALWAYS ||
	       (is_scanner && rule->scan != POLICY_SCAN_NEVER);
}

/*
 * A scan reads what is there as it is, whosever it is, and has nothing moved;
 * whether the scanner lives in the host is all the same.
 */
static enum policy_path choose_for_scan(const struct policy_rule *rule,
					const struct policy_facts *facts)
{
	bool fits = facts->size_bytes <= facts->room_bytes;
	bool is_small = facts->size_bytes <= POLICY_SCAN_AHEAD_BYTES ||
			facts->size_bytes <=
				facts->room_bytes / POLICY_SCAN_ROOM_PART;

	if (rule->io == POLICY_IO_STRICT || !facts->can_passthrough)
		return POLICY_SCAN;
	if (facts->in_memory || (facts->all_owned && fits))
		return POLICY_PASSTHROUGH;
	/* A page of those that is reclaimed would come back as the reader's. */
	if (facts->has_foreign || !fits || !is_small ||
	    facts->size_bytes > rule->ahead_bytes)
		return POLICY_SCAN;
	return POLICY_SCAN_AHEAD;
}

enum policy_path policy_choose(const struct policy_rule *rule,
			       const struct policy_facts *facts)
{
	bool fits = facts->size_bytes <= facts->room_bytes;
	bool ahead = fits && facts->size_bytes <= rule->ahead_bytes;

	if (!rule->target || facts->host_is_down)
		return choose_without_host(rule, facts);
	if (facts->is_cached)
		return POLICY_CACHED;
	/*
	 * In passthrough the backing file keeps the flags it was opened
	 * with; only strict I/O follows when fcntl(2) takes O_DIRECT or
	 * O_APPEND back. O_DIRECT wants nothing cached, either.
	 */
	if (facts->direct)
		return POLICY_STRICT;
	if (facts->is_scan && !facts->writable)
		return choose_for_scan(rule, facts);
	if (rule->io != POLICY_IO_STRICT && facts->can_passthrough &&
	    facts->opener_in_host && !facts->append)
		return POLICY_PASSTHROUGH;
	if (rule->io == POLICY_IO_STRICT || !facts->can_passthrough ||
	    facts->writable)
		return ahead && facts->readable ? POLICY_STRICT_AHEAD :
						  POLICY_STRICT;
	if (facts->all_owned && fits)
		return POLICY_PASSTHROUGH;
	return ahead ? POLICY_AHEAD : POLICY_STRICT;
}

static const char *why_scan(const struct policy_rule *rule,
			    const struct policy_facts *facts)
{
	if (rule->io == POLICY_IO_STRICT)
		return "a scan, and the rule says io=strict";
	if (!facts->can_passthrough)
		return "a scan, and this mount has no passthrough";
	if (facts->has_foreign)
		return "a scan, which claims nothing";
	return "a scan, too large to be charged before it is read";
}

static const char *why_strict(const struct policy_rule *rule,
			      const struct policy_facts *facts)
{
	if (facts->direct)
		return "it is open for direct I/O";
	if (rule->io == POLICY_IO_STRICT)
		return "the rule says io=strict";
	if (!facts->can_passthrough)
		return "this mount has no passthrough";
	if (facts->writable)
		return "it is open for writing by who isn't in the host";
	return facts->size_bytes > rule->ahead_bytes ?
		       "the file is larger than ahead=" :
		       "the host has no room for it";
}

static const char *why_cached(const struct policy_facts *facts)
{
	return facts->host_is_down ?
		       "the host can't be used, and on_error=opener" :
		       "the mount is io=cached";
}

const char *policy_why(const struct policy_rule *rule,
		       const struct policy_facts *facts)
{
	if (!rule->target)
		return "nothing is enforced (@opener)";
	switch (policy_choose(rule, facts)) {
	case POLICY_REFUSE:
		return "the host can't be used";
	case POLICY_AHEAD:
		return "its pages are charged before it is read";
	case POLICY_SCAN_AHEAD:
		return "a scan: what it has charged is dropped at its close";
	case POLICY_SCAN:
		return why_scan(rule, facts);
	case POLICY_STRICT:
	case POLICY_STRICT_AHEAD:
		return why_strict(rule, facts);
	case POLICY_CACHED:
		return why_cached(facts);
	case POLICY_PASSTHROUGH:
		break;
	}
	if (facts->host_is_down)
		return "the host can't be used, and on_error=opener";
	if (facts->is_scan && !facts->writable)
		return facts->all_owned ?
			       "a scan, and all of its pages are the host's" :
			       "a scan of what is in memory anyway";
	return facts->opener_in_host ? "the opener lives in the host" :
				       "all of its pages are the host's";
}

const char *policy_path_name(enum policy_path path)
{
	static const char *const names[] = {
		[POLICY_PASSTHROUGH] = "passthrough",
		[POLICY_AHEAD] = "ahead",
		[POLICY_STRICT] = "strict",
		[POLICY_STRICT_AHEAD] = "strict-ahead",
		[POLICY_CACHED] = "cached",
		[POLICY_SCAN_AHEAD] = "scan-ahead",
		[POLICY_SCAN] = "scan",
		[POLICY_REFUSE] = "refused",
	};

	return names[path];
}

const char *policy_io_name(enum policy_io io)
{
	static const char *const names[] = {
		[POLICY_IO_AUTO] = "auto",
		[POLICY_IO_STRICT] = "strict",
		[POLICY_IO_CACHED] = "cached",
	};

	return names[io];
}

const char *policy_on_error_name(enum policy_on_error on_error)
{
	return on_error == POLICY_DENY ? "deny" : "opener";
}

const char *policy_scan_name(enum policy_scan scan)
{
	static const char *const names[] = {
		[POLICY_SCAN_AUTO] = "auto",
		[POLICY_SCAN_ALWAYS] = "always",
		[POLICY_SCAN_NEVER] = "never",
	};

	return names[scan];
}
