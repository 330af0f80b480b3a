// SPDX-License-Identifier: GPL-2.0-or-later
/* All hosts of a mount, and the bindings of rules to them; see hosts.h. */
#include "hosts.h"

#include "list.h"
#include "util.h"

#include <pthread.h>
#include <string.h>

struct entry {
	struct list link;
	struct host *host;
	char *path; /* of the target, within the hierarchy */
};

struct bound {
	struct list link;
	struct binding binding; /* fixed */
	char *target;
	char *scanners;
};

struct hosts {
	struct host_config config;
	pthread_mutex_t lock; /* for the lists; their members stay */
	struct list entries;
	struct list bounds;
};

int hosts_new(const struct host_config *config, struct hosts **out)
{
	struct hosts *hosts;

	hosts = calloc(1, sizeof(*hosts));
	if (!hosts)
		return -ENOMEM;
	hosts->config = *config;
	pthread_mutex_init(&hosts->lock, NULL);
	list_init(&hosts->entries);
	list_init(&hosts->bounds);
	*out = hosts;
	return 0;
}

static void entry_free(struct entry *entry)
{
	list_del(&entry->link);
	host_free(entry->host);
	free(entry->path);
	free(entry);
}

static void bound_free(struct bound *bound)
{
	list_del(&bound->link);
	free(bound->target);
	free(bound->scanners);
	free(bound);
}

struct hosts *hosts_free(struct hosts *hosts)
{
	if (!hosts)
		return NULL;
	while (!list_empty(&hosts->bounds))
		bound_free(
			container_of(hosts->bounds.next, struct bound, link));
	while (!list_empty(&hosts->entries))
		entry_free(
			container_of(hosts->entries.next, struct entry, link));
	pthread_mutex_destroy(&hosts->lock);
	free(hosts);
	return NULL;
}

static struct host *find_host(const struct hosts *hosts, const char *path)
{
	const struct list *link;

	for (link = hosts->entries.next; link != &hosts->entries;
	     link = link->next) {
		const struct entry *entry =
			container_of(link, const struct entry, link);

		if (strcmp(entry->path, path) == 0)
			return entry->host;
	}
	return NULL;
}

static int add_host(struct hosts *hosts, const char *path, bool is_lazy,
		    struct host **out)
{
	struct host_config config = hosts->config;
	struct entry *entry;
	int r;

	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return -ENOMEM;
	list_init(&entry->link);
	entry->path = strdup(path);
	config.path = path;
	config.is_lazy = is_lazy;
	r = entry->path ? host_new(&config, &entry->host) : -ENOMEM;
	if (r < 0) {
		entry_free(entry);
		return r;
	}
	list_add(&hosts->entries, &entry->link);
	*out = entry->host;
	return 0;
}

static int get_host(struct hosts *hosts, const char *target, bool is_lazy,
		    struct host **out)
{
	char path[CGROUP_PATH_MAX];
	struct host *host;
	int r;

	if (!target) {
		*out = NULL;
		return 0;
	}
	r = cgroup_tree_parse(hosts->config.tree, target, path);
	if (r < 0)
		return r;
	host = find_host(hosts, path);
	if (!host)
		return add_host(hosts, path, is_lazy, out);
	*out = host;
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_rule(const struct policy_rule *a, const struct policy_rule *b)
{
	return same_text(a->target, b->target) && a->io == b->io &&
	       a->on_error == b->on_error && a->pin == b->pin &&
	       a->ahead_bytes == b->ahead_bytes && a->scan == b->scan &&
	       same_text(a->scanners, b->scanners);
}

static const struct binding *find_binding(const struct hosts *hosts,
					  const struct policy_rule *rule)
{
	const struct list *link;

	for (link = hosts->bounds.next; link != &hosts->bounds;
	     link = link->next) {
		const struct bound *bound =
			container_of(link, const struct bound, link);

		if (same_rule(&bound->binding.rule, rule))
			return &bound->binding;
	}
	return NULL;
}

/* The binding's own copies of the rule's texts. */
static int copy_texts(struct bound *bound)
{
	struct policy_rule *rule = &bound->binding.rule;

	if (rule->target) {
		bound->target = strdup(rule->target);
		if (!bound->target)
			return -ENOMEM;
		rule->target = bound->target;
	}
	if (rule->scanners) {
		bound->scanners = strdup(rule->scanners);
		if (!bound->scanners)
			return -ENOMEM;
		rule->scanners = bound->scanners;
	}
	return 0;
}

static int add_binding(struct hosts *hosts, const struct policy_rule *rule,
		       bool is_lazy, const struct binding **out)
{
	struct bound *bound;
	int r;

	bound = calloc(1, sizeof(*bound));
	if (!bound)
		return -ENOMEM;
	list_init(&bound->link);
	bound->binding.rule = *rule;
	r = copy_texts(bound);
	if (r == 0)
		r = get_host(hosts, rule->target, is_lazy,
			     &bound->binding.host);
	if (r < 0) {
		bound_free(bound);
		return r;
	}
	list_add(&hosts->bounds, &bound->link);
	*out = &bound->binding;
	return 0;
}

int hosts_bind(struct hosts *hosts, const struct policy_rule *rule,
	       bool is_lazy, const struct binding **out)
{
	const struct binding *found;
	int r = 0;

	pthread_mutex_lock(&hosts->lock);
	found = find_binding(hosts, rule);
	if (found)
		*out = found;
	else
		r = add_binding(hosts, rule, is_lazy, out);
	pthread_mutex_unlock(&hosts->lock);
	return r;
}

void hosts_each(struct hosts *hosts,
		void (*fn)(struct host *host, void *userdata), void *userdata)
{
	struct list *link;

	pthread_mutex_lock(&hosts->lock);
	for (link = hosts->entries.next; link != &hosts->entries;
	     link = link->next)
		fn(container_of(link, struct entry, link)->host, userdata);
	pthread_mutex_unlock(&hosts->lock);
}
