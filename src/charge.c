// SPDX-License-Identifier: GPL-2.0-or-later
/* The heart, 1: opening and closing; see charge.h. */
#include "charge_priv.h"

#include "leases.h"
#include "log.h"
#include "residency.h"
#include "util.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

int charge_new(const struct charge_config *config, struct charge **out)
{
	struct charge *charge;
	int r;

	charge = calloc(1, sizeof(*charge));
	if (!charge)
		return -ENOMEM;
	charge->place = &charge_in_backing;
	charge->fallback = config->fallback;
	charge->stats = config->stats;
	charge->events = config->events;
	charge->arena = config->arena;
	charge->openers = config->openers;
	charge->books = config->books;
	charge->tree = config->tree;
	charge->sees_owners = config->sees_owners;
	charge->sees_flags = config->sees_flags;
	pthread_mutex_init(&charge->claim_lock, NULL);
	pthread_cond_init(&charge->claim_ended, NULL);
	charge->leases = leases_new();
	if (!charge->leases) {
		charge_free(charge);
		return -ENOMEM;
	}
	r = sweeper_new(
		&(struct sweeper_config){
			.sweep = charge_scan_swept,
			.userdata = charge,
		},
		&charge->sweeper);
	if (r < 0) {
		charge_free(charge);
		return r;
	}
	*out = charge;
	return 0;
}

void charge_stop(struct charge *charge)
{
	if (charge)
		charge->sweeper = sweeper_free(charge->sweeper);
}

struct charge *charge_free(struct charge *charge)
{
	if (!charge)
		return NULL;
	charge_stop(charge);
	leases_free(charge->leases);
	probe_buffer_free(atomic_load(&charge->spare));
	pthread_cond_destroy(&charge->claim_ended);
	pthread_mutex_destroy(&charge->claim_lock);
	free(charge);
	return NULL;
}

void charge_set_table(struct charge *charge, struct inode_table *table)
{
	charge->table = table;
}

void charge_set_connection(struct charge *charge, int fuse_fd,
			   bool can_passthrough)
{
	charge->fuse_fd = fuse_fd;
	charge->can_passthrough = can_passthrough;
}

bool charge_can_passthrough(const struct charge *charge)
{
	return charge->can_passthrough;
}

bool charge_bind(struct charge *charge, struct inode *inode,
		 const struct binding *binding)
{
	const struct binding *old;
	bool is_moved, was_bound;

	inode_lock(charge->table, inode);
	old = binding_of(charge, inode);
	was_bound = atomic_load_explicit(&inode->binding, memory_order_relaxed);
	atomic_store_explicit(&inode->binding, binding, memory_order_release);
	/*
	 * One that is bound for the first time has its pages claimed when it
	 * is opened, unless it is open already.
	 */
	is_moved = old->host != binding->host &&
		   (was_bound || inode->backing ||
		    (inode->pages && inode->pages->shadow.known));
	if (is_moved && inode->pages) {
		shadow_forget(&inode->pages->shadow);
		charge_set_payer(inode, binding->host);
	}
	inode_unlock(charge->table, inode);
	if (is_moved)
		charge_tell(charge, inode,
			    (struct event){
				    .kind = EVENT_move,
				    .account = old->host ?
						       host_path(old->host) :
						       NULL,
			    });
	return (is_moved && binding->host) || charge_needs_pin(charge, inode);
}

struct gate *charge_gate(const struct charge *charge, const struct inode *inode)
{
	const struct binding *binding = binding_of(charge, inode);

	return binding->host ? host_gate(binding->host) : NULL;
}

bool charge_has_charger(const struct charge *charge, const struct inode *inode,
			pid_t tid)
{
	const struct binding *binding = binding_of(charge, inode);

	return binding->host &&
	       charger_has_thread(host_charger(binding->host), tid);
}

bool charge_is_silent(const struct charge *charge, const struct inode *inode)
{
	const struct binding *binding = binding_of(charge, inode);

	return binding->host && charger_is_silent(host_charger(binding->host));
}

/* -- opening -- */

/* Room for the file is promised once, as long as it is open at all. */
static void reserve(struct charge *charge, struct host *host,
		    struct backing *backing, uint64_t size_bytes)
{
	bool first;

