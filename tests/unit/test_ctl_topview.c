// SPDX-License-Identifier: GPL-2.0-or-later
/* What "top" shows in 80x24 and elsewhere, and what keys do to it. */
#include "ctl/fit.h"
#include "ctl/topview.h"

#include "unit.h"

#define ROWS 24
#define COLUMNS 80
#define N_FILES 50

static json_t *parse(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);

	assert_non_null(value);
	return value;
}

static json_t *status_with(int opens)
{
	json_t *status = parse(
		"{\"mountpoint\": \"/srv/models\", \"memcg\": \"/models\", "
		"\"io\": \"auto\", \"degraded\": [], \"hosts\": "
		"[{\"target\": \"/models\", \"host\": \"/models/memcgfs\", "
		"\"charger\": \"running\", \"restarts\": 2, "
		"\"usage_bytes\": 50331648, \"pinned_bytes\": 4096}], "
		"\"counters\": {\"opens_passthrough\": 0}}");

	json_object_set_new(json_object_get(status, "counters"),
			    "opens_passthrough", json_integer(opens));
	return status;
}

static int setup(void **state)
{
	static struct topview view;
	json_t *files = json_array();
	char path[32];

	topview_init(&view);
	topview_set_status(&view, status_with(100), 0);
	topview_set_tree(
		&view,
		parse("{\"accounts\": ["
		      "{\"path\": \"/A\", \"depth\": 0, \"usage_bytes\": "
		      "50331648, \"hosted_bytes\": 8388608},"
		      "{\"path\": \"/A/B\", \"depth\": 1, \"usage_bytes\": "
		      "8388608, \"own_bytes\": 8388608, \"shared_bytes\": "
		      "8388608},"
		      "{\"path\": \"/A/C\", \"depth\": 1, \"usage_bytes\": "
		      "33554432, \"own_bytes\": 33554432, \"shared_bytes\": "
		      "8388608, \"foreign_bytes\": 4096}]}"));
	for (int i = 0; i < N_FILES; i++) {
		snprintf(path, sizeof(path), "/lib/lib%02d.so", i);
		json_array_append_new(
			files, json_pack("{ss ss si si s[s]}", "path", path,
					 "host", "/A", "resident_bytes",
					 1048576 * (N_FILES - i),
					 "foreign_bytes", 0, "sharers", "/B"));
	}
	topview_set_files(&view, json_pack("{so si}", "files", files, "count",
					   N_FILES));
	*state = &view;
	return 0;
}

static int teardown(void **state)
{
	topview_clear(*state);
	return 0;
}

/* That the screen has these rows at its top, and the keys at its bottom. */
static void expect(struct topview *view, const char *const *rows, size_t n)
{
	struct topview_screen screen;

	topview_draw(view, ROWS, COLUMNS, &screen);
	assert_int_equal(screen.n_lines, ROWS);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(screen.lines[i].text, rows[i]);
	assert_string_equal(screen.lines[ROWS - 1].text,
			    "t tree  f files  h hosts | by s size  r shared  "
			    "o foreign  n name | q quit");
	topview_screen_free(&screen);
}

#define EXPECT(view, ...)                                       \
	do {                                                    \
		const char *const expected[] = { __VA_ARGS__ }; \
		expect(view, expected,                          \
		       sizeof(expected) / sizeof(expected[0])); \
	} while (0)

#define TITLE "memcgfs /srv/models  memcg=/models  io=auto"

static void test_tree(void **state)
{
	struct topview *view = *state;

	EXPECT(view, TITLE, "tree by size: 3 lines; degraded: no",
	       "   USAGE      OWN   HOSTED   SHARED  FOREIGN  CGROUP",
	       "     48M        -       8M        -        -  /A",
	       "     32M      32M        -       8M       4K  +-C",
	       "      8M       8M        -       8M        -  \\-B", "");
	assert_true(topview_press(view, 'n', ROWS));
	EXPECT(view, TITLE, "tree by name: 3 lines; degraded: no",
	       "   USAGE      OWN   HOSTED   SHARED  FOREIGN  CGROUP",
	       "     48M        -       8M        -        -  /A",
	       "      8M       8M        -       8M        -  +-B",
	       "     32M      32M        -       8M       4K  \\-C", "");
}

