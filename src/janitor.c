// SPDX-License-Identifier: GPL-2.0-or-later
/* The janitor; see janitor.h. */
#include "janitor.h"

#include "util.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

struct janitor {
	struct janitor_config config;
	pthread_t thread;
	bool is_running;
	int stop_fd;
	int signal_fd;
};

static void fill_set(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGUSR1);
}

void janitor_block_signals(void)
{
	sigset_t signals;

	fill_set(&signals);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static void *janitor_main(void *arg)
{
	struct janitor *janitor = arg;
	const struct janitor_config *config = &janitor->config;
	struct pollfd pfds[] = {
		{ .fd = janitor->stop_fd, .events = POLLIN },
		{ .fd = janitor->signal_fd, .events = POLLIN },
	};
	struct signalfd_siginfo info;

	for (;;) {
		if (poll(pfds, ARRAY_SIZE(pfds), JANITOR_MS) < 0)
			continue;
		if (pfds[0].revents)
			return NULL;
		if (pfds[1].revents &&
		    read(janitor->signal_fd, &info, sizeof(info)) > 0)
			config->on_signal(config->userdata);
		config->on_tick(config->userdata);
	}
}

int janitor_new(const struct janitor_config *config, struct janitor **out)
{
	struct janitor *janitor;
	sigset_t signals;
	int r = 0;

	janitor = calloc(1, sizeof(*janitor));
	if (!janitor)
		return -ENOMEM;
	fill_set(&signals);
	janitor->config = *config;
	janitor->signal_fd = -1;
	janitor->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (janitor->stop_fd >= 0)
		janitor->signal_fd =
			signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (janitor->signal_fd < 0)
		r = -errno;
	if (r == 0)
		r = -pthread_create(&janitor->thread, NULL, janitor_main,
				    janitor);
	janitor->is_running = r == 0;
	if (r < 0) {
		janitor_free(janitor);
		return r;
	}
	*out = janitor;
	return 0;
}

struct janitor *janitor_free(struct janitor *janitor)
{
	if (!janitor)
		return NULL;
	if (janitor->is_running) {
		eventfd_write(janitor->stop_fd, 1);
		pthread_join(janitor->thread, NULL);
	}
	close_fd(janitor->stop_fd);
	close_fd(janitor->signal_fd);
	free(janitor);
	return NULL;
}
