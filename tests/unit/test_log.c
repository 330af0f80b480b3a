// SPDX-License-Identifier: GPL-2.0-or-later
/* Messages: one line each, whole, of the levels that were asked for. */
#include "log.h"

#include "unit.h"
#include "util.h"

#define TEXT_MAX (256 * 1024)

static int level_teardown(void **state)
{
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

static void say_one_of_each(void)
{
	log_error("cannot open \"%s\"", "/x");
	log_warning("%d pages stay", 5);
	log_info("mounted");
	log_debug("lookup");
}

/* From errors alone to all; a daemon that isn't told says all but debug. */
static void test_levels(void **state)
{
	static const char whole[] = "memcgfs: cannot open \"/x\"\n"
				    "memcgfs: 5 pages stay\n"
				    "memcgfs: mounted\n"
				    "memcgfs: lookup\n";
	char text[LOG_LEVEL_DEBUG + 2][1024];
	struct capture capture;
	int level;

	capture_begin(&capture);
	say_one_of_each();
	capture_end(&capture, text[LOG_LEVEL_DEBUG + 1], sizeof(text[0]));
	for (level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		log_set_level((enum log_level)level);
		capture_begin(&capture);
		say_one_of_each();
		capture_end(&capture, text[level], sizeof(text[0]));
	}
	for (level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		assert_int_equal(count_lines(text[level]), level + 1);
		assert_memory_equal(text[level], whole, strlen(text[level]));
	}
	assert_string_equal(text[LOG_LEVEL_DEBUG + 1], text[LOG_LEVEL_INFO]);
}

/* Giving up: the object, what the error means, and the error passed on. */
static void test_error_errno(void **state)
{
	struct capture capture;
	char text[256];
	int r;

	capture_begin(&capture);
	r = log_error_errno(-EBUSY, "cannot start a charger in %s", "/web");
	capture_end(&capture, text, sizeof(text));
	assert_int_equal(r, -EBUSY);
	assert_string_equal(text, "memcgfs: cannot start a charger in /web: "
				  "Device or resource busy\n");
}

/* A message of 5,000 bytes is cut, and still one whole line. */
static void test_long_messages(void **state)
{
	char message[5001];
	char text[2][8192];
	struct capture capture;

	memset(message, 'x', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	capture_begin(&capture);
	log_error("%s", message);
	capture_end(&capture, text[0], sizeof(text[0]));
	capture_begin(&capture);
	log_error_errno(-EIO, "%s", message);
	capture_end(&capture, text[1], sizeof(text[1]));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(count_lines(text[i]), 1);
		assert_int_equal(text[i][strlen(text[i]) - 1], '\n');
		assert_true(strlen(text[i]) > 1000);
		assert_true(strlen(text[i]) < 1100);
	}
}

static void *once_thread(void *arg)
{
	for (int i = 0; i < 100; i++)
		log_warning_once("passthrough fails");
	return NULL;
}

/* 8 threads come by 100 times: one warning. */
static void test_once(void **state)
{
	struct capture capture;
	char text[1024];
	char unused[8];

	capture_begin(&capture);
	run_threads(8, once_thread, unused, 1);
	capture_end(&capture, text, sizeof(text));
	assert_string_equal(text, "memcgfs: passthrough fails\n");
}

static void *talking_thread(void *arg)
{
	char word[101];

	memset(word, *(const char *)arg, 100);
	word[100] = '\0';
	for (int i = 0; i < 200; i++)
		log_info("%s", word);
	return NULL;
}

/* One letter, a hundred times. */
static bool is_whole(const char *line)
{
	size_t prefix = strlen("memcgfs: ");

	if (strncmp(line, "memcgfs: ", prefix) != 0)
		return false;
	line += prefix;
	return strspn(line, (char[]){ line[0], '\0' }) == 100 &&
	       line[100] == '\0';
}

/* 8 threads talk at once: 1,600 lines, none in another. */
static void test_lines_stay_whole(void **state)
{
	char letters[] = "abcdefgh";
	char *text = malloc(TEXT_MAX);
	struct capture capture;
	unsigned int lines = 0;
	char *rest = text;
	char *line;

	capture_begin(&capture);
	run_threads(8, talking_thread, letters, 1);
	capture_end(&capture, text, TEXT_MAX);
	while ((line = strsep(&rest, "\n"))) {
		if (!*line)
			continue;
		assert_true(is_whole(line));
		lines++;
	}
	assert_int_equal(lines, 1600);
	free(text);
}

static void talk_to_syslog(void *arg)
{
	dup2(*(int *)arg, STDERR_FILENO);
	log_debug("below the level, and so not even in syslog");
	log_info("a last word to the terminal");
	log_to_syslog();
	log_debug("not even in syslog");
	log_set_level(LOG_LEVEL_ERROR);
	log_info("not even in syslog");
}

/* Once let go, nothing is written to the terminal any more. */
static void test_syslog(void **state)
{
	struct capture capture;
	char text[256];
	int status, fd;

	capture_begin(&capture);
	fd = STDERR_FILENO;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	status = status_of_child(talk_to_syslog, &fd);
	close(fd);
	capture_end(&capture, text, sizeof(text));
	assert_int_equal(status, 0);
	assert_string_equal(text, "memcgfs: a last word to the terminal\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_levels, level_teardown),
		cmocka_unit_test(test_error_errno),
		cmocka_unit_test(test_long_messages),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_lines_stay_whole),
		cmocka_unit_test(test_syslog),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
