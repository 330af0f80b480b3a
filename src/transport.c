// SPDX-License-Identifier: GPL-2.0-or-later
/* How messages come from /dev/fuse; see transport.h. */
#include "transport.h"

#include "affinity.h"
#include "pipes.h"
#include "residency.h"
#include "util.h"
#include "watch.h"

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 17)
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#ifndef FUSE_DEV_IOC_CLONE
#define FUSE_DEV_IOC_CLONE _IOR(229, 0, uint32_t)
#endif

/* As in include/uapi/linux/fuse.h; the structs are part of its ABI. */
#define FUSE_OPCODE_READ 15
#define FUSE_OPCODE_WRITE 16
#define WRITE_HEADERS_BYTES 80 /* and struct fuse_write_in */

struct in_header {
	uint32_t len;
	uint32_t opcode;
	uint64_t unique;
	uint64_t nodeid;
	uint32_t uid;
	uint32_t gid;
	uint32_t pid;
	uint16_t total_extlen;
	uint16_t padding;
};

/* What struct fuse_read_in and fuse_write_in begin with. */
struct io_in {
	uint64_t fh;
	uint64_t offset;
	uint32_t size;
};

/* From here on it matters which CPU copies. */
#define LARGE_BYTES (128 * 1024)

/* libfuse's userdata is the front's: a process has one transport. */
static struct arena *transport_arena;
static struct watch *transport_watch;
static struct pipes *transport_pipes;

/*
 * What is told by the session's own fd, and is no answer, goes by one of ours:
 * libfuse closes its own in the midst of the unmount, and there are threads that
 * know its number, and might then write to another file.
 */
static struct {
	int theirs, ours;
	int nowhere; /* takes the place of ours */
} session_fds = { -1, -1, -1 };

/* The message that this thread works on. */
static __thread struct {
	const char *expected; /* where libfuse has a write's data */
	const char *received; /* where they are */
	bool is_here; /* it came by transport_read() */
	int fd; /* it came from there, and is answered there */
	uint64_t unique;
	bool is_known; /* the thread has had a message */
	pid_t large_client; /* who waits for much data; 0: nobody */
} message;

/* As struct fuse_out_header there. */
struct out_header {
	uint32_t len;
	int32_t error;
	uint64_t unique;
};

/* The pipe of the request at hand, and what is to go through it. */
static __thread struct {
	int fds[2];
	size_t length;
} pipeline;

/*
 * Whether the thread is to be where the request's data are. It goes there when
 * it answers: only then does the client surely sleep, if he waits at all.
 */
static void note_client(const struct in_header *header, const void *body)
{
	struct io_in io;

	io.size = 0;
	if (header->opcode == FUSE_OPCODE_READ ||
	    header->opcode == FUSE_OPCODE_WRITE)
		memcpy(&io, body, sizeof(io));
	message.large_client = io.size >= LARGE_BYTES ? (pid_t)header->pid : 0;
	if (!message.large_client)
		affinity_relax();
}

static void follow_client(void)
{
	if (message.large_client)
		affinity_follow(message.large_client);
	message.large_client = 0;
}

/* A worker that rests or waits here is cancelled when the session ends. */
static ssize_t receive(int fd, const struct iovec *iov, int count)
{
	ssize_t n;

	watch_begin(transport_watch);
	n = readv(fd, iov, count);
	watch_end(transport_watch);
	return n;
}

static ssize_t transport_read(int fd, void *buf, size_t size, void *userdata)
{
	char *data = arena_buffer(transport_arena, 0);
	/* The largest message is a write of the most that is negotiated. */
	struct iovec iov[2] = {
		{ .iov_base = buf, .iov_len = WRITE_HEADERS_BYTES },
		{ .iov_base = data, .iov_len = ARENA_BUFFER_BYTES },
	};
	struct in_header header;
	ssize_t n;

	(void)userdata;
	if (!message.is_known)
		affinity_init_thread();
	message.is_known = true;
	message.expected = NULL;
	message.is_here = false;
	if (!data || size < WRITE_HEADERS_BYTES + ARENA_BUFFER_BYTES) {
		iov[0].iov_len = size;
		return receive(fd, iov, 1);
	}
	n = receive(fd, iov, 2);
	message.is_here = n >= (ssize_t)sizeof(header);
	if (!message.is_here)
		return n;
	memcpy(&header, buf, sizeof(header));
	message.fd = fd;
	message.unique = header.unique;
	note_client(&header, (const char *)buf + sizeof(header));
	if (n <= WRITE_HEADERS_BYTES)
		return n;
	if (header.opcode == FUSE_OPCODE_WRITE) {
		message.expected = (char *)buf + WRITE_HEADERS_BYTES;
		message.received = data;
	} else {
		memcpy((char *)buf + WRITE_HEADERS_BYTES, data,
		       (size_t)n - WRITE_HEADERS_BYTES);
	}
	return n;
}

