// SPDX-License-Identifier: GPL-2.0-or-later
/* The heart, 6: making a file's pages resident, and the host's; see charge.h. */
#include "charge_priv.h"

#include "mirror.h"
#include "residency.h"
#include "util.h"

#include <stdatomic.h>
#include <sys/stat.h>

/* A claim that meets readers who are faster each time is left to the next. */
#define CLAIM_ROUNDS 4

struct shadow_moment charge_moment(const struct charge *charge,
				   struct host *host)
{
	return (struct shadow_moment){
		.reclaims = host_reclaims(host),
		/* A claim in the dark drops all: once is enough. */
		.time_s = charge->sees_owners ? now_s() : 0,
	};
}

int64_t charge_call_alone(struct charge *charge, struct inode *inode,
			  const struct binding *binding, struct ring_call *call)
{
	uint16_t turn;
	int64_t r;

	/* In turn: who probes a large file asks again at once. */
	pthread_mutex_lock(&charge->claim_lock);
	turn = inode->claims_begun++;
	while (inode->claims_ended != turn)
		pthread_cond_wait(&charge->claim_ended, &charge->claim_lock);
	pthread_mutex_unlock(&charge->claim_lock);
	r = charge_call(charge, binding, call);
	pthread_mutex_lock(&charge->claim_lock);
	inode->claims_ended++;
	pthread_cond_broadcast(&charge->claim_ended);
	pthread_mutex_unlock(&charge->claim_lock);
	return r;
}

int64_t charge_call_claim(struct charge *charge, struct inode *inode,
			  struct ring_call *call)
{
	return charge_call_alone(charge, inode, binding_of(charge, inode),
				 call);
}

/*
 * Why pages stayed another's, for who asks; it is tried again. Or that none
 * did.
 */
static void note_residue(struct charge *charge, struct inode *inode,
			 const struct ring_call *call)
{
	bool is_watched = call->residue_pages && charge->sees_owners;

	inode_lock(charge->table, inode);
	inode->residue_flags = (uint8_t)call->residue_flags;
	inode->is_watched |= is_watched;
	inode_unlock(charge->table, inode);
	if (is_watched)
		charge_expose(charge, inode);
	if (!call->residue_pages)
		charge_keep_map(charge, inode, NULL);
}

void charge_note_dropped(struct charge *charge, struct inode *inode,
			 uint64_t pages)
{
	stats_add(charge->stats, STATS_claims, 1);
	stats_add(charge->stats, STATS_claimed_pages, pages);
	if (pages)
		charge_tell(charge, inode,
			    (struct event){ .kind = EVENT_claim,
					    .bytes = pages * page_bytes() });
}

/* How many pages it dropped, or -errno; @found is what is there after it. */
static int64_t claim(struct charge *charge, const struct backing *backing,
		     uint64_t size_bytes, struct residency_found *found)
{
	struct ring_call call = {
		.op = RING_CLAIM,
		.fd = backing_read_fd(backing),
		.length = size_bytes,
	};
	uint64_t dropped;
	int64_t r;

	r = charge_call_claim(charge, backing->inode, &call);
	if (r < 0)
		return r;
	dropped = call.foreign_pages - call.residue_pages;
	stats_add(charge->stats, STATS_residue_pages, call.residue_pages);
	note_residue(charge, backing->inode, &call);
	charge_note_dropped(charge, backing->inode, dropped);
	if (call.residue_pages)
		charge_tell(charge, backing->inode,
			    (struct event){ .kind = EVENT_residue,
					    .bytes = call.residue_pages *
						     page_bytes(),
					    .reason = residency_reason(
						    call.residue_flags) });
	found->resident_pages = call.resident_pages;
	found->foreign_pages = call.residue_pages;
	return (int64_t)dropped;
}

int charge_range(struct charge *charge, const struct binding *binding,
		 const struct backing *backing, uint64_t offset,
		 uint64_t length)
{
	struct ring_call call = {
		.op = RING_AHEAD,
		.fd = backing_read_fd(backing),
		.offset = offset,
		.length = length,
	};
	struct charge_memory memory;
	int64_t r;

	r = charge_take_memory(charge, backing->inode, &call, &memory);
	if (r < 0)
		return (int)r;
	r = charge_call(charge, binding, &call);
	charge_give_memory(&memory);
	if (r == 0)
		stats_add(charge->stats, STATS_ahead_bytes, length);
	return (int)r;
}

/*
 * What was found and done for a host holds only as long as the inode is bound
 * to that host: whoever binds it to another does so under the same lock.
 */
