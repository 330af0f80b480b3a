// SPDX-License-Identifier: GPL-2.0-or-later
/* Objects side by side: each is its taker's alone, and none is left over. */
#include "slab.h"

#include "unit.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define OBJECTS 5000
#define OBJECT_BYTES 100 /* 104 are taken: 629 of them fit a block */
#define BLOCKS 8 /* for all of them */

static bool is_all(const unsigned char *object, unsigned char byte)
{
	for (size_t i = 0; i < OBJECT_BYTES; i++)
		if (object[i] != byte)
			return false;
	return true;
}

/* It is zeroed, and says whose it is from now on. */
static unsigned char *take(struct slab *slab, size_t n)
{
	unsigned char *object = slab_take(slab);

	assert_non_null(object);
	assert_int_equal((uintptr_t)object % 8, 0);
	assert_true(is_all(object, 0));
	memset(object, 1 + n % 255, OBJECT_BYTES);
	return object;
}

static void give(struct slab *slab, unsigned char *object, size_t n)
{
	assert_true(is_all(object, 1 + n % 255));
	slab_give(slab, object);
}

static void test_nothing(void **state)
{
	struct slab slab;

	(void)state;
	slab_init(&slab, 8);
	slab_give(&slab, NULL);
	slab_destroy(&slab);
}

static void test_comings_and_goings(void **state)
{
	static unsigned char *objects[OBJECTS];
	struct slab slab;

	(void)state;
	slab_init(&slab, OBJECT_BYTES);
	for (size_t n = 0; n < OBJECTS; n++)
		objects[n] = take(&slab, n);
	for (size_t n = 0; n < OBJECTS; n += 3) {
		give(&slab, objects[n], n);
		objects[n] = NULL;
	}
	for (size_t n = 0; n < OBJECTS; n += 3)
		objects[n] = take(&slab, n);
	for (size_t n = 0; n < OBJECTS; n++)
		give(&slab, objects[n], n);
	slab_destroy(&slab);
}

/* Blocks come as they are needed, and go with their last object, but for one. */
static void test_blocks(void **state)
{
	static unsigned char *objects[OBJECTS];
	struct slab slab;

	(void)state;
	if (SLAB_IS_MALLOC)
		skip();
	slab_init(&slab, OBJECT_BYTES);
	for (size_t n = 0; n < OBJECTS; n++)
		objects[n] = take(&slab, n);
	assert_int_equal(slab.count, OBJECTS);
	assert_int_equal(slab.blocks, BLOCKS);
	for (size_t n = 0; n < OBJECTS; n += 2)
		give(&slab, objects[n], n);
	assert_int_equal(slab.blocks, BLOCKS);
	for (size_t n = 0; n < OBJECTS; n += 2)
		objects[n] = take(&slab, n);
	assert_int_equal(slab.blocks, BLOCKS);
	for (size_t n = 0; n < OBJECTS; n++)
		give(&slab, objects[n], n);
	assert_int_equal(slab.count, 0);
	assert_int_equal(slab.blocks, 1);
	slab_destroy(&slab);
}

/* The first of many, and the one that is taken and given over and over. */
static void test_one_at_a_time(void **state)
{
	unsigned char *first;
	struct slab slab;

	(void)state;
	slab_init(&slab, OBJECT_BYTES);
	first = take(&slab, 0);
	give(&slab, first, 0);
	for (size_t n = 1; n < 100; n++)
		give(&slab, take(&slab, n), n);
	slab_destroy(&slab);
}

#define TAKERS 8

/* Set: whoever asks for a block waits until all do. */
static pthread_barrier_t *meeting;

#if !SLAB_IS_MALLOC
/* In the place of the C library's. */
void *mmap(void *at, size_t length, int protection, int flags, int fd,
	   off_t offset)
{
	if (meeting)
		pthread_barrier_wait(meeting);
	return (void *)syscall(SYS_mmap, at, length, protection, flags, fd,
			       offset);
}
#endif

static void *take_one(void *arg)
{
	return slab_take(arg);
}

/* Several find no room at a time: one block is enough for all of them. */
static void test_the_first_at_a_time(void **state)
{
	pthread_t threads[TAKERS];
	pthread_barrier_t barrier;
	void *objects[TAKERS];
	struct slab slab;

	(void)state;
	if (SLAB_IS_MALLOC)
		skip();
	slab_init(&slab, OBJECT_BYTES);
	pthread_barrier_init(&barrier, NULL, TAKERS);
	meeting = &barrier;
	for (int i = 0; i < TAKERS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, take_one, &slab), 0);
	for (int i = 0; i < TAKERS; i++) {
		pthread_join(threads[i], &objects[i]);
		assert_non_null(objects[i]);
	}
	meeting = NULL;
	assert_int_equal(slab.blocks, 1);
	for (int i = 0; i < TAKERS; i++)
		slab_give(&slab, objects[i]);
	pthread_barrier_destroy(&barrier);
	slab_destroy(&slab);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_comings_and_goings),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_one_at_a_time),
		cmocka_unit_test(test_the_first_at_a_time),
	};

	unit_watchdog(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
