/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One file's entry in the books: who is to pay for it, who does, and who uses
 * it. Its owner protects it: no two threads change the same one at a time.
 * Pure: time is the caller's, in seconds.
 */
#ifndef MEMCGFS_ACCOUNT_FILE_H
#define MEMCGFS_ACCOUNT_FILE_H

#include "accounting.h"

/*
 * So many users are known of a file at most: they are looked for one after
 * the other. One more takes the place of who wasn't seen for longest.
 */
#define ACCOUNT_USERS_MAX 64

/*
 * Whoever uses the file, and whoever carries it as shared for sharers at or
 * below it.
 */
struct account_use {
	struct account *account; /* a reference */
	uint32_t last_s; /* of a user: when it was last seen */
	uint32_t is_user : 1;
	uint32_t sharers : 31; /* at it, or below */
};

/*
 * A zeroed one is empty. Each part remembers what it took, so that undoing it
 * is exact.
 */
struct account_file {
	struct account *host; /* who is to pay; a reference; NULL: nobody */
	uint64_t host_bytes; /* and pays that */
	struct account_part *foreign; /* what others pay */
	/*
	 * Who uses it, and who carries it for them. Most have one user: then
	 * those who carry it for him are known without a list.
	 */
	union {
		struct account_use one;
		struct account_use *many;
	} uses;
	uint32_t n_foreign;
	uint32_t n_uses : 30; /* both kinds */
	uint32_t has_many : 1;
	uint32_t has_more : 1; /* users than are known */
};

struct account_part {
	struct account *account;
	uint64_t bytes;
};

/*
 * These do all or nothing, and return 0 or -ENOMEM.
 *
 * Who is to pay for the file from now on; what was charged stays as it was
 * until account_file_charge() says what is so. Without a host nothing is
 * foreign, and nobody shares.
 */
int account_file_set_host(struct account_file *file, struct account *host);

/*
 * What is resident, and who pays for it: the host for @host_bytes, others for
 * the @n parts, which may be the entry's own. Parts of one account are one, and
 * the host's are added to its bytes.
 */
int account_file_charge(struct account_file *file, uint64_t host_bytes,
			const struct account_part *foreign, size_t n);

/*
 * The account uses the file, now. Cheap for one that is known to: the caller
 * may do so at each open. -ENOMEM: it isn't noted.
 */
int account_file_use(struct account_file *file, struct account *account,
		     uint32_t now_s);

/* Forgets uses that were last seen before @before_s. */
void account_file_decay(struct account_file *file, uint32_t before_s);

/* Forgets the account that used it last: it had no use of the file. */
void account_file_forget_last_user(struct account_file *file);

/* Forgets all, and frees what the entry holds; it is empty then. */
void account_file_clear(struct account_file *file);

/* Bytes resident, of all payers; and the foreign ones of them. */
uint64_t account_file_resident(const struct account_file *file);
uint64_t account_file_foreign(const struct account_file *file);

/* The n-th of those who use it and don't host it; NULL: there are fewer. */
const struct account *account_file_sharer(const struct account_file *file,
					  size_t n);
size_t account_file_sharers(const struct account_file *file);

/* Whether there are others, whose place was taken, that may use it still. */
bool account_file_has_more(const struct account_file *file);

/* Whoever was the last to be seen using it; NULL: nobody uses it. */
struct account *account_file_last_user(const struct account_file *file);

#endif
