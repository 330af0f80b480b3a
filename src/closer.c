// SPDX-License-Identifier: GPL-2.0-or-later
/* A thread that closes files; see closer.h. */
#include "closer.h"

#include "util.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

/* A pipe holds many more numbers than that. */
#define MANY 256

struct closer {
	pthread_t thread;
	int fds[2]; /* a pipe of numbers */
	atomic_uint waiting; /* relaxed: it is a hint */
};

static void *closer_main(void *arg)
{
	struct closer *closer = arg;
	int fd;

	while (read(closer->fds[0], &fd, sizeof(fd)) == (ssize_t)sizeof(fd)) {
		close(fd);
		atomic_fetch_sub_explicit(&closer->waiting, 1,
					  memory_order_relaxed);
	}
	return NULL;
}

int closer_new(struct closer **out)
{
	struct closer *closer;
	int r;

	closer = calloc(1, sizeof(*closer));
	if (!closer)
		return -ENOMEM;
	if (pipe2(closer->fds, O_CLOEXEC) < 0) {
		r = -errno;
		free(closer);
		return r;
	}
	r = -pthread_create(&closer->thread, NULL, closer_main, closer);
	if (r < 0) {
		close_fd(closer->fds[0]);
		close_fd(closer->fds[1]);
		free(closer);
		return r;
	}
	*out = closer;
	return 0;
}

struct closer *closer_free(struct closer *closer)
{
	if (!closer)
		return NULL;
	close_fd(closer->fds[1]);
	pthread_join(closer->thread, NULL);
	close_fd(closer->fds[0]);
	free(closer);
	return NULL;
}

void closer_take(struct closer *closer, int fd)
{
	atomic_fetch_add_explicit(&closer->waiting, 1, memory_order_relaxed);
	if (write(closer->fds[1], &fd, sizeof(fd)) != (ssize_t)sizeof(fd))
		close_fd(fd);
}

bool closer_is_behind(const struct closer *closer)
{
	return atomic_load_explicit(&closer->waiting, memory_order_relaxed) >
	       MANY;
}
