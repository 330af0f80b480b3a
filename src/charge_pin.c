// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The heart, 3: pinned files; see charge.h. A file that its rule pins is
 * locked by the host's charger from its first open on, until the rule
 * changes, its last name goes, or the mount ends. A pinned inode stays known,
 * whatever the client's kernel forgets.
 */
#include "charge_priv.h"

#include "log.h"
#include "residency.h"
#include "util.h"

#include <fcntl.h>
#include <sys/stat.h>

/* What is locked of an inode's file; there is one, or none, per inode. */
struct pin_state {
	struct host *host;
	unsigned int life; /* of the charger that did it */
	uint64_t bytes;
	bool is_torn; /* inode_lock(); pages of it went, and are not locked */
};

/* The charger knows it by its own name: never is another one let go. */
static int call_pin(const struct pin_state *pin, enum ring_op op, int fd)
{
	struct ring_call call = {
		.op = op,
		.fd = fd,
		.length = pin->bytes,
		.offset2 = (uintptr_t)pin,
	};

	return (int)charger_call(host_charger(pin->host), &call);
}

/* Whether the charger that did it, and has it, is no more. */
static bool is_lost(const struct pin_state *pin)
{
	return pin->life != charger_life(host_charger(pin->host));
}

/* Until it is known who did it: a charger that died took it along. */
static int lock_pin(struct pin_state *pin, int fd)
{
	int r;

	do {
		pin->life = charger_life(host_charger(pin->host));
		r = call_pin(pin, RING_PIN, fd);
	} while (r == 0 && is_lost(pin));
	return r;
}

/* Gives back what the pin took, which is on no inode any more. */
static void drop_pin(struct charge *charge, struct inode *inode,
		     struct pin_state *pin)
{
	if (!is_lost(pin))
		call_pin(pin, RING_UNPIN, -1);
	host_unpin(pin->host, pin->bytes);
	charger_keep(host_charger(pin->host), -1);
	stats_add(charge->stats, STATS_pinned_files, -UINT64_C(1));
	stats_add(charge->stats, STATS_pinned_bytes, -pin->bytes);
	free(pin);
	inode_forget(charge->table, inode, 1);
}

void charge_unpin(struct charge *charge, struct inode *inode)
{
	struct pin_state *pin;

	inode_lock(charge->table, inode);
	pin = inode_pin(inode);
	if (pin)
		inode->pin = NULL;
	inode_unlock(charge->table, inode);
	if (pin)
		drop_pin(charge, inode, pin);
}

/* Whether it is one that the inode's rule asks for. */
static bool is_wanted(struct charge *charge, const struct inode *inode,
		      const struct pin_state *pin)
{
	const struct binding *binding = binding_of(charge, inode);

	return binding->rule.pin && pin->host == binding->host;
}

void charge_unpin_unwanted(struct charge *charge, struct inode *inode)
{
	struct pin_state *pin;

	inode_lock(charge->table, inode);
	pin = inode_pin(inode);
	if (pin && is_wanted(charge, inode, pin))
		pin = NULL;
	if (pin)
		inode->pin = NULL;
	inode_unlock(charge->table, inode);
	if (pin)
		drop_pin(charge, inode, pin);
}

/* Whether what is locked is what should be. */
static bool is_pinned(struct charge *charge, struct inode *inode,
		      const struct host *host, uint64_t bytes)
{
	const struct pin_state *pin;
	bool is_pinned;

	inode_lock(charge->table, inode);
	pin = inode_pin(inode);
	is_pinned = pin && pin->host == host && pin->bytes == bytes &&
		    !pin->is_torn && !is_lost(pin);
	inode_unlock(charge->table, inode);
	return is_pinned;
}

/* What a new pin of the inode by that host takes the place of. */
static uint64_t held_by(struct charge *charge, struct inode *inode,
			const struct host *host)
{
	const struct pin_state *pin;
	uint64_t bytes;

	inode_lock(charge->table, inode);
	pin = inode_pin(inode);
	bytes = pin && pin->host == host ? pin->bytes : 0;
	inode_unlock(charge->table, inode);
	return bytes;
}

static void install_pin(struct charge *charge, struct inode *inode,
			struct pin_state *pin)
{
	struct pin_state *old;

