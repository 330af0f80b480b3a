// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The heart, 8: whose a file's pages are; see charge.h. A charger writes the
 * runs that it meets into a memfd, piece by piece, as there may be many.
 */
#include "charge_priv.h"

#include "mappers.h"
#include "residency.h"
#include "util.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define BUFFER_RUNS 4096
/* In one go, as those whose open needs a claim wait for it. */
#define PROBED_AT_ONCE_BYTES (UINT64_C(64) << 20)

/* Adds what it finds. */
static int look_by_fd(struct charge *charge, struct inode *inode,
		      struct ring_call *call, struct residency_found *sum)
{
	int64_t r = charge_call_claim(charge, inode, call);

	if (r < 0)
		return (int)r;
	sum->resident_pages += call->resident_pages;
	sum->foreign_pages += call->foreign_pages;
	sum->mapped_pages += call->mapped_pages;
	return 0;
}

int charge_look_quickly(struct charge *charge, const struct backing *backing,
			struct residency_found *found)
{
	struct residency_found sum = { 0 };
	struct charge_pages pages;
	struct stat st;
	int r = 0;

	if (fstat(backing_read_fd(backing), &st) < 0)
		return -errno;
	charge_get_pages(charge, backing, &pages);
	for (unsigned int i = 0; i < pages.n && r == 0 && st.st_size; i++)
		r = look_by_fd(charge, backing->inode,
			       &(struct ring_call){
				       .op = RING_CLAIM,
				       .flags = RING_LOOK |
						charge_page_flags(&pages, i),
				       .fd = pages.fds[i],
				       .length = (uint64_t)st.st_size,
			       },
			       &sum);
	charge_put_pages(charge, &pages);
	if (r == 0)
		*found = sum;
	return r;
}

/* -- where the runs are written to -- */

/*
 * Its memory is touched here, and so charged to the daemon, before a charger
 * writes to it. It isn't of the arena, whose buffers are for those who serve
 * the client's requests.
 */
struct probe_buffer {
	int fd;
	struct residency_run *runs;
};

static size_t buffer_bytes(void)
{
	return BUFFER_RUNS * sizeof(struct residency_run);
}

void probe_buffer_free(struct probe_buffer *buffer)
{
	if (!buffer)
		return;
	if (buffer->runs)
		munmap(buffer->runs, buffer_bytes());
	close_fd(buffer->fd);
	free(buffer);
}

static void probe_buffer_freep(struct probe_buffer **bufferp)
{
	probe_buffer_free(*bufferp);
}

static int probe_buffer_new(struct probe_buffer **out)
{
	__attribute__((
		cleanup(probe_buffer_freep))) struct probe_buffer *buffer =
		calloc(1, sizeof(*buffer));
	void *runs;

	if (!buffer)
		return -ENOMEM;
	buffer->fd = memfd_create("memcgfs-probe", MFD_CLOEXEC);
	if (buffer->fd < 0 || ftruncate(buffer->fd, (off_t)buffer_bytes()) < 0)
		return -errno;
	runs = mmap(NULL, buffer_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED,
		    buffer->fd, 0);
	if (runs == MAP_FAILED)
		return -errno;
	memset(runs, 0, buffer_bytes());
	buffer->runs = runs;
	*out = steal_ptr(&buffer);
	return 0;
}

static int take_buffer(struct charge *charge, struct probe_buffer **out)
{
	*out = atomic_exchange(&charge->spare, NULL);
	return *out ? 0 : probe_buffer_new(out);
}

static void give_buffer(struct charge *charge, struct probe_buffer *buffer)
{
	probe_buffer_free(atomic_exchange(&charge->spare, buffer));
}

/* -- the parts -- */

