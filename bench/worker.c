// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * worker: the timed loops of make bench.
 *
 *	worker [-g CGROUP] [-s SECONDS] VERB [ARG...]
 *
 * It enters CGROUP (a directory of the cgroup tree) first. Unless a verb does
 * a fixed amount of work, its loop runs SECONDS after an untimed first pass
 * that makes everything resident. It prints one rate, in bytes or operations a
 * second, of all its threads or processes together; mix prints three. What is written is synced after the clock stops.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SMALL_BLOCK 4096
#define GLANCE_BYTES (64 * 1024)
#define LARGE_BLOCK (1 << 20)
#define FILES_PER_DIR 100
#define MAX_AT_ONCE 64
#define MIX_READERS 4
#define MIX_WRITERS 2
#define MIX_METADATA 2

static double box_seconds = 0.5;
static _Thread_local char block[LARGE_BLOCK] __attribute__((aligned(4096)));

/* ---- time, random numbers, files ---- */

static double now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static uint64_t next_random(void)
{
	static _Thread_local uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

static int open_or_die(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static size_t size_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		err(1, "fstat");
	return st.st_size;
}

static void sync_and_close(int fd)
{
	if (fsync(fd) < 0)
		err(1, "fsync");
	close(fd);
}

static size_t read_pass(int fd, size_t step)
{
	ssize_t got;
	off_t at = 0;

	while ((got = pread(fd, block, step, at)) > 0)
		at += got;
	if (got < 0)
		err(1, "pread");
	return at;
}

static void write_at(int fd, size_t n, off_t at)
{
	ssize_t put = pwrite(fd, block, n, at);

	if (put != (ssize_t)n)
		err(1, "pwrite");
}

struct paths {
	char **at;
	size_t n;
};

static void paths_add(struct paths *p, const char *path)
{
	if (!(p->n & (p->n - 1)))
		p->at = reallocarray(p->at, p->n ? 2 * p->n : 1,
				     sizeof(char *));
	if (!p->at || !(p->at[p->n++] = strdup(path)))
		err(1, NULL);
}

static struct paths paths_below(char *dir)
{
	char *roots[] = { dir, NULL };
	FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	struct paths p = { 0 };
	FTSENT *entry;

	if (!tree)
		err(1, "%s", dir);
	while ((entry = fts_read(tree)))
		if (entry->fts_info == FTS_F)
			paths_add(&p, entry->fts_path);
	fts_close(tree);
	if (!p.n)
		errx(1, "%s: no files", dir);
	return p;
}

/* ---- one large file ---- */

/* Many small operations between two looks at the clock. */
static double random_blocks(int fd, void (*one)(int fd, off_t at))
{
	size_t blocks = size_of(fd) / SMALL_BLOCK, n = 0;
	double start = now_seconds(), seconds;

	do {
		for (int i = 0; i < 64; i++, n++)
			one(fd, next_random() % blocks * SMALL_BLOCK);
		seconds = now_seconds() - start;
	} while (seconds < box_seconds);
	return n / seconds;
}

static void read_block(int fd, off_t at)
{
	if (pread(fd, block, SMALL_BLOCK, at) != SMALL_BLOCK)
		err(1, "pread");
}

static void write_block(int fd, off_t at)
{
	write_at(fd, SMALL_BLOCK, at);
}

static double randread(char **args)
{
	int fd = open_or_die(args[0], O_RDONLY);

	read_pass(fd, LARGE_BLOCK);
	return random_blocks(fd, read_block);
}

struct reader {
	pthread_t thread;
	int fd, who;
	double rate;
};

static void *reader_run(void *arg)
{
	struct reader *r = arg;

	for (int i = 0; i <= r->who; i++)
		next_random();
	r->rate = random_blocks(r->fd, read_block);
	return NULL;
}

/* Threads of one process, which share an open file. */
static double randreads(char **args)
{
	int n = atoi(args[0]), fd = open_or_die(args[1], O_RDONLY);
	struct reader readers[MAX_AT_ONCE];
	double rate = 0;

	if (n < 1 || n > MAX_AT_ONCE)
		errx(1, "%d threads", n);
	read_pass(fd, LARGE_BLOCK);
	for (int i = 0; i < n; i++) {
		struct reader *r = &readers[i];

		*r = (struct reader){ .fd = fd, .who = i };
		errno = pthread_create(&r->thread, NULL, reader_run, r);
		if (errno)
			err(1, "pthread_create");
	}
	for (int i = 0; i < n; i++) {
		pthread_join(readers[i].thread, NULL);
		rate += readers[i].rate;
	}
	return rate;
}

static double randwrite(char **args)
{
	int fd = open_or_die(args[0], O_RDWR);
	double rate;

	read_pass(fd, LARGE_BLOCK);
	rate = random_blocks(fd, write_block);
	sync_and_close(fd);
	return rate;
}

static double seqread(char **args)
{
	size_t step = atol(args[0]), bytes = 0;
	int fd = open_or_die(args[1], O_RDONLY);
	double start, seconds;

	read_pass(fd, LARGE_BLOCK);
	start = now_seconds();
	do {
		bytes += read_pass(fd, step);
		seconds = now_seconds() - start;
	} while (seconds < box_seconds);
	return bytes / seconds;
}

/* The clock runs from before the open: that is where a server may read. */
static double coldread(char **args)
{
	double start = now_seconds();
	int fd = open_or_die(args[1], O_RDONLY);
	size_t bytes = read_pass(fd, atol(args[0]));

	return bytes / (now_seconds() - start);
}

/* The begin of a file that was never seen, and no more. */
static double glance(char **args)
{
	double start = now_seconds();
	int fd = open_or_die(args[0], O_RDONLY);

	if (pread(fd, block, GLANCE_BYTES, 0) < 0)
		err(1, "%s", args[0]);
	close(fd);
	return 1 / (now_seconds() - start);
}

static void map_pass(int fd, size_t bytes)
{
	char *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		err(1, "mmap");
	for (size_t at = 0; at + LARGE_BLOCK <= bytes; at += LARGE_BLOCK) {
		memcpy(block, map + at, LARGE_BLOCK);
		__asm__ volatile("" : : "r"(block) : "memory");
	}
	munmap(map, bytes);
}

static double mmapread(char **args)
{
	int fd = open_or_die(args[0], O_RDONLY);
	size_t size = size_of(fd), bytes = 0;
	double start, seconds;

	map_pass(fd, size);
	start = now_seconds();
	do {
		map_pass(fd, size);
		bytes += size;
		seconds = now_seconds() - start;
	} while (seconds < box_seconds);
	return bytes / seconds;
}

static double write_pass(int fd, size_t size)
{
	double start;

	if (ftruncate(fd, 0) < 0)
		err(1, "ftruncate");
	start = now_seconds();
	for (size_t at = 0; at < size; at += LARGE_BLOCK)
		write_at(fd, LARGE_BLOCK, at);
	return now_seconds() - start;
}

/* Writes a new file of SIZE, again and again; the last one stays. */
static double seqwrite(char **args)
{
	size_t size = atol(args[1]), bytes = 0;
	int fd = open_or_die(args[0], O_RDWR | O_CREAT | O_TRUNC);
	double seconds = 0;

	write_pass(fd, size);
	do {
		seconds += write_pass(fd, size);
		bytes += size;
	} while (seconds < box_seconds);
	sync_and_close(fd);
	return bytes / seconds;
}

static double send_file(char **args)
{
	int in = open_or_die(args[0], O_RDONLY);
	int out = open_or_die("/dev/null", O_WRONLY);
	size_t bytes = 0;
	ssize_t sent;
	double start = now_seconds();

	while ((sent = sendfile(out, in, NULL, LARGE_BLOCK)) > 0)
		bytes += sent;
	if (sent < 0)
		err(1, "sendfile");
	return bytes / (now_seconds() - start);
}

/* ---- many small files ---- */

static double over_files(char *dir, void (*one)(const char *path))
{
	struct paths p = paths_below(dir);
	double start = 0, seconds = 0;
	size_t n = 0;

	for (bool first = true; first || seconds < box_seconds; first = false) {
		for (size_t i = 0; i < p.n; i++)
			one(p.at[i]);
		if (first)
			start = now_seconds();
		else
			n += p.n;
		seconds = now_seconds() - start;
	}
	return n / seconds;
}

static void open_read_close(const char *path)
{
	int fd = open_or_die(path, O_RDONLY);

	if (read(fd, block, LARGE_BLOCK) < 0)
		err(1, "%s", path);
	close(fd);
}

static void stat_one(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		err(1, "%s", path);
}

static double openread(char **args)
{
	return over_files(args[0], open_read_close);
}

static double statstorm(char **args)
{
	return over_files(args[0], stat_one);
}

/* Once through a tree, as a backup does; prints files a second. */
static double walk(char **args)
{
	double start = now_seconds();
	struct paths p = paths_below(args[0]);

	for (size_t i = 0; i < p.n; i++)
		open_read_close(p.at[i]);
	return p.n / (now_seconds() - start);
}

/* All of them, then none: an ext4 without a journal steps over each inode that
 * was deleted in the last seconds, so that turns would measure just that. */
static double create_unlink(char **args)
{
	size_t count = atol(args[1]);
	double start = now_seconds();
	char path[4096];

	for (size_t i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/new%zu", args[0], i);
		close(open_or_die(path, O_RDWR | O_CREAT | O_EXCL));
	}
	for (size_t i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/new%zu", args[0], i);
		if (unlink(path) < 0)
			err(1, "%s", path);
	}
	return count / (now_seconds() - start);
}

/* ---- commands ---- */

/* What grep looks for must be nowhere: it stops at the first match if its
 * output is /dev/null. */
static void run_command(char **args)
{
	int status, allowed;
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		int null = open_or_die("/dev/null", O_WRONLY);

		dup2(null, STDOUT_FILENO);
		execvp(args[0], args);
		err(127, "%s", args[0]);
	}
	if (waitpid(pid, &status, 0) < 0)
		err(1, "waitpid");
	allowed = strcmp(args[0], "grep") ? 0 : 1; /* it found nothing */
	if (!WIFEXITED(status) || WEXITSTATUS(status) != allowed)
		errx(1, "%s failed", args[0]);
}

