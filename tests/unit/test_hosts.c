// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The hosts of a mount: one per target, however it is written, and one
 * binding per rule; a charger where it is asked for, and none where it fails.
 */
#include "hosts.h"

#include "arena.h"
#include "grove.h"
#include "spawner.h"

#define THREADS 8
#define RULES 24

struct estate {
	struct grove *grove;
	struct books *books;
	struct arena *arena;
	struct spawner *spawner;
	struct hosts *hosts;
	unsigned int fds; /* open before the hosts were */
};

static int estate_setup(void **state)
{
	struct estate *estate = calloc(1, sizeof(*estate));
	struct host_config config = {
		.kpagecgroup_fd = -1,
		.kpageflags_fd = -1,
		.create = true,
		.timeout_ns = UINT64_C(30000000000),
	};
	void *grove = NULL;
	int r;

	if (!estate || grove_setup(&grove) < 0) {
		free(estate);
		return -1;
	}
	*state = estate;
	estate->grove = grove;
	unit_watchdog(60);
	if (!estate->grove->tree)
		return 0; /* the tests skip */
	estate->books = books_new();
	r = estate->books ? arena_new(2, &estate->arena) : -ENOMEM;
	if (r == 0)
		r = spawner_new(&estate->spawner);
	if (r < 0)
		return r;
	config.arena_fd = arena_fd(estate->arena);
	estate->fds = count_fds();
	config.tree = estate->grove->tree;
	config.books = estate->books;
	config.spawner = estate->spawner;
	return hosts_new(&config, &estate->hosts);
}

static int estate_teardown(void **state)
{
	struct estate *estate = *state;
	void *grove = estate->grove;
	bool balanced = true;

	assert_null(hosts_free(estate->hosts));
	if (estate->spawner)
		balanced = count_fds() == estate->fds;
	spawner_free(estate->spawner);
	arena_free(estate->arena);
	books_free(estate->books);
	free(estate);
	unit_watchdog(0);
	return grove_teardown(&grove) == 0 && balanced ? 0 : -1;
}

/* The target at base + @below, as a user may write it. */
static const char *target(const struct estate *estate, const char *below)
{
	static _Thread_local char text[128];

	snprintf(text, sizeof(text), "%s%s", estate->grove->base, below);
	return text;
}

static int bind_to(struct estate *estate, const char *target, bool is_lazy,
		   const struct binding **out)
{
	struct policy_rule rule = { .target = target };

	return hosts_bind(estate->hosts, &rule, is_lazy, out);
}

static const struct binding *bind_lazily(struct estate *estate,
					 const char *below)
{
	const struct binding *binding = NULL;

	assert_int_equal(bind_to(estate, target(estate, below), true, &binding),
			 0);
	return binding;
}

static void count_host(struct host *host, void *userdata)
{
	assert_non_null(host);
	++*(unsigned int *)userdata;
}

static unsigned int count_hosts(struct estate *estate)
{
	unsigned int count = 0;

	hosts_each(estate->hosts, count_host, &count);
	return count;
}

/* Three rules of two targets: three bindings, two hosts. */
static void test_one_host_a_target(void **state)
{
	struct estate *estate = *state;
	const struct binding *a, *pinned, *b;
	struct policy_rule rule = { .pin = true, .ahead_bytes = MIB };

	need_tree(estate->grove);
	a = bind_lazily(estate, "/a");
	b = bind_lazily(estate, "/b");
	rule.target = target(estate, "/a");
	assert_int_equal(hosts_bind(estate->hosts, &rule, true, &pinned), 0);
	assert_ptr_equal(pinned->host, a->host);
	assert_ptr_not_equal(pinned, a);
	assert_ptr_not_equal(b->host, a->host);
	assert_true(pinned->rule.pin);
	assert_false(a->rule.pin);
	assert_int_equal(pinned->rule.ahead_bytes, MIB);
	assert_string_equal(host_target(a->host), target(estate, "/a"));
	assert_int_equal(count_hosts(estate), 2);
	/* The same once more is nothing new. */
	assert_ptr_equal(bind_lazily(estate, "/a"), a);
	assert_ptr_equal(bind_lazily(estate, "/b"), b);
	assert_int_equal(count_hosts(estate), 2);
}

/* A rule that differs in any of its words is another. */
static void test_every_word_counts(void **state)
{
	struct estate *estate = *state;
	struct policy_rule rules[] = {
		{ .target = NULL },	    { .pin = true },
		{ .io = POLICY_IO_STRICT }, { .on_error = POLICY_OPENER },
		{ .ahead_bytes = 1 },
	};
	const struct binding *found[ARRAY_SIZE(rules)], *again;

	need_tree(estate->grove);
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		assert_int_equal(hosts_bind(estate->hosts, &rules[i], true,
					    &found[i]),
				 0);
		for (size_t j = 0; j < i; j++)
			assert_ptr_not_equal(found[i], found[j]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		assert_int_equal(
			hosts_bind(estate->hosts, &rules[i], true, &again), 0);
		assert_ptr_equal(again, found[i]);
	}
}

