// SPDX-License-Identifier: GPL-2.0-or-later
/* What the kernel says of pages; see verify.h. */
#include "verify.h"

#include "field.h"

#include <stdio.h>
#include <stdlib.h>

static void show_pids(const json_t *pids)
{
	json_t *pid;
	size_t i;

	json_array_foreach((json_t *)pids, i, pid)
		printf("%s%lld", i ? ", " : " by ",
		       (long long)json_integer_value(pid));
}

static void show_residue(const json_t *answer)
{
	const json_t *residue = json_object_get(answer, "residue");
	long long more = field_number(answer, "residue_count") -
			 (long long)json_array_size(residue);
	char size[SIZE_TEXT];
	json_t *part;
	size_t i;

	json_array_foreach((json_t *)residue, i, part)
	{
		printf("residue %s: %s of %s, %s", field_text(part, "path"),
		       field_size(part, "bytes", size),
		       field_text(part, "owner"), field_text(part, "reason"));
		show_pids(json_object_get(part, "pids"));
		printf("\n");
	}
	if (more > 0)
		printf("residue: %lld more\n", more);
	field_show_skipped(answer);
}

static void show_disagreement(const json_t *one)
{
	/* Sizes that look the same would tell nothing. */
	printf("disagreement %s: of %s the books have %lld bytes, the kernel "
	       "%lld\n",
	       field_text(one, "path"), field_text(one, "account"),
	       field_number(one, "books_bytes"),
	       field_number(one, "kernel_bytes"));
}

void verify_show(const json_t *answer, const struct choices *choices)
{
	const json_t *disagreements = json_object_get(answer, "disagreements");
	char resident[SIZE_TEXT], foreign[SIZE_TEXT];
	json_t *one;
	size_t i;

	printf("files %lld, resident %s, foreign %s\n",
	       field_number(answer, "files"),
	       field_size(answer, "resident_bytes", resident),
	       field_size(answer, "foreign_bytes", foreign));
	show_residue(answer);
	json_array_foreach((json_t *)disagreements, i, one)
		show_disagreement(one);
	if (field_number(answer, "moved_files"))
		printf("moved meanwhile: %lld files\n",
		       field_number(answer, "moved_files"));
	if (field_number(answer, "unseen_files"))
		printf("unseen: %lld files, which no charger could look at\n",
		       field_number(answer, "unseen_files"));
	if (verify_judge(answer) == EXIT_SUCCESS)
		printf("the books agree with the kernel\n");
}

int verify_judge(const json_t *answer)
{
	return json_array_size(json_object_get(answer, "disagreements")) ||
			       field_number(answer, "skipped_files") ||
			       field_number(answer, "unseen_files") ?
		       EXIT_FAILURE :
		       EXIT_SUCCESS;
}

void claim_show(const json_t *answer, const struct choices *choices)
{
	char size[SIZE_TEXT];

	printf("files %lld, claimed %s\n", field_number(answer, "files"),
	       field_size(answer, "claimed_bytes", size));
	show_residue(answer);
}
