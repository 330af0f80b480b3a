// SPDX-License-Identifier: GPL-2.0-or-later
/* Where a file has data, and where holes; see holes.h. */
#include "holes.h"

#include "residency.h"
#include "util.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Blocks one after another. */
struct extent {
	off_t end;
	bool is_empty; /* preallocated, and not written on disk */
};

/* The one at @at. False: there is none, or it can't be told. */
static bool extent_at(int fd, off_t at, struct extent *extent)
{
	union {
		struct fiemap map;
		char space[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
	} ask = {
		.map.fm_start = (uint64_t)at,
		.map.fm_length = FIEMAP_MAX_OFFSET - (uint64_t)at,
		.map.fm_extent_count = 1,
	};
	const struct fiemap_extent *found = ask.map.fm_extents;

	if (ioctl(fd, FS_IOC_FIEMAP, &ask) < 0 || !ask.map.fm_mapped_extents ||
	    found->fe_logical > (uint64_t)at)
		return false;
	extent->end = (off_t)(found->fe_logical + found->fe_length);
	extent->is_empty = found->fe_flags & FIEMAP_EXTENT_UNWRITTEN;
	return true;
}

/* What is dirty there goes to disk, and so out of empty extents. */
static void write_out(int fd, off_t from, off_t to)
{
	uint64_t pages;
	int r;

	r = residency_count_dirty(fd, (uint64_t)from, (uint64_t)(to - from),
				  &pages);
	if (r < 0 || pages)
		sync_file_range(fd, from, to - from,
				SYNC_FILE_RANGE_WRITE_AND_WAIT);
}

/*
 * Where what is empty at @at ends; @at: it has data. Only what an extent is
 * after its pages were found clean is true: they become so after it is changed.
 */
static off_t end_of_empty(int fd, off_t at)
{
	struct extent before, after;

	if (!extent_at(fd, at, &before) || !before.is_empty)
		return at;
	write_out(fd, at, before.end);
	if (!extent_at(fd, at, &after) || !after.is_empty)
		return at;
	return before.end < after.end ? before.end : after.end;
}

static off_t seek(int fd, off_t offset, int whence)
{
	off_t at = lseek(fd, offset, whence);

	return at < 0 ? -errno : at;
}

static off_t seek_data(int fd, off_t offset)
{
	off_t at = seek(fd, offset, SEEK_DATA), end;

	while (at >= 0 && (end = end_of_empty(fd, at)) > at)
		at = seek(fd, end, SEEK_DATA);
	return at;
}

static off_t seek_hole(int fd, off_t offset)
{
	off_t hole = seek(fd, offset, SEEK_HOLE);
	off_t at = offset;
	struct extent extent;

	/* What lseek(2) takes for data may be empty, extent by extent. */
	while (at < hole && seek_data(fd, at) == at) {
		if (!extent_at(fd, at, &extent) || extent.end > hole)
			return hole;
		at = extent.end;
	}
	return hole < 0 ? hole : at;
}

off_t holes_seek(int fd, off_t offset, int whence)
{
	return whence == SEEK_DATA ? seek_data(fd, offset) :
				     seek_hole(fd, offset);
}
