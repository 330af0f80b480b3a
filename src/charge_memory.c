// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The heart, 4: files on a tmpfs. Their pages can't be reclaimed, so that a
 * host that is full of them has the OOM killer come, for whomever it picks.
 * Hence what a call may add is taken out of the host's room before it is
 * made; where there is none left, the tmpfs is full.
 */
#include "charge_priv.h"

#include "residency.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/stat.h>

bool charge_is_in_memory(const struct charge *charge, const struct inode *inode)
{
	int64_t type = inode_device(charge->table, inode)->fs_type;

	return type == TMPFS_MAGIC || type == RAMFS_MAGIC;
}

/* Where a call adds pages, if it does. */
struct addition {
	int fd;
	uint64_t offset;
	uint64_t length;
};

static uint64_t size_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

static struct addition addition_of(const struct ring_call *call)
{
	struct addition to = {
		.fd = call->fd,
		.offset = call->offset,
		.length = call->length,
	};
	uint64_t size;

	switch (call->op) {
	case RING_WRITE:
		if (call->flags & RWF_APPEND)
			to.offset = size_of(call->fd);
		break;
	case RING_AHEAD:
		break;
	case RING_FALLOCATE:
		if (call->flags & FALLOC_FL_PUNCH_HOLE)
			to.length = 0;
		break;
	case RING_COPY_RANGE:
		size = size_of(call->fd);
		to.fd = call->fd2;
		to.offset = call->offset2;
		if (call->offset >= size)
			to.length = 0;
		else if (to.length > size - call->offset)
			to.length = size - call->offset;
		break;
	default:
		to.length = 0;
	}
	return to;
}

/* The bytes of the pages that aren't there yet; a swapped one is not. */
static uint64_t missing_bytes(const struct addition *to)
{
	uint64_t start, pages, resident = 0;

	if (!to->length)
		return 0;
	start = to->offset / page_bytes() * page_bytes();
	pages = pages_of(to->length + (to->offset - start));
	if (residency_count(to->fd, start, pages * page_bytes(), &resident) < 0)
		resident = 0;
	return resident < pages ? (pages - resident) * page_bytes() : 0;
}

int charge_take_memory(const struct charge *charge, const struct inode *inode,
		       const struct ring_call *call,
		       struct charge_memory *memory)
{
	struct host *host = binding_of(charge, inode)->host;
	struct addition to;
	uint64_t bytes;

	memory->host = NULL;
	if (!host || !charge_is_in_memory(charge, inode))
		return 0;
	to = addition_of(call);
	bytes = missing_bytes(&to);
	if (!bytes)
		return 0;
	if (!host_take_memory(host, bytes, &memory->take))
		return -ENOSPC;
	memory->host = host;
	return 0;
}

void charge_give_memory(const struct charge_memory *memory)
{
	if (memory->host)
		host_give_memory(memory->host, &memory->take);
}