static void set_shadow(struct charge *charge, struct inode *inode,
		       struct host *host, uint64_t size_bytes,
		       const struct residency_found *found,
		       const struct shadow_moment *now)
{
	/* In the dark the books know of no others. */
	uint64_t foreign = charge->sees_owners ? found->foreign_pages : 0;

	inode_lock(charge->table, inode);
	if (binding_of(charge, inode)->host == host) {
		shadow_set(&inode->pages->shadow, pages_of(size_bytes),
			   found->resident_pages, now);
		charge_note_owned(inode, host,
				  found->resident_pages * page_bytes(),
				  foreign * page_bytes());
	}
	inode_unlock(charge->table, inode);
}

/*
 * One round of it. What it dropped may be brought back by a reader before the
 * charger does, or be dropped by another claim at the same time: so many
 * pages are to be looked at again. Or -errno.
 */
static int64_t ahead_once(struct charge *charge, struct backing *backing,
			  uint64_t size_bytes, enum shadow_need need,
			  struct residency_found *found)
{
	const struct binding *binding = binding_of(charge, backing->inode);
	int64_t dropped = 0;
	int r;

	if (need == SHADOW_NEEDS_CLAIM)
		dropped = claim(charge, backing, size_bytes, found);
	if (dropped < 0 || found->resident_pages + found->foreign_pages >=
				   pages_of(size_bytes))
		return dropped;
	r = charge_range(charge, binding, backing, 0, size_bytes);
	return r < 0 ? r : dropped;
}

int charge_ahead(struct charge *charge, struct backing *backing,
		 uint64_t size_bytes, enum shadow_need need)
{
	struct host *host = binding_of(charge, backing->inode)->host;
	/* In the dark each round drops all, and learns nothing of it. */
	int rounds = charge->sees_owners ? CLAIM_ROUNDS : 1;
	uint64_t pages = pages_of(size_bytes), doubtful = 0;
	struct residency_found end = { 0 };
	struct shadow_moment now;
	int64_t dropped = 1;

	if (!host)
		return -EHOSTDOWN;
	now = charge_moment(charge, host);
	for (int i = 0; i < rounds && dropped; i++) {
		struct residency_found found = { 0 };

		dropped = ahead_once(charge, backing, size_bytes, need, &found);
		if (dropped < 0)
			return (int)dropped;
		doubtful = found.foreign_pages;
		if (charge->sees_owners)
			doubtful += (uint64_t)dropped;
	}
	end.foreign_pages = doubtful;
	end.resident_pages = pages > doubtful ? pages - doubtful : 0;
	set_shadow(charge, backing->inode, host, size_bytes, &end, &now);
	return 0;
}

int charge_claim(struct charge *charge, struct backing *backing,
		 uint64_t size_bytes)
{
	const struct binding *binding = binding_of(charge, backing->inode);
	struct residency_found found = { 0 };
	struct shadow_moment now;
	int64_t dropped;

	if (!binding->host)
		return -EHOSTDOWN;
	now = charge_moment(charge, binding->host);
	dropped = claim(charge, backing, size_bytes, &found);
	if (dropped < 0)
		return (int)dropped;
	set_shadow(charge, backing->inode, binding->host, size_bytes, &found,
		   &now);
	return 0;
}

int64_t charge_see(struct charge *charge, struct backing *backing,
		   uint64_t size_bytes, uint64_t *resident_pages)
{
	struct host *host = binding_of(charge, backing->inode)->host;
	struct residency_found found;
	struct shadow_moment now = charge_moment(charge, host);
	int r;

	r = charge_look_quickly(charge, backing, &found);
	if (r < 0)
		return r;
	set_shadow(charge, backing->inode, host, size_bytes, &found, &now);
	*resident_pages = found.resident_pages + found.foreign_pages;
	return (int64_t)found.foreign_pages;
}

uint64_t charge_room(struct charge *charge, struct host *host,
		     struct backing *backing)
{
	uint64_t own;

	inode_lock(charge->table, backing->inode);
	own = backing->reserved.host == host ? backing->reserved.bytes : 0;
	inode_unlock(charge->table, backing->inode);
	return host_room(host) + own;
}

/* Half of its pages there: who uses it wants all of them back. */
static bool is_in_use(uint64_t resident, uint64_t size_bytes)
{
	return resident && resident >= pages_of(size_bytes) / 2;
}

/* Nothing is there: no page is another's, for who asks and for the books. */
static void note_empty(struct charge *charge, const struct backing *backing)
{
	note_residue(charge, backing->inode, &(struct ring_call){ 0 });
	charge_count(charge, backing);
}

int64_t charge_settle(struct charge *charge, struct backing *backing,
		      bool refill, uint64_t dropped_pages)
{
	return charge->place->settle(charge, backing, refill, dropped_pages);
}

