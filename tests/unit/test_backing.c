// SPDX-License-Identifier: GPL-2.0-or-later
/* The open file below an inode: shared by its opens, kept for a while. */
#include "backing.h"

#include "table.h"

#include <linux/fs.h>
#include <sys/ioctl.h>

static struct backing *open_backing(struct place *place, struct inode *inode,
				    bool writable)
{
	struct backing *backing = NULL;

	assert_int_equal(backing_open(place->table, inode, writable, false,
				      &backing),
			 0);
	return backing;
}

static struct inode *make_file(struct place *place, const char *name)
{
	close(scratch_file(place->scratch, name, 3, 'x'));
	return look_up(place, name);
}

static void add_idle(struct inode_idle *idle, void *userdata)
{
	unsigned int *sum = userdata;
	unsigned int listed = 0;

	for (struct list *link = idle->list.next; link != &idle->list;
	     link = link->next)
		listed++;
	if (listed == idle->count)
		*sum += listed;
	else
		*sum += 1000000; /* the count is off */
}

static unsigned int count_idle(struct place *place)
{
	unsigned int sum = 0;

	inode_table_each_idle(place->table, add_idle, &sum);
	return sum;
}

/* Three readers, one fd; after the last it idles, and a fourth gets it. */
static void test_readers_share(void **state)
{
	struct place *place = *state;
	struct inode *inode = make_file(place, "a");
	unsigned int before = count_fds();
	struct backing *backing = open_backing(place, inode, false);
	int fd = backing_read_fd(backing);
	char byte;

	assert_ptr_equal(open_backing(place, inode, false), backing);
	assert_ptr_equal(open_backing(place, inode, false), backing);
	assert_int_equal(backing_read_fd(backing), fd);
	assert_int_equal(backing_write_fd(backing), -1);
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	assert_int_equal(count_fds(), before + 1);

	for (int i = 0; i < 3; i++) {
		assert_int_equal(count_idle(place), 0);
		backing_close(place->table, backing);
	}
	assert_int_equal(count_idle(place), 1);
	assert_true(fd_is_open(fd));
	assert_ptr_equal(open_backing(place, inode, false), backing);
	assert_int_equal(backing_read_fd(backing), fd);
	assert_int_equal(count_idle(place), 0);
	backing_close(place->table, backing);
}

/* A reader and a writer: an fd each, gone with the last of both. */
static void test_reader_and_writer(void **state)
{
	struct place *place = *state;
	struct inode *inode = make_file(place, "a");
	unsigned int before = count_fds();
	struct backing *backing = open_backing(place, inode, false);
	int read_fd = backing_read_fd(backing);

	assert_ptr_equal(open_backing(place, inode, true), backing);
	assert_ptr_equal(open_backing(place, inode, true), backing);
	assert_int_equal(backing_read_fd(backing), read_fd);
	assert_int_equal(pwrite(backing_write_fd(backing), "y", 1, 0), 1);
	assert_int_equal(count_fds(), before + 2);
	for (int i = 0; i < 3; i++)
		backing_close(place->table, backing);
	assert_int_equal(count_idle(place), 0);
	assert_int_equal(count_fds(), before);
	assert_null(inode->backing);
}

/* A writer alone reads by his fd, too; open, it would be ETXTBSY for all. */
static void test_a_writer_does_not_stay(void **state)
{
	struct place *place = *state;
	struct inode *inode = make_file(place, "a");
	struct backing *backing = open_backing(place, inode, true);
	int fd = backing_write_fd(backing);
	char byte;

	assert_int_equal(backing_read_fd(backing), fd);
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	backing_close(place->table, backing);
	assert_false(fd_is_open(fd));
	assert_int_equal(count_idle(place), 0);
}

/* 1,000 files read: at most 128 stay, the latest among them. */
static void test_idle_is_bounded(void **state)
{
	struct place *place = *state;
	unsigned int before = count_fds();
	struct inode *inode = NULL;
	char name[16];

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "%d", i);
		inode = make_file(place, name);
		backing_close(place->table, open_backing(place, inode, false));
		assert_non_null(inode->backing);
	}
	assert_in_range(count_idle(place), SHARDS, 2 * SHARDS);
	if (has_handles(place))
		assert_true(count_fds() <= before + 2 * SHARDS + 8);
	else
		assert_true(count_fds() <= before + 2 * SHARDS + 1000 + 8);
}

