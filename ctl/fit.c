// SPDX-License-Identifier: GPL-2.0-or-later
/* Text in so many columns; see fit.h. */
#include "fit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define CUT "~"

/* The bytes of the first character, which isn't the end, and its columns. */
static size_t measure(const char *text, unsigned int *columns)
{
	mbstate_t state = { 0 };
	wchar_t c;
	size_t n = mbrtowc(&c, text, MB_CUR_MAX, &state);
	int width;

	if (n == 0 || n > MB_CUR_MAX) {
		*columns = 1;
		return 1;
	}
	width = wcwidth(c);
	*columns = width < 0 ? 1 : (unsigned int)width;
	return n;
}

unsigned int fit_width(const char *text)
{
	unsigned int sum = 0, columns;

	for (; *text; sum += columns)
		text += measure(text, &columns);
	return sum;
}

const char *fit_begin(const char *text, unsigned int columns, char *buf,
		      size_t size)
{
	unsigned int left, wide;
	const char *at = text;
	size_t n;

	if (fit_width(text) <= columns) {
		snprintf(buf, size, "%s", text);
		return buf;
	}
	for (left = columns ? columns - 1 : 0; *at; left -= wide, at += n) {
		n = measure(at, &wide);
		if (wide > left)
			break;
	}
	snprintf(buf, size, "%.*s%s", (int)(at - text), text,
		 columns ? CUT : "");
	return buf;
}

const char *fit_end(const char *text, unsigned int columns, char *buf,
		    size_t size)
{
	unsigned int width = fit_width(text), wide;

	if (width <= columns) {
		snprintf(buf, size, "%s", text);
		return buf;
	}
	for (; *text && width + 1 > columns; width -= wide)
		text += measure(text, &wide);
	snprintf(buf, size, "%s%s", columns ? CUT : "", text);
	return buf;
}

unsigned int fit_terminal(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		return size.ws_col;
	return columns && atoi(columns) > 0 ? (unsigned int)atoi(columns) : 80;
}
