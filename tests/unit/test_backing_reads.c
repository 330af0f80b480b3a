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
static void span_is(struct backing_span span, uint64_t first, uint64_t end)
{
	if (first == end) {
		assert_true(span.first >= span.end);
		return;
	}
	assert_int_equal(span.first, first * PIECE);
	assert_int_equal(span.end, end * PIECE);
}

static void ends(struct backing_reads *reads, uint64_t number, bool is_lent,
		 uint64_t first, uint64_t end)
{
	struct backing_read read = piece(number, is_lent);

	span_is(backing_reads_end(reads, &read), first, end);
}

static void is_new(const struct backing_reads *reads)
{
	assert_int_equal(reads->under_way, 0);
	assert_int_equal(reads->end, 0);
	assert_false(reads->has_lent);
}

/* A small file: it is read, and read again. */
static void test_lent_and_read_again(void **state)
{
	struct backing_reads reads = { 0 };

	begin(&reads, 0, true);
	ends(&reads, 0, true, 0, 0);
	backing_reads_begin_recharge(&reads);
	begin(&reads, 0, false);
	span_is(backing_reads_end_recharge(&reads), 0, 0);
	ends(&reads, 0, false, 0, 1);
	is_new(&reads);
}

/* The read comes before the charger says that it has asked for it. */
static void test_read_again_at_once(void **state)
{
	struct backing_reads reads = { 0 };

	begin(&reads, 2, true);
	ends(&reads, 2, true, 0, 0);
	backing_reads_begin_recharge(&reads);
	begin(&reads, 2, false);
	ends(&reads, 2, false, 2, 3);
	span_is(backing_reads_end_recharge(&reads), 0, 3);
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
	ends(&reads, 2, false, 2, 3);
	ends(&reads, 1, false, 1, 2);
	backing_reads_begin_recharge(&reads);
	begin(&reads, 0, false);
	ends(&reads, 0, false, 0, 1);
	span_is(backing_reads_end_recharge(&reads), 0, 3);
	is_new(&reads);
}

/* The tail first, as of archives, then the head, with what is ahead of it. */
static void test_tail_and_head(void **state)
{
	struct backing_reads reads = { 0 };

	begin(&reads, 9, true);
	ends(&reads, 9, true, 0, 0);
	begin(&reads, 0, true);
	begin(&reads, 1, false);
	ends(&reads, 1, false, 1, 2);
	ends(&reads, 0, true, 0, 0);
	backing_reads_begin_recharge(&reads);
	begin(&reads, 0, false);
	begin(&reads, 9, false);
	ends(&reads, 0, false, 0, 1);
	span_is(backing_reads_end_recharge(&reads), 0, 0);
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
	backing_reads_begin_recharge(&reads);
	begin(&reads, 1, false);
	ends(&reads, 1, false, 1, 2);
	begin(&reads, 1000 * FOLIO + 1, false);
	span_is(backing_reads_end_recharge(&reads), 0, 0);
	ends(&reads, 1000 * FOLIO + 1, false, 1000 * FOLIO + 1,
	     1000 * FOLIO + 2);
	is_new(&reads);
}

/* Of a stream some is always under way; at its end it leaves no folio. */
static void test_a_stream(void **state)
{
	struct backing_reads reads = { 0 };

	begin(&reads, FOLIO + 1, false);
	for (uint64_t i = FOLIO + 2; i < 3 * FOLIO; i++) {
		begin(&reads, i, false);
		ends(&reads, i - 1, false, i - 1, i);
	}
	ends(&reads, 3 * FOLIO - 1, false, FOLIO, 3 * FOLIO);
	is_new(&reads);
}

/* There was no charger: who has read it pays, and it isn't read again. */
static void test_what_the_reader_pays(void **state)
{
	struct backing_reads reads = { 0 };

	begin(&reads, 5, true);
	ends(&reads, 5, false, 5, 6);
	backing_reads_begin_recharge(&reads);
	span_is(backing_reads_end_recharge(&reads), 0, 6);
	is_new(&reads);
}

/* One that isn't counted takes the folio that it begins in with it. */
static void test_alone(void **state)
{
	struct backing_read read = piece(FOLIO + 3, false);

	span_is(backing_reads_alone(&read), FOLIO, FOLIO + 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lent_and_read_again),
		cmocka_unit_test(test_read_again_at_once),
		cmocka_unit_test(test_what_is_lent_outlives_what_is_ahead),
		cmocka_unit_test(test_tail_and_head),
		cmocka_unit_test(test_what_lies_between_stays),
		cmocka_unit_test(test_a_stream),
		cmocka_unit_test(test_what_the_reader_pays),
		cmocka_unit_test(test_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
