/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processes that use the mount, as far as it matters who of them goes once
 * through many files: see scanner.h for how that is told. A request names a
 * thread; who that belongs to is asked of /proc, and believed for a moment. A
 * process is its thread group and when that began, so that a number which is
 * used again is another one; and what it has executed: that begins anew.
 *
 * Of who may be a scanner the last files are kept, with what was resident of
 * each: when it is seen to be one, what it has brought in before is spared.
 */
#ifndef MEMCGFS_SCANNERS_H
#define MEMCGFS_SCANNERS_H

#include "events.h"
#include "identity.h"
#include "inode.h"
#include "listings.h"
#include "openers.h"
#include "scanner.h"

#include <sys/types.h>

#define SCANNERS_WHY_BYTES 160

struct cgroup_tree;
struct scanners;

/* What a file was like before it was opened; the heart's, see charge.h. */
struct scanners_before {
	uint64_t resident_bytes;
	uint32_t uses;
};

struct scanners_config {
	struct inode_table *table;
	struct events *events;
	struct openers *openers;
	const struct cgroup_tree *tree;
	bool is_off; /* who isn't named is none */
	/*
	 * A file that a scanner has opened before it was seen to be one.
	 * Called without locks; NULL: nobody wants to know.
	 */
	void (*spare)(void *userdata, struct inode *inode,
		      const struct scanners_before *before);
	void *userdata;
};

/* 0 or -ENOMEM. */
int scanners_new(const struct scanners_config *config, struct scanners **out);

/* Before the table of inodes goes. */
struct scanners *scanners_free(struct scanners *scanners);

/* A request: who makes it. */
struct scanners_caller {
	pid_t tid; /* 0: not to be seen from here */
	uid_t uid;
};

/* A file is being opened. */
struct scanners_open {
	struct scanners_caller caller;
	struct inode *inode;
	int flags; /* of open(2) */
	const char *named; /* a list, see scanlist.h, that stays; or NULL */
	/* Set by scanners_begin_open(). */
	uint32_t who;
	bool is_scan;
};

/*
 * Whether it is a scanner that opens the file. Then the open is made, and, if
 * that went well, scanners_end_open() is told what was there: it gives what
 * the file is to be closed with, scanners_close(), or 0.
 */
bool scanners_begin_open(struct scanners *scanners, struct scanners_open *open);
uint16_t scanners_end_open(struct scanners *scanners,
			   const struct scanners_open *open,
			   uint64_t size_bytes,
			   const struct scanners_before *before);
void scanners_close(struct scanners *scanners, uint16_t reader);

/*
 * Reads so much of a file, where opens are told later, and not answered:
 * whether it is a scanner that does.
 */
bool scanners_note_read(struct scanners *scanners,
			const struct scanners_caller *caller, const char *named,
			uint64_t bytes);

/* Looks for a name that isn't there; makes a file in @dir. */
void scanners_note_miss(struct scanners *scanners,
			const struct scanners_caller *caller);
void scanners_note_create(struct scanners *scanners,
			  const struct scanners_caller *caller,
			  struct inode *dir);

/*
 * Opens a directory. False: its order isn't known, so that the client's kernel
 * should not answer by what it has kept.
 */
bool scanners_open_dir(struct scanners *scanners,
		       const struct scanners_caller *caller, struct inode *dir);

/*
 * The same where that is no message: told when it is read from the start, if
 * the client's kernel hasn't kept it, and by who watches opens, in any order.
 */
void scanners_note_dir(struct scanners *scanners,
		       const struct scanners_caller *caller, struct inode *dir);

/* What is read of one: see listings_add(). */
void scanners_list(struct scanners *scanners, const struct inode *dir,
		   uint32_t first, const struct listings_file *files,
		   uint32_t count, bool is_end);

/* The file's last name goes: nothing is to be kept of it, nor its space. */
void scanners_let_go(struct scanners *scanners, struct inode *inode);

/* Forgets who has been quiet; to be called now and then. */
void scanners_expire(struct scanners *scanners);

/* A process, for reports. */
struct scanners_view {
	pid_t pid;
	char command[IDENTITY_COMMAND_BYTES];
	const char *cgroup; /* NULL: not known */
	bool is_scanner;
	bool is_named; /* by scanners= */
	bool is_idle;
	uint64_t files;
	uint64_t bytes;
	char why[SCANNERS_WHY_BYTES];
	struct scanner_sums sums;
	uint32_t open_now;
};

/* Calls @fn for each scanner; the view is good until it returns. */
void scanners_each(struct scanners *scanners,
		   void (*fn)(const struct scanners_view *view, void *userdata),
		   void *userdata);

/* Calls @fn for one process, if anything is known of it; else -ESRCH. */
int scanners_view(struct scanners *scanners, pid_t pid,
		  void (*fn)(const struct scanners_view *view, void *userdata),
		  void *userdata);

#endif
