// SPDX-License-Identifier: GPL-2.0-or-later
/* Asking a running mount; see ask.h. */
#include "ask.h"

#include "dial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE_MAX_BYTES (64 << 20)

/* -- which mount -- */

static int find_the_only_one(struct mount *mount, char why[ASK_WHY_MAX])
{
	char points[ASK_WHY_MAX / 2];
	int count = mounts_list(mount, points, sizeof(points));

	if (count > 1)
		snprintf(why, ASK_WHY_MAX,
			 "there are %d mounts of memcgfs: name one of %s",
			 count, points);
	else if (!count)
		snprintf(why, ASK_WHY_MAX, "there is no mount of memcgfs");
	return count == 1 ? 0 : -ENODEV;
}

static int find_mount(const char *path, struct mount *mount,
		      char inside[PATH_MAX], char why[ASK_WHY_MAX])
{
	int r;

	if (!path)
		return find_the_only_one(mount, why);
	r = mounts_find(path, mount, inside);
	if (r == -ENODEV)
		snprintf(why, ASK_WHY_MAX, "\"%s\" is in no mount of memcgfs",
			 path);
	else if (r < 0)
		snprintf(why, ASK_WHY_MAX, "\"%s\": %s", path, strerror(-r));
	return r;
}

/* -- the question -- */

/* A line, to be freed; NULL: the path is no UTF-8. */
static char *write_question(const struct question *question, const char *path)
{
	json_t *object = json_object();
	char *text = NULL;
	int r = 0;

	if (question->more)
		json_object_update(object, question->more);
	if (question->progress)
		json_object_set_new(object, "stream", json_true());
	json_object_set_new(object, "verb", json_string(question->verb));
	if (path)
		r = json_object_set_new(object, "path", json_string(path));
	if (r == 0)
		text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text;
}

static int send_question(const struct ask *ask, const struct question *question,
			 const char *path, char why[ASK_WHY_MAX])
{
	char *text = write_question(question, path);
	size_t len = text ? strlen(text) : 0;

	if (!text) {
		snprintf(why, ASK_WHY_MAX, "\"%s\": the path is no UTF-8",
			 path);
		return -EILSEQ;
	}
	text[len] = '\n'; /* in the place of the 0 */
	/* If that fails, there may be an answer that says why. */
	send(ask->fd, text, len + 1, MSG_NOSIGNAL);
	free(text);
	return 0;
}

int ask_open(const struct question *question, struct ask *ask,
	     char why[ASK_WHY_MAX])
{
	char inside[PATH_MAX];
	struct mount mount;
	int r;

	*ask = (struct ask){ .fd = -1 };
	r = find_mount(question->path, &mount, inside, why);
	if (r < 0)
		return r;
	snprintf(ask->point, sizeof(ask->point), "%s", mount.point);
	ask->fd = dial(&mount);
	if (ask->fd < 0) {
		snprintf(why, ASK_WHY_MAX,
			 "the mount on \"%s\" can't be asked: %s", mount.point,
			 ask->fd == -EAGAIN ? "too many ask at a time" :
					      "nobody listens for it here");
		return ask->fd;
	}
	r = send_question(
		ask, question,
		question->path && question->about_path ? inside : NULL, why);
	if (r < 0)
		ask_close(ask);
	return r;
}

void ask_close(struct ask *ask)
{
	if (ask->fd >= 0)
		close(ask->fd);
	free(ask->text);
	*ask = (struct ask){ .fd = -1 };
}

/* -- the answer -- */

static char *find_end(const struct ask *ask)
{
	return ask->len > ask->taken ? memchr(ask->text + ask->taken, '\n',
					      ask->len - ask->taken) :
				       NULL;
}

bool ask_has_line(const struct ask *ask)
{
	return find_end(ask);
}

/* Room for more behind what wasn't taken. */
static int make_room(struct ask *ask)
{
	size_t size = ask->size ? 2 * ask->size : 65536;
	char *text;

	if (ask->taken) {
		ask->len -= ask->taken;
		memmove(ask->text, ask->text + ask->taken, ask->len);
		ask->taken = 0;
	}
	if (ask->len < ask->size)
		return 0;
	text = size > LINE_MAX_BYTES ? NULL : realloc(ask->text, size);
	if (!text)
		return -ENOMEM;
	ask->text = text;
	ask->size = size;
	return 0;
}

/* A line, without its end; NULL: errno, which is 0 at the end of all. */
static char *read_line(struct ask *ask)
{
	size_t begin;
	char *end;
	ssize_t n;

	while (!(end = find_end(ask))) {
		errno = ENOMEM;
		if (make_room(ask) < 0)
			return NULL;
		errno = 0;
		n = read(ask->fd, ask->text + ask->len, ask->size - ask->len);
		if (n <= 0)
			return NULL;
		ask->len += (size_t)n;
	}
	*end = '\0';
	begin = ask->taken;
	ask->taken = (size_t)(end - ask->text) + 1;
	return ask->text + begin;
}

json_t *ask_next(struct ask *ask, char why[ASK_WHY_MAX])
{
	const char *text = read_line(ask);
	json_t *line;

	*why = '\0';
	if (!text && !errno)
		return NULL;
	if (!text && (errno == EAGAIN || errno == EWOULDBLOCK)) {
		snprintf(why, ASK_WHY_MAX,
			 "the mount on \"%s\" gave no answer in %d seconds",
			 ask->point, DIAL_PATIENCE_S);
		return NULL;
	}
	line = text ? json_loads(text, 0, NULL) : NULL;
	if (!line)
		snprintf(why, ASK_WHY_MAX, "the mount on \"%s\" gave no answer",
			 ask->point);
	return line;
}

json_t *ask(const struct question *question, char why[ASK_WHY_MAX])
{
	const json_t *progress;
	struct ask ask;
	json_t *line;

	if (ask_open(question, &ask, why) < 0)
		return NULL;
	while ((line = ask_next(&ask, why)) &&
	       (progress = json_object_get(line, "progress"))) {
		if (question->progress)
			question->progress(progress, question->userdata);
		json_decref(line);
	}
	if (!line && !*why)
		snprintf(why, ASK_WHY_MAX, "the mount on \"%s\" gave no answer",
			 ask.point);
	ask_close(&ask);
	return line;
}
