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
/* So soon it is the same open of a directory that is told of. */
#define TOLD_AGAIN_NS UINT64_C(1000000000)
/* The open is one of execve(2) (FMODE_EXEC; seen on Linux 6.18). */
#define OPEN_EXEC 0x20

static void make_locks(struct scanners *scanners)
{
	for (int i = 0; i < SCANNERS_THREADS; i++)
		pthread_mutex_init(&scanners->threads[i].lock, NULL);
	for (int i = 0; i < SCANNERS_PROCESSES; i++)
		pthread_mutex_init(&scanners->places[i].lock, NULL);
	pthread_mutex_init(&scanners->table_lock, NULL);
	pthread_mutex_init(&scanners->listings_lock, NULL);
	pthread_mutex_init(&scanners->trash_lock, NULL);
}

static void destroy_locks(struct scanners *scanners)
{
	for (int i = 0; i < SCANNERS_THREADS; i++)
		pthread_mutex_destroy(&scanners->threads[i].lock);
	for (int i = 0; i < SCANNERS_PROCESSES; i++)
		pthread_mutex_destroy(&scanners->places[i].lock);
	pthread_mutex_destroy(&scanners->table_lock);
	pthread_mutex_destroy(&scanners->listings_lock);
	pthread_mutex_destroy(&scanners->trash_lock);
}

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
	make_locks(scanners);
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
		     struct scanners_process *process, const char *named,
		     uid_t uid)
{
	struct scanlist_reader reader = {
		.command = process->id.command,
		.cgroup = process->cgroup,
		.uid = uid,
	};

	if (!named)
		return false;
	if (process->list != named || process->uid != uid) {
		process->list = named;
		process->uid = uid;
		process->is_named = scanlist_names(
			named, cgroup_tree_mountpoint(scanners->config.tree),
			&reader);
	}
	return process->is_named;
}

static bool is_together(const struct listings_reader *a,
			const struct identity *b)
{
	uint64_t apart = a->start_ns > b->start_ns ? a->start_ns - b->start_ns :
						     b->start_ns - a->start_ns;

	return a->group == b->group && apart <= TOGETHER_NS;
}

/* What a handle has room for: never 0, and of the same place. */
static uint16_t reader_of(const struct scanners_process *process)
{
	uint16_t reader = (uint16_t)process->who;

	return reader ? reader : SCANNERS_PROCESSES;
}

/* Where a file is; asked without locks. */
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

		if (reader->who == process->who)
			return SCANNER_ITSELF;
		if (scanners_is_helper(scanners, reader, &process->id) &&
		    (reader->time_ns <= process->id.start_ns + START_NS ||
		     is_together(reader, &process->id)))
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
		pthread_mutex_lock(&scanners->listings_lock);
		found = listings_find(scanners->listings, place->dir,
				      listings_name(place->name),
				      scanner_position(&process->scanner,
						       place->dir));
		pthread_mutex_unlock(&scanners->listings_lock);
		open.lister = lister_of(scanners, process, &found);
		open.position = found.position;
		open.ino = found.ino;
		open.listed = found.count;
	}
	scanner_note_open(&process->scanner, &open);
}

/* Whether it is a scanner now; one who isn't named is none if that is off. */
static bool judge_open(struct scanners *scanners,
		       struct scanners_process *process,
		       const struct scanners_open *open,
		       const struct place *place, uint64_t now,
		       struct scanners_verdict *verdict)
{
	note_open(scanners, process, open->inode, place, now);
	if (scanners->config.is_off)
		return false;
	scanners_judge(scanners, process, now, verdict);
	return process->scanner.is_scanner;
}

/* Ends the lock that is held. */
static void begin_read(struct scanners *scanners,
		       struct scanners_process *process,
		       struct scanners_open *open, uint64_t now)
{
	struct scanners_verdict verdict = { 0 };
	struct place place = { 0 };

