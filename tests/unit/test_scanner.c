// SPDX-License-Identifier: GPL-2.0-or-later
/* Who goes once through many files: stories of processes, file by file. */
#include "scanner.h"

#include "unit.h"

#include <stdio.h>

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define KIB UINT64_C(1024)

/* A process, as it is told of here: it takes 5 ms for a file. */
struct story {
	struct scanner scanner;
	struct scanner_hints hints;
	uint64_t now_ns;
	uint64_t file_bytes;
	enum scanner_lister lister;
	uint32_t listed; /* files in each directory */
	bool is_open; /* files stay open */
};

static struct story begin(void)
{
	return (struct story){
		.now_ns = SECOND,
		.file_bytes = 4 * KIB,
		.lister = SCANNER_ITSELF,
		.listed = 100,
	};
}

/* It opens the file of a number in a directory: true, it is a scanner. */
static bool take(struct story *story, uint64_t dir, uint32_t n)
{
	char name[16];
	struct scanner_open open = {
		.now_ns = story->now_ns += 5 * MS,
		.file = dir * 1000000 + n,
		.dir = dir,
		.name = name,
		.ino = (n * UINT64_C(7919)) % 1000003,
		.lister = story->lister,
		.position = n + 1,
		.listed = story->listed,
	};
	bool is_scanner;

	snprintf(name, sizeof(name), "%08x", n * 2654435761u);
	scanner_note_open(&story->scanner, &open);
	is_scanner =
		scanner_judge(&story->scanner, &story->hints, story->now_ns);
	scanner_note_opened(&story->scanner, story->file_bytes);
	if (!story->is_open)
		scanner_note_close(&story->scanner);
	return is_scanner;
}

/* The number of files that it takes, of one directory in its order. */
static uint32_t caught_after(struct story *story, uint32_t max)
{
	for (uint32_t n = 0; n < max; n++)
		if (take(story, 1, n))
			return n + 1;
	return 0;
}

static void test_a_grep(void **state)
{
	struct story grep = begin();

	(void)state;
	scanner_note_directory(&grep.scanner, false, grep.now_ns);
	scanner_note_directory(&grep.scanner, true, grep.now_ns);
	assert_int_equal(caught_after(&grep, 64), 16);
	assert_int_equal(grep.scanner.why, SCANNER_READS);
	assert_int_equal(grep.scanner.total_files, 16);
}

/*
 * Who loads all that is in a directory reads as a scanner does: a model's 40
 * parts of any size. It takes more of it, or another directory.
 */
static void test_one_directory(void **state)
{
	struct story loader = begin(), grep = begin(), tar = begin();

	(void)state;
	loader.file_bytes = 4096 * MIB;
	loader.listed = 40;
	assert_int_equal(caught_after(&loader, 40), 0);
	assert_int_equal(loader.scanner.why, SCANNER_FEW_FILES);
	assert_int_equal(caught_after(&grep, 64), 48);
	tar.listed = 10;
	assert_int_equal(caught_after(&tar, 10), 0);
	for (uint32_t n = 0; n < 5; n++)
		assert_false(take(&tar, 2, n));
	assert_true(take(&tar, 2, 5));
}

/* One listing is known of for as long as files are opened, wherever they are. */
static void test_one_listing(void **state)
{
	struct story story = begin();

	(void)state;
	scanner_note_directory(&story.scanner, false, story.now_ns);
	story.lister = SCANNER_NOBODY;
	for (uint32_t n = 0; n < 300; n++)
		assert_false(take(&story, 2, n));
	assert_int_equal(story.scanner.sums.dirs, 1);
	story.lister = SCANNER_ITSELF;
	assert_in_range(caught_after(&story, 100), 48, 80);
}

/*
 * Of two threads, the one whose request came first may be heard last: what it
 * says is a moment old then, and no pause.
 */
static void test_threads_that_overtake(void **state)
{
	struct story rg = begin();
	uint32_t n = 0;

	(void)state;
	scanner_note_directory(&rg.scanner, true, rg.now_ns);
	while (n < 64 && !take(&rg, 1, n++))
		rg.now_ns -= n % 2 ? 6 * MS : 0;
	assert_in_range(n, 16, 20);
	assert_true(scanner_judge(&rg.scanner, &rg.hints, rg.now_ns - SECOND));
	assert_false(scanner_judge(&rg.scanner, &rg.hints,
				   rg.now_ns + SCANNER_QUIET_NS + SECOND));
}

/* Four files of 8 MiB say as much as sixteen small ones, to who walks. */
static void test_a_backup_of_large_files(void **state)
{
	struct story backup = begin();

	(void)state;
	backup.file_bytes = 8 * MIB;
	scanner_note_directory(&backup.scanner, true, backup.now_ns);
	assert_int_equal(caught_after(&backup, 64), 4);
}

