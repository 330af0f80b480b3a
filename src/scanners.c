// SPDX-License-Identifier: GPL-2.0-or-later
/* Processes that may go through many files; see scanners.h. */
#include "scanners.h"

#include "cgroup.h"
#include "inode_place.h"
#include "scanlist.h"
#include "util.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define PROCESSES 256 /* the low bits of what says who */
#define THREADS 512
#define KEPT 64 /* files of a process */
#define LISTINGS_BYTES (512 * 1024)
#define BELIEVED_NS (100 * UINT64_C(1000000))
#define FORGOTTEN_NS (10 * 60 * UINT64_C(1000000000))
/* Starts of processes are told in ticks of 10 ms. */
#define START_NS (100 * UINT64_C(1000000))
/* Of a pipeline, all begin together. */
#define TOGETHER_NS UINT64_C(1000000000)
/* The open is one of execve(2) (FMODE_EXEC; seen on Linux 6.18). */
#define OPEN_EXEC 0x20

/* A file that a process has opened, which is held. */
struct kept_file {
	struct inode *inode;
	struct scanners_before before;
};

struct kept {
	struct kept *next; /* of those to be let go */
	uint32_t count;
	struct kept_file files[KEPT]; /* the latest last */
};

struct process {
	struct identity id;
	char *cgroup; /* owned; NULL: not known */
	uint32_t who; /* of this place in the table, and of none before */
	uint64_t used_ns;
	bool has_helper; /* somebody lists for it, perhaps */
	bool is_named;
	uid_t uid;
	const char *list; /* that this was told by */
	struct kept *kept; /* NULL: none yet */
	struct scanner scanner;
};

struct thread {
	pid_t tid;
	uint32_t who;
	uint64_t asked_ns;
};

struct scanners {
	struct scanners_config config;
	pthread_mutex_t lock; /* for all below */
	struct listings *listings;
	struct process *processes[PROCESSES]; /* made as they are needed */
	struct thread threads[THREADS];
	uint32_t last_serial;
	struct kept *trash; /* of processes that are no more; see let_go() */
};

int scanners_new(const struct scanners_config *config, struct scanners **out)
{
	struct scanners *scanners;

	scanners = calloc(1, sizeof(*scanners));
	if (!scanners)
		return -ENOMEM;
	scanners->config = *config;
	scanners->listings = listings_new(LISTINGS_BYTES);
	if (!scanners->listings) {
		free(scanners);
		return -ENOMEM;
	}
	pthread_mutex_init(&scanners->lock, NULL);
	*out = scanners;
	return 0;
}

static uint64_t boot_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

/* -- files that are held -- */

static void let_go(struct scanners *scanners, struct kept *kept)
{
	for (uint32_t i = 0; kept && i < kept->count; i++)
		inode_forget(scanners->config.table, kept->files[i].inode, 1);
	free(kept);
}

/* What a scanner has brought in before it was seen to be one. */
static void spare_and_let_go(struct scanners *scanners, struct kept *kept)
{
	const struct scanners_config *config = &scanners->config;

	for (uint32_t i = 0; kept && config->spare && i < kept->count; i++)
		config->spare(config->userdata, kept->files[i].inode,
			      &kept->files[i].before);
	let_go(scanners, kept);
}

/* Under the lock; what is held is let go later, without. */
static void throw_away(struct scanners *scanners, struct kept *kept)
{
	if (!kept)
		return;
	kept->next = scanners->trash;
	scanners->trash = kept;
}

static void empty_trash(struct scanners *scanners)
{
	struct kept *trash, *next;

	pthread_mutex_lock(&scanners->lock);
	trash = steal_ptr(&scanners->trash);
	pthread_mutex_unlock(&scanners->lock);
	for (; trash; trash = next) {
		next = trash->next;
		let_go(scanners, trash);
	}
}

/* Takes over a lookup of the inode; the one that is to be forgotten instead. */
static struct inode *keep(struct process *process, struct inode *inode,
			  const struct scanners_before *before)
{
	struct kept_file file = { inode, *before };
	struct kept *kept = process->kept;
	struct inode *old;

	if (!kept)
		kept = process->kept = calloc(1, sizeof(*kept));
	if (!kept)
		return inode;
	if (kept->count < KEPT) {
		kept->files[kept->count++] = file;
		return NULL;
	}
	old = kept->files[0].inode;
	memmove(kept->files, kept->files + 1, (KEPT - 1) * sizeof(file));
	kept->files[KEPT - 1] = file;
	return old;
}

