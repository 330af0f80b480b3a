// SPDX-License-Identifier: GPL-2.0-or-later
/* The terminal, taken over by curses; see terminal.h. */
#include "terminal.h"

#include <term.h>
#include <unistd.h>

SCREEN *terminal_open(void)
{
	SCREEN *screen;
	int found;

	/* newterm() leaks memory at one that isn't known (ncurses 6.4). */
	if (setupterm(NULL, STDOUT_FILENO, &found) == ERR)
		return NULL;
	del_curterm(cur_term);
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return NULL;
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	curs_set(0);
	return screen;
}

void terminal_close(SCREEN *screen)
{
	endwin();
	delscreen(screen);
}
