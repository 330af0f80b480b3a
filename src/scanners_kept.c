// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Processes that may be scanners, 2: the files that are held of who isn't known
 * yet to be one; see scanners.h.
 */
#include "scanners_priv.h"

#include "util.h"

#include <string.h>

static void let_go(struct scanners *scanners, struct scanners_kept *kept)
{
	for (uint32_t i = 0; kept && i < kept->count; i++)
		inode_forget(scanners->config.table, kept->files[i].inode, 1);
	free(kept);
}

/* What a scanner has brought in before it was seen to be one. */
void scanners_spare_kept(struct scanners *scanners, struct scanners_kept *kept)
{
	const struct scanners_config *config = &scanners->config;

	for (uint32_t i = 0; kept && config->spare && i < kept->count; i++)
		config->spare(config->userdata, kept->files[i].inode,
			      &kept->files[i].before);
	let_go(scanners, kept);
}

struct scanners_kept *scanners_take_kept(struct scanners *scanners,
					 struct scanners_process *process)
{
	struct scanners_kept *kept = steal_ptr(&process->kept);

	if (kept)
		atomic_fetch_sub_explicit(&scanners->keepers, 1,
					  memory_order_release);
	return kept;
}

void scanners_throw_away(struct scanners *scanners, struct scanners_kept *kept)
{
	if (!kept)
		return;
	pthread_mutex_lock(&scanners->trash_lock);
	kept->next = scanners->trash;
	scanners->trash = kept;
	pthread_mutex_unlock(&scanners->trash_lock);
}

void scanners_empty_trash(struct scanners *scanners)
{
	struct scanners_kept *trash, *next;

	pthread_mutex_lock(&scanners->trash_lock);
	trash = steal_ptr(&scanners->trash);
	pthread_mutex_unlock(&scanners->trash_lock);
	for (; trash; trash = next) {
		next = trash->next;
		let_go(scanners, trash);
	}
}

static struct scanners_kept *kept_of(struct scanners *scanners,
				     struct scanners_process *process)
{
	if (!process->kept) {
		process->kept = calloc(1, sizeof(*process->kept));
		if (process->kept)
			atomic_fetch_add_explicit(&scanners->keepers, 1,
						  memory_order_release);
	}
	return process->kept;
}

struct inode *scanners_keep(struct scanners *scanners,
			    struct scanners_process *process,
			    struct inode *inode,
			    const struct scanners_before *before)
{
	struct scanners_kept_file file = { inode, *before };
	struct scanners_kept *kept = kept_of(scanners, process);
	struct inode *old;

	if (!kept)
		return inode;
	if (kept->count < SCANNERS_KEPT) {
		kept->files[kept->count++] = file;
		return NULL;
	}
	old = kept->files[0].inode;
	memmove(kept->files, kept->files + 1,
		(SCANNERS_KEPT - 1) * sizeof(file));
	kept->files[SCANNERS_KEPT - 1] = file;
	return old;
}

/* How many times it was kept, which the caller is to forget. */
static uint32_t unkeep(struct scanners_kept *kept, const struct inode *inode)
{
	uint32_t left = 0, gone;

	for (uint32_t i = 0; i < kept->count; i++)
		if (kept->files[i].inode != inode)
			kept->files[left++] = kept->files[i];
	gone = kept->count - left;
	kept->count = left;
	return gone;
}

static uint32_t unkeep_in(struct scanners_place *place,
			  const struct inode *inode)
{
	uint32_t gone = 0;

	pthread_mutex_lock(&place->lock);
	if (place->process && place->process->kept)
		gone = unkeep(place->process->kept, inode);
	pthread_mutex_unlock(&place->lock);
	return gone;
}

void scanners_let_go(struct scanners *scanners, struct inode *inode)
{
	uint32_t gone = 0;

	if (!atomic_load_explicit(&scanners->keepers, memory_order_acquire))
		return;
	for (int i = 0; i < SCANNERS_PROCESSES; i++)
		gone += unkeep_in(&scanners->places[i], inode);
	if (gone)
		inode_forget(scanners->config.table, inode, gone);
}
