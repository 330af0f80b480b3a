// SPDX-License-Identifier: GPL-2.0-or-later
/* Which pages of the backing go, and when: stories in pieces of 128 KiB. */
#include "backing_reads.h"

#include "unit.h"

#define PIECE UINT64_C(131072)

/* So many pieces in a folio. */
#define FOLIO (BACKING_READS_FOLIO_BYTES / PIECE)

static struct backing_read piece(uint64_t number, bool is_lent)
{
	return (struct backing_read){ number * PIECE, PIECE, is_lent };
}

static void begin(struct backing_reads *reads, uint64_t number, bool is_lent)
{
	struct backing_read read = piece(number, is_lent);

	backing_reads_begin(reads, &read);
}

/* From piece @first to before @end; @first == @end: nothing. */
static void ends(struct backing_reads *reads, uint64_t number, bool is_lent,
		 uint64_t first, uint64_t end)
{
	struct backing_read read = piece(number, is_lent);
	struct backing_span span = backing_reads_end(reads, &read);

	if (first == end) {
		assert_true(span.first >= span.end);
		return;
	}
	assert_int_equal(span.first, first * PIECE);
	assert_int_equal(span.end, end * PIECE);
}

static void is_new(const struct backing_reads *reads)
{
	assert_int_equal(reads->under_way, 0);
	assert_int_equal(reads->end, 0);
	assert_int_equal(reads->lent_bytes, 0);
	assert_int_equal(reads->lent_end, 0);
}

/* A small file: it is read, and read again. */
static void test_lent_and_returned(void **state)
{
	struct backing_reads reads = { 0 };

	begin(&reads, 0, true);
	ends(&reads, 0, true, 0, 0);
	begin(&reads, 0, false);
	ends(&reads, 0, false, 0, 1);
	is_new(&reads);
}

/* The host reads ahead of a reader, side by side, the last piece first. */
static void test_what_is_lent_outlives_what_is_ahead(void **state)
{
	struct backing_reads reads = { 0 };

	begin(&reads, 0, true);
	begin(&reads, 1, false);
	begin(&reads, 2, false);
	ends(&reads, 0, true, 0, 0);
	ends(&reads, 2, false, 1, 3);
	ends(&reads, 1, false, 1, 2);
	begin(&reads, 0, false);
	ends(&reads, 0, false, 0, 3);
	is_new(&reads);
}

/* Of two readers neither has to go to the disk for the other. */
static void test_what_is_lent_to_two(void **state)
{
	struct backing_reads reads = { 0 };

	begin(&reads, 3, true);
	begin(&reads, 9, true);
	ends(&reads, 3, true, 0, 0);
	ends(&reads, 9, true, 0, 0);
	begin(&reads, 3, false);
	ends(&reads, 3, false, 3, 4);
	begin(&reads, 9, false);
	ends(&reads, 9, false, 0, 10);
	is_new(&reads);
}

/* Far apart, each goes alone. */
static void test_what_lies_between_stays(void **state)
{
	struct backing_reads reads = { 0 };

	begin(&reads, 1, true);
	begin(&reads, 1000 * FOLIO + 1, true);
	ends(&reads, 1, true, 0, 0);
	ends(&reads, 1000 * FOLIO + 1, true, 0, 0);
	begin(&reads, 1, false);
	ends(&reads, 1, false, 1, 2);
	begin(&reads, 1000 * FOLIO + 1, false);
	ends(&reads, 1000 * FOLIO + 1, false, 1000 * FOLIO + 1,
	     1000 * FOLIO + 2);
	is_new(&reads);
}

/* A stream, of which some is always under way, keeps no folio behind it. */
static void test_a_stream(void **state)
{
	struct backing_reads reads = { 0 };

	begin(&reads, 0, false);
	for (uint64_t i = 1; i < 3 * FOLIO; i++) {
		begin(&reads, i, false);
		ends(&reads, i - 1, false, (i - 1) / FOLIO * FOLIO, i);
	}
	ends(&reads, 3 * FOLIO - 1, false, 0, 3 * FOLIO);
	is_new(&reads);
}

/* There was no charger: who has read it pays, and it isn't read again. */
static void test_what_the_reader_pays(void **state)
{
	struct backing_reads reads = { 0 };

	begin(&reads, 5, true);
	ends(&reads, 5, false, 0, 6);
	is_new(&reads);
}

/* More is returned than was lent: reads of the host's own are among them. */
static void test_returned_twice(void **state)
{
	struct backing_reads reads = { 0 };

	begin(&reads, 4, true);
	ends(&reads, 4, true, 0, 0);
	begin(&reads, 2, false);
	begin(&reads, 4, false);
	ends(&reads, 2, false, 2, 3);
	ends(&reads, 4, false, 0, 5);
	is_new(&reads);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lent_and_returned),
		cmocka_unit_test(test_what_is_lent_outlives_what_is_ahead),
		cmocka_unit_test(test_what_is_lent_to_two),
		cmocka_unit_test(test_what_lies_between_stays),
		cmocka_unit_test(test_a_stream),
		cmocka_unit_test(test_what_the_reader_pays),
		cmocka_unit_test(test_returned_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