static struct charge_part *part_of(struct charge_probe *probe,
				   uint64_t owner_ino)
{
	struct charge_part *parts = probe->parts;

	for (size_t i = 0; i < probe->n_parts; i++)
		if (parts[i].owner_ino == owner_ino)
			return &parts[i];
	parts = reallocarray(parts, probe->n_parts + 1, sizeof(*parts));
	if (!parts)
		return NULL;
	probe->parts = parts;
	parts += probe->n_parts++;
	*parts = (struct charge_part){ .owner_ino = owner_ino };
	return parts;
}

/* A look at a file. */
struct look {
	struct charge *charge;
	const struct backing *backing;
	const struct binding *looker; /* whose charger does it */
	bool is_host; /* that one is the file's */
	struct charge_probe *probe;
	struct shadow_map *map; /* NULL: it isn't wanted */
};

static int add_run(const struct look *look, const struct residency_run *run)
{
	struct charge_probe *probe = look->probe;
	struct charge_part *part = part_of(probe, run->owner_ino);
	uint64_t bytes = run->pages * page_bytes();
	struct shadow_run pages = {
		.first_page = run->first_page,
		.pages = run->pages,
		.owner = run->owner_ino,
	};

	if (!part)
		return -ENOMEM;
	probe->resident_bytes += bytes;
	part->bytes += bytes;
	if (run->flags & RESIDENCY_MAPPED)
		part->mapped_bytes += bytes;
	if (run->flags & RESIDENCY_DIRTY)
		part->dirty_bytes += bytes;
	if (run->flags & RESIDENCY_LOCKED)
		part->locked_bytes += bytes;
	if (look->is_host && run->flags & RING_RUN_OF_HOST) {
		probe->host_bytes += bytes;
		part->is_host = true;
		pages.owner = SHADOW_HOST;
	}
	return look->map ? shadow_map_set(look->map, &pages) : 0;
}

