/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Text in so many columns of a terminal, in the locale's encoding. */
#ifndef MEMCGFS_CTL_FIT_H
#define MEMCGFS_CTL_FIT_H

#include <stddef.h>

/* How many columns the text takes; of what the locale doesn't know, one each. */
unsigned int fit_width(const char *text);

/*
 * As much of the text's begin as fits, with "~" in place of the rest. The
 * text that has been written takes at most @columns. Gives @buf.
 */
const char *fit_begin(const char *text, unsigned int columns, char *buf,
		      size_t size);

/* The same of its end, which tells more of a path. */
const char *fit_end(const char *text, unsigned int columns, char *buf,
		    size_t size);

/* Of stdout; 0: it is no terminal, and lines may be of any length. */
unsigned int fit_terminal(void);

#endif
