// SPDX-License-Identifier: GPL-2.0-or-later
/* What of a backing file's pages needn't stay; see backing_reads.h. */
#include "backing_reads.h"

/* Of what lies far apart, what is between may be in use by others. */
#define SPARSE 4

static const struct backing_span nothing;

static uint64_t folio_floor(uint64_t offset)
{
	return offset / BACKING_READS_FOLIO_BYTES * BACKING_READS_FOLIO_BYTES;
}

void backing_reads_begin(struct backing_reads *reads,
			 const struct backing_read *read)
{
	uint64_t end = read->offset + read->size;

	if (!reads->end || reads->first > read->offset)
		reads->first = read->offset;
	if (reads->end < end)
		reads->end = end;
	reads->bytes += read->size;
	reads->under_way++;
	reads->has_lent |= read->is_lent;
}

/* What all of them were through; from now on they are others. */
static struct backing_span take_all(struct backing_reads *reads)
{
	struct backing_span span = { folio_floor(reads->first), reads->end };

	if (reads->end - reads->first > SPARSE * reads->bytes)
		span = nothing;
	reads->first = reads->end = reads->bytes = 0;
	return span;
}

/* The last one out has all that they have left, and his own, @span. */
static struct backing_span leave(struct backing_reads *reads,
				 struct backing_span span)
{
	struct backing_span all;

	if (--reads->under_way || reads->has_lent)
		return span;
	all = take_all(reads);
	return all.end ? all : span;
}

struct backing_span backing_reads_end(struct backing_reads *reads,
				      const struct backing_read *read)
{
	struct backing_span own = { read->offset, read->offset + read->size };

	return leave(reads, read->is_lent ? nothing : own);
}

void backing_reads_begin_recharge(struct backing_reads *reads)
{
	reads->under_way++;
	reads->has_lent = false;
}

struct backing_span backing_reads_end_recharge(struct backing_reads *reads)
{
	return leave(reads, nothing);
}

struct backing_span backing_reads_alone(const struct backing_read *read)
{
	return (struct backing_span){
		.first = folio_floor(read->offset),
		.end = read->offset + read->size,
	};
}
