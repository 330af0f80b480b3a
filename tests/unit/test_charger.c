// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A charger and its spawner, without a cgroup: "entering the host" is a
 * write to an fd, for which /dev/null is always good, and /dev/full never.
 * The fd table is one, so that the test can change what is behind the number
 * while they live.
 */
#include "charger.h"

#include "arena.h"
#include "unit.h"
#include "util.h"

#include <stdatomic.h>

#define WAIT_MS 5000
#define SECOND_NS UINT64_C(1000000000)
#define UNIT_TIMEOUT_NS (30 * SECOND_NS)

struct works {
	struct scratch *scratch;
	struct arena *arena;
	struct spawner *spawner;
	struct charger *charger;
	int procs_fd;
	int fd; /* of a file, opened after the charger was born */
};

#define FILE_BYTES MIB

/* -- processes, as /proc shows them -- */

static bool read_stat(pid_t pid, char name[64], pid_t *parent)
{
	char path[64], text[512];
	char *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (read_small_file(AT_FDCWD, path, text, sizeof(text)) < 0)
		return false;
	end = strrchr(text, ')');
	if (!end)
		return false;
	*end = '\0';
	snprintf(name, 64, "%s", strchr(text, '(') + 1);
	return sscanf(end + 1, " %*c %d", parent) == 1;
}

/* A living child of @parent by that name, or 0. */
static pid_t find_child(pid_t parent, const char *name)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	while (proc && !found && (entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);
		char its_name[64];
		pid_t its_parent;

		if (pid > 0 && read_stat(pid, its_name, &its_parent) &&
		    its_parent == parent && strcmp(its_name, name) == 0)
			found = pid;
	}
	closedir(proc);
	return found;
}

static pid_t find_spawner(void)
{
	return find_child(getpid(), "memcgfs-spawn");
}

/* 0: there is none at the moment. */
static pid_t find_charger(void)
{
	return find_child(find_spawner(), "memcgfs-charge");
}

static bool kill_charger(void)
{
	pid_t pid = find_charger();

	return pid && kill(pid, SIGKILL) == 0;
}

/* -- a charger -- */

/* A file that says at each multiple of 8 where that is. */
static int numbered_file(struct scratch *scratch)
{
	uint64_t *content = malloc(FILE_BYTES);
	int fd = scratch_file(scratch, "numbers", 0, 0);

	assert_non_null(content);
	for (uint64_t i = 0; i < FILE_BYTES / 8; i++)
		content[i] = i * 8;
	assert_int_equal(pwrite(fd, content, FILE_BYTES, 0), FILE_BYTES);
	free(content);
	return fd;
}

static int works_setup(void **state)
{
	struct works *works = calloc(1, sizeof(*works));
	struct charger_config config = {
		.name = "/unit",
		.birth.kpagecgroup_fd = -1,
		.birth.kpageflags_fd = -1,
		.timeout_ns = UNIT_TIMEOUT_NS,
	};
	void *scratch = NULL;
	int r;

	if (!works || scratch_setup(&scratch) < 0)
		return -1;
	unit_watchdog(60);
	works->scratch = scratch;
	works->procs_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	config.birth.procs_fd = works->procs_fd;
	r = arena_new(UNIT_MAX_THREADS, &works->arena);
	if (r == 0)
		r = spawner_new(&works->spawner);
	if (r == 0)
		config.birth.arena_fd = arena_fd(works->arena);
	config.spawner = works->spawner;
	if (r == 0)
		r = charger_new(&config, &works->charger);
	works->fd = numbered_file(works->scratch);
	*state = works;
	return r;
}

static int works_teardown(void **state)
{
	struct works *works = *state;
	void *scratch = works->scratch;

	charger_free(works->charger);
	spawner_free(works->spawner);
	arena_free(works->arena);
	close(works->procs_fd);
	close(works->fd);
	scratch_teardown(&scratch);
	free(works);
	unit_watchdog(0);
	return 0;
}

