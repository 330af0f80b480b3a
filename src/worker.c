// SPDX-License-Identifier: GPL-2.0-or-later
/* A thread that works in the background; see worker.h. */
#include "worker.h"

#include "util.h"

#include <poll.h>
#include <sys/eventfd.h>

int worker_start(struct worker *worker, const struct worker_job *job)
{
	int r;

	worker->allowance = allowance_begin(job->percent, now_ns());
	worker->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (worker->stop_fd < 0)
		return -errno;
	r = -pthread_create(&worker->thread, NULL, job->main, job->arg);
	if (r < 0)
		worker->stop_fd = close_fd(worker->stop_fd);
	return r;
}

void worker_stop(struct worker *worker)
{
	eventfd_write(worker->stop_fd, 1);
	pthread_join(worker->thread, NULL);
	worker->stop_fd = close_fd(worker->stop_fd);
}

bool worker_is_stopped(const struct worker *worker, int ms)
{
	struct pollfd pfd = { .fd = worker->stop_fd, .events = POLLIN };

	return poll(&pfd, 1, ms) > 0;
}

bool worker_rest(struct worker *worker)
{
	unsigned int ms;

	allowance_earn(&worker->allowance, now_ns());
	ms = allowance_rest_ms(&worker->allowance);
	return !ms || !worker_is_stopped(worker, (int)ms);
}
