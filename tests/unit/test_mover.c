// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The mover: what is queued is moved once, tried again where that fails, and
 * held by nobody after; what is resident is looked through; watched files of
 * rules are told of.
 */
#include "mover.h"

#include "grove.h"
#include "rulefile.h"
#include "spawner.h"
#include "table.h"

#include <stdatomic.h>

#define THREADS 4
#define FILES 8

struct yard {
	struct place *place;
	struct grove *grove;
	struct books *books;
	struct arena *arena;
	struct spawner *spawner;
	struct hosts *hosts;
	struct stats stats;
	struct binding fallback; /* nothing is enforced */
	struct charge *charge;
	struct mover *mover;
	atomic_uint swept;
	atomic_uint told;
};

static void on_sweep(void *userdata, struct inode *inode)
{
	struct yard *yard = userdata;

	if (S_ISREG(inode->type))
		atomic_fetch_add(&yard->swept, 1);
}

static void on_watch(void *userdata)
{
	atomic_fetch_add(&((struct yard *)userdata)->told, 1);
}

/* A host whose cgroup isn't there, until somebody makes it. */
static int make_hosts(struct yard *yard)
{
	struct host_config config = {
		.tree = yard->grove->tree,
		.books = yard->books,
		.spawner = yard->spawner,
		.kpagecgroup_fd = -1,
		.kpageflags_fd = -1,
		.arena_fd = arena_fd(yard->arena),
		.timeout_ns = UINT64_C(30000000000),
	};

	return yard->grove->tree ? hosts_new(&config, &yard->hosts) : 0;
}

static int yard_setup(void **state)
{
	struct yard *yard = calloc(1, sizeof(*yard));
	struct charge_config config = { 0 };
	struct mover_config mover = {
		.on_sweep = on_sweep,
		.on_watch = on_watch,
		.userdata = yard,
	};
	void *part = NULL;
	int r;

	if (!yard || grove_setup(&part) < 0)
		return -1;
	yard->grove = part;
	yard->books = books_new();
	r = arena_new(THREADS + 1, &yard->arena);
	if (r == 0)
		r = spawner_new(&yard->spawner);
	if (r == 0)
		r = place_setup_with_handles(&part);
	if (r < 0)
		return r;
	yard->place = part;
	r = make_hosts(yard);
	config.fallback = &yard->fallback;
	config.stats = &yard->stats;
	config.arena = yard->arena;
	config.books = yard->books;
	config.tree = yard->grove->tree;
	if (r == 0)
		r = charge_new(&config, &yard->charge);
	if (r < 0)
		return r;
	charge_set_table(yard->charge, yard->place->table);
	mover.table = yard->place->table;
	mover.charge = yard->charge;
	*state = yard;
	return mover_new(&mover, &yard->mover);
}

static int yard_teardown(void **state)
{
	struct yard *yard = *state;
	void *place = yard->place, *grove = yard->grove;
	int r;

	assert_null(mover_free(yard->mover));
	charge_free(yard->charge);
	hosts_free(yard->hosts);
	r = place_teardown(&place);
	spawner_free(yard->spawner);
	arena_free(yard->arena);
	books_free(yard->books);
	free(yard);
	return grove_teardown(&grove) < 0 ? -1 : r;
}

static uint64_t moves(const struct yard *yard)
{
	return atomic_load(&yard->stats.counters[STATS_moves]);
}

static void wait_for_moves(const struct yard *yard, uint64_t wanted)
{
	while (moves(yard) < wanted)
		unit_sleep_ms(1);
}

static uint64_t lookups(struct yard *yard, struct inode *inode)
{
	uint64_t lookups;

	inode_lock(yard->place->table, inode);
	lookups = inode->lookups;
	inode_unlock(yard->place->table, inode);
	return lookups;
}

/* One file of a page, clean, whose inode is known by one lookup. */
static struct inode *make_file(struct yard *yard, const char *name)
{
	int fd = scratch_file(yard->place->scratch, name, 4096, 'x');

	assert_int_equal(fsync(fd), 0);
	close(fd);
	return look_up(yard->place, name);
}

/* Whoever has its backing open at that moment looks it up, too. */
static void wait_for_lookups(struct yard *yard, struct inode *inode,
			     uint64_t count)
{
	while (lookups(yard, inode) != count)
		unit_sleep_ms(1);
}

static void wait_until_let_go(struct yard *yard, struct inode *inode)
{
	wait_for_lookups(yard, inode, 1);
}

/* Moved, and let go; the next time it is queued anew. */
static void test_one_move(void **state)
{
	struct yard *yard = *state;
	struct inode *inode = make_file(yard, "a");

	for (uint64_t i = 1; i <= 3; i++) {
		mover_queue(yard->mover, inode);
		wait_for_moves(yard, i);
		wait_until_let_go(yard, inode);
		assert_int_equal(moves(yard), i);
	}
}

struct asker {
	struct yard *yard;
	struct inode **inodes;
};

static void *asker_thread(void *arg)
{
	struct asker *asker = arg;

	for (unsigned int i = 0; i < UNIT_ROUNDS(5000); i++)
		mover_queue(asker->yard->mover, asker->inodes[i % FILES]);
	return NULL;
}

/* However many ask how often: a file is in the list once, and each is moved
 * after it was last asked for. */