/* Reads the number at @offset: 8 if it is right, or the error. */
static int64_t read_number(struct works *works, uint64_t *buffer,
			   uint64_t offset)
{
	struct ring_call call = {
		.op = RING_READ,
		.fd = works->fd,
		.offset = offset,
		.length = 8,
		.buffer = arena_offset(works->arena, buffer),
	};
	int64_t n;

	*buffer = UINT64_MAX;
	n = charger_call(works->charger, &call);
	if (n == 8 && *buffer != offset)
		n = -EBADMSG;
	return n;
}

struct caller {
	struct works *works;
	int calls; /* 0: until the caller is told to stop */
	atomic_bool *stop;
	atomic_int made;
	atomic_int refused; /* as there was no charger */
	atomic_int failed; /* in any other way */
};

static void *caller_thread(void *arg)
{
	struct caller *caller = arg;
	uint64_t *buffer = arena_buffer(caller->works->arena, 8);
	uint64_t offset = (uintptr_t)buffer >> 12; /* not all the same */
	int64_t n;

	for (int i = 0; caller->calls ? i < caller->calls : !*caller->stop;
	     i++) {
		offset = (offset + 8) * 8 % FILE_BYTES;
		n = read_number(caller->works, buffer, offset);
		caller->refused += n == -EHOSTDOWN;
		caller->failed += n != 8 && n != -EHOSTDOWN;
		caller->made++;
	}
	return NULL;
}

static bool wait_made(struct caller *caller, int made)
{
	for (int ms = 0; ms < WAIT_MS; ms++) {
		if (caller->made >= made)
			return true;
		unit_sleep_ms(1);
	}
	return false;
}

/* A call that hangs is ended, if need be by its charger's end. */
static void end_calls(struct caller *caller, int made)
{
	for (int i = 0; i < 5 && caller->made < made; i++) {
		kill_charger();
		for (int ms = 0; ms < 1000 && caller->made < made; ms++)
			unit_sleep_ms(1);
	}
	if (caller->made < made) {
		void *scratch = caller->works->scratch;

		print_error("a call hangs for good\n");
		scratch_teardown(&scratch);
		exit(1);
	}
}

/* 100 calls, by a thread of their own, are made, or else refused. */
static void assert_calls(struct works *works, bool made_well)
{
	struct caller caller = { .works = works, .calls = 100 };
	pthread_t thread;
	bool made;

	assert_int_equal(pthread_create(&thread, NULL, caller_thread, &caller),
			 0);
	made = wait_made(&caller, 100);
	end_calls(&caller, 100);
	pthread_join(thread, NULL);
	assert_true(made);
	assert_int_equal(caller.failed, 0);
	assert_int_equal(caller.refused, made_well ? 0 : 100);
}

/* Whether @fn holds within some seconds. */
static bool wait_for(bool (*fn)(struct works *works), struct works *works)
{
	for (int ms = 0; ms < WAIT_MS; ms += 5) {
		if (fn(works))
			return true;
		unit_sleep_ms(5);
	}
	return false;
}

static bool is_down(struct works *works)
{
	return charger_is_down(works->charger);
}

static bool is_up(struct works *works)
{
	return !charger_is_down(works->charger);
}

static bool was_restarted(struct works *works)
{
	return charger_restarts(works->charger) > 0;
}

static void *write_hello_thread(void *arg)
{
	struct caller *caller = arg;
	struct works *works = caller->works;
	char *buffer = arena_buffer(works->arena, 5);
	struct ring_call call = {
		.op = RING_WRITE,
		.fd = works->fd,
		.offset = 10,
		.length = 5,
		.buffer = arena_offset(works->arena, buffer),
	};

	memcpy(buffer, "hello", 5);
	caller->failed += charger_call(works->charger, &call) != 5;
	call = (struct ring_call){ .op = RING_READ, .fd = -1 };
	caller->failed += charger_call(works->charger, &call) != -EBADF;
	return NULL;
}

