// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The heart, 14: what scanners leave behind in an io=cached mount; see
 * charge_cached.h. There no close is seen, nor who finds a page that is there:
 * all that is known is what a scanner has missed, so that it wasn't there
 * before. He is given some of it to be at, the latest; what lies behind that
 * goes, be it of the same file or of another.
 */
#include "charge_priv.h"

#include "list.h"
#include "recharger.h"
#include "util.h"

/* All of them together. Readahead keeps below half of it. */
#define TRAIL_BYTES (UINT64_C(1) << 20)

/* A range that a scanner has missed; it holds the inode. */
struct trail_piece {
	struct list link;
	struct inode *inode;
	struct recharger_range range;
	uint64_t time_ns;
};

struct charge_trail {
	struct charge *charge;
	pthread_mutex_t lock; /* for all below */
	struct list pieces; /* the oldest first */
	uint64_t bytes;
};

int charge_trail_new(struct charge *charge, struct charge_trail **out)
{
	struct charge_trail *trail;

	trail = calloc(1, sizeof(*trail));
	if (!trail)
		return -ENOMEM;
	trail->charge = charge;
	pthread_mutex_init(&trail->lock, NULL);
	list_init(&trail->pieces);
	*out = trail;
	return 0;
}

/* The oldest piece, if it is older than that, or there is too much; or NULL. */
static struct trail_piece *take_old(struct charge_trail *trail,
				    uint64_t before_ns)
{
	struct trail_piece *piece = NULL;

	pthread_mutex_lock(&trail->lock);
	if (!list_empty(&trail->pieces))
		piece = container_of(trail->pieces.next, struct trail_piece,
				     link);
	if (piece &&
	    (piece->time_ns < before_ns || trail->bytes > TRAIL_BYTES)) {
		list_del(&piece->link);
		trail->bytes -= piece->range.length;
	} else {
		piece = NULL;
	}
	pthread_mutex_unlock(&trail->lock);
	return piece;
}

static void piece_free(struct charge_trail *trail, struct trail_piece *piece)
{
	inode_forget(trail->charge->table, piece->inode, 1);
	free(piece);
}

/* Whether anybody has opened the file of late who is no scanner. */
static bool is_used(struct charge *charge, struct inode *inode)
{
	bool is_there;

	inode_lock(charge->table, inode);
	is_there = account_file_last_user(&inode->pages->account);
	inode_unlock(charge->table, inode);
	return is_there;
}

/* His pages go; or become the host's, as any reader's, where others use them. */
static void drop(struct charge *charge, struct inode *inode,
		 struct recharger_range range)
{
	range.for_good = !is_used(charge, inode);
	if (range.for_good)
		stats_add(charge->stats, STATS_scan_dropped_bytes,
			  range.length);
	recharger_queue(charge->recharger, inode, &range);
}

void charge_trail_expire(struct charge_trail *trail, uint64_t before_ns)
{
	struct trail_piece *piece;

	while ((piece = take_old(trail, before_ns))) {
		drop(trail->charge, piece->inode, piece->range);
		piece_free(trail, piece);
	}
}

void charge_trail_add(struct charge_trail *trail, struct inode *inode,
		      uint64_t offset, uint64_t length)
{
	struct recharger_range range = { .offset = offset, .length = length };
	struct trail_piece *piece = calloc(1, sizeof(*piece));

	if (!piece) {
		drop(trail->charge, inode, range);
		return;
	}
	*piece = (struct trail_piece){
		.inode = inode,
		.range = range,
		.time_ns = now_ns(),
	};
	inode_ref(trail->charge->table, inode);
	pthread_mutex_lock(&trail->lock);
	list_add(trail->pieces.prev, &piece->link);
	trail->bytes += length;
	pthread_mutex_unlock(&trail->lock);
	charge_trail_expire(trail, 0);
}

struct charge_trail *charge_trail_free(struct charge_trail *trail)
{
	struct list *link;

	if (!trail)
		return NULL;
	while ((link = trail->pieces.next) != &trail->pieces) {
		list_del(link);
		piece_free(trail, container_of(link, struct trail_piece, link));
	}
	pthread_mutex_destroy(&trail->lock);
	free(trail);
	return NULL;
}
