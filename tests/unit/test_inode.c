// SPDX-License-Identifier: GPL-2.0-or-later
/* The inode table: one object an inode, few fds, nothing left behind. */
#include "inode_priv.h"

#include "table.h"

#define THREADS 8

static uint64_t known(struct place *place)
{
	return inode_table_count(place->table);
}

static void forget(struct place *place, struct inode *inode, uint64_t lookups)
{
	inode_forget(place->table, inode, lookups);
}

/* The number of the file of that name. */
static ino_t number_of(struct place *place, const char *name)
{
	struct stat st;

	if (fstatat(place->scratch->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return st.st_ino;
}

/* That its fd leads to a file of that number, with so many links. */
static void assert_stat(struct place *place, struct inode *inode, ino_t ino,
			nlink_t links)
{
	struct stat st;
	int fd = inode_fd_get(place->table, inode);

	assert_true(fd >= 0);
	assert_int_equal(fstatat(fd, "", &st, AT_EMPTY_PATH), 0);
	inode_fd_put(place->table, inode);
	assert_int_equal(st.st_ino, ino);
	assert_int_equal(st.st_nlink, links);
}

/* Looked up twice, forgotten twice: one object, of one file. */
static void test_one_file(void **state)
{
	struct place *place = *state;
	struct inode *inode;
	struct stat st;

	scratch_touch(place->scratch, "a");
	assert_int_equal(known(place), 1); /* the root */
	assert_int_equal(
		inode_lookup(place->table, place->root, "a", &inode, &st), 0);
	assert_ptr_equal(look_up(place, "a"), inode);
	assert_int_equal(known(place), 2);
	assert_int_equal(inode->lookups, 2);
	assert_int_equal(inode->type, S_IFREG);
	assert_int_equal(number_of(place, "a"), st.st_ino);
	assert_int_equal(inode_number(inode, st.st_ino), st.st_ino);
	assert_stat(place, inode, st.st_ino, 1);

	forget(place, inode, 1);
	assert_int_equal(known(place), 2);
	forget(place, inode, 1);
	assert_int_equal(known(place), 1);
}

/* Who holds an fd of it keeps it, even if the kernel forgets it meanwhile. */
static void test_forgotten_while_in_use(void **state)
{
	struct place *place = *state;
	struct inode *inode;
	struct stat st;
	int fd;

	scratch_touch(place->scratch, "a");
	inode = look_up(place, "a");
	fd = inode_fd_get(place->table, inode);
	assert_true(fd >= 0);
	forget(place, inode, 1);
	assert_int_equal(known(place), 2);
	assert_int_equal(fstatat(fd, "", &st, AT_EMPTY_PATH), 0);
	assert_int_equal(st.st_ino, number_of(place, "a"));
	inode_fd_put(place->table, inode);
	assert_int_equal(known(place), 1);
}

/* A reference by hand is a lookup, too. */
static void test_reference(void **state)
{
	struct place *place = *state;
	struct inode *inode;

	scratch_touch(place->scratch, "a");
	inode = look_up(place, "a");
	inode_ref(place->table, inode);
	assert_int_equal(inode->lookups, 2);
	forget(place, inode, 1);
	assert_int_equal(known(place), 2);
	forget(place, inode, 1);
	assert_int_equal(known(place), 1);
}

/* A name that isn't there: the answer, and no object. */
static void test_a_missing_name(void **state)
{
	struct place *place = *state;
	struct inode *inode = place->root;
	bool is_last;
	struct stat st;

	assert_int_equal(inode_lookup(place->table, place->root, "none", &inode,
				      &st),
			 -ENOENT);
	assert_ptr_equal(inode, place->root);
	assert_null(
		inode_find_victim(place->table, place->root, "none", &is_last));
	assert_int_equal(known(place), 1);
}

/* Three names of one file are one inode with three lookups. */
static void test_hard_links(void **state)
{
	struct place *place = *state;
	int dir = place->scratch->fd;
	struct inode *inode;

	scratch_touch(place->scratch, "a");
	assert_int_equal(linkat(dir, "a", dir, "b", 0), 0);
	assert_int_equal(linkat(dir, "a", dir, "c", 0), 0);
	inode = look_up(place, "a");
	assert_ptr_equal(look_up(place, "b"), inode);
	assert_ptr_equal(look_up(place, "c"), inode);
	assert_int_equal(known(place), 2);
	assert_stat(place, inode, number_of(place, "a"), 3);
	forget(place, inode, 3);
	assert_int_equal(known(place), 1);
}

/* A directory in a directory, and a link that is not followed. */
static void test_kinds_of_files(void **state)
{
	struct place *place = *state;
	int dir = place->scratch->fd;
	struct inode *sub, *link, *deep;
	struct stat st;

	mkdirat(dir, "sub", 0755);
	mkdirat(dir, "sub/deep", 0755);
	assert_int_equal(symlinkat("sub", dir, "link"), 0);
	sub = look_up(place, "sub");
	link = look_up(place, "link");
	assert_int_equal(sub->type, S_IFDIR);
	assert_int_equal(link->type, S_IFLNK);
	assert_ptr_not_equal(sub, link);
	assert_int_equal(inode_lookup(place->table, sub, "deep", &deep, &st),
			 0);
	assert_int_equal(number_of(place, "sub/deep"), st.st_ino);
	assert_int_equal(inode_lookup(place->table, deep, "none", &sub, &st),
			 -ENOENT);
	forget(place, deep, 1);
}

/* A renamed file is the same; a new one of the old name is another. */
static void test_names_come_and_go(void **state)
{
	struct place *place = *state;
	int dir = place->scratch->fd;
	struct inode *old, *new;

	scratch_touch(place->scratch, "a");
	old = look_up(place, "a");
	assert_int_equal(renameat(dir, "a", dir, "b"), 0);
	assert_ptr_equal(look_up(place, "b"), old);
	forget(place, old, 1);

	assert_int_equal(unlinkat(dir, "b", 0), 0);
	scratch_touch(place->scratch, "b");
	new = look_up(place, "b");
	assert_ptr_not_equal(new, old);
	assert_int_equal(known(place), 3);
}

/* Found if it is known, and then once more looked up. */
static void test_find_victim(void **state)
{
	struct place *place = *state;
	struct inode *inode;
	bool is_last = true;

	scratch_touch(place->scratch, "a");
	assert_null(
		inode_find_victim(place->table, place->root, "a", &is_last));
	inode = look_up(place, "a");
	assert_int_equal(
		linkat(place->scratch->fd, "a", place->scratch->fd, "b", 0), 0);
	assert_ptr_equal(inode_find_victim(place->table, place->root, "a",
					   &is_last),
			 inode);
	assert_false(is_last);
	assert_int_equal(inode->lookups, 2);
	assert_int_equal(unlinkat(place->scratch->fd, "a", 0), 0);
	assert_ptr_equal(inode_find_victim(place->table, place->root, "b",
					   &is_last),
			 inode);
	assert_true(is_last);
	assert_true(inode->path_fd->is_pinned);
	forget(place, inode, 3);
	assert_null(
		inode_find_victim(place->table, place->root, "b", &is_last));
}

/* Unlinked, with its fd pinned, a file is still there to be seen and read. */
static void test_unlinked_and_pinned(void **state)
{
	struct place *place = *state;
	struct inode *inode;
	bool is_last = false;
	ino_t ino;
	char byte;
	int fd;

	close(scratch_file(place->scratch, "a", 10, 'x'));
	inode = look_up(place, "a");
	ino = number_of(place, "a");
	for (int i = 0; i < 2; i++) { /* twice is no more than once */
		inode_find_victim(place->table, place->root, "a", &is_last);
		assert_true(is_last);
		inode_forget(place->table, inode, 1);
	}
	unlinkat(place->scratch->fd, "a", 0);

	for (int i = 0; i < 500; i++) { /* others want fds, too */
		char name[16];

		snprintf(name, sizeof(name), "other-%d", i);
		scratch_touch(place->scratch, name);
		assert_stat(place, look_up(place, name), number_of(place, name),
			    1);
	}
	assert_stat(place, inode, ino, 0);
	fd = inode_open(place->table, inode, O_RDONLY);
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	close(fd);
	forget(place, inode, 1);
}

static int open_nameless(struct place *place)
{
	return openat(place->scratch->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC,
		      0600);
}

/* A file that never had a name is found by its open fd. */
static void test_a_file_without_a_name(void **state)
{
	struct place *place = *state;
	struct inode *inode, *again;
	struct stat st;
	int fd;

	fd = open_nameless(place);
	if (fd < 0)
		unit_skip("no O_TMPFILE here: %s", strerror(errno));
	fstat(fd, &st);
	assert_int_equal(inode_lookup_fd(place->table, fd, &st, &inode), 0);
	close(fd);
	assert_stat(place, inode, st.st_ino, 0);
	fd = inode_open(place->table, inode, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(inode_lookup_fd(place->table, fd, &st, &again), 0);
	assert_ptr_equal(again, inode);
	close(fd);
	forget(place, inode, 2);
	assert_int_equal(known(place), 1);
}

/* A new file, known by its fd, is the one that its name leads to. */
static void test_a_file_by_its_fd(void **state)
{
	struct place *place = *state;
	struct inode *inode;
	struct stat st;
	int fd;

	fd = scratch_file(place->scratch, "a", 1, 'x');
	fstat(fd, &st);
	assert_int_equal(inode_lookup_fd(place->table, fd, &st, &inode), 0);
	close(fd);
	assert_ptr_equal(look_up(place, "a"), inode);
	assert_stat(place, inode, st.st_ino, 1);
	forget(place, inode, 2);
}

/* -- many files -- */

#define FILES 5000
#define FILES_WITH_FD 1000

static void make_files(struct place *place, int count)
{
	char name[16];

	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%d", i);
		scratch_touch(place->scratch, name);
	}
}

/* Looks at each: known, one after the other, and so are its attributes. */
static unsigned int walk_files(struct place *place, struct inode **inodes,
			       int count)
{
	unsigned int most = 0;
	char name[16];

	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%d", i);
		inodes[i] = look_up(place, name);
		assert_stat(place, inodes[i], number_of(place, name), 1);
		if (i % 100 == 0 && count_fds() > most)
			most = count_fds();
	}
	return most - place->fds;
}

static void forget_files(struct place *place, struct inode **inodes, int count)
{
	for (int i = 0; i < count; i++)
		forget(place, inodes[i], 1);
	assert_int_equal(known(place), 1);
}

/* With handles, 5,000 known files hold at most 128 fds, and the root's. */
static void test_few_fds(void **state)
{
	static struct inode *inodes[FILES];
	struct place *place = *state;

	if (!has_handles(place))
		unit_skip("file handles are root's to use");
	make_files(place, FILES);
	assert_in_range(walk_files(place, inodes, FILES), 1, 2 * SHARDS + 8);
	assert_int_equal(known(place), FILES + 1);
	forget_files(place, inodes, FILES);
	assert_true(count_fds() <= place->fds + 3);
}

/* Without, each of 1,000 known files holds one; forgotten, none. */
static void test_an_fd_each(void **state)
{
	static struct inode *inodes[FILES_WITH_FD];
	struct place *place = *state;
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < FILES_WITH_FD + 100)
		unit_skip("no more than %ju fds may be open",
			  (uintmax_t)limit.rlim_cur);
	make_files(place, FILES_WITH_FD);
	walk_files(place, inodes, FILES_WITH_FD);
	assert_true(count_fds() >= place->fds + FILES_WITH_FD);
	forget_files(place, inodes, FILES_WITH_FD);
	assert_true(count_fds() <= place->fds + 3);
}

