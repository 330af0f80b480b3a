// SPDX-License-Identifier: GPL-2.0-or-later
/* Which path an open takes: a table of facts, and what holds for all. */
#include "policy.h"

#include "unit.h"
#include "util.h"

/* Rules of a mount; files up to 64 MiB are charged whole. */
static const struct policy_rule by_default = {
	.target = "/shared/data",
	.ahead_bytes = 64 * MIB,
};
static const struct policy_rule strict = {
	.target = "/shared/data",
	.ahead_bytes = 64 * MIB,
	.io = POLICY_IO_STRICT,
};
static const struct policy_rule lenient = {
	.target = "/shared/data",
	.ahead_bytes = 64 * MIB,
	.on_error = POLICY_OPENER,
};
static const struct policy_rule never_ahead = {
	.target = "/shared/data",
	.ahead_bytes = 0,
};
static const struct policy_rule opener = {
	.target = NULL,
	.ahead_bytes = 64 * MIB,
};

/* Facts, as a word of them; a file has 10 MiB, and there is room of 1 GiB. */
enum {
	READS = 1 << 0,
	WRITES = 1 << 1,
	IN_HOST = 1 << 2,
	ALL_OWNED = 1 << 3,
	NO_PASSTHROUGH = 1 << 4,
	HOST_IS_DOWN = 1 << 5,
	DIRECT = 1 << 6,
	SCAN = 1 << 7,
	HAS_FOREIGN = 1 << 8,
	IN_MEMORY = 1 << 9,
	ALL_FACTS = (1 << 10) - 1,
};

#define SIZE (10 * MIB)
#define ROOM (1024 * MIB)

static struct policy_facts facts_of(unsigned int facts, uint64_t size_bytes,
				    uint64_t room_bytes)
{
	return (struct policy_facts){
		.can_passthrough = !(facts & NO_PASSTHROUGH),
		.host_is_down = facts & HOST_IS_DOWN,
		.opener_in_host = facts & IN_HOST,
		.readable = facts & READS,
		.writable = facts & WRITES,
		.all_owned = facts & ALL_OWNED,
		.direct = facts & DIRECT,
		.is_scan = facts & SCAN,
		.has_foreign = facts & HAS_FOREIGN,
		.in_memory = facts & IN_MEMORY,
		.size_bytes = size_bytes,
		.room_bytes = room_bytes,
	};
}

struct story {
	const char *name;
	const struct policy_rule *rule;
	unsigned int facts;
	uint64_t size_bytes;
	uint64_t room_bytes;
	enum policy_path path;
};

