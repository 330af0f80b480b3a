/* SPDX-License-Identifier: GPL-2.0-or-later */
/* SOURCE and MOUNTPOINT: directories, and none of them memcgfs already. */
#ifndef MEMCGFS_PLACES_H
#define MEMCGFS_PLACES_H

#include <limits.h>

/* As realpath(3) has them. */
struct places {
	char source[PATH_MAX];
	char mountpoint[PATH_MAX];
};

/* 0, or -errno of what has been logged. */
int places_resolve(struct places *places, const char *source,
		   const char *mountpoint);

#endif
