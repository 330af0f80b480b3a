// SPDX-License-Identifier: GPL-2.0-or-later
/* The memory that data passes through; see arena.h. */
#include "arena.h"

#include "util.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct arena {
	char *memory;
	size_t size;
	int fd;
	atomic_uint n_used;
};

/* The calling thread's; a process has one arena. */
static __thread struct {
	char *buffer;
	size_t touched;
} own;

int arena_new(unsigned int max_threads, struct arena **out)
{
	cleanup_free struct arena *arena = calloc(1, sizeof(*arena));
	cleanup_close int fd = -1;

	if (!arena)
		return -ENOMEM;
	arena->size = (size_t)max_threads * ARENA_BUFFER_BYTES;
	fd = memfd_create("memcgfs-arena", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)arena->size) < 0)
		return -errno;
	arena->memory = mmap(NULL, arena->size, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (arena->memory == MAP_FAILED)
		return -errno;
	arena->fd = steal_fd(&fd);
	*out = steal_ptr(&arena);
	return 0;
}

struct arena *arena_free(struct arena *arena)
{
	if (!arena)
		return NULL;
	munmap(arena->memory, arena->size);
	close_fd(arena->fd);
	free(arena);
	return NULL;
}

int arena_fd(const struct arena *arena)
{
	return arena->fd;
}

static char *arena_take(struct arena *arena)
{
	unsigned int n =
		atomic_load_explicit(&arena->n_used, memory_order_relaxed);

	do {
		if (n >= arena->size / ARENA_BUFFER_BYTES)
			return NULL;
	} while (!atomic_compare_exchange_weak(&arena->n_used, &n, n + 1));
	return arena->memory + (size_t)n * ARENA_BUFFER_BYTES;
}

void *arena_buffer(struct arena *arena, size_t size)
{
	if (!own.buffer) {
		own.buffer = arena_take(arena);
		own.touched = 0;
	}
	if (!own.buffer || size > ARENA_BUFFER_BYTES)
		return NULL;
	if (own.touched < size) {
		memset(own.buffer + own.touched, 0, size - own.touched);
		own.touched = size;
	}
	return own.buffer;
}

uint64_t arena_offset(const struct arena *arena, const void *address)
{
	return (uint64_t)((const char *)address - arena->memory);
}

void *arena_attach(int fd)
{
	struct stat st;
	void *memory;

	if (fstat(fd, &st) < 0)
		return NULL;
	memory = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_NORESERVE, fd, 0);
	return memory == MAP_FAILED ? NULL : memory;
}