	inode_lock(charge->table, backing->inode);
	first = backing->reserved.bytes == 0;
	if (first)
		backing->reserved = (struct reservation){
			.host = host,
			.bytes = size_bytes,
		};
	inode_unlock(charge->table, backing->inode);
	if (first)
		host_reserve(host, size_bytes);
}

/* What is known of a file at its open; a new one is known to be empty. */
struct facts_seen {
	const struct binding *binding;
	enum shadow_need need;
	uint64_t size_bytes;
	uint64_t resident_bytes;
	bool is_counted; /* what is resident */
	bool has_foreign; /* of a scan, that claims nothing; or it isn't known */
};

static bool host_is_down(const struct binding *binding)
{
	return binding->host && charger_is_down(host_charger(binding->host));
}

static enum policy_path choose(const struct charge_file *file,
			       const struct charge_request *request,
			       const struct facts_seen *seen, bool is_down)
{
	struct charge *charge = file->charge;
	const struct binding *binding = seen->binding;
	bool all_owned = seen->need == SHADOW_NEEDS_NOTHING && !is_down;
	struct policy_facts facts = {
		.can_passthrough = charge->can_passthrough,
		.host_is_down = is_down,
		.readable = file->readable,
		.writable = file->writable,
		.direct = request->flags & O_DIRECT,
		.append = request->flags & O_APPEND && file->writable,
		.all_owned = all_owned,
		.size_bytes = seen->size_bytes,
		.is_scan = file->is_scan,
		.has_foreign = seen->has_foreign,
		.in_memory = charge_is_in_memory(charge, request->inode),
	};

	if (binding->host) {
		facts.room_bytes =
			charge_room(charge, binding->host, file->backing);
		/* Whom the OOM killer may pick isn't only he who writes. */
		facts.opener_in_host =
			(file->writable ? !facts.in_memory : !all_owned) &&
			binding->rule.io != POLICY_IO_STRICT &&
			host_has_thread(binding->host, request->tid);
	}
	return policy_choose(&binding->rule, &facts);
}

/*
 * Carries out a path as far as it can be, and sets the one that holds:
 * without the pages resident, a reader may not have them by passthrough.
 * -ETIMEDOUT: the host doesn't answer.
 */
static int prepare(const struct charge_file *file,
		   const struct facts_seen *seen, enum policy_path *path)
{
	struct charge *charge = file->charge;
	struct host *host = seen->binding->host;
	bool is_known = seen->need == SHADOW_NEEDS_NOTHING;
	int r = 0;

	switch (*path) {
	case POLICY_SCAN_AHEAD:
		reserve(charge, host, file->backing, seen->size_bytes);
		r = charge_ahead(charge, file->backing, seen->size_bytes,
				 SHADOW_NEEDS_PAGES);
		if (r < 0)
			*path = POLICY_SCAN;
		break;
	case POLICY_SCAN:
		if (!is_known)
			stats_add(charge->stats, STATS_unsafe_maps, 1);
		break;
	case POLICY_AHEAD:
	case POLICY_STRICT_AHEAD:
		reserve(charge, host, file->backing, seen->size_bytes);
		if (!is_known)
			r = charge_ahead(charge, file->backing,
					 seen->size_bytes, seen->need);
		if (r < 0)
			*path = POLICY_STRICT;
		break;
	case POLICY_STRICT:
		if (seen->need == SHADOW_NEEDS_CLAIM)
			r = charge_claim(charge, file->backing,
					 seen->size_bytes);
		if (!is_known && file->readable)
			stats_add(charge->stats, STATS_unsafe_maps, 1);
		break;
	case POLICY_PASSTHROUGH:
		if (!host)
			break;
		if (is_known)
			reserve(charge, host, file->backing, seen->size_bytes);
		if (seen->need == SHADOW_NEEDS_CLAIM && !file->is_scan)
			r = charge_claim(charge, file->backing,
					 seen->size_bytes);
		break;
	case POLICY_CACHED:
	case POLICY_REFUSE:
		break;
	}
	return r == -ETIMEDOUT ? r : 0;
}

static bool path_is_strict(enum policy_path path)
{
	return path == POLICY_STRICT || path == POLICY_STRICT_AHEAD ||
	       path == POLICY_SCAN;
}