/* A file opened after its birth is the charger's by its number. */
static void test_calls(void **state)
{
	struct works *works = *state;
	struct caller caller = { .works = works };
	char text[6] = "";

	assert_false(charger_is_down(works->charger));
	assert_calls(works, true);
	run_threads(1, write_hello_thread, &caller, sizeof(caller));
	assert_int_equal(caller.failed, 0);
	assert_int_equal(pread(works->fd, text, 5, 10), 5);
	assert_string_equal(text, "hello");
	assert_int_equal(charger_restarts(works->charger), 0);
}

/* It is another process, with a name to be known by. */
static void test_processes(void **state)
{
	struct works *works = *state;
	pid_t charger = find_charger();

	assert_true(find_spawner() > 0);
	assert_true(charger > 0);
	assert_calls(works, true);
	assert_int_equal(find_charger(), charger);
}

/* 40 threads, more than the ring has slots, make 100 calls each. */
static void test_many_callers(void **state)
{
	struct works *works = *state;
	struct caller callers[40];

	for (int i = 0; i < 40; i++)
		callers[i] = (struct caller){ .works = works,
					      .calls = UNIT_ROUNDS(100) };
	run_threads(40, caller_thread, callers, sizeof(callers[0]));
	for (int i = 0; i < 40; i++)
		assert_int_equal(callers[i].failed + callers[i].refused, 0);
}

/* Killed while it had nothing to do: the next call finds its successor. */
static void test_killed_while_idle(void **state)
{
	struct works *works = *state;

	assert_calls(works, true);
	assert_true(kill_charger());
	assert_true(wait_for(was_restarted, works));
	unit_sleep_ms(50); /* for its threads to have gone to sleep */
	assert_calls(works, true);
	assert_int_equal(charger_restarts(works->charger), 1);
}

/* -- 4 threads that call all the time -- */

#define CALLERS 4

struct crowd {
	struct caller callers[CALLERS];
	pthread_t threads[CALLERS];
	atomic_bool stop;
	bool hang;
};

static void crowd_start(struct crowd *crowd, struct works *works)
{
	memset(crowd, 0, sizeof(*crowd));
	for (int i = 0; i < CALLERS; i++) {
		crowd->callers[i].works = works;
		crowd->callers[i].stop = &crowd->stop;
		pthread_create(&crowd->threads[i], NULL, caller_thread,
			       &crowd->callers[i]);
	}
}

/* Until each of them has made 10 more calls. */
static void crowd_wait(struct crowd *crowd)
{
	for (int i = 0; i < CALLERS; i++)
		crowd->hang |= !wait_made(&crowd->callers[i],
					  crowd->callers[i].made + 10);
}

static void crowd_end(struct crowd *crowd)
{
	crowd->stop = true;
	for (int i = 0; i < CALLERS; i++) {
		if (crowd->hang)
			end_calls(&crowd->callers[i],
				  crowd->callers[i].made + 1);
		pthread_join(crowd->threads[i], NULL);
	}
	assert_false(crowd->hang);
	for (int i = 0; i < CALLERS; i++)
		assert_int_equal(crowd->callers[i].failed, 0);
}

/* Killed 20 times while they read: they notice nothing. */
static void test_killed_under_load(void **state)
{
	struct works *works = *state;
	struct crowd crowd;
	unsigned int kills = 0;

	crowd_start(&crowd, works);
	for (int i = 0; i < 20 && !crowd.hang; i++) {
		kills += kill_charger();
		crowd_wait(&crowd);
	}
	crowd_end(&crowd);
	for (int i = 0; i < CALLERS; i++)
		assert_int_equal(crowd.callers[i].refused, 0);
	assert_in_range(kills, 6, 20);
	assert_true(charger_restarts(works->charger) > 0);
}

/* From now on the host can't, or can again, be entered. */
static void set_host(struct works *works, bool can_be_entered)
{
	int fd = open(can_be_entered ? "/dev/null" : "/dev/full",
		      O_WRONLY | O_CLOEXEC);

	assert_int_equal(dup3(fd, works->procs_fd, O_CLOEXEC), works->procs_fd);
	close(fd);
}

