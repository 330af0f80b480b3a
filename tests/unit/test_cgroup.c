// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The cgroups: paths, the kernel's lines, and, as root, hosts that are made
 * below /memcgfs-unit-PID and given back.
 */
#include "cgroup.h"

#include "grove.h"

#include <limits.h>

/* -- paths -- */

static void test_where_it_is(void **state)
{
	struct grove *grove = *state;

	need_tree(grove);
	assert_in_range(cgroup_tree_version(grove->tree), 1, 2);
	assert_int_equal(exists(grove, "/cgroup.controllers"),
			 cgroup_tree_version(grove->tree) == 2);
	assert_true(exists(grove, "/cgroup.procs"));
}

static void assert_parsed(struct grove *grove, const char *text,
			  const char *wanted)
{
	char path[CGROUP_PATH_MAX] = "untouched";
	int r = cgroup_tree_parse(grove->tree, text, path);

	if (r != 0 || strcmp(path, wanted) != 0)
		fail_msg("\"%s\" gave %d, \"%s\"", text, r, path);
}

static void assert_parsed_below(struct grove *grove, const char *text,
				const char *wanted)
{
	char below[512];

	snprintf(below, sizeof(below), "%s%s",
		 cgroup_tree_mountpoint(grove->tree), text);
	assert_parsed(grove, below, wanted);
}

/* As /proc/PID/cgroup has it, or below the mount point. */
static void test_paths(void **state)
{
	struct grove *grove = *state;

	need_tree(grove);
	assert_parsed(grove, "/", "/");
	assert_parsed(grove, "/web", "/web");
	assert_parsed(grove, "/web/api", "/web/api");
	assert_parsed(grove, "//web///api//", "/web/api");
	assert_parsed(grove, "/web.slice/a b@1,2=3", "/web.slice/a b@1,2=3");
	assert_parsed(grove, "/.hidden/..x/...", "/.hidden/..x/...");
	assert_parsed(grove, "/systems/x", "/systems/x");
	assert_parsed_below(grove, "", "/");
	assert_parsed_below(grove, "/", "/");
	assert_parsed_below(grove, "/web/api", "/web/api");
	assert_parsed_below(grove, "//web/", "/web");
}

static void assert_not_parsed(struct grove *grove, const char *text, int error)
{
	char path[CGROUP_PATH_MAX];
	int r = cgroup_tree_parse(grove->tree, text, path);

	if (r != error)
		fail_msg("\"%.60s\" gave %d", text, r);
}

static void test_what_is_no_path(void **state)
{
	struct grove *grove = *state;
	char next_door[512];

	need_tree(grove);
	assert_not_parsed(grove, "", -EINVAL);
	assert_not_parsed(grove, "web", -EINVAL);
	assert_not_parsed(grove, "./web", -EINVAL);
	assert_not_parsed(grove, "@opener", -EINVAL);
	assert_not_parsed(grove, "/web/../api", -EINVAL);
	assert_not_parsed(grove, "/..", -EINVAL);
	assert_not_parsed(grove, "/web/./api", -EINVAL);
	assert_not_parsed(grove, "/web/.", -EINVAL);
	assert_not_parsed(grove, "/sys/fs/else/web", -EINVAL);
	snprintf(next_door, sizeof(next_door), "%s-2/web",
		 cgroup_tree_mountpoint(grove->tree));
	assert_not_parsed(grove, next_door, -EINVAL);
}

/* Names of 255 bytes, and paths of 4,095 with their end. */
static void test_long_paths(void **state)
{
	struct grove *grove = *state;
	char text[2 * CGROUP_PATH_MAX];
	char path[CGROUP_PATH_MAX];

	need_tree(grove);
	memset(text, 'x', sizeof(text));
	text[0] = '/';
	text[1 + NAME_MAX] = '\0';
	assert_parsed(grove, text, text);
	text[1 + NAME_MAX] = 'x';
	text[2 + NAME_MAX] = '\0';
	assert_not_parsed(grove, text, -ENAMETOOLONG);

	memset(text, 'x', sizeof(text));
	for (size_t i = 0; i < sizeof(text); i += 128)
		text[i] = '/';
	text[CGROUP_PATH_MAX - 1] = '\0';
	assert_int_equal(cgroup_tree_parse(grove->tree, text, path), 0);
	assert_string_equal(path, text);
	text[CGROUP_PATH_MAX - 1] = 'x';
	text[CGROUP_PATH_MAX] = '\0';
	assert_not_parsed(grove, text, -ENAMETOOLONG);
}