static void test_many_ask(void **state)
{
	struct yard *yard = *state;
	struct inode *inodes[FILES];
	struct asker askers[THREADS];
	char name[8];

	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		inodes[i] = make_file(yard, name);
	}
	for (int i = 0; i < THREADS; i++)
		askers[i] = (struct asker){ yard, inodes };
	run_threads(THREADS, asker_thread, askers, sizeof(askers[0]));
	for (int i = 0; i < FILES; i++) {
		wait_until_let_go(yard, inodes[i]);
		assert_int_equal(atomic_load(&inodes[i]->move), 0);
	}
	assert_in_range(moves(yard), FILES, THREADS * UNIT_ROUNDS(5000));
}

/* The host's cgroup isn't there: tried again, twice in at least half a second
 * and a whole one; at once when somebody asks; and when it is there, done. */
static void test_tried_again(void **state)
{
	struct yard *yard = *state;
	struct inode *inode = make_file(yard, "a");
	struct policy_rule rule = { .target = yard->grove->base };
	const struct binding *binding;
	struct cgroup_host *made;
	uint64_t begin, asked = 0;

	need_root(yard->grove);
	need_evictable(yard->place->scratch->fd);
	assert_int_equal(hosts_bind(yard->hosts, &rule, true, &binding), 0);
	charge_bind(yard->charge, inode, binding);
	begin = now_ns();
	mover_queue(yard->mover, inode);
	wait_for_moves(yard, 3);
	assert_true(now_ns() - begin >= UINT64_C(1500000000));
	wait_for_lookups(yard, inode, 2);

	/* By itself it would come again in half a second, or later. */
	begin = now_ns();
	for (int i = 0; i < 40; i++) {
		asked = moves(yard);
		mover_queue(yard->mover, inode);
		wait_for_moves(yard, asked + 1);
	}
	assert_true(now_ns() - begin < UINT64_C(15000000000));

	assert_int_equal(cgroup_host_new(yard->grove->tree, yard->grove->base,
					 true, &made),
			 0);
	wait_until_let_go(yard, inode);
	cgroup_host_free(made);
}

/* Who ends while something waits for its next try forgets it. */
static void test_the_end(void **state)
{
	struct yard *yard = *state;
	struct inode *inode = make_file(yard, "a");
	struct policy_rule rule = { .target = yard->grove->base };
	const struct binding *binding;

	need_root(yard->grove);
	need_evictable(yard->place->scratch->fd);
	assert_int_equal(hosts_bind(yard->hosts, &rule, true, &binding), 0);
	charge_bind(yard->charge, inode, binding);
	mover_queue(yard->mover, inode);
	wait_for_moves(yard, 1);
	mover_stop(yard->mover);
	assert_int_equal(lookups(yard, inode), 1);
	assert_int_equal(atomic_load(&inode->move), 0);
	/* What comes later is forgotten with it. */
	mover_queue(yard->mover, inode);
	assert_int_equal(lookups(yard, inode), 2);
	yard->mover = mover_free(yard->mover);
	assert_int_equal(lookups(yard, inode), 1);
}

/* Looked through is what may have pages: not a directory, nor a file that
 * nobody has used. */
static void test_sweep(void **state)
{
	struct yard *yard = *state;
	struct inode *used = make_file(yard, "a");

	make_file(yard, "unused");
	assert_int_equal(mkdirat(yard->place->scratch->fd, "dir", 0755), 0);
	look_up(yard->place, "dir");
	charge_bind(yard->charge, used, &yard->fallback);
	for (unsigned int i = 1; i <= 3; i++) {
		mover_sweep(yard->mover);
		while (atomic_load(&yard->swept) < i)
			unit_sleep_ms(1);
		wait_until_let_go(yard, used);
		assert_int_equal(yard->swept, i);
	}
}

static void wait_until_told(struct yard *yard)
{
	while (!atomic_load(&yard->told))
		unit_sleep_ms(1);
}

/* Written in its place, replaced, removed: each is told. */
static void test_watch(void **state)
{
	struct yard *yard = *state;
	int dir = yard->place->scratch->fd, fd;

	assert_false(mover_watch(yard->mover, dir));
	fd = scratch_file(yard->place->scratch, RULEFILE_NAME, 10, '#');
	assert_true(mover_watch(yard->mover, dir));
	assert_int_equal(pwrite(fd, "\n", 1, 0), 1);
	close(fd);
	wait_until_told(yard);

	close(scratch_file(yard->place->scratch, "new", 10, '#'));
	assert_true(mover_watch(yard->mover, dir));
	unit_sleep_ms(20);
	atomic_store(&yard->told, 0);
	assert_int_equal(renameat(dir, "new", dir, RULEFILE_NAME), 0);
	wait_until_told(yard);

	assert_true(mover_watch(yard->mover, dir));
	unit_sleep_ms(20);
	atomic_store(&yard->told, 0);
	assert_int_equal(unlinkat(dir, RULEFILE_NAME, 0), 0);
	wait_until_told(yard);
	assert_false(mover_watch(yard->mover, dir));
}

#define yard_test(name) \
	cmocka_unit_test_setup_teardown(name, yard_setup, yard_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		yard_test(test_one_move),    yard_test(test_many_ask),
		yard_test(test_tried_again), yard_test(test_the_end),
		yard_test(test_sweep),	     yard_test(test_watch),
	};

	return cmocka_run_group_tests_name("mover", tests, NULL, NULL);
}
