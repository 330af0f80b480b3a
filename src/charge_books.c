// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The heart, 9: keeping the books; see charge.h. An entry is told what an
 * open found and did, and what the kernel counts when a file is closed that
 * may have more pages now. What the kernel reclaims it tells nobody: that is
 * counted again now and then. A file that the books have something of stays
 * known, whatever the client's kernel forgets, but not by an fd.
 */
#include "charge_priv.h"

#include "cgroup.h"
#include "residency.h"
#include "util.h"

#include <fcntl.h>
#include <sys/stat.h>

/* Of an opener's cgroup; a process is seldom moved. */
#define OPENER_AGE_NS (100 * UINT64_C(1000000))
/* The kernel counts page by page: more than that is for the bookkeeper. */
#define COUNTED_AT_ONCE_BYTES (UINT64_C(64) << 20)

void charge_set_payer(struct inode *inode, struct host *host)
{
	struct account *account = host ? host_account(host) : NULL;

	if (inode->pages->account.host != account)
		account_file_set_host(&inode->pages->account, account);
}

void charge_note_owned(struct inode *inode, struct host *host, uint64_t bytes,
		       uint64_t foreign_bytes)
{
	struct account_file *books = &inode->pages->account;
	bool is_known;

	charge_set_payer(inode, host);
	is_known = foreign_bytes == account_file_foreign(books);
	inode->is_unclear = !is_known;
	/* Without memory there may be none. */
	if (books->host)
		account_file_charge(books, bytes,
				    is_known ? books->foreign : NULL,
				    is_known ? books->n_foreign : 0);
}

/* Less than the foreign ones were is left: those of the last parts went. */
static void shrink_foreign(struct account_file *books, uint64_t bytes)
{
	cleanup_free struct account_part *parts =
		calloc(books->n_foreign, sizeof(*parts));

	for (uint32_t i = 0; parts && i < books->n_foreign; i++) {
		parts[i] = books->foreign[i];
		if (parts[i].bytes > bytes)
			parts[i].bytes = bytes;
		bytes -= parts[i].bytes;
	}
	if (parts)
		account_file_charge(books, 0, parts, books->n_foreign);
}

static void note_bytes(struct account_file *books, uint64_t bytes)
{
	if (bytes >= account_file_foreign(books))
		account_file_charge(books, bytes - account_file_foreign(books),
				    books->foreign, books->n_foreign);
	else
		shrink_foreign(books, bytes);
}

/*
 * So many bytes are resident. Those that aren't known to be another's are the
 * host's: who could have brought them in otherwise is looked after elsewhere.
 * What there is more than before came by those who used it last.
 */
void charge_note_resident(struct inode *inode, uint64_t bytes)
{
	struct account_file *books = &inode->pages->account;
	uint64_t known = account_file_resident(books);
	struct account *user;

	if (!books->host || bytes == known)
		return;
	user = bytes > known ? account_file_last_user(books) : NULL;
	if (user)
		account_contribute(books->host, user, bytes - known);
	note_bytes(books, bytes);
}

void charge_note_left(struct charge *charge, struct inode *inode,
		      uint64_t bytes)
{
	struct account_file *books = &inode->pages->account;

	inode_lock(charge->table, inode);
	shadow_forget(&inode->pages->shadow);
	if (books->host && bytes != account_file_resident(books))
		note_bytes(books, bytes);
	inode_unlock(charge->table, inode);
}

static bool has_entry(const struct inode *inode)
{
	return account_file_resident(&inode->pages->account) ||
	       inode->pages->account.n_uses;
}

void charge_let_go(struct charge *charge, struct inode *inode)
{
	inode_unmark(charge->table, inode, INODE_CHARGED, has_entry);
}

/* Whether the account is one more of those who share the file. */
static bool use_and_see(struct account_file *books, struct account *account)
{
	size_t before = account_file_sharers(books);

	account_file_use(books, account, now_s());
	return account_file_sharers(books) > before;
}

