/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The heart: how each open file's bytes go, so that its pages are charged to
 * the host, whoever reads, writes or maps it.
 *
 *  - passthrough: the client's kernel reads, writes and maps the backing
 *    file itself. Safe where the opener lives in the host, or where all pages
 *    are the host's already: the charger makes them so before the open is
 *    answered ("ahead").
 *  - strict: reads and writes come to the daemon and are made by the charger.
 *    Mappings still go to the backing file (Linux 6.9: FOPEN_DIRECT_IO with
 *    FOPEN_PASSTHROUGH), so a file that fits is charged ahead for them, too.
 */
#ifndef MEMCGFS_CHARGE_H
#define MEMCGFS_CHARGE_H

#include "arena.h"
#include "backing.h"
#include "charger_ops.h"
#include "events.h"
#include "hosts.h"
#include "openers.h"
#include "shadow_map.h"
#include "stats.h"

struct charge;
struct mappers;

struct charge_config {
	const struct binding *fallback; /* of inodes that have none */
	struct stats *stats;
	struct events *events;
	struct arena *arena;
	struct openers *openers;
	struct books *books;
	const struct cgroup_tree *tree;
	bool sees_owners; /* of pages: chargers can read /proc/kpagecgroup */
	bool sees_flags; /* of pages: the same of /proc/kpageflags */
};

/*
 * An open file, of one FUSE file handle. A small value: it packs into the
 * handle's number, so that there is nothing to free should its release never
 * come (the last user of a detached mount ends without one).
 */
struct charge_file {
	struct charge *charge;
	struct backing *backing;
	bool readable;
	bool writable;
	bool is_scan; /* what it brings in isn't kept */
	uint16_t reader; /* the front's: who has it open, see scanners.h */
};

uint64_t charge_file_pack(const struct charge_file *file);
struct charge_file charge_file_unpack(struct charge *charge, uint64_t packed);

int charge_new(const struct charge_config *config, struct charge **out);
struct charge *charge_free(struct charge *charge);

/* No more requests come. To be called before the table of the files goes. */
void charge_stop(struct charge *charge);

/* The table that the files are in, made after the heart that they need. */
void charge_set_table(struct charge *charge, struct inode_table *table);

/*
 * The connection to register backing files with; without @can_passthrough
 * all goes strict. To be called before the first open.
 */
void charge_set_connection(struct charge *charge, int fuse_fd,
			   bool can_passthrough);

bool charge_can_passthrough(const struct charge *charge);

/*
 * Another rule holds for the inode from now on. True: it has another host, or
 * is pinned no longer: charge_move() is to see to the pages that are there.
 */
bool charge_bind(struct charge *charge, struct inode *inode,
		 const struct binding *binding);

/*
 * Claims what is resident of the inode's file for its host, and brings back
 * what it had to drop. The pages that stayed another's, as they are mapped,
 * say; or -errno.
 */
int64_t charge_move(struct charge *charge, struct inode *inode);

/* The gate before the inode's host; NULL: nothing is enforced. */
struct gate *charge_gate(const struct charge *charge,
			 const struct inode *inode);

/* Whether the thread is one of the charger's of the inode's host. */
bool charge_has_charger(const struct charge *charge, const struct inode *inode,
			pid_t tid);

/* Whether that host doesn't answer, so that who waited need not any more. */
bool charge_is_silent(const struct charge *charge, const struct inode *inode);

/*
 * Whether the inode's pin isn't what it should be: its charger died, its
 * rule changed, or pages of it were dropped. charge_move() mends that.
 */
bool charge_needs_pin(struct charge *charge, struct inode *inode);

/* The file is about to lose its last name: it needn't stay resident. */
void charge_unpin(struct charge *charge, struct inode *inode);

/* Why exposed files are to be looked at. */
enum charge_reason {
	CHARGE_NO_REASON, /* no page was brought back anywhere */
	CHARGE_RETRY, /* it is time to try again where it was in vain */
	CHARGE_REFAULTS,
};

/*
 * Looks at a file that clients may have brought pages of by themselves, and
 * claims those; it is forgotten when nobody has it open or mapped any more.
 * The pages that stayed another's; -EAGAIN: its charger can't be asked now; or
 * another -errno.
 */
int64_t charge_reconcile(struct charge *charge, struct inode *inode,
			 enum charge_reason reason);

/* The process uses the file, which it opened without a word to us. */
void charge_note_use(struct charge *charge, struct inode *inode, pid_t pid);

