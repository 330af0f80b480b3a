// SPDX-License-Identifier: GPL-2.0-or-later
/* One file's entry in the books; see account_file.h. */
#include "account_file.h"

#include "util.h"

#include <assert.h>
#include <string.h>

/* -- uses -- */

static struct account_use *uses_of(const struct account_file *file)
{
	return file->has_many ? file->uses.many :
				(struct account_use *)&file->uses.one;
}

static struct account_use *find_use(const struct account_file *file,
				    const struct account *account)
{
	for (uint32_t i = 0; i < file->n_uses; i++)
		if (uses_of(file)[i].account == account)
			return &uses_of(file)[i];
	return NULL;
}

/* There is room for it. */
static struct account_use *get_use(struct account_file *file,
				   struct account *account)
{
	struct account_use *use = find_use(file, account);

	if (use)
		return use;
	use = &uses_of(file)[file->n_uses++];
	*use = (struct account_use){ .account = account_ref(account) };
	return use;
}

/*
 * Those who carry it for a user that isn't the host: the user itself, then
 * all above it up to below one that is the host, or has it below.
 */
static struct account *first_carrier(const struct account_file *file,
				     struct account *user)
{
	return file->host && user != file->host ? user : NULL;
}

static struct account *next_carrier(const struct account_file *file,
				    const struct account *carrier)
{
	struct account *up = account_parent(carrier);

	return up && !account_is_within(file->host, up) ? up : NULL;
}

/* How many carry it for him; and himself, who may be one of them. */
static uint32_t count_carriers(const struct account_file *file,
			       struct account *user)
{
	struct account *carrier;
	uint32_t count = 1;

	for (carrier = first_carrier(file, user); carrier;
	     carrier = next_carrier(file, carrier))
		count += carrier != user;
	return count;
}

/* Those who carry it for a user are told that it is so; no sum changes. */
static void list_carriers(struct account_file *file, struct account *user)
{
	struct account *carrier;

	for (carrier = first_carrier(file, user); carrier;
	     carrier = next_carrier(file, carrier))
		get_use(file, carrier)->sharers++;
}

/* From one user to a list that has room for so many more. */
static int list_uses(struct account_file *file, uint32_t missing)
{
	struct account_use one = file->uses.one;
	struct account_use *uses;

	missing += count_carriers(file, one.account);
	uses = calloc(missing, sizeof(*uses));
	if (!uses)
		return -ENOMEM;
	uses[0] = one;
	file->uses.many = uses;
	file->has_many = true;
	list_carriers(file, one.account);
	return 0;
}

/* Makes room for a user and who carries it for him. */
static int reserve_uses(struct account_file *file, struct account *user)
{
	struct account_use *uses;
	uint32_t missing;

	if (!file->n_uses)
		return 0;
	missing = count_carriers(file, user);
	if (!file->has_many)
		return list_uses(file, missing);
	uses = realloc(file->uses.many,
		       (file->n_uses + missing) * sizeof(*uses));
	if (!uses)
		return -ENOMEM;
	file->uses.many = uses;
	return 0;
}

static uint32_t count_users(const struct account_file *file)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < file->n_uses; i++)
		count += uses_of(file)[i].is_user;
	return count;
}

/* A list with one user needs none, nor those who carry it for him. */
static void fold_uses(struct account_file *file)
{
	struct account_use *uses = file->uses.many;
	struct account_use one = { 0 };

	for (uint32_t i = 0; i < file->n_uses; i++) {
		if (uses[i].is_user)
			one = uses[i];
		else
			account_unref(uses[i].account);
	}
	free(uses);
	one.sharers = 0;
	file->uses.one = one;
	file->n_uses = one.account ? 1 : 0;
	file->has_many = false;
}