static int64_t settle(struct charge *charge, struct backing *backing,
		      bool refill, uint64_t dropped_pages)
{
	const struct binding *binding = binding_of(charge, backing->inode);
	uint64_t resident, size_bytes, owned;
	struct stat st;
	int r;

	if (!binding->host)
		return 0;
	if (fstat(backing_read_fd(backing), &st) < 0)
		return -errno;
	size_bytes = (uint64_t)st.st_size;
	r = residency_count_file(backing_read_fd(backing), size_bytes,
				 &resident);
	if (r < 0)
		return r;
	if (!resident && !dropped_pages) {
		note_empty(charge, backing);
		return 0;
	}
	/* Clients of io=cached have pages of their own. */
	if (refill && !charge->recharger &&
	    is_in_use(resident + dropped_pages, size_bytes) &&
	    size_bytes <= charge_room(charge, binding->host, backing))
		r = charge_ahead(charge, backing, size_bytes,
				 SHADOW_NEEDS_CLAIM);
	else
		r = charge_claim(charge, backing, size_bytes);
	if (r < 0)
		return r;
	inode_lock(charge->table, backing->inode);
	owned = backing->inode->pages->shadow.owned_pages;
	inode_unlock(charge->table, backing->inode);
	r = residency_count_file(backing_read_fd(backing), size_bytes,
				 &resident);
	return r < 0 ? r : resident > owned ? (int64_t)(resident - owned) : 0;
}

static void get_pages(struct charge *charge, const struct backing *backing,
		      struct charge_pages *pages)
{
	(void)charge;
	*pages = (struct charge_pages){
		.fds = { backing_read_fd(backing) },
		.n = 1,
		.own_fd = -1,
	};
}

const struct charge_place charge_in_backing = {
	.get_pages = get_pages,
	.settle = settle,
};

void charge_put_pages(struct charge *charge, struct charge_pages *pages)
{
	if (pages->own_fd >= 0)
		pages->own_fd = mirror_close(charge->mirror, pages->own_fd);
}

int charge_count_pages(struct charge *charge, const struct backing *backing,
		       uint64_t size_bytes, uint64_t *resident)
{
	struct charge_pages pages;
	uint64_t n, sum = 0;
	int r = 0;

	charge_get_pages(charge, backing, &pages);
	for (unsigned int i = 0; i < pages.n && r == 0; i++) {
		r = residency_count_file(pages.fds[i], size_bytes, &n);
		sum += r == 0 ? n : 0;
	}
	charge_put_pages(charge, &pages);
	if (r == 0)
		*resident = sum;
	return r;
}

/* Open by others than the caller. */
static bool is_shared(struct charge *charge, const struct backing *backing)
{
	bool is_shared;

	inode_lock(charge->table, backing->inode);
	is_shared = backing->opens > 1;
	inode_unlock(charge->table, backing->inode);
	return is_shared;
}

int64_t charge_move(struct charge *charge, struct inode *inode)
{
	struct backing *backing;
	int64_t r;

	charge_unpin_unwanted(charge, inode);
	r = backing_open(charge->table, inode, false, false, &backing);
	if (r < 0)
		return r;
	stats_add(charge->stats, STATS_moves, 1);
	/* Who has it open may have got it when nothing was enforced. */
	if (is_shared(charge, backing))
		charge_expose(charge, inode);
	r = charge_settle(charge, backing, true, 0);
	if (r == 0)
		r = charge_pin(charge, backing);
	charge_close_backing(charge, backing);
	return r;
}

void charge_refill(struct charge *charge, struct backing *backing,
		   bool readable)
{
	const struct binding *binding = binding_of(charge, backing->inode);
	int fd = backing_read_fd(backing);
	uint64_t size_bytes, resident;
	struct stat st;

	readable |= is_shared(charge, backing);
	/* Else clients have the backing neither mapped nor passed through. */
	if (charge->place != &charge_in_backing)
		return;
	if (!binding->host || !readable || fstat(fd, &st) < 0)
		return;
	size_bytes = (uint64_t)st.st_size;
	atomic_store_explicit(&backing->end_bytes, size_bytes,
			      memory_order_relaxed);
	if (size_bytes > binding->rule.ahead_bytes ||
	    size_bytes > charge_room(charge, binding->host, backing)) {
		stats_add(charge->stats, STATS_unsafe_maps, 1);
		return;
	}
	if (residency_count_file(fd, size_bytes, &resident) == 0 &&
	    resident >= pages_of(size_bytes))
		return;
	if (charge_ahead(charge, backing, size_bytes, SHADOW_NEEDS_PAGES) < 0)
		stats_add(charge->stats, STATS_unsafe_maps, 1);
}
