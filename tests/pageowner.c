/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pageowner: ask the kernel which cgroup pays for the cached pages of files.
 *
 *	pageowner [--json] [--through-mount] PATH...
 *
 * A directory stands for all regular files below it, other filesystems
 * mounted there included; a file with several names counts once.
 *
 * It is the judge of the test-suite and shares no code with what it judges.
 * Looking must change nothing, so
 *  - the file is opened O_NOATIME and advised POSIX_FADV_NOREUSE: a touch of a
 *    mapped page then does not count as a use of it;
 *  - only pages that mincore(2) or cachestat(2) find in the cache are touched,
 *    through a mapping with MADV_RANDOM, so that no readahead starts;
 *  - the pages of one small window at a time are mapped, and not for long.
 * A page that is reclaimed between mincore and the touch comes back charged to
 * this process. The caller runs it in a cgroup of its own and sees that there.
 *
 * /proc/self/pagemap gives the frame of each mapped page, /proc/kpagecgroup the
 * inode number of the directory of the memory cgroup that each frame is charged
 * to (the nearest living ancestor's, where that cgroup is gone).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define WINDOW_PAGES 2048
#define FUSE_MAGIC 0x65735546
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
#define PAGEMAP_PRESENT (1ULL << 63)
#define PAGEMAP_PFN ((1ULL << 55) - 1)

struct cgroup {
	uint64_t ino;
	char *path; /* relative to the hierarchy's root */
};

struct tally {
	uint64_t ino;
	size_t pages;
};

struct identity {
	dev_t dev;
	ino_t ino;
};

struct report {
	size_t pages; /* of the file */
	size_t resident;
	struct tally *owners;
	size_t n_owners;
};

/* nftw(3) takes no argument for its callback. */
static struct {
	char root[4096]; /* of the memory hierarchy */
	struct cgroup *cgroups;
	size_t n_cgroups;
	struct identity *seen; /* files with several names */
	size_t n_seen;
	int pagemap, kpagecgroup;
	size_t page_size;
	bool json, through_mount;
	size_t n_reported;
} self;

static void *grow(void *array, size_t n, size_t size)
{
	void *p = array;

	if ((n & (n - 1)) == 0)
		p = realloc(array, (n ? 2 * n : 1) * size);
	if (!p) {
		perror("pageowner");
		exit(1);
	}
	return p;
}

static bool v2_has_memory(const char *mount)
{
	char path[4200], text[512] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.controllers", mount);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	for (char *word = strtok(text, " \n"); word; word = strtok(NULL, " \n"))
		if (!strcmp(word, "memory"))
			return true;
	return false;
}

/* The v2 mount that has the memory controller, else the v1 mount of it. */
static bool find_memory_hierarchy(void)
{
	char line[8192], mount[4096], type[64], super[1024], *rest;
	FILE *f = fopen("/proc/self/mountinfo", "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		rest = strstr(line, " - ");
		if (!rest ||
		    sscanf(line, "%*s %*s %*s %*s %4095s", mount) != 1 ||
		    sscanf(rest, " - %63s %*s %1023s", type, super) != 2)
			continue;
		if (!strcmp(type, "cgroup2"))
			found = v2_has_memory(mount);
		else if (!strcmp(type, "cgroup"))
			for (char *o = strtok(super, ","); o;
			     o = strtok(NULL, ","))
				found |= !strcmp(o, "memory");
	}
	if (f)
		fclose(f);
	if (found)
		strcpy(self.root, mount);
	return found;
}

static int add_cgroup(const char *path, const struct stat *st, int flag,
		      struct FTW *ftw)
{
	const char *name = path + strlen(self.root);
	struct cgroup *c;

	(void)ftw;
	if (flag != FTW_D)
		return 0;
	self.cgroups = grow(self.cgroups, self.n_cgroups, sizeof(*c));
	c = &self.cgroups[self.n_cgroups++];
	c->ino = st->st_ino;
	c->path = strdup(*name ? name : "/");
	return 0;
}

static const char *cgroup_name(uint64_t ino)
{
	static char unknown[40];

	if (ino == 0)
		return "uncharged";
	for (size_t i = 0; i < self.n_cgroups; i++)
		if (self.cgroups[i].ino == ino)
			return self.cgroups[i].path;
	snprintf(unknown, sizeof(unknown), "inode:%llu",
		 (unsigned long long)ino);
	return unknown;
}

static void report_add(struct report *r, uint64_t ino)
{
	r->resident++;
	for (size_t i = 0; i < r->n_owners; i++)
		if (r->owners[i].ino == ino) {
			r->owners[i].pages++;
			return;
		}
	r->owners = grow(r->owners, r->n_owners, sizeof(*r->owners));
	r->owners[r->n_owners++] = (struct tally){ ino, 1 };
}

static size_t cached_pages(int fd, off_t at, size_t bytes)
{
	struct {
		uint64_t at, bytes;
	} range = { at, bytes };
	struct {
		uint64_t cache, dirty, writeback, evicted, recently;
	} stat = { 0 };

	return syscall(SYS_cachestat, fd, &range, &stat, 0) < 0 ? 0 :
								  stat.cache;
}

/*
 * Which pages of a window are in the page cache. mincore(2) passes over those
 * that are not wholly up to date, as a change of one block in a page leaves
 * them where blocks are smaller; cachestat(2) counts them.
 */
static int find_resident(int fd, off_t at, void *map, size_t pages,
			 unsigned char *resident)
{
	size_t known = 0;

	if (mincore(map, pages * self.page_size, resident) < 0)
		return -errno;
	for (size_t i = 0; i < pages; i++)
		known += resident[i] & 1;
	if (cached_pages(fd, at, pages * self.page_size) <= known)
		return 0;
	for (size_t i = 0; i < pages; i++)
		if (!(resident[i] & 1))
			resident[i] = cached_pages(fd, at + i * self.page_size,
						   self.page_size) > 0;
	return 0;
}

/*
 * The frame of a page, once it is mapped. Just then it may be on its way to
 * another frame, which shows as not present, and is over soon.
 */
static uint64_t frame_of(volatile char *address)
{
	uint64_t entry = 0;
	off_t at = (uintptr_t)address / self.page_size * sizeof(entry);

	for (int tries = 0; tries < 100; tries++) {
		(void)*address;
		if (pread(self.pagemap, &entry, sizeof(entry), at) !=
		    sizeof(entry))
			return 0;
		if (entry & PAGEMAP_PRESENT)
			return entry & PAGEMAP_PFN;
		usleep(100);
	}
	return 0;
}

static int look_at_window(struct report *r, int fd, off_t at,
			  volatile char *map, size_t pages)
{
	unsigned char resident[WINDOW_PAGES];
	uint64_t frame, ino;
	int error = find_resident(fd, at, (void *)map, pages, resident);

	if (error < 0)
		return error;
	for (size_t i = 0; i < pages; i++) {
		if (!(resident[i] & 1))
			continue;
		frame = frame_of(map + i * self.page_size);
		if (!frame)
			continue;
		ino = 0;
		if (pread(self.kpagecgroup, &ino, sizeof(ino),
			  frame * sizeof(ino)) == sizeof(ino))
			report_add(r, ino);
	}
	return 0;
}

static int look_at_fd(struct report *r, int fd, off_t size)
{
	int error = 0;
	size_t window;
	void *map;

	r->pages = (size + self.page_size - 1) / self.page_size;
	for (size_t at = 0; at < r->pages && !error; at += window) {
		window = r->pages - at < WINDOW_PAGES ? r->pages - at :
							WINDOW_PAGES;
		map = mmap(NULL, window * self.page_size, PROT_READ, MAP_SHARED,
			   fd, at * self.page_size);
		if (map == MAP_FAILED)
			return -errno;
		madvise(map, window * self.page_size, MADV_RANDOM);
		error = look_at_window(r, fd, at * self.page_size, map, window);
		munmap(map, window * self.page_size);
	}
	return error;
}

static void print_json_string(const char *s)
{
	putchar('"');
	for (; *s; s++)
		if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			printf("\\u%04x", *s);
		else
			putchar(*s);
	putchar('"');
}

static void report_print(const struct report *r, const char *path)
{
	if (!self.json) {
		printf("%s: %zu of %zu pages resident", path, r->resident,
		       r->pages);
		for (size_t i = 0; i < r->n_owners; i++)
			printf("%s %zu %s", i ? "," : ":", r->owners[i].pages,
			       cgroup_name(r->owners[i].ino));
		putchar('\n');
		return;
	}
	fputs(self.n_reported++ ? ",\n {\"path\": " : "[\n {\"path\": ",
	      stdout);
	print_json_string(path);
	printf(", \"pages\": %zu, \"resident\": %zu, \"owners\": {", r->pages,
	       r->resident);
	for (size_t i = 0; i < r->n_owners; i++) {
		fputs(i ? ", " : "", stdout);
		print_json_string(cgroup_name(r->owners[i].ino));
		printf(": %zu", r->owners[i].pages);
	}
	fputs("}}", stdout);
}

static int refuse(const char *path, int error)
{
	fprintf(stderr, "pageowner: %s: %s\n", path, strerror(error));
	return 1;
}

/* A file without a name is a link of its own kind. */
static bool is_open_fd(const char *path)
{
	return !strncmp(path, "/proc/", 6);
}

static int look_at_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_NOATIME | O_CLOEXEC |
				    (is_open_fd(path) ? 0 : O_NOFOLLOW));
	struct report r = { 0 };
	struct statfs fs;
	struct stat st;
	int error;

	if (fd < 0)
		return refuse(path, errno);
	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0) {
		error = errno;
		close(fd);
		return refuse(path, error);
	}
	if (fs.f_type == FUSE_MAGIC && !self.through_mount) {
		fprintf(stderr,
			"pageowner: %s: is inside a FUSE mount; look at "
			"the backing file\n",
			path);
		close(fd);
		return 1;
	}
	posix_fadvise(fd, 0, 0, POSIX_FADV_NOREUSE);
	error = look_at_fd(&r, fd, st.st_size);
	close(fd);
	if (error < 0) {
		free(r.owners);
		return refuse(path, -error);
	}
	report_print(&r, path);
	free(r.owners);
	return 0;
}

