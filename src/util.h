/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Small things that every module uses: cleanup attributes, hand-over of
 * owned values, sizes, time.
 *
 * Ownership: a local that owns a value carries a cleanup attribute, and
 * hands it over with steal_fd() or steal_ptr(). An empty fd is -1.
 */
#ifndef MEMCGFS_UTIL_H
#define MEMCGFS_UTIL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) \
	((type *)((char *)(ptr)-offsetof(type, member)))

#define cleanup_close __attribute__((cleanup(close_fdp)))
#define cleanup_free __attribute__((cleanup(free_ptrp)))

/* Closes @fd if it is one; always returns -1. errno is kept. */
static inline int close_fd(int fd)
{
	int saved = errno;

	if (fd >= 0)
		close(fd);
	errno = saved;
	return -1;
}

static inline void close_fdp(int *fdp)
{
	close_fd(*fdp);
}

static inline void free_ptrp(void *p)
{
	free(*(void **)p);
}

static inline int steal_fd(int *fdp)
{
	int fd = *fdp;

	*fdp = -1;
	return fd;
}

static inline void *steal_ptr_void(void **pp)
{
	void *p = *pp;

	*pp = NULL;
	return p;
}

#define steal_ptr(pp) ((__typeof__(*(pp)))steal_ptr_void((void **)(pp)))

/* Of times before 1970, or after 2554, modulo 2^64. */
static inline uint64_t timespec_ns(const struct timespec *ts)
{
	return (uint64_t)ts->tv_sec * 1000000000u + (uint64_t)ts->tv_nsec;
}

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return timespec_ns(&ts);
}

/* Monotonic time in nanoseconds. */
static inline uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* The same in milliseconds; it begins anew after seven weeks. */
static inline uint32_t now_ms(void)
{
	return (uint32_t)(now_ns() / 1000000u);
}

/* The same in whole seconds. */
static inline uint32_t now_s(void)
{
	return (uint32_t)(now_ns() / 1000000000u);
}

/* CPU time of the calling thread. */
static inline uint64_t thread_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* The path that leads to an fd that allows no operation itself (O_PATH). */
#define PROC_FD_MAX 32

const char *proc_fd_path(char buf[PROC_FD_MAX], int fd);

/*
 * Reads a size with an optional suffix K, M, G or T (powers of 1024).
 * Returns 0, or -EINVAL; *@bytes is written only on success.
 */
int parse_size(const char *text, uint64_t *bytes);

/*
 * Reads a whole small file, as those of /proc and of the cgroup trees are,
 * into @buf as a string. Returns its length, or -errno.
 */
int read_small_file(int dirfd, const char *path, char *buf, size_t size);

#endif
