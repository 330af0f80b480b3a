// SPDX-License-Identifier: GPL-2.0-or-later
/* Files that a charger keeps resident; see pins.h. */
#include "pins.h"

#include "util.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uthash.h>

struct pin {
	UT_hash_handle hh;
	uint64_t key;
	void *map;
	size_t length;
};

struct pins {
	pthread_mutex_t lock; /* for the table; its members don't change */
	struct pin *table;
};

struct pins *pins_new(void)
{
	struct pins *pins;

	pins = calloc(1, sizeof(*pins));
	if (pins)
		pthread_mutex_init(&pins->lock, NULL);
	return pins;
}

static void pin_free(struct pin *pin)
{
	if (!pin)
		return;
	munmap(pin->map, pin->length);
	free(pin);
}

static int pin_new(uint64_t key, int fd, uint64_t length, struct pin **out)
{
	struct pin *pin;
	int r;

	pin = calloc(1, sizeof(*pin));
	if (!pin)
		return -ENOMEM;
	pin->key = key;
	pin->length = length;
	pin->map = mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0);
	if (pin->map == MAP_FAILED) {
		r = -errno;
		free(pin);
		return r;
	}
	/* Raw: with AddressSanitizer the C library's does nothing. */
	if (syscall(SYS_mlock, pin->map, length) < 0) {
		/* EAGAIN: a page could not be brought in. */
		r = errno == EAGAIN ? -ENOMEM : -errno;
		pin_free(pin);
		return r;
	}
	*out = pin;
	return 0;
}

/* Puts one in the place of the other: what was there. */
static struct pin *swap(struct pins *pins, uint64_t key, struct pin *pin)
{
	struct pin *old;

	pthread_mutex_lock(&pins->lock);
	HASH_FIND(hh, pins->table, &key, sizeof(key), old);
	if (old)
		HASH_DELETE(hh, pins->table, old);
	if (pin)
		HASH_ADD(hh, pins->table, key, sizeof(pin->key), pin);
	pthread_mutex_unlock(&pins->lock);
	return old;
}

int pins_add(struct pins *pins, uint64_t key, int fd, uint64_t length)
{
	struct pin *pin = NULL;
	int r;

	r = pin_new(key, fd, length, &pin);
	if (r == 0)
		pin_free(swap(pins, key, pin));
	return r;
}

void pins_remove(struct pins *pins, uint64_t key)
{
	pin_free(swap(pins, key, NULL));
}