void charge_note_open(struct charge *charge,
		      const struct charge_request *request,
		      uint64_t resident_bytes)
{
	struct account *account =
		openers_account(charge->openers, request->tid, OPENER_AGE_NS);
	struct inode *inode = request->inode;
	struct account_file *books = &inode->pages->account;
	bool shares = false;
	uint64_t known;

	inode_lock(charge->table, inode);
	charge_set_payer(inode, binding_of(charge, inode)->host);
	if (account && events_are_followed(charge->events))
		shares = use_and_see(books, account);
	else if (account)
		account_file_use(books, account, now_s());
	known = account_file_resident(books);
	if (account && books->host && known > resident_bytes)
		account_contribute(books->host, account,
				   known - resident_bytes);
	inode_unlock(charge->table, inode);
	inode_mark(charge->table, inode, INODE_CHARGED);
	if (shares)
		charge_tell(charge, inode,
			    (struct event){
				    .kind = EVENT_share,
				    .account = account_path(account),
			    });
	account_unref(account);
}

void charge_note_scan(struct charge *charge, struct inode *inode)
{
	inode_lock(charge->table, inode);
	charge_set_payer(inode, binding_of(charge, inode)->host);
	inode_unlock(charge->table, inode);
	inode_mark(charge->table, inode, INODE_CHARGED);
}

void charge_note_use(struct charge *charge, struct inode *inode, pid_t pid)
{
	struct charge_request request = { .inode = inode, .tid = pid };

	/* Who opens a file to look at its pages has no use of it. */
	if (pid == getpid() || charge_has_charger(charge, inode, pid))
		return;
	if (S_ISREG(inode->type) && inode_make_pages(charge->table, inode) == 0)
		charge_note_open(charge, &request, UINT64_MAX);
}

static void note_counted(struct charge *charge, struct inode *inode,
			 uint64_t bytes)
{
	inode_lock(charge->table, inode);
	charge_note_resident(inode, bytes);
	inode_unlock(charge->table, inode);
}

void charge_count(struct charge *charge, const struct backing *backing)
{
	uint64_t pages = 0;
	struct stat st;

	/* What can't be counted is as it was. */
	if (fstat(backing_read_fd(backing), &st) == 0 &&
	    charge_count_pages(charge, backing, (uint64_t)st.st_size, &pages) ==
		    0)
		note_counted(charge, backing->inode, pages * page_bytes());
}

void charge_count_soon(struct charge *charge, const struct backing *backing)
{
	struct inode *inode = backing->inode;
	uint64_t known;

	inode_lock(charge->table, inode);
	known = account_file_resident(&inode->pages->account);
	inode_unlock(charge->table, inode);
	if (known <= COUNTED_AT_ONCE_BYTES)
		charge_count(charge, backing);
}

/* -- who pays, page by page -- */

static struct account *find_owner(struct charge *charge, uint64_t ino)
{
	char path[CGROUP_PATH_MAX];

	cgroup_tree_name_owner(charge->tree, ino, path);
	return books_find(charge->books, path);
}

/* The accounts of what others than the host pay; each a reference. */
static int find_owners(struct charge *charge, const struct charge_probe *probe,
		       struct account_part *parts, size_t *n)
{
	struct account *account;
	size_t at;

	*n = 0;
	for (size_t i = 0; i < probe->n_parts; i++) {
		if (probe->parts[i].is_host)
			continue;
		account = find_owner(charge, probe->parts[i].owner_ino);
		if (!account)
			return -ENOMEM;
		/* Several that are gone are one; so are a target and its leaf. */
		for (at = 0; at < *n && parts[at].account != account; at++)
			;
		if (at < *n)
			account_unref(account);
		else
			parts[(*n)++].account = account;
		parts[at].bytes += probe->parts[i].bytes;
	}
	return 0;
}

