/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state of a mount, taken at one moment for whoever asks, and its
 * renderings: text is stats.h's, JSON is here. The keys are documented in
 * memcgfsctl(1).
 */
#ifndef MEMCGFS_REPORT_H
#define MEMCGFS_REPORT_H

#include "rulebook.h"
#include "scanners.h"
#include "stats.h"

#include <jansson.h>

/* Where its parts are; all outlive the report. */
struct report_source {
	struct stats_mount mount;
	const struct stats *stats;
	struct inode_table *table;
	struct hosts *hosts;
	struct rulebook *book;
	struct books *books;
	struct scanners *scanners;
};

/* To be cleared with stats_clear(). */
void report_take(const struct report_source *from,
		 struct stats_snapshot *snapshot);

/* What a charger does, in a word: running, away, silent or down. */
const char *report_charger(const struct charger *charger);

/*
 * A string of JSON, whose text is UTF-8: of other bytes, as names of files may
 * have, each is shown as "?". NULL is null.
 */
json_t *report_string(const char *text);

/* Adds the snapshot's keys to the object; without memory some go unsaid. */
void report_render_json(const struct stats_snapshot *snapshot, json_t *object);

#endif
