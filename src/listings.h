/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * In which order directories list their files, and who has read them of late:
 * to tell who opens files as they are listed. Of a file are kept 16 bits of its
 * name, and 32 of its inode's number; all of it within a bound: what was used
 * last stays. Pure; the caller protects it.
 */
#ifndef MEMCGFS_LISTINGS_H
#define MEMCGFS_LISTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LISTINGS_FILES_MAX 65536 /* of a directory; the rest is unseen */

struct listings;

/* Who has read a directory, and when; 0 is nobody. */
struct listings_reader {
	uint32_t who;
	/* As identity.h has it. */
	pid_t pid;
	pid_t group;
	uint64_t start_ns;
	uint64_t time_ns;
};

struct listings *listings_new(size_t max_bytes);
struct listings *listings_free(struct listings *listings);

/* What is kept of a file. */
struct listings_file {
	uint32_t ino; /* the low bits */
	uint16_t name; /* listings_name() */
} __attribute__((packed));

uint16_t listings_name(const char *name);

/*
 * Somebody opens a directory. False: its order isn't known, or not all of it,
 * so that it should be read anew. Of one that is too long to be kept whole
 * that would be in vain.
 */
bool listings_open(struct listings *listings, uint64_t dir,
		   const struct listings_reader *reader);

/*
 * The next files of a directory, in its order, from the one with the number
 * @first on; what is known already, and what doesn't follow it, is ignored.
 * @is_end: there are no more.
 */
void listings_add(struct listings *listings, uint64_t dir, uint32_t first,
		  const struct listings_file *files, uint32_t count,
		  bool is_end);

/* Where a name is in a directory's order. */
struct listings_place {
	uint32_t position; /* from 1 on; 0: it isn't known */
	uint32_t count; /* files that the directory has; 0: that isn't known */
	uint32_t ino; /* of the file */
	struct listings_reader readers[2]; /* the latest first */
};

/* Looks from behind @last on, and then from the start. */
struct listings_place listings_find(struct listings *listings, uint64_t dir,
				    uint16_t name, uint32_t last);

/*
 * When he has opened the directory, as told then; 0: he is none of the two who
 * have last.
 */
uint64_t listings_opened_ns(const struct listings *listings, uint64_t dir,
			    uint32_t who);

/* All that is kept, for tests. */
size_t listings_bytes(const struct listings *listings);

#endif