/* -- who -- */

static char *cgroup_of(const struct scanners *scanners, pid_t tid)
{
	struct account *account =
		openers_account(scanners->config.openers, tid, BELIEVED_NS);
	char *cgroup = account ? strdup(account_path(account)) : NULL;

	account_unref(account);
	return cgroup;
}

/* -- the table -- */

/* For how long nothing has been heard of it: others may have, since @now. */
static uint64_t quiet_ns(const struct process *process, uint64_t now)
{
	return now > process->used_ns ? now - process->used_ns : 0;
}

static struct process *find_who(struct scanners *scanners, uint32_t who)
{
	struct process *process = scanners->processes[who % PROCESSES];

	return who && process && process->who == who ? process : NULL;
}

static struct process *find_identity(struct scanners *scanners,
				     const struct identity *id)
{
	for (int i = 0; i < PROCESSES; i++) {
		struct process *process = scanners->processes[i];

		if (process && process->id.pid == id->pid &&
		    process->id.start_ns == id->start_ns)
			return process;
	}
	return NULL;
}

/* A free place, or that of who has been quiet for longest. */
static int find_place(const struct scanners *scanners)
{
	int oldest = 0;

	for (int i = 0; i < PROCESSES; i++) {
		if (!scanners->processes[i])
			return i;
		if (scanners->processes[i]->used_ns <
		    scanners->processes[oldest]->used_ns)
			oldest = i;
	}
	return oldest;
}

static void process_clear(struct scanners *scanners, struct process *process)
{
	throw_away(scanners, process->kept);
	free(process->cgroup);
	memset(process, 0, sizeof(*process));
}

/* Of the next process in that place: its low bits name it, and are never 0. */
static uint32_t next_who(struct scanners *scanners, int place)
{
	if (++scanners->last_serial >= UINT32_MAX / PROCESSES)
		scanners->last_serial = 1;
	return scanners->last_serial * PROCESSES + (uint32_t)place;
}

/* What a handle has room for. */
static uint16_t reader_of(const struct process *process)
{
	uint16_t reader = (uint16_t)process->who;

	return reader ? reader : UINT16_MAX;
}

static struct process *add_process(struct scanners *scanners)
{
	int place = find_place(scanners);
	struct process **process = &scanners->processes[place];

	if (!*process)
		*process = calloc(1, sizeof(**process));
	else
		process_clear(scanners, *process);
	if (*process)
		(*process)->who = next_who(scanners, place);
	return *process;
}

/* One who lists, and opens nothing. */
static bool is_lister(const struct process *process)
{
	const struct scanner_sums *sums = &process->scanner.sums;

	return sums->dirs && !sums->files && !sums->again;
}

static bool is_together(const struct identity *a, const struct identity *b)
{
	uint64_t apart = a->start_ns > b->start_ns ? a->start_ns - b->start_ns :
						     b->start_ns - a->start_ns;

	return a->group == b->group && apart <= TOGETHER_NS;
}

/* Whether @other may list directories for @process. */
static bool is_helper(const struct process *other,
		      const struct process *process)
{
	return other != process && is_lister(other) &&
	       (other->id.group == process->id.group ||
		other->id.pid == process->id.parent);
}

static bool find_helper(const struct scanners *scanners,
			const struct process *process)
{
	for (int i = 0; i < PROCESSES; i++)
		if (scanners->processes[i] &&
		    is_helper(scanners->processes[i], process))
			return true;
	return false;
}

/* It has executed something else: what it did before is another's. */
static void begin_anew(struct scanners *scanners, struct process *process)
{
	int place = (int)(process->who % PROCESSES);

	process_clear(scanners, process);
	process->who = next_who(scanners, place);
}

/* The process of an identity, and its cgroup, which is taken over. */
static struct process *adopt(struct scanners *scanners,
			     const struct identity *id, char **cgroup)
{
	struct process *process = find_identity(scanners, id);

	if (!process)
		process = add_process(scanners);
	else if (strcmp(process->id.command, id->command) != 0)
		begin_anew(scanners, process);
	if (!process)
		return NULL;
	free(process->cgroup);
	process->id = *id;
	process->cgroup = steal_ptr(cgroup);
	process->list = NULL;
	process->has_helper = find_helper(scanners, process);
	return process;
}

static struct thread *thread_of(struct scanners *scanners, pid_t tid)
{
	return &scanners->threads[(unsigned int)tid % THREADS];
}

