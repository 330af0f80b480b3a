// SPDX-License-Identifier: GPL-2.0-or-later
/* Whether a process goes once through many files; see scanner.h. */
#include "scanner.h"

#include <string.h>

#define MANY_FILES 16
#define FLAT_FILES 48 /* of one directory */
#define LARGE_FILES 4
#define LARGE_BYTES (UINT64_C(16) << 20)
#define MANY_DIRS 16
#define WINDOW 64 /* files; then what they say is halved */
#define NEAR 6 /* names of a listing */
#define NEAR_LISTED 24 /* in a short one all are near */
#define MANY_STEPS 8
#define MANY_LEFT 8 /* files in directories that are done with */
#define HELD_FILES 8
#define SLOW_NS UINT64_C(2000000000) /* for a file, and for so much: */
#define SLOW_BYTES (UINT64_C(2) << 20)

/* In percent. Who is one stays it by less than it takes to become one. */
struct bounds {
	uint32_t listed; /* at least, of files */
	uint32_t ordered; /* at least, of steps */
	uint32_t opened; /* at least, of the files in directories */
	uint32_t again; /* at most, of opens */
	uint32_t searched; /* at most, of files */
	uint32_t wrote; /* at most, of files */
};

static const struct bounds to_become = { 80, 85, 50, 10, 25, 12 };
static const struct bounds to_stay = { 50, 65, 30, 25, 50, 25 };
/* Who is helped shows less of himself: it takes more. */
static const struct bounds to_become_helped = { 90, 95, 75, 5, 5, 5 };

static bool is_part(uint64_t part, uint64_t whole, uint32_t percent)
{
	return part * 100 >= whole * percent;
}

/*
 * Requests are told by several threads, so that one may come before another
 * that has an earlier time.
 */
static uint64_t elapsed_ns(uint64_t since_ns, uint64_t now_ns)
{
	return now_ns > since_ns ? now_ns - since_ns : 0;
}

/* -- what it does -- */

/* Where it is stays known: who leaves out files there is seen to, at once. */
static void begin(struct scanner *scanner, uint64_t now_ns)
{
	scanner->sums = (struct scanner_sums){ 0 };
	scanner->since_ns = now_ns;
	scanner->total_files = 0;
	scanner->total_bytes = 0;
}

static bool is_quiet(const struct scanner *scanner, uint64_t now_ns)
{
	return !scanner->since_ns ||
	       elapsed_ns(scanner->last_ns, now_ns) > SCANNER_QUIET_NS;
}

/* What was before a long pause says nothing any more. */
static void note_time(struct scanner *scanner, uint64_t now_ns)
{
	if (is_quiet(scanner, now_ns)) {
		begin(scanner, now_ns);
		memset(scanner->dirs, 0, sizeof(scanner->dirs));
	}
	if (now_ns > scanner->last_ns)
		scanner->last_ns = now_ns;
}

static void halve(struct scanner *scanner, uint64_t now_ns)
{
	struct scanner_sums *sums = &scanner->sums;

	sums->bytes /= 2;
	sums->files /= 2;
	sums->own /= 2;
	sums->helped /= 2;
	sums->searched /= 2;
	sums->again /= 2;
	sums->steps /= 2;
	sums->listed_steps /= 2;
	for (int i = 0; i < SCANNER_ORDERS; i++)
		sums->ordered[i] /= 2;
	sums->left_opened /= 2;
	sums->left_listed /= 2;
	sums->wrote /= 2;
	/* Who has listed a directory goes on to have listed one. */
	sums->dirs = (sums->dirs + 1) / 2;
	sums->walked /= 2;
	sums->entered /= 2;
	scanner->since_ns += elapsed_ns(scanner->since_ns, now_ns) / 2;
}

void scanner_note_directory(struct scanner *scanner, bool is_below,
			    uint64_t now_ns)
{
	note_time(scanner, now_ns);
	scanner->has_listed = true;
	scanner->sums.dirs++;
	scanner->sums.walked += is_below;
	if (!scanner->sums.files && scanner->sums.dirs >= WINDOW)
		halve(scanner, now_ns);
}

void scanner_note_miss(struct scanner *scanner)
{
	scanner->has_missed = true;
}

void scanner_note_write(struct scanner *scanner)
{
	scanner->sums.wrote++;
}

void scanner_note_opened(struct scanner *scanner, uint64_t bytes)
{
	scanner->open_now++;
	scanner->sums.bytes += bytes;
	scanner->total_bytes += bytes;
}

