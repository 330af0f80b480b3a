// SPDX-License-Identifier: GPL-2.0-or-later
/* A set of pages of a file; see ranges.h. */
#include "ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The first range that ends at or behind the page. */
static size_t find(const struct ranges *ranges, uint64_t page)
{
	size_t low = 0, high = ranges->n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (ranges->items[middle].end < page)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int make_room(struct ranges *ranges)
{
	size_t room = ranges->room ? 2 * ranges->room : 4;
	struct range *items;

	if (ranges->n < ranges->room)
		return 0;
	items = reallocarray(ranges->items, room, sizeof(*items));
	if (!items)
		return -ENOMEM;
	ranges->items = items;
	ranges->room = room;
	return 0;
}

/* Those from @at on that touch the range become part of it. */
static int64_t merge(struct ranges *ranges, size_t at, struct range range)
{
	struct range *items = ranges->items;
	uint64_t known = 0;
	size_t next = at;

	while (next < ranges->n && items[next].first <= range.end) {
		known += items[next].end - items[next].first;
		if (items[next].first < range.first)
			range.first = items[next].first;
		if (items[next].end > range.end)
			range.end = items[next].end;
		next++;
	}
	items[at] = range;
	memmove(&items[at + 1], &items[next],
		(ranges->n - next) * sizeof(*items));
	ranges->n -= next - at - 1;
	return (int64_t)(range.end - range.first - known);
}

static int64_t insert(struct ranges *ranges, size_t at, struct range range)
{
	struct range *items;

	if (make_room(ranges) < 0)
		return -ENOMEM;
	items = ranges->items;
	memmove(&items[at + 1], &items[at], (ranges->n - at) * sizeof(*items));
	items[at] = range;
	ranges->n++;
	return (int64_t)(range.end - range.first);
}

int64_t ranges_add(struct ranges *ranges, uint64_t first, uint64_t end)
{
	struct range range = { .first = first, .end = end };
	size_t at = find(ranges, first);

	if (end <= first)
		return 0;
	if (at < ranges->n && ranges->items[at].first <= end)
		return merge(ranges, at, range);
	if (ranges->n < RANGES_MAX)
		return insert(ranges, at, range);
	if (at == ranges->n)
		at--;
	if (range.end < ranges->items[at].first)
		range.end = ranges->items[at].first;
	else
		range.first = ranges->items[at].end;
	return merge(ranges, at, range);
}

uint64_t ranges_pages(const struct ranges *ranges)
{
	uint64_t pages = 0;

	for (size_t i = 0; i < ranges->n; i++)
		pages += ranges->items[i].end - ranges->items[i].first;
	return pages;
}

void ranges_clear(struct ranges *ranges)
{
	free(ranges->items);
	*ranges = (struct ranges){ 0 };
}
