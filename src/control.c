// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket: who is there, and for how long; see control.h. */
#include "control_priv.h"

#include "list.h"
#include "log.h"
#include "util.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#define ASK_MS 2000 /* for the whole of a request */
#define TAKE_MS 5000 /* for a line of an answer */
#define PROGRESS_NS (200 * UINT64_C(1000000))
#define PAUSE_MS 100 /* without fds or memory for one more */
#define BACKLOG 128
#define NAME_TRIES 8

/* At a time: of one user; of all who aren't masters; of those. */
#define OF_ONE_USER 8
#define OF_ALL_USERS 48
#define OF_MASTERS 16

struct control {
	struct control_config config;
	int socket;
	int stop_fd;
	pthread_t thread;
	bool is_running;
	pthread_mutex_t lock; /* for all below */
	pthread_cond_t one_left;
	struct list clients;
	/* Of users, and of masters; see control_request.c. */
	atomic_uint long_works[2];
};

struct client {
	struct list link; /* lock of the control */
	struct control *control;
	int fd; /* the lock to close it */
	uid_t uid;
	bool is_master;
};

/* -- one client -- */

/* Waits until the fd is ready for @events; -ETIMEDOUT at @end_ns. */
static int wait_for(int fd, short events, uint64_t end_ns)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	uint64_t now = now_ns();
	int left_ms = now < end_ns ? (int)((end_ns - now) / 1000000) + 1 : 0;

	return left_ms && poll(&pfd, 1, left_ms) > 0 ? 0 : -ETIMEDOUT;
}

/* The length of a line, without its end; or -errno. */
static ssize_t read_line(int fd, char *buf, size_t size)
{
	uint64_t end_ns = now_ns() + ASK_MS * 1000000ull;
	size_t len = 0;
	const char *end;
	ssize_t n;
	int r;

	while (len < size) {
		r = wait_for(fd, POLLIN, end_ns);
		if (r < 0)
			return r;
		n = recv(fd, buf + len, size - len, MSG_DONTWAIT);
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		end = memchr(buf + len, '\n', (size_t)n);
		if (end)
			return end - buf;
		len += (size_t)n;
	}
	return -EMSGSIZE;
}

/* -EPIPE: he doesn't take it, or is gone. */
static int send_all(int fd, const char *text, size_t len)
{
	uint64_t end_ns = now_ns() + TAKE_MS * 1000000ull;
	ssize_t n;

	for (size_t at = 0; at < len; at += (size_t)n) {
		if (wait_for(fd, POLLOUT, end_ns) < 0)
			return -EPIPE;
		n = send(fd, text + at, len - at, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0)
			return -EPIPE;
	}
	return 0;
}

int control_send(struct control_request *request, json_t *line)
{
	cleanup_free char *text = NULL;
	size_t len;

	json_object_set_new(line, "version", json_integer(CONTROL_VERSION));
	text = json_dumps(line, JSON_COMPACT);
	if (!text)
		return -ENOMEM;
	len = strlen(text);
	text[len] = '\n'; /* in the place of the 0 */
	request->is_gone |= send_all(request->fd, text, len + 1) < 0;
	return request->is_gone ? -EPIPE : 0;
}

bool control_is_left(struct control_request *request)
{
	/* Who has said all that he wants may have closed his half. */
	struct pollfd pfd = { .fd = request->fd };

	request->is_gone |= poll(&pfd, 1, 0) > 0;
	return request->is_gone;
}

int control_progress(struct control_request *request, uint64_t done,
		     uint64_t total, const char *unit)
{
	uint64_t now = now_ns();
	json_t *line;
	int r = 0;

	if (now - request->progress_ns < PROGRESS_NS)
		return 0;
	request->progress_ns = now;
	if (control_is_left(request))
		return -EPIPE;
	line = request->streams ? json_pack("{s{sI sI ss}}", "progress", "done",
					    (json_int_t)done, "total",
					    (json_int_t)total, "unit", unit) :
				  NULL;
	if (line)
		r = control_send(request, line);
	json_decref(line);
	return r;
}

/* One of too many groups is a member of none. */
static void read_groups(int fd, struct control_request *request)
{
	socklen_t size = sizeof(request->groups);

	request->caller.groups = request->groups;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, request->groups, &size) ==
	    0)
		request->caller.n_groups = size / sizeof(gid_t);
}

static int read_caller(int fd, struct caller *caller)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	*caller = (struct caller){ .uid = peer.uid, .gid = peer.gid };
	return 0;
}

static void serve(const struct client *client)
{
	struct control_request request = {
		.config = &client->control->config,
		.is_master = client->is_master,
		.fd = client->fd,
		.long_works = &client->control->long_works[client->is_master],
		.answer = json_object(),
	};
	char line[CONTROL_REQUEST_MAX];
	ssize_t len;
	int r;

	r = read_caller(client->fd, &request.caller);
	read_groups(client->fd, &request);
	len = r < 0 ? r : read_line(client->fd, line, sizeof(line));
	if (len == -EMSGSIZE)
		snprintf(request.reason, sizeof(request.reason),
			 "a request has at most %d bytes", CONTROL_REQUEST_MAX);
	if (len < 0)
		control_refuse(&request, (int)len);
	else
		control_answer(&request, line, (size_t)len);
	if (!request.is_gone)
		control_send(&request, request.answer);
	json_decref(request.answer);
}

static void client_end(struct client *client)
{
	struct control *control = client->control;

	pthread_mutex_lock(&control->lock);
	list_del(&client->link);
	close_fd(client->fd);
	free(client);
	pthread_cond_signal(&control->one_left);
	pthread_mutex_unlock(&control->lock);
}