static const struct story stories[] = {
	{ "a reader: charge the file, then let him have it", &by_default, READS,
	  SIZE, ROOM, POLICY_AHEAD },
	{ "all is the host's already", &by_default, READS | ALL_OWNED, SIZE,
	  ROOM, POLICY_PASSTHROUGH },
	{ "all is the host's; larger than ahead=, but it fits", &by_default,
	  READS | ALL_OWNED, 500 * MIB, ROOM, POLICY_PASSTHROUGH },
	{ "all is the host's, and too large to stay so", &by_default,
	  READS | ALL_OWNED, SIZE, 5 * MIB, POLICY_STRICT },
	{ "an empty file, and no room", &by_default, READS, 0, 0,
	  POLICY_AHEAD },

	{ "exactly ahead=", &by_default, READS, 64 * MIB, ROOM, POLICY_AHEAD },
	{ "one byte more than ahead=", &by_default, READS, 64 * MIB + 1, ROOM,
	  POLICY_STRICT },
	{ "ahead=0", &never_ahead, READS, SIZE, ROOM, POLICY_STRICT },
	{ "exactly the room", &by_default, READS, SIZE, SIZE, POLICY_AHEAD },
	{ "one byte more than the room", &by_default, READS, SIZE, SIZE - 1,
	  POLICY_STRICT },

	{ "a writer", &by_default, WRITES, SIZE, ROOM, POLICY_STRICT },
	{ "a writer who may map", &by_default, READS | WRITES, SIZE, ROOM,
	  POLICY_STRICT_AHEAD },
	{ "all is the host's, but what he writes wouldn't be", &by_default,
	  READS | WRITES | ALL_OWNED, SIZE, ROOM, POLICY_STRICT_AHEAD },
	{ "a writer who may map, of a large file", &by_default, READS | WRITES,
	  65 * MIB, ROOM, POLICY_STRICT },

	{ "a reader in the host is charged right by the kernel", &by_default,
	  READS | IN_HOST, SIZE, ROOM, POLICY_PASSTHROUGH },
	{ "and so is a writer in it", &by_default, WRITES | IN_HOST, SIZE, ROOM,
	  POLICY_PASSTHROUGH },
	{ "in the host, whatever the size", &by_default, READS | IN_HOST,
	  9000 * MIB, ROOM, POLICY_PASSTHROUGH },
	{ "in the host, where nothing can pass through", &by_default,
	  READS | IN_HOST | NO_PASSTHROUGH, SIZE, ROOM, POLICY_STRICT_AHEAD },

	{ "no passthrough", &by_default, READS | NO_PASSTHROUGH, SIZE, ROOM,
	  POLICY_STRICT_AHEAD },
	{ "no passthrough, all is the host's", &by_default,
	  READS | NO_PASSTHROUGH | ALL_OWNED, SIZE, ROOM, POLICY_STRICT_AHEAD },
	{ "no passthrough, a large file", &by_default, READS | NO_PASSTHROUGH,
	  65 * MIB, ROOM, POLICY_STRICT },
	{ "no passthrough, a writer", &by_default, WRITES | NO_PASSTHROUGH,
	  SIZE, ROOM, POLICY_STRICT },

	{ "io=strict", &strict, READS, SIZE, ROOM, POLICY_STRICT_AHEAD },
	{ "io=strict, all is the host's", &strict, READS | ALL_OWNED, SIZE,
	  ROOM, POLICY_STRICT_AHEAD },
	{ "io=strict, in the host", &strict, READS | IN_HOST, SIZE, ROOM,
	  POLICY_STRICT_AHEAD },
	{ "io=strict, a large file", &strict, READS, 65 * MIB, ROOM,
	  POLICY_STRICT },
	{ "io=strict, a writer", &strict, WRITES, SIZE, ROOM, POLICY_STRICT },

	{ "O_DIRECT", &by_default, READS | DIRECT, SIZE, ROOM, POLICY_STRICT },
	{ "O_DIRECT, all is the host's", &by_default,
	  READS | DIRECT | ALL_OWNED, SIZE, ROOM, POLICY_STRICT },
	{ "O_DIRECT in the host", &by_default, READS | DIRECT | IN_HOST, SIZE,
	  ROOM, POLICY_STRICT },
	{ "O_DIRECT of @opener is his own matter", &opener, READS | DIRECT,
	  SIZE, ROOM, POLICY_PASSTHROUGH },

	{ "no host, on_error=deny", &by_default, READS | HOST_IS_DOWN, SIZE,
	  ROOM, POLICY_REFUSE },
	{ "no host, on_error=deny, for one who lives there", &by_default,
	  READS | HOST_IS_DOWN | IN_HOST, SIZE, ROOM, POLICY_REFUSE },
	{ "no host, on_error=deny, io=strict", &strict, READS | HOST_IS_DOWN,
	  SIZE, ROOM, POLICY_REFUSE },
	{ "no host, on_error=opener", &lenient, READS | HOST_IS_DOWN, SIZE,
	  ROOM, POLICY_PASSTHROUGH },
	{ "no host, on_error=opener, a writer", &lenient, WRITES | HOST_IS_DOWN,
	  SIZE, ROOM, POLICY_PASSTHROUGH },
	{ "on_error=opener says nothing of a host that is there", &lenient,
	  READS, SIZE, ROOM, POLICY_AHEAD },

	{ "a scan of a small file", &by_default, READS | SCAN, MIB, ROOM,
	  POLICY_SCAN_AHEAD },
	{ "a scan of one byte more", &by_default, READS | SCAN, MIB + 1,
	  8 * MIB, POLICY_SCAN },
	{ "a scan of an eighth of the room", &by_default, READS | SCAN, SIZE,
	  8 * SIZE, POLICY_SCAN_AHEAD },
	{ "a scan of what is the host's, however large", &by_default,
	  READS | SCAN | ALL_OWNED, 500 * MIB, ROOM, POLICY_PASSTHROUGH },
	{ "a scan of what is the host's, and doesn't fit", &by_default,
	  READS | SCAN | ALL_OWNED, SIZE, 5 * MIB, POLICY_SCAN },
	{ "a scan of what is another's", &by_default,
	  READS | SCAN | HAS_FOREIGN, MIB, ROOM, POLICY_SCAN },
	{ "a scan by who lives in the host", &by_default,
	  READS | SCAN | IN_HOST, SIZE, 8 * SIZE - 1, POLICY_SCAN },
	{ "a scan without room", &by_default, READS | SCAN, MIB, MIB - 1,
	  POLICY_SCAN },
	{ "a scan, ahead=0", &never_ahead, READS | SCAN, MIB, ROOM,
	  POLICY_SCAN },
	{ "a scan of a tmpfs", &by_default,
	  READS | SCAN | IN_MEMORY | HAS_FOREIGN, SIZE, ROOM,
	  POLICY_PASSTHROUGH },
	{ "a scan, io=strict", &strict, READS | SCAN | ALL_OWNED, MIB, ROOM,
	  POLICY_SCAN },
	{ "a scan without passthrough", &by_default,
	  READS | SCAN | NO_PASSTHROUGH, MIB, ROOM, POLICY_SCAN },
	{ "a scan, O_DIRECT", &by_default, READS | SCAN | DIRECT, MIB, ROOM,
	  POLICY_STRICT },
	{ "a scan, no host", &by_default, READS | SCAN | HOST_IS_DOWN, MIB,
	  ROOM, POLICY_REFUSE },

	{ "@opener", &opener, READS, SIZE, ROOM, POLICY_PASSTHROUGH },
	{ "@opener, a writer", &opener, WRITES, SIZE, ROOM,
	  POLICY_PASSTHROUGH },
	{ "@opener has no host that could be down", &opener,
	  READS | HOST_IS_DOWN, SIZE, ROOM, POLICY_PASSTHROUGH },
};