static int by_size(const void *a, const void *b)
{
	const struct charge_part *x = a, *y = b;

	return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

/* -- the look -- */

static int add_runs(const struct look *look, const struct residency_run *runs,
		    int64_t n)
{
	int r = 0;

	for (int64_t i = 0; i < n && r == 0; i++)
		r = add_run(look, &runs[i]);
	return r;
}

/*
 * Goes on behind the last run where they filled the buffer, and by ever more
 * where there are none, as in a sparse file.
 */
static int look_at_pages(const struct look *look, int fd, uint32_t flags,
			 const struct probe_buffer *buffer)
{
	uint64_t end = look->probe->size_bytes, step = PROBED_AT_ONCE_BYTES;
	struct ring_call call = {
		.op = RING_PROBE,
		.flags = flags,
		.fd = fd,
		.fd2 = buffer->fd,
		.offset2 = BUFFER_RUNS,
	};
	const struct residency_run *last = &buffer->runs[BUFFER_RUNS - 1];
	int64_t n;
	int r;

	while (call.offset < end) {
		call.length = step < end - call.offset ? step :
							 end - call.offset;
		n = charge_call_alone(look->charge, look->backing->inode,
				      look->looker, &call);
		if (n < 0)
			return (int)n;
		r = add_runs(look, buffer->runs, n);
		if (r < 0)
			return r;
		call.offset += call.length;
		if (n == BUFFER_RUNS)
			call.offset =
				(last->first_page + last->pages) * page_bytes();
		step = n ? PROBED_AT_ONCE_BYTES : step * 2;
	}
	return 0;
}

/* The map is that of the pages that clients use. */
static int look_by_each_fd(const struct look *look,
			   const struct probe_buffer *buffer)
{
	struct look unmapped = *look;
	struct charge_pages pages;
	int r = 0;

	unmapped.map = NULL;
	charge_get_pages(look->charge, look->backing, &pages);
	for (unsigned int i = 0; i < pages.n && r == 0; i++)
		r = look_at_pages(i ? &unmapped : look, pages.fds[i],
				  charge_page_flags(&pages, i), buffer);
	charge_put_pages(look->charge, &pages);
	return r;
}

static int look_at_owners(const struct look *look)
{
	struct charge_probe *probe = look->probe;
	struct probe_buffer *buffer;
	int r;

	if (!charge_can_ask(host_charger(look->looker->host)))
		return -EAGAIN;
	r = take_buffer(look->charge, &buffer);
	if (r < 0)
		return r;
	probe->resident_bytes = 0;
	r = look_by_each_fd(look, buffer);
	give_buffer(look->charge, buffer);
	if (probe->n_parts)
		qsort(probe->parts, probe->n_parts, sizeof(*probe->parts),
		      by_size);
	return r;
}

static int look_at_backing(const struct look *look)
{
	struct charge_probe *probe = look->probe;
	int fd = backing_read_fd(look->backing);
	uint64_t resident;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	probe->size_bytes = (uint64_t)st.st_size;
	r = charge_count_pages(look->charge, look->backing, probe->size_bytes,
			       &resident);
	if (r < 0)
		return r;
	probe->resident_bytes = resident * page_bytes();
	probe->sees_owners = look->looker->host;
	probe->sees_flags = look->charge->sees_flags;
	return probe->sees_owners && resident ? look_at_owners(look) : 0;
}

int charge_probe_map(struct charge *charge, struct inode *inode,
		     struct charge_probe *probe, struct shadow_map *map)
{
	const struct binding *binding = binding_of(charge, inode);
	struct charge_probe found = { 0 };
	struct look look = {
		.charge = charge,
		.looker = binding->host ? binding : charge->fallback,
		.is_host = binding->host,
		.probe = &found,
		.map = map,
	};
	struct backing *backing;
	int r;

	if (!S_ISREG(inode->type))
		return -EINVAL;
	if (!charge->sees_owners)
		return -EOPNOTSUPP;
	r = backing_open(charge->table, inode, false, false, &backing);
	if (r < 0)
		return r;
	if (map)
		shadow_map_drop(map, 0, UINT64_MAX);
	look.backing = backing;
	r = look_at_backing(&look);
	charge_close_backing(charge, backing);
	if (map)
		shadow_map_pack(map);
	if (r < 0)
		charge_probe_clear(&found);
	else
		*probe = found;
	return r;
}

int charge_probe(struct charge *charge, struct inode *inode,
		 struct charge_probe *probe)
{
	return charge_probe_map(charge, inode, probe, NULL);
}

void charge_probe_clear(struct charge_probe *probe)
{
	free(probe->parts);
	*probe = (struct charge_probe){ 0 };
}

/* -- who maps it -- */

static bool is_among(const pid_t *pids, size_t n, pid_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* Adds those to the @n that are there, who may be the same. */
static size_t add_mappers(const struct mappers *mappers,
			  const struct mappers_file *file, pid_t *pids,
			  size_t n, size_t max)
{
	size_t found = mappers_find(mappers, file, pids + n, max - n);
	size_t end = found < max - n ? n + found : max;
	size_t kept = n;

	for (size_t i = n; i < end; i++)
		if (!is_among(pids, n, pids[i]))
			pids[kept++] = pids[i];
	return kept;
}

/*
 * The kernel calls a mapping by passthrough, though its pages are the backing
 * file's, one of the mount's file (seen on 6.18).
 */
size_t charge_mappers(struct charge *charge, struct inode *inode,
		      const struct mappers *mappers, pid_t *pids, size_t max)
{
	struct mappers_file file;
	struct backing *backing;
	struct stat st;
	size_t n = 0;
	int fd;

	if (backing_open(charge->table, inode, false, false, &backing) < 0)
		return 0;
	fd = backing_read_fd(backing);
	if (fstat(fd, &st) == 0) {
		file = (struct mappers_file){
			.device = inode_table_excluded(charge->table),
			.ino = inode_number(inode, st.st_ino),
		};
		n = add_mappers(mappers, &file, pids, 0, max);
	}
	if (mappers_identify(fd, &file) == 0)
		n = add_mappers(mappers, &file, pids, n, max);
	charge_close_backing(charge, backing);
	return n;
}