static void count_open(struct charge *charge, bool strict, bool owned)
{
	if (strict)
		stats_add(charge->stats, STATS_opens_strict, 1);
	else
		stats_add(charge->stats, STATS_opens_passthrough, 1);
	if (!owned)
		stats_add(charge->stats, STATS_opens_first_touch, 1);
}

/*
 * Tells the kernel the path; a file that can't pass through is strict. Once
 * an inode has a backing in the kernel, every open of it must name it, or
 * fails with EIO (Linux 6.18): so all do, from the first.
 */
static int reply_path(const struct charge_file *file, enum policy_path path,
		      struct charge_reply *reply)
{
	struct charge *charge = file->charge;
	bool strict = path_is_strict(path);
	int id = 0;

	if (charge->can_passthrough)
		id = backing_passthrough_id(charge->table, file->backing,
					    charge->fuse_fd);
	if (id < 0) {
		log_warning_once("passthrough fails for a file (%d): such "
				 "files are read and written strictly",
				 -id);
		if (id == -ENFILE || id == -EMFILE || id == -ENOMEM)
			return id;
		id = 0;
	}
	reply->backing_id = id;
	reply->direct_io = strict || !id;
	reply->file = *file;
	return 0;
}

/*
 * The look of a shadow at the kernel's count of a file that has no more than
 * @size_bytes; without that, a claim.
 */
static void look(const struct charge_file *file, struct facts_seen *seen,
		 uint64_t size_bytes)
{
	struct charge *charge = file->charge;
	struct shadow_moment now = charge_moment(charge, seen->binding->host);
	struct inode *inode = file->backing->inode;
	uint64_t resident;

	seen->is_counted = residency_count_file(backing_read_fd(file->backing),
						size_bytes, &resident) == 0;
	seen->need = SHADOW_NEEDS_CLAIM;
	if (!seen->is_counted)
		return;
	seen->resident_bytes = resident * page_bytes();
	inode_lock(charge->table, inode);
	seen->need = shadow_look(&inode->pages->shadow, resident, &now);
	if (seen->need == SHADOW_NEEDS_NOTHING)
		seen->size_bytes =
			inode->pages->shadow.file_pages * page_bytes();
	inode_unlock(charge->table, inode);
}

/* What all of its pages are known of needs no look at the file's size. */
static int see_size(const struct charge_file *file, struct facts_seen *seen)
{
	int fd = backing_read_fd(file->backing);
	uint64_t behind = 0;
	struct stat st;

	if (seen->need == SHADOW_NEEDS_NOTHING)
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	seen->size_bytes = (uint64_t)st.st_size;
	if (seen->resident_bytes)
		residency_count(fd, pages_of(seen->size_bytes) * page_bytes(),
				0, &behind);
	if (behind)
		look(file, seen, seen->size_bytes);
	return 0;
}

static int see_file(const struct charge_file *file, struct facts_seen *seen)
{
	struct charge *charge = file->charge;
	struct inode *inode = file->backing->inode;
	int r;

	seen->binding = binding_of(charge, inode);
	seen->need = SHADOW_NEEDS_PAGES;
	if (seen->binding->host)
		look(file, seen, UINT64_MAX);
	r = see_size(file, seen);
	if (r < 0)
		return r;
	atomic_store_explicit(&file->backing->end_bytes, seen->size_bytes,
			      memory_order_relaxed);
	if (!seen->is_counted)
		return 0;
	inode_lock(charge->table, inode);
	charge_note_resident(inode, seen->resident_bytes);
	inode_unlock(charge->table, inode);
	return 0;
}

/*
 * What a scan wants to know: whose the pages are that others brought in since
 * they were last looked at. The bookkeeper asks where that can't be told now.
 */
static void see_owners(const struct charge_file *file, struct facts_seen *seen)
{
	struct charge *charge = file->charge;
	struct inode *inode = file->backing->inode;
	uint64_t resident = 0;
	int64_t foreign;

	if (seen->need != SHADOW_NEEDS_CLAIM)
		return;
	foreign =
		charge_see(charge, file->backing, seen->size_bytes, &resident);
	seen->has_foreign = foreign != 0;
	if (foreign == 0)
		seen->need = resident < pages_of(seen->size_bytes) ?
				     SHADOW_NEEDS_PAGES :
				     SHADOW_NEEDS_NOTHING;
	if (foreign >= 0)
		return;
	inode_lock(charge->table, inode);
	inode->is_unclear = true;
	inode_unlock(charge->table, inode);
}