static bool seen_before(const struct stat *st)
{
	if (st->st_nlink < 2)
		return false;
	for (size_t i = 0; i < self.n_seen; i++)
		if (self.seen[i].dev == st->st_dev &&
		    self.seen[i].ino == st->st_ino)
			return true;
	self.seen = grow(self.seen, self.n_seen, sizeof(*self.seen));
	self.seen[self.n_seen++] = (struct identity){ st->st_dev, st->st_ino };
	return false;
}

static int look_at_entry(const char *path, const struct stat *st, int flag,
			 struct FTW *ftw)
{
	(void)ftw;
	if (flag == FTW_NS || flag == FTW_DNR)
		return refuse(path, EACCES);
	if (flag == FTW_F && S_ISREG(st->st_mode) && !seen_before(st))
		return look_at_file(path);
	return 0;
}

int main(int argc, char **argv)
{
	int i, r, failed = 0;

	for (i = 1; i < argc && !strncmp(argv[i], "--", 2); i++) {
		if (!strcmp(argv[i], "--json"))
			self.json = true;
		else if (!strcmp(argv[i], "--through-mount"))
			self.through_mount = true;
		else
			break;
	}
	if (i >= argc || argv[i][0] == '-') {
		fputs("usage: pageowner [--json] [--through-mount] PATH...\n",
		      stderr);
		return 2;
	}

	self.page_size = sysconf(_SC_PAGESIZE);
	self.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	self.kpagecgroup = open("/proc/kpagecgroup", O_RDONLY | O_CLOEXEC);
	if (self.pagemap < 0 || self.kpagecgroup < 0)
		return refuse("/proc/kpagecgroup", errno);
	if (!find_memory_hierarchy())
		return refuse("memory cgroup hierarchy", ENOENT);
	nftw(self.root, add_cgroup, 16, FTW_PHYS | FTW_MOUNT);

	for (; i < argc; i++) {
		r = is_open_fd(argv[i]) ?
			    look_at_file(argv[i]) :
			    nftw(argv[i], look_at_entry, 32, FTW_PHYS);
		if (r < 0)
			refuse(argv[i], errno);
		failed |= r != 0;
	}
	if (self.json)
		fputs(self.n_reported ? "\n]\n" : "[]\n", stdout);
	return failed;
}