void scanner_note_read(struct scanner *scanner, uint64_t bytes, uint64_t now_ns)
{
	scanner->sums.bytes += bytes;
	scanner->total_bytes += bytes;
	/* Who is at a large file isn't quiet. */
	if (scanner->is_scanner && now_ns > scanner->last_ns)
		scanner->last_ns = now_ns;
}

void scanner_note_close(struct scanner *scanner)
{
	if (scanner->open_now)
		scanner->open_now--;
}

/* Whether it has opened the file before; it has from now on. */
static bool see(struct scanner *scanner, uint64_t file)
{
	uint64_t hash = file * UINT64_C(0x9e3779b97f4a7c15);
	uint16_t *seen = &scanner->seen[(hash >> 32) % SCANNER_SEEN];
	uint16_t rest = (uint16_t)(hash >> 48) | 1;
	bool was_seen = *seen == rest;

	*seen = rest;
	return was_seen;
}

static struct scanner_dir *find_dir(const struct scanner *scanner, uint64_t dir)
{
	for (int i = 0; i < SCANNER_DIRS; i++)
		if (scanner->dirs[i].dir == dir)
			return (struct scanner_dir *)&scanner->dirs[i];
	return NULL;
}

uint32_t scanner_position(const struct scanner *scanner, uint64_t dir)
{
	const struct scanner_dir *at = find_dir(scanner, dir);

	return at ? at->position : 0;
}

/* It is done with a directory: how many of its files has it opened? */
static void leave(struct scanner_sums *sums, const struct scanner_dir *dir)
{
	if (!dir->listed)
		return;
	sums->left_listed += dir->listed;
	sums->left_opened += dir->opened < dir->listed ? dir->opened :
							 dir->listed;
}

/* Of those that it is in, the one used longest ago makes room. */
static struct scanner_dir *enter(struct scanner *scanner,
				 const struct scanner_open *open)
{
	struct scanner_dir *oldest = &scanner->dirs[0];

	for (int i = 1; i < SCANNER_DIRS; i++)
		if (scanner->dirs[i].used < oldest->used)
			oldest = &scanner->dirs[i];
	leave(&scanner->sums, oldest);
	scanner->sums.entered++;
	*oldest = (struct scanner_dir){ .dir = open->dir };
	return oldest;
}

static uint32_t distance(uint32_t a, uint32_t b)
{
	return a < b ? b - a : a - b;
}

/* From one file of a directory to the next. */
static void note_step(struct scanner_sums *sums, const struct scanner_dir *dir,
		      const struct scanner_open *open)
{
	int by_name = strncmp(open->name, dir->name, SCANNER_NAME_BYTES - 1);
	uint32_t *ordered = sums->ordered;

	sums->steps++;
	ordered[SCANNER_BY_NAME] += by_name > 0;
	ordered[SCANNER_BY_NAME_BACK] += by_name < 0;
	if (!open->position || !dir->position)
		return;
	ordered[SCANNER_BY_INODE] += open->ino > dir->ino;
	ordered[SCANNER_BY_INODE_BACK] += open->ino < dir->ino;
	sums->listed_steps++;
	ordered[SCANNER_LISTED] += open->position > dir->position;
	ordered[SCANNER_LISTED_BACK] += open->position < dir->position;
	ordered[SCANNER_LISTED_NEAR] +=
		open->listed >= NEAR_LISTED &&
		distance(open->position, dir->position) <= NEAR;
}

static void note_place(struct scanner *scanner, const struct scanner_open *open)
{
	struct scanner_dir *dir = find_dir(scanner, open->dir);

	if (dir)
		note_step(&scanner->sums, dir, open);
	else
		dir = enter(scanner, open);
	dir->used = scanner->opens;
	dir->opened++;
	dir->listed = open->listed;
	dir->position = open->position;
	dir->ino = open->ino;
	strncpy(dir->name, open->name, SCANNER_NAME_BYTES - 1);
}

