// SPDX-License-Identifier: GPL-2.0-or-later
/* A table of files, in the columns that a terminal has. */
#include "ctl/files.h"
#include "ctl/fit.h"

#include "unit.h"

#include <locale.h>

static json_t *file_at(const char *path)
{
	return json_pack("{ss sI sI ss s[ss]}", "path", path, "resident_bytes",
			 (json_int_t)8 << 20, "foreign_bytes",
			 (json_int_t)12288, "host", "/shared/data", "sharers",
			 "/a", "/b");
}

static void test_any_length(void **state)
{
	json_t *file = file_at("/lib/libfoo.so");
	char line[FILES_LINE];

	assert_string_equal(files_line(NULL, 0, line),
			    " RESIDENT   FOREIGN SHARERS  HOST  PATH");
	assert_string_equal(files_line(file, 0, line),
			    "       8M       12K       2  /shared/data  "
			    "/lib/libfoo.so");
	json_decref(file);
}

/* The end of a path tells more than its begin. */
static void test_80_columns(void **state)
{
	json_t *file = file_at("/a/rather/long/way/to/get/to/libfoo.so");
	char line[FILES_LINE];

	assert_string_equal(files_line(NULL, 80, line),
			    " RESIDENT   FOREIGN SHARERS  HOST               "
			    "PATH");
	assert_string_equal(files_line(file, 80, line),
			    "       8M       12K       2  /shared/data       "
			    "~er/long/way/to/get/to/libfoo.so" +
				    0);
	json_decref(file);
}

/* However narrow it is, nothing is longer. */
static void test_narrow(void **state)
{
	json_t *file = file_at("/a/rather/long/way/to/get/to/libfoo.so");
	char line[FILES_LINE];

	for (unsigned int columns = 1; columns < 100; columns++)
		assert_true(fit_width(files_line(file, columns, line)) <=
			    columns);
	json_decref(file);
}

static void test_fit(void **state)
{
	char buf[64];

	assert_string_equal(fit_begin("abcdef", 6, buf, 64), "abcdef");
	assert_string_equal(fit_begin("abcdef", 4, buf, 64), "abc~");
	assert_string_equal(fit_end("abcdef", 4, buf, 64), "~def");
	assert_string_equal(fit_begin("abc", 1, buf, 64), "~");
	assert_string_equal(fit_end("abc", 0, buf, 64), "");
	assert_string_equal(fit_begin("abc", 0, buf, 64), "");
}

/* Columns are no bytes. */
static void test_wide(void **state)
{
	char buf[64];

	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		unit_skip("there is no locale C.UTF-8");
	assert_int_equal(fit_width("\xc3\xa4\xc3\xb6"), 2);
	assert_int_equal(fit_width("\xe6\xbc\xa2\xe5\xad\x97"), 4);
	assert_string_equal(fit_begin("\xe6\xbc\xa2\xe5\xad\x97", 3, buf, 64),
			    "\xe6\xbc\xa2~");
	assert_string_equal(fit_end("\xe6\xbc\xa2\xe5\xad\x97", 3, buf, 64),
			    "~\xe5\xad\x97");
	assert_int_equal(fit_width("\xff\xfe"), 2);
	setlocale(LC_CTYPE, "C");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_length),
		cmocka_unit_test(test_80_columns),
		cmocka_unit_test(test_narrow),
		cmocka_unit_test(test_fit),
		cmocka_unit_test(test_wide),
	};

	return cmocka_run_group_tests_name("ctl_files", tests, NULL, NULL);
}
