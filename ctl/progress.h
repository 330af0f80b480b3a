/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How far long work is: a line on the terminal that goes when it is done. */
#ifndef MEMCGFS_CTL_PROGRESS_H
#define MEMCGFS_CTL_PROGRESS_H

#include <jansson.h>

/* Shows it, if stderr is a terminal; @verb is what is being done. */
void progress_show(const json_t *progress, void *verb);

/* Wipes it out. */
void progress_end(void);

#endif
