// SPDX-License-Identifier: GPL-2.0-or-later
/* Who maps a file: this process and children of it. */
#include "mappers.h"

#include "unit.h"
#include "util.h"

#include <sys/mman.h>

#define BYTES (16 * 4096)

static void *map(int fd, off_t offset)
{
	void *address = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, offset);

	assert_ptr_not_equal(address, MAP_FAILED);
	return address;
}

static size_t find(const struct mappers_file *file, pid_t *pids, size_t max)
{
	struct mappers *mappers;
	size_t found;

	assert_int_equal(mappers_new(&mappers), 0);
	found = mappers_find(mappers, file, pids, max);
	assert_null(mappers_free(mappers));
	return found;
}

/* Nobody, then this process by two mappings, then nobody again. */
static void test_a_file_that_is_mapped(void **state)
{
	int fd = scratch_file(*state, "a", BYTES, 'x');
	unsigned int before = count_fds();
	struct mappers_file file;
	void *first, *second;
	pid_t pids[4] = { 0 };

	assert_int_equal(mappers_identify(fd, &file), 0);
	assert_int_equal(find(&file, pids, 4), 0);
	first = map(fd, 0);
	second = map(fd, 8 * 4096);
	close(fd); /* they stay */
	assert_int_equal(find(&file, pids, 4), 1);
	assert_int_equal(pids[0], getpid());
	munmap(first, 4096);
	munmap(second, 4096);
	assert_int_equal(find(&file, pids, 4), 0);
	assert_int_equal(count_fds(), before - 1);
}

/* Three processes; who asks for two is told of two, and that there are three.
 * Another file of the same directory isn't theirs. */
static void test_several_processes(void **state)
{
	int fd = scratch_file(*state, "a", BYTES, 'x');
	int other = scratch_file(*state, "b", BYTES, 'x');
	struct mappers_file file, other_file;
	void *address = map(fd, 0);
	pid_t children[2], pids[2];
	size_t found;

	for (int i = 0; i < 2; i++) {
		children[i] = fork(); /* with its mappings */
		if (!children[i]) {
			pause();
			_exit(0);
		}
	}
	assert_int_equal(mappers_identify(fd, &file), 0);
	assert_int_equal(mappers_identify(other, &other_file), 0);
	found = find(&file, pids, 2);
	assert_int_equal(find(&other_file, NULL, 0), 0);
	for (int i = 0; i < 2; i++) {
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
	}
	assert_int_equal(found, 3);
	assert_true(pids[0] < pids[1]);
	assert_int_equal(find(&file, pids, 2), 1);
	munmap(address, 4096);
	close(other);
	close(fd);
}

/* What can't be mapped is no file of anybody's; no page is brought in. */
static void test_identify(void **state)
{
	struct scratch *scratch = *state;
	struct mappers_file file = { .ino = 77 };
	int fd = scratch_file(scratch, "a", 0, 0);
	struct stat st;

	assert_int_equal(mappers_identify(-1, &file), -EBADF);
	assert_int_equal(mappers_identify(scratch->fd, &file), -ENODEV);
	assert_int_equal(file.ino, 77);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(mappers_identify(fd, &file),
			 0); /* an empty one, too */
	assert_int_equal(file.ino, st.st_ino);
	close(fd);
}

#define mappers_test(name) \
	cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		mappers_test(test_a_file_that_is_mapped),
		mappers_test(test_several_processes),
		mappers_test(test_identify),
	};

	return cmocka_run_group_tests_name("mappers", tests, NULL, NULL);
}
