// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The books as a tree. The four tables are those of Tejun Heo's mail of
 * 2015-02-04 to linux-mm, letter for letter.
 */
#include "ctl/tree.h"

#include "unit.h"

#define MAX_TEXT 8192

/* One account, in MiB. */
struct line {
	const char *path;
	int depth;
	int usage, own, hosted, shared, foreign;
};

#define M(n) ((json_int_t)(n) << 20)

static json_t *answer_of(const struct line *lines, size_t n)
{
	json_t *accounts = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			accounts,
			json_pack("{ss si sI sI sI sI sI s[{ss sI} {ss sI}]}",
				  "path", lines[i].path, "depth",
				  lines[i].depth, "usage_bytes",
				  M(lines[i].usage), "own_bytes",
				  M(lines[i].own), "hosted_bytes",
				  M(lines[i].hosted), "shared_bytes",
				  M(lines[i].shared), "foreign_bytes",
				  M(lines[i].foreign), "contributors", "path",
				  "/x", "bytes", M(3), "path", "/y", "bytes",
				  M(1)));
	return json_pack("{so}", "accounts", accounts);
}

static void expect_how(const struct line *lines, size_t n,
		       const struct tree_how *how, const char *drawn)
{
	json_t *answer = answer_of(lines, n);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct tree tree;

	assert_non_null(out);
	tree_lay_out(answer, how, &tree);
	tree_print(&tree, how->all, out);
	fclose(out);
	assert_string_equal(text, drawn);
	free(text);
	tree_free(&tree);
	json_decref(answer);
}

static void expect(const struct line *lines, size_t n, const char *drawn)
{
	expect_how(lines, n, &(struct tree_how){ 0 }, drawn);
}

/* B uses 16M, C 32M. */
static void test_first_table(void **state)
{
	const struct line lines[] = {
		{ "A", 0, .usage = 48 },
		{ "A/B", 1, .usage = 16, .own = 16 },
		{ "A/C", 1, .usage = 32, .own = 32 },
	};

	expect(lines, 3,
	       "A (usage=48M)\n"
	       "+-B (usage=16M)\n"
	       "\\-C (usage=32M)\n");
}

/* C accesses 8M of B's. */
static void test_second_table(void **state)
{
	const struct line lines[] = {
		{ "A", 0, .usage = 48, .hosted = 8 },
		{ "A/B", 1, .usage = 8, .own = 8, .shared = 8 },
		{ "A/C", 1, .usage = 32, .own = 32, .shared = 8 },
	};

	expect(lines, 3,
	       "A (usage=48M, hosted= 8M)\n"
	       "+-B (usage= 8M, shared= 8M)\n"
	       "\\-C (usage=32M, shared= 8M)\n");
}

/* D comes, and then uses it, too. */
static void test_third_table(void **state)
{
	struct line lines[] = {
		{ "A", 0, .usage = 56, .hosted = 8 },
		{ "A/B", 1, .usage = 8, .own = 8, .shared = 8 },
		{ "A/C", 1, .usage = 32, .own = 32, .shared = 8 },
		{ "A/D", 1, .usage = 8, .own = 8 },
	};

	expect(lines, 4,
	       "A (usage=56M, hosted= 8M)\n"
	       "+-B (usage= 8M, shared= 8M)\n"
	       "+-C (usage=32M, shared= 8M)\n"
	       "\\-D (usage= 8M)\n");
	lines[3].shared = 8;
	expect(lines, 4,
	       "A (usage=56M, hosted= 8M)\n"
	       "+-B (usage= 8M, shared= 8M)\n"
	       "+-C (usage=32M, shared= 8M)\n"
	       "\\-D (usage= 8M, shared= 8M)\n");
}

/* D accesses more of the file. */
static void test_fourth_table(void **state)
{
	const struct line lines[] = {
		{ "A", 0, .usage = 64, .hosted = 16 },
		{ "A/B", 1, .usage = 8, .own = 8, .shared = 16 },
		{ "A/C", 1, .usage = 32, .own = 32, .shared = 16 },
		{ "A/D", 1, .usage = 8, .own = 8, .shared = 16 },
	};

	expect(lines, 4,
	       "A (usage=64M, hosted=16M)\n"
	       "+-B (usage= 8M, shared=16M)\n"
	       "+-C (usage=32M, shared=16M)\n"
	       "\\-D (usage= 8M, shared=16M)\n");
}

