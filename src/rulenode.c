// SPDX-License-Identifier: GPL-2.0-or-later
/* What rules say of the names in a directory; see rulenode.h. */
#include "rulenode.h"

#include "util.h"

#include <stdatomic.h>
#include <string.h>

/* A line that may match here or below, and how far it has matched. */
struct live {
	struct rules *rules; /* a ref, that keeps the line */
	const struct rules_line *line;
	uint64_t state;
};

struct rulenode {
	_Atomic unsigned int refs;
	struct rulenode_defaults defaults;
	char *target; /* of the defaults */
	/* Those made so far, a ref each; it only grows. */
	_Atomic(struct decision *) decisions;
	size_t count;
	struct live live[]; /* what decides first comes first */
};

/* -- nodes -- */

static struct rulenode *node_new(const struct rulenode_defaults *defaults,
				 size_t max)
{
	struct rulenode *node;

	node = calloc(1, sizeof(*node) + max * sizeof(struct live));
	if (!node)
		return NULL;
	node->refs = 1;
	node->defaults = *defaults;
	node->target = strdup(defaults->rule.target);
	node->defaults.rule.target = node->target;
	return node->target ? node : rulenode_unref(node);
}

static void node_add(struct rulenode *node, struct rules *rules,
		     const struct rules_line *line, uint64_t state)
{
	if (!state)
		return;
	node->live[node->count++] = (struct live){
		.rules = rules_ref(rules),
		.line = line,
		.state = state,
	};
}

/* A file's lines, as they begin in its directory: the last one first. */
static void node_add_file(struct rulenode *node, struct rules *rules)
{
	size_t i = rules ? rules_count(rules) : 0;

	while (i--)
		node_add(node, rules, rules_line(rules, i),
			 pattern_start(rules_line(rules, i)->pattern));
}

static size_t lines_of(const struct rules *rules)
{
	return rules ? rules_count(rules) : 0;
}

int rulenode_new_root(const struct rulenode_defaults *defaults,
		      struct rules *mount_rules, struct rules *own,
		      struct rulenode **out)
{
	struct rulenode *node;

	node = node_new(defaults, lines_of(mount_rules) + lines_of(own));
	if (!node)
		return -ENOMEM;
	node_add_file(node, own);
	node_add_file(node, mount_rules);
	*out = node;
	return 0;
}

/* Whether all is in that directory as it is in this one. */
static bool is_same_below(const struct rulenode *node, const char *name)
{
	for (size_t i = 0; i < node->count; i++) {
		const struct live *live = &node->live[i];

		if (pattern_enter(live->line->pattern, live->state, name) !=
		    live->state)
			return false;
	}
	return true;
}

int rulenode_enter(struct rulenode *parent, const char *name, struct rules *own,
		   struct rulenode **out)
{
	struct rulenode *node;

	if (!lines_of(own) && is_same_below(parent, name)) {
		*out = rulenode_ref(parent);
		return 0;
	}
	node = node_new(&parent->defaults, lines_of(own) + parent->count);
	if (!node)
		return -ENOMEM;
	node_add_file(node, own);
	for (size_t i = 0; i < parent->count; i++) {
		const struct live *live = &parent->live[i];

		node_add(node, live->rules, live->line,
			 pattern_enter(live->line->pattern, live->state, name));
	}
	*out = node;
	return 0;
}

struct rulenode *rulenode_ref(struct rulenode *node)
{
	atomic_fetch_add(&node->refs, 1);
	return node;
}

struct rulenode *rulenode_unref(struct rulenode *node)
{
	struct decision *decision, *next;

	if (!node || atomic_fetch_sub(&node->refs, 1) > 1)
		return NULL;
	for (decision = atomic_load(&node->decisions); decision;
	     decision = next) {
		next = decision->next;
		decision_unref(decision);
	}
	for (size_t i = 0; i < node->count; i++)
		rules_unref(node->live[i].rules);
	free(node->target);
	free(node);
	return NULL;
}

/* -- decisions -- */

/* For each attribute the line that decides it, or NULL: the mount. */
struct verdict {
	const struct live *by[RULES_ATTRIBUTES];
};

static void judge(const struct rulenode *node, const char *name, bool is_dir,
		  struct verdict *verdict)
{
	unsigned int open = RULES_ALL;

