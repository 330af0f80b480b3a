/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sizes as people read them. */
#ifndef MEMCGFS_CTL_SIZE_H
#define MEMCGFS_CTL_SIZE_H

#define SIZE_TEXT 32

/*
 * Bytes in the largest unit that leaves a whole part, with a decimal where
 * that says more: "8M", "1.5M", "48M". Gives @buf.
 */
const char *size_text(long long bytes, char buf[SIZE_TEXT]);

#endif
