// SPDX-License-Identifier: GPL-2.0-or-later
/* What work in the background may take; see allowance.h. */
#include "allowance.h"

/* What may be used at once, after a quiet time. */
#define SAVED_NS_MAX (100 * INT64_C(1000000))
/* As much is saved up again: a charger stays awake for a while after a call. */
#define BURST_NS (2 * INT64_C(1000000))

void allowance_earn(struct allowance *allowance, uint64_t now_ns)
{
	double earned = (double)(now_ns - allowance->paid_until_ns) *
			allowance->percent / 100;

	allowance->saved_ns += (int64_t)earned;
	if (allowance->saved_ns > SAVED_NS_MAX)
		allowance->saved_ns = SAVED_NS_MAX;
	allowance->paid_until_ns = now_ns;
}

unsigned int allowance_rest_ms(const struct allowance *allowance)
{
	double need_ns;

	if (allowance->saved_ns >= 0)
		return 0;
	need_ns = (double)(BURST_NS - allowance->saved_ns) * 100 /
		  allowance->percent;
	return need_ns < 1e12 ? (unsigned int)(need_ns / 1e6) + 1 : 1000000;
}