/* The one that is known of a thread, and was asked about just now. */
static struct process *find_thread(struct scanners *scanners, pid_t tid,
				   uint64_t now)
{
	const struct thread *thread = thread_of(scanners, tid);

	if (thread->tid != tid || now - thread->asked_ns > BELIEVED_NS)
		return NULL;
	return find_who(scanners, thread->who);
}

/*
 * The process of a thread, and then the lock is held; or NULL: there is none,
 * and it isn't.
 */
static struct process *take_process(struct scanners *scanners, pid_t tid,
				    uint64_t now)
{
	cleanup_free char *cgroup = NULL;
	struct process *process;
	struct identity id;

	if (tid <= 0)
		return NULL;
	pthread_mutex_lock(&scanners->lock);
	process = find_thread(scanners, tid, now);
	if (!process) {
		pthread_mutex_unlock(&scanners->lock);
		if (identity_read(tid, &id) < 0)
			return NULL;
		cgroup = cgroup_of(scanners, tid);
		pthread_mutex_lock(&scanners->lock);
		process = adopt(scanners, &id, &cgroup);
		if (process)
			*thread_of(scanners, tid) = (struct thread){
				.tid = tid,
				.who = process->who,
				.asked_ns = now,
			};
	}
	if (process && process->used_ns < now)
		process->used_ns = now;
	if (!process)
		pthread_mutex_unlock(&scanners->lock);
	return process;
}

/* -- verdicts -- */

static void describe(const struct process *process, char *why, size_t size)
{
	const struct scanner *scanner = &process->scanner;
	const struct scanner_sums *sums = &scanner->sums;
	uint32_t ordered, steps;
	enum scanner_order order =
		scanner_best_order(scanner, &ordered, &steps);
	int len;

	if (process->is_named) {
		snprintf(why, size, "scanners= names it");
		return;
	}
	len = snprintf(why, size, "%s", scanner_why(scanner->why));
	if (scanner->why == SCANNER_WALKS)
		snprintf(why + len, size - (size_t)len, ": %u of late",
			 sums->dirs);
	else if (steps && scanner->why > SCANNER_WALKS)
		snprintf(why + len, size - (size_t)len, ": %u of %u steps %s",
			 ordered, steps, scanner_order_name(order));
}

/* A verdict, to be told without the lock. */
struct verdict {
	bool is_new; /* it has changed */
	bool is_scanner;
	pid_t pid;
	char command[IDENTITY_COMMAND_BYTES];
	char *cgroup; /* owned */
	uint64_t bytes;
	uint64_t files;
	char why[SCANNERS_WHY_BYTES];
	struct kept *kept; /* to be spared */
};

static void judge(struct scanners *scanners, struct process *process,
		  uint64_t now, struct verdict *verdict)
{
	struct scanner_hints hints = { .is_idle = process->id.is_idle };
	struct scanner *scanner = &process->scanner;
	bool was = scanner->is_scanner;

	verdict->files = scanner->total_files;
	verdict->bytes = scanner->total_bytes;
	verdict->is_scanner = scanner_judge(scanner, &hints, now);
	if (verdict->is_scanner)
		verdict->kept = steal_ptr(&process->kept);
	if (was == verdict->is_scanner ||
	    !events_are_followed(scanners->config.events))
		return;
	verdict->is_new = true;
	verdict->pid = process->id.pid;
	memcpy(verdict->command, process->id.command, sizeof(verdict->command));
	verdict->cgroup = process->cgroup ? strdup(process->cgroup) : NULL;
	describe(process, verdict->why, sizeof(verdict->why));
}

static void carry_out(struct scanners *scanners, struct verdict *verdict)
{
	char text[256];

	if (verdict->is_new) {
		snprintf(text, sizeof(text),
			 "%s%s (pid %d), %" PRIu64 " files: %s",
			 verdict->is_scanner ? "" : "no longer: ",
			 verdict->command, (int)verdict->pid, verdict->files,
			 verdict->why);
		events_tell(scanners->config.events,
			    &(struct event){ .kind = EVENT_scanner,
					     .account = verdict->cgroup,
					     .bytes = verdict->bytes,
					     .reason = text });
	}
	free(verdict->cgroup);
	spare_and_let_go(scanners, verdict->kept);
}

/* Whether the list names the process; that is asked once of each list. */
static bool is_named(const struct scanners *scanners, struct process *process,
		     const struct scanners_open *open)
{
	struct scanlist_reader reader = {
		.command = process->id.command,
		.cgroup = process->cgroup,
		.uid = open->caller.uid,
	};

	if (!open->named)
		return false;
	if (process->list != open->named || process->uid != open->caller.uid) {
		process->list = open->named;
		process->uid = open->caller.uid;
		process->is_named = scanlist_names(
			open->named,
			cgroup_tree_mountpoint(scanners->config.tree), &reader);
	}
	return process->is_named;
}