/* The open of a scan is seen, and what is resident remembered. */
static void begin_scan(const struct charge_file *file, bool is_first,
		       struct facts_seen *seen)
{
	struct charge_scan_seen scan = {
		.size_bytes = seen->size_bytes,
		.resident_bytes = seen->resident_bytes,
		.is_blind = seen->need == SHADOW_NEEDS_CLAIM &&
			    !seen->resident_bytes,
		.is_first = is_first,
	};

	see_owners(file, seen);
	charge_scan_begin(file->charge, file->backing, &scan);
}

static int open_path(const struct charge_file *file,
		     const struct charge_request *request,
		     const struct facts_seen *seen, struct charge_reply *reply)
{
	struct charge *charge = file->charge;
	bool was_down = host_is_down(seen->binding), is_down;
	enum policy_path path;
	int late, r;

	path = choose(file, request, seen, was_down);
	late = prepare(file, seen, &path);
	/* The charger may have been found gone just now. */
	is_down = late < 0 || host_is_down(seen->binding);
	if (is_down && !was_down)
		path = choose(file, request, seen, true);
	if (path == POLICY_REFUSE) {
		stats_add(charge->stats, STATS_opens_refused, 1);
		return late < 0 ? late : -EHOSTDOWN;
	}
	if (seen->binding->rule.pin && !is_down)
		charge_pin(charge, file->backing);
	r = reply_path(file, path, reply);
	if (r < 0)
		return r;
	/* By passthrough, or by a mapping; but a scan has nothing claimed. */
	if (seen->binding->host && reply->backing_id && file->readable &&
	    !seen->has_foreign)
		charge_expose(charge, file->backing->inode);
	if (file->is_scan && !reply->direct_io)
		stats_add(charge->stats, STATS_scan_bytes, seen->size_bytes);
	count_open(charge, reply->direct_io, seen->binding->host && !is_down);
	return 0;
}

/*
 * The open's low bits, which an address leaves free, and the high ones, which
 * none of a process has that hasn't asked for it (mmap(2), 48 bits).
 */
#define PACKED_READER_SHIFT 48
#define PACKED_ADDRESS ((UINT64_C(1) << PACKED_READER_SHIFT) - 1)

enum {
	PACKED_READABLE = 1,
	PACKED_WRITABLE = 2,
	PACKED_SCAN = 4,
	PACKED_FLAGS = PACKED_READABLE | PACKED_WRITABLE | PACKED_SCAN,
};
_Static_assert(_Alignof(struct backing) > PACKED_FLAGS, "no bits to spare");

uint64_t charge_file_pack(const struct charge_file *file)
{
	return (uintptr_t)file->backing |
	       (uint64_t)file->reader << PACKED_READER_SHIFT |
	       (file->readable ? PACKED_READABLE : 0) |
	       (file->writable ? PACKED_WRITABLE : 0) |
	       (file->is_scan ? PACKED_SCAN : 0);
}

struct charge_file charge_file_unpack(struct charge *charge, uint64_t packed)
{
	return (struct charge_file){
		.charge = charge,
		.backing =
			(struct backing *)(uintptr_t)(packed & PACKED_ADDRESS &
						      ~PACKED_FLAGS),
		.readable = packed & PACKED_READABLE,
		.writable = packed & PACKED_WRITABLE,
		.is_scan = packed & PACKED_SCAN,
		.reader = (uint16_t)(packed >> PACKED_READER_SHIFT),
	};
}

static struct charge_file file_of(struct charge *charge,
				  const struct charge_request *request)
{
	int mode = request->flags & O_ACCMODE;
	struct charge_file file = {
		.charge = charge,
		.readable = mode != O_WRONLY,
		.writable = mode != O_RDONLY,
	};

	file.is_scan = policy_is_scan(&binding_of(charge, request->inode)->rule,
				      request->is_scan, file.writable);

	if (file.readable && file.writable)
		atomic_store_explicit(&request->inode->attrs_volatile, true,
				      memory_order_relaxed);
	return file;
}

