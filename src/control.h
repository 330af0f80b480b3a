/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket, by which memcgfsctl speaks to a running mount.
 *
 * It is a stream socket in the abstract namespace, so that nothing is left of
 * it after any death, called "memcgfs/MAJOR:MINOR" for the mount's device
 * number. A connection is one request, a JSON object on a line, {"verb": ...,
 * "path": ...}, and one answer: a JSON object with "version" and what the
 * verb gives, or "error", a text.
 *
 * Any user may ask for the status, and for files that he may read; root and
 * the mount's owner alone may change anything. Who he is, the kernel says
 * (SO_PEERCRED; unix(7)).
 */
#ifndef MEMCGFS_CONTROL_H
#define MEMCGFS_CONTROL_H

#include "report.h"

#define CONTROL_VERSION 1

struct control;

struct control_config {
	struct report_source report;
	struct charge *charge;
	/* Reads the mount's rules again; -errno, and the reason is told. */
	int (*reload)(void *userdata, char reason[RULEFILE_REASON_MAX]);
	void *userdata;
};

/* Begins to listen, when the mount is there. */
int control_new(const struct control_config *config, struct control **out);
struct control *control_free(struct control *control);

#endif
