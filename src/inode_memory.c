// SPDX-License-Identifier: GPL-2.0-or-later
/* The memory of the table's inodes; see inode_priv.h. */
#include "inode_priv.h"

#include "util.h"

#include <string.h>

void inode_memory_init(struct inode_memory *memory)
{
	for (size_t i = 0; i < INODE_SIZES; i++)
		slab_init(&memory->inodes[i], sizeof(struct inode) + 8 * i);
	slab_init(&memory->pages, sizeof(struct inode_pages));
	slab_init(&memory->cached, sizeof(struct inode_cached));
	for (size_t i = 0; i < NAME_SIZES; i++)
		slab_init(&memory->names[i], 8 * (i + 1));
}

void inode_memory_destroy(struct inode_memory *memory)
{
	for (size_t i = 0; i < INODE_SIZES; i++)
		slab_destroy(&memory->inodes[i]);
	slab_destroy(&memory->pages);
	slab_destroy(&memory->cached);
	for (size_t i = 0; i < NAME_SIZES; i++)
		slab_destroy(&memory->names[i]);
}

static struct slab *slab_of_handle(struct inode_table *table,
				   unsigned int handle_bytes)
{
	return &table->memory.inodes[(handle_bytes + 7) / 8];
}

struct inode *inode_take(struct inode_table *table, unsigned int handle_bytes)
{
	return slab_take(slab_of_handle(table, handle_bytes));
}

void inode_give(struct inode_table *table, struct inode *inode)
{
	if (inode)
		slab_give(slab_of_handle(table, inode->handle_bytes), inode);
}

/* NULL: it is too long. */
static struct slab *slab_of_name(struct inode_table *table, const char *name)
{
	size_t size = strlen(name) / 8;

	return size < NAME_SIZES ? &table->memory.names[size] : NULL;
}

char *inode_name_new(struct inode_table *table, const char *name)
{
	struct slab *slab = slab_of_name(table, name);
	char *copy;

	if (!slab)
		return strdup(name);
	copy = slab_take(slab);
	return copy ? strcpy(copy, name) : NULL;
}

void inode_name_free(struct inode_table *table, char *name)
{
	struct slab *slab = name ? slab_of_name(table, name) : NULL;

	if (slab)
		slab_give(slab, name);
	else
		free(name);
}