/* -- 8 threads -- */

#define NAMES 50

struct racer {
	struct place *place;
	struct inode *found[NAMES];
	uint32_t seed;
	int rounds;
	unsigned int failed;
};

static struct inode *racer_look_up(struct racer *racer, int number)
{
	struct inode *inode = NULL;
	struct stat st;
	char name[16];

	snprintf(name, sizeof(name), "%d", number);
	if (inode_lookup(racer->place->table, racer->place->root, name, &inode,
			 &st) < 0 ||
	    st.st_ino != number_of(racer->place, name))
		racer->failed++;
	return inode;
}

static void *lookup_thread(void *arg)
{
	struct racer *racer = arg;

	for (int i = 0; i < NAMES; i++)
		racer->found[i] = racer_look_up(racer, i);
	return NULL;
}

/* Looks up, uses, and forgets, so that objects come and go all the time. */
static void *churn_thread(void *arg)
{
	struct racer *racer = arg;
	struct inode_table *table = racer->place->table;
	struct inode *inode;
	struct stat st;
	int fd;

	for (int i = 0; i < racer->rounds; i++) {
		char name[16];
		int number = (int)(unit_random(&racer->seed) % 5);

		snprintf(name, sizeof(name), "%d", number);
		inode = racer_look_up(racer, number);
		if (!inode)
			continue;
		fd = inode_fd_get(table, inode);
		if (fd < 0 || fstatat(fd, "", &st, AT_EMPTY_PATH) < 0 ||
		    st.st_ino != number_of(racer->place, name))
			racer->failed++;
		if (fd >= 0)
			inode_fd_put(table, inode);
		fd = inode_open(table, inode, O_RDONLY);
		if (fd < 0)
			racer->failed++;
		close_fd(fd);
		inode_forget(table, inode, 1);
	}
	return NULL;
}

