// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What rule files say of paths, in the words of git-check-attr(1), so that
 * tests can ask both.
 *
 *   rulematch ROOT <PATHS
 *
 * PATHS, each ended by a NUL, are relative to ROOT, and needn't be there. For
 * each of them and each attribute comes "PATH NUL ATTRIBUTE NUL VALUE NUL",
 * as from "git check-attr -z --stdin". A rule file that is refused counts as
 * none, and is told on stderr.
 */
#include "rulenode.h"
#include "util.h"

#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define RULE_FILE ".memcgfs"

/* The rules of the directory that is @len bytes of @path; NULL: none. */
static struct rules *read_rules(int root_fd, const char *path, size_t len)
{
	static char text[RULES_FILE_MAX + 1];
	struct rules_error error;
	struct rules *rules = NULL;
	char name[PATH_MAX];
	cleanup_close int fd = -1;
	ssize_t size;
	int r;

	snprintf(name, sizeof(name), "%.*s" RULE_FILE, (int)len, path);
	fd = openat(root_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	size = read(fd, text, sizeof(text));
	if (size < 0)
		err(1, "%s", name);
	r = rules_parse(name, text, (size_t)size, &rules, &error);
	if (r < 0)
		errx(1, "%s: %s", name, strerror(-r));
	if (r == RULES_E_INVALID)
		fprintf(stderr, "%s:%u:%u: %s\n", name, error.line,
			error.column, error.text);
	return rules;
}

static struct rulenode *root_node(int root_fd)
{
	struct rulenode_defaults defaults = { .rule.target = "/mount" };
	struct rules *own = read_rules(root_fd, "", 0);
	struct rulenode *node;

	if (rulenode_new_root(&defaults, NULL, own, &node) < 0)
		errx(1, "no memory");
	rules_unref(own);
	return node;
}

/* The node of the directory that the path's last name is in. */
static struct rulenode *walk(int root_fd, const char *path)
{
	struct rulenode *node = root_node(root_fd), *next;
	const char *at = path, *slash;
	char name[NAME_MAX + 1];
	struct rules *own;

	for (; (slash = strchr(at, '/')); at = slash + 1) {
		snprintf(name, sizeof(name), "%.*s", (int)(slash - at), at);
		own = read_rules(root_fd, path, (size_t)(slash + 1 - path));
		if (rulenode_enter(node, name, own, &next) < 0)
			errx(1, "no memory");
		rules_unref(own);
		rulenode_unref(node);
		node = next;
	}
	return node;
}

static const struct rules_line *line_of(const struct decision_source *source)
{
	for (size_t i = 0; i < rules_count(source->rules); i++)
		if (rules_line(source->rules, i)->number == source->line)
			return rules_line(source->rules, i);
	errx(1, "a decision by a line that isn't there: %u", source->line);
}

static void print_value(const struct decision *decision, int attribute)
{
	const struct decision_source *source = &decision->sources[attribute];
	const struct rules_line *line = source->rules ? line_of(source) : NULL;

	if (!line || line->unsays & 1u << attribute)
		printf("unspecified");
	else if (attribute == RULES_MEMCG)
		printf("%s", line->memcg);
	else if (attribute == RULES_IO)
		printf("%s", line->io == POLICY_IO_AUTO ? "auto" : "strict");
	else if (attribute == RULES_AHEAD)
		printf("%" PRIu64, line->ahead_bytes);
	else if (attribute == RULES_PIN)
		printf("%s", line->pin ? "set" : "unset");
	else if (attribute == RULES_SCAN)
		printf("%s",
		       line->scan == POLICY_SCAN_ALWAYS ? "set" : "unset");
	else if (attribute == RULES_SCANNERS)
		printf("%s", line->scanners);
	else
		printf("%s", line->on_error == POLICY_DENY ? "deny" : "opener");
}

static void print_decision(int root_fd, const char *path)
{
	struct rulenode *node = walk(root_fd, path);
	const char *slash = strrchr(path, '/');
	struct decision *decision;

	if (rulenode_decide(node, slash ? slash + 1 : path, false, &decision) <
	    0)
		errx(1, "no memory");
	for (int a = 0; a < RULES_ATTRIBUTES; a++) {
		printf("%s%c%s%c", path, '\0', rules_attribute_info(a)->name,
		       '\0');
		print_value(decision, a);
		putchar('\0');
	}
	decision_unref(decision);
	rulenode_unref(node);
}

int main(int argc, char **argv)
{
	cleanup_free char *path = NULL;
	cleanup_close int root_fd = -1;
	size_t size = 0;

	if (argc != 2)
		errx(2, "usage: rulematch ROOT <PATHS");
	root_fd = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0)
		err(1, "%s", argv[1]);
	while (getdelim(&path, &size, '\0', stdin) > 0)
		print_decision(root_fd, path);
	return fflush(stdout) == 0 ? 0 : 1;
}
