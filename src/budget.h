/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What may still be added to memory that nobody can take pages from again
 * (files of a tmpfs): who adds takes it out of the budget first, so that
 * the sum stays below what there is room for, less a margin.
 *
 * To look for room is dear. So who has looked leaves half of what he found,
 * as a credit, to those who come within the next tenth of a second. Pure: the
 * caller looks, and tells what time it is.
 */
#ifndef MEMCGFS_BUDGET_H
#define MEMCGFS_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

/* What the kernel's counts may be wrong by, and what others may add at once. */
#define BUDGET_MARGIN_BYTES (UINT64_C(1) << 20)
#define BUDGET_CREDIT_NS (100 * UINT64_C(1000000))

/* All fields: protected by whoever owns the budget. */
struct budget {
	uint64_t taken_bytes; /* being added now; the credit is part of it */
	uint64_t credit_bytes;
	uint64_t credit_until_ns;
	uint64_t looks; /* that have been answered */
};

/* What one who adds has taken; a small value, to be given back. */
struct budget_take {
	uint64_t bytes;
	uint64_t before_bytes; /* these two: for budget_answer() */
	uint64_t looks;
};

/*
 * Takes bytes. True: out of the credit. False: the caller is to look how much
 * room there is, and then to call budget_answer().
 */
bool budget_take(struct budget *budget, uint64_t bytes, uint64_t now_ns,
		 struct budget_take *take);

enum budget_word {
	BUDGET_FITS,
	BUDGET_BUSY, /* not taken, as others add: look again */
	BUDGET_FULL, /* not taken: there is no room */
};

enum budget_word budget_answer(struct budget *budget, struct budget_take *take,
			       uint64_t room_bytes, uint64_t now_ns);

/* It is added, or won't be. */
void budget_give(struct budget *budget, const struct budget_take *take);

#endif
