// SPDX-License-Identifier: GPL-2.0-or-later
/* The process that listens to who opens what; see usewatch_main.h. */
#include "usewatch_main.h"

#include "creds.h"
#include "util.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/fanotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* The opener has to wake whom he finds waiting: so that is not done often. */
#define NAP_NS UINT64_C(1000000)

/* How FUSE makes a file's handle: its nodeid, higher half first, and more. */
#define FUSE_HANDLE_WORDS 3

struct watcher {
	int socket;
	int events;
	pid_t daemon;
	struct usewatch_batch batch;
	int fds[USEWATCH_BATCH]; /* of the batch */
};

/* Nothing of the daemon's but the socket, which gets to be the first fd. */
static int keep_only(int fd)
{
	const int kept = STDERR_FILENO + 1;

	if (fd != kept && dup3(fd, kept, O_CLOEXEC) < 0)
		_exit(1);
	close_range(kept + 1, ~0u, 0);
	return kept;
}

static bool is_device(int fd, dev_t device)
{
	struct statx stx;

	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO,
		     &stx) == 0 &&
	       makedev(stx.stx_dev_major, stx.stx_dev_minor) == device;
}

/*
 * The whole filesystem, not the mount alone: it is seen in other mount
 * namespaces, too, and through bind mounts.
 */
static int listen_to(const struct usewatch_order *order)
{
	cleanup_close int root = -1;
	cleanup_close int events = -1;

	/* Without O_NONBLOCK it would wait for a FIFO's writer. */
	events = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK,
			       O_RDONLY | O_CLOEXEC | O_NOATIME | O_NONBLOCK |
				       O_LARGEFILE);
	if (events < 0)
		return -errno;
	root = open(order->mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	if (!is_device(root, order->device))
		return -ENODEV;
	if (fanotify_mark(events, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
			  FAN_OPEN | FAN_ONDIR, root, ".") < 0)
		return -errno;
	return steal_fd(&events);
}

/* Costs no message: the kernel knows. */
static int read_nodeid(int fd, uint64_t *nodeid)
{
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} file = { .handle.handle_bytes = MAX_HANDLE_SZ };
	const uint32_t *words = (const uint32_t *)file.handle.f_handle;
	int mount;

	if (name_to_handle_at(fd, "", &file.handle, &mount, AT_EMPTY_PATH) < 0)
		return -errno;
	if (file.handle.handle_bytes < FUSE_HANDLE_WORDS * sizeof(*words))
		return -EINVAL;
	*nodeid = (uint64_t)words[0] << 32 | words[1];
	return 0;
}

/* But for what the daemon itself opens. */
static void add(struct watcher *watcher,
		const struct fanotify_event_metadata *event)
{
	struct usewatch_batch *batch = &watcher->batch;
	struct usewatch_open *open = &batch->opens[batch->n];

	if (event->mask & FAN_Q_OVERFLOW)
		batch->is_incomplete = true;
	if (event->fd < 0)
		return;
	open->pid = event->pid;
	if (event->pid != watcher->daemon &&
	    read_nodeid(event->fd, &open->nodeid) == 0)
		watcher->fds[batch->n++] = event->fd;
	else
		close_fd(event->fd);
}

/* False: there is nothing more. */
static bool take(struct watcher *watcher)
{
	/* An event without more to it than its fd and a pid. */
	struct fanotify_event_metadata events[USEWATCH_BATCH];
	const struct fanotify_event_metadata *event = events;
	ssize_t len;

	watcher->batch.n = 0;
	watcher->batch.is_incomplete = false;
	len = read(watcher->events, events, sizeof(events));
	for (; FAN_EVENT_OK(event, len); event = FAN_EVENT_NEXT(event, len))
		add(watcher, event);
	return watcher->batch.n || watcher->batch.is_incomplete;
}

/* The daemon may be gone. */
static void hand_over(struct watcher *watcher)
{
	const struct usewatch_batch *batch = &watcher->batch;
	size_t size = offsetof(struct usewatch_batch, opens[batch->n]);
	char taken;

	if (send(watcher->socket, batch, size, MSG_NOSIGNAL) < 0 ||
	    recv(watcher->socket, &taken, 1, 0) != 1)
		_exit(0);
	for (uint32_t i = 0; i < batch->n; i++)
		close(watcher->fds[i]);
}

/*
 * As long as the work took, at least: however much is opened, this takes no
 * more than half of a CPU. What the kernel then doesn't keep goes untold.
 */
static void nap(uint64_t work_ns)
{
	struct timespec time = {
		.tv_nsec = (long)(work_ns < NAP_NS ? NAP_NS : work_ns),
	};

	nanosleep(&time, NULL);
}

static _Noreturn void watch(struct watcher *watcher)
{
	struct pollfd pfds[] = {
		{ .fd = watcher->events, .events = POLLIN },
		{ .fd = watcher->socket, .events = POLLIN },
	};
	uint64_t begin;

	for (;;) {
		if (poll(pfds, ARRAY_SIZE(pfds), -1) < 0)
			continue;
		if (pfds[1].revents)
			_exit(0);
		begin = now_ns();
		if (take(watcher))
			hand_over(watcher);
		nap(now_ns() - begin);
	}
}

_Noreturn void usewatch_main(int socket, pid_t daemon)
{
	static struct watcher watcher;
	struct usewatch_order order;
	sigset_t all;
	int r;

	watcher.socket = keep_only(socket);
	watcher.daemon = daemon;
	prctl(PR_SET_NAME, "memcgfs-watch");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	if (getppid() != daemon || chdir("/") < 0 ||
	    creds_limit(CREDS_MASK(CAP_SYS_ADMIN) |
			CREDS_MASK(CAP_DAC_READ_SEARCH)) < 0)
		_exit(1);
	if (recv(watcher.socket, &order, sizeof(order), 0) !=
	    (ssize_t)sizeof(order))
		_exit(0);
	r = watcher.events = listen_to(&order);
	if (r > 0)
		r = 0;
	if (send(watcher.socket, &r, sizeof(r), MSG_NOSIGNAL) < 0 || r < 0)
		_exit(0);
	watch(&watcher);
}
