// SPDX-License-Identifier: GPL-2.0-or-later
/* The embedded list: what was added last comes first. */
#include "list.h"

#include "unit.h"
#include "util.h"

struct guest {
	int number;
	struct list link;
};

static int number_of(const struct list *link)
{
	return container_of(link, const struct guest, link)->number;
}

/* Ann, Bob and Cid come in; from the front the latest is met first. */
static void test_order(void **state)
{
	struct guest guests[] = { { .number = 1 },
				  { .number = 2 },
				  { .number = 3 } };
	struct list head;

	list_init(&head);
	assert_true(list_empty(&head));
	for (int i = 0; i < 3; i++)
		list_add(&head, &guests[i].link);
	assert_false(list_empty(&head));

	assert_int_equal(number_of(head.next), 3);
	assert_int_equal(number_of(head.next->next), 2);
	assert_int_equal(number_of(head.prev), 1);

	list_del(&guests[1].link);
	assert_int_equal(number_of(head.next), 3);
	assert_int_equal(number_of(head.next->next), 1);
	assert_ptr_equal(head.next->next->next, &head);
}

/* Who is in no list may leave again, and come back. */
static void test_leaving_twice(void **state)
{
	struct guest guest = { .number = 1 };
	struct list head;

	list_init(&head);
	list_init(&guest.link);
	list_del(&guest.link);
	list_add(&head, &guest.link);
	list_del(&guest.link);
	list_del(&guest.link);
	assert_true(list_empty(&head));
	assert_true(list_empty(&guest.link));
	list_add(&head, &guest.link);
	assert_int_equal(number_of(head.next), 1);
}

#define GUESTS 50

/* As the list has it, forwards and backwards, against an array. */
static void assert_same(const struct list *head, const int *model, int count)
{
	const struct list *link = head->next;

	for (int i = count - 1; i >= 0; i--, link = link->next)
		assert_int_equal(number_of(link), model[i]);
	assert_ptr_equal(link, head);
	link = head->prev;
	for (int i = 0; i < count; i++, link = link->prev)
		assert_int_equal(number_of(link), model[i]);
	assert_ptr_equal(link, head);
}

static int model_del(int *model, int count, int number)
{
	int kept = 0;

	for (int i = 0; i < count; i++)
		if (model[i] != number)
			model[kept++] = model[i];
	return kept;
}

/* 5,000 comings and goings of 50 guests. */
static void test_random_history(void **state)
{
	struct guest guests[GUESTS];
	int model[GUESTS];
	uint32_t seed = 1;
	struct list head;
	int count = 0;
	int who, left;

	list_init(&head);
	for (int i = 0; i < GUESTS; i++) {
		guests[i].number = i;
		list_init(&guests[i].link);
	}
	for (int round = 0; round < 5000; round++) {
		who = (int)(unit_random(&seed) % GUESTS);
		left = model_del(model, count, who);
		if (left == count) {
			list_add(&head, &guests[who].link);
			model[count++] = who;
		} else {
			list_del(&guests[who].link);
			count = left;
		}
		assert_same(&head, model, count);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_leaving_twice),
		cmocka_unit_test(test_random_history),
	};

	return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
