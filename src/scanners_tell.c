// SPDX-License-Identifier: GPL-2.0-or-later
/* Processes that may be scanners, 4: what is told of them, and when. */
#include "scanners_priv.h"

#include "util.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* -- verdicts -- */

static void describe(const struct scanners_process *process, char *why,
		     size_t size)
{
	const struct scanner *scanner = &process->scanner;
	const struct scanner_sums *sums = &scanner->sums;
	uint32_t ordered, steps;
	enum scanner_order order =
		scanner_best_order(scanner, &ordered, &steps);
	int len;

	if (process->is_named) {
		snprintf(why, size, "scanners= names it");
		return;
	}
	len = snprintf(why, size, "%s", scanner_why(scanner->why));
	if (scanner->why == SCANNER_WALKS)
		snprintf(why + len, size - (size_t)len, ": %u of late",
			 sums->dirs);
	else if (steps && scanner->why > SCANNER_WALKS)
		snprintf(why + len, size - (size_t)len, ": %u of %u steps %s",
			 ordered, steps, scanner_order_name(order));
}

/* Others ask that without the lock. */
static void note_lister(struct scanners *scanners,
			const struct scanners_process *process)
{
	const struct scanner_sums *sums = &process->scanner.sums;
	bool is_lister = sums->dirs && !sums->files && !sums->again;
	struct scanners_place *place =
		scanners_place_of(scanners, process->who);

	atomic_store_explicit(&place->lister, is_lister ? process->who : 0,
			      memory_order_relaxed);
}

void scanners_judge(struct scanners *scanners, struct scanners_process *process,
		    uint64_t now, struct scanners_verdict *verdict)
{
	struct scanner_hints hints = { .is_idle = process->id.is_idle };
	struct scanner *scanner = &process->scanner;
	bool was = scanner->is_scanner;

	verdict->files = scanner->total_files;
	verdict->bytes = scanner->total_bytes;
	verdict->is_scanner = scanner_judge(scanner, &hints, now);
	if (verdict->is_scanner)
		verdict->kept = scanners_take_kept(scanners, process);
	note_lister(scanners, process);
	if (was == verdict->is_scanner ||
	    !events_are_followed(scanners->config.events))
		return;
	verdict->is_new = true;
	verdict->pid = process->id.pid;
	memcpy(verdict->command, process->id.command, sizeof(verdict->command));
	verdict->cgroup = process->cgroup ? strdup(process->cgroup) : NULL;
	describe(process, verdict->why, sizeof(verdict->why));
}

void scanners_carry_out(struct scanners *scanners,
			struct scanners_verdict *verdict)
{
	char text[256];

	if (verdict->is_new) {
		snprintf(text, sizeof(text),
			 "%s%s (pid %d), %" PRIu64 " files: %s",
			 verdict->is_scanner ? "" : "no longer: ",
			 verdict->command, (int)verdict->pid, verdict->files,
			 verdict->why);
		events_tell(scanners->config.events,
			    &(struct event){ .kind = EVENT_scanner,
					     .account = verdict->cgroup,
					     .bytes = verdict->bytes,
					     .reason = text });
	}
	free(verdict->cgroup);
	scanners_spare_kept(scanners, verdict->kept);
}

/* -- reports -- */

static void fill_view(const struct scanners_process *process,
		      struct scanners_view *view)
{
	const struct scanner *scanner = &process->scanner;

	*view = (struct scanners_view){
		.pid = process->id.pid,
		.cgroup = process->cgroup,
		.is_scanner = scanner->is_scanner || process->is_named,
		.is_named = process->is_named,
		.is_idle = process->id.is_idle,
		.files = scanner->total_files,
		.bytes = scanner->total_bytes,
		.sums = scanner->sums,
		.open_now = scanner->open_now,
	};
	memcpy(view->command, process->id.command, sizeof(view->command));
	describe(process, view->why, sizeof(view->why));
}

void scanners_each(struct scanners *scanners,
		   void (*fn)(const struct scanners_view *view, void *userdata),
		   void *userdata)
{
	struct scanners_view view;
	uint64_t now = now_ns();

	for (int i = 0; i < SCANNERS_PROCESSES; i++) {
		struct scanners_place *place = &scanners->places[i];

		pthread_mutex_lock(&place->lock);
		if (place->process &&
		    scanners_quiet_ns(place, now) <= SCANNER_QUIET_NS) {
			fill_view(place->process, &view);
			if (view.is_scanner)
				fn(&view, userdata);
		}
		pthread_mutex_unlock(&place->lock);
	}
}

int scanners_view(struct scanners *scanners, pid_t pid,
		  void (*fn)(const struct scanners_view *view, void *userdata),
		  void *userdata)
{
	struct scanners_view view;
	int r = -ESRCH;

	for (int i = 0; i < SCANNERS_PROCESSES && r < 0; i++) {
		struct scanners_place *place = &scanners->places[i];

		pthread_mutex_lock(&place->lock);
		if (place->process && place->process->id.pid == pid) {
			fill_view(place->process, &view);
			fn(&view, userdata);
			r = 0;
		}
		pthread_mutex_unlock(&place->lock);
	}
	return r;
}