static void *client_main(void *arg)
{
	serve(arg);
	client_end(arg);
	return NULL;
}

/* -- letting them in -- */

/* Whether there is room for one more like this. */
static bool is_welcome(struct control *control, const struct client *new)
{
	unsigned int same = 0, all = 0;
	struct list *link;

	pthread_mutex_lock(&control->lock);
	for (link = control->clients.next; link != &control->clients;
	     link = link->next) {
		const struct client *client =
			container_of(link, struct client, link);

		same += client->uid == new->uid;
		all += client->is_master == new->is_master;
	}
	pthread_mutex_unlock(&control->lock);
	return new->is_master ? all < OF_MASTERS :
				same < OF_ONE_USER &&all < OF_ALL_USERS;
}

static void turn_away(int fd)
{
	struct control_request request = { .answer = json_object() };
	char *text;

	snprintf(request.reason, sizeof(request.reason),
		 "too many ask at a time; try again");
	control_refuse(&request, -EAGAIN);
	text = json_dumps(request.answer, JSON_COMPACT);
	if (text &&
	    send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		send(fd, "\n", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	free(text);
	json_decref(request.answer);
}

static int start_thread(struct client *client)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attr, client_main, client);
	pthread_attr_destroy(&attr);
	return -r;
}

/* Takes the fd over. */
static void let_in(struct control *control, int fd)
{
	struct client *client = calloc(1, sizeof(*client));
	struct caller caller;

	if (!client || read_caller(fd, &caller) < 0) {
		free(client);
		close_fd(fd);
		return;
	}
	*client = (struct client){
		.control = control,
		.fd = fd,
		.uid = caller.uid,
		.is_master = !caller.uid || caller.uid == geteuid(),
	};
	list_init(&client->link);
	if (!is_welcome(control, client)) {
		turn_away(fd);
		client_end(client);
		return;
	}
	pthread_mutex_lock(&control->lock);
	list_add(&control->clients, &client->link);
	pthread_mutex_unlock(&control->lock);
	if (start_thread(client) < 0)
		client_end(client);
}

static void *control_main(void *arg)
{
	struct control *control = arg;
	struct pollfd pfds[] = {
		{ .fd = control->stop_fd, .events = POLLIN },
		{ .fd = control->socket, .events = POLLIN },
	};
	int fd;

	for (;;) {
		if (poll(pfds, ARRAY_SIZE(pfds), -1) < 0)
			continue;
		if (pfds[0].revents)
			return NULL;
		fd = accept4(control->socket, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			let_in(control, fd);
		else if (errno == EMFILE || errno == ENFILE ||
			 errno == ENOMEM || errno == ENOBUFS)
			poll(pfds, 1, PAUSE_MS);
	}
}

/* -- the socket -- */

static int bind_socket(int fd, const char *mountpoint)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct statx stx;
	uint64_t random;
	int n;

	/* The mount's device number, asked of the kernel alone. */
	if (statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC, STATX_INO, &stx) <
	    0)
		return -errno;
	for (int i = 0; i < NAME_TRIES; i++) {
		if (getrandom(&random, sizeof(random), 0) < 0)
			return -errno;
		n = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1,
			     "memcgfs/%u:%u/%016llx", stx.stx_dev_major,
			     stx.stx_dev_minor, (unsigned long long)random);
		n += (int)offsetof(struct sockaddr_un, sun_path) + 1;
		if (bind(fd, (struct sockaddr *)&address, (socklen_t)n) == 0)
			return 0;
		if (errno != EADDRINUSE)
			break;
	}
	return -errno;
}

static int listen_there(struct control *control)
{
	int r;

	control->socket =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->socket < 0)
		return -errno;
	r = bind_socket(control->socket, control->config.mountpoint);
	if (r == 0 && listen(control->socket, BACKLOG) < 0)
		r = -errno;
	return r;
}

int control_new(const struct control_config *config, struct control **out)
{
	struct control *control;
	int r;

	control = calloc(1, sizeof(*control));
	if (!control)
		return -ENOMEM;
	control->config = *config;
	control->socket = -1;
	list_init(&control->clients);
	pthread_mutex_init(&control->lock, NULL);
	pthread_cond_init(&control->one_left, NULL);
	control->stop_fd = eventfd(0, EFD_CLOEXEC);
	r = control->stop_fd < 0 ? -errno : listen_there(control);
	if (r == 0)
		r = -pthread_create(&control->thread, NULL, control_main,
				    control);
	control->is_running = r == 0;
	if (r < 0) {
		control_free(control);
		return r;
	}
	*out = control;
	return 0;
}

/*
 * Their threads are detached: the last that each does is to let go of the
 * lock, off the list.
 */
static void cut_off(struct control *control)
{
	struct list *link;

	pthread_mutex_lock(&control->lock);
	for (link = control->clients.next; link != &control->clients;
	     link = link->next)
		shutdown(container_of(link, struct client, link)->fd,
			 SHUT_RDWR);
	while (!list_empty(&control->clients))
		pthread_cond_wait(&control->one_left, &control->lock);
	pthread_mutex_unlock(&control->lock);
}

struct control *control_free(struct control *control)
{
	if (!control)
		return NULL;
	if (control->is_running) {
		eventfd_write(control->stop_fd, 1);
		pthread_join(control->thread, NULL);
	}
	cut_off(control);
	close_fd(control->socket);
	close_fd(control->stop_fd);
	pthread_cond_destroy(&control->one_left);
	pthread_mutex_destroy(&control->lock);
	free(control);
	return NULL;
}