/* Of those who neither use nor carry it any more, nothing is kept. */
static void sweep_uses(struct account_file *file)
{
	struct account_use *uses = uses_of(file);
	uint32_t kept = 0;

	for (uint32_t i = 0; i < file->n_uses; i++) {
		if (uses[i].is_user || uses[i].sharers)
			uses[kept++] = uses[i];
		else
			account_unref(uses[i].account);
	}
	file->n_uses = kept & (UINT32_MAX >> 2);
	if (file->has_many && count_users(file) <= 1)
		fold_uses(file);
}

/* Without a list: all who carry it for the user. */
static void change_carriers(struct account_file *file, struct account *user,
			    int64_t bytes)
{
	struct account *carrier;

	for (carrier = first_carrier(file, user); carrier;
	     carrier = next_carrier(file, carrier))
		account_change_shared(carrier, bytes);
}

static void carry(struct account_file *file, struct account *user)
{
	int64_t resident = (int64_t)account_file_resident(file);
	struct account *carrier;

	if (!file->has_many) {
		change_carriers(file, user, resident);
		return;
	}
	for (carrier = first_carrier(file, user); carrier;
	     carrier = next_carrier(file, carrier))
		if (get_use(file, carrier)->sharers++ == 0)
			account_change_shared(carrier, resident);
}

static void uncarry(struct account_file *file, struct account *user)
{
	int64_t resident = (int64_t)account_file_resident(file);
	struct account *carrier;

	if (!file->has_many) {
		change_carriers(file, user, -resident);
		return;
	}
	for (carrier = first_carrier(file, user); carrier;
	     carrier = next_carrier(file, carrier))
		if (--find_use(file, carrier)->sharers == 0)
			account_change_shared(carrier, -resident);
}

static void change_carried(struct account_file *file, int64_t bytes)
{
	if (!file->has_many && file->n_uses && bytes)
		change_carriers(file, file->uses.one.account, bytes);
	for (uint32_t i = 0; file->has_many && bytes && i < file->n_uses; i++)
		if (uses_of(file)[i].sharers)
			account_change_shared(uses_of(file)[i].account, bytes);
}

/* -- payers -- */

/*
 * Whether what the account pays is its own: it uses the file, or nobody does;
 * @apart is no user here.
 */
static bool is_own(const struct account_file *file,
		   const struct account *account, const struct account *apart)
{
	bool is_used = false;

	for (uint32_t i = 0; i < file->n_uses; i++) {
		const struct account_use *use = &uses_of(file)[i];

		if (!use->is_user || use->account == apart)
			continue;
		if (use->account == account)
			return true;
		is_used = true;
	}
	return !is_used;
}

static bool is_foreign(const struct account_file *file,
		       const struct account *account)
{
	return file->host && file->host != account;
}

static void change_paid(struct account_file *file, struct account *account,
			int64_t bytes)
{
	struct account_change change = { .charged_bytes = bytes };

	if (!bytes)
		return;
	if (is_own(file, account, NULL))
		change.own_bytes = bytes;
	if (is_foreign(file, account))
		change.foreign_bytes = bytes;
	account_change(account, &change);
}

/* One that comes or goes among the users. */
struct turn {
	const struct account *user;
	bool comes;
};

static void turn_payer(struct account_file *file, const struct turn *turn,
		       struct account *payer, uint64_t bytes)
{
	bool without = is_own(file, payer, turn->user);
	bool with = is_own(file, payer, NULL);
	struct account_change change = { 0 };

	if (without == with || !bytes)
		return;
	change.own_bytes = with == turn->comes ? (int64_t)bytes :
						 -(int64_t)bytes;
	account_change(payer, &change);
}

/* While the user is among the others: what payers own changes by that. */
static void turn_payers(struct account_file *file, const struct turn *turn)
{
	if (file->host)
		turn_payer(file, turn, file->host, file->host_bytes);
	for (uint32_t i = 0; i < file->n_foreign; i++)
		turn_payer(file, turn, file->foreign[i].account,
			   file->foreign[i].bytes);
}

static void unref_parts(struct account_part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		account_unref(parts[i].account);
	free(parts);
}

