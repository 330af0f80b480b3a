// SPDX-License-Identifier: GPL-2.0-or-later
/* Rule files on disk; see rulefile.h. */
#include "rulefile.h"

#include "creds.h"
#include "residency.h"
#include "util.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DIRECT_ALIGN 4096
#define TICK_NS 20000000 /* and more */

/* Shown for an owner that this user namespace has no number for. */
#define UID_NOBODY 65534

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool rulefile_same(const struct rulefile_id *now,
		   const struct rulefile_id *then)
{
	return !then->is_young && now->ino == then->ino &&
	       now->size == then->size &&
	       same_time(&now->mtime, &then->mtime) &&
	       same_time(&now->ctime, &then->ctime);
}

/* Before Linux 6.13 two changes in one tick have the same time. */
static bool is_young(const struct timespec *changed)
{
	struct timespec now;
	int64_t age_ns;

	clock_gettime(CLOCK_REALTIME, &now);
	age_ns = (int64_t)(now.tv_sec - changed->tv_sec) * 1000000000 +
		 now.tv_nsec - changed->tv_nsec;
	return age_ns >= 0 && age_ns < TICK_NS;
}

int rulefile_look(int dir_fd, struct rulefile_id *id)
{
	struct stat st;

	*id = (struct rulefile_id){ 0 };
	if (fstatat(dir_fd, RULEFILE_NAME, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	id->ino = st.st_ino;
	id->size = st.st_size;
	id->mtime = st.st_mtim;
	id->ctime = st.st_ctim;
	id->is_young = is_young(&st.st_ctim);
	return 0;
}

/* One reading of one file. */
struct reading {
	const struct rulefile_source *source;
	struct stat st;
	int fd;
	char *reason;
};

static __attribute__((format(printf, 2, 3))) int refuse(struct reading *reading,
							const char *fmt, ...)
{
	char *at = reading->reason;
	size_t left = RULEFILE_REASON_MAX;
	va_list ap;
	int n;

	n = snprintf(at, left, "%s: ", reading->source->shown);
	if (n > 0 && (size_t)n < left) {
		va_start(ap, fmt);
		vsnprintf(at + n, left - (size_t)n, fmt, ap);
		va_end(ap);
	}
	return RULEFILE_E_REFUSED;
}

/* -- the file -- */

static int check_file(struct reading *reading)
{
	const struct stat *st = &reading->st;

	if (!S_ISREG(st->st_mode))
		return refuse(reading, "not a regular file");
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return refuse(reading,
			      "mode %03o lets others than its owner write it",
			      st->st_mode & 0777);
	if (st->st_nlink > 1 && !reading->source->is_trusted)
		return refuse(reading,
			      "it has %ju names, and may have been linked "
			      "here by somebody else",
			      (uintmax_t)st->st_nlink);
	if (st->st_size > RULES_FILE_MAX)
		return refuse(reading, "%lld bytes; at most %d are allowed",
			      (long long)st->st_size, RULES_FILE_MAX);
	return 0;
}

/* Not every file may be opened to see what it is: a device acts on it. */
static int find_file(struct reading *reading)
{
	const struct rulefile_source *source = reading->source;
	int flags = source->is_trusted ? 0 : AT_SYMLINK_NOFOLLOW;

	if (fstatat(source->dir_fd, source->file, &reading->st, flags) == 0)
		return check_file(reading);
	if (errno == ENOENT && !source->is_trusted)
		return -ENOENT;
	return refuse(reading, "%s", strerror(errno));
}

/* It may have been replaced since it was found. */
static int open_file(struct reading *reading, int flags)
{
	const struct rulefile_source *source = reading->source;

	flags |= O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	if (!source->is_trusted)
		flags |= O_NOFOLLOW;
	reading->fd = openat(source->dir_fd, source->file, flags);
	if (reading->fd < 0 && flags & O_DIRECT && errno == EINVAL)
		return open_file(reading, 0);
	if (reading->fd < 0 || fstat(reading->fd, &reading->st) < 0)
		return refuse(reading, "%s", strerror(errno));
	return check_file(reading);
}

static ssize_t read_all(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;

	do {
		n = pread(fd, buf + len, size - len, (off_t)len);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0 && len < size && len % DIRECT_ALIGN == 0);
	return n < 0 ? -errno : (ssize_t)len;
}

/* Direct I/O may fall back to the page cache: what it brings in goes. */
static ssize_t read_without_trace(int fd, char *buf, size_t size)
{
	uint64_t before = 0, after = 0;
	ssize_t len;

	residency_count(fd, 0, 0, &before);
	len = read_all(fd, buf, size);
	residency_count(fd, 0, 0, &after);
	if (after > before)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return len;
}

/* -- the targets -- */

/* A line's target, as it is written and as it is found. */
struct named {
	const char *target;
	const char *path;
	unsigned int line;
};

/* Root may do what this daemon may, at least. */
static int check_as(const struct reading *reading, const char *path, uid_t uid)
{
	struct caller user = { .uid = uid, .gid = CREDS_NO_GROUP };
	int r = 0;

	if (uid == UID_NOBODY && uid != geteuid())
		return -EPERM;
	if (uid)
		r = creds_assume_rights(&user);
	if (r == 0)
		r = cgroup_target_check(reading->source->tree, path);
	creds_restore();
	return r;
}

/* Whether that user could enter the cgroup himself; @whose says who he is. */
static int check_right(struct reading *reading, const struct named *named,
		       uid_t uid, const char *whose)
{
	int r = check_as(reading, named->path, uid);

	if (r == -ENOENT)
		return refuse(reading, "%u: unknown cgroup \"%s\"", named->line,
			      named->target);
	if (r == -ENOTSUP)
		return refuse(reading,
			      "%u: the memory controller is not enabled in "
			      "the cgroup \"%s\"",
			      named->line, named->target);
	if (r < 0)
		return refuse(reading,
			      "%u: the %s owner (uid %u) has no right to "
			      "put processes into the cgroup \"%s\"",
			      named->line, whose, (unsigned int)uid,
			      named->target);
	return 0;
}

/* Whether nobody else can have put the file where it is. */
static int check_place(struct reading *reading, const struct named *named)
{
	struct stat st;

	if (fstat(reading->source->dir_fd, &st) < 0)
		return refuse(reading, "%s", strerror(errno));
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return refuse(reading,
			      "%u: \"%s\": mode %03o of the directory lets "
			      "others put a file there",
			      named->line, named->target, st.st_mode & 0777);
	if (st.st_uid == 0 || st.st_uid == reading->st.st_uid)
		return 0;
	return check_right(reading, named, st.st_uid, "directory's");
}

static int check_target(const char *target, unsigned int line, void *userdata)
{
	struct reading *reading = userdata;
	const struct rulefile_source *source = reading->source;
	char path[CGROUP_PATH_MAX];
	struct named named = { .target = target, .path = path, .line = line };
	int r;

	if (strcmp(target, "@opener") == 0 && !source->can_opener)
		return refuse(reading,
			      "%u: \"memcg=%s\" needs FUSE passthrough, which "
			      "this mount doesn't have",
			      line, target);
	if (target[0] == '@')
		return 0;
	r = cgroup_tree_parse(source->tree, target, path);
	if (r < 0)
		return refuse(reading, "%u: \"%s\" is no path of a cgroup",
			      line, target);
	if (source->is_trusted)
		return check_right(reading, &named, 0, "");
	r = check_right(reading, &named, reading->st.st_uid, "file's");
	return r ? r : check_place(reading, &named);
}

static int parse(struct reading *reading, const char *text, size_t size,
		 struct rules **out)
{
	struct rules *rules = NULL;
	struct rules_error error;
	int r;

	r = rules_parse(reading->source->shown, text, size, &rules, &error);
	if (r == RULES_E_INVALID) {
		snprintf(reading->reason, RULEFILE_REASON_MAX, "%s:%u:%u: %s",
			 reading->source->shown, error.line, error.column,
			 error.text);
		return RULEFILE_E_REFUSED;
	}
	if (r == 0)
		r = rules_each_target(rules, check_target, reading);
	if (r) {
		rules_unref(rules);
		return r;
	}
	*out = rules;
	return 0;
}

int rulefile_read(const struct rulefile_source *source, struct rules **out,
		  char reason[RULEFILE_REASON_MAX])
{
	struct reading reading = {
		.source = source,
		.fd = -1,
		.reason = reason,
	};
	cleanup_free char *buf = NULL;
	cleanup_close int fd = -1;
	ssize_t len;
	int r;

	r = find_file(&reading);
	if (r)
		return r;
	r = open_file(&reading, O_DIRECT);
	fd = reading.fd;
	if (r)
		return r;
	buf = aligned_alloc(DIRECT_ALIGN, RULES_FILE_MAX + DIRECT_ALIGN);
	if (!buf)
		return -ENOMEM;
	len = read_without_trace(fd, buf, RULES_FILE_MAX + DIRECT_ALIGN);
	if (len < 0)
		return refuse(&reading, "%s", strerror((int)-len));
	if (len > RULES_FILE_MAX)
		return refuse(&reading,
			      "too large; at most %d bytes are "
			      "allowed",
			      RULES_FILE_MAX);
	return parse(&reading, buf, (size_t)len, out);
}
