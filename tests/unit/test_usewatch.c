// SPDX-License-Identifier: GPL-2.0-or-later
/* Who opens files: tried on a tmpfs, whose handles look like FUSE's. */
#include "usewatch.h"

#include "creds.h"
#include "unit.h"
#include "util.h"

#include <linux/capability.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

#define WHERE "/dev/shm"
#define NOT_TOLD 1

struct desk {
	struct usewatch *watch;
	char path[64];
	int news_fd; /* an event for each call below */
	atomic_int told;
	_Atomic pid_t opener; /* who is waited for */
	_Atomic uint64_t nodeid;
};

static void on_opened(void *userdata, uint64_t nodeid, pid_t pid)
{
	struct desk *desk = userdata;

	if (pid != atomic_load(&desk->opener))
		return;
	atomic_store(&desk->nodeid, nodeid);
	eventfd_write(desk->news_fd, 1);
}

static void on_lost(void *userdata)
{
}

static void on_told(void *userdata, int error)
{
	struct desk *desk = userdata;

	atomic_store(&desk->told, error);
	eventfd_write(desk->news_fd, 1);
}

static int desk_setup(void **state)
{
	struct desk *desk = calloc(1, sizeof(*desk));
	struct usewatch_config config = {
		.opened = on_opened,
		.lost = on_lost,
		.told = on_told,
		.userdata = desk,
	};
	int fd;

	*state = desk;
	desk->told = NOT_TOLD;
	desk->news_fd = eventfd(0, EFD_CLOEXEC);
	snprintf(desk->path, sizeof(desk->path), WHERE "/usewatch-XXXXXX");
	fd = mkstemp(desk->path);
	close_fd(fd);
	return fd < 0 ? -1 : usewatch_new(&config, &desk->watch);
}

static int desk_teardown(void **state)
{
	struct desk *desk = *state;

	usewatch_free(desk->watch);
	unlink(desk->path);
	close_fd(desk->news_fd);
	free(desk);
	return 0;
}

static void wait_for_news(struct desk *desk)
{
	struct pollfd pfd = { .fd = desk->news_fd, .events = POLLIN };
	eventfd_t news;

	assert_int_equal(poll(&pfd, 1, 10000), 1);
	eventfd_read(desk->news_fd, &news);
}

static struct desk *begin(void **state, dev_t more)
{
	struct desk *desk = *state;
	struct stat st;

	if (!creds_have(CREDS_MASK(CAP_SYS_ADMIN)))
		unit_skip("no right to watch");
	assert_int_equal(stat(WHERE, &st), 0);
	assert_int_equal(usewatch_begin(desk->watch, WHERE, st.st_dev + more),
			 0);
	wait_for_news(desk);
	return desk;
}

/* A process that opens the file when told to, and lives until it is killed. */
static pid_t start_opener(const struct desk *desk, int *say_fd)
{
	int fds[2];
	char said;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	*say_fd = fds[1];
	pid = fork();
	if (pid == 0 && read(fds[0], &said, 1) == 1 &&
	    open(desk->path, O_RDONLY) >= 0)
		pause();
	if (pid == 0)
		_exit(1);
	close_fd(fds[0]);
	return pid;
}

static void test_who_opens_is_told(void **state)
{
	struct desk *desk = begin(state, 0);
	int say_fd;
	pid_t pid;

	assert_int_equal(desk->told, 0);
	pid = start_opener(desk, &say_fd);
	atomic_store(&desk->opener, pid);
	assert_int_equal(write(say_fd, "!", 1), 1);
	wait_for_news(desk);
	assert_int_not_equal(desk->nodeid, 0);
	close_fd(say_fd);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_another_filesystem_is_not_watched(void **state)
{
	struct desk *desk = begin(state, 1);

	assert_int_equal(desk->told, -ENODEV);
}

/* Whoever ends it: from there on not all is known. */
static void test_its_end_is_told(void **state)
{
	struct desk *desk = begin(state, 0);
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/children",
		 (int)getpid());
	assert_true(read_small_file(AT_FDCWD, path, text, sizeof(text)) > 0);
	kill(atoi(text), SIGKILL);
	wait_for_news(desk);
	assert_int_equal(desk->told, -EPIPE);
}

static void test_it_need_not_begin(void **state)
{
	struct desk *desk = *state;

	assert_int_equal(desk->told, NOT_TOLD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_who_opens_is_told,
						desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(
			test_another_filesystem_is_not_watched, desk_setup,
			desk_teardown),
		cmocka_unit_test_setup_teardown(test_its_end_is_told,
						desk_setup, desk_teardown),
		cmocka_unit_test_setup_teardown(test_it_need_not_begin,
						desk_setup, desk_teardown),
	};

	unit_watchdog(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
