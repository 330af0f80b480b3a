// SPDX-License-Identifier: GPL-2.0-or-later
/* The rules that hold for the known inodes, 1: the book; see rulebook.h. */
#include "rulebook_priv.h"

#include "inode_place.h"
#include "log.h"
#include "util.h"

#include <string.h>

#define FIRST_EPOCH 1 /* 0: never looked up */

/* -- inodes -- */

static const struct binding *bind(struct rulebook *book,
				  struct decision *decision)
{
	const struct binding *binding = atomic_load(&decision->userdata);
	struct policy_rule rule = decision->rule;
	int r;

	if (binding)
		return binding;
	if (strcmp(rule.target, "@opener") == 0)
		rule.target = NULL;
	r = hosts_bind(book->config.hosts, &rule, true, &binding);
	if (r == 0) {
		atomic_store(&decision->userdata, binding);
		return binding;
	}
	log_warning_once("a rule's target \"%s\" can't be used: %s; the "
			 "mount's own holds",
			 decision->rule.target, strerror(-r));
	return book->config.fallback;
}

int rulebook_explain(struct rulebook *book, struct inode *inode,
		     struct rulebook_answer *answer)
{
	struct inode_table *table = book->config.table;
	char name[NAME_MAX + 1];
	struct rule_dir *dir;
	struct inode *parent;
	int r;

	parent = inode_parent_get(table, inode, name);
	if (!parent)
		return -ENOENT;
	dir = rule_dir_look(book, parent, rulebook_now_ms());
	inode_child_put(table, parent);
	if (!dir)
		return -ENOMEM;
	r = rulenode_decide(dir->node, name, S_ISDIR(inode->type),
			    &answer->decision);
	rule_dir_unref(dir);
	if (r == 0)
		answer->binding = bind(book, answer->decision);
	return r;
}

const struct binding *rulebook_fallback(const struct rulebook *book)
{
	return book->config.fallback;
}

/*
 * As long as its directory's snapshot is the same, and its name, what was
 * decided holds. Should it move meanwhile, it is looked up again.
 */
static void look_up(struct rulebook *book, struct inode *inode)
{
	struct inode_table *table = book->config.table;
	struct decision *decision = NULL;
	char name[NAME_MAX + 1];
	struct rule_dir *dir;
	struct inode *parent;
	uint32_t epoch;

	parent = inode_parent_get(table, inode, name);
	if (!parent)
		return;
	dir = rule_dir_look(book, parent, rulebook_now_ms());
	inode_child_put(table, parent);
	if (!dir)
		return;
	epoch = atomic_load(&dir->epoch);
	if ((atomic_load(&inode->rule_epoch) != epoch ||
	     atomic_load(&inode->rule_serial) != dir->serial) &&
	    rulenode_decide(dir->node, name, false, &decision) == 0) {
		if (charge_bind(book->config.charge, inode,
				bind(book, decision)))
			mover_queue(book->mover, inode);
		decision_unref(decision);
		atomic_store(&inode->rule_serial, dir->serial);
		atomic_store(&inode->rule_epoch, epoch);
		if (!inode_is_named(table, inode, name))
			atomic_store(&inode->rule_epoch, 0);
	}
	atomic_store(&inode->rule_ms, atomic_load(&dir->checked_ms));
	rule_dir_unref(dir);
}

void rulebook_refresh(struct rulebook *book, struct inode *inode)
{
	if (!book->is_active)
		return;
	if (atomic_load_explicit(&inode->rule_epoch, memory_order_relaxed) ==
		    atomic_load_explicit(&book->epoch, memory_order_relaxed) &&
	    rulebook_now_ms() - atomic_load_explicit(&inode->rule_ms,
						     memory_order_relaxed) <
		    RULEBOOK_RECHECK_MS)
		return;
	look_up(book, inode);
}

/* -- the book -- */

/* Called by the mover for what is resident, after a change. */
static void on_sweep(void *userdata, struct inode *inode)
{
	struct rulebook *book = userdata;

	rulebook_refresh(book, inode);
	charge_check_pin(book->config.charge, inode);
	if (charge_needs_pin(book->config.charge, inode))
		mover_queue(book->mover, inode);
}

static void on_watch(void *userdata)
{
	rulebook_touch(userdata);
}

void rulebook_touch(struct rulebook *book)
{
	if (!book->is_active)
		return;
	atomic_fetch_add(&book->epoch, 1);
	mover_sweep(book->mover);
}

/* All snapshots are made anew, and the root's from other rules. */
void rulebook_reload(struct rulebook *book, struct rules *mount_rules)
{
	struct inode *root = inode_table_root(book->config.table);
	struct rule_dir *old_dir;
	struct rules *old;

	pthread_mutex_lock(&book->lock);
	old = book->mount_rules;
	book->mount_rules = mount_rules ? rules_ref(mount_rules) : NULL;
	pthread_mutex_unlock(&book->lock);
	rules_unref(old);
	inode_lock(book->config.table, root);
	old_dir = root->rule_dir;
	root->rule_dir = NULL;
	inode_unlock(book->config.table, root);
	rule_dir_unref(old_dir);
	atomic_fetch_add(&book->reading, 1);
	events_tell(book->config.events,
		    &(struct event){ .kind = EVENT_rules,
				     .reason = "read again" });
	rulebook_touch(book);
}

void rulebook_sweep(struct rulebook *book)
{
	mover_sweep(book->mover);
}

int rulebook_new(const struct rulebook_config *config, struct rulebook **out)
{
	struct rulebook *book;
	int r;

	book = calloc(1, sizeof(*book));
	if (!book)
		return -ENOMEM;
	book->config = *config;
	book->is_active = config->reads_files || config->mount_rules;
	book->epoch = FIRST_EPOCH;
	book->defaults = (struct rulenode_defaults){
		.rule = config->fallback->rule,
	};
	book->defaults.rule.target = config->memcg;
	pthread_mutex_init(&book->lock, NULL);
	list_init(&book->refusals);
	if (config->mount_rules)
		book->mount_rules = rules_ref(config->mount_rules);
	r = mover_new(
		&(struct mover_config){
			.table = config->table,
			.charge = config->charge,
			.on_sweep = on_sweep,
			.on_watch = on_watch,
			.userdata = book,
		},
		&book->mover);
	if (r < 0) {
		rulebook_free(book);
		return r;
	}
	*out = book;
	return 0;
}

void rulebook_stop(struct rulebook *book)
{
	if (book && book->mover)
		mover_stop(book->mover);
}

struct rulebook *rulebook_free(struct rulebook *book)
{
	if (!book)
		return NULL;
	mover_free(book->mover);
	rules_unref(book->mount_rules);
	pthread_mutex_destroy(&book->lock);
	free(book);
	return NULL;
}