static double time_once(char **args)
{
	double start = now_seconds();

	run_command(args);
	return 1 / (now_seconds() - start);
}

/* The same again and again, after an untimed first run. */
static double time_warm(char **args)
{
	double start, seconds;
	int n = 0;

	run_command(args);
	start = now_seconds();
	do {
		run_command(args);
		n++;
		seconds = now_seconds() - start;
	} while (seconds < box_seconds);
	return n / seconds;
}

static double fill_tree(char **args);

/* The tree is made through the mount, and not timed. */
static double remove_tree(char **args)
{
	char *tree[] = { args[0], args[1], "4096", NULL };
	char *command[] = { "rm", "-rf", args[0], NULL };
	double start;

	fill_tree(tree);
	start = now_seconds();
	run_command(command);
	return atol(args[1]) / (now_seconds() - start);
}

/* ---- several processes at once ---- */

static double sum(const double *rates, int n)
{
	double total = 0;

	while (n--)
		total += *rates++;
	return total;
}

/* Each process begins when all are there. */
static const double *at_once(int n, double (*one)(char **args, int who),
			     char **args)
{
	double *rates = mmap(NULL, SMALL_BLOCK, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int go[2], status, failed = 0;
	char c;

	if (rates == MAP_FAILED || pipe(go) < 0)
		err(1, "at_once");
	for (int who = 0; who < n; who++) {
		if (fork())
			continue;
		close(go[1]);
		if (read(go[0], &c, 1) < 0)
			err(1, "read");
		rates[who] = one(args, who);
		_exit(0);
	}
	close(go[1]);
	while (wait(&status) > 0)
		failed |= status;
	if (failed)
		errx(1, "one of several processes failed");
	return rates;
}

static double read_one(char **args, int who)
{
	(void)who;
	return seqread(args + 1);
}

static double readers(char **args)
{
	int n = atoi(args[0]);

	return sum(at_once(n, read_one, args), n);
}

/* ---- eight processes, each with something else to do ---- */

static double metadata(const char *dir)
{
	char from[4200], to[4200];
	double start = now_seconds(), seconds;
	size_t n = 0;

	snprintf(from, sizeof(from), "%s/from", dir);
	snprintf(to, sizeof(to), "%s/to", dir);
	do {
		close(open_or_die(from, O_RDWR | O_CREAT | O_EXCL));
		stat_one(from);
		if (rename(from, to) < 0 || unlink(to) < 0)
			err(1, "%s", from);
		n += 4;
		seconds = now_seconds() - start;
	} while (seconds < box_seconds);
	return n / seconds;
}

static double mix_one(char **args, int who)
{
	const char *dir = args[0];
	char path[4096];
	double rate;
	int fd;

	if (who < MIX_READERS) {
		snprintf(path, sizeof(path), "%s/big", dir);
		for (int i = 0; i <= who; i++)
			next_random();
		return random_blocks(open_or_die(path, O_RDONLY), read_block);
	}
	who -= MIX_READERS;
	if (who < MIX_WRITERS) {
		snprintf(path, sizeof(path), "%s/mix%d", dir, who);
		fd = open_or_die(path, O_RDWR);
		rate = random_blocks(fd, write_block);
		sync_and_close(fd);
		return rate;
	}
	snprintf(path, sizeof(path), "%s/meta%d", dir, who - MIX_WRITERS);
	return metadata(path);
}

static void mix_warm_up(const char *dir)
{
	static const char *const names[] = { "big", "mix0", "mix1" };
	char path[4096];
	int fd;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		fd = open_or_die(path, O_RDONLY);
		read_pass(fd, LARGE_BLOCK);
		close(fd);
	}
}

