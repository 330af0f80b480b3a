// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Rules on the way down a tree: the nearer file wins, attribute by attribute,
 * and where nothing differs nodes and decisions are the same objects.
 */
#include "rulenode.h"

#include "unit.h"
#include "util.h"

static const struct rulenode_defaults defaults = {
	.rule = { .target = "/mount", .ahead_bytes = 64 * MIB },
};

static struct rules *rules_of(const char *name, const char *text)
{
	struct rules *rules = NULL;
	struct rules_error error;

	if (rules_parse(name, text, strlen(text), &rules, &error))
		fail_msg("%u:%u: %s", error.line, error.column, error.text);
	return rules;
}

/* Text of NULL: there is no such file. */
static struct rulenode *root_of(const char *mount_text, const char *own_text)
{
	struct rules *mount = mount_text ? rules_of("mount", mount_text) : NULL;
	struct rules *own = own_text ? rules_of("root", own_text) : NULL;
	struct rulenode *node;

	assert_int_equal(rulenode_new_root(&defaults, mount, own, &node), 0);
	rules_unref(mount);
	rules_unref(own);
	return node;
}

static struct rulenode *enter(struct rulenode *parent, const char *name,
			      const char *text)
{
	struct rules *own = text ? rules_of(name, text) : NULL;
	struct rulenode *node;

	assert_int_equal(rulenode_enter(parent, name, own, &node), 0);
	rules_unref(own);
	return node;
}

static struct decision *decide(struct rulenode *node, const char *name)
{
	struct decision *decision = NULL;

	assert_int_equal(rulenode_decide(node, name, false, &decision), 0);
	return decision;
}

static void expect_target(struct rulenode *node, const char *name,
			  const char *target)
{
	struct decision *decision = decide(node, name);

	assert_string_equal(decision->rule.target, target);
	decision_unref(decision);
}

static void expect_source(const struct decision *decision,
			  enum rules_attribute attribute, const char *file,
			  unsigned int line)
{
	const struct decision_source *source = &decision->sources[attribute];

	assert_string_equal(source->rules ? rules_name(source->rules) : "-",
			    file);
	assert_int_equal(source->line, line);
}

static void test_without_rules(void **state)
{
	struct rulenode *root = root_of(NULL, NULL);
	struct rulenode *dir = enter(root, "dir", NULL);
	struct decision *decision = decide(dir, "a");

	assert_ptr_equal(dir, root);
	assert_string_equal(decision->rule.target, "/mount");
	assert_int_equal(decision->rule.ahead_bytes, 64 * MIB);
	expect_source(decision, RULES_MEMCG, "-", 0);
	decision_unref(decision);
	rulenode_unref(dir);
	rulenode_unref(root);
}

/* rules=FILE yields to the root's file, and that to a directory's. */
static void test_three_files(void **state)
{
	struct rulenode *root = root_of("* memcg=/m io=strict on_error=opener",
					"# the root's\n"
					"* memcg=/r ahead=1M\n");
	struct rulenode *dir = enter(root, "dir", "a memcg=/d\na pin\nb -pin");
	struct decision *decision = decide(dir, "a");

	assert_string_equal(decision->rule.target, "/d");
	assert_true(decision->rule.pin);
	assert_int_equal(decision->rule.ahead_bytes, MIB);
	assert_int_equal(decision->rule.io, POLICY_IO_STRICT);
	assert_int_equal(decision->rule.on_error, POLICY_OPENER);
	expect_source(decision, RULES_MEMCG, "dir", 1);
	expect_source(decision, RULES_PIN, "dir", 2);
	expect_source(decision, RULES_AHEAD, "root", 2);
	expect_source(decision, RULES_IO, "mount", 1);
	decision_unref(decision);
	expect_target(dir, "b", "/r");
	expect_target(root, "a", "/r");
	rulenode_unref(dir);
	rulenode_unref(root);
}

/* "!" and @mount end the search, and leave it to the mount's options. */
static void test_back_to_the_mount(void **state)
{
	struct rulenode *root =
		root_of("* memcg=/m ahead=1M", "* memcg=/r\n*.o !memcg !ahead");
	struct rulenode *dir = enter(root, "dir", "x memcg=@mount");
	struct decision *decision = decide(root, "a.o");

	assert_string_equal(decision->rule.target, "/mount");
	assert_int_equal(decision->rule.ahead_bytes, 64 * MIB);
	expect_source(decision, RULES_MEMCG, "root", 2);
	decision_unref(decision);
	expect_target(dir, "x", "/mount");
	expect_target(dir, "y", "/r");
	rulenode_unref(dir);
	rulenode_unref(root);
}