void scanner_note_open(struct scanner *scanner, const struct scanner_open *open)
{
	struct scanner_sums *sums = &scanner->sums;
	bool is_searched = scanner->has_missed && !scanner->has_listed;

	note_time(scanner, open->now_ns);
	scanner->has_missed = false;
	scanner->has_listed = false;
	/* Some look first whether they can open a file. */
	if (scanner->opens && open->file == scanner->last_file)
		return;
	scanner->opens++;
	scanner->last_file = open->file;
	if (see(scanner, open->file)) {
		sums->again++;
		return;
	}
	sums->files++;
	scanner->total_files++;
	sums->own += open->lister == SCANNER_ITSELF;
	sums->helped += open->lister == SCANNER_HELPER;
	sums->searched += is_searched;
	if (open->dir)
		note_place(scanner, open);
	if (sums->files >= WINDOW)
		halve(scanner, open->now_ns);
}

/* -- what that says -- */

enum scanner_order scanner_best_order(const struct scanner *scanner,
				      uint32_t *ordered, uint32_t *steps)
{
	const struct scanner_sums *sums = &scanner->sums;
	enum scanner_order best = SCANNER_BY_NAME;

	for (int i = 0; i < SCANNER_ORDERS; i++)
		if (sums->ordered[i] > sums->ordered[best])
			best = i;
	*ordered = sums->ordered[best];
	*steps = best == SCANNER_BY_NAME || best == SCANNER_BY_NAME_BACK ?
			 sums->steps :
			 sums->listed_steps;
	return best;
}

/* Of directories that it is done with, and of those that it has all of. */
static void count_left(const struct scanner *scanner, struct scanner_sums *left)
{
	*left = (struct scanner_sums){
		.left_opened = scanner->sums.left_opened,
		.left_listed = scanner->sums.left_listed,
	};
	for (int i = 0; i < SCANNER_DIRS; i++) {
		const struct scanner_dir *dir = &scanner->dirs[i];

		if (dir->dir && dir->opened >= dir->listed)
			leave(left, dir);
	}
}

/* Does it take files in an order, or all that there are of small places? */
static bool is_ordered(const struct scanner *scanner,
		       const struct bounds *bounds,
		       const struct scanner_sums *left, uint32_t many)
{
	uint32_t ordered, steps;

	scanner_best_order(scanner, &ordered, &steps);
	if (steps && !is_part(ordered, steps, bounds->ordered))
		return steps < MANY_STEPS && left->left_listed >= many &&
		       is_part(left->left_opened, left->left_listed, 75);
	return steps + left->left_opened >= many;
}

static bool is_slow(const struct scanner *scanner, uint64_t now_ns)
{
	const struct scanner_sums *sums = &scanner->sums;

	return elapsed_ns(scanner->since_ns, now_ns) >
	       (sums->files + sums->bytes / SLOW_BYTES) * SLOW_NS;
}

/* What speaks against it, if anything does; else SCANNER_READS. */
static enum scanner_why object(const struct scanner *scanner,
			       const struct bounds *bounds, uint32_t many,
			       uint64_t now_ns)
{
	const struct scanner_sums *sums = &scanner->sums;
	struct scanner_sums left;

	if (!is_part(sums->own + sums->helped, sums->files, bounds->listed))
		return SCANNER_UNLISTED;
	if (sums->again * 100 > (sums->files + sums->again) * bounds->again)
		return SCANNER_AGAIN;
	if (sums->searched * 100 > sums->files * bounds->searched)
		return SCANNER_SEARCHES;
	if (sums->wrote * 100 > sums->files * bounds->wrote)
		return SCANNER_WRITES;
	count_left(scanner, &left);
	if (left.left_listed >= 2 * MANY_LEFT &&
	    !is_part(left.left_opened, left.left_listed, bounds->opened))
		return SCANNER_SKIPS;
	if (!is_ordered(scanner, bounds, &left, many))
		return SCANNER_UNORDERED;
	return is_slow(scanner, now_ns) ? SCANNER_SLOW : SCANNER_READS;
}

static bool is_held(const struct scanner *scanner)
{
	uint32_t most = scanner->sums.files / 4;

	return scanner->open_now > (most > HELD_FILES ? most : HELD_FILES);
}

static bool is_helped(const struct scanner *scanner)
{
	return scanner->sums.helped > scanner->sums.own;
}

/* All was in one directory, and it has looked for none below. */
static bool is_flat(const struct scanner_sums *sums)
{
	return sums->entered <= 1 && !sums->walked;
}

/* Whether there is enough of it; of large files, few are. */
static bool is_much(const struct scanner *scanner,
		    const struct scanner_hints *hints)
{
	const struct scanner_sums *sums = &scanner->sums;
	uint32_t part = hints->is_idle ? 2 : 1;

	if (is_flat(sums) && scanner->total_files < FLAT_FILES / part)
		return false;
	return sums->files >= MANY_FILES / part ||
	       (sums->files >= LARGE_FILES && sums->bytes >= LARGE_BYTES);
}