/* Prints the rates of the readers, the writers and the metadata processes. */
static double mix(char **args)
{
	const double *rates;

	mix_warm_up(args[0]);
	rates = at_once(MIX_READERS + MIX_WRITERS + MIX_METADATA, mix_one,
			args);
	printf("%.1f %.1f ", sum(rates, MIX_READERS),
	       sum(rates + MIX_READERS, MIX_WRITERS));
	return sum(rates + MIX_READERS + MIX_WRITERS, MIX_METADATA);
}

/* ---- data sets, and helpers that are not timed ---- */

/* Text for grep; each file differs, none compresses to nothing. */
static void fill_file(const char *path, size_t size)
{
	int fd = open_or_die(path, O_WRONLY | O_CREAT | O_TRUNC);
	size_t n;

	for (size_t at = 0; at < size; at += n) {
		n = size - at < LARGE_BLOCK ? size - at : LARGE_BLOCK;
		for (size_t i = 0; i < n; i += 8) {
			uint64_t r = next_random() & 0x0f0f0f0f0f0f0f0full;

			r |= 0x6060606060606060ull;
			if (i % 64 == 56)
				r = (r & ~(0xffull << 56)) | (uint64_t)'\n'
								     << 56;
			memcpy(block + i, &r, 8);
		}
		write_at(fd, n, at);
	}
	close(fd);
}

