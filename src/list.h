/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A doubly linked list, embedded in its members; an empty one is its head. */
#ifndef MEMCGFS_LIST_H
#define MEMCGFS_LIST_H

#include <stdbool.h>

struct list {
	struct list *next;
	struct list *prev;
};

static inline void list_init(struct list *head)
{
	head->next = head;
	head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
	return head->next == head;
}

static inline void list_add(struct list *head, struct list *link)
{
	link->next = head->next;
	link->prev = head;
	head->next->prev = link;
	head->next = link;
}

/* Removing a link that is in no list (just initialised) does nothing. */
static inline void list_del(struct list *link)
{
	link->next->prev = link->prev;
	link->prev->next = link->next;
	list_init(link);
}

#endif
