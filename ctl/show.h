/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers as text, for people. */
#ifndef MEMCGFS_CTL_SHOW_H
#define MEMCGFS_CTL_SHOW_H

#include "command.h"

void show_status(const json_t *answer, const struct choices *choices);
void show_explain(const json_t *answer, const struct choices *choices);
void show_metrics(const json_t *answer, const struct choices *choices);

#endif