static const struct line host[] = {
	{ "/", 0, .usage = 1600, .shared = 0 },
	{ "/system", 1, .usage = 1536 },
	{ "/system/a", 2, .usage = 1024, .hosted = 1000 },
	{ "/system/a/x", 3, .usage = 24, .own = 24, .shared = 1000 },
	{ "/system/a/y", 3, .usage = 0, .shared = 1000 },
	{ "/system/b", 2, .usage = 512, .own = 512, .foreign = 3 },
	{ "/unused", 1, .usage = 0 },
	{ "/unused/c", 2, .usage = 0 },
	{ "/web", 1, .usage = 64, .own = 64 },
};

/* Levels below are told apart; who has nothing isn't there. */
static void test_levels(void **state)
{
	expect(host, 9,
	       "/ (usage= 1.6G)\n"
	       "+-system (usage= 1.5G)\n"
	       "| +-a (usage=   1G, hosted=1000M)\n"
	       "| | +-x (usage=  24M, shared=1000M)\n"
	       "| | \\-y (usage=    0, shared=1000M)\n"
	       "| \\-b (usage= 512M, foreign=   3M)\n"
	       "\\-web (usage=  64M)\n");
}

/* Siblings by what is asked for, parents still first. */
static void test_sorted(void **state)
{
	expect_how(host, 9, &(struct tree_how){ .sort = "foreign" },
		   "/ (usage= 1.6G)\n"
		   "+-system (usage= 1.5G)\n"
		   "| +-b (usage= 512M, foreign=   3M)\n"
		   "| \\-a (usage=   1G, hosted=1000M)\n"
		   "|   +-x (usage=  24M, shared=1000M)\n"
		   "|   \\-y (usage=    0, shared=1000M)\n"
		   "\\-web (usage=  64M)\n");
}

/* What is above the first that says something isn't drawn, but with --all. */
static void test_way_down(void **state)
{
	const struct line lines[] = {
		{ "/", 0, .usage = 3 },
		{ "/other", 1, .usage = 0 },
		{ "/slice", 1, .usage = 3 },
		{ "/slice/job", 2, .usage = 3, .own = 2 },
		{ "/slice/job/memcgfs", 3, .usage = 1, .own = 1 },
	};

	expect(lines, 5,
	       "/slice/job (usage=3M)\n"
	       "\\-memcgfs (usage=1M)\n");
	expect_how(lines, 3, &(struct tree_how){ .all = true },
		   "/ (usage=3M, own= 0, hosted= 0, shared= 0, foreign= 0)"
		   " by /x 3M, /y 1M\n"
		   "+-other (usage= 0, own= 0, hosted= 0, shared= 0, "
		   "foreign= 0) by /x 3M, /y 1M\n"
		   "\\-slice (usage=3M, own= 0, hosted= 0, shared= 0, "
		   "foreign= 0) by /x 3M, /y 1M\n");
}

static void test_nothing(void **state)
{
	const struct line lines[] = { { "/", 0, .usage = 0 },
				      { "/a", 1, .usage = 0 } };

	expect(lines, 0, "");
	expect(lines, 2, "/ (usage=0)\n");
}

/* Depths that can't be are drawn as near as can be. */
static void test_wrong_depths(void **state)
{
	const struct line lines[] = {
		{ "/a", 7, .usage = 2 },
		{ "/a/b", 9, .usage = 1 },
		{ "/c", 0, .usage = 1 },
	};

	expect(lines, 3,
	       "/a (usage=2M)\n"
	       "\\-b (usage=1M)\n"
	       "/c (usage=1M)\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_table),
		cmocka_unit_test(test_second_table),
		cmocka_unit_test(test_third_table),
		cmocka_unit_test(test_fourth_table),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_sorted),
		cmocka_unit_test(test_way_down),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_wrong_depths),
	};

	return cmocka_run_group_tests_name("ctl_tree", tests, NULL, NULL);
}
