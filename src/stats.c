// SPDX-License-Identifier: GPL-2.0-or-later
/* What the daemon counts, and the report of it; see stats.h. */
#include "stats.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
	const char *name;
	const char *meaning;
} counters[] = {
#define X(name, meaning) { #name, meaning },
	STATS_COUNTERS(X)
#undef X
};

void stats_copy(const struct stats *stats, struct stats_snapshot *snapshot)
{
	for (int i = 0; i < STATS_COUNT; i++)
		snapshot->counters[i] = atomic_load_explicit(
			&stats->counters[i], memory_order_relaxed);
}

/* A string that grows as far as its buffer goes. */
struct text {
	char *buf;
	size_t size;
	size_t len;
};

static __attribute__((format(printf, 2, 3))) void text_add(struct text *text,
							   const char *fmt, ...)
{
	va_list ap;
	int n;

	if (text->len >= text->size)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text->buf + text->len, text->size - text->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		text->len += (size_t)n;
}

void stats_render_text(const struct stats_snapshot *snapshot, char *buf,
		       size_t size)
{
	struct text text = { .buf = buf, .size = size };

	text_add(&text, "source %s\ntarget %s\nhost %s%s\n", snapshot->source,
		 snapshot->target, snapshot->host,
		 snapshot->host_is_down ? " (down)" : "");
	text_add(&text,
		 "usage %" PRIu64 "\ninodes %" PRIu64 "\ncharger_restarts %u\n",
		 snapshot->host_usage_bytes, snapshot->inodes,
		 snapshot->charger_restarts);
	for (int i = 0; i < STATS_COUNT; i++)
		text_add(&text, "%s %" PRIu64 " (%s)\n", counters[i].name,
			 snapshot->counters[i], counters[i].meaning);
}