static void test_stories(void **state)
{
	const struct story *story;
	struct policy_facts facts;
	enum policy_path path;

	for (size_t i = 0; i < ARRAY_SIZE(stories); i++) {
		story = &stories[i];
		facts = facts_of(story->facts, story->size_bytes,
				 story->room_bytes);
		path = policy_choose(story->rule, &facts);
		if (path != story->path)
			fail_msg("%s: %s, and should be %s", story->name,
				 policy_path_name(path),
				 policy_path_name(story->path));
	}
}

/* The pages that the opener will miss are charged to the right cgroup. */
static bool may_pass(const struct policy_rule *rule,
		     const struct policy_facts *facts)
{
	if (!rule->target)
		return true;
	if (facts->host_is_down)
		return rule->on_error == POLICY_OPENER;
	if (rule->io == POLICY_IO_STRICT || facts->direct)
		return false;
	if (facts->is_scan && !facts->writable && facts->in_memory)
		return true; /* its reads add no page */
	return (facts->opener_in_host &&
		!(facts->is_scan && !facts->writable)) ||
	       (!facts->writable && facts->all_owned &&
		facts->size_bytes <= facts->room_bytes);
}

static void check_promises(const struct policy_rule *rule,
			   const struct policy_facts *facts)
{
	enum policy_path path = policy_choose(rule, facts);
	bool is_scan = path == POLICY_SCAN || path == POLICY_SCAN_AHEAD;
	bool ahead = path == POLICY_AHEAD || path == POLICY_STRICT_AHEAD ||
		     path == POLICY_SCAN_AHEAD;

	if (path == POLICY_PASSTHROUGH || path == POLICY_AHEAD ||
	    path == POLICY_SCAN_AHEAD)
		assert_true(facts->can_passthrough);
	if (path == POLICY_PASSTHROUGH)
		assert_true(may_pass(rule, facts));
	if (is_scan)
		assert_true(facts->is_scan);
	if (path == POLICY_SCAN_AHEAD) {
		assert_false(facts->has_foreign);
		assert_int_equal(rule->io, POLICY_IO_AUTO);
	}
	if (path == POLICY_AHEAD) {
		assert_false(facts->writable);
		assert_int_equal(rule->io, POLICY_IO_AUTO);
	}
	if (ahead) {
		assert_true(facts->size_bytes <= rule->ahead_bytes);
		assert_true(facts->size_bytes <= facts->room_bytes);
	}
	if (path == POLICY_STRICT_AHEAD)
		assert_true(facts->readable);
	if (path == POLICY_STRICT || ahead || is_scan) {
		assert_non_null(rule->target);
		assert_false(facts->host_is_down);
	}
}

