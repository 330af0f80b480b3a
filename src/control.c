// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket; see control.h. */
#include "control_priv.h"

#include "util.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#define REQUEST_MAX 16384
#define PATIENCE_MS 2000 /* with who asks, and doesn't say what */
#define BACKLOG 16

struct control {
	struct control_config config;
	int socket;
	int stop_fd;
	pthread_t thread;
	bool is_running;
};

/* -- one connection -- */

static bool may_change(const struct control_request *request)
{
	return !request->caller.uid || request->caller.uid == geteuid();
}

/* Who is there; the kernel knows it from when he connected. */
static int read_caller(int fd, struct control_request *request)
{
	socklen_t groups_size = sizeof(request->groups);
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	request->caller.uid = peer.uid;
	request->caller.gid = peer.gid;
	request->caller.groups = request->groups;
	/* One of too many groups is a member of none. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, request->groups,
		       &groups_size) == 0)
		request->caller.n_groups = groups_size / sizeof(gid_t);
	return 0;
}

/* A line, without its end; or -errno. */
static ssize_t read_line(int fd, char *buf, size_t size)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	ssize_t n;

	while (len < size) {
		if (poll(&pfd, 1, PATIENCE_MS) <= 0)
			return -ETIMEDOUT;
		n = recv(fd, buf + len, size - len, MSG_DONTWAIT);
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		len += (size_t)n;
		if (buf[len - 1] == '\n')
			return (ssize_t)len - 1;
	}
	return -EMSGSIZE;
}

static int run_verb(struct control_request *request, const json_t *asked)
{
	const char *name = json_string_value(json_object_get(asked, "verb"));
	const struct control_verb *verb = name ? control_find_verb(name) : NULL;

	request->path = json_string_value(json_object_get(asked, "path"));
	if (!verb || (verb->needs_path && !request->path))
		return -EOPNOTSUPP;
	if (verb->changes && !may_change(request))
		return -EPERM;
	return verb->run(request);
}

static void set_error(struct control_request *request, int r)
{
	json_object_clear(request->answer);
	json_object_set_new(request->answer, "version",
			    json_integer(CONTROL_VERSION));
	json_object_set_new(request->answer, "errno", json_integer(-r));
	json_object_set_new(request->answer, "error",
			    json_string(*request->reason ? request->reason :
							   strerror(-r)));
}

static void send_answer(int fd, const json_t *answer)
{
	struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	char *text = json_dumps(answer, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;
	ssize_t n = 0;

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	for (size_t at = 0; at < len && n >= 0; at += (size_t)n)
		n = send(fd, text + at, len - at, MSG_NOSIGNAL);
	free(text);
}

static void serve(struct control *control, int fd)
{
	struct control_request request = {
		.config = &control->config,
		.answer = json_object(),
	};
	char line[REQUEST_MAX];
	json_t *asked = NULL;
	ssize_t len;
	int r;

	json_object_set_new(request.answer, "version",
			    json_integer(CONTROL_VERSION));
	len = read_line(fd, line, sizeof(line));
	if (len >= 0)
		asked = json_loadb(line, (size_t)len, 0, NULL);
	r = len < 0 ? (int)len : asked ? read_caller(fd, &request) : -EINVAL;
	if (r == 0)
		r = run_verb(&request, asked);
	if (r < 0)
		set_error(&request, r);
	send_answer(fd, request.answer);
	json_decref(asked);
	json_decref(request.answer);
}

/* -- the socket -- */

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
		if (fd < 0)
			continue;
		serve(control, fd);
		close_fd(fd);
	}
}

/* The mount's device number, asked of the kernel alone. */
static int name_socket(const char *mountpoint, struct sockaddr_un *address,
		       socklen_t *size)
{
	struct statx stx;
	int n;

	if (statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC, STATX_INO, &stx) <
	    0)
		return -errno;
	address->sun_family = AF_UNIX;
	address->sun_path[0] = '\0';
	n = snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1,
		     "memcgfs/%u:%u", stx.stx_dev_major, stx.stx_dev_minor);
	*size = (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 +
		(socklen_t)n;
	return 0;
}

static int listen_there(struct control *control)
{
	struct sockaddr_un address = { 0 };
	socklen_t size = 0;
	int r;

	r = name_socket(control->config.report.mountpoint, &address, &size);
	if (r < 0)
		return r;
	control->socket =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (control->socket < 0 ||
	    bind(control->socket, (struct sockaddr *)&address, size) < 0 ||
	    listen(control->socket, BACKLOG) < 0)
		return -errno;
	return 0;
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

struct control *control_free(struct control *control)
{
	if (!control)
		return NULL;
	if (control->is_running) {
		eventfd_write(control->stop_fd, 1);
		pthread_join(control->thread, NULL);
	}
	close_fd(control->socket);
	close_fd(control->stop_fd);
	free(control);
	return NULL;
}
