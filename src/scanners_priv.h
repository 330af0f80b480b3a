/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the files of the processes that may be scanners share; see scanners.h. */
#ifndef MEMCGFS_SCANNERS_PRIV_H
#define MEMCGFS_SCANNERS_PRIV_H

#include "scanners.h"

#include <pthread.h>
#include <stdatomic.h>

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
	/* Changed under the table's lock and its place's; read under either. */
	struct identity id;
	char *cgroup; /* owned; NULL: not known */
	uint32_t who; /* of this place in the table, and of none before */
	/* Under its place's lock. */
	bool has_helper; /* somebody lists for it, perhaps */
	bool is_named;
	uid_t uid;
	const char *list; /* that this was told by */
	struct scanners_kept *kept; /* NULL: none yet */
	struct scanner scanner;
};

struct scanners_place {
	pthread_mutex_t lock;
	struct scanners_process *process; /* NULL: none yet; as its id */
	/* Relaxed, as nothing else depends on them: when it was heard of last; */
	_Atomic uint64_t used_ns;
	/* and who it is, if it lists directories and opens nothing; or 0. */
	_Atomic uint32_t lister;
};

/* What is believed of a thread for a moment. */
struct scanners_thread {
	pthread_mutex_t lock; /* for all below */
	pid_t tid; /* 0: of none */
	uint32_t who;
	uint64_t asked_ns;
};

/*
 * An open of who is known takes the locks of his thread and of his place in
 * the table, which are nobody else's; that of the listings comes to it only
 * where somebody lists directories for him, or he does.
 *
 * Order of the locks: table, place, and then one of the others.
 */
struct scanners {
	struct scanners_config config;
	struct scanners_thread threads[SCANNERS_THREADS];
	struct scanners_place places[SCANNERS_PROCESSES];
	pthread_mutex_t table_lock; /* for who is in which place */
	uint32_t last_serial; /* the table's lock */
	pthread_mutex_t listings_lock;
	struct listings *listings;
	/* Processes that have files held. Released when one begins to, acquired
	 * by who lets go of a file. */
	_Atomic uint32_t keepers;
	pthread_mutex_t trash_lock;
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
static inline uint64_t scanners_quiet_ns(const struct scanners_place *place,
					 uint64_t now)
{
	uint64_t used =
		atomic_load_explicit(&place->used_ns, memory_order_relaxed);

	return now > used ? now - used : 0;
}

static inline struct scanners_place *
scanners_place_of(struct scanners *scanners, uint32_t who)
{
	return &scanners->places[who % SCANNERS_PROCESSES];
}

/*
 * Files that are held: to be let go without the lock, when nothing is known
 * against who has opened them; or to be spared, when something is.
 */
void scanners_spare_kept(struct scanners *scanners, struct scanners_kept *kept);

/* Under the place's lock: takes what is held of the process. */
struct scanners_kept *scanners_take_kept(struct scanners *scanners,
					 struct scanners_process *process);

/* Under any locks; what is held is let go by the other, without. */
void scanners_throw_away(struct scanners *scanners, struct scanners_kept *kept);
void scanners_empty_trash(struct scanners *scanners);

/*
 * Under the place's lock: takes over a lookup of the inode; the one that is to
 * be forgotten instead.
 */
struct inode *scanners_keep(struct scanners *scanners,
			    struct scanners_process *process,
			    struct inode *inode,
			    const struct scanners_before *before);

/*
 * Who that is, whom a thread was seen to belong to just now, and the process
 * of a thread, which is asked for if need be: each is given with its place's
 * lock held, until scanners_unlock(). NULL: there is none.
 */
struct scanners_process *scanners_lock_who(struct scanners *scanners,
					   uint32_t who);
struct scanners_process *scanners_lock_thread(struct scanners *scanners,
					      pid_t tid, uint64_t now);
struct scanners_process *scanners_take(struct scanners *scanners, pid_t tid,
				       uint64_t now);
void scanners_unlock(struct scanners *scanners,
		     const struct scanners_process *process);

/* The thread's next request is asked about. */
void scanners_forget_thread(struct scanners *scanners, pid_t tid);

/* Under the table's lock and the place's: nothing is known of it any more. */
void scanners_clear(struct scanners *scanners,
		    struct scanners_process *process);

/* Whether that one lists, and opens nothing, for that job or process. */
bool scanners_is_helper(struct scanners *scanners,
			const struct listings_reader *reader,
			const struct identity *process);

/*
 * Under the place's lock: whether it is one now; and what is to be done,
 * without.
 */
void scanners_judge(struct scanners *scanners, struct scanners_process *process,
		    uint64_t now, struct scanners_verdict *verdict);
void scanners_carry_out(struct scanners *scanners,
			struct scanners_verdict *verdict);

#endif