/* What is idle since before a moment goes, what was used since stays. */
static void test_expire(void **state)
{
	struct place *place = *state;
	struct inode *old = make_file(place, "old");
	struct inode *new = make_file(place, "new");
	struct inode *busy = make_file(place, "busy");
	struct backing *backing = open_backing(place, busy, false);
	uint64_t between;

	backing_close(place->table, open_backing(place, old, false));
	unit_sleep_ms(2);
	between = now_ns();
	unit_sleep_ms(2);
	backing_close(place->table, open_backing(place, new, false));

	backing_expire(place->table, 0);
	assert_int_equal(count_idle(place), 2);
	backing_expire(place->table, between);
	assert_int_equal(count_idle(place), 1);
	assert_null(old->backing);
	assert_non_null(new->backing);
	backing_expire(place->table, now_ns() + 1);
	assert_int_equal(count_idle(place), 0);
	assert_ptr_equal(busy->backing, backing);
	assert_true(fd_is_open(backing_read_fd(backing)));
	backing_close(place->table, backing);
}

/* The last link goes: an idle backing is dropped, an open one isn't. */
static void test_drop_idle(void **state)
{
	struct place *place = *state;
	struct inode *inode = make_file(place, "a");
	struct backing *backing;
	int fd;

	backing_drop_idle(place->table, inode);
	backing = open_backing(place, inode, false);
	fd = backing_read_fd(backing);
	backing_drop_idle(place->table, inode);
	assert_true(fd_is_open(fd));
	backing_close(place->table, backing);
	backing_drop_idle(place->table, inode);
	assert_false(fd_is_open(fd));
	assert_null(inode->backing);
	assert_int_equal(count_idle(place), 0);
}

static void keep_writers(struct place *place)
{
	struct inode_limits *limits =
		(struct inode_limits *)inode_table_limits(place->table);

	limits->keeps_writers = true;
}

/* One that is open for writing goes; if it is in use, after that. */
static void test_drop_writer(void **state)
{
	struct place *place = *state;
	struct inode *inode = make_file(place, "a");
	struct backing *backing;
	int fd;

	backing = open_backing(place, inode, false);
	backing_close(place->table, backing);
	backing_drop_writer(place->table, inode);
	assert_non_null(inode->backing);

	keep_writers(place);
	backing = open_backing(place, inode, true);
	backing_close(place->table, backing);
	assert_ptr_equal(inode->backing, backing);
	backing = open_backing(place, inode, true);
	fd = backing_write_fd(backing);
	backing_drop_writer(place->table, inode);
	assert_true(fd_is_open(fd));
	backing_close(place->table, backing);
	assert_false(fd_is_open(fd));
	assert_null(inode->backing);
}

/* A forgotten inode takes its idle backing along. */
static void test_forget(void **state)
{
	struct place *place = *state;
	struct inode *inode = make_file(place, "a");
	struct backing *backing = open_backing(place, inode, false);
	int fd = backing_read_fd(backing);

	backing_close(place->table, backing);
	inode_forget(place->table, inode, 1);
	assert_false(fd_is_open(fd));
	assert_int_equal(count_idle(place), 0);
}

/* One that is open lives on, forgotten or not, and its fd with it. */
static void test_forget_while_open(void **state)
{
	struct place *place = *state;
	struct inode *inode = make_file(place, "a");
	struct backing *backing = open_backing(place, inode, false);
	uint64_t known = inode_table_count(place->table);
	int fd = backing_read_fd(backing);

	assert_ptr_equal(open_backing(place, inode, false), backing);
	inode_forget(place->table, inode, 1);
	backing_close(place->table, backing);
	assert_true(fd_is_open(fd));
	assert_int_equal(inode_table_count(place->table), known);
	backing_close(place->table, backing);
	assert_false(fd_is_open(fd));
	assert_int_equal(inode_table_count(place->table), known - 1);
	assert_int_equal(count_idle(place), 0);
}

