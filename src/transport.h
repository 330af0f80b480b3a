/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How messages come from /dev/fuse: by libfuse's custom I/O, into two places
 * at once. The headers go where libfuse wants them; what follows them lands
 * in the thread's buffer of the arena. For a write that is the data, which
 * stay there, for the charger; of all other messages it is put behind the
 * headers, where libfuse expects it.
 *
 * FUSE over io_uring has buffers of its own, and is not concerned.
 */
#ifndef MEMCGFS_TRANSPORT_H
#define MEMCGFS_TRANSPORT_H

#include "arena.h"

struct fuse_session;

/* Before the right to large pipes is given up: see pipes.h. 0 or -errno. */
int transport_open_pipes(void);

/*
 * To be called once the session is mounted. Where libfuse has no custom I/O,
 * messages are received, and their data copied, as usual. 0 or -errno.
 */
int transport_install(struct fuse_session *session, struct arena *arena);

/*
 * The session's connection, for who has something to tell it that is no answer;
 * leads nowhere once it is cut. -1 before it is installed.
 */
int transport_fd(void);

/* Before the unmount: from here on nothing more is told. */
void transport_cut(void);

/* The session is served no more: unmakes what both have made. */
void transport_remove(void);

/*
 * The largest read that can be answered through a pipe: its header takes a
 * page there.
 */
size_t transport_max_read(void);

/*
 * Answering the read at hand through a pipe, so that only the kernel copies
 * the data. Begin gives an fd to put exactly @size bytes into, or -errno;
 * then either send, 0 or -errno, or drop. Until a send has succeeded the
 * request may be answered otherwise.
 */
int transport_pipe_begin(size_t size);
int transport_pipe_send(void);
void transport_pipe_drop(void);

/* Where the data of the write at hand are, which libfuse has at @data. */
const char *transport_payload(const char *data);

#endif