static void test_hosts(void **state)
{
	struct topview *view = *state;

	assert_true(topview_press(view, 'h', ROWS));
	topview_set_status(view, status_with(150), 2);
	EXPECT(view, TITLE, "hosts: 4 lines; degraded: no",
	       "CHARGER  RESTARTS    USAGE   HOSTED  FOREIGN   PINNED  HOST",
	       "running         2      48M        -        -       4K  /models/memcgfs",
	       "", "             TOTAL     A SECOND  COUNTER",
	       "               150           25  opens_passthrough", "");
}

static const char *row_of(struct topview *view, size_t row, char *buf,
			  size_t size)
{
	struct topview_screen screen;

	topview_draw(view, ROWS, COLUMNS, &screen);
	snprintf(buf, size, "%s", screen.lines[row].text);
	topview_screen_free(&screen);
	return strrchr(buf, '/') ? strrchr(buf, '/') : buf;
}

/* 20 of 50 files are to be seen: from which on. */
static void test_scroll(void **state)
{
	static const struct {
		int key;
		const char *first;
	} story[] = {
		{ TOPVIEW_UP, "/lib00.so" },
		{ TOPVIEW_DOWN, "/lib01.so" },
		{ TOPVIEW_PAGE_DOWN, "/lib21.so" },
		{ TOPVIEW_PAGE_DOWN, "/lib30.so" },
		{ TOPVIEW_DOWN, "/lib30.so" },
		{ TOPVIEW_PAGE_UP, "/lib10.so" },
		{ TOPVIEW_END, "/lib30.so" },
		{ TOPVIEW_HOME, "/lib00.so" },
		{ 'x', "/lib00.so" },
	};
	struct topview *view = *state;
	char buf[256];

	assert_true(topview_press(view, 'f', ROWS));
	for (size_t i = 0; i < sizeof(story) / sizeof(story[0]); i++) {
		assert_true(topview_press(view, story[i].key, ROWS));
		assert_string_equal(row_of(view, 3, buf, sizeof(buf)),
				    story[i].first);
	}
	topview_press(view, TOPVIEW_END, ROWS);
	assert_string_equal(row_of(view, ROWS - 2, buf, sizeof(buf)),
			    "/lib49.so");
	assert_string_equal(row_of(view, 2, buf, sizeof(buf)),
			    " RESIDENT   FOREIGN SHARERS  HOST               "
			    "PATH");
	assert_false(topview_press(view, 'q', ROWS));
}

/* In any size each row is there, and none is too wide. */
static void test_any_size(void **state)
{
	struct topview *view = *state;
	struct topview_screen screen;

	for (int i = 0; i < 3; i++) {
		topview_press(view, "tfh"[i], ROWS);
		for (size_t rows = 1; rows < 60; rows += 3) {
			for (unsigned int columns = 1; columns < 200;
			     columns += 7) {
				topview_press(view, TOPVIEW_DOWN, rows);
				topview_draw(view, rows, columns, &screen);
				assert_int_equal(screen.n_lines, rows);
				for (size_t k = 0; k < rows; k++)
					assert_true(
						fit_width(
							screen.lines[k].text) <=
						columns);
				topview_screen_free(&screen);
			}
		}
	}
}

static void test_trouble(void **state)
{
	struct topview empty, *view = *state;

	topview_init(&empty);
	EXPECT(&empty, "memcgfs none  memcg=none  io=none", "asking...");
	topview_set_trouble(view, "the mount has ended");
	EXPECT(view, TITLE, "the mount has ended");
	topview_set_trouble(view, NULL);
	EXPECT(view, TITLE, "tree by size: 3 lines; degraded: no");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tree, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hosts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scroll, setup, teardown),
		cmocka_unit_test_setup_teardown(test_any_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trouble, setup, teardown),
	};

	return cmocka_run_group_tests_name("ctl_topview", tests, NULL, NULL);
}