	open->who = process->who;
	open->is_scan =
		is_named(scanners, process, open->named, open->caller.uid);
	if (may_follow(process) && !scanners->config.is_off) {
		scanners_unlock(scanners, process);
		find_place_of(scanners, open->inode, &place);
		process = scanners_lock_who(scanners, open->who);
		if (!process)
			return;
	}
	open->is_scan |=
		judge_open(scanners, process, open, &place, now, &verdict);
	scanners_unlock(scanners, process);
	scanners_carry_out(scanners, &verdict);
}

bool scanners_begin_open(struct scanners *scanners, struct scanners_open *open)
{
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
	if (is_read_only(open->flags)) {
		begin_read(scanners, process, open, now);
		return open->is_scan;
	}
	scanners_unlock(scanners, process);
	/* He is about to be called otherwise. */
	if (open->flags & OPEN_EXEC)
		scanners_forget_thread(scanners, open->caller.tid);
	return false;
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
	process = scanners_lock_who(scanners, open->who);
	if (process) {
		reader = reader_of(process);
		scanner_note_opened(&process->scanner, size_bytes);
		/* It was seen to be one while this was being opened. */
		is_late = process->scanner.is_scanner && !open->is_scan;
		if (is_suspect(process) && !open->is_scan && !is_late) {
			inode_ref(scanners->config.table, inode);
			old = scanners_keep(scanners, process, inode, before);
		}
		scanners_unlock(scanners, process);
	}
	if (old)
		inode_forget(scanners->config.table, old, 1);
	if (is_late && scanners->config.spare)
		scanners->config.spare(scanners->config.userdata, inode,
				       before);
	return reader;
}

void scanners_close(struct scanners *scanners, uint16_t reader)
{
	struct scanners_place *place = scanners_place_of(scanners, reader);

	if (!reader)
		return;
	pthread_mutex_lock(&place->lock);
	if (place->process && reader_of(place->process) == reader)
		scanner_note_close(&place->process->scanner);
	pthread_mutex_unlock(&place->lock);
}

/* -- what else it does -- */

bool scanners_note_read(struct scanners *scanners,
			const struct scanners_caller *caller, const char *named,
			uint64_t bytes)
{
	struct scanners_process *process;
	uint64_t now = now_ns();
	bool is_scanner;

	if (scanners->config.is_off && !named)
		return false;
	process = scanners_take(scanners, caller->tid, now);
	if (!process)
		return false;
	scanner_note_read(&process->scanner, bytes, now);
	is_scanner = process->scanner.is_scanner;
	is_scanner |= is_named(scanners, process, named, caller->uid);
	scanners_unlock(scanners, process);
	return is_scanner;
}

void scanners_note_miss(struct scanners *scanners,
			const struct scanners_caller *caller)
{
	struct scanners_process *process;

	if (scanners->config.is_off)
		return;
	process = scanners_lock_thread(scanners, caller->tid, now_ns());
	if (!process)
		return;
	scanner_note_miss(&process->scanner);
	scanners_unlock(scanners, process);
}

static uint64_t listed_ns(struct scanners *scanners,
			  const struct scanners_process *process, uint64_t dir)
{
	uint64_t ns;

	pthread_mutex_lock(&scanners->listings_lock);
	ns = listings_opened_ns(scanners->listings, dir, process->who);
	pthread_mutex_unlock(&scanners->listings_lock);
	return ns;
}

static bool has_listed(struct scanners *scanners,
		       const struct scanners_process *process, uint64_t dir)
{
	return listed_ns(scanners, process, dir);
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
	process = scanners_lock_thread(scanners, caller->tid, now_ns());
	if (!process)
		return;
	if (process->scanner.sums.dirs &&
	    (has_listed(scanners, process, key_of(dir)) ||
	     has_listed(scanners, process, above)))
		scanner_note_write(&process->scanner);
	scanners_unlock(scanners, process);
}

