// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzzes the reading of rule files from a disk, any bytes in them, by a mount
 * that trusts them or not; the cgroups that they name are looked for. The
 * first byte says which mount it is.
 */
#include "fuzz.h"

#include "rulefile.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* What lives as long as the program does. */
static struct {
	struct cgroup_tree *tree;
	int dir_fd;
	int fd; /* of the file in there */
} place;

static void remove_place(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/shm/memcgfs-fuzz-%d", getpid());
	unlinkat(place.dir_fd, RULEFILE_NAME, 0);
	rmdir(path);
}

static void make_place(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/shm/memcgfs-fuzz-%d", getpid());
	must(mkdir(path, 0755) == 0);
	place.dir_fd = open(path, O_RDONLY | O_DIRECTORY);
	must(place.dir_fd >= 0);
	place.fd = openat(place.dir_fd, RULEFILE_NAME, O_RDWR | O_CREAT, 0644);
	must(place.fd >= 0);
	must(cgroup_tree_new(&place.tree) == 0);
	atexit(remove_place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rulefile_source source = {
		.file = RULEFILE_NAME,
		.shown = "sub/" RULEFILE_NAME,
	};
	char reason[RULEFILE_REASON_MAX] = "";
	struct rules *rules = NULL;
	int r;

	if (!place.tree)
		make_place();
	if (!size)
		return 0;
	source.dir_fd = place.dir_fd;
	source.tree = place.tree;
	source.is_trusted = data[0] & 1;
	source.can_opener = data[0] & 2;
	must(ftruncate(place.fd, 0) == 0);
	must(pwrite(place.fd, data + 1, size - 1, 0) == (ssize_t)size - 1);
	r = rulefile_read(&source, &rules, reason);
	must((r == 0) == (rules != NULL));
	must(r == 0 || r == RULEFILE_E_REFUSED);
	must(r == 0 || (*reason && memchr(reason, '\0', sizeof(reason))));
	rules_unref(rules);
	return 0;
}
