// SPDX-License-Identifier: GPL-2.0-or-later
/* The arena: a buffer for each thread, the same memory for all processes. */
#include "arena.h"

#include "unit.h"
#include "util.h"

#include <sys/mman.h>

#define THREADS 4

/* A thread that asks for its buffer: a process has one arena, and a thread
 * one buffer in it, so each test has threads of its own. */
struct asker {
	struct arena *arena;
	pthread_barrier_t *together;
	char letter;
	char *buffer;
	char *again;
	char *too_large;
	bool zeroed;
};

static void *asker_thread(void *arg)
{
	struct asker *asker = arg;

	asker->buffer = arena_buffer(asker->arena, 100);
	if (asker->buffer) {
		asker->zeroed = asker->buffer[0] == 0 && asker->buffer[99] == 0;
		memset(asker->buffer, asker->letter, 100);
		asker->again = arena_buffer(asker->arena, ARENA_BUFFER_BYTES);
		asker->buffer[ARENA_BUFFER_BYTES - 1] = asker->letter;
	}
	asker->too_large = arena_buffer(asker->arena, ARENA_BUFFER_BYTES + 1);
	pthread_barrier_wait(asker->together);
	return NULL;
}

static void ask(struct arena *arena, struct asker *askers, unsigned int count)
{
	pthread_barrier_t together;

	pthread_barrier_init(&together, NULL, count);
	for (unsigned int i = 0; i < count; i++)
		askers[i] = (struct asker){
			.arena = arena,
			.together = &together,
			.letter = (char)('a' + i),
		};
	run_threads(count, asker_thread, askers, sizeof(askers[0]));
	pthread_barrier_destroy(&together);
}

/* 4 threads, 4 buffers: apart, aligned, and each always the same. */
static void test_a_buffer_each(void **state)
{
	struct asker askers[THREADS];
	uint64_t seen = 0;
	struct arena *arena;
	uint64_t offset;

	assert_int_equal(arena_new(THREADS, &arena), 0);
	ask(arena, askers, THREADS);
	for (int i = 0; i < THREADS; i++) {
		assert_non_null(askers[i].buffer);
		assert_true(askers[i].zeroed);
		assert_ptr_equal(askers[i].again, askers[i].buffer);
		assert_null(askers[i].too_large);
		offset = arena_offset(arena, askers[i].buffer);
		assert_int_equal(offset % ARENA_BUFFER_BYTES, 0);
		assert_true(offset / ARENA_BUFFER_BYTES < THREADS);
		seen |= 1ull << offset / ARENA_BUFFER_BYTES;
		/* Touching more of it left what was there. */
		assert_int_equal(askers[i].buffer[99], askers[i].letter);
	}
	assert_int_equal(seen, (1 << THREADS) - 1);
	arena_free(arena);
}

/* 5 threads for 4 buffers: one has none. */
static void test_too_many_threads(void **state)
{
	struct asker askers[THREADS + 1];
	unsigned int without = 0;
	struct arena *arena;

	assert_int_equal(arena_new(THREADS, &arena), 0);
	ask(arena, askers, THREADS + 1);
	for (int i = 0; i <= THREADS; i++)
		without += !askers[i].buffer;
	assert_int_equal(without, 1);
	arena_free(arena);
}

/* What one mapping of it says, the other one hears, at the same offset. */
static void test_a_charger_sees_it(void **state)
{
	struct asker asker;
	struct arena *arena;
	char *attached;

	assert_int_equal(arena_new(1, &arena), 0);
	ask(arena, &asker, 1);
	attached = arena_attach(arena_fd(arena));
	assert_non_null(attached);
	assert_ptr_not_equal(attached, asker.buffer);
	attached += arena_offset(arena, asker.buffer);
	assert_int_equal(attached[0], 'a');
	assert_int_equal(attached[ARENA_BUFFER_BYTES - 1], 'a');
	attached[5] = 'z';
	assert_int_equal(asker.buffer[5], 'z');
	munmap(attached, ARENA_BUFFER_BYTES);
	arena_free(arena);
	assert_null(arena_attach(-1));
}

/* Only what was asked for takes memory: 100 bytes of 256 MiB are a page. */
static void test_memory_is_taken_when_used(void **state)
{
	struct arena *arena;
	struct stat st;

	assert_int_equal(arena_new(256, &arena), 0);
	assert_int_equal(fstat(arena_fd(arena), &st), 0);
	assert_int_equal(st.st_size, 256 * MIB);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(fcntl(arena_fd(arena), F_GETFD), FD_CLOEXEC);
	arena_free(arena);
}

static void test_nothing_is_left(void **state)
{
	unsigned int before = count_fds();
	struct arena *arena;

	assert_int_equal(arena_new(1, &arena), 0);
	assert_null(arena_free(arena));
	assert_null(arena_free(NULL));
	assert_int_equal(count_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_buffer_each),
		cmocka_unit_test(test_too_many_threads),
		cmocka_unit_test(test_a_charger_sees_it),
		cmocka_unit_test(test_memory_is_taken_when_used),
		cmocka_unit_test(test_nothing_is_left),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
