// SPDX-License-Identifier: GPL-2.0-or-later
/* Being told to end; see interrupt.h. */
#include "interrupt.h"

#include <stddef.h>

static volatile sig_atomic_t came;

static void remember(int number)
{
	came = 1;
}

void interrupt_catch(sigset_t *mask)
{
	static const int ending[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction action = { .sa_handler = remember };
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGWINCH);
	for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++)
		sigaddset(&blocked, ending[i]);
	sigprocmask(SIG_BLOCK, &blocked, mask);
	for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++) {
		sigdelset(mask, ending[i]);
		sigaction(ending[i], &action, NULL);
	}
	signal(SIGPIPE, SIG_IGN);
}

bool interrupt_came(void)
{
	return came;
}
