// SPDX-License-Identifier: GPL-2.0-or-later
/* The mount live on a terminal; see top.h. What is shown is topview's. */
#include "top.h"

#include "ask.h"
#include "field.h"
#include "interrupt.h"
#include "terminal.h"
#include "toplines.h"
#include "topview.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* A round asks for the status, and then for what the view shows. */
enum step {
	STEP_REST, /* until the next round is due */
	STEP_STATUS,
	STEP_TREE,
	STEP_FILES,
};

struct top {
	const struct call *call;
	struct topview view;
	enum step step;
	struct ask ask; /* but at rest */
	double due; /* when the next round begins */
	double status_at; /* when the status was asked for */
};

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* -- asking, which the keys don't wait for -- */

static void rest(struct top *top)
{
	top->step = STEP_REST;
	top->due = now() + (double)top->call->choices->delay;
}

static void give_up(struct top *top, const char *why)
{
	topview_set_trouble(&top->view, why);
	rest(top);
}

static void begin(struct top *top, enum step step)
{
	static const char *const verbs[] = {
		[STEP_STATUS] = "status",
		[STEP_TREE] = "tree",
		[STEP_FILES] = "files",
	};
	struct question question = {
		.verb = verbs[step],
		.path = top->call->path,
	};
	char why[ASK_WHY_MAX];
	int r;

	if (step == STEP_FILES)
		question.more = json_pack("{ss si}", "sort", top->view.sort,
					  "limit", TOP_FILES);
	r = ask_open(&question, &top->ask, why);
	json_decref(question.more);
	if (r < 0)
		give_up(top, why);
	else
		top->step = step;
}

static void begin_next(struct top *top, enum step done)
{
	if (done == STEP_STATUS && top->view.kind == TOPVIEW_TREE)
		begin(top, STEP_TREE);
	else if (done == STEP_STATUS && top->view.kind == TOPVIEW_FILES)
		begin(top, STEP_FILES);
	else
		rest(top);
}

static void take(struct top *top, enum step step, json_t *answer)
{
	double at = now();

	if (step == STEP_STATUS) {
		topview_set_status(&top->view, answer, at - top->status_at);
		top->status_at = at;
	} else if (step == STEP_TREE) {
		topview_set_tree(&top->view, answer);
	} else {
		topview_set_files(&top->view, answer);
	}
	topview_set_trouble(&top->view, NULL);
}

static void take_answer(struct top *top)
{
	char why[ASK_WHY_MAX];
	json_t *answer = ask_next(&top->ask, why);
	enum step step = top->step;
	json_t *error = json_object_get(answer, "error");

	ask_close(&top->ask);
	field_make_safe(error);
	if (answer && !error) {
		take(top, step, answer);
		begin_next(top, step);
		return;
	}
	give_up(top, error ? json_string_value(error) :
		     *why  ? why :
			     "the mount has ended");
	json_decref(answer);
}

/* Another view, or order, is asked for at once. */
static void ask_anew(struct top *top)
{
	if (top->step != STEP_REST)
		ask_close(&top->ask);
	top->step = STEP_REST;
	top->due = now();
}

/* -- the terminal -- */

static int look_of(enum topview_look look)
{
	switch (look) {
	case TOPVIEW_BOLD:
		return A_BOLD;
	case TOPVIEW_HEADING:
		return A_REVERSE;
	default:
		return A_NORMAL;
	}
}

static void draw(struct top *top)
{
	struct topview_screen screen;

	topview_draw(&top->view, (size_t)LINES, (unsigned int)COLS, &screen);
	erase();
	for (size_t i = 0; i < screen.n_lines; i++) {
		const struct topview_line *line = &screen.lines[i];

		attrset(look_of(line->look));
		if (line->look == TOPVIEW_HEADING)
			mvhline((int)i, 0, ' ', COLS);
		mvaddstr((int)i, 0, line->text ? line->text : "");
	}
	attrset(A_NORMAL);
	refresh();
	topview_screen_free(&screen);
}

static int translate(int key)
{
	static const int keys[][2] = {
		{ KEY_UP, TOPVIEW_UP },
		{ KEY_DOWN, TOPVIEW_DOWN },
		{ KEY_PPAGE, TOPVIEW_PAGE_UP },
		{ KEY_NPAGE, TOPVIEW_PAGE_DOWN },
		{ KEY_HOME, TOPVIEW_HOME },
		{ KEY_END, TOPVIEW_END },
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (keys[i][0] == key)
			return keys[i][1];
	return key < 256 ? key : 0;
}

/* All that were pressed; false: it is to end. */
static bool take_keys(struct top *top)
{
	enum topview_kind kind = top->view.kind;
	const char *sort = top->view.sort;
	int key;

	while ((key = getch()) != ERR)
		if (!topview_press(&top->view, translate(key), (size_t)LINES))
			return false;
	if (kind != top->view.kind || sort != top->view.sort)
		ask_anew(top);
	return true;
}

static void wait_for_more(const struct top *top, const sigset_t *mask,
			  struct pollfd pfds[2])
{
	bool is_resting = top->step == STEP_REST;
	double left = is_resting ? top->due - now() : 0;
	struct timespec wait = { 0 };

	pfds[0] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
	pfds[1] = (struct pollfd){ .fd = is_resting ? -1 : top->ask.fd,
				   .events = POLLIN };
	if (left > 0) {
		wait.tv_sec = (time_t)left;
		wait.tv_nsec = (long)((left - (double)wait.tv_sec) * 1e9);
	}
	if (ppoll(pfds, 2, is_resting ? &wait : NULL, mask) < 0)
		pfds[0].revents = pfds[1].revents = 0;
}

static void run(struct top *top, const sigset_t *mask)
{
	struct pollfd pfds[2] = { 0 };

	while (!interrupt_came() && take_keys(top)) {
		if (top->step == STEP_REST && now() >= top->due)
			begin(top, STEP_STATUS);
		draw(top);
		wait_for_more(top, mask, pfds);
		if (pfds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
			return; /* the terminal is gone */
		if (pfds[1].revents)
			take_answer(top);
	}
}

static int refuse(const char *why)
{
	fprintf(stderr, "memcgfsctl: %s\n", why);
	return EXIT_FAILURE;
}

int top_run(const struct call *call)
{
	struct top top = { .call = call };
	sigset_t mask;
	SCREEN *screen;

	if (call->choices->json)
		return toplines_run(call);
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return refuse("\"top\" needs a terminal");
	interrupt_catch(&mask);
	screen = terminal_open();
	if (!screen)
		return refuse("\"top\" doesn't know this terminal: see TERM");
	topview_init(&top.view);
	run(&top, &mask);
	terminal_close(screen);
	if (top.step != STEP_REST)
		ask_close(&top.ask);
	topview_clear(&top.view);
	return EXIT_SUCCESS;
}
