// SPDX-License-Identifier: GPL-2.0-or-later
/* What the calls on a ring do, made here by the test itself. */
#include "charger_ops.h"

#include "creds.h"
#include "residency.h"
#include "unit.h"
#include "util.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define BUFFER 4096 /* where in the arena the test has its data */

static char arena[BUFFER + 4096];
static char *const data = arena + BUFFER;

/* Nobody's pages are ours, and the owners aren't to be seen. */
static struct charger_context context = {
	.arena = arena,
	.kpagecgroup_fd = -1,
	.kpageflags_fd = -1,
};

static int64_t perform(struct ring_call *call)
{
	for (int i = 0; i < RING_SCRATCH_FDS; i++)
		call->scratch_fds[i] = -1;
	call->buffer = BUFFER;
	call->result = INT64_MIN;
	charger_perform(&context, call);
	return call->result;
}

static off_t size_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_size;
}

static void assert_content(int fd, const char *wanted)
{
	char content[256] = "";

	assert_int_equal(size_of(fd), strlen(wanted));
	assert_true(pread(fd, content, sizeof(content) - 1, 0) >= 0);
	assert_string_equal(content, wanted);
}

static int text_file(struct scratch *scratch, const char *name,
		     const char *text)
{
	int fd = scratch_file(scratch, name, 0, 0);

	assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
	return fd;
}

/* -- reading and writing -- */

static void test_read(void **state)
{
	int fd = text_file(*state, "a", "0123456789");
	struct ring_call call = {
		.op = RING_READ,
		.fd = fd,
		.offset = 3,
		.length = 4,
	};

	assert_int_equal(perform(&call), 4);
	assert_memory_equal(data, "3456", 4);
	call.length = 4096;
	assert_int_equal(perform(&call), 7); /* to the end */
	call.offset = 10;
	assert_int_equal(perform(&call), 0);
	call.fd = -1;
	assert_int_equal(perform(&call), -EBADF);
	close(fd);
}

static void test_write(void **state)
{
	int fd = text_file(*state, "a", "0123456789");
	struct ring_call call = {
		.op = RING_WRITE,
		.fd = fd,
		.offset = 8,
		.length = 4,
	};

	memcpy(data, "abcd", 4);
	assert_int_equal(perform(&call), 4);
	assert_content(fd, "01234567abcd");
	call.attempts = 1; /* again, as its charger died: no harm */
	assert_int_equal(perform(&call), 4);
	assert_content(fd, "01234567abcd");
	call.flags = RWF_DSYNC;
	assert_int_equal(perform(&call), 4);
	close(fd);
}

/* -- appending, when chargers die of it -- */

static struct ring_call append_of(int fd, const char *text)
{
	struct ring_call call = {
		.op = RING_WRITE,
		.append_size = RING_SIZE_UNKNOWN,
		.flags = RWF_APPEND,
		.fd = fd,
		.fd2 = fd,
		.length = strlen(text),
	};

	memcpy(data, text, call.length);
	return call;
}

static void test_append(void **state)
{
	int fd = text_file(*state, "log", "one\n");
	struct ring_call call = append_of(fd, "two\n");

	assert_int_equal(perform(&call), 4);
	assert_content(fd, "one\ntwo\n");
	close(fd);
}

/* The charger died after the write: it isn't made twice. */
static void test_append_that_landed(void **state)
{
	int fd = text_file(*state, "log", "one\n");
	struct ring_call call = append_of(fd, "two\n");

	perform(&call);
	call.attempts = 1;
	assert_int_equal(perform(&call), 4);
	assert_content(fd, "one\ntwo\n");
	close(fd);
}

/* What is left when the charger dies with so much of the file written. */
static void die_at_size(struct ring_call *call, off_t size)
{
	assert_int_equal(perform(call), call->length);
	assert_int_equal(ftruncate(call->fd, size), 0);
	call->attempts = 1;
}

/* It died in the middle: the rest is written, and all is reported. */
static void test_append_that_landed_half(void **state)
{
	int fd = text_file(*state, "log", "one\n");
	struct ring_call call = append_of(fd, "two\n");

	die_at_size(&call, 6);
	assert_content(fd, "one\ntw");
	assert_int_equal(perform(&call), 4);
	assert_content(fd, "one\ntwo\n");
	close(fd);
}