/* -- /proc/PID/cgroup -- */

/* What this tree's version reads in it; NULL: no line is its own. */
struct proc_text {
	const char *text;
	const char *v1;
	const char *v2;
};

static void assert_proc_text(struct grove *grove, const struct proc_text *proc)
{
	const char *wanted = cgroup_tree_version(grove->tree) == 1 ? proc->v1 :
								     proc->v2;
	char path[CGROUP_PATH_MAX] = "";
	int r = cgroup_tree_parse_proc(grove->tree, proc->text, path);

	if (r != (wanted ? 0 : -ENOENT) || strcmp(path, wanted ? wanted : ""))
		fail_msg("%s\ngave %d, \"%s\"", proc->text, r, path);
}

static void assert_proc_texts(struct grove *grove,
			      const struct proc_text *procs, size_t count)
{
	need_tree(grove);
	for (size_t i = 0; i < count; i++)
		assert_proc_text(grove, &procs[i]);
}

/* Pure v2, pure v1, and a hybrid, each as the two versions read it. */
static void test_proc_texts(void **state)
{
	static const struct proc_text procs[] = {
		{ "0::/web/api\n", NULL, "/web/api" },
		{ "0::/\n", NULL, "/" },
		{ "9:name=systemd:/s\n4:memory:/web/api\n1:cpu:/c\n",
		  "/web/api", NULL },
		{ "12:pids:/p\n11:memory:/\n2:cpu,cpuacct:/c\n0::/u\n", "/",
		  "/u" },
		{ "4:memory:/a b:c\n0::/d e:f\n", "/a b:c", "/d e:f" },
		{ "4:memory:/a\n0::/b", "/a", "/b" },
		{ "1:name=systemd:/s\n", NULL, NULL },
		{ "", NULL, NULL },
	};

	assert_proc_texts(*state, procs, ARRAY_SIZE(procs));
}

/* A cgroup of another hierarchy may be named like a line; it is none. */
static void test_a_name_like_a_line(void **state)
{
	static const struct proc_text procs[] = {
		{ "9:name=systemd:/x:memory:/shared/data\n4:memory:/mine\n"
		  "0::/own\n",
		  "/mine", "/own" },
		{ "8:pids:/x0::/shared/data\n4:memory:/mine\n0::/own\n",
		  "/mine", "/own" },
		{ "8:pids:/x:memory:/shared/data\n", NULL, NULL },
		{ "8:pids:/x0::/shared/data\n", NULL, NULL },
		{ "10::/odd\n", NULL, NULL },
	};

	assert_proc_texts(*state, procs, ARRAY_SIZE(procs));
}

/* v1 may have several controllers in a hierarchy: cgroups(7). */
static void test_controllers_mounted_together(void **state)
{
	static const struct proc_text procs[] = {
		{ "4:cpuset,memory:/a\n0::/u\n", "/a", "/u" },
		{ "4:memory,cpuset:/a\n0::/u\n", "/a", "/u" },
		{ "5:memory2,xmemory:/x\n4:cpu,memory,pids:/a\n0::/u\n", "/a",
		  "/u" },
	};

	assert_proc_texts(*state, procs, ARRAY_SIZE(procs));
}

/* This process is somewhere; one that isn't is nowhere. */
static void test_path_of(void **state)
{
	struct grove *grove = *state;
	char path[CGROUP_PATH_MAX], text[8192], again[CGROUP_PATH_MAX];

	need_tree(grove);
	assert_int_equal(cgroup_tree_path_of(grove->tree, getpid(), path), 0);
	assert_int_equal(path[0], '/');
	assert_true(read_small_file(AT_FDCWD, "/proc/self/cgroup", text,
				    sizeof(text)) > 0);
	assert_int_equal(cgroup_tree_parse_proc(grove->tree, text, again), 0);
	assert_string_equal(path, again);
	assert_int_equal(cgroup_tree_path_of(grove->tree, INT32_MAX, path),
			 -ENOENT);
}

/* -- hosts -- */

/* A host at base + @below; skips where that can't be had. */
static struct cgroup_host *make_host(struct grove *grove, const char *below)
{
	struct cgroup_host *host = NULL;
	char path[128];
	int r;

