// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The rules that hold for the known inodes, 2: snapshots of directories, and
 * rule files that were refused; see rulebook.h.
 */
#include "rulebook_priv.h"

#include "inode_place.h"
#include "log.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

/* More than a path can have: what goes on longer goes round. */
#define DEPTH_MAX 2100
/* A watched file is looked at that often, as a mapping changes it unseen. */
#define WATCHED_RECHECK_MS 5000

/* A refused file, for reports. */
struct refusal {
	struct list link;
	char reason[];
};

/* -- refusals -- */

static struct refusal *refusal_new(struct rulebook *book, const char *reason)
{
	size_t size = strlen(reason) + 1;
	struct refusal *refusal;

	log_warning("rules refused: %s", reason);
	events_tell(book->config.events,
		    &(struct event){ .kind = EVENT_rules, .reason = reason });
	refusal = calloc(1, sizeof(*refusal) + size);
	if (!refusal)
		return NULL;
	memcpy(refusal->reason, reason, size);
	pthread_mutex_lock(&book->lock);
	list_add(&book->refusals, &refusal->link);
	pthread_mutex_unlock(&book->lock);
	return refusal;
}

static void refusal_free(struct rulebook *book, struct refusal *refusal)
{
	if (!refusal)
		return;
	pthread_mutex_lock(&book->lock);
	list_del(&refusal->link);
	pthread_mutex_unlock(&book->lock);
	free(refusal);
}

void rulebook_each_refused(struct rulebook *book,
			   void (*fn)(const char *reason, void *userdata),
			   void *userdata)
{
	struct list *link;

	pthread_mutex_lock(&book->lock);
	for (link = book->refusals.next; link != &book->refusals;
	     link = link->next)
		fn(container_of(link, struct refusal, link)->reason, userdata);
	pthread_mutex_unlock(&book->lock);
}

/* A directory has another rule file than it had. */
static void tell_change(struct rulebook *book, struct inode *dir)
{
	struct event event = { .kind = EVENT_rules, .reason = "changed" };
	char path[INODE_PATH_MAX];

	if (!events_are_followed(book->config.events))
		return;
	if (inode_path(book->config.table, dir, path) == 0)
		event.path = path;
	events_tell(book->config.events, &event);
}

/* -- snapshots of directories -- */

void rule_dir_unref(struct rule_dir *dir)
{
	if (!dir || atomic_fetch_sub(&dir->refs, 1) > 1)
		return;
	rulenode_unref(dir->node);
	rulenode_unref(dir->above);
	rules_unref(dir->own);
	refusal_free(dir->book, dir->refusal);
	free(dir);
}

static struct rule_dir *dir_get(struct rulebook *book, struct inode *inode)
{
	struct rule_dir *dir;

	inode_lock(book->config.table, inode);
	dir = inode->rule_dir;
	if (dir)
		atomic_fetch_add(&dir->refs, 1);
	inode_unlock(book->config.table, inode);
	return dir;
}

static void dir_publish(struct rulebook *book, struct inode *inode,
			struct rule_dir *dir)
{
	struct rule_dir *old;

	atomic_fetch_add(&dir->refs, 1);
	inode_lock(book->config.table, inode);
	old = inode->rule_dir;
	inode->rule_dir = dir;
	inode_unlock(book->config.table, inode);
	rule_dir_unref(old);
}

static bool is_fresh(struct rulebook *book, const struct rule_dir *dir,
		     uint32_t now)
{
	return atomic_load(&dir->epoch) == atomic_load(&book->epoch) &&
	       now - atomic_load(&dir->checked_ms) < RULEBOOK_RECHECK_MS;
}

/* What is to become a directory's snapshot. */
struct draft {
	struct rulebook *book;
	struct inode *inode;
	const char *name;
	const struct rule_dir *old; /* NULL: the first */
	struct rulenode *above;
	struct rules *own; /* a ref */
	uint32_t reading;
	uint32_t epoch;
	uint32_t now_ms;
	uint32_t looked_ms;
	bool is_watched;
	struct rulefile_id id;
	char reason[RULEFILE_REASON_MAX]; /* "": not refused */
};