	*verdict = (struct verdict){ 0 };
	for (size_t i = 0; i < node->count && open; i++) {
		const struct live *live = &node->live[i];
		unsigned int decides = live->line->says & open;

		if (!decides || !pattern_match(live->line->pattern, live->state,
					       name, is_dir))
			continue;
		open &= ~decides;
		for (int a = 0; a < RULES_ATTRIBUTES; a++)
			if (decides & 1u << a)
				verdict->by[a] = live;
	}
}

static bool is_of(const struct decision *decision,
		  const struct verdict *verdict)
{
	for (int a = 0; a < RULES_ATTRIBUTES; a++) {
		const struct decision_source *source = &decision->sources[a];
		const struct live *live = verdict->by[a];

		if (source->rules != (live ? live->rules : NULL) ||
		    (live && source->line != live->line->number))
			return false;
	}
	return true;
}

/* The line whose value holds; NULL: the mount's own does. */
static const struct rules_line *value_of(const struct verdict *verdict, int a)
{
	const struct live *live = verdict->by[a];

	return live && !(live->line->unsays & 1u << a) ? live->line : NULL;
}

static const char *target_of(const struct rulenode *node,
			     const struct verdict *verdict)
{
	const struct rules_line *line = value_of(verdict, RULES_MEMCG);

	return line && strcmp(line->memcg, "@mount") ?
		       line->memcg :
		       node->defaults.rule.target;
}

static void fill_rule(struct policy_rule *rule, const struct verdict *verdict)
{
	const struct rules_line *line;

	line = value_of(verdict, RULES_IO);
	if (line)
		rule->io = line->io;
	line = value_of(verdict, RULES_AHEAD);
	if (line)
		rule->ahead_bytes = line->ahead_bytes;
	line = value_of(verdict, RULES_PIN);
	if (line)
		rule->pin = line->pin;
	line = value_of(verdict, RULES_ON_ERROR);
	if (line)
		rule->on_error = line->on_error;
	line = value_of(verdict, RULES_SCAN);
	if (line)
		rule->scan = line->scan;
	/* The text is the line's, whose file the decision keeps. */
	line = value_of(verdict, RULES_SCANNERS);
	if (line)
		rule->scanners = line->scanners;
}

static struct decision *decision_new(const struct rulenode *node,
				     const struct verdict *verdict)
{
	const char *target = target_of(node, verdict);
	size_t size = strlen(target) + 1;
	struct decision *decision;

	decision = calloc(1, sizeof(*decision) + size);
	if (!decision)
		return NULL;
	decision->refs = 1;
	memcpy(decision->target, target, size);
	decision->rule = node->defaults.rule;
	decision->rule.target = decision->target;
	fill_rule(&decision->rule, verdict);
	for (int a = 0; a < RULES_ATTRIBUTES; a++)
		if (verdict->by[a])
			decision->sources[a] = (struct decision_source){
				.rules = rules_ref(verdict->by[a]->rules),
				.line = verdict->by[a]->line->number,
			};
	return decision;
}

/* One that is in the list from @from up to, not with, @to; or NULL. */
static struct decision *find(struct decision *from, const struct decision *to,
			     const struct verdict *verdict)
{
	for (; from != to; from = from->next)
		if (is_of(from, verdict))
			return from;
	return NULL;
}

/*
 * The list grows at its head, and nothing in it changes: who loses the race
 * looks at what is new, and takes that if it is what he wanted to add.
 */
int rulenode_decide(struct rulenode *node, const char *name, bool is_dir,
		    struct decision **out)
{
	struct decision *head = atomic_load(&node->decisions);
	struct decision *found, *made, *seen = NULL;
	struct verdict verdict;

	judge(node, name, is_dir, &verdict);
	found = find(head, NULL, &verdict);
	made = found ? NULL : decision_new(node, &verdict);
	if (!found && !made)
		return -ENOMEM;
	while (made && !found) {
		made->next = head;
		seen = head;
		if (atomic_compare_exchange_weak(&node->decisions, &head, made))
			found = steal_ptr(&made);
		else
			found = find(head, seen, &verdict);
	}
	decision_unref(made);
	*out = decision_ref(found);
	return 0;
}

struct decision *decision_ref(struct decision *decision)
{
	atomic_fetch_add(&decision->refs, 1);
	return decision;
}

struct decision *decision_unref(struct decision *decision)
{
	if (!decision || atomic_fetch_sub(&decision->refs, 1) > 1)
		return NULL;
	for (int a = 0; a < RULES_ATTRIBUTES; a++)
		rules_unref(decision->sources[a].rules);
	free(decision);
	return NULL;
}