/* At idle priority it takes half as many; but that alone says nothing. */
static void test_at_idle_priority(void **state)
{
	struct story updatedb = begin(), build = begin();

	(void)state;
	updatedb.hints.is_idle = build.hints.is_idle = true;
	assert_int_equal(caught_after(&updatedb, 64), 24);
	updatedb = begin();
	updatedb.hints.is_idle = true;
	scanner_note_directory(&updatedb.scanner, true, updatedb.now_ns);
	assert_int_equal(caught_after(&updatedb, 64), 8);
	build.lister = SCANNER_NOBODY;
	assert_int_equal(caught_after(&build, 64), 0);
	assert_int_equal(build.scanner.why, SCANNER_UNLISTED);
}

/* A directory with one file each, as of a spool: all of it is taken. */
static void test_small_directories(void **state)
{
	struct story tar = begin();
	uint64_t dir = 1;

	(void)state;
	tar.listed = 1;
	while (dir < 64 && !take(&tar, dir, 3))
		dir++;
	assert_in_range(dir, 16, 32);
}

/* md5sum gets its names from find, which has listed them, and opens none. */
static void test_a_helper(void **state)
{
	struct story md5sum = begin(), cc1 = begin();

	(void)state;
	md5sum.lister = cc1.lister = SCANNER_HELPER;
	assert_int_equal(caught_after(&md5sum, 64), 48);
	assert_int_equal(md5sum.scanner.why, SCANNER_READS_HELPED);
	/* A compiler is said nothing by make: it looks for what it includes. */
	for (uint32_t n = 0; n < 64; n++) {
		if (n % 8 == 0)
			scanner_note_miss(&cc1.scanner);
		assert_false(take(&cc1, 1, n));
	}
	assert_int_equal(cc1.scanner.why, SCANNER_SEARCHES);
}

/* Who takes four of sixteen in each directory knows what he wants. */
static void test_skipping(void **state)
{
	struct story picky = begin();
	uint32_t n, caught = 0;

	(void)state;
	picky.listed = 16;
	for (n = 0; n < 200; n++)
		caught += take(&picky, 1 + n / 4, n % 4);
	assert_false(picky.scanner.is_scanner);
	assert_int_equal(picky.scanner.why, SCANNER_SKIPS);
	assert_true(caught <= 24);
}

/* From the end, by two threads that overtake each other. */
static void test_threads(void **state)
{
	struct story rg = begin();
	uint32_t n = 99, taken = 0;
	bool is_scanner = false;

	(void)state;
	while (!is_scanner && taken < 64) {
		is_scanner = take(&rg, 1, n ^ 1);
		n--;
		taken++;
	}
	assert_int_equal(taken, 48);
}

/* Numbers below 97 in no order, each once. */
static uint32_t shuffled(uint32_t n)
{
	static uint32_t numbers[97];
	uint32_t i, other, kept, seed = 1;

	for (i = 0; i < 97; i++)
		numbers[i] = i;
	for (i = 96; i; i--) {
		seed = seed * 1103515245 + 12345;
		other = (seed >> 16) % (i + 1);
		kept = numbers[i];
		numbers[i] = numbers[other];
		numbers[other] = kept;
	}
	return numbers[n];
}

/* A server opens what its clients want. */
static void test_no_order(void **state)
{
	struct story server = begin();
	uint32_t n;

	(void)state;
	for (n = 0; n < 97; n++)
		assert_false(take(&server, 1, shuffled(n)));
	assert_int_equal(server.scanner.why, SCANNER_UNORDERED);
}

/* An interpreter looks for each module where it isn't, too. */
static void test_imports(void **state)
{
	struct story python = begin(), pyc = begin();
	uint32_t n;

	(void)state;
	for (n = 0; n < 64; n++) {
		scanner_note_miss(&python.scanner);
		assert_false(take(&python, 1, n));
		assert_false(take(&pyc, 1, n));
		scanner_note_write(&pyc.scanner);
	}
	assert_int_equal(python.scanner.why, SCANNER_SEARCHES);
	assert_int_equal(pyc.scanner.why, SCANNER_WRITES);
}

/* But who looks for a file of rules in each directory isn't searching. */
static void test_rules_in_directories(void **state)
{
	struct story rg = begin();
	uint64_t dir;
	bool is_scanner = false;

	(void)state;
	rg.listed = 2;
	for (dir = 1; dir < 32; dir++) {
		scanner_note_directory(&rg.scanner, true, rg.now_ns);
		scanner_note_miss(&rg.scanner);
		take(&rg, dir, 0);
		is_scanner |= take(&rg, dir, 1);
	}
	assert_true(is_scanner);
}

