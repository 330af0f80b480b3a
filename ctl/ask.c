// SPDX-License-Identifier: GPL-2.0-or-later
/* Asking a running mount; see ask.h. */
#include "ask.h"

#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SOCKETS "/proc/net/unix"
#define ANSWER_MAX (64 << 20)
#define PATIENCE_S 60 /* a charger may not answer the daemon, either */
#define TRIES 20
#define PAUSE_US 100000

/* -- the socket -- */

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
	struct timeval patience = { .tv_sec = PATIENCE_S };
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

static int connect_to(const struct mount *mount)
{
	int fd = -EAGAIN;

	for (int i = 0; i < TRIES && fd == -EAGAIN; i++) {
		if (i)
			usleep(PAUSE_US);
		fd = try_all(mount);
	}
	return fd;
}

/* -- the question -- */

static int send_question(int fd, const char *verb, const char *path)
{
	json_t *question =
		path ? json_pack("{ss ss}", "verb", verb, "path", path) :
		       json_pack("{ss}", "verb", verb);
	char *text = question ? json_dumps(question, JSON_COMPACT) : NULL;
	size_t len = text ? strlen(text) : 0;

	json_decref(question);
	if (!text)
		return -EILSEQ;
	text[len] = '\n'; /* in the place of the 0 */
	/* If that fails, there may be an answer that says why. */
	send(fd, text, len + 1, MSG_NOSIGNAL);
	free(text);
	return 0;
}

/* A line, as text to be freed; or NULL, and errno, 0 at its end. */
static char *read_line(int fd)
{
	size_t size = 0, len = 0;
	char *text = NULL, *longer;
	ssize_t n = 1;

	while (n > 0 && !(len && text[len - 1] == '\n')) {
		if (len == size) {
			size = size ? 2 * size : 65536;
			longer = size > ANSWER_MAX ? NULL : realloc(text, size);
			if (!longer)
				break;
			text = longer;
		}
		n = read(fd, text + len, size - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (len && text[len - 1] == '\n') {
		text[len - 1] = '\0';
		return text;
	}
	errno = n < 0 ? errno : 0;
	free(text);
	return NULL;
}

static void explain_failure(const struct mount *mount, int number,
			    char why[ASK_WHY_MAX])
{
	if (number == EAGAIN || number == EWOULDBLOCK)
		snprintf(why, ASK_WHY_MAX,
			 "the mount on \"%s\" gave no answer in %d seconds",
			 mount->point, PATIENCE_S);
	else
		snprintf(why, ASK_WHY_MAX, "the mount on \"%s\" gave no answer",
			 mount->point);
}

static json_t *ask_mount(const struct mount *mount, const char *verb,
			 const char *path, char why[ASK_WHY_MAX])
{
	char *text = NULL;
	json_t *answer;
	int fd;

	fd = connect_to(mount);
	if (fd < 0) {
		snprintf(why, ASK_WHY_MAX,
			 "the mount on \"%s\" can't be asked: %s", mount->point,
			 fd == -EAGAIN ? "too many ask at a time" :
					 "nobody listens for it here");
		return NULL;
	}
	if (send_question(fd, verb, path) < 0)
		snprintf(why, ASK_WHY_MAX, "\"%s\": the path is no UTF-8",
			 path);
	else if (!(text = read_line(fd)))
		explain_failure(mount, errno, why);
	else if (!(answer = json_loads(text, 0, NULL)))
		explain_failure(mount, 0, why);
	else {
		free(text);
		close(fd);
		return answer;
	}
	free(text);
	close(fd);
	return NULL;
}

static json_t *ask_the_only_one(const char *verb, char why[ASK_WHY_MAX])
{
	char points[ASK_WHY_MAX / 2];
	struct mount mount;
	int count = mounts_list(&mount, points, sizeof(points));

	if (count == 1)
		return ask_mount(&mount, verb, NULL, why);
	if (count)
		snprintf(why, ASK_WHY_MAX,
			 "there are %d mounts of memcgfs: name one of %s",
			 count, points);
	else
		snprintf(why, ASK_WHY_MAX, "there is no mount of memcgfs");
	return NULL;
}

json_t *ask(const char *verb, const char *path, bool about_path,
	    char why[ASK_WHY_MAX])
{
	char inside[PATH_MAX];
	struct mount mount;
	int r;

	if (!path)
		return ask_the_only_one(verb, why);
	r = mounts_find(path, &mount, inside);
	if (r == -ENODEV)
		snprintf(why, ASK_WHY_MAX, "\"%s\" is in no mount of memcgfs",
			 path);
	else if (r < 0)
		snprintf(why, ASK_WHY_MAX, "\"%s\": %s", path, strerror(-r));
	return r < 0 ? NULL :
		       ask_mount(&mount, verb, about_path ? inside : NULL, why);
}