int charge_enter(struct charge *charge, struct inode *inode,
		 const struct charge_probe *probe)
{
	cleanup_free struct account_part *parts =
		calloc(probe->n_parts + 1, sizeof(*parts));
	size_t n = 0;
	int r;

	r = parts ? find_owners(charge, probe, parts, &n) : -ENOMEM;
	inode_lock(charge->table, inode);
	charge_set_payer(inode, binding_of(charge, inode)->host);
	inode->is_unclear = false;
	if (r == 0)
		r = account_file_charge(
			&inode->pages->account,
			inode->pages->account.host ? probe->host_bytes : 0,
			parts, n);
	inode_unlock(charge->table, inode);
	for (size_t i = 0; i < n; i++)
		account_unref(parts[i].account);
	inode_mark(charge->table, inode, INODE_CHARGED);
	return r;
}

/* -- counting again -- */

/*
 * Whether to ask whose they are: some are others', as is known or a claim has
 * found, or there are more than were known, in a file that nobody has open
 * here.
 */
static bool is_strange(struct charge *charge, struct inode *inode,
		       uint64_t resident_bytes)
{
	const struct account_file *books = &inode->pages->account;
	bool is_strange;

	inode_lock(charge->table, inode);
	is_strange = books->host &&
		     (inode->is_unclear || account_file_foreign(books) ||
		      (!backing_is_open(inode) &&
		       resident_bytes > account_file_resident(books)));
	inode_unlock(charge->table, inode);
	return is_strange;
}

/* Has the books say what the kernel says of each page; as far as it does. */
static void ask_owners(struct charge *charge, struct inode *inode)
{
	struct shadow_map *map = shadow_map_new();
	struct charge_probe probe;

	if (charge_probe_map(charge, inode, &probe, map) < 0) {
		shadow_map_free(map);
		return;
	}
	charge_enter(charge, inode, &probe);
	charge_keep_map(charge, inode, map);
	charge_probe_clear(&probe);
}

/* What was brought in beside the mount the reconciler is to claim. */
static void look_closer(struct charge *charge, struct inode *inode)
{
	bool is_foreign, is_residue;

	ask_owners(charge, inode);
	inode_lock(charge->table, inode);
	is_foreign = account_file_foreign(&inode->pages->account);
	is_residue = inode->residue_flags;
	inode_unlock(charge->table, inode);
	/* What nobody has tried to move isn't to be dropped run by run. */
	if (!is_residue)
		charge_keep_map(charge, inode, NULL);
	if (is_foreign)
		charge_watch(charge, inode);
}

/*
 * One whose last name went beside the mount lives on, pages and all, as long
 * as somebody has it open; the fds that are kept for the next open shall not.
 */
static void let_go_of_removed(struct charge *charge, struct inode *inode)
{
	bool is_used;

	inode_lock(charge->table, inode);
	is_used = backing_is_open(inode);
	inode_unlock(charge->table, inode);
	if (is_used)
		return;
	backing_drop_idle(charge->table, inode);
	inode_fd_drop(charge->table, inode);
}

static int count_again(struct charge *charge, struct inode *inode)
{
	cleanup_close int fd = -1;
	struct backing opened = { .inode = inode };
	uint64_t pages;
	struct stat st;
	int r;

	if (charge_is_leased(charge, inode))
		return 0;
	fd = inode_open(charge->table, inode, O_RDONLY | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!st.st_nlink)
		let_go_of_removed(charge, inode);
	opened.fds[BACKING_READ] = fd;
	r = charge_count_pages(charge, &opened, (uint64_t)st.st_size, &pages);
	if (r < 0)
		return r;
	if (is_strange(charge, inode, pages * page_bytes()))
		look_closer(charge, inode);
	else
		note_counted(charge, inode, pages * page_bytes());
	return 0;
}

void charge_recount(struct charge *charge, struct inode *inode)
{
	int r = count_again(charge, inode);

	if (r != -ESTALE && r != -ENOENT)
		return;
	/* It was removed beside the mount. */
	inode_lock(charge->table, inode);
	account_file_clear(&inode->pages->account);
	inode_unlock(charge->table, inode);
	charge_let_go(charge, inode);
}

void charge_decay(struct charge *charge, struct inode *inode, uint32_t before_s)
{
	inode_lock(charge->table, inode);
	account_file_decay(&inode->pages->account, before_s);
	inode_unlock(charge->table, inode);
	charge_let_go(charge, inode);
}