/*
 * Opens by the chosen path the file whose backing is open; unless @seen tells
 * of the file, it is looked at.
 */
static int finish_open(const struct charge_file *file,
		       const struct charge_request *request,
		       const struct facts_seen *seen,
		       struct charge_reply *reply)
{
	struct facts_seen now = { 0 };
	bool is_first;
	int r = 0;

	is_first = charge_join(file, request->tid, &reply->before.uses);
	/* As open(2) does where the filesystem has no direct I/O. */
	if (request->flags & O_DIRECT) {
		r = backing_special_fd(file->charge->table, file->backing,
				       file->writable ? BACKING_DIRECT_WRITE :
							BACKING_DIRECT_READ);
		r = r < 0 ? r : 0;
	}
	if (r == 0 && request->flags & O_TRUNC)
		r = charge_truncate(file->charge, request->inode, file, 0,
				    request->kill_priv);
	if (r == 0 && !seen) {
		r = see_file(file, &now);
		seen = &now;
		if (r == 0 && file->is_scan)
			begin_scan(file, is_first, &now);
	}
	if (r == 0)
		r = open_path(file, request, seen, reply);
	if (r < 0) {
		charge_close(file);
		return r;
	}
	if (file->is_scan)
		charge_note_scan(file->charge, request->inode);
	else
		charge_note_open(file->charge, request, seen->resident_bytes);
	reply->before.resident_bytes = seen->resident_bytes;
	reply->size_bytes = seen->size_bytes;
	return 0;
}

int charge_open(struct charge *charge, const struct charge_request *request,
		struct charge_reply *reply)
{
	struct charge_file file = file_of(charge, request);
	int r;

	r = backing_open(charge->table, request->inode,
			 file.writable || request->flags & O_TRUNC,
			 request->flags & O_APPEND, &file.backing);
	return r < 0 ? r : finish_open(&file, request, NULL, reply);
}

int charge_create(struct charge *charge, const struct charge_request *request,
		  int fd, struct charge_reply *reply)
{
	struct facts_seen empty = {
		.binding = binding_of(charge, request->inode),
		.need = SHADOW_NEEDS_NOTHING,
	};
	struct charge_file file = file_of(charge, request);
	int r;

	file.is_scan = false; /* who makes it has use of it */
	r = backing_adopt(charge->table, request->inode, fd, &file.backing);
	return r < 0 ? r : finish_open(&file, request, &empty, reply);
}

void charge_close_backing(struct charge *charge, struct backing *backing)
{
	struct reservation reserved = backing_close(charge->table, backing);

	if (reserved.bytes)
		host_unreserve(reserved.host, reserved.bytes);
}

/* Whether it may have more pages now than were seen at its opens. */
static bool may_have_grown(const struct charge_file *file)
{
	struct inode *inode = file->backing->inode;
	bool is_whole;

	inode_lock(file->charge->table, inode);
	is_whole = inode->pages->shadow.known &&
		   inode->pages->shadow.owned_pages ==
			   inode->pages->shadow.file_pages;
	inode_unlock(file->charge->table, inode);
	return file->writable || !is_whole;
}

void charge_close(const struct charge_file *file)
{
	if (charge_leave(file)) {
		charge_scan_close(file);
		return;
	}
	if (may_have_grown(file))
		charge_count_soon(file->charge, file->backing);
	charge_close_backing(file->charge, file->backing);
}

bool charge_is_scan(const struct charge *charge, const struct inode *inode,
		    bool is_scanner)
{
	return policy_is_scan(&binding_of(charge, inode)->rule, is_scanner,
			      false);
}

const char *charge_scanners(const struct charge *charge,
			    const struct inode *inode)
{
	return binding_of(charge, inode)->rule.scanners;
}

int charge_file_fd(const struct charge_file *file)
{
	return backing_read_fd(file->backing);
}

bool charge_note_attr(struct charge *charge, struct inode *inode,
		      uint64_t size_bytes)
{
	inode_lock(charge->table, inode);
	if (inode->pages)
		shadow_note_size(&inode->pages->shadow, pages_of(size_bytes));
	inode_unlock(charge->table, inode);
	return atomic_load_explicit(&inode->attrs_volatile,
				    memory_order_relaxed);
}
