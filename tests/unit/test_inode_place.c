// SPDX-License-Identifier: GPL-2.0-or-later
/* Where inodes were last seen: their names, and the ways up to the root. */
#include "inode_place.h"

#include "table.h"
#include "unit.h"
#include "util.h"

static struct inode *dir_in(struct place *place, struct inode *parent,
			    const char *name)
{
	struct inode *inode = NULL;
	struct stat st;
	int fd = inode_fd_get(place->table, parent);

	assert_true(fd >= 0);
	if (mkdirat(fd, name, 0755) < 0)
		assert_int_equal(errno, EEXIST);
	inode_fd_put(place->table, parent);
	assert_int_equal(inode_lookup(place->table, parent, name, &inode, &st),
			 0);
	inode_set_place(place->table, inode, parent, name);
	return inode;
}

static void expect_path(struct place *place, struct inode *inode,
			const char *expected)
{
	char path[INODE_PATH_MAX];

	assert_int_equal(inode_path(place->table, inode, path), 0);
	assert_string_equal(path, expected);
}

static void forget(struct place *place, struct inode *inode)
{
	inode_forget(place->table, inode, 1);
}

static void test_paths(void **state)
{
	struct place *place = *state;
	struct inode *a = dir_in(place, place->root, "a");
	struct inode *b = dir_in(place, a, "b");
	char name[NAME_MAX + 1];
	struct inode *parent;

	expect_path(place, place->root, "/");
	expect_path(place, b, "/a/b");
	assert_true(inode_is_named(place->table, b, "b"));
	assert_false(inode_is_named(place->table, b, "a"));
	parent = inode_parent_get(place->table, b, name);
	assert_ptr_equal(parent, a);
	assert_string_equal(name, "b");
	inode_child_put(place->table, parent);
	assert_null(inode_parent_get(place->table, place->root, name));
	forget(place, b);
	forget(place, a);
}

/* The way up stays, when the client's kernel has forgotten all but a file. */
static void test_the_way_up_is_held(void **state)
{
	struct place *place = *state;
	struct inode *a = dir_in(place, place->root, "a");
	struct inode *b = dir_in(place, a, "b");

	assert_int_equal(inode_table_count(place->table), 3);
	forget(place, a);
	assert_int_equal(inode_table_count(place->table), 3);
	expect_path(place, b, "/a/b");
	forget(place, b);
	assert_int_equal(inode_table_count(place->table), 1);
}

/* With a new place the rule is to be looked up again; with the same, not. */
static void test_moving(void **state)
{
	struct place *place = *state;
	struct inode *a = dir_in(place, place->root, "a");
	struct inode *b = dir_in(place, place->root, "b");

	b->rule_epoch = 7;
	inode_set_place(place->table, b, place->root, "b");
	assert_int_equal(b->rule_epoch, 7);
	inode_set_place(place->table, b, a, "c");
	assert_int_equal(b->rule_epoch, 0);
	expect_path(place, b, "/a/c");
	forget(place, a);
	forget(place, b);
	assert_int_equal(inode_table_count(place->table), 1);
}

/* Moved beside the mount, two directories seem to be in each other. */
static void test_no_loops(void **state)
{
	struct place *place = *state;
	struct inode *a = dir_in(place, place->root, "a");
	struct inode *b = dir_in(place, a, "b");

	inode_set_place(place->table, a, b, "a");
	expect_path(place, a, "/a");
	inode_set_place(place->table, a, a, "a");
	expect_path(place, b, "/a/b");
	forget(place, b);
	forget(place, a);
}

static void test_nowhere(void **state)
{
	struct place *place = *state;
	struct inode *inode;

	scratch_touch(place->scratch, "a");
	inode = look_up(place, "a");
	expect_path(place, inode, "/?");
	assert_false(inode_is_named(place->table, inode, "a"));
	forget(place, inode);
}

static void remove_dir(struct place *place, struct inode *parent,
		       const char *name)
{
	int fd = inode_fd_get(place->table, parent);

	assert_true(fd >= 0);
	assert_int_equal(unlinkat(fd, name, AT_REMOVEDIR), 0);
	inode_fd_put(place->table, parent);
}

/* 40 levels of 120 bytes are too long for a path, and short ones aren't. */
static void test_deep(void **state)
{
	static struct inode *dirs[40];
	struct place *place = *state;
	struct inode *parent = place->root;
	char path[INODE_PATH_MAX];
	char name[121];

	memset(name, 'x', 120);
	name[120] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		parent = dirs[i] = dir_in(place, parent, name);
	assert_int_equal(inode_path(place->table, parent, path), -ENAMETOOLONG);
	assert_int_equal(inode_path(place->table, dirs[32], path), 0);
	assert_int_equal(strlen(path), 33 * 121);
	for (size_t i = ARRAY_SIZE(dirs); i--;) {
		/* Too deep for who removes the scratch directory by paths. */
		remove_dir(place, i ? dirs[i - 1] : place->root, name);
		forget(place, dirs[i]);
	}
}

#define ROUNDS 2000

struct racer {
	struct place *place;
	struct inode *dirs[2], *inode;
	unsigned int turn, failed;
};

/* Moves the inode from one directory to the other, and asks where it is. */
static void *move_thread(void *arg)
{
	struct racer *racer = arg;
	char path[INODE_PATH_MAX];

	for (int i = 0; i < UNIT_ROUNDS(ROUNDS); i++) {
		inode_set_place(racer->place->table, racer->inode,
				racer->dirs[(i + racer->turn) % 2], "x");
		if (inode_path(racer->place->table, racer->inode, path) < 0 ||
		    (strcmp(path, "/a/x") != 0 && strcmp(path, "/b/x") != 0))
			racer->failed++;
	}
	return NULL;
}

static void test_racing_moves(void **state)
{
	struct place *place = *state;
	struct inode *a = dir_in(place, place->root, "a");
	struct inode *b = dir_in(place, place->root, "b");
	struct inode *x = dir_in(place, a, "x");
	struct racer racers[4];

	for (unsigned int i = 0; i < 4; i++)
		racers[i] = (struct racer){
			.place = place,
			.dirs = { a, b },
			.inode = x,
			.turn = i,
		};
	run_threads(4, move_thread, racers, sizeof(racers[0]));
	for (int i = 0; i < 4; i++)
		assert_int_equal(racers[i].failed, 0);
	forget(place, x);
	forget(place, a);
	forget(place, b);
	assert_int_equal(inode_table_count(place->table), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		table_test(test_paths),
		table_test(test_the_way_up_is_held),
		table_test(test_moving),
		table_test(test_no_loops),
		table_test(test_nowhere),
		table_test(test_deep),
		table_test(test_racing_moves),
	};

	return cmocka_run_group_tests_name("inode_place", tests, NULL, NULL);
}
