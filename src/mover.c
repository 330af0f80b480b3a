// SPDX-License-Identifier: GPL-2.0-or-later
/* The background's work on rules; see mover.h. */
#include "mover.h"

#include "log.h"
#include "rulefile.h"
#include "util.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <linux/magic.h>
#include <sys/inotify.h>
#include <sys/vfs.h>

#define FIRST_RETRY_NS (500 * UINT64_C(1000000))
#define SWEEP_NS (30 * UINT64_C(1000000000))
#define LAST_RETRY_NS (60 * UINT64_C(1000000000))
#define WATCHED \
	(IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF)

/*
 * What an inode's "move" says. The thread goes from asked to waiting before it
 * tries, and from there to none after it: who asks meanwhile isn't missed.
 */
enum {
	MOVE_NONE,
	MOVE_WAITING, /* it is in one of the lists, once */
	MOVE_ASKED, /* the same, and is to be tried at once */
};

/* A file whose pages are to be moved, which holds a lookup of its inode. */
struct move {
	struct list link;
	struct inode *inode;
	uint64_t next_ns; /* not before */
	uint64_t delay_ns; /* until the try after that */
};

struct mover {
	struct mover_config config;
	pthread_t thread;
	bool is_running;
	int watch_fd; /* inotify */
	/*
	 * Set before the first watch: the thread hears of an event from the
	 * kernel alone, and by this knows what was written before it.
	 */
	atomic_bool is_watching;
	int wake_fd;
	atomic_bool sweep;
	atomic_bool stopping;
	pthread_mutex_t lock; /* for fresh */
	struct list fresh; /* queued, and not seen by the thread yet */
	struct list waiting; /* the thread's own */
};

/* -- moving -- */

static void move_free(struct mover *mover, struct move *move)
{
	list_del(&move->link);
	inode_forget(mover->config.table, move->inode, 1);
	free(move);
}

static void free_all(struct mover *mover, struct list *moves)
{
	struct move *move;

	while (!list_empty(moves)) {
		move = container_of(moves->next, struct move, link);
		atomic_store(&move->inode->move, MOVE_NONE);
		move_free(mover, move);
	}
}

/* Takes over what is queued. */
static void take_fresh(struct mover *mover)
{
	struct move *move;

	for (;;) {
		pthread_mutex_lock(&mover->lock);
		if (list_empty(&mover->fresh)) {
			pthread_mutex_unlock(&mover->lock);
			return;
		}
		move = container_of(mover->fresh.next, struct move, link);
		list_del(&move->link);
		pthread_mutex_unlock(&mover->lock);
		list_add(&mover->waiting, &move->link);
	}
}

static bool is_due(struct move *move)
{
	if (atomic_load(&move->inode->move) == MOVE_ASKED) {
		move->delay_ns = FIRST_RETRY_NS;
		return true;
	}
	return move->next_ns <= now_ns();
}

/* One try: whether it is to be tried again. */
static bool try_move(struct mover *mover, struct move *move)
{
	unsigned char waiting = MOVE_WAITING;
	int64_t residue;

	atomic_store(&move->inode->move, MOVE_WAITING);
	residue = charge_move(mover->config.charge, move->inode);
	if (residue == 0 || residue == -ESTALE || residue == -ENOENT) {
		move->next_ns = 0;
		return !atomic_compare_exchange_strong(&move->inode->move,
						       &waiting, MOVE_NONE);
	}
	move->next_ns = now_ns() + move->delay_ns;
	if (move->delay_ns < LAST_RETRY_NS)
		move->delay_ns *= 2;
	return true;
}

/* Makes what is due; gives when the next one is. */
static uint64_t make_moves(struct mover *mover)
{
	struct list *link = mover->waiting.next;
	uint64_t next_ns = UINT64_MAX;
	struct move *move;

	while (link != &mover->waiting && !atomic_load(&mover->stopping)) {
		move = container_of(link, struct move, link);
		link = link->next;
		if (is_due(move) && !try_move(mover, move)) {
			move_free(mover, move);
			continue;
		}
		if (move->next_ns < next_ns)
			next_ns = move->next_ns;
	}
	return next_ns;
}

/* -- looking through -- */

static bool may_have_pages(const struct inode *inode)
{
	return S_ISREG(inode->type) &&
	       (inode->backing ||
		(inode->pages &&
		 (inode->pages->shadow.known ||
		  account_file_resident(&inode->pages->account))) ||
		atomic_load_explicit(&inode->binding, memory_order_relaxed));
}

static void sweep(struct mover *mover)
{
	struct inode_table *table = mover->config.table;
	struct inode **found;
	unsigned int part = 0;
	size_t count;

	while (inode_table_next(table, &part, may_have_pages, &found, &count)) {
		for (size_t i = 0; i < count; i++) {
			mover->config.on_sweep(mover->config.userdata,
					       found[i]);
			inode_forget(table, found[i], 1);
		}
		free(found);
	}
}

/* -- the thread -- */

