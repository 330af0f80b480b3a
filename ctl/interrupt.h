/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Being told to end: by Ctrl-C, by kill(1), by a terminal that goes. */
#ifndef MEMCGFS_CTL_INTERRUPT_H
#define MEMCGFS_CTL_INTERRUPT_H

#include <signal.h>
#include <stdbool.h>

/*
 * From now on signals that end come while ppoll(2) waits with @mask, and never
 * else, as does SIGWINCH; and they are but remembered. Who writes to a pipe
 * that nobody reads is told so by EPIPE.
 */
void interrupt_catch(sigset_t *mask);

bool interrupt_came(void);

#endif
