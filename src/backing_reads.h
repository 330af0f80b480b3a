/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of a backing file's pages needn't stay, where the client has pages of
 * his own (io=cached): reads for these bring some in, and one copy is enough.
 *
 * What was read for somebody the host reads once more in a moment, so that the
 * page is its own (a recharge): it is lent until then, and stays, so that this
 * takes no disk. What the host has read goes; and once nothing is lent, and no
 * read is under way, all goes that these have been through: what was brought in
 * and not asked for, and folios that reach from one read into another.
 *
 * Pure. Who protects the backing protects these.
 */
#ifndef MEMCGFS_BACKING_READS_H
#define MEMCGFS_BACKING_READS_H

#include <stdbool.h>
#include <stdint.h>

/* A folio may reach into a range from here; it is dropped as a whole only. */
#define BACKING_READS_FOLIO_BYTES (UINT64_C(2) << 20)

/* Zeroed, there were none. All in bytes. */
struct backing_reads {
	uint64_t first; /* of what they have been through */
	uint64_t end; /* 0: nothing */
	uint64_t bytes; /* that were read there, and are */
	uint32_t under_way; /* and recharges */
	bool has_lent;
};

struct backing_read {
	uint64_t offset;
	uint64_t size;
	bool is_lent; /* else the host's; or, at its end, who pays keeps it */
};

/* Nothing where @first isn't below @end. */
struct backing_span {
	uint64_t first;
	uint64_t end;
};

void backing_reads_begin(struct backing_reads *reads,
			 const struct backing_read *read);

/* What needn't stay after it. */
struct backing_span backing_reads_end(struct backing_reads *reads,
				      const struct backing_read *read);

/* All that is lent is about to be read by the host; and it has been asked to. */
void backing_reads_begin_recharge(struct backing_reads *reads);
struct backing_span backing_reads_end_recharge(struct backing_reads *reads);

/* The same of one that isn't counted among them: with the folio it begins in. */
struct backing_span backing_reads_alone(const struct backing_read *read);

#endif
