// SPDX-License-Identifier: GPL-2.0-or-later
/* Small things that every module uses; see util.h. */
#include "util.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

const char *proc_fd_path(char buf[PROC_FD_MAX], int fd)
{
	snprintf(buf, PROC_FD_MAX, "/proc/self/fd/%d", fd);
	return buf;
}

int parse_size(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "KMGT";
	const char *suffix;
	unsigned int shift = 0;
	uint64_t value;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	if (*end) {
		suffix = strchr(suffixes, toupper((unsigned char)*end));
		if (!suffix || end[1])
			return -EINVAL;
		shift = 10 * (unsigned int)(suffix - suffixes + 1);
	}
	if (shift && value >> (64 - shift))
		return -EINVAL;
	*bytes = value << shift;
	return 0;
}

int read_small_file(int dirfd, const char *path, char *buf, size_t size)
{
	cleanup_close int fd = -1;
	ssize_t n;

	fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, buf, size - 1);
	if (n < 0)
		return -errno;
	buf[n] = '\0';
	return (int)n;
}
