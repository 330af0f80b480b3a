/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where to listen, as users write it: "127.0.0.1:9100", "[::1]:9100",
 * "localhost:9100", or a port alone, ":9100" or "9100", which is the loopback's.
 * Addresses are numbers: no name is looked up.
 */
#ifndef MEMCGFS_ENDPOINT_H
#define MEMCGFS_ENDPOINT_H

#include <sys/socket.h>

struct endpoint {
	struct sockaddr_storage address;
	socklen_t size;
};

/* 0, or -EINVAL. */
int endpoint_parse(const char *text, struct endpoint *endpoint);

/* A TCP socket that is bound there: an fd, or -errno. */
int endpoint_bind(const struct endpoint *endpoint);

#endif
