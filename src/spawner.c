// SPDX-License-Identifier: GPL-2.0-or-later
/* The process that makes the chargers; see spawner.h. */
#include "spawner.h"

#include "cutoff.h"
#include "list.h"
#include "sandbox.h"
#include "util.h"

#include <limits.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define DAEMON_DIED SIGUSR1
#define MAX_CHARGERS 1024

enum request_type {
	REQUEST_SPAWN,
	REQUEST_KILL,
	REQUEST_KILL_ALL,
	REQUEST_GIVE_BACK,
	REQUEST_CUT_OFF,
};

struct request {
	enum request_type type;
	pid_t pid;
	dev_t device;
	struct charger_birth birth;
	char path[PATH_MAX];
};

struct answer {
	int result;
	int pidfd;
	pid_t pid;
};

/* The daemon's side. */
struct spawner {
	int socket; /* both processes have both ends: one fd table */
	int far_socket;
	int signals; /* the spawner's; here to be closed */
	int pidfd;
	pid_t pid;
	pthread_mutex_t lock; /* one request at a time */
};

/* The spawner process's own state. */
struct spawner_self {
	int socket;
	int signals;
	pid_t daemon;
	pid_t chargers[MAX_CHARGERS];
	size_t n_chargers;
	struct list give_back; /* struct given_path, the deepest first */
	/* What is to be cut off; empty: nothing. */
	char mountpoint[PATH_MAX];
	dev_t device;
};

struct given_path {
	struct list link;
	char path[];
};

/*
 * fork(2) with one fd table for both. The clone(2) wrapper of the C library
 * wants a stack, which only a child that shares memory needs.
 */
static pid_t clone_files(int *pidfd)
{
	struct clone_args args = {
		.flags = CLONE_FILES | CLONE_PIDFD,
		.pidfd = (uintptr_t)pidfd,
		.exit_signal = SIGCHLD,
	};
	long pid;

	pid = syscall(SYS_clone3, &args, sizeof(args));
	return pid < 0 ? -errno : (pid_t)pid;
}

/* A child whose parent died before it could ask for the signal ends here. */
static void die_with_parent(int signal, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, signal);
	if (getppid() != parent)
		_exit(1);
}

static void forget_charger(struct spawner_self *self, pid_t pid)
{
	for (size_t i = 0; i < self->n_chargers; i++)
		if (self->chargers[i] == pid) {
			self->chargers[i] = self->chargers[--self->n_chargers];
			return;
		}
}

static void reap_chargers(struct spawner_self *self)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		forget_charger(self, pid);
}

static void kill_chargers(struct spawner_self *self)
{
	for (size_t i = 0; i < self->n_chargers; i++)
		kill(self->chargers[i], SIGKILL);
	for (size_t i = 0; i < self->n_chargers; i++)
		waitpid(self->chargers[i], NULL, 0);
	self->n_chargers = 0;
}

static void serve_spawn(struct spawner_self *self,
			const struct request *request, struct answer *answer)
{
	pid_t parent = getpid();
	pid_t pid;

	if (self->n_chargers == MAX_CHARGERS) {
		answer->result = -EAGAIN;
		return;
	}
	pid = clone_files(&answer->pidfd);
	if (pid == 0) {
		die_with_parent(SIGKILL, parent);
		prctl(PR_SET_NAME, "memcgfs-charge");
		charger_main(&request->birth);
	}
	if (pid < 0) {
		answer->result = pid;
		return;
	}
	self->chargers[self->n_chargers++] = pid;
	answer->pid = pid;
}

static void serve_kill(struct spawner_self *self, const struct request *request,
		       struct answer *answer)
{
	for (size_t i = 0; i < self->n_chargers; i++)
		if (self->chargers[i] == request->pid) {
			kill(request->pid, SIGKILL);
			waitpid(request->pid, NULL, 0);
			forget_charger(self, request->pid);
			return;
		}
	answer->result = -ESRCH;
}

