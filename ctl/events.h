/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What happens in a mount, while it does. */
#ifndef MEMCGFS_CTL_EVENTS_H
#define MEMCGFS_CTL_EVENTS_H

#include "command.h"

#include <stdio.h>

/* Follows it until it is told to stop, or nobody reads on. */
int events_run(const struct call *call);

/* One of them, on a line. */
void events_print(json_t *event, FILE *out);

#endif