/* It died between the look at the size and the write. */
static void test_append_that_did_not_land(void **state)
{
	int fd = text_file(*state, "log", "two\n");
	struct ring_call call = append_of(fd, "two\n");

	die_at_size(&call, 4);
	assert_int_equal(perform(&call), 4);
	assert_content(fd, "two\ntwo\n");
	close(fd);
}

/*
 * It died before it looked at the size, of a log whose lines are all the
 * same: what is at its beginning is not what was to be appended.
 */
static void test_append_that_never_began(void **state)
{
	int fd = text_file(*state, "log", "tick\ntick\n");
	struct ring_call call = append_of(fd, "tick\n");

	call.attempts = 1;
	assert_int_equal(perform(&call), 5);
	assert_content(fd, "tick\ntick\ntick\n");
	close(fd);
}

/* -- sizes and ranges -- */

static void test_truncate(void **state)
{
	int fd = text_file(*state, "a", "0123456789");
	struct ring_call call = {
		.op = RING_TRUNCATE,
		.fd = fd,
		.offset = 4,
	};

	assert_int_equal(perform(&call), 0);
	assert_content(fd, "0123");
	call.offset = 4096;
	assert_int_equal(perform(&call), 0);
	assert_int_equal(size_of(fd), 4096);
	call.offset = UINT64_MAX;
	assert_int_equal(perform(&call), -EINVAL);
	close(fd);
}

static void test_fallocate(void **state)
{
	int fd = text_file(*state, "a", "0123456789");
	struct ring_call call = {
		.op = RING_FALLOCATE,
		.fd = fd,
		.offset = 0,
		.length = 8192,
	};

	assert_int_equal(perform(&call), 0);
	assert_int_equal(size_of(fd), 8192);
	call.flags = FALLOC_FL_KEEP_SIZE;
	call.length = 65536;
	assert_int_equal(perform(&call), 0);
	assert_int_equal(size_of(fd), 8192);
	call.length = 0;
	assert_int_equal(perform(&call), -EINVAL);
	close(fd);
}

static void test_copy_range(void **state)
{
	int in = text_file(*state, "in", "0123456789");
	int out = text_file(*state, "out", "abcdef");
	struct ring_call call = {
		.op = RING_COPY_RANGE,
		.fd = in,
		.fd2 = out,
		.offset = 7,
		.offset2 = 4,
		.length = 100,
	};

	assert_int_equal(perform(&call), 3);
	assert_content(out, "abcd789");
	assert_int_equal(call.look_ns, 0);
	close(in);
	close(out);
}

/* -- suid bits -- */

static mode_t mode_after_write(int fd, uint32_t flags)
{
	struct ring_call call = {
		.op = RING_WRITE,
		.fd = fd,
		.length = 1,
		.flags = flags,
	};
	struct stat st;

	assert_int_equal(fchmod(fd, 04755), 0);
	assert_int_equal(perform(&call), 1);
	assert_int_equal(fstat(fd, &st), 0);
	return st.st_mode & 07777;
}

/* Root's writes keep them; who lacks CAP_FSETID clears them. */
static void test_kill_priv(void **state)
{
	int fd = text_file(*state, "a", "x");

	assert_int_equal(mode_after_write(fd, RING_KILL_PRIV), 0755);
	if (geteuid() != 0) {
		close(fd);
		unit_skip("only root's writes keep suid bits");
	}
	assert_int_equal(mode_after_write(fd, 0), 04755);
	assert_int_equal(mode_after_write(fd, RING_KILL_PRIV), 0755);
	assert_int_equal(fchmod(fd, 04755), 0);
	creds_keep_suid(true);
	assert_int_equal(pwrite(fd, "y", 1, 0), 1);
	assert_int_equal(mode_after_write(fd, 0), 04755);
	close(fd);
}

/* -- pages -- */

static uint64_t resident(int fd)
{
	uint64_t pages = 0;
	int r = residency_count(fd, 0, 0, &pages);

	if (r == -ENOSYS)
		unit_skip("this kernel has no cachestat(2): Linux 6.5 has");
	assert_int_equal(r, 0);
	return pages;
}

