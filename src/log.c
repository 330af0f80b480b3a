// SPDX-License-Identifier: GPL-2.0-or-later
/* Where messages go; see log.h. */
#include "log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

/* Set before threads start, or (the destination) once, at letting go. */
static atomic_bool use_syslog;
static enum log_level max_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	max_level = level;
}

void log_to_syslog(void)
{
	openlog("memcgfs", LOG_PID, LOG_DAEMON);
	atomic_store_explicit(&use_syslog, true, memory_order_relaxed);
}

/* A line is one write(2), so that lines of several processes don't mix. */
static void emit(enum log_level level, char *line)
{
	static const int priority[] = {
		[LOG_LEVEL_ERROR] = LOG_ERR,
		[LOG_LEVEL_WARNING] = LOG_WARNING,
		[LOG_LEVEL_INFO] = LOG_INFO,
		[LOG_LEVEL_DEBUG] = LOG_DEBUG,
	};
	char out[LINE_MAX_BYTES + 16];
	int len;

	/* What was given may hold anything; a message is one line. */
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = '?';
	if (atomic_load_explicit(&use_syslog, memory_order_relaxed)) {
		syslog(priority[level], "%s", line);
		return;
	}
	len = snprintf(out, sizeof(out), "memcgfs: %s\n", line);
	if (write(STDERR_FILENO, out, (size_t)len) < 0)
		return;
}

void log_message(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;

	if (level > max_level)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	emit(level, line);
}

int log_error_errno(int r, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	size_t len;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	len = strlen(line);
	snprintf(line + len, sizeof(line) - len, ": %s", strerror(-r));
	emit(LOG_LEVEL_ERROR, line);
	return r;
}
