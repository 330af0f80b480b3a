// SPDX-License-Identifier: GPL-2.0-or-later
/* Finding a running mount, and asking it; see ask.h. */
#include "ask.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>
#include <unistd.h>

#define MOUNTINFO "/proc/self/mountinfo"
#define FS_TYPE "fuse.memcgfs"
#define ANSWER_MAX (64 << 20)

/* A mount of memcgfs, as mountinfo tells it (proc_pid_mountinfo(5)). */
struct mount {
	char point[PATH_MAX];
	char device[32]; /* MAJOR:MINOR */
	uid_t owner;
};

/* -- finding -- */

/* What mountinfo has of odd characters: \ooo. */
static void unescape(const char *from, char *to, size_t size)
{
	size_t len = 0;

	while (*from && len + 1 < size) {
		if (from[0] == '\\' && from[1] && from[2] && from[3]) {
			const char code[] = { from[1], from[2], from[3], 0 };

			to[len++] = (char)strtoul(code, NULL, 8);
			from += 4;
		} else {
			to[len++] = *from++;
		}
	}
	to[len] = '\0';
}

static bool parse_mount(char *line, struct mount *mount)
{
	char device[32], point[PATH_MAX * 4], type[64];
	char *rest = strstr(line, " - ");
	char *owner;

	if (!rest || sscanf(rest + 3, "%63s", type) != 1 ||
	    strcmp(type, FS_TYPE) != 0 ||
	    sscanf(line, "%*s %*s %31s %*s %16383s", device, point) != 2)
		return false;
	snprintf(mount->device, sizeof(mount->device), "%s", device);
	unescape(point, mount->point, sizeof(mount->point));
	owner = strstr(rest, "user_id=");
	mount->owner = owner ? (uid_t)strtoul(owner + 8, NULL, 10) : 0;
	return true;
}

static bool is_below(const char *path, const char *point)
{
	size_t len = strlen(point);

	if (strcmp(point, "/") == 0)
		return true;
	return strncmp(path, point, len) == 0 &&
	       (path[len] == '/' || !path[len]);
}

/* The innermost one that has the path; without, the only one. */
static int find_mount(const char *path, struct mount *found)
{
	FILE *file = fopen(MOUNTINFO, "re");
	struct mount mount;
	char *line = NULL;
	size_t size = 0;
	int count = 0;

	while (file && getline(&line, &size, file) > 0) {
		if (!parse_mount(line, &mount))
			continue;
		if (path && !is_below(path, mount.point))
			continue;
		/* Of several at one place the last one is on top. */
		if (!path || !count ||
		    strlen(mount.point) >= strlen(found->point))
			*found = mount;
		count++;
	}
	free(line);
	if (file)
		fclose(file);
	return count;
}

/* -- asking -- */

static int connect_to(const struct mount *mount)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int fd, n;

	n = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1,
		     "memcgfs/%s", mount->device);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address,
		    (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 +
			    (socklen_t)n) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
		n = -errno;
		close(fd);
		return n;
	}
	/* Anybody may take a name: it has to be who has mounted. */
	if (peer.uid && peer.uid != mount->owner) {
		close(fd);
		return -ECONNREFUSED;
	}
	return fd;
}

static int send_question(int fd, const char *verb, const char *path)
{
	json_t *question =
		path ? json_pack("{ss ss}", "verb", verb, "path", path) :
		       json_pack("{ss}", "verb", verb);
	char *text = question ? json_dumps(question, JSON_COMPACT) : NULL;
	int r = text && dprintf(fd, "%s\n", text) > 0 ? 0 : -EINVAL;

	free(text);
	json_decref(question);
	return r;
}

static json_t *read_answer(int fd)
{
	size_t size = 0, len = 0;
	char *text = NULL, *longer;
	json_t *answer = NULL;
	ssize_t n;

	for (;;) {
		if (len == size) {
			size = size ? 2 * size : 65536;
			longer = size > ANSWER_MAX ? NULL : realloc(text, size);
			if (!longer)
				break;
			text = longer;
		}
		n = read(fd, text + len, size - len);
		if (n <= 0) {
			answer = n < 0 ? NULL : json_loadb(text, len, 0, NULL);
			break;
		}
		len += (size_t)n;
	}
	free(text);
	return answer;
}

static json_t *ask_mount(const struct mount *mount, const char *verb,
			 const char *path, char why[ASK_WHY_MAX])
{
	json_t *answer = NULL;
	int fd;

	fd = connect_to(mount);
	if (fd < 0) {
		snprintf(why, ASK_WHY_MAX,
			 "the mount on \"%s\" doesn't "
			 "answer: %s",
			 mount->point, strerror(-fd));
		return NULL;
	}
	if (send_question(fd, verb, path) == 0)
		answer = read_answer(fd);
	close(fd);
	if (!answer)
		snprintf(why, ASK_WHY_MAX, "the mount on \"%s\" gave no answer",
			 mount->point);
	return answer;
}

json_t *ask(const char *verb, const char *path, bool about_path,
	    char why[ASK_WHY_MAX])
{
	char full[PATH_MAX];
	struct mount mount;
	const char *inside;
	int count;

	if (path && !realpath(path, full)) {
		snprintf(why, ASK_WHY_MAX, "\"%s\": %s", path, strerror(errno));
		return NULL;
	}
	count = find_mount(path ? full : NULL, &mount);
	if (!count) {
		snprintf(why, ASK_WHY_MAX,
			 path ? "\"%s\" is in no mount of memcgfs" :
				"there is no mount of memcgfs%s",
			 path ? path : "");
		return NULL;
	}
	if (!path && count > 1) {
		snprintf(why, ASK_WHY_MAX,
			 "there are %d mounts of memcgfs: "
			 "name a MOUNTPOINT",
			 count);
		return NULL;
	}
	inside = path ? full + strlen(mount.point) : "";
	return ask_mount(&mount, verb,
			 about_path ? inside + strspn(inside, "/") : NULL, why);
}
