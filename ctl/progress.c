// SPDX-License-Identifier: GPL-2.0-or-later
/* How far long work is; see progress.h. */
#include "progress.h"

#include "field.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define WIPE "\r\033[K"

static void print_count(const json_t *progress, const char *key)
{
	char size[SIZE_TEXT];

	if (strcmp(field_text(progress, "unit"), "bytes") == 0)
		fprintf(stderr, "%s", field_size(progress, key, size));
	else
		fprintf(stderr, "%lld", field_number(progress, key));
}

void progress_show(const json_t *progress, void *verb)
{
	long long total = field_number(progress, "total");
	long long done = field_number(progress, "done");

	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, WIPE "%s: ", (const char *)verb);
	print_count(progress, "done");
	if (total) {
		fprintf(stderr, " of ");
		print_count(progress, "total");
	}
	if (strcmp(field_text(progress, "unit"), "files") == 0)
		fprintf(stderr, " files");
	if (total)
		fprintf(stderr, ", %lld%%", done * 100 / total);
}

void progress_end(void)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, WIPE);
}