/* An array for so many parts, with none in it yet. */
static int make_parts(struct account_file *file, size_t n)
{
	struct account_part *parts = NULL;

	if (n) {
		parts = calloc(n, sizeof(*parts));
		if (!parts)
			return -ENOMEM;
	}
	file->foreign = parts;
	file->n_foreign = 0;
	return 0;
}

/* There is room for it; the host's isn't one. */
static void add_part(struct account_file *file, struct account *account,
		     uint64_t bytes)
{
	if (!bytes)
		return;
	if (account == file->host) {
		file->host_bytes += bytes;
		return;
	}
	for (uint32_t i = 0; i < file->n_foreign; i++)
		if (file->foreign[i].account == account) {
			file->foreign[i].bytes += bytes;
			return;
		}
	file->foreign[file->n_foreign++] = (struct account_part){
		.account = account_ref(account),
		.bytes = bytes,
	};
}

int account_file_charge(struct account_file *file, uint64_t host_bytes,
			const struct account_part *foreign, size_t n)
{
	uint64_t before = account_file_resident(file);
	struct account_file old = *file;
	int r;

	assert(file->host || !host_bytes);
	r = make_parts(file, n);
	if (r < 0)
		return r;
	file->host_bytes = host_bytes;
	for (size_t i = 0; i < n; i++)
		add_part(file, foreign[i].account, foreign[i].bytes);
	if (file->host)
		change_paid(file, file->host,
			    (int64_t)(file->host_bytes - old.host_bytes));
	for (uint32_t i = 0; i < file->n_foreign; i++)
		change_paid(file, file->foreign[i].account,
			    (int64_t)file->foreign[i].bytes);
	for (uint32_t i = 0; i < old.n_foreign; i++)
		change_paid(file, old.foreign[i].account,
			    -(int64_t)old.foreign[i].bytes);
	unref_parts(old.foreign, old.n_foreign);
	change_carried(file, (int64_t)(account_file_resident(file) - before));
	return 0;
}

/* -- the host -- */

/* What its host doesn't pay is foreign now: the former host's part, too. */
static int take_parts(struct account_file *next, const struct account_file *old)
{
	int r;

	r = make_parts(next, old->n_foreign + !!old->host_bytes);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < old->n_foreign; i++)
		add_part(next, old->foreign[i].account, old->foreign[i].bytes);
	add_part(next, old->host, old->host_bytes);
	return 0;
}

/* With the same users; others may carry it for them. */
static int take_uses(struct account_file *next, const struct account_file *old)
{
	struct account_use *use;
	int r;

	for (uint32_t i = 0; i < old->n_uses; i++) {
		if (!uses_of(old)[i].is_user)
			continue;
		r = reserve_uses(next, uses_of(old)[i].account);
		if (r < 0)
			return r;
		use = get_use(next, uses_of(old)[i].account);
		use->is_user = true;
		use->last_s = uses_of(old)[i].last_s;
		carry(next, use->account);
	}
	next->has_more = old->has_more;
	return 0;
}

/* Lets go of all that it refers to; what it took is taken back, or another's. */
static void release(struct account_file *file)
{
	unref_parts(file->foreign, file->n_foreign);
	for (uint32_t i = 0; i < file->n_uses; i++)
		account_unref(uses_of(file)[i].account);
	if (file->has_many)
		free(file->uses.many);
	account_unref(file->host);
	*file = (struct account_file){ 0 };
}

static void change_foreign(const struct account_file *file, bool is_more)
{
	for (uint32_t i = 0; i < file->n_foreign; i++) {
		int64_t bytes = (int64_t)file->foreign[i].bytes;
		struct account_change change = {
			.foreign_bytes = is_more ? bytes : -bytes,
		};

		if (file->host)
			account_change(file->foreign[i].account, &change);
	}
}

