// SPDX-License-Identifier: GPL-2.0-or-later
/* Claiming what is foreign, as a client of the control socket asks for it. */
#include "control_priv.h"

struct claim {
	struct control_request *request;
	struct residue residue;
	uint64_t files;
	uint64_t claimed_bytes;
};

static uint64_t foreign_bytes(const struct charge_probe *probe)
{
	return probe->resident_bytes - probe->host_bytes;
}

/* The pages are moved, and then looked at again. */
static int move_pages(struct claim *claim, struct inode *inode,
		      struct charge_probe *probe)
{
	const struct control_config *config = claim->request->config;
	uint64_t before = foreign_bytes(probe);
	int64_t r;

	charge_probe_clear(probe);
	r = charge_move(config->charge, inode);
	if (r >= 0)
		r = charge_probe(config->charge, inode, probe);
	if (r == 0 && foreign_bytes(probe) < before)
		claim->claimed_bytes += before - foreign_bytes(probe);
	return (int)r;
}

static int claim_pages(struct claim *claim, struct inode *inode,
		       struct charge_probe *probe)
{
	const struct control_config *config = claim->request->config;
	int r;

	rulebook_refresh(config->book, inode);
	r = charge_probe(config->charge, inode, probe);
	if (r == 0 && foreign_bytes(probe) &&
	    charge_gate(config->charge, inode))
		r = move_pages(claim, inode, probe);
	if (r == 0 && probe->resident_bytes)
		r = charge_enter(config->charge, inode, probe);
	return r;
}

static int claim_file(void *userdata, struct inode *inode)
{
	struct claim *claim = userdata;
	struct charge_probe probe = { 0 };
	int r;

	r = claim_pages(claim, inode, &probe);
	if (r == 0) {
		claim->files++;
		residue_add(&claim->residue, inode, &probe);
	}
	charge_probe_clear(&probe);
	return control_skip(claim->request, r);
}

int control_run_claim(struct control_request *request)
{
	struct claim claim = { .request = request };
	int r;

	residue_init(&claim.residue, request);
	r = control_walk(request, &(struct control_walk){
					  .each = claim_file,
					  .userdata = &claim,
				  });
	if (r < 0) {
		residue_discard(&claim.residue);
		return r;
	}
	json_object_set_new(request->answer, "files",
			    json_integer((json_int_t)claim.files));
	json_object_set_new(request->answer, "claimed_bytes",
			    json_integer((json_int_t)claim.claimed_bytes));
	residue_finish(&claim.residue);
	return 0;
}
