/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The metrics over HTTP, for Prometheus to scrape: GET /metrics, and nothing
 * else. One thread serves a few connections at a time, and waits for none of
 * them; the mount's work doesn't notice.
 */
#ifndef MEMCGFS_EXPORTER_H
#define MEMCGFS_EXPORTER_H

#include "httpd.h"
#include "stats.h"

struct exporter;

struct exporter_config {
	const struct httpd *httpd;
	/* Called by its thread; to be cleared with stats_clear(). */
	void (*report)(void *userdata, struct stats_snapshot *snapshot);
	void *userdata;
};

/* Listens at a bound socket, which it takes over, also on failure. */
int exporter_new(const struct exporter_config *config, int fd,
		 struct exporter **out);

/* Whoever is being served is cut off. */
struct exporter *exporter_free(struct exporter *exporter);

#endif