/*
 * "*.so" is the same everywhere, so all of a tree of 10,000 directories
 * shares a node; "/lib/x" makes one of /lib, and none matters below it.
 */
static void test_sharing(void **state)
{
	struct rulenode *root = root_of(NULL, "*.so memcg=/a\n/lib/x memcg=/x");
	struct rulenode *usr = enter(root, "usr", NULL);
	struct rulenode *lib = enter(root, "lib", NULL);
	struct rulenode *below = enter(lib, "b", NULL);
	struct rulenode *node;
	char name[16];

	assert_ptr_not_equal(root, usr);
	assert_ptr_not_equal(lib, usr);
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		node = enter(usr, name, NULL);
		assert_ptr_equal(node, usr);
		rulenode_unref(node);
	}
	expect_target(lib, "x", "/x");
	expect_target(below, "x", "/mount");
	expect_target(below, "x.so", "/a");
	rulenode_unref(below);
	rulenode_unref(lib);
	rulenode_unref(usr);
	rulenode_unref(root);
}

/* Names for which the same lines decide have one decision. */
static void test_one_decision(void **state)
{
	struct rulenode *root = root_of(NULL, "*.so memcg=/a\n*.a memcg=/a");
	struct decision *one = decide(root, "x.so");
	struct decision *two = decide(root, "y.so");
	struct decision *other = decide(root, "y.a");

	assert_ptr_equal(one, two);
	assert_ptr_not_equal(one, other);
	decision_unref(two);
	decision_unref(other);
	/* It outlives its node, and its file. */
	rulenode_unref(root);
	assert_string_equal(one->rule.target, "/a");
	expect_source(one, RULES_MEMCG, "root", 1);
	decision_unref(one);
}

/* Directories are matched as such: "tmp/" is no file. */
static void test_directories(void **state)
{
	struct rulenode *root = root_of(NULL, "tmp/ memcg=/t");
	struct rulenode *tmp = enter(root, "tmp", NULL);
	struct decision *decision = NULL;

	expect_target(root, "tmp", "/mount");
	assert_int_equal(rulenode_decide(root, "tmp", true, &decision), 0);
	assert_string_equal(decision->rule.target, "/t");
	decision_unref(decision);
	expect_target(tmp, "x", "/t");
	rulenode_unref(tmp);
	rulenode_unref(root);
}

/* -- 8 threads -- */

#define THREADS 8
#define KINDS 16

struct racer {
	struct rulenode *node;
	struct decision *found[KINDS];
	unsigned int failed;
};

static void *decide_thread(void *arg)
{
	struct racer *racer = arg;
	char name[16];

	for (int i = 0; i < KINDS; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		if (rulenode_decide(racer->node, name, false,
				    &racer->found[i]) < 0)
			racer->failed++;
	}
	return NULL;
}

/* All get the same 16 objects, and none is lost. */
static void test_racing_decisions(void **state)
{
	struct racer racers[THREADS] = { 0 };
	char text[512] = "";
	struct rulenode *root;

	for (int i = 0; i < KINDS; i++)
		sprintf(text + strlen(text), "f%d memcg=/c%d\n", i, i);
	for (int round = 0; round < UNIT_ROUNDS(200); round++) {
		root = root_of(NULL, text);
		for (int i = 0; i < THREADS; i++)
			racers[i].node = root;
		run_threads(THREADS, decide_thread, racers, sizeof(racers[0]));
		for (int i = 0; i < THREADS; i++)
			for (int n = 0; n < KINDS; n++) {
				assert_int_equal(racers[i].failed, 0);
				assert_ptr_equal(racers[i].found[n],
						 racers[0].found[n]);
			}
		for (int i = 0; i < THREADS; i++)
			for (int n = 0; n < KINDS; n++)
				decision_unref(racers[i].found[n]);
		rulenode_unref(root);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_rules),
		cmocka_unit_test(test_three_files),
		cmocka_unit_test(test_back_to_the_mount),
		cmocka_unit_test(test_sharing),
		cmocka_unit_test(test_one_decision),
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_racing_decisions),
	};

	return cmocka_run_group_tests_name("rulenode", tests, NULL, NULL);
}