static void shown_name(struct draft *draft, char shown[INODE_PATH_MAX + 16])
{
	char path[INODE_PATH_MAX];
	bool is_root;

	if (inode_path(draft->book->config.table, draft->inode, path) < 0)
		strcpy(path, "/...");
	is_root = strcmp(path, "/") == 0;
	snprintf(shown, INODE_PATH_MAX + 16, "%s%s" RULEFILE_NAME, path + 1,
		 is_root ? "" : "/");
}

/* Reads the directory's rule file, unless it is the one that is known. */
static void draft_read(struct draft *draft, int dir_fd)
{
	const struct rulebook_config *config = &draft->book->config;
	char shown[INODE_PATH_MAX + 16];
	struct rulefile_source source = {
		.dir_fd = dir_fd,
		.file = RULEFILE_NAME,
		.shown = shown,
		.tree = config->tree,
		.can_opener = charge_can_passthrough(config->charge),
	};
	int r;

	shown_name(draft, shown);
	/* First, so that no change goes unseen; a refused one may be mended. */
	draft->is_watched = mover_watch(draft->book->mover, dir_fd);
	r = rulefile_read(&source, &draft->own, draft->reason);
	if (r < 0 && r != -ENOENT)
		snprintf(draft->reason, sizeof(draft->reason), "%.400s: %s",
			 shown, strerror(-r));
}

/* Whether a change of its file would have been told. */
static bool is_told(const struct draft *draft)
{
	const struct rule_dir *old = draft->old;

	return old && old->is_watched && old->reading == draft->reading &&
	       atomic_load(&old->epoch) == draft->epoch &&
	       draft->now_ms - atomic_load(&old->looked_ms) <
		       WATCHED_RECHECK_MS;
}

/* What is known of the old one's file. */
static void draft_keep(struct draft *draft)
{
	const struct rule_dir *old = draft->old;

	if (!old)
		return;
	draft->id = old->id;
	draft->is_watched = old->is_watched;
	draft->looked_ms = atomic_load(&old->looked_ms);
}

/* Whether there is another file than the old one's, or none any more. */
static bool draft_look(struct draft *draft)
{
	const struct rule_dir *old = draft->old;
	struct inode_table *table = draft->book->config.table;
	bool is_new;
	int dir_fd, r;

	draft_keep(draft);
	if (!draft->book->config.reads_files || is_told(draft))
		return false;
	dir_fd = inode_fd_get(table, draft->inode);
	if (dir_fd < 0)
		return false;
	/* What can't be looked at can't be read, either, and is refused. */
	r = rulefile_look(dir_fd, &draft->id);
	draft->looked_ms = draft->now_ms;
	is_new = !old || old->reading != draft->reading ||
		 !rulefile_same(&draft->id, &old->id);
	if (is_new)
		draft->is_watched = false;
	if (is_new && (draft->id.ino || r < 0))
		draft_read(draft, dir_fd);
	inode_fd_put(table, draft->inode);
	return is_new;
}

static struct rules *mount_rules_get(struct rulebook *book)
{
	struct rules *rules;

	pthread_mutex_lock(&book->lock);
	rules = book->mount_rules ? rules_ref(book->mount_rules) : NULL;
	pthread_mutex_unlock(&book->lock);
	return rules;
}

static int draft_make_node(const struct draft *draft, struct rulenode **out)
{
	struct rulebook *book = draft->book;
	struct rules *mount_rules;
	int r;

	if (draft->above)
		return rulenode_enter(draft->above, draft->name, draft->own,
				      out);
	mount_rules = mount_rules_get(book);
	r = rulenode_new_root(&book->defaults, mount_rules, draft->own, out);
	rules_unref(mount_rules);
	return r;
}