/*
 * Counts again what is resident of a file that has been open, for the books;
 * one that is no more is forgotten there. And forgets who used it before
 * @before_s, of now_ns() in seconds.
 */
void charge_recount(struct charge *charge, struct inode *inode);
void charge_decay(struct charge *charge, struct inode *inode,
		  uint32_t before_s);

/* Unpins a file whose last name went beside the mount. */
void charge_check_pin(struct charge *charge, struct inode *inode);

/* CPU time of chargers that looks have taken so far, whoever had them made. */
uint64_t charge_look_ns(const struct charge *charge);

/* How an open would go, and a clause that says why. */
struct charge_path {
	enum policy_path path;
	const char *why;
};

/* What is known, or can be seen, of an inode's file. */
struct charge_view {
	struct charge_path read; /* by who doesn't live in the host, now */
	struct charge_path write;
	uint64_t size_bytes;
	int64_t resident_bytes; /* of these two, -1: it can't be told */
	int64_t foreign_bytes;
	bool is_pinned;
	bool is_open;
};

/*
 * Looks at the file with the eyes of who has that binding, which need not be
 * the inode's yet, and changes nothing. 0 or -errno.
 */
int charge_look(struct charge *charge, struct inode *inode,
		const struct binding *binding, struct charge_view *view);

/* What one cgroup pays of a file's resident pages. */
struct charge_part {
	uint64_t owner_ino; /* of its directory; 0: no cgroup pays */
	bool is_host;
	uint64_t bytes;
	/* Of those. Of a pinned file, the charger's mapping counts, too. */
	uint64_t mapped_bytes;
	uint64_t dirty_bytes; /* or being written back */
	uint64_t locked_bytes; /* or such as can't be reclaimed */
};

/* What the kernel says of each page of a file. */
struct charge_probe {
	uint64_t size_bytes;
	uint64_t resident_bytes;
	uint64_t host_bytes; /* of those, paid by the host */
	struct charge_part *parts; /* the largest first */
	size_t n_parts;
	bool sees_owners; /* false: there was nobody to look, no parts */
	bool sees_flags; /* false: dirty and locked can't be told */
};

/*
 * Has the host's charger look at the pages of a file, which changes nothing;
 * where there is no host, that of the mount's own rule, if it has one. The
 * probe is to be freed with charge_probe_clear(). -EOPNOTSUPP: owners can't be
 * read here; -EAGAIN: the charger doesn't answer, and isn't waited for;
 * -EINVAL: no regular file; or another -errno.
 */
int charge_probe(struct charge *charge, struct inode *inode,
		 struct charge_probe *probe);

/* The same; @map is to tell which pages are whose; after an error, anything. */
int charge_probe_map(struct charge *charge, struct inode *inode,
		     struct charge_probe *probe, struct shadow_map *map);

void charge_probe_clear(struct charge_probe *probe);

/* Has the books say what a probe of the file has found. 0 or -ENOMEM. */
int charge_enter(struct charge *charge, struct inode *inode,
		 const struct charge_probe *probe);

/* What the books have of a file, in figures. */
struct charge_figures {
	uint64_t resident_bytes;
	uint64_t foreign_bytes;
	size_t sharers;
};

/* The same with its accounts, which are references. */
struct charge_entry {
	struct charge_figures figures;
	struct account *host; /* NULL: nothing is enforced, or known */
	uint64_t host_bytes;
	struct account_part *foreign;
	size_t n_foreign;
	struct account **sharers;
	size_t n_sharers;
	bool has_more_sharers; /* than are known */
	const char *reason; /* why foreign ones stayed; NULL: not known */
};

void charge_read_figures(struct charge *charge, struct inode *inode,
			 struct charge_figures *figures);

/* To be cleared. 0 or -ENOMEM. */
int charge_read_entry(struct charge *charge, struct inode *inode,
		      struct charge_entry *entry);
void charge_entry_clear(struct charge_entry *entry);

/* What was dropped of a file, and what of it is left, and why. */
struct charge_drop {
	uint64_t dropped_bytes;
	uint64_t resident_bytes; /* that are left; and of these: */
	uint64_t dirty_bytes;
	uint64_t mapped_bytes;
	bool is_pinned;
	bool is_open; /* by passthrough */
	bool is_unseen; /* what is dirty or mapped can't be told */
};

/*
 * Drops what is resident of a file, unless it is pinned, or open by
 * passthrough, or, without @force, dirty or mapped, or if that can't be told;
 * dirty pages are written first, and mapped ones stay. 0, or as charge_probe(), or an error of
 * writing.
 */
