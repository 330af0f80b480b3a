// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzzes the parser of rules, and what is decided by them. An input is a
 * file of rules, a NUL, and a path: the rules hold for the whole mount, and
 * again in each directory on the way. What is decided is the same, found
 * again, and all that was made is given back.
 */
#include "fuzz.h"

#include "rulenode.h"

#define DEPTH_MAX 64

static const struct rulenode_defaults defaults = {
	.rule = { .target = "/mount", .ahead_bytes = 1 << 20 },
};

static void check_error(const struct rules_error *error, const char *text)
{
	must(error->line >= 1 && error->column >= 1);
	must(error->column <= strlen(text) + 1);
	must(*error->text &&
	     strnlen(error->text, sizeof(error->text)) < sizeof(error->text));
}

static void check_rules(const struct rules *rules)
{
	const struct rules_line *line;
	unsigned int number = 0;

	for (size_t i = 0; i < rules_count(rules); i++) {
		line = rules_line(rules, i);
		must(line->number > number);
		must(line->says && !(line->says & ~RULES_ALL));
		must(!(line->unsays & ~line->says));
		must(line->pattern);
		number = line->number;
	}
}

static void check_decision(struct rulenode *node, const char *name)
{
	struct decision *one, *two;

	for (int is_dir = 0; is_dir < 2; is_dir++) {
		must(rulenode_decide(node, name, is_dir, &one) == 0);
		must(rulenode_decide(node, name, is_dir, &two) == 0);
		must(one == two);
		must(one->rule.target);
		must(one->rule.target[0] == '/' ||
		     strcmp(one->rule.target, "@opener") == 0);
		decision_unref(one);
		decision_unref(two);
	}
}

static void walk(struct rules *rules, char *path)
{
	struct rulenode *node, *next;
	char *rest = path;
	char *name;

	must(rulenode_new_root(&defaults, rules, rules, &node) == 0);
	for (int i = 0; i < DEPTH_MAX && (name = strsep(&rest, "/")); i++) {
		if (!*name)
			continue;
		check_decision(node, name);
		must(rulenode_enter(node, name, i % 3 ? NULL : rules, &next) ==
		     0);
		rulenode_unref(node);
		node = next;
	}
	rulenode_unref(node);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rules_error error = { 0 };
	struct rules *rules = NULL;
	const char *rest;
	char *text = fuzz_two_texts(data, size, &rest);
	char *path = fuzz_text((const uint8_t *)rest, strlen(rest));
	int r;

	r = rules_parse("file", text, strlen(text), &rules, &error);
	if (r == 0) {
		check_rules(rules);
		walk(rules, path);
	} else {
		must(r == RULES_E_INVALID && !rules);
		check_error(&error, text);
	}
	rules_unref(rules);
	free(path);
	free(text);
	return 0;
}