/* A linker keeps all open. */
static void test_a_linker(void **state)
{
	struct story ld = begin();

	(void)state;
	ld.is_open = true;
	assert_int_equal(caught_after(&ld, 100), 0);
	assert_int_equal(ld.scanner.why, SCANNER_HOLDS);
	assert_int_equal(ld.scanner.open_now, 100);
}

/* A file in each ten seconds pushes nothing out. */
static void test_a_slow_one(void **state)
{
	struct story slow = begin();
	uint32_t n;

	(void)state;
	for (n = 0; n < 50; n++) {
		slow.now_ns += 10 * SECOND;
		assert_false(take(&slow, 1, n));
	}
	assert_int_equal(slow.scanner.why, SCANNER_SLOW);
}

/* Some look first whether they can open a file; that is one open of it. */
static void test_each_opened_twice(void **state)
{
	struct story clamscan = begin();
	uint32_t n;
	bool is_scanner = false;

	(void)state;
	for (n = 0; n < 48; n++) {
		take(&clamscan, 1, n);
		is_scanner = take(&clamscan, 1, n);
	}
	assert_true(is_scanner);
	assert_int_equal(clamscan.scanner.sums.again, 0);
}

/* It reads all, and then what it has found, again and again. */
static void test_who_turns_to_reuse(void **state)
{
	struct story indexer = begin();
	uint32_t n, left = 0;

	(void)state;
	assert_int_equal(caught_after(&indexer, 64), 48);
	for (n = 0; n < 300; n++)
		assert_true(take(&indexer, 2 + n / 100, n % 100));
	for (n = 0; n < 64 && !left; n++)
		if (!take(&indexer, 4, n))
			left = n + 1;
	assert_in_range(left, 1, 32);
	assert_int_equal(indexer.scanner.why, SCANNER_AGAIN);
	/* It takes as much to be seen again as at first. */
	assert_false(take(&indexer, 5, 0));
}

static void test_quiet(void **state)
{
	struct story cron = begin();

	(void)state;
	assert_int_equal(caught_after(&cron, 64), 48);
	assert_true(scanner_judge(&cron.scanner, &cron.hints,
				  cron.now_ns + 29 * SECOND));
	assert_false(scanner_judge(&cron.scanner, &cron.hints,
				   cron.now_ns + 31 * SECOND));
	assert_int_equal(cron.scanner.why, SCANNER_QUIET);
	cron.now_ns += 3600 * SECOND;
	assert_false(take(&cron, 9, 0));
	assert_int_equal(cron.scanner.sums.files, 1);
}

/* Directories within directories, and no file. */
static void test_a_walk(void **state)
{
	struct story find = begin();
	uint32_t n;

	(void)state;
	for (n = 0; n < 16; n++) {
		assert_false(
			scanner_judge(&find.scanner, &find.hints, find.now_ns));
		scanner_note_directory(&find.scanner, n, find.now_ns);
	}
	assert_true(scanner_judge(&find.scanner, &find.hints, find.now_ns));
	assert_int_equal(find.scanner.why, SCANNER_WALKS);
	/* Then it reads what it likes. */
	for (n = 0; n < 30; n++)
		take(&find, 1, shuffled(n));
	assert_false(find.scanner.is_scanner);
}

/* Each thing that is decided has its words. */
static void test_words(void **state)
{
	(void)state;
	for (int why = 0; why <= SCANNER_READS_HELPED; why++)
		assert_non_null(scanner_why(why));
	for (int order = 0; order < SCANNER_ORDERS; order++)
		assert_non_null(scanner_order_name(order));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_grep),
		cmocka_unit_test(test_one_directory),
		cmocka_unit_test(test_one_listing),
		cmocka_unit_test(test_threads_that_overtake),
		cmocka_unit_test(test_a_backup_of_large_files),
		cmocka_unit_test(test_at_idle_priority),
		cmocka_unit_test(test_small_directories),
		cmocka_unit_test(test_a_helper),
		cmocka_unit_test(test_skipping),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_no_order),
		cmocka_unit_test(test_imports),
		cmocka_unit_test(test_rules_in_directories),
		cmocka_unit_test(test_a_linker),
		cmocka_unit_test(test_a_slow_one),
		cmocka_unit_test(test_each_opened_twice),
		cmocka_unit_test(test_who_turns_to_reuse),
		cmocka_unit_test(test_quiet),
		cmocka_unit_test(test_a_walk),
		cmocka_unit_test(test_words),
	};

	unit_watchdog(30);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
