/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Dropping files from memory; asks before what somebody could feel. */
#ifndef MEMCGFS_CTL_DROP_H
#define MEMCGFS_CTL_DROP_H

#include "command.h"

int drop_run(const struct call *call);
void drop_show(const json_t *answer, const struct choices *choices);

#endif
