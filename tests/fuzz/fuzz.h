/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the harnesses share. Each is a libFuzzer program; see tests/fuzz/run. */
#ifndef MEMCGFS_FUZZ_H
#define MEMCGFS_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What does not hold is a finding. */
#define must(condition)                   \
	do {                              \
		if (!(condition))         \
			__builtin_trap(); \
	} while (0)

/* A copy that ends with a NUL, so that reading past it is seen. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	char *copy = malloc(size + 1);

	must(copy);
	if (size)
		memcpy(copy, data, size);
	copy[size] = '\0';
	return copy;
}

/* The text up to the first NUL, and what is behind it: "" if there is none. */
static inline char *fuzz_two_texts(const uint8_t *data, size_t size,
				   const char **second)
{
	char *copy = fuzz_text(data, size);
	size_t len = strlen(copy);

	*second = copy + len + (len < size);
	return copy;
}

#endif
