// SPDX-License-Identifier: GPL-2.0-or-later
/* The known files that have pages; see files.h. */
#include "files.h"

#include "field.h"
#include "fit.h"

#include <stdio.h>
#include <string.h>

#define FIGURES "%9s %9s %7s  "
#define FIGURES_WIDTH 29
#define HOST_MIN 12
#define CELL 4160 /* a path, and some */

json_t *files_ask(const struct choices *choices)
{
	return json_pack("{ss sI}", "sort", choices->sort, "limit",
			 (json_int_t)choices->limit);
}

/* The host gets a third of what the figures leave, the path the rest. */
static const char *write_line(const char *figures, const char *host,
			      const char *path, unsigned int columns,
			      char line[FILES_LINE])
{
	unsigned int left = columns > FIGURES_WIDTH ? columns - FIGURES_WIDTH :
						      0;
	unsigned int width = left / 3 > HOST_MIN ? left / 3 : HOST_MIN;
	char cells[2][CELL / 2], all[FILES_LINE];
	int pad;

	if (!columns) {
		snprintf(line, FILES_LINE, "%s%s  %s", figures, host, path);
		return line;
	}
	fit_end(host, width, cells[0], sizeof(cells[0]));
	fit_end(path, left > width + 2 ? left - width - 2 : 0, cells[1],
		sizeof(cells[1]));
	pad = (int)(width - fit_width(cells[0])) + 2;
	snprintf(all, sizeof(all), "%s%s%*s%s", figures, cells[0], pad, "",
		 cells[1]);
	return fit_begin(all, columns, line, FILES_LINE);
}

const char *files_line(const json_t *file, unsigned int columns,
		       char line[FILES_LINE])
{
	char resident[SIZE_TEXT], foreign[SIZE_TEXT], sharers[SIZE_TEXT];
	char figures[128];

	if (!file) {
		snprintf(figures, sizeof(figures), FIGURES, "RESIDENT",
			 "FOREIGN", "SHARERS");
		return write_line(figures, "HOST", "PATH", columns, line);
	}
	snprintf(sharers, sizeof(sharers), "%zu%s",
		 json_array_size(json_object_get(file, "sharers")),
		 json_is_true(json_object_get(file, "has_more_sharers")) ? "+" :
									   "");
	snprintf(figures, sizeof(figures), FIGURES,
		 field_size(file, "resident_bytes", resident),
		 field_size(file, "foreign_bytes", foreign), sharers);
	return write_line(figures, field_text(file, "host"),
			  field_text(file, "path"), columns, line);
}

void files_show(const json_t *answer, const struct choices *choices)
{
	const json_t *files = json_object_get(answer, "files");
	long long count = field_number(answer, "count");
	unsigned int columns = fit_terminal();
	char line[FILES_LINE];
	json_t *file;
	size_t i;

	printf("%s\n", files_line(NULL, columns, line));
	json_array_foreach((json_t *)files, i, file)
		printf("%s\n", files_line(file, columns, line));
	if (count > (long long)json_array_size(files))
		printf("%zu of %lld files\n", json_array_size(files), count);
}
