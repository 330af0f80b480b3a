/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the daemon believes of an inode's pages in the page cache: how many
 * there are, and how many of them are resident and known to be the host's.
 * It is told what the chargers did and what the kernel says, and answers
 * what has to be done before a reader may have the file. Pure: no system
 * calls, so that it is tested without root.
 *
 * Protected by whoever owns the inode. A zeroed shadow knows nothing.
 */
#ifndef MEMCGFS_PAGECACHE_SHADOW_H
#define MEMCGFS_PAGECACHE_SHADOW_H

#include <stdbool.h>
#include <stdint.h>

/* Of the largest file that can be known: 64 TiB, 16 of them resident. */
#define SHADOW_FILE_PAGES_MAX (UINT64_C(1) << 34)
#define SHADOW_OWNED_PAGES_MAX UINT32_MAX

struct pagecache_shadow {
	uint64_t known : 1; /* all below means something */
	uint64_t file_pages : 34; /* the file's size, when last looked at */
	uint64_t time_s : 29; /* when; of any clock that only goes forward */
	uint32_t owned_pages; /* resident then, and the host's */
	uint32_t reclaims; /* the host's count of them, then */
};

enum shadow_need {
	SHADOW_NEEDS_NOTHING, /* all is resident, and the host's */
	SHADOW_NEEDS_PAGES, /* some are missing: charge ahead */
	SHADOW_NEEDS_CLAIM, /* some may be foreign: ask the kernel */
};

/* The moment of a look. */
struct shadow_moment {
	uint32_t reclaims; /* the host's count */
	uint32_t time_s;
};

/*
 * What a reader's open needs, when the kernel says that @resident pages are
 * in the page cache. Owners that were looked at are believed for a while,
 * the longer the more a look costs: pages that were dropped and came back
 * beside the mount change no count.
 */
enum shadow_need shadow_look(const struct pagecache_shadow *shadow,
			     uint64_t resident,
			     const struct shadow_moment *now);

/*
 * The pages were looked at: @owned are resident, and the host's. A file that
 * is too large stays unknown.
 */
void shadow_set(struct pagecache_shadow *shadow, uint64_t file_pages,
		uint64_t owned, const struct shadow_moment *now);

/* The file was seen to have that size; one that changed isn't known. */
void shadow_note_size(struct pagecache_shadow *shadow, uint64_t file_pages);

/* The file changed in a way that nobody followed. */
void shadow_forget(struct pagecache_shadow *shadow);

#endif
