// SPDX-License-Identifier: GPL-2.0-or-later
/* Sizes as people read them. */
#include "ctl/size.h"

#include "unit.h"

static void test_sizes(void **state)
{
	static const struct {
		long long bytes;
		const char *text;
	} sizes[] = {
		{ 0, "0" },
		{ 1, "1" },
		{ 1023, "1023" },
		{ 1024, "1K" },
		{ 1536, "1.5K" },
		{ 4096, "4K" },
		{ 8 << 20, "8M" },
		{ (8 << 20) + 4096, "8M" },
		{ 48 << 20, "48M" },
		{ (9 << 20) + (1020 << 10), "10M" },
		{ (1ll << 20) - 1, "1M" }, /* not 1024K */
		{ (1ll << 30) - 1, "1G" },
		{ 1000ll << 20, "1000M" },
		{ 3ll << 40, "3T" },
		{ INT64_MAX, "8E" },
		{ -4096, "-4096" },
	};
	char buf[SIZE_TEXT];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_string_equal(size_text(sizes[i].bytes, buf),
				    sizes[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests_name("ctl_size", tests, NULL, NULL);
}
