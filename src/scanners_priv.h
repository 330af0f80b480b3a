/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the processes that may be scanners share; see scanners.h. */
#ifndef MEMCGFS_SCANNERS_PRIV_H
#define MEMCGFS_SCANNERS_PRIV_H

#include "scanners.h"

#include <pthread.h>

#define SCANNERS_PROCESSES 256 /* the low bits of what says who */
#define SCANNERS_THREADS 512
#define SCANNERS_KEPT 64 /* files of a process */

/* A file that a process has opened, which is held. */
struct scanners_kept_file {
	struct inode *inode;
	struct scanners_before before;
};

struct scanners_kept {
	struct scanners_kept *next; /* of those to be let go */
	uint32_t count;
	struct scanners_kept_file files[SCANNERS_KEPT]; /* the latest last */
};

struct scanners_process {
	struct identity id;
	char *cgroup; /* owned; NULL: not known */
	uint32_t who; /* of this place in the table, and of none before */
	uint64_t used_ns;
	bool has_helper; /* somebody lists for it, perhaps */
	bool is_named;
	uid_t uid;
	const char *list; /* that this was told by */
	struct scanners_kept *kept; /* NULL: none yet */
	struct scanner scanner;
};

struct scanners_thread {
	pid_t tid;
	uint32_t who;
	uint64_t asked_ns;
};

struct scanners {
	struct scanners_config config;
	pthread_mutex_t lock; /* for all below */
	struct listings *listings;
	/* Made as they are needed. */
	struct scanners_process *processes[SCANNERS_PROCESSES];
	struct scanners_thread threads[SCANNERS_THREADS];
	uint32_t last_serial;
	/* Of processes that are no more; see scanners_empty_trash(). */
	struct scanners_kept *trash;
};

/* A verdict, to be told without the lock. */
struct scanners_verdict {
	bool is_new; /* it has changed */
	bool is_scanner;
	pid_t pid;
	char command[IDENTITY_COMMAND_BYTES];
	char *cgroup; /* owned */
	uint64_t bytes;
	uint64_t files;
	char why[SCANNERS_WHY_BYTES];
	struct scanners_kept *kept; /* to be spared */
};

/* For how long nothing has been heard of it: others may have, since @now. */
static inline uint64_t scanners_quiet_ns(const struct scanners_process *process,
					 uint64_t now)
{
	return now > process->used_ns ? now - process->used_ns : 0;
}

/*
 * Files that are held: to be let go without the lock, when nothing is known
 * against who has opened them; or to be spared, when something is.
 */
void scanners_spare_kept(struct scanners *scanners, struct scanners_kept *kept);

/* Under the lock; what is held is let go by the other, without. */
void scanners_throw_away(struct scanners *scanners, struct scanners_kept *kept);
void scanners_empty_trash(struct scanners *scanners);

/* Takes over a lookup of the inode; the one that is to be forgotten instead. */
struct inode *scanners_keep(struct scanners_process *process,
			    struct inode *inode,
			    const struct scanners_before *before);

/* Under the lock: who that is; and whom a thread was seen to belong to. */
struct scanners_process *scanners_find_who(struct scanners *scanners,
					   uint32_t who);
struct scanners_process *scanners_find_thread(struct scanners *scanners,
					      pid_t tid, uint64_t now);
struct scanners_thread *scanners_thread_of(struct scanners *scanners,
					   pid_t tid);

/*
 * The process of a thread, and then the lock is held; or NULL: there is none,
 * and it isn't.
 */
struct scanners_process *scanners_take(struct scanners *scanners, pid_t tid,
				       uint64_t now);

/* Under the lock: of the process nothing is known any more. */
void scanners_clear(struct scanners *scanners,
		    struct scanners_process *process);

/* Whether @other may list directories for @process. */
bool scanners_is_helper(const struct scanners_process *other,
			const struct scanners_process *process);

/* Under the lock: whether it is one now; and what is to be done, without. */
void scanners_judge(struct scanners *scanners, struct scanners_process *process,
		    uint64_t now, struct scanners_verdict *verdict);
void scanners_carry_out(struct scanners *scanners,
			struct scanners_verdict *verdict);

#endif
