/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the unit tests share: cmocka with the headers it wants before it, a
 * scratch directory, the text that something writes to stderr, threads.
 *
 * cmocka leaves a failed test by longjmp(3): threads never assert, they
 * count, and the test asserts when they have ended.
 */
#ifndef MEMCGFS_TESTS_UNIT_H
#define MEMCGFS_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB (1024ull * 1024)

/* Fewer rounds where each costs ten times as much. */
#ifdef __SANITIZE_THREAD__
#define UNIT_ROUNDS(n) ((n) / 10)
#else
#define UNIT_ROUNDS(n) (n)
#endif

/* Skips the test, saying why. */
#define unit_skip(...)                      \
	do {                                \
		print_message("skipped: "); \
		print_message(__VA_ARGS__); \
		print_message("\n");        \
		skip();                     \
	} while (0)

/* Ends a test that hangs: SIGALRM kills the program. */
static inline void unit_watchdog(unsigned int seconds)
{
	alarm(seconds);
}

static inline void unit_sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

/* -- a scratch directory: made by setup, removed by teardown -- */

struct scratch {
	char path[256];
	int fd; /* of the directory */
};

/* Where the integration tests have theirs: tmpfs, as /tmp may be, keeps no
 * pages apart from its files. */
static inline int scratch_setup(void **state)
{
	struct scratch *scratch = calloc(1, sizeof(*scratch));
	const char *where = getenv("MEMCGFS_SCRATCH");

	if (!scratch)
		return -1;
	snprintf(scratch->path, sizeof(scratch->path), "%s/memcgfs-unit-XXXXXX",
		 where ? where : "/var/tmp");
	if (!mkdtemp(scratch->path)) {
		free(scratch);
		return -1;
	}
	scratch->fd = open(scratch->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = scratch;
	return scratch->fd < 0 ? -1 : 0;
}

static inline int scratch_remove_one(const char *path, const struct stat *st,
				     int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline int scratch_teardown(void **state)
{
	struct scratch *scratch = *state;

	close(scratch->fd);
	nftw(scratch->path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(scratch);
	return 0;
}

/* A file of that many bytes, all of them @fill. Gives an fd for reading and
 * writing, which the test closes. */
static inline int scratch_file(const struct scratch *scratch, const char *name,
			       size_t bytes, char fill)
{
	char *content = malloc(bytes + 1);
	int fd;

	assert_non_null(content);
	memset(content, fill, bytes);
	fd = openat(scratch->fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC,
		    0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, bytes), bytes);
	free(content);
	return fd;
}

/* An empty one. */
static inline void scratch_touch(const struct scratch *scratch,
				 const char *name)
{
	assert_int_equal(mknodat(scratch->fd, name, S_IFREG | 0644, 0), 0);
}

/* Skips where the file's pages are all that there is of it. */
static inline void need_evictable(int fd)
{
	struct statfs fs;

	assert_int_equal(fstatfs(fd, &fs), 0);
	if (fs.f_type == TMPFS_MAGIC)
		unit_skip("tmpfs drops no pages (MEMCGFS_SCRATCH is where "
			  "the files are)");
}

/* Drops the file's pages; only clean ones go, so first all are made so. */
static inline void drop_pages(int fd)
{
	need_evictable(fd);
	assert_int_equal(fsync(fd), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

/* -- what is written to stderr -- */

struct capture {
	int saved_stderr;
	FILE *file;
};

/* Nothing is asserted between the two, as a failure's text goes there. */
static inline void capture_begin(struct capture *capture)
{
	capture->file = tmpfile();
	assert_non_null(capture->file);
	fflush(stderr);
	capture->saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	dup2(fileno(capture->file), STDERR_FILENO);
}

/* The text, as a string in @buf; longer ones are cut. */
static inline void capture_end(struct capture *capture, char *buf, size_t size)
{
	ssize_t n;

	fflush(stderr);
	dup2(capture->saved_stderr, STDERR_FILENO);
	close(capture->saved_stderr);
	n = pread(fileno(capture->file), buf, size - 1, 0);
	buf[n > 0 ? n : 0] = '\0';
	fclose(capture->file);
}

static inline unsigned int count_lines(const char *text)
{
	unsigned int lines = 0;

	for (; *text; text++)
		lines += *text == '\n';
	return lines;
}

/* -- fds, processes, threads -- */

static inline unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int count = 0;
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count - 1; /* the directory's own */
}

static inline bool fd_is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* The status of a child that runs @fn with stderr closed and no core dump. */
static inline int status_of_child(void (*fn)(void *arg), void *arg)
{
	struct rlimit none = { 0, 0 };
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		fn(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* That @fn fails one of its own assertions. */
static inline void expect_abort(void (*fn)(void *arg), void *arg)
{
	int status = status_of_child(fn, arg);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

#define UNIT_MAX_THREADS 64

/* Runs fn(@args + i * @arg_size) in @count threads, to their ends. */
static inline void run_threads(unsigned int count, void *(*fn)(void *),
			       void *args, size_t arg_size)
{
	pthread_t threads[UNIT_MAX_THREADS];

	assert_true(count <= UNIT_MAX_THREADS);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fn,
						(char *)args + i * arg_size),
				 0);
	for (unsigned int i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

/* A random number generator (xorshift) whose stories can be told again. */
static inline uint32_t unit_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

#endif
