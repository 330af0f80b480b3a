/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where messages go: one line each, to stderr until the daemon lets go of
 * its terminal, to syslog after that.
 *
 * Whoever gives up on an error logs it, once, with the object's name:
 *	return log_error_errno(r, "cannot start a charger in %s", path);
 */
#ifndef MEMCGFS_LOG_H
#define MEMCGFS_LOG_H

#include <stdarg.h>
#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* Lets messages up to @level through; called before there are threads. */
void log_set_level(enum log_level level);

/* From now on to syslog. */
void log_to_syslog(void);

void log_message(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Logs the message, ": " and what -@r means; returns @r. */
int log_error_errno(int r, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...) log_message(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_message(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Warns the first time that this place is reached in this process. */
#define log_warning_once(...)                                 \
	do {                                                  \
		static _Atomic bool said;                     \
		if (!__atomic_exchange_n((bool *)&said, true, \
					 __ATOMIC_RELAXED))   \
			log_warning(__VA_ARGS__);             \
	} while (0)

#endif