/* -- opens -- */

/* Where a file is; asked without the lock. */
struct place {
	uint64_t dir; /* 0: it isn't known */
	char name[NAME_MAX + 1];
};

/* By its handle: a number that is used again is another one. */
static uint64_t key_of(const struct inode *inode)
{
	return (uint64_t)inode->device << 32 | inode->link.hash;
}

static void find_place_of(struct scanners *scanners, struct inode *inode,
			  struct place *place)
{
	struct inode_table *table = scanners->config.table;
	struct inode *parent = inode_parent_get(table, inode, place->name);

	place->dir = parent ? key_of(parent) : 0;
	if (parent)
		inode_child_put(table, parent);
	else
		place->name[0] = '\0';
}

/* Who has listed the directory, of those who count. */
static enum scanner_lister lister_of(struct scanners *scanners,
				     const struct process *process,
				     const struct listings_place *found)
{
	enum scanner_lister lister = SCANNER_NOBODY;

	for (size_t i = 0; i < ARRAY_SIZE(found->readers); i++) {
		const struct listings_reader *reader = &found->readers[i];
		const struct process *other = find_who(scanners, reader->who);

		if (reader->who == process->who)
			return SCANNER_ITSELF;
		if (other && is_helper(other, process) &&
		    (reader->time_ns <= process->id.start_ns + START_NS ||
		     is_together(&other->id, &process->id)))
			lister = SCANNER_HELPER;
	}
	return lister;
}

static bool is_read_only(int flags)
{
	return (flags & O_ACCMODE) == O_RDONLY && !(flags & OPEN_EXEC);
}

/* Whether somebody lists directories for it, or it does. */
static bool may_follow(const struct process *process)
{
	return process->scanner.sums.dirs || process->has_helper ||
	       process->scanner.is_scanner;
}

static void note_open(struct scanners *scanners, struct process *process,
		      struct inode *inode, const struct place *place,
		      uint64_t now)
{
	struct scanner_open open = {
		.now_ns = now,
		.file = key_of(inode),
		.dir = place->dir,
		.name = place->name,
	};
	struct listings_place found;

	if (place->dir) {
		found = listings_find(scanners->listings, place->dir,
				      listings_name(place->name),
				      scanner_position(&process->scanner,
						       place->dir));
		open.lister = lister_of(scanners, process, &found);
		open.position = found.position;
		open.ino = found.ino;
		open.listed = found.count;
	}
	scanner_note_open(&process->scanner, &open);
}

/* Notes the open and judges; the lock is held, but for a look at its place. */
static bool judge_open(struct scanners *scanners, struct process *process,
		       struct scanners_open *open, uint64_t now,
		       struct verdict *verdict)
{
	struct place place = { 0 };

	if (scanners->config.is_off) {
		note_open(scanners, process, open->inode, &place, now);
		return false;
	}
	if (may_follow(process)) {
		pthread_mutex_unlock(&scanners->lock);
		find_place_of(scanners, open->inode, &place);
		pthread_mutex_lock(&scanners->lock);
		process = find_who(scanners, open->who);
		if (!process)
			return false;
	}
	note_open(scanners, process, open->inode, &place, now);
	judge(scanners, process, now, verdict);
	return process->scanner.is_scanner;
}

bool scanners_begin_open(struct scanners *scanners, struct scanners_open *open)
{
	struct verdict verdict = { 0 };
	struct process *process;
	uint64_t now;

	open->who = 0;
	open->is_scan = false;
	if (scanners->config.is_off && !open->named)
		return false;
	now = now_ns();
	process = take_process(scanners, open->caller.tid, now);
	if (!process)
		return false;
	if (open->flags & OPEN_EXEC) {
		/* He is about to be called otherwise. */
		thread_of(scanners, open->caller.tid)->tid = 0;
	} else if (is_read_only(open->flags)) {
		open->who = process->who;
		open->is_scan = is_named(scanners, process, open);
		open->is_scan |=
			judge_open(scanners, process, open, now, &verdict);
	}
	pthread_mutex_unlock(&scanners->lock);
	carry_out(scanners, &verdict);
	return open->is_scan;
}

/* Whether what it opens is to be held until more is known of it. */
static bool is_suspect(const struct process *process)
{
	const struct scanner_sums *sums = &process->scanner.sums;

	return (sums->own || sums->helped) && !process->is_named;
}

