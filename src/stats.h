/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the daemon counts, and the report of it. */
#ifndef MEMCGFS_STATS_H
#define MEMCGFS_STATS_H

#include "accounting.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* name, meaning */
#define STATS_COUNTERS(X)                                                      \
	X(opens_passthrough, "opens that pass through")                        \
	X(opens_strict, "opens served by the charger")                         \
	X(opens_first_touch, "opens left to the kernel's first touch")         \
	X(opens_refused, "opens refused for want of a host")                   \
	X(opens_missed, "times that there were more opens than could be told") \
	X(ahead_bytes, "bytes charged ahead")                                  \
	X(claims, "files whose owners were looked at")                         \
	X(claimed_pages, "foreign pages claimed")                              \
	X(residue_pages, "foreign pages that could not be moved")              \
	X(reconciles, "files looked at again after reclaim")                   \
	X(look_ns, "CPU time of chargers at looks, claims and charging ahead") \
	X(pinned_files, "files kept resident")                                 \
	X(pinned_bytes, "bytes kept resident")                                 \
	X(pins_refused, "files not pinned for want of budget or memory")       \
	X(moves, "files moved to another host")                                \
	X(strict_reads, "reads made by chargers")                              \
	X(strict_writes, "writes made by chargers")                            \
	X(splice_reads, "reads into the client's own page cache (sendfile)")   \
	X(scans, "opens by scanners")                                          \
	X(scan_bytes, "bytes of files that scans read")                        \
	X(scan_dropped_bytes, "bytes that scans read and did not keep")        \
	X(scan_spared_bytes, "bytes that were resident and that scans spared") \
	X(unsafe_maps, "strict opens whose mappings may charge the mapper")    \
	X(reader_pages, "pages that readers are charged for now (io=cached)")  \
	X(recharged_pages, "pages of readers that were let go of")             \
	X(stuck_pages, "times that a reader's page could not be let go of")

enum stats_counter {
#define X(name, meaning) STATS_##name,
	STATS_COUNTERS(X)
#undef X
		STATS_COUNT,
};

struct stats {
	/* Relaxed: they count, and order nothing. */
	_Atomic uint64_t counters[STATS_COUNT];
};

static inline void stats_add(struct stats *stats, enum stats_counter counter,
			     uint64_t value)
{
	atomic_fetch_add_explicit(&stats->counters[counter], value,
				  memory_order_relaxed);
}

/* One host, as it is at a moment. */
struct stats_host {
	char *target;
	char *host;
	const char *charger; /* running, away, silent or down */
	unsigned int restarts;
	/* By the books. */
	uint64_t usage_bytes;
	uint64_t hosted_bytes;
	uint64_t foreign_bytes;
	uint64_t pinned_bytes;
};

/* A process that goes once through many files, at a moment. */
struct stats_scanner {
	int pid;
	char command[16];
	char *cgroup; /* NULL: not known */
	uint64_t files;
	uint64_t bytes;
	char why[160];
};

/* Whether it can be charged to: by a charger that had no work, too. */
bool stats_host_is_usable(const struct stats_host *host);

/* What doesn't change while the mount is there. */
struct stats_mount {
	const char *source;
	const char *mountpoint;
	const char *memcg;
	const char *io; /* the option's word */
	bool is_cached; /* it is io=cached: no file is to pass through */
	const char *why_strict; /* NULL: else files can pass through */
	const char *why_cached; /* NULL: it was asked for, or isn't */
	const char *why_unwatched; /* by whom it is opened; NULL: it is */
	bool sees_owners; /* of pages */
	int pid; /* the daemon's */
};

/* Reports name so many refused files of rules; the rest is counted. */
#define STATS_REFUSED_MAX 256

/* One moment's figures; what renderers are given. */
struct stats_snapshot {
	struct stats_mount mount;
	uint64_t inodes;
	size_t n_hosts;
	struct stats_host *hosts;
	size_t n_accounts;
	struct account_view *accounts; /* parents first */
	size_t n_scanners;
	struct stats_scanner *scanners;
	size_t n_refused;
	char **refused; /* files of rules, and why */
	size_t refused_count; /* with those that aren't named */
	uint64_t counters[STATS_COUNT];
};

/* Adds a copy to the snapshot; without memory it goes unsaid. */
void stats_add_host(struct stats_snapshot *snapshot,
		    const struct stats_host *host);
void stats_add_scanner(struct stats_snapshot *snapshot,
		       const struct stats_scanner *scanner);
void stats_add_refused(struct stats_snapshot *snapshot, const char *reason);

/* Keeps those of the refused that @wanted; the count stays. */
void stats_filter_refused(struct stats_snapshot *snapshot,
			  bool (*wanted)(const char *reason, void *userdata),
			  void *userdata);

/* Calls @fn for each thing that isn't as it should be now. */
void stats_each_degraded(const struct stats_snapshot *snapshot,
			 void (*fn)(const char *reason, void *userdata),
			 void *userdata);

/* Frees what was added. */
void stats_clear(struct stats_snapshot *snapshot);

const char *stats_name(enum stats_counter counter);
const char *stats_meaning(enum stats_counter counter);

/* Whether it goes down, too. */
bool stats_is_level(enum stats_counter counter);

void stats_copy(const struct stats *stats, struct stats_snapshot *snapshot);

/* Writes the report, a line each, as a string; truncates to @size. */
void stats_render_text(const struct stats_snapshot *snapshot, char *buf,
		       size_t size);

#endif
