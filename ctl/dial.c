// SPDX-License-Identifier: GPL-2.0-or-later
/* The way to the daemon behind a mount; see dial.h. */
#include "dial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKETS "/proc/net/unix"
#define TRIES 20
#define PAUSE_US 100000

/* Anybody may take a name: it has to be who has mounted. */
static bool is_believed(int fd, const struct mount *mount)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       (!peer.uid || peer.uid == mount->owner);
}

/* An fd; -EAGAIN: he has no room for one more; -ECONNREFUSED. */
static int try_socket(const struct mount *mount, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = DIAL_PATIENCE_S };
	size_t len = strlen(name);
	int fd, r;

	if (len + 1 > sizeof(address.sun_path))
		return -ECONNREFUSED;
	memcpy(address.sun_path + 1, name, len);
	len += offsetof(struct sockaddr_un, sun_path) + 1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = connect(fd, (struct sockaddr *)&address, (socklen_t)len) < 0 ?
		    -errno :
		    0;
	if (r == 0 && !is_believed(fd, mount))
		r = -ECONNREFUSED;
	if (r < 0) {
		close(fd);
		return r;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	fcntl(fd, F_SETFL, 0);
	return fd;
}

/* The name behind "@", if a line of SOCKETS is of one that listens. */
static char *listener_name(char *line)
{
	unsigned long flags;
	char *name = strchr(line, '@');

	if (!name || sscanf(line, "%*s %*s %*s %lx", &flags) != 1 ||
	    !(flags & 0x10000)) /* __SO_ACCEPTCON */
		return NULL;
	name[strcspn(name, "\n")] = '\0';
	return name + 1;
}

static int try_all(const struct mount *mount)
{
	FILE *file = fopen(SOCKETS, "re");
	char prefix[64], *line = NULL, *name;
	int fd = -ECONNREFUSED, tried;
	size_t size = 0;
	int len;

	len = snprintf(prefix, sizeof(prefix), "memcgfs/%s/", mount->device);
	while (fd < 0 && file && getline(&line, &size, file) > 0) {
		name = listener_name(line);
		if (!name || strncmp(name, prefix, (size_t)len) != 0)
			continue;
		tried = try_socket(mount, name);
		if (tried >= 0 || tried == -EAGAIN)
			fd = tried;
	}
	free(line);
	if (file)
		fclose(file);
	return fd;
}

int dial(const struct mount *mount)
{
	int fd = -EAGAIN;

	for (int i = 0; i < TRIES && fd == -EAGAIN; i++) {
		if (i)
			usleep(PAUSE_US);
		fd = try_all(mount);
	}
	return fd;
}