uint16_t scanners_end_open(struct scanners *scanners,
			   const struct scanners_open *open,
			   uint64_t size_bytes,
			   const struct scanners_before *before)
{
	struct inode *inode = open->inode;
	struct inode *old = NULL;
	struct process *process;
	uint16_t reader = 0;
	bool is_late = false;

	if (!open->who)
		return 0;
	pthread_mutex_lock(&scanners->lock);
	process = find_who(scanners, open->who);
	if (process) {
		reader = reader_of(process);
		scanner_note_opened(&process->scanner, size_bytes);
		/* It was seen to be one while this was being opened. */
		is_late = process->scanner.is_scanner && !open->is_scan;
		if (is_suspect(process) && !open->is_scan && !is_late) {
			inode_ref(scanners->config.table, inode);
			old = keep(process, inode, before);
		}
	}
	pthread_mutex_unlock(&scanners->lock);
	if (old)
		inode_forget(scanners->config.table, old, 1);
	if (is_late && scanners->config.spare)
		scanners->config.spare(scanners->config.userdata, inode,
				       before);
	return reader;
}

static struct process *find_reader(struct scanners *scanners, uint16_t reader)
{
	struct process *process = scanners->processes[reader % PROCESSES];

	return reader && process && process->who &&
			       reader_of(process) == reader ?
		       process :
		       NULL;
}

void scanners_close(struct scanners *scanners, uint16_t reader)
{
	struct process *process;

	if (!reader)
		return;
	pthread_mutex_lock(&scanners->lock);
	process = find_reader(scanners, reader);
	if (process)
		scanner_note_close(&process->scanner);
	pthread_mutex_unlock(&scanners->lock);
}

/* -- what else it does -- */

void scanners_note_miss(struct scanners *scanners,
			const struct scanners_caller *caller)
{
	struct process *process;

	if (scanners->config.is_off)
		return;
	pthread_mutex_lock(&scanners->lock);
	process = find_thread(scanners, caller->tid, now_ns());
	if (process)
		scanner_note_miss(&process->scanner);
	pthread_mutex_unlock(&scanners->lock);
}

static bool has_listed(const struct scanners *scanners,
		       const struct process *process, uint64_t dir)
{
	return listings_is_reader(scanners->listings, dir, process->who);
}

static uint64_t key_above(struct scanners *scanners, struct inode *dir)
{
	struct inode_table *table = scanners->config.table;
	struct inode *above = inode_parent_get(table, dir, NULL);
	uint64_t key = above ? key_of(above) : 0;

	if (above)
		inode_child_put(table, above);
	return key;
}

void scanners_note_create(struct scanners *scanners,
			  const struct scanners_caller *caller,
			  struct inode *dir)
{
	struct process *process;
	uint64_t above;

	if (scanners->config.is_off)
		return;
	above = key_above(scanners, dir);
	pthread_mutex_lock(&scanners->lock);
	process = find_thread(scanners, caller->tid, now_ns());
	if (process && process->scanner.sums.dirs &&
	    (has_listed(scanners, process, key_of(dir)) ||
	     has_listed(scanners, process, above)))
		scanner_note_write(&process->scanner);
	pthread_mutex_unlock(&scanners->lock);
}

bool scanners_open_dir(struct scanners *scanners,
		       const struct scanners_caller *caller, struct inode *dir)
{
	struct verdict verdict = { 0 };
	struct process *process;
	bool is_below, is_known;
	uint64_t above, now;

	if (scanners->config.is_off)
		return true;
	above = key_above(scanners, dir);
	now = now_ns();
	process = take_process(scanners, caller->tid, now);
	if (!process)
		return true;
	is_below = above && has_listed(scanners, process, above);
	scanner_note_directory(&process->scanner, is_below, now);
	is_known = listings_open(scanners->listings, key_of(dir),
				 &(struct listings_reader){
					 .who = process->who,
					 .time_ns = boot_ns(),
				 });
	judge(scanners, process, now, &verdict);
	pthread_mutex_unlock(&scanners->lock);
	carry_out(scanners, &verdict);
	return is_known;
}

void scanners_list(struct scanners *scanners, const struct inode *dir,
		   uint32_t first, const struct listings_file *files,
		   uint32_t count, bool is_end)
{
	if (scanners->config.is_off)
		return;
	pthread_mutex_lock(&scanners->lock);
	listings_add(scanners->listings, key_of(dir), first, files, count,
		     is_end);
	pthread_mutex_unlock(&scanners->lock);
}