/* 1,000 pages and a bit, none of them there: then all of them are. */
static void test_ahead(void **state)
{
	int fd = scratch_file(*state, "a", 1000 * page_bytes() + 1, 'x');
	struct ring_call call = {
		.op = RING_AHEAD,
		.fd = fd,
		.length = 1000 * page_bytes() + 1,
	};
	unsigned int before;

	drop_pages(fd);
	assert_int_equal(resident(fd), 0);
	before = count_fds();
	assert_int_equal(perform(&call), 0);
	assert_true(call.look_ns > 0);
	assert_int_equal(resident(fd), 1001);
	assert_int_equal(perform(&call), 0);
	assert_int_equal(count_fds(), before);
	assert_int_equal(call.scratch_fds[0], -1);
	close(fd);
}

/* A hole of 100 pages is made resident, too: a reader would fault it in. */
static void test_ahead_of_a_hole(void **state)
{
	int fd = scratch_file(*state, "a", 0, 0);
	struct ring_call call = {
		.op = RING_AHEAD,
		.fd = fd,
		.length = 100 * page_bytes(),
	};

	assert_int_equal(ftruncate(fd, (off_t)call.length), 0);
	assert_int_equal(perform(&call), 0);
	assert_int_equal(resident(fd), 100);
	close(fd);
}

/* Owners aren't to be seen: all is dropped, dirty pages after writing. */
static void test_claim_blindly(void **state)
{
	int fd = scratch_file(*state, "a", 50 * page_bytes(), 'x');
	struct ring_call call = {
		.op = RING_CLAIM,
		.fd = fd,
		.length = 50 * page_bytes(),
	};
	char byte = 0;

	need_evictable(fd);
	assert_int_equal(resident(fd), 50);
	assert_int_equal(perform(&call), 0);
	assert_int_equal(call.foreign_pages, 50);
	assert_int_equal(call.resident_pages, 0);
	assert_int_equal(call.residue_pages, resident(fd));
	assert_int_equal(call.residue_pages, 0);
	assert_int_equal(pread(fd, &byte, 1, 49 * (off_t)page_bytes()), 1);
	assert_int_equal(byte, 'x');
	close(fd);
}

/* -- with the kernel's tables, which are root's -- */

static struct charger_context seeing_context(int fd, uint64_t memcg_ino)
{
	struct charger_context seeing = {
		.memcg_ino = memcg_ino,
		.kpagecgroup_fd = residency_open_kpagecgroup(),
		.kpageflags_fd = residency_open_kpageflags(),
	};

	if (seeing.kpagecgroup_fd < 0) {
		close(fd);
		unit_skip("/proc/kpagecgroup can't be read: it is root's");
	}
	return seeing;
}

static void seeing_end(const struct charger_context *seeing)
{
	close(seeing->kpagecgroup_fd);
	close(seeing->kpageflags_fd);
}

/* 50 pages of this process, claimed for nobody. */
static void test_claim(void **state)
{
	int fd = scratch_file(*state, "a", 50 * page_bytes(), 'x');
	struct charger_context seeing = seeing_context(fd, UINT64_MAX);
	struct ring_call call = {
		.op = RING_CLAIM,
		.fd = fd,
		.length = 50 * page_bytes(),
		.scratch_fds = { -1, -1 },
	};
	unsigned int before = count_fds();

	need_evictable(fd);
	charger_perform(&seeing, &call);
	assert_int_equal(call.result, 0);
	assert_int_equal(call.foreign_pages, 50);
	assert_int_equal(call.residue_pages, 0);
	assert_int_equal(call.residue_flags, 0);
	assert_int_equal(call.resident_pages, 0);
	assert_int_equal(resident(fd), 0);
	assert_int_equal(count_fds(), before);
	seeing_end(&seeing);
	close(fd);
}

