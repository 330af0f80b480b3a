// SPDX-License-Identifier: GPL-2.0-or-later
/* Giving the host what readers were charged for; see recharger.h. */
#include "recharger.h"

#include "charge_cached.h"
#include "charge_priv.h"
#include "inode_place.h"
#include "list.h"
#include "log.h"
#include "ranges.h"
#include "residency.h"
#include "util.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

/*
 * The reader is to have his data first: who finds them gone asks again. And
 * what comes together is one piece of work.
 */
#define DELAY_NS (UINT64_C(10) * 1000000)
#define MAX_DELAY_NS (UINT64_C(160) * 1000000)
/* So long without a write, a file isn't being written. */
#define QUIET_MS 300

/* What is to be recharged of an inode, which it holds. */
struct recharge {
	struct list link;
	struct inode *inode;
	struct ranges lent; /* they come back as the host's */
	struct ranges gone; /* for good */
	uint64_t delay_ns; /* so long after the first was queued */
	uint64_t due_ns;
};

struct recharger {
	struct charge *charge;
	struct mirror *mirror;
	pthread_t thread;
	int wake_fd;
	/* The thread's own; GCC reads them with what is beside them. */
	bool has_mirror;
	bool lacks_mirror; /* it can't be had */
	pthread_mutex_t lock; /* for all below, and each queued recharge */
	struct list queue; /* of recharges */
	bool is_stopping;
	bool is_awake; /* the thread will look at the queue by itself */
	atomic_bool has_begun;
};

/* -- the queue -- */

static struct recharge *recharge_new(struct recharger *recharger,
				     struct inode *inode)
{
	struct recharge *recharge;

	recharge = calloc(1, sizeof(*recharge));
	if (!recharge)
		return NULL;
	recharge->inode = inode;
	recharge->delay_ns = DELAY_NS;
	list_init(&recharge->link);
	inode_ref(recharger->charge->table, inode);
	return recharge;
}

static void recharge_free(struct recharger *recharger,
			  struct recharge *recharge)
{
	if (!recharge)
		return;
	ranges_clear(&recharge->lent);
	ranges_clear(&recharge->gone);
	inode_forget(recharger->charge->table, recharge->inode, 1);
	free(recharge);
}

/* Under the lock: whether the thread is to be woken. */
static bool enqueue(struct recharger *recharger, struct recharge *recharge)
{
	bool was_awake = recharger->is_awake;

	recharge->due_ns = now_ns() + recharge->delay_ns;
	recharge->inode->pages->cached->recharge = recharge;
	list_add(recharger->queue.prev, &recharge->link);
	recharger->is_awake = true;
	return !was_awake;
}

/* What can't be remembered for want of memory stays the reader's. */
static void add(struct recharger *recharger, struct ranges *ranges,
		const struct range *range)
{
	int64_t added = ranges_add(ranges, range->first, range->end);

	if (added > 0)
		stats_add(recharger->charge->stats, STATS_reader_pages,
			  (uint64_t)added);
}

static void add_all(struct recharger *recharger, struct ranges *ranges,
		    const struct ranges *more)
{
	for (size_t i = 0; i < more->n; i++)
		add(recharger, ranges, &more->items[i]);
}

void recharger_begin(struct recharger *recharger)
{
	atomic_store(&recharger->has_begun, true);
	eventfd_write(recharger->wake_fd, 1);
}

void recharger_queue(struct recharger *recharger, struct inode *inode,
		     const struct recharger_range *range)
{
	struct recharge *spare = recharge_new(recharger, inode);
	struct range pages = {
		.first = range->offset / page_bytes(),
		.end = pages_of(range->offset + range->length),
	};
	struct recharge *recharge;
	bool wakes = false;

	pthread_mutex_lock(&recharger->lock);
	recharge = inode->pages->cached->recharge;
	if (!recharge && spare) {
		recharge = steal_ptr(&spare);
		wakes = enqueue(recharger, recharge);
	}
	if (recharge)
		add(recharger,
		    range->for_good ? &recharge->gone : &recharge->lent,
		    &pages);
	pthread_mutex_unlock(&recharger->lock);
	recharge_free(recharger, spare);
	if (wakes)
		eventfd_write(recharger->wake_fd, 1);
}

/* The first that is due by now; else NULL, and when to look again. */
static struct recharge *take_due(struct recharger *recharger, int *wait_ms)
{
	struct recharge *recharge;
	uint64_t next_ns = 0;
	struct list *link;
	uint64_t now = now_ns();