/* How many times it was kept, which the caller is to forget. */
static uint32_t unkeep(struct kept *kept, const struct inode *inode)
{
	uint32_t left = 0, gone;

	for (uint32_t i = 0; i < kept->count; i++)
		if (kept->files[i].inode != inode)
			kept->files[left++] = kept->files[i];
	gone = kept->count - left;
	kept->count = left;
	return gone;
}

void scanners_let_go(struct scanners *scanners, struct inode *inode)
{
	uint32_t gone = 0;

	if (scanners->config.is_off)
		return;
	pthread_mutex_lock(&scanners->lock);
	for (int i = 0; i < PROCESSES; i++)
		if (scanners->processes[i] && scanners->processes[i]->kept)
			gone += unkeep(scanners->processes[i]->kept, inode);
	pthread_mutex_unlock(&scanners->lock);
	if (gone)
		inode_forget(scanners->config.table, inode, gone);
}

/* -- now and then -- */

/* Under the lock; what is to be told is for without. */
static void expire_one(struct scanners *scanners, int place, uint64_t now,
		       struct verdict *verdict)
{
	struct process *process = scanners->processes[place];

	if (!process || !process->who)
		return;
	if (process->scanner.is_scanner)
		judge(scanners, process, now, verdict);
	if (quiet_ns(process, now) > SCANNER_QUIET_NS)
		throw_away(scanners, steal_ptr(&process->kept));
	if (quiet_ns(process, now) > FORGOTTEN_NS) {
		process_clear(scanners, process);
		free(process);
		scanners->processes[place] = NULL;
	}
}

void scanners_expire(struct scanners *scanners)
{
	uint64_t now = now_ns();

	for (int i = 0; i < PROCESSES; i++) {
		struct verdict verdict = { 0 };

		pthread_mutex_lock(&scanners->lock);
		expire_one(scanners, i, now, &verdict);
		pthread_mutex_unlock(&scanners->lock);
		carry_out(scanners, &verdict);
	}
	empty_trash(scanners);
}

struct scanners *scanners_free(struct scanners *scanners)
{
	if (!scanners)
		return NULL;
	for (int i = 0; i < PROCESSES; i++) {
		if (scanners->processes[i])
			process_clear(scanners, scanners->processes[i]);
		free(scanners->processes[i]);
	}
	empty_trash(scanners);
	listings_free(scanners->listings);
	pthread_mutex_destroy(&scanners->lock);
	free(scanners);
	return NULL;
}

/* -- reports -- */

static void fill_view(const struct process *process, struct scanners_view *view)
{
	const struct scanner *scanner = &process->scanner;

	*view = (struct scanners_view){
		.pid = process->id.pid,
		.cgroup = process->cgroup,
		.is_scanner = scanner->is_scanner || process->is_named,
		.is_named = process->is_named,
		.is_idle = process->id.is_idle,
		.files = scanner->total_files,
		.bytes = scanner->total_bytes,
		.sums = scanner->sums,
		.open_now = scanner->open_now,
	};
	memcpy(view->command, process->id.command, sizeof(view->command));
	describe(process, view->why, sizeof(view->why));
}

static bool is_quiet(const struct process *process)
{
	return quiet_ns(process, now_ns()) > SCANNER_QUIET_NS;
}

void scanners_each(struct scanners *scanners,
		   void (*fn)(const struct scanners_view *view, void *userdata),
		   void *userdata)
{
	struct scanners_view view;

	pthread_mutex_lock(&scanners->lock);
	for (int i = 0; i < PROCESSES; i++) {
		const struct process *process = scanners->processes[i];

		if (!process || !process->who || is_quiet(process))
			continue;
		fill_view(process, &view);
		if (view.is_scanner)
			fn(&view, userdata);
	}
	pthread_mutex_unlock(&scanners->lock);
}

int scanners_view(struct scanners *scanners, pid_t pid,
		  void (*fn)(const struct scanners_view *view, void *userdata),
		  void *userdata)
{
	struct scanners_view view;
	int r = -ESRCH;

	pthread_mutex_lock(&scanners->lock);
	for (int i = 0; i < PROCESSES && r < 0; i++) {
		const struct process *process = scanners->processes[i];

		if (!process || !process->who || process->id.pid != pid)
			continue;
		fill_view(process, &view);
		fn(&view, userdata);
		r = 0;
	}
	pthread_mutex_unlock(&scanners->lock);
	return r;
}
