/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A snapshot as text for Prometheus: its "Exposition formats", version 0.0.4.
 * The names are documented in memcgfsctl(1).
 */
#ifndef MEMCGFS_METRICS_H
#define MEMCGFS_METRICS_H

#include "stats.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* A string to be freed; NULL: no memory. */
char *metrics_render(const struct stats_snapshot *snapshot);

#endif