int account_file_set_host(struct account_file *file, struct account *host)
{
	struct account_file next = { .host = host };
	int64_t resident = (int64_t)account_file_resident(file);
	int r;

	if (host == file->host)
		return 0;
	if (host)
		account_ref(host);
	/* While it has no bytes, nothing is shared yet. */
	r = take_uses(&next, file);
	if (r == 0)
		r = take_parts(&next, file);
	if (r < 0) {
		release(&next);
		return r;
	}
	change_carried(&next, resident);
	change_carried(file, -resident);
	change_foreign(file, false);
	change_foreign(&next, true);
	release(file);
	*file = next;
	return 0;
}

/* -- users -- */

static void forget_use(struct account_file *file, struct account_use *use)
{
	struct turn turn = { .user = use->account };

	turn_payers(file, &turn);
	use->is_user = false;
	uncarry(file, use->account);
}

/* For one more user: who wasn't seen for longest is forgotten. */
static void make_way(struct account_file *file)
{
	struct account_use *oldest = uses_of(file);

	for (uint32_t i = 1; i < file->n_uses; i++) {
		struct account_use *use = &uses_of(file)[i];

		if (use->is_user &&
		    (!oldest->is_user || use->last_s < oldest->last_s))
			oldest = use;
	}
	forget_use(file, oldest);
	sweep_uses(file);
	file->has_more = true;
}

int account_file_use(struct account_file *file, struct account *account,
		     uint32_t now_s)
{
	struct account_use *use = find_use(file, account);
	struct turn turn = { .user = account, .comes = true };
	int r;

	if (use && use->is_user) {
		if (use->last_s < now_s)
			use->last_s = now_s;
		return 0;
	}
	r = reserve_uses(file, account);
	if (r < 0)
		return r;
	if (count_users(file) == ACCOUNT_USERS_MAX)
		make_way(file);
	use = get_use(file, account);
	use->is_user = true;
	use->last_s = now_s;
	turn_payers(file, &turn);
	carry(file, account);
	return 0;
}

void account_file_decay(struct account_file *file, uint32_t before_s)
{
	for (uint32_t i = 0; i < file->n_uses; i++) {
		struct account_use *use = &uses_of(file)[i];

		if (!use->is_user || use->last_s >= before_s)
			continue;
		forget_use(file, use);
		/* Whose place was taken was seen before that. */
		file->has_more = false;
	}
	sweep_uses(file);
}

void account_file_forget_last_user(struct account_file *file)
{
	struct account *last = account_file_last_user(file);
	struct account_use *use = last ? find_use(file, last) : NULL;

	if (use)
		forget_use(file, use);
	sweep_uses(file);
}

void account_file_clear(struct account_file *file)
{
	account_file_charge(file, 0, NULL, 0);
	release(file);
}

/* -- looking at it -- */

uint64_t account_file_resident(const struct account_file *file)
{
	uint64_t bytes = file->host_bytes;

	for (uint32_t i = 0; i < file->n_foreign; i++)
		bytes += file->foreign[i].bytes;
	return bytes;
}

uint64_t account_file_foreign(const struct account_file *file)
{
	return file->host ? account_file_resident(file) - file->host_bytes : 0;
}

static bool is_sharer(const struct account_file *file,
		      const struct account_use *use)
{
	return use->is_user && use->account != file->host;
}

const struct account *account_file_sharer(const struct account_file *file,
					  size_t n)
{
	for (uint32_t i = 0; i < file->n_uses; i++)
		if (is_sharer(file, &uses_of(file)[i]) && n-- == 0)
			return uses_of(file)[i].account;
	return NULL;
}

size_t account_file_sharers(const struct account_file *file)
{
	size_t count = 0;

	for (uint32_t i = 0; i < file->n_uses; i++)
		count += is_sharer(file, &uses_of(file)[i]);
	return count;
}

struct account *account_file_last_user(const struct account_file *file)
{
	const struct account_use *last = NULL;

	for (uint32_t i = 0; i < file->n_uses; i++) {
		const struct account_use *use = &uses_of(file)[i];

		if (use->is_user && (!last || use->last_s > last->last_s))
			last = use;
	}
	return last ? last->account : NULL;
}

bool account_file_has_more(const struct account_file *file)
{
	return file->has_more;
}