/* A new snapshot: a ref, or NULL: no memory. */
static struct rule_dir *draft_finish(struct draft *draft)
{
	size_t size = strlen(draft->name) + 1;
	struct rule_dir *dir;

	dir = calloc(1, sizeof(*dir) + size);
	if (!dir)
		return NULL;
	dir->book = draft->book;
	dir->refs = 1;
	memcpy(dir->name, draft->name, size);
	if (draft_make_node(draft, &dir->node) < 0) {
		free(dir);
		return NULL;
	}
	dir->above = draft->above ? rulenode_ref(draft->above) : NULL;
	dir->own = draft->own ? rules_ref(draft->own) : NULL;
	dir->id = draft->id;
	dir->reading = draft->reading;
	dir->is_watched = draft->is_watched;
	dir->serial = atomic_fetch_add(&draft->book->last_serial, 1) + 1;
	if (*draft->reason)
		dir->refusal = refusal_new(draft->book, draft->reason);
	return dir;
}

static bool is_same(const struct draft *draft, const struct rule_dir *old)
{
	return old && old->above == draft->above &&
	       strcmp(old->name, draft->name) == 0;
}

/*
 * The snapshot that holds for the directory now, given its parent's: a ref,
 * or NULL: no memory.
 */
static struct rule_dir *dir_renew(struct rulebook *book, struct inode *inode,
				  const char *name, struct rule_dir *old,
				  const struct rule_dir *parent, uint32_t now)
{
	uint32_t epoch = atomic_load(&book->epoch);
	struct draft draft = {
		.book = book,
		.inode = inode,
		.name = name,
		.old = old,
		.above = parent ? parent->node : NULL,
		.reading = atomic_load(&book->reading),
		.epoch = epoch,
		.now_ms = now,
	};
	bool is_new = draft_look(&draft);
	struct rule_dir *dir = NULL;

	if (!is_new && is_same(&draft, old)) {
		atomic_fetch_add(&old->refs, 1);
		dir = old;
	} else {
		if (!is_new && old && old->own)
			draft.own = rules_ref(old->own);
		if (!is_new && old && old->refusal)
			strcpy(draft.reason, old->refusal->reason);
		dir = draft_finish(&draft);
		rules_unref(draft.own);
	}
	if (!dir)
		return NULL;
	if (is_new && old) {
		tell_change(book, inode);
		rulebook_touch(book);
		epoch = atomic_load(&book->epoch);
	}
	atomic_store(&dir->looked_ms, draft.looked_ms);
	/* The chain is as old as its oldest part. */
	atomic_store(&dir->checked_ms,
		     parent ? atomic_load(&parent->checked_ms) : now);
	atomic_store(&dir->epoch, epoch);
	if (dir != old)
		dir_publish(book, inode, dir);
	return dir;
}

static struct rule_dir *look_within(struct rulebook *book, struct inode *inode,
				    uint32_t now, int depth)
{
	struct inode_table *table = book->config.table;
	struct rule_dir *old = dir_get(book, inode);
	struct rule_dir *above = NULL, *dir;
	char name[NAME_MAX + 1] = "";
	struct inode *parent;

	if (old && is_fresh(book, old, now))
		return old;
	parent = inode_parent_get(table, inode, name);
	if (parent && depth < DEPTH_MAX)
		above = look_within(book, parent, now, depth + 1);
	/* One that is nowhere, or goes round, is ruled as the root is. */
	if (!above && inode != inode_table_root(table))
		above = look_within(book, inode_table_root(table), now, 0);
	dir = dir_renew(book, inode, name, old, above, now);
	rule_dir_unref(above);
	rule_dir_unref(old);
	if (parent)
		inode_child_put(table, parent);
	return dir;
}

struct rule_dir *rule_dir_look(struct rulebook *book, struct inode *inode,
			       uint32_t now)
{
	return look_within(book, inode, now, 0);
}
