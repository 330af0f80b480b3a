// SPDX-License-Identifier: GPL-2.0-or-later
/* SOURCE and MOUNTPOINT, as given and as they are; see places.h. */
#include "places.h"

#include "log.h"
#include "util.h"

#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_memcgfs(const char *path)
{
	struct mntent *entry;
	bool found = false;
	FILE *mounts;

	mounts = setmntent("/proc/self/mounts", "re");
	if (!mounts)
		return false;
	/* The last one on a path is the one that is seen. */
	while ((entry = getmntent(mounts)))
		if (strcmp(entry->mnt_dir, path) == 0)
			found = strcmp(entry->mnt_type, "fuse.memcgfs") == 0;
	endmntent(mounts);
	return found;
}

static int resolve_dir(const char *what, const char *given,
		       char resolved[PATH_MAX])
{
	struct stat st;

	if (!realpath(given, resolved) || stat(resolved, &st) < 0)
		return log_error_errno(-errno, "%s \"%s\"", what, given);
	if (!S_ISDIR(st.st_mode))
		return log_error_errno(-ENOTDIR, "%s \"%s\"", what, given);
	return 0;
}

int places_resolve(struct places *places, const char *source,
		   const char *mountpoint)
{
	int r;

	r = resolve_dir("SOURCE", source, places->source);
	if (r == 0)
		r = resolve_dir("MOUNTPOINT", mountpoint, places->mountpoint);
	if (r < 0)
		return r;
	if (is_memcgfs(places->mountpoint)) {
		log_error("MOUNTPOINT \"%s\": memcgfs is mounted there "
			  "already",
			  mountpoint);
		return -EBUSY;
	}
	if (is_memcgfs(places->source)) {
		log_error("SOURCE \"%s\" is a memcgfs mount itself", source);
		return -ELOOP;
	}
	return 0;
}