static void serve_give_back(struct spawner_self *self,
			    const struct request *request,
			    struct answer *answer)
{
	size_t size = strlen(request->path) + 1;
	struct given_path *given;

	given = malloc(sizeof(*given) + size);
	if (!given) {
		answer->result = -ENOMEM;
		return;
	}
	memcpy(given->path, request->path, size);
	list_init(&given->link);
	list_add(&self->give_back, &given->link);
}

static void serve_request(struct spawner_self *self)
{
	struct answer answer = { .pidfd = -1 };
	struct request request;

	if (recv(self->socket, &request, sizeof(request), 0) !=
	    (ssize_t)sizeof(request))
		return;
	switch (request.type) {
	case REQUEST_SPAWN:
		serve_spawn(self, &request, &answer);
		break;
	case REQUEST_KILL:
		serve_kill(self, &request, &answer);
		break;
	case REQUEST_KILL_ALL:
		kill_chargers(self);
		break;
	case REQUEST_GIVE_BACK:
		serve_give_back(self, &request, &answer);
		break;
	case REQUEST_CUT_OFF:
		strcpy(self->mountpoint, request.path);
		self->device = request.device;
		break;
	}
	send(self->socket, &answer, sizeof(answer), MSG_NOSIGNAL);
}

static void cut_off(const struct spawner_self *self)
{
	if (*self->mountpoint)
		cutoff(self->mountpoint, self->device);
}

/*
 * The daemon is gone. Its /dev/fuse and the backing files stay open as long
 * as this process and the chargers live: nothing here may take long. A charger
 * that waits for a page of the mount can't be killed before it is cut off.
 */
static _Noreturn void clean_up(struct spawner_self *self)
{
	struct list *link;

	cut_off(self);
	kill_chargers(self);
	for (link = self->give_back.next; link != &self->give_back;
	     link = link->next)
		rmdir(container_of(link, struct given_path, link)->path);
	_exit(0);
}

static _Noreturn void spawner_main(struct spawner_self *self)
{
	struct pollfd pfds[] = {
		{ .fd = self->socket, .events = POLLIN },
		{ .fd = self->signals, .events = POLLIN },
	};
	struct signalfd_siginfo info;

	for (;;) {
		if (poll(pfds, ARRAY_SIZE(pfds), -1) < 0)
			continue;
		/*
		 * The signal comes as each of the daemon's threads dies that
		 * this is a child of. So it is taken first: one that comes
		 * after the look at the parent must wake poll(2) again.
		 */
		if (pfds[1].revents &&
		    read(self->signals, &info, sizeof(info)) > 0) {
			/* A thread that waits for the mount can't die before. */
			if (info.ssi_signo == DAEMON_DIED)
				cut_off(self);
			reap_chargers(self);
		}
		if (getppid() != self->daemon)
			clean_up(self);
		if (pfds[0].revents)
			serve_request(self);
	}
}

static _Noreturn void spawner_start(const struct spawner *spawner, pid_t daemon)
{
	struct spawner_self self = {
		.socket = spawner->far_socket,
		.signals = spawner->signals,
		.daemon = daemon,
	};
	sigset_t all;

	/* A terminal's Ctrl-C is the daemon's to answer, in order. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	/* Nor does it keep a directory in use. */
	if (chdir("/") < 0 || sandbox_drop_charger_capabilities() < 0)
		_exit(1);
	list_init(&self.give_back);
	die_with_parent(DAEMON_DIED, daemon);
	prctl(PR_SET_NAME, "memcgfs-spawn");
	spawner_main(&self);
}