	need_root(grove);
	snprintf(path, sizeof(path), "%s%s", grove->base, below);
	r = cgroup_host_new(grove->tree, path, true, &host);
	if (r == -ENOTSUP || r == -EROFS)
		unit_skip("cgroups here have no memory controller: %s",
			  strerror(-r));
	assert_int_equal(r, 0);
	return host;
}

/* What is missing is made, from the top, and given back. */
static void test_a_host_is_made(void **state)
{
	struct grove *grove = *state;
	struct cgroup_host *host = make_host(grove, "/a/b");
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/a/b", grove->base);
	assert_string_equal(cgroup_host_target(host), path);
	assert_string_equal(cgroup_host_path(host), path);
	assert_int_equal(fstatat(grove->fd, path + 1, &st, 0), 0);
	assert_int_equal(cgroup_host_memcg_ino(host), st.st_ino);
	assert_true(fd_is_open(cgroup_host_procs_fd(host)));

	assert_string_equal(cgroup_host_created(host, 0), grove->base);
	assert_string_equal(cgroup_host_created(host, 2), path);
	assert_null(cgroup_host_created(host, 3));
	assert_null(cgroup_host_free(host));
	assert_null(cgroup_host_free(NULL));
	assert_false(exists(grove, grove->base));
}

static void assert_path_of_ino(const struct grove *grove, uint64_t ino,
			       const char *wanted)
{
	char path[CGROUP_PATH_MAX] = "untouched";
	int r = cgroup_tree_path_of_ino(grove->tree, ino, path);

	if (r == -EPERM)
		unit_skip("directories aren't found by number here");
	if (!wanted) {
		assert_int_equal(r, -ENOENT);
		assert_string_equal(path, "untouched");
		return;
	}
	assert_int_equal(r, 0);
	assert_string_equal(path, wanted);
}

/* By its number, as pages tell it: also by another name, but not once it was
 * removed, for all that there is another of its name. */
static void test_a_path_by_number(void **state)
{
	struct grove *grove = *state;
	struct cgroup_host *host = make_host(grove, "/a");
	uint64_t ino = cgroup_host_memcg_ino(host);
	char path[128], other[160];
	struct stat st;

	snprintf(path, sizeof(path), "%s/a", grove->base);
	snprintf(other, sizeof(other), "%s/memcgfs", grove->base);
	assert_path_of_ino(grove, ino, path);
	assert_int_equal(fstat(grove->fd, &st), 0);
	assert_path_of_ino(grove, st.st_ino, "/");
	assert_path_of_ino(grove, 0, "/");
	assert_path_of_ino(grove, UINT64_MAX, NULL);

	/* Only v1 renames. */
	if (renameat(grove->fd, path + 1, grove->fd, other + 1) == 0) {
		assert_path_of_ino(grove, ino, other);
		assert_int_equal(
			renameat(grove->fd, other + 1, grove->fd, path + 1), 0);
	}
	cgroup_host_free(host);
	assert_path_of_ino(grove, ino, NULL);
	host = make_host(grove, "/a");
	assert_path_of_ino(grove, ino, NULL);
	assert_path_of_ino(grove, cgroup_host_memcg_ino(host), path);
	cgroup_host_free(host);
}

static void assert_owner(const struct grove *grove, uint64_t ino,
			 const char *wanted)
{
	char path[CGROUP_PATH_MAX];

	cgroup_tree_name_owner(grove->tree, ino, path);
	if (strcmp(path, "/(unknown)") == 0)
		unit_skip("directories aren't found by number here");
	assert_string_equal(path, wanted);
}

/* A leaf has the name of its target; only one that was removed is gone. */
static void test_names_of_owners(void **state)
{
	struct grove *grove = *state;
	struct cgroup_host *target = make_host(grove, "/a");
	struct cgroup_host *leaf = make_host(grove, "/a/memcgfs");
	uint64_t ino = cgroup_host_memcg_ino(leaf);
	char path[128], leaf_path[160];

	snprintf(path, sizeof(path), "%s/a", grove->base);
	snprintf(leaf_path, sizeof(leaf_path), "%s/memcgfs", path);
	assert_owner(grove, cgroup_host_memcg_ino(target), path);
	assert_owner(grove, ino,
		     cgroup_tree_version(grove->tree) == 2 ? path : leaf_path);
	assert_owner(grove, 0, "/");
	cgroup_host_free(leaf);
	assert_owner(grove, ino, "/(gone)");
	cgroup_host_free(target);
}