	*wait_ms = -1;
	for (link = recharger->queue.next; link != &recharger->queue;
	     link = link->next) {
		recharge = container_of(link, struct recharge, link);
		if (recharge->due_ns <= now) {
			list_del(&recharge->link);
			recharge->inode->pages->cached->recharge = NULL;
			return recharge;
		}
		if (!next_ns || recharge->due_ns < next_ns)
			next_ns = recharge->due_ns;
	}
	recharger->is_awake = next_ns;
	if (next_ns)
		*wait_ms = (int)((next_ns - now) / 1000000 + 1);
	return NULL;
}

/* -- a recharge -- */

/*
 * To be told to drop them, the client's kernel drops pages that are being
 * written at that moment, too (Linux 6.18): who reads them in again before the
 * write has come has what was there before. So it is told only of files that
 * nobody writes.
 */
static bool is_quiet(struct recharger *recharger, struct inode *inode)
{
	struct inode_table *table = recharger->charge->table;
	struct inode_cached *cached = inode->pages->cached;
	bool is_quiet;

	inode_lock(table, inode);
	is_quiet = !cached->changes && now_ms() - cached->changed_ms > QUIET_MS;
	inode_unlock(table, inode);
	return is_quiet;
}

/*
 * How many pages are left of the range. Most can be dropped as by anybody who
 * has the file open, which leaves alone what is being written or read; those
 * that are mapped are left by that, too.
 */
static uint64_t drop_range(struct recharger *recharger,
			   const struct recharge *recharge, int fd,
			   const struct range *range)
{
	uint64_t offset = range->first * page_bytes();
	uint64_t length = (range->end - range->first) * page_bytes();
	uint64_t left = range->end - range->first;

	if (fd >= 0) {
		posix_fadvise(fd, (off_t)offset, (off_t)length,
			      POSIX_FADV_DONTNEED);
		residency_count(fd, offset, length, &left);
	}
	if (!left || !is_quiet(recharger, recharge->inode))
		return left;
	mirror_drop(recharger->charge->fuse_fd, (uintptr_t)recharge->inode,
		    offset, length);
	left = 0;
	if (fd >= 0)
		residency_count(fd, offset, length, &left);
	return left;
}

/* Those ranges that have pages left stay in the set, the others go. */
static void drop_ranges(struct recharger *recharger,
			const struct recharge *recharge, int fd,
			const struct ranges *ranges, struct ranges *left)
{
	struct charge *charge = recharger->charge;
	uint64_t pages = ranges_pages(ranges), stuck = 0, n;

	for (size_t i = 0; i < ranges->n; i++) {
		n = drop_range(recharger, recharge, fd, &ranges->items[i]);
		if (n)
			ranges_add(left, ranges->items[i].first,
				   ranges->items[i].end);
		stuck += n;
	}
	stats_add(charge->stats, STATS_reader_pages, -pages);
	stats_add(charge->stats, STATS_stuck_pages, stuck);
	stats_add(charge->stats, STATS_recharged_pages,
		  pages > stuck ? pages - stuck : 0);
}

static void fill_ranges(struct recharger *recharger,
			const struct recharge *recharge, int fd)
{
	const struct binding *binding =
		binding_of(recharger->charge, recharge->inode);

	if (!binding->host || !charge_can_ask(host_charger(binding->host)))
		return;
	for (size_t i = 0; i < recharge->lent.n; i++) {
		const struct range *range = &recharge->lent.items[i];
		struct ring_call call = {
			.op = RING_FILL,
			.fd = fd,
			.fd2 = -1, /* it has been read already */
			.offset = range->first * page_bytes(),
			.length = (range->end - range->first) * page_bytes(),
		};

		charge_call(recharger->charge, binding, &call);
	}
}

/*
 * Pages that stayed, being used at that moment, are tried again, later each
 * time, or with what has come meanwhile.
 */
static void requeue(struct recharger *recharger, struct recharge *recharge)
{
	struct inode *inode = recharge->inode;
	struct recharge *queued;

	recharge->delay_ns = 2 * recharge->delay_ns < MAX_DELAY_NS ?
				     2 * recharge->delay_ns :
				     MAX_DELAY_NS;
	pthread_mutex_lock(&recharger->lock);
	queued = inode->pages->cached->recharge;
	if (queued) {
		add_all(recharger, &queued->lent, &recharge->lent);
		add_all(recharger, &queued->gone, &recharge->gone);
	} else {
		stats_add(recharger->charge->stats, STATS_reader_pages,
			  ranges_pages(&recharge->lent) +
				  ranges_pages(&recharge->gone));
		enqueue(recharger, steal_ptr(&recharge));
	}
	pthread_mutex_unlock(&recharger->lock);
	recharge_free(recharger, recharge);
}