/* A new file comes open; a second one of the same inode is one too many. */
static void test_adopt(void **state)
{
	struct place *place = *state;
	int fd = scratch_file(place->scratch, "a", 3, 'x');
	struct inode *inode = look_up(place, "a");
	struct backing *backing, *again;
	int spare;

	assert_int_equal(backing_adopt(place->table, inode, fd, &backing), 0);
	assert_int_equal(backing_write_fd(backing), fd);
	assert_int_equal(backing_read_fd(backing), fd);
	spare = openat(place->scratch->fd, "a", O_RDWR | O_CLOEXEC);
	assert_int_equal(backing_adopt(place->table, inode, spare, &again), 0);
	assert_ptr_equal(again, backing);
	assert_int_equal(backing_write_fd(backing), fd);
	assert_false(fd_is_open(spare));
	backing_close(place->table, backing);
	assert_true(fd_is_open(fd));
	backing_close(place->table, backing);
	assert_false(fd_is_open(fd));
}

/* What can't be opened leaves nothing, and what is open unharmed. */
static void test_errors(void **state)
{
	struct place *place = *state;
	struct inode *dir;
	struct backing *backing = NULL;
	unsigned int before;

	mkdirat(place->scratch->fd, "dir", 0755);
	dir = look_up(place, "dir");
	before = count_fds();
	assert_int_equal(backing_open(place->table, dir, true, false, &backing),
			 -EISDIR);
	assert_null(backing);
	assert_null(dir->backing);
	assert_int_equal(count_fds(), before);
	backing = open_backing(place, dir, false);
	assert_int_equal(backing_open(place->table, dir, true, false, &backing),
			 -EISDIR);
	assert_int_equal(dir->backing->opens, 1);
	backing_close(place->table, dir->backing);
}

static bool set_append_only(struct place *place, const char *name, bool on)
{
	int fd = openat(place->scratch->fd, name, O_RDONLY | O_CLOEXEC);
	bool done = false;
	int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
		flags &= ~FS_APPEND_FL;
		flags |= on ? FS_APPEND_FL : 0;
		done = ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
	}
	close_fd(fd);
	return done;
}

/* An append-only file opens for those who say that they append. */
static void test_append_only(void **state)
{
	struct place *place = *state;
	struct inode *inode = make_file(place, "log");
	struct backing *backing = NULL;
	int refused, opened;

	if (!set_append_only(place, "log", true))
		unit_skip("no file can be made append-only here: %s",
			  strerror(errno));
	refused = backing_open(place->table, inode, true, false, &backing);
	opened = backing_open(place->table, inode, true, true, &backing);
	if (opened == 0)
		backing_close(place->table, backing);
	set_append_only(place, "log", false);
	assert_int_equal(refused, -EPERM);
	assert_int_equal(opened, 0);
}

/*
 * Who appends has it open when it becomes a file like others: what is written
 * elsewhere then lands there.
 */
static void test_no_more_append_only(void **state)
{
	struct place *place = *state;
	struct inode *inode = make_file(place, "log");
	struct backing *appender = NULL, *writer = NULL;
	char text[4];

	if (!set_append_only(place, "log", true))
		unit_skip("no file can be made append-only here: %s",
			  strerror(errno));
	assert_int_equal(
		backing_open(place->table, inode, true, true, &appender), 0);
	set_append_only(place, "log", false);
	assert_int_equal(
		backing_open(place->table, inode, true, false, &writer), 0);
	assert_ptr_equal(writer, appender);
	assert_int_equal(pwrite(backing_write_fd(writer), "y", 1, 0), 1);
	assert_int_equal(pread(backing_read_fd(writer), text, 4, 0), 3);
	assert_memory_equal(text, "yxx", 3);
	backing_close(place->table, writer);
	backing_close(place->table, appender);
}

/* One that only appends isn't kept for who writes elsewhere. */
static void test_an_appender_does_not_stay(void **state)
{
	struct place *place = *state;
	struct inode *inode = make_file(place, "log");
	struct backing *appender = NULL, *writer = NULL;
	int refused;

	keep_writers(place);
	if (!set_append_only(place, "log", true))
		unit_skip("no file can be made append-only here: %s",
			  strerror(errno));
	assert_int_equal(
		backing_open(place->table, inode, true, true, &appender), 0);
	refused = backing_open(place->table, inode, true, false, &writer);
	backing_close(place->table, appender);
	set_append_only(place, "log", false);
	assert_int_equal(refused, -EPERM);
	assert_null(inode->backing);
}