/* What was there before stays. */
static void test_a_host_is_found(void **state)
{
	struct grove *grove = *state;
	struct cgroup_host *first = make_host(grove, "");
	struct cgroup_host *second;

	assert_int_equal(
		cgroup_host_new(grove->tree, grove->base, false, &second), 0);
	assert_null(cgroup_host_created(second, 0));
	assert_int_equal(cgroup_host_memcg_ino(second),
			 cgroup_host_memcg_ino(first));
	cgroup_host_free(second);
	assert_true(exists(grove, grove->base));
	cgroup_host_free(first);
	assert_false(exists(grove, grove->base));
}

static void test_a_missing_host(void **state)
{
	struct grove *grove = *state;
	struct cgroup_host *host = NULL;

	need_tree(grove);
	assert_int_equal(cgroup_host_new(grove->tree, grove->base, false,
					 &host),
			 -ENOENT);
	assert_null(host);
	assert_false(exists(grove, grove->base));
}

/* A child that waits in the host until the pipe closes. */
static pid_t enter(const struct cgroup_host *host, int *until)
{
	int ready[2], end[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(end, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		close(end[1]);
		byte = write(cgroup_host_procs_fd(host), "0", 1) == 1 ? 'y' :
									'n';
		if (write(ready[1], &byte, 1) != 1 || read(end[0], &byte, 1))
			_exit(1);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	close(ready[0]);
	close(ready[1]);
	close(end[0]);
	*until = end[1];
	return pid;
}

static void leave(pid_t pid, int until)
{
	close(until);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Who enters is there; a cgroup that somebody lives in is left to him. */
static void test_a_host_in_use_stays(void **state)
{
	struct grove *grove = *state;
	struct cgroup_host *host = make_host(grove, "/a");
	char path[CGROUP_PATH_MAX], wanted[128];
	pid_t pid;
	int until;

	pid = enter(host, &until);
	snprintf(wanted, sizeof(wanted), "%s/a", grove->base);
	assert_int_equal(cgroup_tree_path_of(grove->tree, pid, path), 0);
	assert_string_equal(path, wanted);
	cgroup_host_free(host);
	assert_true(exists(grove, wanted));
	leave(pid, until);
}

struct stranger {
	struct grove *grove;
	int result;
};

/* As nobody. */
static void open_host_as_stranger(void *arg)
{
	struct stranger *stranger = arg;
	struct cgroup_host *host;

	if (setresuid(65534, 65534, 65534) < 0)
		_exit(1);
	_exit(cgroup_host_new(stranger->grove->tree, stranger->grove->base,
			      false, &host) == stranger->result ?
		      0 :
		      2);
}

/* Nobody charges a cgroup that he couldn't enter. */
static void test_a_host_of_others(void **state)
{
	struct grove *grove = *state;
	struct stranger stranger = { .grove = grove, .result = -EACCES };
	struct cgroup_host *host = make_host(grove, "");

	assert_int_equal(status_of_child(open_host_as_stranger, &stranger), 0);
	cgroup_host_free(host);
}

/* v2: the target distributes memory to its children, so a leaf hosts. */
static void test_the_leaf(void **state)
{
	struct grove *grove = *state;
	struct cgroup_host *target, *host;
	char wanted[128];
	pid_t pid;
	int until;

	need_tree(grove);
	if (cgroup_tree_version(grove->tree) != 2)
		unit_skip("cgroup v1 lets processes live in any cgroup");
	target = make_host(grove, "/a");
	write_at(grove, "/a", "cgroup.subtree_control", "+memory");
	snprintf(wanted, sizeof(wanted), "%s/a/memcgfs", grove->base);
	assert_int_equal(cgroup_host_new(grove->tree,
					 cgroup_host_target(target), false,
					 &host),
			 0);
	assert_string_equal(cgroup_host_path(host), wanted);
	assert_string_equal(cgroup_host_target(host),
			    cgroup_host_target(target));
	assert_string_equal(cgroup_host_created(host, 0), wanted);
	pid = enter(host, &until);
	leave(pid, until);
	cgroup_host_free(host);
	assert_false(exists(grove, wanted));
	cgroup_host_free(target);
}

static const char *limit_file(const struct grove *grove)
{
	return cgroup_tree_version(grove->tree) == 2 ? "memory.max" :
						       "memory.limit_in_bytes";
}

/* 64 MiB at /a are the most that /a/b has, too, whatever its own limit. */
static void test_room(void **state)
{
	struct grove *grove = *state;
	struct cgroup_host *host = make_host(grove, "/a/b");
	struct cgroup_room room;

	if (cgroup_tree_version(grove->tree) == 2 &&
	    cgroup_host_created(host, 3)) {
		cgroup_host_free(host);
		unit_skip("/a/b has no memory controller of its own");
	}
	assert_int_equal(cgroup_host_room(host, &room), 0);
	assert_true(room.bytes > 64 * MIB);
	write_at(grove, "/a", limit_file(grove), "67108864");
	assert_int_equal(cgroup_host_room(host, &room), 0);
	assert_in_range(room.bytes, 60 * MIB, 64 * MIB);
	write_at(grove, "/a/b", limit_file(grove), "33554432");
	assert_int_equal(cgroup_host_room(host, &room), 0);
	assert_in_range(room.bytes, 30 * MIB, 32 * MIB);
	write_at(grove, "/a/b", limit_file(grove), "134217728");
	assert_int_equal(cgroup_host_room(host, &room), 0);
	assert_in_range(room.bytes, 60 * MIB, 64 * MIB);
	cgroup_host_free(host);
}

struct reader {
	const struct cgroup_host *host;
	int fd;
};

/* In the host: goes through the file. */
static void read_in_host(void *arg)
{
	struct reader *reader = arg;
	static char buf[65536];
	off_t at = 0;
	ssize_t n;

	if (write(cgroup_host_procs_fd(reader->host), "0", 1) != 1)
		_exit(1);
	while ((n = pread(reader->fd, buf, sizeof(buf), at)) > 0)
		at += n;
	_exit(n < 0);
}

/*
 * A file of 32 MiB is read in a host of 8: pages have to go, and the count
 * of reclaims tells. What is cache leaves the room as it was.
 */
static void test_reclaims(void **state)
{
	struct grove *grove = *state;
	struct cgroup_room before, after;
	struct cgroup_host *host;
	struct reader reader;

	need_root(grove);
	reader.fd = scratch_file(grove->scratch, "big", 32 * MIB, 'x');
	drop_pages(reader.fd);
	host = make_host(grove, "/a");
	reader.host = host;
	write_at(grove, "/a", limit_file(grove), "8388608");
	assert_int_equal(cgroup_host_room(host, &before), 0);
	assert_int_equal(status_of_child(read_in_host, &reader), 0);
	assert_int_equal(cgroup_host_room(host, &after), 0);
	close(reader.fd);
	cgroup_host_free(host);
	assert_true(after.reclaims > before.reclaims);
	assert_true(after.bytes <= 8 * MIB);
}

#define cgroup_test(name) \
	cmocka_unit_test_setup_teardown(name, grove_setup, grove_teardown)

/* Only v2 has leaves. */
static void test_cut_leaf(void **state)
{
	struct grove *grove = *state;
	char leaf[] = "/a/b/memcgfs", target[] = "/a/bmemcgfs",
	     top[] = "/memcgfs";

	if (!grove->tree)
		unit_skip("no memory controller here");
	cgroup_tree_cut_leaf(grove->tree, leaf);
	assert_string_equal(leaf, cgroup_tree_version(grove->tree) == 2 ?
					  "/a/b" :
					  "/a/b/memcgfs");
	cgroup_tree_cut_leaf(grove->tree, target);
	assert_string_equal(target, "/a/bmemcgfs");
	cgroup_tree_cut_leaf(grove->tree, top);
	assert_string_equal(top, "/memcgfs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cgroup_test(test_where_it_is),
		cgroup_test(test_paths),
		cgroup_test(test_what_is_no_path),
		cgroup_test(test_long_paths),
		cgroup_test(test_proc_texts),
		cgroup_test(test_a_name_like_a_line),
		cgroup_test(test_controllers_mounted_together),
		cgroup_test(test_path_of),
		cgroup_test(test_cut_leaf),
		cgroup_test(test_a_host_is_made),
		cgroup_test(test_a_path_by_number),
		cgroup_test(test_names_of_owners),
		cgroup_test(test_a_host_is_found),
		cgroup_test(test_a_missing_host),
		cgroup_test(test_a_host_in_use_stays),
		cgroup_test(test_a_host_of_others),
		cgroup_test(test_the_leaf),
		cgroup_test(test_room),
		cgroup_test(test_reclaims),
	};

	return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
