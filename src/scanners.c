// SPDX-License-Identifier: GPL-2.0-or-later
/* Processes that may be scanners, 1: what they do; see scanners.h. */
#include "scanners_priv.h"

#include "cgroup.h"
#include "inode_place.h"
#include "scanlist.h"
#include "util.h"

#include <string.h>

#define LISTINGS_BYTES (512 * 1024)
#define FORGOTTEN_NS (10 * 60 * UINT64_C(1000000000))
/* Starts of processes are told in ticks of 10 ms. */
#define START_NS (100 * UINT64_C(1000000))
/* Of a pipeline, all begin together. */
#define TOGETHER_NS UINT64_C(1000000000)
/* The open is one of execve(2) (FMODE_EXEC; seen on Linux 6.18). */
#define OPEN_EXEC 0x20

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

/* -- opens -- */

static uint64_t boot_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

/* Whether the list names the process; that is asked once of each list. */
static bool is_named(const struct scanners *scanners,
		     struct scanners_process *process,
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

static bool is_together(const struct identity *a, const struct identity *b)
{
	uint64_t apart = a->start_ns > b->start_ns ? a->start_ns - b->start_ns :
						     b->start_ns - a->start_ns;

	return a->group == b->group && apart <= TOGETHER_NS;
}

/* What a handle has room for. */
static uint16_t reader_of(const struct scanners_process *process)
{
	uint16_t reader = (uint16_t)process->who;

	return reader ? reader : UINT16_MAX;
}

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
				     const struct scanners_process *process,
				     const struct listings_place *found)
{
	enum scanner_lister lister = SCANNER_NOBODY;

	for (size_t i = 0; i < ARRAY_SIZE(found->readers); i++) {
		const struct listings_reader *reader = &found->readers[i];
		const struct scanners_process *other =
			scanners_find_who(scanners, reader->who);

		if (reader->who == process->who)
			return SCANNER_ITSELF;
		if (other && scanners_is_helper(other, process) &&
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
static bool may_follow(const struct scanners_process *process)
{
	return process->scanner.sums.dirs || process->has_helper ||
	       process->scanner.is_scanner;
}

static void note_open(struct scanners *scanners,
		      struct scanners_process *process, struct inode *inode,
		      const struct place *place, uint64_t now)
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
static bool judge_open(struct scanners *scanners,
		       struct scanners_process *process,
		       struct scanners_open *open, uint64_t now,
		       struct scanners_verdict *verdict)
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
		process = scanners_find_who(scanners, open->who);
		if (!process)
			return false;
	}
	note_open(scanners, process, open->inode, &place, now);
	scanners_judge(scanners, process, now, verdict);
	return process->scanner.is_scanner;
}

bool scanners_begin_open(struct scanners *scanners, struct scanners_open *open)
{
	struct scanners_verdict verdict = { 0 };
	struct scanners_process *process;
	uint64_t now;

	open->who = 0;
	open->is_scan = false;
	if (scanners->config.is_off && !open->named)
		return false;
	now = now_ns();
	process = scanners_take(scanners, open->caller.tid, now);
	if (!process)
		return false;
	if (open->flags & OPEN_EXEC) {
		/* He is about to be called otherwise. */
		scanners_thread_of(scanners, open->caller.tid)->tid = 0;
	} else if (is_read_only(open->flags)) {
		open->who = process->who;
		open->is_scan = is_named(scanners, process, open);
		open->is_scan |=
			judge_open(scanners, process, open, now, &verdict);
	}
	pthread_mutex_unlock(&scanners->lock);
	scanners_carry_out(scanners, &verdict);
	return open->is_scan;
}

/* Whether what it opens is to be held until more is known of it. */
static bool is_suspect(const struct scanners_process *process)
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
	struct scanners_process *process;
	uint16_t reader = 0;
	bool is_late = false;

	if (!open->who)
		return 0;
	pthread_mutex_lock(&scanners->lock);
	process = scanners_find_who(scanners, open->who);
	if (process) {
		reader = reader_of(process);
		scanner_note_opened(&process->scanner, size_bytes);
		/* It was seen to be one while this was being opened. */
		is_late = process->scanner.is_scanner && !open->is_scan;
		if (is_suspect(process) && !open->is_scan && !is_late) {
			inode_ref(scanners->config.table, inode);
			old = scanners_keep(process, inode, before);
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

static struct scanners_process *find_reader(struct scanners *scanners,
					    uint16_t reader)
{
	struct scanners_process *process =
		scanners->processes[reader % SCANNERS_PROCESSES];

	return reader && process && process->who &&
			       reader_of(process) == reader ?
		       process :
		       NULL;
}

void scanners_close(struct scanners *scanners, uint16_t reader)
{
	struct scanners_process *process;

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
	struct scanners_process *process;

	if (scanners->config.is_off)
		return;
	pthread_mutex_lock(&scanners->lock);
	process = scanners_find_thread(scanners, caller->tid, now_ns());
	if (process)
		scanner_note_miss(&process->scanner);
	pthread_mutex_unlock(&scanners->lock);
}

static bool has_listed(const struct scanners *scanners,
		       const struct scanners_process *process, uint64_t dir)
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
	struct scanners_process *process;
	uint64_t above;

	if (scanners->config.is_off)
		return;
	above = key_above(scanners, dir);
	pthread_mutex_lock(&scanners->lock);
	process = scanners_find_thread(scanners, caller->tid, now_ns());
	if (process && process->scanner.sums.dirs &&
	    (has_listed(scanners, process, key_of(dir)) ||
	     has_listed(scanners, process, above)))
		scanner_note_write(&process->scanner);
	pthread_mutex_unlock(&scanners->lock);
}

bool scanners_open_dir(struct scanners *scanners,
		       const struct scanners_caller *caller, struct inode *dir)
{
	struct scanners_verdict verdict = { 0 };
	struct scanners_process *process;
	bool is_below, is_known;
	uint64_t above, now;

	if (scanners->config.is_off)
		return true;
	above = key_above(scanners, dir);
	now = now_ns();
	process = scanners_take(scanners, caller->tid, now);
	if (!process)
		return true;
	is_below = above && has_listed(scanners, process, above);
	scanner_note_directory(&process->scanner, is_below, now);
	is_known = listings_open(scanners->listings, key_of(dir),
				 &(struct listings_reader){
					 .who = process->who,
					 .time_ns = boot_ns(),
				 });
	scanners_judge(scanners, process, now, &verdict);
	pthread_mutex_unlock(&scanners->lock);
	scanners_carry_out(scanners, &verdict);
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

/* -- now and then -- */

/* Under the lock; what is to be told is for without. */
static void expire_one(struct scanners *scanners, int place, uint64_t now,
		       struct scanners_verdict *verdict)
{
	struct scanners_process *process = scanners->processes[place];

	if (!process || !process->who)
		return;
	if (process->scanner.is_scanner)
		scanners_judge(scanners, process, now, verdict);
	if (scanners_quiet_ns(process, now) > SCANNER_QUIET_NS)
		scanners_throw_away(scanners, steal_ptr(&process->kept));
	if (scanners_quiet_ns(process, now) > FORGOTTEN_NS) {
		scanners_clear(scanners, process);
		free(process);
		scanners->processes[place] = NULL;
	}
}

void scanners_expire(struct scanners *scanners)
{
	uint64_t now = now_ns();

	for (int i = 0; i < SCANNERS_PROCESSES; i++) {
		struct scanners_verdict verdict = { 0 };

		pthread_mutex_lock(&scanners->lock);
		expire_one(scanners, i, now, &verdict);
		pthread_mutex_unlock(&scanners->lock);
		scanners_carry_out(scanners, &verdict);
	}
	scanners_empty_trash(scanners);
}

struct scanners *scanners_free(struct scanners *scanners)
{
	if (!scanners)
		return NULL;
	for (int i = 0; i < SCANNERS_PROCESSES; i++) {
		if (scanners->processes[i])
			scanners_clear(scanners, scanners->processes[i]);
		free(scanners->processes[i]);
	}
	scanners_empty_trash(scanners);
	listings_free(scanners->listings);
	pthread_mutex_destroy(&scanners->lock);
	free(scanners);
	return NULL;
}