	inode_ref(charge->table, inode);
	charger_keep(host_charger(pin->host), 1);
	stats_add(charge->stats, STATS_pinned_files, 1);
	stats_add(charge->stats, STATS_pinned_bytes, pin->bytes);
	inode_lock(charge->table, inode);
	old = inode_pin(inode);
	inode->pin = pin;
	inode_unlock(charge->table, inode);
	if (old)
		drop_pin(charge, inode, old);
}

static void refuse_pin(struct charge *charge, struct inode *inode,
		       const struct host *host, const char *why)
{
	charge_tell(charge, inode,
		    (struct event){ .kind = EVENT_pin, .reason = why });
	stats_add(charge->stats, STATS_pins_refused, 1);
	log_warning_once("a file is not pinned: the budget of %s is used up "
			 "(pin_max=)",
			 host_target(host));
}

static bool has_lost_pin(struct charge *charge, struct inode *inode)
{
	bool has_lost;

	inode_lock(charge->table, inode);
	has_lost = inode_pin(inode) && is_lost(inode_pin(inode));
	inode_unlock(charge->table, inode);
	return has_lost;
}

/* One more pin of the inode, in the place of what there is of it. */
static int pin_once(struct charge *charge, struct inode *inode,
		    struct host *host, int fd, uint64_t bytes)
{
	struct pin_state *pin;
	int r = -EDQUOT;

	pin = calloc(1, sizeof(*pin));
	if (!pin)
		return -ENOMEM;
	*pin = (struct pin_state){ .host = host, .bytes = bytes };
	if (host_pin(host, bytes, held_by(charge, inode, host))) {
		r = lock_pin(pin, fd);
		if (r < 0)
			host_unpin(host, bytes);
	}
	if (r < 0) {
		free(pin);
		return r;
	}
	install_pin(charge, inode, pin);
	return 0;
}

int charge_pin(struct charge *charge, struct backing *backing)
{
	const struct binding *binding = binding_of(charge, backing->inode);
	int fd = backing_read_fd(backing);
	struct host *host = binding->host;
	struct stat st;
	uint64_t bytes;
	int r;

	if (!host || !binding->rule.pin || fstat(fd, &st) < 0)
		return 0;
	/* A mapping of the mount's own files would keep the mount itself. */
	if (charge->place != &charge_in_backing) {
		log_warning_once("pin: io=cached keeps no file resident");
		return 0;
	}
	bytes = (uint64_t)st.st_size;
	if (!bytes || !st.st_nlink)
		return 0;
	if (is_pinned(charge, backing->inode, host, bytes))
		return 0;
	/* Who looked for lost ones before it was there has not seen it. */
	do
		r = pin_once(charge, backing->inode, host, fd, bytes);
	while (r == 0 && has_lost_pin(charge, backing->inode));
	if (r == 0 || r == -EHOSTDOWN || r == -ETIMEDOUT)
		return r;
	refuse_pin(charge, backing->inode, host,
		   r == -EDQUOT ? "its budget is used up" :
				  "the charger can't lock it");
	return 0;
}

void charge_tear_pin(struct charge *charge, struct inode *inode)
{
	inode_lock(charge->table, inode);
	if (inode_pin(inode))
		inode->pin->is_torn = true;
	inode_unlock(charge->table, inode);
}

/* Whether its last name is gone, as beside the mount it may. */
static bool is_nameless(struct charge *charge, struct inode *inode)
{
	int fd = inode_fd_get(charge->table, inode);
	struct stat st;
	bool is_nameless;

	if (fd < 0)
		return fd == -ESTALE;
	is_nameless = fstatat(fd, "", &st, AT_EMPTY_PATH) == 0 && !st.st_nlink;
	inode_fd_put(charge->table, inode);
	return is_nameless;
}

void charge_check_pin(struct charge *charge, struct inode *inode)
{
	bool is_pinned;

	inode_lock(charge->table, inode);
	is_pinned = inode_pin(inode);
	inode_unlock(charge->table, inode);
	if (is_pinned && is_nameless(charge, inode))
		charge_unpin(charge, inode);
}

bool charge_needs_pin(struct charge *charge, struct inode *inode)
{
	const struct pin_state *pin;
	bool needs;

	inode_lock(charge->table, inode);
	pin = inode_pin(inode);
	needs = pin && (!is_wanted(charge, inode, pin) || pin->is_torn ||
			is_lost(pin));
	inode_unlock(charge->table, inode);
	return needs;
}
