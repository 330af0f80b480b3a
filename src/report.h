/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The state of a mount, taken at one moment for whoever asks. */
#ifndef MEMCGFS_REPORT_H
#define MEMCGFS_REPORT_H

#include "rulebook.h"
#include "stats.h"

/* Where its parts are; all outlive the report. */
struct report_source {
	const char *source;
	const char *mountpoint;
	const char *memcg;
	const char *why_strict;
	const struct stats *stats;
	struct inode_table *table;
	struct hosts *hosts;
	struct rulebook *book;
};

/* To be cleared with stats_clear(). */
void report_take(const struct report_source *from,
		 struct stats_snapshot *snapshot);

#endif