static bool open_listing(struct scanners *scanners,
			 const struct scanners_process *process, uint64_t dir)
{
	struct listings_reader reader = {
		.who = process->who,
		.pid = process->id.pid,
		.group = process->id.group,
		.start_ns = process->id.start_ns,
		.time_ns = boot_ns(),
	};
	bool is_known;

	pthread_mutex_lock(&scanners->listings_lock);
	is_known = listings_open(scanners->listings, dir, &reader);
	pthread_mutex_unlock(&scanners->listings_lock);
	return is_known;
}

/* @once: what was told a moment ago isn't told again. */
static bool open_dir(struct scanners *scanners,
		     const struct scanners_caller *caller, struct inode *dir,
		     bool once)
{
	struct scanners_verdict verdict = { 0 };
	struct scanners_process *process;
	uint64_t above, now, key = key_of(dir);
	bool is_below, is_known;

	if (scanners->config.is_off)
		return true;
	above = key_above(scanners, dir);
	now = now_ns();
	process = scanners_take(scanners, caller->tid, now);
	if (!process)
		return true;
	if (once &&
	    boot_ns() < listed_ns(scanners, process, key) + TOLD_AGAIN_NS) {
		scanners_unlock(scanners, process);
		return true;
	}
	is_below = above && has_listed(scanners, process, above);
	scanner_note_directory(&process->scanner, is_below, now);
	is_known = open_listing(scanners, process, key);
	scanners_judge(scanners, process, now, &verdict);
	scanners_unlock(scanners, process);
	scanners_carry_out(scanners, &verdict);
	return is_known;
}

bool scanners_open_dir(struct scanners *scanners,
		       const struct scanners_caller *caller, struct inode *dir)
{
	return open_dir(scanners, caller, dir, false);
}

void scanners_note_dir(struct scanners *scanners,
		       const struct scanners_caller *caller, struct inode *dir)
{
	open_dir(scanners, caller, dir, true);
}

void scanners_list(struct scanners *scanners, const struct inode *dir,
		   uint32_t first, const struct listings_file *files,
		   uint32_t count, bool is_end)
{
	if (scanners->config.is_off)
		return;
	pthread_mutex_lock(&scanners->listings_lock);
	listings_add(scanners->listings, key_of(dir), first, files, count,
		     is_end);
	pthread_mutex_unlock(&scanners->listings_lock);
}

/* -- now and then -- */

/* Under both locks; what is to be told is for without. */
static void expire_one(struct scanners *scanners, struct scanners_place *place,
		       uint64_t now, struct scanners_verdict *verdict)
{
	struct scanners_process *process = place->process;
	uint64_t quiet_ns = scanners_quiet_ns(place, now);

	if (process->scanner.is_scanner)
		scanners_judge(scanners, process, now, verdict);
	if (quiet_ns > SCANNER_QUIET_NS)
		scanners_throw_away(scanners,
				    scanners_take_kept(scanners, process));
	if (quiet_ns > FORGOTTEN_NS) {
		scanners_clear(scanners, process);
		free(process);
		place->process = NULL;
	}
}

void scanners_expire(struct scanners *scanners)
{
	uint64_t now = now_ns();

	for (int i = 0; i < SCANNERS_PROCESSES; i++) {
		struct scanners_place *place = &scanners->places[i];
		struct scanners_verdict verdict = { 0 };

		pthread_mutex_lock(&scanners->table_lock);
		pthread_mutex_lock(&place->lock);
		if (place->process)
			expire_one(scanners, place, now, &verdict);
		pthread_mutex_unlock(&place->lock);
		pthread_mutex_unlock(&scanners->table_lock);
		scanners_carry_out(scanners, &verdict);
	}
	scanners_empty_trash(scanners);
}

struct scanners *scanners_free(struct scanners *scanners)
{
	if (!scanners)
		return NULL;
	for (int i = 0; i < SCANNERS_PROCESSES; i++) {
		if (scanners->places[i].process)
			scanners_clear(scanners, scanners->places[i].process);
		free(scanners->places[i].process);
	}
	scanners_empty_trash(scanners);
	listings_free(scanners->listings);
	destroy_locks(scanners);
	free(scanners);
	return NULL;
}
