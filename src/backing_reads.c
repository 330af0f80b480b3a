// SPDX-License-Identifier: GPL-2.0-or-later
/* What of a backing file's pages needn't stay; see backing_reads.h. */
#include "backing_reads.h"

/* Of what lies far apart, what is between may be in use by others. */
#define SPARSE 4

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
	if (!read->is_lent)
		return;
	reads->lent_bytes += read->size;
	if (reads->lent_end < end)
		reads->lent_end = end;
}

static void give_back(struct backing_reads *reads, uint64_t bytes)
{
	reads->lent_bytes -= bytes < reads->lent_bytes ? bytes :
							 reads->lent_bytes;
	if (!reads->lent_bytes)
		reads->lent_end = 0;
}

/* What all of them were through; from now on they are others. */
static struct backing_span all(struct backing_reads *reads)
{
	struct backing_span span = { folio_floor(reads->first), reads->end };

	if (reads->end - reads->first > SPARSE * reads->bytes)
		span.end = 0;
	reads->end = 0;
	reads->bytes = 0;
	return span;
}

struct backing_span backing_reads_alone(const struct backing_read *read)
{
	return (struct backing_span){
		.first = folio_floor(read->offset),
		.end = read->offset + read->size,
	};
}

struct backing_span backing_reads_end(struct backing_reads *reads,
				      const struct backing_read *read)
{
	struct backing_span span = backing_reads_alone(read), whole;

	reads->under_way--;
	if (read->is_lent)
		return (struct backing_span){ 0 };
	if (read->offset < reads->lent_end) {
		/* Around it may be what is yet to be read. */
		span.first = read->offset;
		give_back(reads, read->size);
	} else if (span.first < reads->lent_end) {
		span.first = reads->lent_end;
	}
	if (reads->under_way || reads->lent_bytes)
		return span;
	whole = all(reads);
	return whole.end ? whole : span;
}
