// SPDX-License-Identifier: GPL-2.0-or-later
/* Pipes that data go through; see pipes.h. */
#include "pipes.h"

#include "util.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>

struct pipes {
	size_t bytes;
	int null_fd; /* takes what nobody wants */
	int fds[PIPES_COUNT][2];
	pthread_mutex_t lock;
	uint32_t free; /* a set of them, under the lock */
};

_Static_assert(PIPES_COUNT < 32, "the free ones are the bits of a word");

/* Halves of @bytes are tried, too; any pipe has a size of its own. */
static int pipe_open(size_t bytes, int fds[2])
{
	int size = -1;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	for (; size < 0 && bytes >= PIPE_BUF; bytes /= 2)
		size = fcntl(fds[1], F_SETPIPE_SZ, (int)bytes);
	return fcntl(fds[1], F_GETPIPE_SZ);
}

static int pipes_open(struct pipes *pipes, size_t bytes)
{
	int size;

	pipes->null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (pipes->null_fd < 0)
		return -errno;
	pipes->bytes = bytes;
	for (int i = 0; i < PIPES_COUNT; i++) {
		size = pipe_open(bytes, pipes->fds[i]);
		if (size < 0)
			return size;
		if ((size_t)size < pipes->bytes)
			pipes->bytes = (size_t)size;
		pipes->free |= 1u << i;
	}
	return 0;
}

int pipes_new(size_t bytes, struct pipes **out)
{
	struct pipes *pipes;
	int r;

	pipes = calloc(1, sizeof(*pipes));
	if (!pipes)
		return -ENOMEM;
	for (int i = 0; i < PIPES_COUNT; i++)
		pipes->fds[i][0] = pipes->fds[i][1] = -1;
	pthread_mutex_init(&pipes->lock, NULL);
	r = pipes_open(pipes, bytes);
	if (r < 0) {
		pipes_free(pipes);
		return r;
	}
	*out = pipes;
	return 0;
}

struct pipes *pipes_free(struct pipes *pipes)
{
	if (!pipes)
		return NULL;
	for (int i = 0; i < PIPES_COUNT; i++) {
		close_fd(pipes->fds[i][0]);
		close_fd(pipes->fds[i][1]);
	}
	close_fd(pipes->null_fd);
	pthread_mutex_destroy(&pipes->lock);
	free(pipes);
	return NULL;
}

size_t pipes_bytes(const struct pipes *pipes)
{
	return pipes->bytes;
}

int pipes_take(struct pipes *pipes, int fds[2])
{
	int i = -1;

	pthread_mutex_lock(&pipes->lock);
	if (pipes->free) {
		i = __builtin_ctz(pipes->free);
		pipes->free &= ~(1u << i);
	}
	pthread_mutex_unlock(&pipes->lock);
	if (i < 0)
		return -EAGAIN;
	fds[0] = pipes->fds[i][0];
	fds[1] = pipes->fds[i][1];
	return 0;
}

static void pipe_drain(const struct pipes *pipes, int fd)
{
	int left = 0;

	while (ioctl(fd, FIONREAD, &left) == 0 && left > 0 &&
	       splice(fd, NULL, pipes->null_fd, NULL, (size_t)left, 0) > 0)
		;
}

void pipes_put(struct pipes *pipes, const int fds[2])
{
	int i = 0;

	while (pipes->fds[i][0] != fds[0])
		i++;
	pipe_drain(pipes, fds[0]);
	pthread_mutex_lock(&pipes->lock);
	pipes->free |= 1u << i;
	pthread_mutex_unlock(&pipes->lock);
}
