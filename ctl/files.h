/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The known files that have pages: the largest, most shared, most foreign. */
#ifndef MEMCGFS_CTL_FILES_H
#define MEMCGFS_CTL_FILES_H

#include "command.h"

#define FILES_LINE 8192

json_t *files_ask(const struct choices *choices);
void files_show(const json_t *answer, const struct choices *choices);

/*
 * A line for a file, or, for NULL, their heading, in so many columns; 0: as
 * many as it takes. Paths are cut first. Gives @line.
 */
const char *files_line(const json_t *file, unsigned int columns,
		       char line[FILES_LINE]);

#endif
