// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What it costs to be told by fanotify(7) who opens files of a FUSE mount
 * whose opens make no message (zero-message opens).
 *
 *   bench_fanotify DIRECTORY FILES
 *
 * makes a small FUSE filesystem on a mountpoint below the directory. One
 * process opens and closes so many files of it in turn, round after round,
 * with each kind of mark; another one reads the events, of which the kernel
 * merges those of one process and one file that wait. Figures are medians over
 * the rounds: the opener's time for an open and close, its own processor time,
 * and the processor time of the reader for each event.
 */
#define FUSE_USE_VERSION 317

#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef FAN_REPORT_PIDFD
#define FAN_REPORT_PIDFD 0x00000080
#endif

#define OPENS 20000
#define ROUNDS 9
#define FIRST_INO 2

static const struct timespec nap = { .tv_nsec = 1000000 };

/* -- a filesystem of empty files, whose OPEN isn't implemented -- */

static struct stat attributes(fuse_ino_t ino)
{
	return (struct stat){
		.st_ino = ino,
		.st_mode = ino == FUSE_ROOT_ID ? S_IFDIR | 0755 :
						 S_IFREG | 0644,
		.st_nlink = 1,
	};
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry = {
		.ino = FIRST_INO + (fuse_ino_t)atoi(name),
		.attr_timeout = 1e6,
		.entry_timeout = 1e6,
	};

	entry.attr = attributes(entry.ino);
	fuse_reply_entry(req, &entry);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino,
		       struct fuse_file_info *file)
{
	struct stat st = attributes(ino);

	fuse_reply_attr(req, &st, 1e6);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	fuse_reply_err(req, ENOSYS);
}

static const struct fuse_lowlevel_ops ops = {
	.lookup = op_lookup,
	.getattr = op_getattr,
	.open = op_open,
};

static void serve(struct fuse_session *session)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fuse_session_loop(session);
	_exit(0);
}

static pid_t mount_own(const char *where)
{
	char name[] = "bench_fanotify", allow[] = "-oallow_other";
	char *argv[] = { name, allow, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);
	struct fuse_session *session;
	pid_t pid;

	session = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (!session || fuse_session_mount(session, where) < 0)
		exit(1);
	pid = fork();
	if (pid == 0)
		serve(session);
	close(fuse_session_fd(session));
	return pid;
}

/* -- the kinds of marks -- */

struct kind {
	const char *name;
	unsigned int init; /* flags of fanotify_init(2) */
	unsigned int mark; /* of fanotify_mark(2) */
	bool naps; /* the reader does, after each batch, to be woken less */
	bool asks; /* who it was, and what, as a listener has to */
	bool none;
};