static double fill(char **args)
{
	fill_file(args[0], atol(args[1]));
	return 0;
}

static double fill_tree(char **args)
{
	size_t count = atol(args[1]), size = atol(args[2]);
	char path[4096];

	if (mkdir(args[0], 0755) < 0)
		err(1, "%s", args[0]);
	for (size_t i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/d%03zu", args[0],
			 i / FILES_PER_DIR);
		if (i % FILES_PER_DIR == 0 && mkdir(path, 0755) < 0)
			err(1, "%s", path);
		snprintf(path, sizeof(path), "%s/d%03zu/f%02zu", args[0],
			 i / FILES_PER_DIR, i % FILES_PER_DIR);
		fill_file(path, size);
	}
	return 0;
}

static double exec_command(char **args)
{
	execvp(args[0], args);
	err(127, "%s", args[0]);
}

static double nothing(char **args)
{
	(void)args;
	return 0;
}

static void enter_cgroup(const char *cgroup)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open_or_die(path, O_WRONLY);
	if (write(fd, "0", 1) != 1)
		err(1, "%s", path);
	close(fd);
}

static const struct verb {
	const char *name;
	int args;
	double (*run)(char **args);
	const char *usage;
} verbs[] = {
	{ "randread", 1, randread, "FILE" },
	{ "randreads", 2, randreads, "THREADS FILE" },
	{ "randwrite", 1, randwrite, "FILE" },
	{ "seqread", 2, seqread, "BLOCK FILE" },
	{ "coldread", 2, coldread, "BLOCK FILE" },
	{ "glance", 1, glance, "FILE" },
	{ "mmapread", 1, mmapread, "FILE" },
	{ "seqwrite", 2, seqwrite, "FILE SIZE" },
	{ "sendfile", 1, send_file, "FILE" },
	{ "openread", 1, openread, "DIR" },
	{ "stat", 1, statstorm, "DIR" },
	{ "walk", 1, walk, "DIR" },
	{ "create", 2, create_unlink, "DIR COUNT" },
	{ "remove-tree", 2, remove_tree, "DIR COUNT" },
	{ "readers", 3, readers, "PROCESSES BLOCK FILE" },
	{ "once", 1, time_once, "COMMAND..." },
	{ "warm", 1, time_warm, "COMMAND..." },
	{ "mix", 1, mix, "DIR" },
	{ "fill", 2, fill, "FILE SIZE" },
	{ "fill-tree", 3, fill_tree, "DIR COUNT SIZE" },
	{ "exec", 1, exec_command, "COMMAND..." },
	{ "nothing", 0, nothing, "" },
};

#define N_VERBS (sizeof(verbs) / sizeof(*verbs))

static int usage(void)
{
	fputs("usage: worker [-g CGROUP] [-s SECONDS] VERB [ARG...]\n", stderr);
	for (size_t i = 0; i < N_VERBS; i++)
		fprintf(stderr, "\t%s %s\n", verbs[i].name, verbs[i].usage);
	return 2;
}

int main(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "+g:s:")) != -1) {
		if (option == 'g')
			enter_cgroup(optarg);
		else if (option == 's')
			box_seconds = atof(optarg);
		else
			return usage();
	}
	for (size_t i = 0; optind < argc && i < N_VERBS; i++) {
		const struct verb *v = &verbs[i];

		if (strcmp(argv[optind], v->name) ||
		    argc - optind - 1 < v->args)
			continue;
		printf("%.3f\n", v->run(argv + optind + 1));
		return 0;
	}
	return usage();
}