/* Below the mount point or within the hierarchy: the same cgroup. The text
 * that a binding shows is that of who asked first, in a copy of its own. */
static void test_two_ways_to_write_it(void **state)
{
	struct estate *estate = *state;
	const struct binding *within, *below;
	char text[CGROUP_PATH_MAX];

	need_tree(estate->grove);
	within = bind_lazily(estate, "/a");
	snprintf(text, sizeof(text), "%s%s",
		 cgroup_tree_mountpoint(estate->grove->tree),
		 target(estate, "/a"));
	assert_int_equal(bind_to(estate, text, true, &below), 0);
	assert_ptr_equal(below->host, within->host);
	assert_string_equal(below->rule.target, text);
	text[0] = '?';
	assert_int_equal(below->rule.target[0], '/');
	assert_int_equal(count_hosts(estate), 1);
}

/* @opener: a binding like others, and no host. */
static void test_nobody_serves_it(void **state)
{
	struct estate *estate = *state;
	const struct binding *binding = NULL;

	need_tree(estate->grove);
	assert_int_equal(bind_to(estate, NULL, false, &binding), 0);
	assert_null(binding->host);
	assert_null(binding->rule.target);
	assert_int_equal(count_hosts(estate), 0);
}

/* What can't be had leaves nothing, and may be had later. */
static void test_errors(void **state)
{
	struct estate *estate = *state;
	const struct binding *binding = NULL;

	need_root(estate->grove);
	assert_int_equal(bind_to(estate, "no/path", true, &binding), -EINVAL);
	assert_true(bind_to(estate, "/cgroup.procs", false, &binding) < 0);
	assert_null(binding);
	assert_int_equal(count_hosts(estate), 0);
	assert_non_null(bind_lazily(estate, "/a"));
	assert_int_equal(count_hosts(estate), 1);
}

/* Who is needed later has no charger, and no cgroup, until then. */
static void test_lazy(void **state)
{
	struct estate *estate = *state;
	const struct binding *binding = bind_lazily(estate, "/a");

	assert_true(charger_is_away(host_charger(binding->host)));
	assert_false(exists(estate->grove, target(estate, "/a")));
}

static unsigned int count_members(const struct estate *estate,
				  const char *below)
{
	char path[160], text[4096];

	snprintf(path, sizeof(path), "%s/cgroup.procs",
		 target(estate, below) + 1);
	assert_true(read_small_file(estate->grove->fd, path, text,
				    sizeof(text)) >= 0);
	return count_lines(text);
}

/* Two chargers, each in a cgroup that was made for it; both are given back. */
static void test_chargers(void **state)
{
	static const char *const below[] = { "/a", "/b" };
	struct estate *estate = *state;
	const struct binding *binding;
	int r;

	need_root(estate->grove);
	for (size_t i = 0; i < ARRAY_SIZE(below); i++) {
		r = bind_to(estate, target(estate, below[i]), false, &binding);
		if (r == -ENOTSUP || r == -EROFS)
			unit_skip("cgroups here have no memory controller");
		assert_int_equal(r, 0);
		assert_false(charger_is_away(host_charger(binding->host)));
		assert_int_equal(count_members(estate, below[i]), 1);
	}
	assert_int_equal(count_hosts(estate), 2);
	estate->hosts = hosts_free(estate->hosts);
	assert_false(exists(estate->grove, estate->grove->base));
}

struct tenant {
	struct estate *estate;
	unsigned int failed;
	const struct binding *found[RULES];
};

static void *tenant_thread(void *arg)
{
	struct tenant *tenant = arg;
	char below[16];

	for (unsigned int i = 0; i < RULES; i++) {
		snprintf(below, sizeof(below), "/%u", i % (RULES / 2));
		struct policy_rule rule = {
			.target = target(tenant->estate, below),
			.pin = i < RULES / 2,
		};

		tenant->failed += hosts_bind(tenant->estate->hosts, &rule, true,
					     &tenant->found[i]) != 0;
	}
	return NULL;
}

/* Whoever comes first, all get the same. */
static void test_a_crowd(void **state)
{
	struct estate *estate = *state;
	struct tenant tenants[THREADS] = { 0 };

	need_tree(estate->grove);
	for (int i = 0; i < THREADS; i++)
		tenants[i].estate = estate;
	run_threads(THREADS, tenant_thread, tenants, sizeof(tenants[0]));
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(tenants[i].failed, 0);
		assert_memory_equal(tenants[i].found, tenants[0].found,
				    sizeof(tenants[0].found));
	}
	assert_int_equal(count_hosts(estate), RULES / 2);
}

#define estate_test(name) \
	cmocka_unit_test_setup_teardown(name, estate_setup, estate_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		estate_test(test_one_host_a_target),
		estate_test(test_every_word_counts),
		estate_test(test_two_ways_to_write_it),
		estate_test(test_nobody_serves_it),
		estate_test(test_errors),
		estate_test(test_lazy),
		estate_test(test_chargers),
		estate_test(test_a_crowd),
	};

	return cmocka_run_group_tests_name("hosts", tests, NULL, NULL);
}
