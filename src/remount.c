// SPDX-License-Identifier: GPL-2.0-or-later
/* Changing the kernel's options of a mount; see remount.h. */
#include "remount.h"

#include "log.h"
#include "util.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>

struct flag {
	const char *name;
	unsigned long set;
	unsigned long clear;
};

static const struct flag flags[] = {
	{ "remount", MS_REMOUNT, 0 },
	{ "ro", MS_RDONLY, 0 },
	{ "rw", 0, MS_RDONLY },
	{ "nosuid", MS_NOSUID, 0 },
	{ "suid", 0, MS_NOSUID },
	{ "nodev", MS_NODEV, 0 },
	{ "dev", 0, MS_NODEV },
	{ "noexec", MS_NOEXEC, 0 },
	{ "exec", 0, MS_NOEXEC },
	{ "sync", MS_SYNCHRONOUS, 0 },
	{ "async", 0, MS_SYNCHRONOUS },
	{ "dirsync", MS_DIRSYNC, 0 },
	{ "noatime", MS_NOATIME, MS_RELATIME | MS_STRICTATIME },
	{ "relatime", MS_RELATIME, MS_NOATIME | MS_STRICTATIME },
	{ "strictatime", MS_STRICTATIME, MS_NOATIME | MS_RELATIME },
	{ "nodiratime", MS_NODIRATIME, 0 },
	{ "diratime", 0, MS_NODIRATIME },
};

/* Those of a list, the later the stronger; what isn't known isn't a flag. */
static unsigned long list_flags(const char *list, unsigned long before)
{
	const char *word = list;
	size_t len;

	for (; *word; word += len + (word[len] == ',')) {
		len = strcspn(word, ",");
		for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
			if (strlen(flags[i].name) == len &&
			    strncmp(flags[i].name, word, len) == 0)
				before = (before & ~flags[i].clear) |
					 flags[i].set;
	}
	return before;
}

/* Of all lists; the last argument that is none is the mount point. */
static unsigned long all_flags(int argc, char **argv, const char **mountpoint)
{
	unsigned long found = 0;

	*mountpoint = NULL;
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "-o", 2) == 0 && argv[i][2])
			found = list_flags(argv[i] + 2, found);
		else if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
			found = list_flags(argv[++i], found);
		else if (strcmp(argv[i], "-t") == 0)
			i++;
		else if (argv[i][0] != '-')
			*mountpoint = argv[i];
	}
	return found;
}

bool remount_is_asked(int argc, char **argv)
{
	const char *mountpoint;

	return all_flags(argc, argv, &mountpoint) & MS_REMOUNT;
}

int remount(int argc, char **argv)
{
	const char *mountpoint;
	unsigned long found;

	found = all_flags(argc, argv, &mountpoint);
	if (!mountpoint) {
		log_error("\"remount\" needs a mount point");
		return -EINVAL;
	}
	if (mount("none", mountpoint, NULL, found, NULL) < 0)
		return log_error_errno(-errno, "cannot remount %s", mountpoint);
	return 0;
}