/* Directories alone: its reads, if there are any, are yet to come. */
static enum scanner_why judge_walk(const struct scanner *scanner,
				   const struct scanner_hints *hints)
{
	const struct scanner_sums *sums = &scanner->sums;
	uint32_t many = hints->is_idle ? MANY_DIRS / 2 : MANY_DIRS;

	if (sums->dirs < many)
		return SCANNER_FEW_FILES;
	if (!is_part(sums->walked, sums->dirs, 75))
		return SCANNER_UNORDERED;
	return SCANNER_WALKS;
}

static enum scanner_why judge_new(const struct scanner *scanner,
				  const struct scanner_hints *hints,
				  uint64_t now_ns)
{
	const struct scanner_sums *sums = &scanner->sums;
	bool helped = is_helped(scanner);
	enum scanner_why why;
	uint32_t many;

	if (!sums->files && !sums->again && !sums->wrote)
		return judge_walk(scanner, hints);
	if (!is_much(scanner, hints))
		return SCANNER_FEW_FILES;
	many = sums->files < MANY_STEPS ? sums->files / 2 : MANY_STEPS / 2;
	why = object(scanner, helped ? &to_become_helped : &to_become, many,
		     now_ns);
	if (why != SCANNER_READS)
		return why;
	if (is_held(scanner))
		return SCANNER_HOLDS;
	return helped ? SCANNER_READS_HELPED : SCANNER_READS;
}

/* What it has been seen to be holds until enough speaks against it. */
static enum scanner_why judge_old(const struct scanner *scanner,
				  uint64_t now_ns)
{
	const struct scanner_sums *sums = &scanner->sums;
	enum scanner_why why;

	if (sums->files + sums->again < MANY_STEPS)
		return scanner->why;
	why = object(scanner, &to_stay, 0, now_ns);
	if (why == SCANNER_SLOW || why == SCANNER_READS)
		return is_helped(scanner) ? SCANNER_READS_HELPED :
					    SCANNER_READS;
	return why;
}

bool scanner_judge(struct scanner *scanner, const struct scanner_hints *hints,
		   uint64_t now_ns)
{
	bool was = scanner->is_scanner;

	if (is_quiet(scanner, now_ns))
		scanner->why = SCANNER_QUIET;
	else if (was)
		scanner->why = judge_old(scanner, now_ns);
	else
		scanner->why = judge_new(scanner, hints, now_ns);
	scanner->is_scanner = scanner->why >= SCANNER_WALKS;
	/* What it has done shall not be held against it, nor for it, twice. */
	if (was && !scanner->is_scanner)
		begin(scanner, now_ns);
	return scanner->is_scanner;
}

/* -- reports -- */

const char *scanner_why(enum scanner_why why)
{
	static const char *const clauses[] = {
		[SCANNER_FEW_FILES] = "it has opened few files",
		[SCANNER_UNLISTED] =
			"it opens files in directories that it hasn't listed",
		[SCANNER_AGAIN] = "it opens files again",
		[SCANNER_SEARCHES] = "it looks for names that aren't there",
		[SCANNER_WRITES] = "it makes files beside those that it reads",
		[SCANNER_HOLDS] = "it has many files open at a time",
		[SCANNER_SKIPS] = "it leaves out many files of directories",
		[SCANNER_UNORDERED] = "it opens files in no order",
		[SCANNER_SLOW] = "it takes its time",
		[SCANNER_QUIET] = "it has been quiet",
		[SCANNER_WALKS] = "it walks through directories",
		[SCANNER_READS] = "it reads through what it has listed",
		[SCANNER_READS_HELPED] =
			"it reads through what another has listed for it",
	};

	return clauses[why];
}

const char *scanner_order_name(enum scanner_order order)
{
	static const char *const names[] = {
		[SCANNER_LISTED] = "as listed",
		[SCANNER_LISTED_BACK] = "as listed, from the end",
		[SCANNER_LISTED_NEAR] = "nearly as listed",
		[SCANNER_BY_NAME] = "by name",
		[SCANNER_BY_NAME_BACK] = "by name, from the end",
		[SCANNER_BY_INODE] = "by inode",
		[SCANNER_BY_INODE_BACK] = "by inode, from the end",
	};

	return names[order];
}