/* An ordinary user can't have the mirror, but open what he may read. */
static int open_pages(struct recharger *recharger, struct inode *inode)
{
	char path[INODE_PATH_MAX];

	if (recharger->has_mirror)
		return mirror_open(recharger->mirror, (uintptr_t)inode);
	if (!recharger->lacks_mirror ||
	    inode_path(recharger->charge->table, inode, path) < 0)
		return -ENODEV;
	return mirror_open_path(recharger->mirror, (uintptr_t)inode, path);
}

static void run(struct recharger *recharger, struct recharge *recharge)
{
	int fd = open_pages(recharger, recharge->inode);
	struct ranges lent = { 0 }, gone = { 0 };
	struct backing *backing;

	backing = charge_cached_begin_recharge(recharger->charge,
					       recharge->inode);
	drop_ranges(recharger, recharge, fd, &recharge->lent, &lent);
	drop_ranges(recharger, recharge, fd, &recharge->gone, &gone);
	if (fd >= 0)
		fill_ranges(recharger, recharge, fd);
	mirror_close(recharger->mirror, fd);
	charge_cached_end_recharge(recharger->charge, backing);
	/* It was kept for the next write, that hasn't come. */
	backing_drop_writer(recharger->charge->table, recharge->inode);
	ranges_clear(&recharge->lent);
	ranges_clear(&recharge->gone);
	recharge->lent = lent;
	recharge->gone = gone;
	if (lent.n || gone.n)
		requeue(recharger, recharge);
	else
		recharge_free(recharger, recharge);
}

/* -- the thread -- */

static void begin_mirror(struct recharger *recharger)
{
	dev_t device = inode_table_excluded(recharger->charge->table);
	int r;

	if (recharger->has_mirror || recharger->lacks_mirror ||
	    !atomic_load(&recharger->has_begun))
		return;
	r = mirror_begin(recharger->mirror, device);
	recharger->has_mirror = r == 0;
	recharger->lacks_mirror = r < 0;
	if (r < 0)
		log_warning("the mount's own pages are reached by path alone "
			    "(%s): they are kept as far as this user may read "
			    "them",
			    strerror(-r));
}

static bool is_stopping(struct recharger *recharger)
{
	bool is_stopping;

	pthread_mutex_lock(&recharger->lock);
	is_stopping = recharger->is_stopping;
	pthread_mutex_unlock(&recharger->lock);
	return is_stopping;
}

static void wait_for_work(struct recharger *recharger, int ms)
{
	struct pollfd pfds[] = {
		{ .fd = recharger->wake_fd, .events = POLLIN },
		{ .fd = mirror_poll_fd(recharger->mirror), .events = POLLPRI },
	};
	eventfd_t count;

	if (poll(pfds, ARRAY_SIZE(pfds), ms) <= 0)
		return;
	if (pfds[0].revents)
		eventfd_read(recharger->wake_fd, &count);
	if (pfds[1].revents && recharger->has_mirror)
		recharger->has_mirror = mirror_see(recharger->mirror);
}

static void *recharger_main(void *arg)
{
	struct recharger *recharger = arg;
	struct recharge *recharge;
	int ms;

	while (!is_stopping(recharger)) {
		pthread_mutex_lock(&recharger->lock);
		recharge = take_due(recharger, &ms);
		pthread_mutex_unlock(&recharger->lock);
		begin_mirror(recharger);
		if (recharge) {
			run(recharger, recharge);
			ms = 0;
		}
		wait_for_work(recharger, ms);
	}
	return NULL;
}

int recharger_new(const struct recharger_config *config, struct recharger **out)
{
	struct recharger *recharger;
	int r = 0;

	recharger = calloc(1, sizeof(*recharger));
	if (!recharger)
		return -ENOMEM;
	recharger->charge = config->charge;
	recharger->mirror = config->mirror;
	list_init(&recharger->queue);
	pthread_mutex_init(&recharger->lock, NULL);
	recharger->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (recharger->wake_fd < 0)
		r = -errno;
	if (r == 0)
		r = -pthread_create(&recharger->thread, NULL, recharger_main,
				    recharger);
	if (r < 0) {
		close_fd(recharger->wake_fd);
		free(recharger);
		return r;
	}
	*out = recharger;
	return 0;
}

struct recharger *recharger_free(struct recharger *recharger)
{
	struct list *link;

	if (!recharger)
		return NULL;
	pthread_mutex_lock(&recharger->lock);
	recharger->is_stopping = true;
	pthread_mutex_unlock(&recharger->lock);
	eventfd_write(recharger->wake_fd, 1);
	pthread_join(recharger->thread, NULL);
	while ((link = recharger->queue.next) != &recharger->queue) {
		list_del(link);
		recharge_free(recharger,
			      container_of(link, struct recharge, link));
	}
	close_fd(recharger->wake_fd);
	pthread_mutex_destroy(&recharger->lock);
	free(recharger);
	return NULL;
}