/* The same while somebody has locked them: they stay, and why is told. */
static void test_claim_tells_why_pages_stayed(void **state)
{
	size_t bytes = 5 * page_bytes();
	int fd = scratch_file(*state, "a", bytes, 'x');
	struct charger_context seeing = seeing_context(fd, UINT64_MAX);
	struct ring_call call = {
		.op = RING_CLAIM,
		.fd = fd,
		.length = bytes,
		.scratch_fds = { -1, -1 },
	};
	void *map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(syscall(SYS_mlock, map, bytes), 0);
	charger_perform(&seeing, &call);
	assert_int_equal(call.result, 0);
	assert_int_equal(call.residue_pages, 5);
	assert_int_equal(call.residue_flags & ~RESIDENCY_DIRTY,
			 RESIDENCY_MAPPED | RESIDENCY_LOCKED);
	munmap(map, bytes);
	seeing_end(&seeing);
	close(fd);
}

#define RUNS 4

/* Every other page of 12 is there: the first four runs, then the other two. */
static void test_probe_in_pieces(void **state)
{
	int fd = scratch_file(*state, "a", 0, 0);
	int memfd = memfd_create("runs", MFD_CLOEXEC);
	struct charger_context seeing = seeing_context(fd, UINT64_MAX);
	struct residency_run runs[RUNS];
	struct ring_call call = {
		.op = RING_PROBE,
		.fd = fd,
		.fd2 = memfd,
		.length = 12 * page_bytes(),
		.offset2 = RUNS,
		.scratch_fds = { -1, -1 },
	};
	unsigned int before = count_fds();

	assert_int_equal(ftruncate(memfd, sizeof(runs)), 0);
	for (off_t page = 0; page < 12; page += 2)
		assert_int_equal(pwrite(fd, "x", 1, page * (off_t)page_bytes()),
				 1);
	charger_perform(&seeing, &call);
	assert_int_equal(call.result, RUNS);
	assert_int_equal(pread(memfd, runs, sizeof(runs), 0), sizeof(runs));
	for (unsigned int i = 0; i < RUNS; i++) {
		assert_int_equal(runs[i].first_page, 2 * i);
		assert_int_equal(runs[i].pages, 1);
		assert_false(runs[i].flags & RING_RUN_OF_HOST);
	}
	call.offset = 7 * page_bytes();
	call.length -= call.offset;
	charger_perform(&seeing, &call);
	assert_int_equal(call.result, 2);
	assert_int_equal(pread(memfd, runs, sizeof(runs), 0), sizeof(runs));
	assert_int_equal(runs[1].first_page, 10);
	/* For whose pages they are, they are the host's. */
	seeing.memcg_ino = runs[1].owner_ino;
	charger_perform(&seeing, &call);
	assert_int_equal(pread(memfd, runs, sizeof(runs), 0), sizeof(runs));
	assert_true(runs[1].flags & RING_RUN_OF_HOST);
	assert_int_equal(count_fds(), before);
	seeing_end(&seeing);
	close(memfd);
	close(fd);
}

/* Without the tables there is nothing to tell. */
static void test_probe_blindly(void **state)
{
	int fd = scratch_file(*state, "a", page_bytes(), 'x');
	struct ring_call call = {
		.op = RING_PROBE,
		.fd = fd,
		.fd2 = -1,
		.length = page_bytes(),
		.offset2 = RUNS,
	};

	assert_int_equal(perform(&call), -EOPNOTSUPP);
	close(fd);
}

/* A call that a newer daemon might make. */
static void test_unknown_call(void **state)
{
	struct ring_call call = { .op = 99 };

	assert_int_equal(perform(&call), -EOPNOTSUPP);
}

#define ops_test(name) \
	cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ops_test(test_read),
		ops_test(test_write),
		ops_test(test_append),
		ops_test(test_append_that_landed),
		ops_test(test_append_that_landed_half),
		ops_test(test_append_that_did_not_land),
		ops_test(test_append_that_never_began),
		ops_test(test_truncate),
		ops_test(test_fallocate),
		ops_test(test_copy_range),
		ops_test(test_kill_priv),
		ops_test(test_ahead),
		ops_test(test_ahead_of_a_hole),
		ops_test(test_claim_blindly),
		ops_test(test_claim),
		ops_test(test_claim_tells_why_pages_stayed),
		ops_test(test_probe_in_pieces),
		ops_test(test_probe_blindly),
		cmocka_unit_test(test_unknown_call),
	};

	return cmocka_run_group_tests_name("charger_ops", tests, NULL, NULL);
}