/* All facts, of files and rooms of all kinds of sizes. */
static unsigned int check_rule(const struct policy_rule *rule)
{
	static const uint64_t sizes[] = { 0, 10 * MIB, 64 * MIB, 65 * MIB };
	struct policy_facts facts;
	unsigned int cases = 0;

	for (unsigned int bits = 0; bits <= ALL_FACTS; bits++)
		for (size_t i = 0; i < 16; i++) {
			facts = facts_of(bits, sizes[i % 4], sizes[i / 4]);
			check_promises(rule, &facts);
			cases++;
		}
	return cases;
}

/*
 * Whatever the facts: nobody passes through whose pages would be charged
 * wrong, and nothing is charged ahead that doesn't fit.
 */
static void test_promises(void **state)
{
	assert_int_equal(check_rule(&by_default), 1024 * 16);
	check_rule(&strict);
	check_rule(&lenient);
	check_rule(&never_ahead);
	check_rule(&opener);
}

/* By the rule, or by who reads; but no file that is to be there anyway. */
static void test_whose_opens_are_scans(void **state)
{
	struct policy_rule rule = by_default;

	assert_false(policy_is_scan(&rule, false, false));
	assert_true(policy_is_scan(&rule, true, false));
	assert_false(policy_is_scan(&rule, true, true));
	rule.scan = POLICY_SCAN_ALWAYS;
	assert_true(policy_is_scan(&rule, false, false));
	assert_false(policy_is_scan(&rule, false, true));
	rule.pin = true;
	assert_false(policy_is_scan(&rule, true, false));
	rule.pin = false;
	rule.scan = POLICY_SCAN_NEVER;
	assert_false(policy_is_scan(&rule, true, false));
	assert_false(policy_is_scan(&opener, true, false));
}

/* The words that reports use. */
static void test_names(void **state)
{
	assert_string_equal(policy_path_name(POLICY_PASSTHROUGH),
			    "passthrough");
	assert_string_equal(policy_path_name(POLICY_AHEAD), "ahead");
	assert_string_equal(policy_path_name(POLICY_STRICT), "strict");
	assert_string_equal(policy_path_name(POLICY_STRICT_AHEAD),
			    "strict-ahead");
	assert_string_equal(policy_path_name(POLICY_SCAN_AHEAD), "scan-ahead");
	assert_string_equal(policy_path_name(POLICY_SCAN), "scan");
	assert_string_equal(policy_path_name(POLICY_REFUSE), "refused");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stories),
		cmocka_unit_test(test_promises),
		cmocka_unit_test(test_whose_opens_are_scans),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
