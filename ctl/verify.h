/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the kernel says of pages and their owners, and what was claimed. */
#ifndef MEMCGFS_CTL_VERIFY_H
#define MEMCGFS_CTL_VERIFY_H

#include "command.h"

void verify_show(const json_t *answer, const struct choices *choices);

/* 1, if the books and the kernel disagree, or not all could be compared. */
int verify_judge(const json_t *answer);

void claim_show(const json_t *answer, const struct choices *choices);

#endif