static ssize_t transport_writev(int fd, struct iovec *iov, int count,
				void *userdata)
{
	(void)userdata;
	follow_client();
	if (fd == session_fds.theirs)
		fd = session_fds.ours;
	return writev(fd, iov, count);
}

/* Pipes of so much hold the largest read, and its header's page. */
#define PIPE_BYTES (2 * ARENA_BUFFER_BYTES)

int transport_open_pipes(void)
{
	return pipes_new(PIPE_BYTES, &transport_pipes);
}

size_t transport_max_read(void)
{
	size_t size = pipes_bytes(transport_pipes) - page_bytes();

	return size < ARENA_BUFFER_BYTES ? size : ARENA_BUFFER_BYTES;
}

int transport_pipe_begin(size_t size)
{
	struct out_header header = {
		.len = (uint32_t)(sizeof(header) + size),
		.unique = message.unique,
	};
	int r;

	if (!message.is_here)
		return -EOPNOTSUPP;
	r = pipes_take(transport_pipes, pipeline.fds);
	if (r < 0)
		return r;
	pipeline.length = header.len;
	if (write(pipeline.fds[1], &header, sizeof(header)) !=
	    (ssize_t)sizeof(header)) {
		transport_pipe_drop();
		return -EIO;
	}
	return pipeline.fds[1];
}

int transport_pipe_send(void)
{
	ssize_t n;
	int r = 0;

	follow_client();
	n = splice(pipeline.fds[0], NULL, message.fd, NULL, pipeline.length, 0);
	if (n != (ssize_t)pipeline.length)
		r = n < 0 ? -errno : -EIO;
	transport_pipe_drop();
	return r;
}

void transport_pipe_drop(void)
{
	pipes_put(transport_pipes, pipeline.fds);
}

static int transport_clone(int fd)
{
	uint32_t source = (uint32_t)fd;
	int clone = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (clone >= 0 && ioctl(clone, FUSE_DEV_IOC_CLONE, &source) < 0)
		clone = close_fd(clone);
	return clone;
}

/* As many as can work at once, and one who is there for the next message. */
static unsigned int watch_limit(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus > 2 ? (unsigned int)cpus : 2;
}

static int take_session_fds(struct fuse_session *session)
{
	session_fds.theirs = fuse_session_fd(session);
	session_fds.nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (session_fds.nowhere < 0)
		return -errno;
	session_fds.ours = fcntl(session_fds.theirs, F_DUPFD_CLOEXEC, 0);
	return session_fds.ours < 0 ? -errno : 0;
}

int transport_fd(void)
{
	return session_fds.ours;
}

void transport_cut(void)
{
	if (session_fds.ours >= 0)
		dup3(session_fds.nowhere, session_fds.ours, O_CLOEXEC);
}

int transport_install(struct fuse_session *session, struct arena *arena)
{
	static const struct fuse_custom_io io = {
		.read = transport_read,
		.writev = transport_writev,
		.clone_fd = transport_clone,
	};
	int r;

	r = take_session_fds(session);
	if (r == 0)
		r = watch_new(watch_limit(), &transport_watch);
	if (r < 0)
		return r;
	transport_arena = arena;
	fuse_session_custom_io(session, &io, sizeof(io),
			       fuse_session_fd(session));
	return 0;
}

void transport_remove(void)
{
	transport_watch = watch_free(transport_watch);
	transport_pipes = pipes_free(transport_pipes);
	session_fds.ours = close_fd(session_fds.ours);
	session_fds.nowhere = close_fd(session_fds.nowhere);
}

const char *transport_payload(const char *data)
{
	return message.expected && data == message.expected ? message.received :
							      data;
}
