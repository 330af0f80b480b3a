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
};

static int call_pin(struct charge *charge, struct host *host,
		    const struct inode *inode, enum ring_op op, int fd,
		    uint64_t bytes)
{
	struct ring_call call = {
		.op = op,
		.fd = fd,
		.length = bytes,
		.offset2 = (uintptr_t)inode,
	};

	(void)charge;
	return (int)charger_call(host_charger(host), &call);
}

/* Takes the inode's pin off it: the caller's, or NULL. */
static struct pin_state *take_pin(struct charge *charge, struct inode *inode)
{
	struct pin_state *pin;

	inode_lock(charge->table, inode);
	pin = inode->pin;
	inode->pin = NULL;
	inode_unlock(charge->table, inode);
	return pin;
}

/* Gives back what the pin took; @unlock: its charger is to let go, too. */
static void drop_pin(struct charge *charge, struct inode *inode,
		     struct pin_state *pin, bool unlock)
{
	if (unlock && pin->life == charger_life(host_charger(pin->host)))
		call_pin(charge, pin->host, inode, RING_UNPIN, -1, 0);
	host_unpin(pin->host, pin->bytes);
	charger_keep(host_charger(pin->host), -1);
	stats_add(charge->stats, STATS_pinned_files, -UINT64_C(1));
	stats_add(charge->stats, STATS_pinned_bytes, -pin->bytes);
	free(pin);
	inode_forget(charge->table, inode, 1);
}

void charge_unpin(struct charge *charge, struct inode *inode)
{
	struct pin_state *pin = take_pin(charge, inode);

	if (pin)
		drop_pin(charge, inode, pin, true);
}

/* Whether what is locked is what should be. */
static bool is_pinned(struct charge *charge, struct inode *inode,
		      const struct host *host, uint64_t bytes)
{
	bool is_pinned;

	inode_lock(charge->table, inode);
	is_pinned = inode->pin && inode->pin->host == host &&
		    inode->pin->bytes == bytes &&
		    inode->pin->life == charger_life(host_charger(host));
	inode_unlock(charge->table, inode);
	return is_pinned;
}

/* What a new pin of the inode by that host takes the place of. */
static uint64_t held_by(struct charge *charge, struct inode *inode,
			const struct host *host)
{
	uint64_t bytes;

	inode_lock(charge->table, inode);
	bytes = inode->pin && inode->pin->host == host ? inode->pin->bytes : 0;
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
	old = inode->pin;
	inode->pin = pin;
	inode_unlock(charge->table, inode);
	/* The charger has put the new one in the old one's place. */
	if (old)
		drop_pin(charge, inode, old, old->host != pin->host);
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

void charge_pin(struct charge *charge, struct backing *backing)
{
	const struct binding *binding = binding_of(charge, backing->inode);
	struct inode *inode = backing->inode;
	struct host *host = binding->host;
	struct pin_state *pin;
	struct stat st;
	uint64_t bytes;

	if (!host || !binding->rule.pin ||
	    fstat(backing_read_fd(backing), &st) < 0)
		return;
	bytes = (uint64_t)st.st_size;
	if (!bytes || !st.st_nlink || is_pinned(charge, inode, host, bytes))
		return;
	pin = calloc(1, sizeof(*pin));
	if (!pin)
		return;
	*pin = (struct pin_state){
		.host = host,
		.life = charger_life(host_charger(host)),
		.bytes = bytes,
	};
	if (!host_pin(host, bytes, held_by(charge, inode, host))) {
		free(pin);
		refuse_pin(charge, inode, host, "its budget is used up");
		return;
	}
	if (call_pin(charge, host, inode, RING_PIN, backing_read_fd(backing),
		     bytes) < 0) {
		host_unpin(host, bytes);
		free(pin);
		refuse_pin(charge, inode, host, "the charger can't lock it");
		return;
	}
	install_pin(charge, inode, pin);
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
	is_pinned = inode->pin;
	inode_unlock(charge->table, inode);
	if (is_pinned && is_nameless(charge, inode))
		charge_unpin(charge, inode);
}

bool charge_needs_pin(struct charge *charge, struct inode *inode)
{
	const struct binding *binding = binding_of(charge, inode);
	bool needs;

	inode_lock(charge->table, inode);
	needs = inode->pin &&
		(!binding->rule.pin || inode->pin->host != binding->host ||
		 inode->pin->life !=
			 charger_life(host_charger(inode->pin->host)));
	inode_unlock(charge->table, inode);
	return needs;
}