static void race(struct place *place, struct racer *racers, void *(*fn)(void *))
{
	char name[16];

	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "%d", i);
		scratch_touch(place->scratch, name);
	}
	for (unsigned int i = 0; i < THREADS; i++)
		racers[i] = (struct racer){
			.place = place,
			.seed = i + 1,
			.rounds = UNIT_ROUNDS(3000),
		};
	run_threads(THREADS, fn, racers, sizeof(racers[0]));
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(racers[i].failed, 0);
}

/* All find the same 50 objects, each with 8 lookups. */
static void test_racing_lookups(void **state)
{
	struct place *place = *state;
	struct racer racers[THREADS];

	race(place, racers, lookup_thread);
	assert_int_equal(known(place), NAMES + 1);
	for (int i = 0; i < NAMES; i++) {
		for (int thread = 1; thread < THREADS; thread++)
			assert_ptr_equal(racers[thread].found[i],
					 racers[0].found[i]);
		assert_int_equal(racers[0].found[i]->lookups, THREADS);
		forget(place, racers[0].found[i], THREADS);
	}
	assert_int_equal(known(place), 1);
}

/* 5 files, known and forgotten some thousand times by all. */
static void test_racing_forgets(void **state)
{
	struct place *place = *state;
	struct racer racers[THREADS];

	race(place, racers, churn_thread);
	assert_int_equal(known(place), 1);
}