/* Made by the daemon, read by the spawner, whose signals it gives. */
static int open_signals(void)
{
	sigset_t watched;
	int fd;

	sigemptyset(&watched);
	sigaddset(&watched, SIGCHLD);
	sigaddset(&watched, DAEMON_DIED);
	fd = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* Gives back what a half-made or ended spawner has in the fd table. */
static void spawner_close(struct spawner *spawner)
{
	close_fd(spawner->socket);
	close_fd(spawner->far_socket);
	close_fd(spawner->signals);
	close_fd(spawner->pidfd);
}

int spawner_new(struct spawner **out)
{
	cleanup_free struct spawner *spawner = NULL;
	pid_t daemon = getpid();
	int sockets[2];

	spawner = calloc(1, sizeof(*spawner));
	if (!spawner)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	spawner->socket = sockets[0];
	spawner->far_socket = sockets[1];
	spawner->pidfd = -1;
	spawner->signals = open_signals();
	pthread_mutex_init(&spawner->lock, NULL);
	spawner->pid = spawner->signals < 0 ? spawner->signals :
					      clone_files(&spawner->pidfd);
	if (spawner->pid == 0)
		spawner_start(spawner, daemon);
	if (spawner->pid < 0) {
		spawner_close(spawner);
		return spawner->pid;
	}
	*out = steal_ptr(&spawner);
	return 0;
}

/* The far end can't be seen to close (both ends are ours): watch the pid. */
static int wait_answer(struct spawner *spawner, struct answer *answer)
{
	struct pollfd pfds[] = {
		{ .fd = spawner->socket, .events = POLLIN },
		{ .fd = spawner->pidfd, .events = POLLIN },
	};

	for (;;) {
		if (poll(pfds, ARRAY_SIZE(pfds), -1) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (pfds[0].revents & POLLIN)
			break;
		if (pfds[1].revents)
			return -ECHILD;
	}
	if (recv(spawner->socket, answer, sizeof(*answer), 0) !=
	    (ssize_t)sizeof(*answer))
		return -ECHILD;
	return answer->result;
}

static int spawner_call(struct spawner *spawner, const struct request *request,
			struct answer *answer)
{
	int r;

	pthread_mutex_lock(&spawner->lock);
	if (send(spawner->socket, request, sizeof(*request), MSG_NOSIGNAL) < 0)
		r = -errno;
	else
		r = wait_answer(spawner, answer);
	pthread_mutex_unlock(&spawner->lock);
	return r;
}

struct spawner *spawner_free(struct spawner *spawner)
{
	struct request request = { .type = REQUEST_KILL_ALL };
	struct answer answer;

	if (!spawner)
		return NULL;
	spawner_call(spawner, &request, &answer);
	kill(spawner->pid, SIGKILL);
	waitpid(spawner->pid, NULL, 0);
	spawner_close(spawner);
	pthread_mutex_destroy(&spawner->lock);
	free(spawner);
	return NULL;
}

int spawner_spawn(struct spawner *spawner, const struct charger_birth *birth,
		  int *pidfd, pid_t *pid)
{
	struct request request = { .type = REQUEST_SPAWN, .birth = *birth };
	struct answer answer;
	int r;

	r = spawner_call(spawner, &request, &answer);
	if (r < 0)
		return r;
	*pidfd = answer.pidfd;
	*pid = answer.pid;
	return 0;
}

int spawner_kill(struct spawner *spawner, pid_t pid)
{
	struct request request = { .type = REQUEST_KILL, .pid = pid };
	struct answer answer;

	return spawner_call(spawner, &request, &answer);
}

static int call_with_path(struct spawner *spawner, struct request *request,
			  const char *path)
{
	struct answer answer;

	if (strlen(path) >= sizeof(request->path))
		return -ENAMETOOLONG;
	strcpy(request->path, path);
	return spawner_call(spawner, request, &answer);
}

int spawner_give_back(struct spawner *spawner, const char *path)
{
	struct request request = { .type = REQUEST_GIVE_BACK };

	return call_with_path(spawner, &request, path);
}

int spawner_cut_off(struct spawner *spawner, const char *mountpoint,
		    dev_t device)
{
	struct request request = {
		.type = REQUEST_CUT_OFF,
		.device = device,
	};

	return call_with_path(spawner, &request, mountpoint);
}
