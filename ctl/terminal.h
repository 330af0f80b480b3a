/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The terminal, taken over by curses and given back as it was. */
#ifndef MEMCGFS_CTL_TERMINAL_H
#define MEMCGFS_CTL_TERMINAL_H

#include <curses.h>

/* Keys come one by one, and are not waited for. NULL: it is unknown. */
SCREEN *terminal_open(void);

void terminal_close(SCREEN *screen);

#endif