/* -- what an inode carries -- */

/* Its charge of 8 MiB is given back when it is forgotten. */
static void test_forgetting_uncharges(void **state)
{
	struct place *place = *state;
	struct books *books = books_new();
	struct account *host = books_find(books, "/host");
	struct inode *inode;

	scratch_touch(place->scratch, "a");
	inode = look_up(place, "a");
	assert_int_equal(inode_make_pages(place->table, inode), 0);
	inode_lock(place->table, inode);
	assert_int_equal(account_file_set_host(&inode->pages->account, host),
			 0);
	assert_int_equal(account_file_charge(&inode->pages->account, 8 * MIB,
					     NULL, 0),
			 0);
	inode_unlock(place->table, inode);
	assert_int_equal(account_usage(host), 8 * MIB);
	forget(place, inode, 1);
	assert_int_equal(account_usage(host), 0);
	account_unref(host);
	books_free(books);
}

/* -- other filesystems: / with /proc on it -- */

static int root_setup(void **state)
{
	struct inode_limits limits = { .path_fds = SHARDS };
	struct inode_table *table;
	int r;

	r = inode_table_new(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
			    &limits, &backing_hooks, &table);
	*state = table;
	return r;
}

static int root_teardown(void **state)
{
	inode_table_free(*state);
	return 0;
}

/* /proc is entered, is a device of its own, and so are its numbers. */
static void test_crossing_into_a_mount(void **state)
{
	struct inode_table *table = *state;
	struct inode *root = inode_table_root(table);
	struct inode *proc, *self;
	struct stat st;

	assert_int_equal(inode_lookup(table, root, "proc", &proc, &st), 0);
	assert_int_equal(inode_device(table, proc)->dev, st.st_dev);
	assert_true(inode_device(table, proc)->dev !=
		    inode_device(table, root)->dev);
	assert_int_equal(inode_lookup(table, proc, "version", &self, &st), 0);
	assert_ptr_equal(inode_device(table, self), inode_device(table, proc));
	assert_true(inode_number(self, 1) != inode_number(root, 1));
}

static bool stays(const struct inode *inode)
{
	return true;
}

static bool goes(const struct inode *inode)
{
	return false;
}

/* How many are exposed, each of which is to be that one. */
static unsigned int count_exposed(struct place *place, struct inode *inode)
{
	unsigned int part = 0, exposed = 0;
	struct inode **found;
	size_t count;

	while (inode_exposed_next(place->table, &part, &found, &count)) {
		for (size_t i = 0; i < count; i++) {
			assert_ptr_equal(found[i], inode);
			forget(place, found[i], 1);
			exposed++;
		}
		free(found);
	}
	return exposed;
}