static const struct kind kinds[] = {
	{ .name = "no mark", .none = true },
	{ .name = "fd, mount", .mark = FAN_MARK_MOUNT },
	{ .name = "fd, mount, naps", .mark = FAN_MARK_MOUNT, .naps = true },
	{ .name = "fd, filesystem, naps",
	  .mark = FAN_MARK_FILESYSTEM,
	  .naps = true },
	{ .name = "the same, and asks",
	  .mark = FAN_MARK_FILESYSTEM,
	  .naps = true,
	  .asks = true },
	{ .name = "fd, tid, naps",
	  .init = FAN_REPORT_TID,
	  .mark = FAN_MARK_FILESYSTEM,
	  .naps = true },
	{ .name = "fd, pidfd, naps",
	  .init = FAN_REPORT_PIDFD,
	  .mark = FAN_MARK_FILESYSTEM,
	  .naps = true },
	{ .name = "fid, filesystem, naps",
	  .init = FAN_REPORT_FID,
	  .mark = FAN_MARK_FILESYSTEM,
	  .naps = true },
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static int listen_to(const struct kind *kind, const char *where)
{
	int fd;

	fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK |
				   kind->init,
			   O_RDONLY | O_CLOEXEC | O_NOATIME);
	if (fd < 0)
		return -errno;
	if (fanotify_mark(fd, FAN_MARK_ADD | kind->mark, FAN_OPEN, AT_FDCWD,
			  where) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

/* -- the reader -- */

struct tally {
	uint64_t events;
	uint64_t overflows;
	uint64_t known; /* who it was, and what */
	uint64_t cpu_ns;
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The file by its handle, which costs no message, and the opener's cgroup. */
static bool ask(const struct fanotify_event_metadata *event)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + 64];
	} file = { .handle.handle_bytes = 64 };
	char path[64], text[4096];
	ssize_t len;
	int fd, mount;

	if (name_to_handle_at(event->fd, "", &file.handle, &mount,
			      AT_EMPTY_PATH) < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/cgroup", event->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, text, sizeof(text));
	close(fd);
	return len > 0;
}

static void close_pidfd(const struct fanotify_event_metadata *event)
{
	const struct fanotify_event_info_pidfd *info =
		(const void *)((const char *)event + event->metadata_len);

	if (info->pidfd >= 0)
		close(info->pidfd);
}

static void take(const struct kind *kind, const char *buf, ssize_t len,
		 struct tally *tally)
{
	const struct fanotify_event_metadata *event = (const void *)buf;

	for (; FAN_EVENT_OK(event, len); event = FAN_EVENT_NEXT(event, len)) {
		if (event->mask & FAN_Q_OVERFLOW) {
			tally->overflows++;
			continue;
		}
		tally->events++;
		if (kind->asks)
			tally->known += ask(event);
		if (kind->init & FAN_REPORT_PIDFD)
			close_pidfd(event);
		if (event->fd >= 0)
			close(event->fd);
	}
}

static volatile sig_atomic_t is_over;

static void end(int number)
{
	is_over = 1;
}

static void read_events(const struct kind *kind, int fd, int result_fd)
{
	static char buf[256 * 1024];
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	struct tally tally = { 0 };
	bool is_last;
	ssize_t len;

	do {
		is_last = is_over;
		while ((len = read(fd, buf, sizeof(buf))) > 0)
			take(kind, buf, len, &tally);
		if (kind->naps)
			nanosleep(&nap, NULL);
		if (!is_over)
			poll(&poll_fd, 1, 100);
	} while (!is_last);
	tally.cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	if (write(result_fd, &tally, sizeof(tally)) < 0)
		exit(1);
	exit(0);
}

/* -- the opener -- */

struct figures {
	double open_us;
	double cpu_us;
	double event_us;
	struct tally tally;
};

static void open_all(int dir_fd, int files)
{
	char name[16];
	int fd;

	for (int i = 0; i < OPENS; i++) {
		snprintf(name, sizeof(name), "%d", i % files);
		fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			exit(1);
		close(fd);
	}
}

struct place {
	const char *mountpoint;
	int dir_fd;
	int files;
};

static int measure(const struct kind *kind, const struct place *place,
		   struct figures *out)
{
	int result[2], fd = -1;
	uint64_t wall, cpu;
	pid_t reader = -1;

	if (!kind->none) {
		fd = listen_to(kind, place->mountpoint);
		if (fd < 0)
			return fd;
		if (pipe(result) < 0)
			return -errno;
		reader = fork();
		if (reader == 0)
			read_events(kind, fd, result[1]);
		close(result[1]);
		nanosleep(&nap, NULL);
	}
	wall = clock_ns(CLOCK_MONOTONIC);
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	open_all(place->dir_fd, place->files);
	cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	wall = clock_ns(CLOCK_MONOTONIC) - wall;
	*out = (struct figures){
		.open_us = (double)wall / 1e3 / OPENS,
		.cpu_us = (double)cpu / 1e3 / OPENS,
	};
	if (kind->none)
		return 0;
	kill(reader, SIGTERM);
	if (read(result[0], &out->tally, sizeof(out->tally)) < 0)
		return -errno;
	waitpid(reader, NULL, 0);
	close(result[0]);
	close(fd);
	if (out->tally.events)
		out->event_us = (double)out->tally.cpu_ns / 1e3 /
				(double)out->tally.events;
	return 0;
}

/* -- all of it -- */

static int compare(const void *a, const void *b)
{
	double one = *(const double *)a, two = *(const double *)b;

	return (one > two) - (one < two);
}

static double median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}

static struct figures found[KINDS][ROUNDS];
static int refused[KINDS];

static void report(size_t k)
{
	double open_us[ROUNDS], cpu_us[ROUNDS], event_us[ROUNDS];
	uint64_t events = 0, overflows = 0, known = 0;

	if (refused[k]) {
		printf("%-24s %s\n", kinds[k].name, strerror(refused[k]));
		return;
	}
	for (size_t i = 0; i < ROUNDS; i++) {
		open_us[i] = found[k][i].open_us;
		cpu_us[i] = found[k][i].cpu_us;
		event_us[i] = found[k][i].event_us;
		events += found[k][i].tally.events;
		overflows += found[k][i].tally.overflows;
		known += found[k][i].tally.known;
	}
	printf("%-24s %8.2f %8.2f %8.2f %9.3f %6lu %8.3f\n", kinds[k].name,
	       median(open_us, ROUNDS), median(cpu_us, ROUNDS),
	       median(event_us, ROUNDS),
	       (double)events / ((double)OPENS * ROUNDS),
	       (unsigned long)overflows,
	       events ? (double)known / (double)events : 0);
}

int main(int argc, char **argv)
{
	char where[256];
	struct place place = { .mountpoint = where };
	pid_t server;
	int r;

	place.files = argc == 3 ? atoi(argv[2]) : 0;
	if (place.files < 1)
		return 2;
	signal(SIGTERM, end);
	snprintf(where, sizeof(where), "%s/fanotify-XXXXXX", argv[1]);
	if (!mkdtemp(where))
		return 1;
	server = mount_own(where);
	place.dir_fd = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	open_all(place.dir_fd, place.files);
	for (size_t i = 0; i < ROUNDS; i++)
		for (size_t k = 0; k < KINDS; k++) {
			r = measure(&kinds[k], &place, &found[k][i]);
			if (r < 0)
				refused[k] = -r;
		}
	printf("%-24s %8s %8s %8s %9s %6s %8s\n", "", "open us", "cpu us",
	       "event us", "events", "lost", "known");
	for (size_t k = 0; k < KINDS; k++)
		report(k);
	close(place.dir_fd);
	umount2(where, MNT_DETACH);
	waitpid(server, NULL, 0);
	rmdir(where);
	return 0;
}
