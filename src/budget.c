// SPDX-License-Identifier: GPL-2.0-or-later
/* What may still be added to memory; see budget.h. */
#include "budget.h"

#include <assert.h>

static void set_credit(struct budget *budget, uint64_t bytes)
{
	budget->taken_bytes += bytes - budget->credit_bytes;
	budget->credit_bytes = bytes;
}

bool budget_take(struct budget *budget, uint64_t bytes, uint64_t now_ns,
		 struct budget_take *take)
{
	take->bytes = bytes;
	if (now_ns < budget->credit_until_ns && bytes <= budget->credit_bytes) {
		budget->credit_bytes -= bytes;
		return true;
	}
	set_credit(budget, 0);
	take->before_bytes = budget->taken_bytes;
	take->looks = budget->looks;
	budget->taken_bytes += bytes;
	return false;
}

/*
 * What was taken before the look may be seen in the room already, or not:
 * it is counted all the same. A credit given since the look began is not: hence
 * the second look.
 */
enum budget_word budget_answer(struct budget *budget, struct budget_take *take,
			       uint64_t room_bytes, uint64_t now_ns)
{
	uint64_t need = take->before_bytes + take->bytes + BUDGET_MARGIN_BYTES;

	if (budget->looks != take->looks || room_bytes < need) {
		budget_give(budget, take);
		return take->before_bytes || budget->looks != take->looks ?
			       BUDGET_BUSY :
			       BUDGET_FULL;
	}
	budget->looks++;
	set_credit(budget, (room_bytes - need) / 2);
	budget->credit_until_ns = now_ns + BUDGET_CREDIT_NS;
	return BUDGET_FITS;
}

void budget_give(struct budget *budget, const struct budget_take *take)
{
	assert(take->bytes <= budget->taken_bytes);
	budget->taken_bytes -= take->bytes;
}