/* An exposed inode is known, even if the kernel forgets it, till it is not. */
static void test_exposed(void **state)
{
	struct place *place = *state;
	struct inode *inode;

	scratch_touch(place->scratch, "a");
	inode = look_up(place, "a");
	assert_int_equal(inode_make_pages(place->table, inode), 0);
	inode_mark(place->table, inode, INODE_EXPOSED);
	inode_mark(place->table, inode, INODE_EXPOSED);
	assert_int_equal(inode->lookups, 2);
	assert_int_equal(count_exposed(place, inode), 1);
	forget(place, inode, 1);
	assert_int_equal(known(place), 2);
	inode_ref(place->table, inode);
	inode_unmark(place->table, inode, INODE_EXPOSED, stays);
	assert_int_equal(count_exposed(place, inode), 1);
	inode_unmark(place->table, inode, INODE_EXPOSED, goes);
	inode_unmark(place->table, inode, INODE_EXPOSED, goes);
	assert_int_equal(count_exposed(place, inode), 0);
	assert_int_equal(inode->lookups, 1);
	forget(place, inode, 1);
	assert_int_equal(known(place), 1);
}

/* One that would cost an fd, and its file's space, goes with the last other. */
static void test_exposed_without_a_name(void **state)
{
	struct place *place = *state;
	struct inode *inode;
	bool is_last;

	scratch_touch(place->scratch, "a");
	inode = look_up(place, "a");
	assert_int_equal(inode_make_pages(place->table, inode), 0);
	inode_mark(place->table, inode, INODE_EXPOSED);
	assert_ptr_equal(inode_find_victim(place->table, place->root, "a",
					   &is_last),
			 inode);
	assert_true(is_last);
	forget(place, inode, 1);
	assert_int_equal(count_exposed(place, inode), 1);
	forget(place, inode, 1);
	assert_int_equal(known(place), 1);
	assert_int_equal(count_exposed(place, inode), 0);
}

/* The mount that must not be entered is met, and not entered. */
static void test_the_excluded_mount(void **state)
{
	struct inode_table *table = *state;
	struct inode *root = inode_table_root(table);
	struct inode *proc = NULL;
	struct stat st;

	assert_int_equal(stat("/proc", &st), 0);
	inode_table_exclude(table, st.st_dev);
	assert_int_equal(inode_lookup(table, root, "proc", &proc, &st), -ELOOP);
	assert_null(proc);
	assert_int_equal(inode_table_count(table), 1);
}

/* What isn't a directory makes no table, and its fd is closed. */
static void test_no_root(void **state)
{
	struct inode_limits limits = { .path_fds = SHARDS };
	struct inode_table *table = NULL;
	unsigned int before = count_fds();
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(inode_table_new(fd, &limits, &backing_hooks, &table) < 0);
	assert_null(table);
	assert_int_equal(count_fds(), before);
	assert_null(inode_table_free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		table_test(test_one_file),
		table_test(test_forgotten_while_in_use),
		table_test(test_reference),
		table_test(test_a_missing_name),
		table_test(test_hard_links),
		table_test(test_kinds_of_files),
		table_test(test_names_come_and_go),
		table_test(test_find_victim),
		table_test(test_unlinked_and_pinned),
		table_test(test_a_file_without_a_name),
		table_test(test_a_file_by_its_fd),
		cmocka_unit_test_setup_teardown(
			test_few_fds, place_setup_with_handles, place_teardown),
		cmocka_unit_test_setup_teardown(
			test_an_fd_each, place_setup_without, place_teardown),
		table_test(test_racing_lookups),
		table_test(test_racing_forgets),
		table_test(test_forgetting_uncharges),
		cmocka_unit_test_setup_teardown(
			test_exposed, place_setup_with_handles, place_teardown),
		table_test(test_exposed_without_a_name),
		cmocka_unit_test_setup_teardown(test_crossing_into_a_mount,
						root_setup, root_teardown),
		cmocka_unit_test_setup_teardown(test_the_excluded_mount,
						root_setup, root_teardown),
		cmocka_unit_test(test_no_root),
	};

	return cmocka_run_group_tests_name("inode", tests, NULL, NULL);
}
