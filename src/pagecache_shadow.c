// SPDX-License-Identifier: GPL-2.0-or-later
/* What the daemon believes of an inode's pages; see pagecache_shadow.h. */
#include "pagecache_shadow.h"

#define TRUSTED_S 5
/* Looking at so many pages takes some milliseconds: one in a second. */
#define PAGES_PER_TRUSTED_S 8192

/* Of the time that is kept, which comes round in 17 years. */
#define TIME_MASK ((UINT32_C(1) << 29) - 1)

static uint32_t age_s(const struct pagecache_shadow *shadow,
		      const struct shadow_moment *now)
{
	return (now->time_s - (uint32_t)shadow->time_s) & TIME_MASK;
}

static uint32_t trusted_s(const struct pagecache_shadow *shadow)
{
	return TRUSTED_S + (uint32_t)(shadow->file_pages / PAGES_PER_TRUSTED_S);
}

enum shadow_need shadow_look(const struct pagecache_shadow *shadow,
			     uint64_t resident, const struct shadow_moment *now)
{
	if (!resident)
		return SHADOW_NEEDS_PAGES;
	if (!shadow->known)
		return SHADOW_NEEDS_CLAIM;
	/*
	 * More: somebody else brought the difference in. Fewer: what was
	 * dropped may have come back in part, and be anybody's.
	 */
	if (resident != shadow->owned_pages)
		return SHADOW_NEEDS_CLAIM;
	/*
	 * A page that was reclaimed and faulted back by a reader is his, and
	 * the count is the same again: only the host's reclaims tell.
	 */
	if (shadow->reclaims != now->reclaims)
		return SHADOW_NEEDS_CLAIM;
	if (age_s(shadow, now) > trusted_s(shadow))
		return SHADOW_NEEDS_CLAIM;
	return resident < shadow->file_pages ? SHADOW_NEEDS_PAGES :
					       SHADOW_NEEDS_NOTHING;
}

void shadow_set(struct pagecache_shadow *shadow, uint64_t file_pages,
		uint64_t owned, const struct shadow_moment *now)
{
	shadow->known = file_pages < SHADOW_FILE_PAGES_MAX &&
			owned <= SHADOW_OWNED_PAGES_MAX;
	if (!shadow->known)
		return;
	shadow->file_pages = file_pages;
	shadow->owned_pages = (uint32_t)owned;
	shadow->reclaims = now->reclaims;
	shadow->time_s = now->time_s & TIME_MASK;
}

void shadow_note_size(struct pagecache_shadow *shadow, uint64_t file_pages)
{
	if (shadow->file_pages != file_pages)
		shadow->known = false;
}

void shadow_forget(struct pagecache_shadow *shadow)
{
	shadow->known = false;
}
