// SPDX-License-Identifier: GPL-2.0-or-later
/* Who opens files: the daemon's side of the watcher; see usewatch.h. */
#include "usewatch.h"

#include "usewatch_main.h"
#include "util.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct usewatch {
	struct usewatch_config config;
	int socket;
	pid_t pid; /* of the watcher */
	bool is_begun;
	atomic_bool is_ending; /* relaxed: the socket's end orders it */
	pthread_t thread;
	struct usewatch_batch batch; /* the thread's */
};

int usewatch_new(const struct usewatch_config *config, struct usewatch **out)
{
	cleanup_free struct usewatch *watch = calloc(1, sizeof(*watch));
	cleanup_close int far_socket = -1;
	pid_t daemon = getpid();
	int sockets[2];

	if (!watch)
		return -ENOMEM;
	watch->config = *config;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	watch->socket = sockets[0];
	far_socket = sockets[1];
	watch->pid = fork();
	if (watch->pid == 0)
		usewatch_main(far_socket, daemon);
	if (watch->pid < 0) {
		int r = -errno;

		close_fd(watch->socket);
		return r;
	}
	*out = steal_ptr(&watch);
	return 0;
}

/* -- its thread -- */

/* 0: the watcher has ended, or is to. */
static ssize_t receive(struct usewatch *watch, void *buf, size_t size)
{
	ssize_t len;

	do {
		len = recv(watch->socket, buf, size, 0);
	} while (len < 0 && errno == EINTR);
	return len;
}

static void pass_on(struct usewatch *watch)
{
	const struct usewatch_config *config = &watch->config;
	const struct usewatch_batch *batch = &watch->batch;

	for (uint32_t i = 0; i < batch->n; i++)
		config->opened(config->userdata, batch->opens[i].nodeid,
			       batch->opens[i].pid);
	if (batch->is_incomplete)
		config->lost(config->userdata);
}

static void *usewatch_thread(void *arg)
{
	struct usewatch *watch = arg;
	const struct usewatch_config *config = &watch->config;
	struct usewatch_batch *batch = &watch->batch;
	int r;

	if (receive(watch, &r, sizeof(r)) != (ssize_t)sizeof(r))
		r = -EPIPE;
	if (r == 0)
		config->told(config->userdata, 0);
	while (r == 0 && receive(watch, batch, sizeof(*batch)) > 0) {
		pass_on(watch);
		send(watch->socket, "", 1, MSG_NOSIGNAL);
	}
	if (!atomic_load_explicit(&watch->is_ending, memory_order_relaxed))
		config->told(config->userdata, r < 0 ? r : -EPIPE);
	return NULL;
}

int usewatch_begin(struct usewatch *watch, const char *mountpoint, dev_t device)
{
	struct usewatch_order order = { .device = device };
	int r;

	if (strlen(mountpoint) >= sizeof(order.mountpoint))
		return -ENAMETOOLONG;
	strcpy(order.mountpoint, mountpoint);
	if (send(watch->socket, &order, sizeof(order), MSG_NOSIGNAL) < 0)
		return -errno;
	r = -pthread_create(&watch->thread, NULL, usewatch_thread, watch);
	watch->is_begun = r == 0;
	return r;
}

struct usewatch *usewatch_free(struct usewatch *watch)
{
	if (!watch)
		return NULL;
	atomic_store_explicit(&watch->is_ending, true, memory_order_relaxed);
	shutdown(watch->socket, SHUT_RDWR);
	if (watch->is_begun)
		pthread_join(watch->thread, NULL);
	kill(watch->pid, SIGKILL);
	waitpid(watch->pid, NULL, 0);
	close_fd(watch->socket);
	free(watch);
	return NULL;
}