/* Reads what there is of events: whether there was one that matters. */
static bool read_events(struct mover *mover)
{
	_Alignas(struct inotify_event) char buf[4096];
	const struct inotify_event *event;
	bool changed = false;
	ssize_t n;

	while ((n = read(mover->watch_fd, buf, sizeof(buf))) > 0)
		for (char *at = buf; at < buf + n;
		     at += sizeof(*event) + event->len) {
			event = (const struct inotify_event *)at;
			/* Which ends a watch that has told of it already. */
			changed |= !(event->mask & IN_IGNORED);
		}
	return changed;
}

static int wait_ms(uint64_t next_ns)
{
	uint64_t now = now_ns();

	return next_ns <= now ? 0 : (int)((next_ns - now) / 1000000 + 1);
}

static void *mover_main(void *arg)
{
	struct mover *mover = arg;
	struct pollfd pfds[] = {
		{ .fd = mover->wake_fd, .events = POLLIN },
		{ .fd = mover->watch_fd, .events = POLLIN },
	};
	uint64_t sweep_ns = now_ns() + SWEEP_NS;
	uint64_t next_ns = UINT64_MAX;
	eventfd_t count;

	while (!atomic_load(&mover->stopping)) {
		if (poll(pfds, ARRAY_SIZE(pfds),
			 wait_ms(next_ns < sweep_ns ? next_ns : sweep_ns)) < 0)
			continue;
		if (pfds[0].revents)
			eventfd_read(mover->wake_fd, &count);
		if (pfds[1].revents && atomic_load(&mover->is_watching) &&
		    read_events(mover))
			mover->config.on_watch(mover->config.userdata);
		if (atomic_exchange(&mover->sweep, false) ||
		    now_ns() >= sweep_ns) {
			sweep(mover);
			sweep_ns = now_ns() + SWEEP_NS;
		}
		take_fresh(mover);
		next_ns = make_moves(mover);
	}
	return NULL;
}

int mover_new(const struct mover_config *config, struct mover **out)
{
	struct mover *mover;
	int r;

	mover = calloc(1, sizeof(*mover));
	if (!mover)
		return -ENOMEM;
	mover->config = *config;
	pthread_mutex_init(&mover->lock, NULL);
	list_init(&mover->fresh);
	list_init(&mover->waiting);
	mover->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	mover->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = mover->wake_fd < 0 ? -errno : 0;
	if (r == 0)
		r = -pthread_create(&mover->thread, NULL, mover_main, mover);
	mover->is_running = r == 0;
	if (r < 0) {
		mover_free(mover);
		return r;
	}
	*out = mover;
	return 0;
}

static void wake(struct mover *mover)
{
	eventfd_write(mover->wake_fd, 1);
}

void mover_stop(struct mover *mover)
{
	if (mover->is_running) {
		atomic_store(&mover->stopping, true);
		wake(mover);
		pthread_join(mover->thread, NULL);
		mover->is_running = false;
	}
	free_all(mover, &mover->fresh);
	free_all(mover, &mover->waiting);
}

struct mover *mover_free(struct mover *mover)
{
	if (!mover)
		return NULL;
	mover_stop(mover);
	close_fd(mover->watch_fd);
	close_fd(mover->wake_fd);
	pthread_mutex_destroy(&mover->lock);
	free(mover);
	return NULL;
}

/* Filesystems of which all changes are made, and told, here. */
static bool is_local(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	switch (fs.f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
	case TMPFS_MAGIC:
	case F2FS_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
}

bool mover_watch(struct mover *mover, int dir_fd)
{
	char path[PROC_FD_MAX + sizeof("/" RULEFILE_NAME)];
	char dir[PROC_FD_MAX];
	int watch = -1;

	atomic_store(&mover->is_watching, true);
	snprintf(path, sizeof(path), "%s/" RULEFILE_NAME,
		 proc_fd_path(dir, dir_fd));
	if (mover->watch_fd >= 0)
		watch = inotify_add_watch(mover->watch_fd, path,
					  WATCHED | IN_DONT_FOLLOW);
	if (mover->watch_fd < 0 || (watch < 0 && errno == ENOSPC))
		log_warning_once("no more inotify watches "
				 "(fs.inotify.max_user_watches): changes of "
				 "some rule files are seen when their "
				 "directories are used");
	return watch >= 0 && is_local(dir_fd);
}

void mover_sweep(struct mover *mover)
{
	atomic_store(&mover->sweep, true);
	wake(mover);
}

static void add_fresh(struct mover *mover, struct inode *inode)
{
	struct move *move;

	move = calloc(1, sizeof(*move));
	if (!move) {
		atomic_store(&inode->move, MOVE_NONE);
		return;
	}
	move->inode = inode;
	move->delay_ns = FIRST_RETRY_NS;
	inode_ref(mover->config.table, inode);
	pthread_mutex_lock(&mover->lock);
	list_add(&mover->fresh, &move->link);
	pthread_mutex_unlock(&mover->lock);
}

void mover_queue(struct mover *mover, struct inode *inode)
{
	if (atomic_exchange(&inode->move, MOVE_ASKED) == MOVE_NONE)
		add_fresh(mover, inode);
	wake(mover);
}