/* O_DIRECT has fds of its own, opened once, that do not stay. */
static void test_direct(void **state)
{
	struct place *place = *state;
	struct inode *inode = make_file(place, "a");
	struct backing *backing = open_backing(place, inode, false);
	int read_fd, write_fd;

	read_fd =
		backing_special_fd(place->table, backing, BACKING_DIRECT_READ);
	if (read_fd == -EINVAL) {
		backing_close(place->table, backing);
		unit_skip("this filesystem has no O_DIRECT");
	}
	assert_true(fcntl(read_fd, F_GETFL) & O_DIRECT);
	assert_int_equal(fcntl(read_fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(backing_special_fd(place->table, backing,
					    BACKING_DIRECT_READ),
			 read_fd);
	write_fd =
		backing_special_fd(place->table, backing, BACKING_DIRECT_WRITE);
	assert_int_not_equal(write_fd, read_fd);
	assert_int_equal(fcntl(write_fd, F_GETFL) & O_ACCMODE, O_RDWR);
	backing_close(place->table, backing);
	assert_int_equal(count_idle(place), 0);
	assert_false(fd_is_open(read_fd));
	assert_false(fd_is_open(write_fd));
}

/* A connection that registers nothing is asked once for each backing. */
static void test_no_passthrough(void **state)
{
	struct place *place = *state;
	struct inode *inode = make_file(place, "a");
	struct backing *backing = open_backing(place, inode, false);
	int no_fuse = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_int_equal(backing_passthrough_id(place->table, backing, no_fuse),
			 -ENOTTY);
	assert_int_equal(backing_passthrough_id(place->table, backing, no_fuse),
			 -EOPNOTSUPP);
	close(no_fuse);
	backing_close(place->table, backing);
}

/* -- 8 threads on 4 files -- */

#define FILES 4

struct opener {
	struct place *place;
	struct inode **inodes;
	uint32_t seed;
	int rounds;
	unsigned int failed;
};

static void *opener_thread(void *arg)
{
	struct opener *opener = arg;
	struct inode_table *table = opener->place->table;
	struct backing *backing;
	struct inode *inode;
	bool writable;
	char byte;
	int fd;

	for (int i = 0; i < opener->rounds; i++) {
		inode = opener->inodes[unit_random(&opener->seed) % FILES];
		writable = unit_random(&opener->seed) % 4 == 0;
		if (backing_open(table, inode, writable, false, &backing)) {
			opener->failed++;
			continue;
		}
		fd = writable ? backing_write_fd(backing) :
				backing_read_fd(backing);
		if (backing->inode != inode || pread(fd, &byte, 1, 0) != 1)
			opener->failed++;
		backing_close(table, backing);
		if (i % 50 == 0)
			backing_expire(table, now_ns());
		if (i % 70 == 0)
			backing_drop_idle(table, inode);
	}
	return NULL;
}

static void test_racing_opens(void **state)
{
	struct place *place = *state;
	struct inode *inodes[FILES];
	struct opener openers[8];
	unsigned int before;
	char name[2] = "a";

	for (int i = 0; i < FILES; i++, name[0]++)
		inodes[i] = make_file(place, name);
	before = count_fds();
	for (unsigned int i = 0; i < 8; i++)
		openers[i] = (struct opener){
			.place = place,
			.inodes = inodes,
			.seed = i + 1,
			.rounds = UNIT_ROUNDS(5000),
		};
	run_threads(8, opener_thread, openers, sizeof(openers[0]));
	for (int i = 0; i < 8; i++)
		assert_int_equal(openers[i].failed, 0);
	assert_true(count_idle(place) <= FILES);
	backing_expire(place->table, now_ns() + 1);
	assert_int_equal(count_idle(place), 0);
	for (int i = 0; i < FILES; i++)
		assert_null(inodes[i]->backing);
	assert_true(count_fds() <= before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		table_test(test_readers_share),
		table_test(test_reader_and_writer),
		table_test(test_a_writer_does_not_stay),
		table_test(test_idle_is_bounded),
		table_test(test_expire),
		table_test(test_drop_idle),
		table_test(test_drop_writer),
		table_test(test_forget),
		table_test(test_forget_while_open),
		table_test(test_adopt),
		table_test(test_errors),
		table_test(test_append_only),
		table_test(test_no_more_append_only),
		table_test(test_an_appender_does_not_stay),
		table_test(test_direct),
		table_test(test_no_passthrough),
		table_test(test_racing_opens),
	};

	return cmocka_run_group_tests_name("backing", tests, NULL, NULL);
}