int charge_drop(struct charge *charge, struct inode *inode, bool force,
		struct charge_drop *drop);

/*
 * Those of @mappers who map the file, through the mount or beside it: @max at
 * most. How many were found.
 */
size_t charge_mappers(struct charge *charge, struct inode *inode,
		      const struct mappers *mappers, pid_t *pids, size_t max);

struct charge_request {
	struct inode *inode;
	int flags; /* of open(2) */
	pid_t tid; /* of the opener; 0: not to be seen from here */
	bool kill_priv; /* the opener lacks CAP_FSETID */
	bool is_scan; /* by one who goes through many files once */
};

/* What a file was like before an open, for charge_spare(). */
struct charge_before {
	uint64_t resident_bytes;
	uint32_t uses; /* by who isn't a scanner, with this open if it is one */
};

/* What the client's kernel is to be told. */
struct charge_reply {
	struct charge_file file;
	struct charge_before before;
	bool direct_io;
	int backing_id; /* of passthrough; 0: none */
	uint64_t size_bytes; /* the file's, before */
};

/*
 * Opens a file. Errors of the backing, or -EHOSTDOWN: there is no charger,
 * and the rule is to deny.
 */
int charge_open(struct charge *charge, const struct charge_request *request,
		struct charge_reply *reply);

/* The same for a file just made, open for both as @fd, which it takes. */
int charge_create(struct charge *charge, const struct charge_request *request,
		  int fd, struct charge_reply *reply);

void charge_close(const struct charge_file *file);

/*
 * Who opened the file then has turned out to be a scanner: what he brought in
 * goes, and he is no sharer of it, unless somebody else has used it since, or
 * part of it was there before. The caller holds the inode.
 */
void charge_spare(struct charge *charge, struct inode *inode,
		  const struct charge_before *before);
/* Whether he who is a scanner, or isn't, reads that inode as scanners do. */
bool charge_is_scan(const struct charge *charge, const struct inode *inode,
		    bool is_scanner);

/* Who is a scanner of that inode anyway, see scanlist.h; or NULL. It stays. */
const char *charge_scanners(const struct charge *charge,
			    const struct inode *inode);

/* An fd for what neither reads nor writes pages: fsync, lseek, xattrs. */
int charge_file_fd(const struct charge_file *file);

/*
 * What attributes tell of an inode. True: a mapping may change them behind
 * the client's back, so that they must not be cached.
 */
bool charge_note_attr(struct charge *charge, struct inode *inode,
		      uint64_t size_bytes);

/* -- I/O of a strict file -- */

struct charge_read {
	struct charge_file file;
	uint64_t offset;
	size_t size;
	int flags; /* the file's, now */
	bool passes_by; /* the pages that it brings in needn't stay */
	bool is_made_here; /* set: by the daemon, without a charger */
	/* The result: it stays until the thread's next call. */
	const void *data;
};

/* Bytes read, or -errno. */
int64_t charge_read(struct charge_read *read);

/*
 * The same into a pipe, by reference: what the file has there, as far as
 * that is possible. After any result but the size asked for, the pipe holds
 * anything.
 */
int64_t charge_read_pipe(const struct charge_read *read, int pipe_fd);

struct charge_write {
	struct charge_file file;
	uint64_t offset;
	const void *data; /* best in the thread's own buffer of the arena */
	size_t size;
	int flags;
	bool kill_priv;
};

/* Bytes written, or -errno. */
int64_t charge_write(const struct charge_write *write);

/* @file, unless NULL, is an open one of the inode. */
int charge_truncate(struct charge *charge, struct inode *inode,
		    const struct charge_file *file, uint64_t size,
		    bool kill_priv);

int charge_fallocate(const struct charge_file *file, int mode, uint64_t offset,
		     uint64_t length, bool kill_priv);

struct charge_copy {
	struct charge_file in;
	uint64_t in_offset;
	struct charge_file out;
	uint64_t out_offset;
	uint64_t length;
	bool kill_priv;
};

/* Bytes copied, or -errno. */
int64_t charge_copy_range(const struct charge_copy *copy);

/*
 * A read came that fills the client's own page cache (sendfile(2) and
 * splice(2) of a strict file do that, charged to the caller). True: those
 * pages are to be dropped. Without passthrough they may be a mapping's, which
 * has no others: it would fault them in again and again.
 */
bool charge_note_splice(const struct charge_file *file);

#endif