/* Kills the charger, whose host can't be entered; gives what is said. */
static bool bring_down(struct works *works, char *said, size_t size)
{
	struct capture capture;
	bool down;

	set_host(works, false);
	capture_begin(&capture);
	kill_charger();
	down = wait_for(is_down, works);
	capture_end(&capture, said, size);
	return down;
}

/*
 * The host can't be entered any more: calls fail at once, none hangs. A
 * second after it can again, there is a charger again.
 */
static void test_down_and_up(void **state)
{
	struct works *works = *state;
	char said[1024];

	assert_true(bring_down(works, said, sizeof(said)));
	assert_string_equal(said, "memcgfs: cannot restart the charger in "
				  "/unit: No space left on device\n");
	assert_calls(works, false);
	set_host(works, true);
	assert_true(wait_for(is_up, works));
	assert_calls(works, true);
}

/*
 * The same, twice, while threads call: each call is either made, and then
 * has its own data, or refused.
 */
static void test_down_and_up_under_load(void **state)
{
	struct works *works = *state;
	struct crowd crowd;
	char said[1024];
	bool was_down = true, was_up = true;

	crowd_start(&crowd, works);
	for (int i = 0; i < 2; i++) {
		was_down &= bring_down(works, said, sizeof(said));
		set_host(works, true);
		was_up &= wait_for(is_up, works);
		crowd_wait(&crowd);
	}
	crowd_end(&crowd);
	assert_true(was_down && was_up);
	assert_true(crowd.callers[0].refused > 0);
	assert_true(crowd.callers[0].made > crowd.callers[0].refused);
}

/* A thread that is just running stops a moment later. */
static void stop_process(pid_t pid)
{
	assert_int_equal(kill(pid, SIGSTOP), 0);
	unit_sleep_ms(100);
}

/* Stopped, it doesn't answer in time; a call that timed out was not made. */
static void test_a_stopped_charger(void **state)
{
	struct works *works = *state;
	struct charger_config config = {
		.spawner = works->spawner,
		.birth = {
			.arena_fd = arena_fd(works->arena),
			.kpagecgroup_fd = -1,
			.kpageflags_fd = -1,
			.procs_fd = works->procs_fd,
		},
		.name = "/unit",
		.timeout_ns = SECOND_NS,
	};
	uint64_t *buffer = arena_buffer(works->arena, 8);
	struct ring_call call = {
		.op = RING_WRITE,
		.fd = works->fd,
		.length = 8,
		.offset = 8,
		.buffer = arena_offset(works->arena, buffer),
	};
	uint64_t begin;
	pid_t pid;

	works->charger = charger_free(works->charger);
	assert_int_equal(charger_new(&config, &works->charger), 0);
	pid = find_charger();
	stop_process(pid);
	begin = now_ns();
	*buffer = 0;
	assert_int_equal(charger_call(works->charger, &call), -ETIMEDOUT);
	assert_true(now_ns() - begin >= SECOND_NS);
	assert_int_equal(kill(pid, SIGCONT), 0);
	assert_int_equal(read_number(works, buffer, 8), 8);
	assert_int_equal(charger_restarts(works->charger), 0);

	stop_process(pid);
	charger_hurry(works->charger);
	begin = now_ns();
	assert_int_equal(read_number(works, buffer, 16), -ETIMEDOUT);
	assert_true(now_ns() - begin < SECOND_NS);
}

/* A host that can't be entered gives its error, and leaves no process. */
static void test_no_host(void **state)
{
	struct works *works = *state;
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct charger_config config = {
		.spawner = works->spawner,
		.birth = {
			.arena_fd = arena_fd(works->arena),
			.kpagecgroup_fd = -1,
			.kpageflags_fd = -1,
			.procs_fd = full,
		},
		.name = "/full",
		.timeout_ns = UNIT_TIMEOUT_NS,
	};
	struct charger *charger = NULL;
	unsigned int before = count_fds();

	works->charger = charger_free(works->charger);
	assert_int_equal(charger_new(&config, &charger), -ENOSPC);
	assert_null(charger);
	assert_int_equal(find_charger(), 0);
	assert_true(count_fds() <= before);
	close(full);
}

