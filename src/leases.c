// SPDX-License-Identifier: GPL-2.0-or-later
/* Files that somebody has a write lease on; see leases.h. */
#include "leases.h"

#include "util.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#define BELIEVED_S 1

struct leased {
	dev_t dev;
	ino_t ino;
};

struct leases {
	pthread_mutex_t lock; /* for all below */
	struct leased *files;
	size_t n;
	uint32_t read_s; /* 0: never */
};

struct leases *leases_new(void)
{
	struct leases *leases;

	leases = calloc(1, sizeof(*leases));
	if (leases)
		pthread_mutex_init(&leases->lock, NULL);
	return leases;
}

struct leases *leases_free(struct leases *leases)
{
	if (!leases)
		return NULL;
	pthread_mutex_destroy(&leases->lock);
	free(leases->files);
	free(leases);
	return NULL;
}

/* "3: LEASE  ACTIVE    WRITE 4711 fe:01:1234 0 EOF" */
static bool parse_line(const char *line, struct leased *file)
{
	unsigned int major, minor;
	unsigned long long ino;
	char kind[8];

	if (sscanf(line, "%*s LEASE %*s %7s %*s %x:%x:%llu", kind, &major,
		   &minor, &ino) != 4 ||
	    strcmp(kind, "WRITE") != 0)
		return false;
	*file = (struct leased){ .dev = makedev(major, minor), .ino = ino };
	return true;
}

/* Without memory it is left out. */
static void add_file(struct leases *leases, const struct leased *file)
{
	struct leased *files;

	files = realloc(leases->files, (leases->n + 1) * sizeof(*files));
	if (!files)
		return;
	leases->files = files;
	files[leases->n++] = *file;
}

/* Under the lock, as nobody waits for it who serves anybody. */
static void read_locks(struct leases *leases)
{
	cleanup_free char *line = NULL;
	struct leased file;
	size_t room = 0;
	FILE *locks;

	leases->n = 0;
	locks = fopen("/proc/locks", "re");
	if (!locks)
		return;
	while (getline(&line, &room, locks) > 0)
		if (parse_line(line, &file))
			add_file(leases, &file);
	fclose(locks);
}

bool leases_exist(struct leases *leases)
{
	uint32_t now = now_s();
	bool exist;

	pthread_mutex_lock(&leases->lock);
	if (!leases->read_s || now - leases->read_s >= BELIEVED_S) {
		read_locks(leases);
		leases->read_s = now;
	}
	exist = leases->n > 0;
	pthread_mutex_unlock(&leases->lock);
	return exist;
}

bool leases_have(struct leases *leases, dev_t dev, ino_t ino)
{
	bool have = false;

	pthread_mutex_lock(&leases->lock);
	for (size_t i = 0; i < leases->n && !have; i++)
		have = leases->files[i].dev == dev &&
		       leases->files[i].ino == ino;
	pthread_mutex_unlock(&leases->lock);
	return have;
}
