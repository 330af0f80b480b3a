/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The janitor: a thread for what is done now and then, and for SIGUSR1. */
#ifndef MEMCGFS_JANITOR_H
#define MEMCGFS_JANITOR_H

#define JANITOR_MS 2000

struct janitor;

/* Both are called by its thread. */
struct janitor_config {
	void (*on_signal)(void *userdata);
	void (*on_tick)(void *userdata); /* each JANITOR_MS, and with signals */
	void *userdata;
};

/* To be called before there are threads: they inherit it. */
void janitor_block_signals(void);

int janitor_new(const struct janitor_config *config, struct janitor **out);
struct janitor *janitor_free(struct janitor *janitor);

#endif