/* -- the spawner -- */

static atomic_int terms;

static void note_term(int number)
{
	terms++;
}

static bool was_told(struct works *works)
{
	return terms > 0 && charger_is_down(works->charger);
}

/* Without it there are no more chargers: the daemon is told to end. */
static void test_no_spawner(void **state)
{
	struct works *works = *state;
	pid_t spawner = find_spawner();
	struct capture capture;
	char said[1024];
	bool told;

	terms = 0;
	signal(SIGTERM, note_term);
	capture_begin(&capture);
	kill(spawner, SIGKILL);
	told = wait_for(was_told, works);
	capture_end(&capture, said, sizeof(said));
	assert_true(told);
	assert_non_null(strstr(said, "the spawner process died"));
	assert_calls(works, false);
	works->charger = charger_free(works->charger);
	signal(SIGTERM, SIG_DFL);
}

/* Freed, they leave neither processes nor fds. */
static void test_nothing_is_left(void **state)
{
	unsigned int before = count_fds();
	void *works = NULL;

	assert_int_equal(works_setup(&works), 0);
	assert_calls(works, true);
	works_teardown(&works);
	assert_int_equal(find_spawner(), 0);
	assert_int_equal(count_fds(), before);
	assert_null(charger_free(NULL));
	assert_null(spawner_free(NULL));
}

/* A daemon: it has a charger, a directory to be given back, and no luck. */
static void be_a_doomed_daemon(void *arg)
{
	struct charger_config config = {
		.name = "/unit",
		.birth.kpagecgroup_fd = -1,
		.birth.kpageflags_fd = -1,
		.timeout_ns = UNIT_TIMEOUT_NS,
	};
	const char *directory = arg;
	struct charger *charger;
	struct arena *arena;

	config.birth.procs_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (arena_new(1, &arena) < 0 || spawner_new(&config.spawner) < 0)
		_exit(1);
	config.birth.arena_fd = arena_fd(arena);
	if (charger_new(&config, &charger) < 0 ||
	    spawner_give_back(config.spawner, directory) < 0)
		_exit(1);
	kill(getpid(), SIGKILL);
}

static bool vanishes(const char *path)
{
	for (int ms = 0; ms < WAIT_MS; ms++) {
		if (access(path, F_OK) < 0)
			return true;
		unit_sleep_ms(1);
	}
	return false;
}

/* Killed, it is cleaned up after: chargers first, then what it made. */
static void test_sigkill_of_the_daemon(void **state)
{
	struct scratch *scratch = *state;
	char directory[512];
	int pipe_fds[2];
	int status;
	char byte;

	snprintf(directory, sizeof(directory), "%s/given", scratch->path);
	assert_int_equal(mkdir(directory, 0755), 0);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	status = status_of_child(be_a_doomed_daemon, directory);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_true(vanishes(directory));
	/* The pipe is open for writing as long as any of them lives. */
	close(pipe_fds[1]);
	unit_watchdog(30);
	assert_int_equal(read(pipe_fds[0], &byte, 1), 0);
	unit_watchdog(0);
	close(pipe_fds[0]);
}

#define charger_test(name) \
	cmocka_unit_test_setup_teardown(name, works_setup, works_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		charger_test(test_calls),
		charger_test(test_processes),
		charger_test(test_many_callers),
		charger_test(test_killed_while_idle),
		charger_test(test_killed_under_load),
		charger_test(test_down_and_up),
		charger_test(test_down_and_up_under_load),
		charger_test(test_a_stopped_charger),
		charger_test(test_no_host),
		charger_test(test_no_spawner),
		cmocka_unit_test(test_nothing_is_left),
		cmocka_unit_test_setup_teardown(test_sigkill_of_the_daemon,
						scratch_setup,
						scratch_teardown),
	};

	return cmocka_run_group_tests_name("charger", tests, NULL, NULL);
}
