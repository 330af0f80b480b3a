// SPDX-License-Identifier: GPL-2.0-or-later
/* What is known of the processes that may be scanners. */
#include "scanners_priv.h"

#include "cgroup.h"
#include "table.h"

struct desk {
	struct place *place;
	struct cgroup_tree *tree;
	struct books *books;
	struct openers *openers;
	struct events *events;
	struct scanners *scanners;
};

static void desk_begin(struct desk *desk, struct place *place)
{
	*desk = (struct desk){ .place = place, .books = books_new() };
	if (cgroup_tree_new(&desk->tree) < 0) {
		books_free(desk->books);
		unit_skip("no memory controller here");
	}
	assert_int_equal(openers_new(desk->tree, desk->books, &desk->openers),
			 0);
	assert_int_equal(events_new(&desk->events), 0);
	assert_int_equal(scanners_new(
				 &(struct scanners_config){
					 .table = place->table,
					 .events = desk->events,
					 .openers = desk->openers,
					 .tree = desk->tree,
				 },
				 &desk->scanners),
			 0);
}

static void desk_end(struct desk *desk)
{
	scanners_free(desk->scanners);
	events_free(desk->events);
	openers_free(desk->openers);
	books_free(desk->books);
	cgroup_tree_free(desk->tree);
}

static void note_open_now(const struct scanners_view *view, void *userdata)
{
	uint32_t *open_now = userdata;

	*open_now = view->open_now;
}

/* Of the files that this process has read. */
static uint32_t open_now(struct desk *desk)
{
	uint32_t count = UINT32_MAX;

	assert_int_equal(scanners_view(desk->scanners, getpid(), note_open_now,
				       &count),
			 0);
	return count;
}

static uint16_t open_file(struct desk *desk, struct inode *inode)
{
	struct scanners_before before = { 0 };
	struct scanners_open open = {
		.caller.tid = getpid(),
		.inode = inode,
		.flags = O_RDONLY,
	};

	scanners_begin_open(desk->scanners, &open);
	return scanners_end_open(desk->scanners, &open, 4096, &before);
}

/* Of the process whose number ends in 16 zeroes, and of the one before it. */
static void test_a_close_is_its_openers(void **state)
{
	struct place *place = *state;

	close(scratch_file(place->scratch, "file", 3, 'x'));
	for (uint32_t serial = 254; serial < 256; serial++) {
		struct inode *inode = look_up(place, "file");
		struct desk desk;
		uint16_t reader;

		desk_begin(&desk, place);
		desk.scanners->last_serial = serial;
		reader = open_file(&desk, inode);
		assert_true(reader);
		assert_int_equal(open_now(&desk), 1);
		scanners_close(desk.scanners, reader);
		assert_int_equal(open_now(&desk), 0);
		desk_end(&desk);
		inode_forget(place->table, inode, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		table_test(test_a_close_is_its_openers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
