/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether a process goes once through many files: a virus scanner, a backup, a
 * grep. Nothing that it does tells that by itself; together these do, which
 * are the features of a process:
 *
 *  - it opens many files for reading alone, none of them again, at a rate;
 *  - it has listed the directories that these are in, itself, or somebody has
 *    for it (find(1), for xargs), and leaves few of their files out;
 *  - it takes them in an order: as they are listed, by name, or by inode
 *    number, up or down; or not far from that, if it has several threads;
 *  - it has few of them open at a time, looks for no names that aren't there,
 *    as compilers and interpreters do for what they import, and writes nothing
 *    beside what it reads.
 *
 * It takes 16 files to be seen, or 16 MiB of 4 files. All of this a job does,
 * too, which loads what there is in one directory, a model's weights or its
 * data: who goes no further than that is seen with 48 files, be they as large
 * as they are. It takes half as many of who runs at idle priority, which alone
 * says nothing. What counts is the last 32 to 64 files; who turns to reuse is
 * a scanner no longer, nor who has been quiet for 30 seconds.
 *
 * Pure: it is told what a process does, by opens, or by reads where there are
 * none, and decides.
 */
#ifndef MEMCGFS_SCANNER_H
#define MEMCGFS_SCANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCANNER_QUIET_NS (30 * UINT64_C(1000000000))
#define SCANNER_SEEN 1024 /* files that are known again */
#define SCANNER_DIRS 8 /* directories that it may be in at a time */
#define SCANNER_NAME_BYTES 24 /* that names are compared by */

/* Orders that files may be taken in. */
enum scanner_order {
	SCANNER_LISTED,
	SCANNER_LISTED_BACK,
	SCANNER_LISTED_NEAR, /* to the one before */
	SCANNER_BY_NAME,
	SCANNER_BY_NAME_BACK,
	SCANNER_BY_INODE,
	SCANNER_BY_INODE_BACK,
	SCANNER_ORDERS,
};

/* Who has listed the directory of a file. */
enum scanner_lister {
	SCANNER_NOBODY,
	SCANNER_ITSELF,
	SCANNER_HELPER, /* one who lists, opens no files, and belongs to it */
};

/* What is known of a file that is opened. */
struct scanner_open {
	uint64_t now_ns;
	uint64_t file; /* says which */
	uint64_t dir; /* says which; 0: that isn't known */
	const char *name;
	uint32_t ino; /* by the listing */
	enum scanner_lister lister;
	uint32_t position; /* in the listing, from 1 on; 0: it isn't known */
	uint32_t listed; /* names that has; 0: that isn't known */
};

/* A directory that it is in. */
struct scanner_dir {
	uint64_t dir; /* 0: none */
	uint32_t used; /* when, by the count of opens */
	uint32_t opened; /* files of it */
	uint32_t listed;
	uint32_t position; /* of the last file */
	uint32_t ino;
	char name[SCANNER_NAME_BYTES];
};

/* What it has done of late. */
struct scanner_sums {
	uint64_t bytes;
	uint32_t files; /* opened, but for those again; of these: */
	uint32_t own; /* in directories that it has listed */
	uint32_t helped; /* or a helper */
	uint32_t searched; /* after having looked for what isn't there */
	uint32_t again; /* opened again */
	uint32_t steps; /* from file to file in a directory; of these: */
	uint32_t listed_steps; /* by a known order */
	uint32_t ordered[SCANNER_ORDERS];
	uint32_t left_opened; /* of directories that it is done with */
	uint32_t left_listed;
	uint32_t wrote; /* files made where it has listed */
	uint32_t dirs; /* directories opened; of these: */
	uint32_t walked; /* below one that it had opened */
	uint32_t entered; /* directories, by files that were opened there */
};

enum scanner_why {
	/* It is none. */
	SCANNER_FEW_FILES,
	SCANNER_UNLISTED,
	SCANNER_AGAIN,
	SCANNER_SEARCHES,
	SCANNER_WRITES,
	SCANNER_HOLDS,
	SCANNER_SKIPS,
	SCANNER_UNORDERED,
	SCANNER_SLOW,
	SCANNER_QUIET,
	/* It is one. */
	SCANNER_WALKS,
	SCANNER_READS,
	SCANNER_READS_HELPED,
};

/* Of one process. */
struct scanner {
	struct scanner_sums sums;
	uint64_t since_ns; /* when what the sums have began */
	uint64_t last_ns;
	uint64_t last_file;
	uint32_t opens;
	uint32_t open_now; /* files that it has open */
	bool has_missed; /* a name, since the last open */
	bool has_listed; /* a directory, since then */
	bool is_scanner;
	enum scanner_why why;
	struct scanner_dir dirs[SCANNER_DIRS];
	uint16_t seen[SCANNER_SEEN]; /* by hash: the rest of it; 0: none */
	/* Since it is one, or has been told of. */
	uint64_t total_files;
	uint64_t total_bytes;
};

/* What is known of the process besides. */
struct scanner_hints {
	bool is_idle; /* I/O class idle, or SCHED_IDLE, SCHED_BATCH */
};

/* It opens a directory, below one that it had opened, or not. */
void scanner_note_directory(struct scanner *scanner, bool is_below,
			    uint64_t now_ns);

/* It looks for a name that isn't there. */
void scanner_note_miss(struct scanner *scanner);

/* It makes a file in, or below, a directory that it has listed. */
void scanner_note_write(struct scanner *scanner);

/* Where it was in that directory last; 0: it wasn't. */
uint32_t scanner_position(const struct scanner *scanner, uint64_t dir);

/* It opens a file for reading. */
void scanner_note_open(struct scanner *scanner,
		       const struct scanner_open *open);

/* It reads so much, where that is told and opens aren't answered. */
void scanner_note_read(struct scanner *scanner, uint64_t bytes,
		       uint64_t now_ns);

/* The open went well, of so large a file; and it is closed. */
void scanner_note_opened(struct scanner *scanner, uint64_t bytes);
void scanner_note_close(struct scanner *scanner);

/* Decides anew: whether it is a scanner, and why. */
bool scanner_judge(struct scanner *scanner, const struct scanner_hints *hints,
		   uint64_t now_ns);

/* The order that it keeps best; of how many steps, and how many are so. */
enum scanner_order scanner_best_order(const struct scanner *scanner,
				      uint32_t *ordered, uint32_t *steps);

/* A clause for reports: "it ...". */
const char *scanner_why(enum scanner_why why);
const char *scanner_order_name(enum scanner_order order);

#endif
