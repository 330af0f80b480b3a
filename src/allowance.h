/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What work in the background may take of a processor: it is earned as time
 * goes by, saved up to a limit, and spent by the processor time used, so that
 * a busy machine doesn't count the waiting. Pure: time is the caller's.
 */
#ifndef MEMCGFS_ALLOWANCE_H
#define MEMCGFS_ALLOWANCE_H

#include <stdint.h>

struct allowance {
	double percent; /* of one core; more than 0 */
	int64_t saved_ns; /* negative: overspent */
	uint64_t paid_until_ns;
};

static inline struct allowance allowance_begin(double percent, uint64_t now_ns)
{
	return (struct allowance){ percent, 0, now_ns };
}

void allowance_earn(struct allowance *allowance, uint64_t now_ns);

static inline void allowance_spend(struct allowance *allowance, uint64_t ns)
{
	allowance->saved_ns -= (int64_t)ns;
}

/*
 * How long to rest before there is enough again for a while: 0 while some of
 * it is left.
 */
unsigned int allowance_rest_ms(const struct allowance *allowance);

#endif
