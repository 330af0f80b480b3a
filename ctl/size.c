// SPDX-License-Identifier: GPL-2.0-or-later
/* Sizes as people read them; see size.h. */
#include "size.h"

#include <stdio.h>

const char *size_text(long long bytes, char buf[SIZE_TEXT])
{
	static const char units[] = "KMGTPE";
	double value = (double)bytes;
	int unit = -1, tenths;

	/* What would be rounded to 1024 is one of the next unit. */
	while (value >= (unit < 0 ? 1024 : 1023.5) && unit < 5) {
		value /= 1024;
		unit++;
	}
	tenths = (int)(value * 10 + 0.5);
	if (unit < 0)
		snprintf(buf, SIZE_TEXT, "%lld", bytes);
	else if (tenths < 100 && tenths % 10)
		snprintf(buf, SIZE_TEXT, "%d.%d%c", tenths / 10, tenths % 10,
			 units[unit]);
	else
		snprintf(buf, SIZE_TEXT, "%.0f%c", value, units[unit]);
	return buf;
}
