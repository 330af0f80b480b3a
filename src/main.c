// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memcgfs: mounts a directory so that all of its file cache is charged to
 * one memory cgroup.
 *
 * This file wires everything, and is the only one that knows everyone. What
 * is made in session_start() is unmade in session_stop(), in reverse.
 */
#include "affinity.h"
#include "connection.h"
#include "control.h"
#include "log.h"
#include "options.h"
#include "process.h"
#include "reconciler.h"
#include "residency.h"
#include "sandbox.h"
#include "util.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#define JANITOR_MS 2000
#define IDLE_BACKING_NS 10000000000ull
#define REPORT_BYTES 8192
#define ROOT_ACCOUNT "/"

struct session {
	struct options options;
	struct places places;
	int report_fd; /* tells the waiting parent: 0, mounted; or -1 */
	bool is_ready;
	bool unprotected; /* from the OOM killer */

	struct spawner *spawner;
	struct cgroup_tree *tree;
	struct account *books;
	struct arena *arena;
	struct hosts *hosts;
	const struct binding *fallback; /* the mount's own rule */
	struct host *host; /* its host; NULL: nothing is enforced */
	int kpagecgroup_fd;
	struct inode_table *table;
	struct charge *charge;
	_Atomic(struct rulebook *) book;
	_Atomic(const char *) why_strict; /* NULL: files can pass through */
	struct reconciler *reconciler; /* NULL: nothing drifts */
	struct control *control;
	struct fuse_front *front;
	struct fuse_session *fuse;
	bool is_mounted;
	struct stats stats;

	pthread_t janitor;
	int janitor_stop_fd;
	int janitor_signal_fd;
};

/* -- the host -- */

static int explain_host_error(const struct session *session, int r)
{
	const char *memcg = session->options.memcg;

	switch (r) {
	case -ENOENT:
		log_error("memcg=%s: no such cgroup below %s (create it, or "
			  "add the option create)",
			  memcg, cgroup_tree_mountpoint(session->tree));
		return r;
	case -ENOTSUP:
		log_error("memcg=%s: the memory controller is not enabled in "
			  "this cgroup (write +memory to its parent's "
			  "cgroup.subtree_control)",
			  memcg);
		return r;
	case -ETIMEDOUT:
		log_error("memcg=%s: the charger there does not begin to "
			  "work; is the cgroup frozen?",
			  memcg);
		return r;
	case -EINVAL:
		log_error("memcg=%s: a path as in /proc/PID/cgroup is needed, "
			  "or one below %s",
			  memcg, cgroup_tree_mountpoint(session->tree));
		return r;
	case -EACCES:
	case -EPERM:
		log_error("memcg=%s: no right to put processes into this "
			  "cgroup (its cgroup.procs must be writable)",
			  memcg);
		return r;
	default:
		return log_error_errno(r,
				       "memcg=%s: cannot start a charger "
				       "there",
				       memcg);
	}
}

/* Called by a charger's supervisor; the book may not be there yet. */
static void on_lost_pins(void *userdata)
{
	struct session *session = userdata;
	struct rulebook *book = atomic_load(&session->book);

	if (book)
		rulebook_sweep(book);
}

/* The mount's own rule, and its host; rules in files come to them. */
static int start_hosts(struct session *session)
{
	const struct options *options = &session->options;
	struct host_config config = {
		.tree = session->tree,
		.spawner = session->spawner,
		.books = session->books,
		.kpagecgroup_fd = session->kpagecgroup_fd,
		.arena_fd = arena_fd(session->arena),
		.create = options->create,
		.timeout_ns = (uint64_t)(options->charger_timeout * 1e9),
		.idle_ns = (uint64_t)(options->charger_idle * 1e9),
		.pin_max_bytes = options->pin_max,
		.lost_pins = on_lost_pins,
		.userdata = session,
	};
	struct policy_rule rule = {
		.target = options->memcg[0] == '@' ? NULL : options->memcg,
		.io = options->io,
		.on_error = options->on_error,
		.ahead_bytes = options->ahead_bytes,
	};
	int r;

	r = hosts_new(&config, &session->hosts);
	if (r == 0)
		r = hosts_bind(session->hosts, &rule, false,
			       &session->fallback);
	if (r < 0)
		return explain_host_error(session, r);
	session->host = session->fallback->host;
	return 0;
}

static int start_cgroups(struct session *session)
{
	int r;

	r = cgroup_tree_new(&session->tree);
	if (r < 0)
		return log_error_errno(r, "the memory controller is mounted "
					  "nowhere (neither cgroup v2 nor v1)");
	session->books = account_new(NULL, ROOT_ACCOUNT);
	if (!session->books)
		return log_error_errno(-ENOMEM, "accounts");
	session->kpagecgroup_fd = residency_open_kpagecgroup();
	/* For the threads of libfuse, and those of the front's pool. */
	r = arena_new(2 * (unsigned int)session->options.max_threads + 2,
		      &session->arena);
	if (r < 0)
		return log_error_errno(r, "cannot make buffers");
	return start_hosts(session);
}

/* -- readiness -- */

/* False: who waited for the mount is gone, by Ctrl-C say. */
static bool report(struct session *session, signed char result)
{
	bool heard = true;

	if (session->report_fd >= 0)
		heard = write(session->report_fd, &result, 1) == 1;
	session->report_fd = close_fd(session->report_fd);
	return heard;
}

/* Called by the front when the kernel is ready to be served. */
static void on_ready(void *userdata, const char *why_strict)
{
	struct session *session = userdata;

	if (why_strict && !session->host) {
		log_error("memcg=%s: %s", session->options.memcg, why_strict);
		fuse_session_exit(session->fuse);
		return;
	}
	atomic_store(&session->why_strict, why_strict);
	if (why_strict)
		log_warning("all reads and writes are strict: %s", why_strict);
	if (session->host && session->kpagecgroup_fd < 0)
		log_warning("page owners can't be read: what is resident "
			    "already is dropped at first open");
	if (inode_device(session->table, inode_table_root(session->table))
		    ->mount_fd < 0)
		log_warning("files can't be opened by handle: each one that "
			    "the kernel remembers costs a descriptor");
	if (session->unprotected && session->host)
		log_info("chargers are not protected from the OOM killer "
			 "(no CAP_SYS_RESOURCE)");
	session->is_ready = true;
	if (!session->options.foreground)
		process_let_go_of_terminal();
	if (!report(session, 0))
		fuse_session_exit(session->fuse);
}

/* -- the janitor: what is done now and then -- */

static struct report_source report_source(struct session *session)
{
	return (struct report_source){
		.mount = {
			.source = session->places.source,
			.mountpoint = session->places.mountpoint,
			.memcg = session->options.memcg,
			.io = policy_io_name(session->options.io),
			.why_strict = atomic_load(&session->why_strict),
			.sees_owners = session->kpagecgroup_fd >= 0,
			.pid = getpid(),
		},
		.stats = &session->stats,
		.table = session->table,
		.hosts = session->hosts,
		.book = session->book,
	};
}

static void take_report(void *userdata, struct stats_snapshot *snapshot)
{
	struct report_source source = report_source(userdata);

	report_take(&source, snapshot);
}

/* The whole report, however long: in a string to be freed; NULL: no memory. */
static char *render_status(struct session *session)
{
	size_t size = REPORT_BYTES;
	struct stats_snapshot snapshot;
	char *text;

	take_report(session, &snapshot);
	for (;;) {
		text = malloc(size);
		if (!text)
			break;
		stats_render_text(&snapshot, text, size);
		if (strlen(text) + 1 < size)
			break;
		free(text);
		size *= 2;
	}
	stats_clear(&snapshot);
	return text;
}

static void log_status(struct session *session)
{
	cleanup_free char *text = render_status(session);
	char *rest = text;
	char *line;

	while ((line = strsep(&rest, "\n")))
		if (*line)
			log_info("%s", line);
}

static void hurry(struct host *host, void *userdata)
{
	(void)userdata;
	charger_hurry(host_charger(host));
}

static void *janitor_main(void *arg)
{
	struct session *session = arg;
	struct pollfd pfds[] = {
		{ .fd = session->janitor_stop_fd, .events = POLLIN },
		{ .fd = session->janitor_signal_fd, .events = POLLIN },
	};
	struct signalfd_siginfo info;

	for (;;) {
		if (poll(pfds, ARRAY_SIZE(pfds), JANITOR_MS) < 0)
			continue;
		if (pfds[0].revents)
			return NULL;
		if (pfds[1].revents &&
		    read(session->janitor_signal_fd, &info, sizeof(info)) > 0)
			log_status(session);
		backing_expire(session->table, now_ns() - IDLE_BACKING_NS);
		if (fuse_session_exited(session->fuse))
			hosts_each(session->hosts, hurry, NULL);
	}
}

static int start_janitor(struct session *session)
{
	sigset_t signals;
	int r;

	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	session->janitor_stop_fd = eventfd(0, EFD_CLOEXEC);
	session->janitor_signal_fd =
		signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (session->janitor_stop_fd < 0 || session->janitor_signal_fd < 0)
		return log_error_errno(-errno, "cannot start the janitor");
	r = pthread_create(&session->janitor, NULL, janitor_main, session);
	if (r)
		return log_error_errno(-r, "cannot start the janitor");
	return 0;
}

static void stop_janitor(struct session *session)
{
	if (session->janitor) {
		eventfd_write(session->janitor_stop_fd, 1);
		pthread_join(session->janitor, NULL);
	}
	close_fd(session->janitor_stop_fd);
	close_fd(session->janitor_signal_fd);
}

/* -- the session -- */

static struct inode_limits fd_limits(void)
{
	struct rlimit files;
	unsigned int n = 1024;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		n = files.rlim_cur < 65536 ? (unsigned int)files.rlim_cur :
					     65536;
	return (struct inode_limits){
		.path_fds = n / 4 < 128 ? 128 : n / 4,
		.idle_backings = n / 4 < 128 ? 128 : n / 4,
	};
}

static int make_table(struct session *session)
{
	struct inode_limits limits = fd_limits();
	struct inode_hooks hooks = backing_hooks;
	int fd, r;

	fd = open(session->places.source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return log_error_errno(-errno, "SOURCE \"%s\"",
				       session->options.source);
	hooks.release_rules = rule_dir_unref;
	r = inode_table_new(fd, &limits, &hooks, &session->table);
	return r < 0 ? log_error_errno(r, "SOURCE \"%s\"",
				       session->options.source) :
		       0;
}

/* The rules of rules=FILE; @reason says what is wrong with them. */
static int read_mount_rules(struct session *session, struct rules **out,
			    char reason[RULEFILE_REASON_MAX])
{
	struct rulefile_source source = {
		.dir_fd = AT_FDCWD,
		.file = session->options.rules,
		.shown = session->options.rules,
		.tree = session->tree,
		.is_trusted = true,
		.can_opener = true,
	};
	int r;

	if (!session->options.rules)
		return 0;
	r = rulefile_read(&source, out, reason);
	if (r < 0)
		snprintf(reason, RULEFILE_REASON_MAX, "%s: %s",
			 session->options.rules, strerror(-r));
	return r ? -EINVAL : 0;
}

static int make_book(struct session *session)
{
	struct rulebook_config config = {
		.table = session->table,
		.charge = session->charge,
		.hosts = session->hosts,
		.tree = session->tree,
		.fallback = session->fallback,
		.memcg = session->options.memcg,
		.reads_files = !session->options.norulefiles,
		.can_opener = true,
	};
	char reason[RULEFILE_REASON_MAX];
	struct rulebook *book = NULL;
	struct rules *rules = NULL;
	int r;

	r = read_mount_rules(session, &rules, reason);
	if (r < 0) {
		log_error("rules=%s", reason);
		return r;
	}
	config.mount_rules = rules;
	r = rulebook_new(&config, &book);
	if (r == 0)
		atomic_store(&session->book, book);
	rules_unref(rules);
	return r < 0 ? log_error_errno(r, "cannot start") : 0;
}

static int make_front(struct session *session)
{
	const struct options *options = &session->options;
	struct charge_config charge = {
		.fallback = session->fallback,
		.stats = &session->stats,
		.arena = session->arena,
		.sees_owners = session->kpagecgroup_fd >= 0,
	};
	struct fuse_front_config front = {
		.table = session->table,
		.attr_timeout = options->attr_timeout,
		.entry_timeout = options->entry_timeout,
		.max_threads = (unsigned int)options->max_threads,
		.patience_ns = (uint64_t)(options->charger_timeout * 1e9),
		.ready = on_ready,
		.userdata = session,
	};
	int r;

	r = charge_new(&charge, &session->charge);
	if (r < 0)
		return log_error_errno(r, "cannot start");
	charge_set_table(session->charge, session->table);
	r = make_book(session);
	if (r < 0)
		return r;
	front.charge = session->charge;
	front.book = session->book;
	r = fuse_front_new(&front, &session->front);
	return r < 0 ? log_error_errno(r, "cannot start") : 0;
}

static int connect_and_mount(struct session *session)
{
	struct connection_config config = {
		.places = &session->places,
		.memcg = session->host ? host_target(session->host) :
					 session->options.memcg,
		.mount_options = session->options.mount_options,
		.debug = session->options.debug,
		.front = session->front,
		.table = session->table,
		.arena = session->arena,
	};
	int r;

	r = connection_new(&config, &session->fuse);
	if (r == 0)
		r = connection_mount(&config, session->fuse);
	session->is_mounted = r == 0;
	return r;
}

/* Where owners can't be read, a claim drops all, which is no small thing. */
static int start_reconciler(struct session *session)
{
	struct reconciler_config config = {
		.table = session->table,
		.charge = session->charge,
		.percent = session->options.reconcile_percent,
	};
	int r;

	if (session->kpagecgroup_fd < 0)
		return 0;
	r = reconciler_new(&config, &session->reconciler);
	return r < 0 ? log_error_errno(r, "cannot start the reconciler") : 0;
}

/* Rules that are wrong now leave those that hold as they are. */
static int on_reload(void *userdata, char reason[RULEFILE_REASON_MAX])
{
	struct session *session = userdata;
	struct rules *rules = NULL;
	int r;

	r = read_mount_rules(session, &rules, reason);
	if (r == 0)
		rulebook_reload(session->book, rules);
	rules_unref(rules);
	return r;
}

/* The mount does without, but says so. */
static int start_control(struct session *session)
{
	struct control_config config = {
		.mountpoint = session->places.mountpoint,
		.table = session->table,
		.book = session->book,
		.charge = session->charge,
		.report = take_report,
		.reload = on_reload,
		.userdata = session,
	};
	int r;

	r = control_new(&config, &session->control);
	if (r < 0)
		log_warning("memcgfsctl can't speak to this mount: %s",
			    strerror(-r));
	return 0;
}

static int session_start(struct session *session)
{
	sigset_t blocked;
	int r;

	affinity_init();
	process_raise_limits();
	session->unprotected = !process_protect_from_oom();
	r = sandbox_drop_daemon_capabilities();
	if (r < 0)
		return log_error_errno(r, "cannot drop capabilities");
	r = places_resolve(&session->places, session->options.source,
			   session->options.mountpoint);
	if (r == 0 && session->options.io_uring)
		r = connection_check_uring();
	if (r < 0)
		return r;
	/* Before there are threads, and memory to be inherited. */
	r = spawner_new(&session->spawner);
	if (r < 0)
		return log_error_errno(r, "cannot start the spawner");
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &blocked, NULL);
	r = start_cgroups(session);
	if (r == 0)
		r = make_table(session);
	if (r == 0)
		r = make_front(session);
	if (r == 0)
		r = connect_and_mount(session);
	if (r == 0)
		r = start_janitor(session);
	if (r == 0)
		r = start_reconciler(session);
	if (r == 0)
		r = start_control(session);
	return r;
}

/*
 * Nobody serves requests any more. The mount goes first: it is what the
 * front's threads may be waiting for.
 */
static void session_stop(struct session *session)
{
	if (session->hosts)
		hosts_each(session->hosts, hurry, NULL);
	stop_janitor(session);
	reconciler_free(session->reconciler);
	control_free(session->control);
	if (session->is_mounted)
		connection_unmount(session->fuse);
	fuse_front_free(session->front);
	rulebook_stop(session->book);
	inode_table_free(session->table);
	if (session->fuse)
		fuse_session_destroy(session->fuse);
	charge_free(session->charge);
	hosts_free(session->hosts);
	rulebook_free(session->book);
	spawner_free(session->spawner);
	arena_free(session->arena);
	account_free(session->books);
	cgroup_tree_free(session->tree);
	close_fd(session->kpagecgroup_fd);
	options_clear(&session->options);
}

static int session_run(const struct options *options, int report_fd)
{
	struct session session = {
		.options = *options,
		.report_fd = report_fd,
		.kpagecgroup_fd = -1,
		.janitor_stop_fd = -1,
		.janitor_signal_fd = -1,
	};
	int r;

	r = session_start(&session);
	if (r == 0) {
		r = connection_serve(session.fuse, session.options.max_threads);
		if (!session.is_ready && r < 0)
			log_error("the kernel refused the mount: %s",
				  connection_last_words());
		if (!session.is_ready)
			r = -EIO;
	}
	session_stop(&session);
	report(&session, -1);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* -- the process -- */

/* The one that was started waits for the one that serves. */
static int wait_for_report(int fd)
{
	signed char result = -1;

	return read(fd, &result, 1) == 1 && result == 0 ? EXIT_SUCCESS :
							  EXIT_FAILURE;
}

static int run_in_background(struct options *options)
{
	int report_fds[2];
	pid_t pid;

	if (pipe2(report_fds, O_CLOEXEC) < 0) {
		log_error_errno(-errno, "cannot start");
		return EXIT_FAILURE;
	}
	pid = fork();
	if (pid < 0) {
		log_error_errno(-errno, "cannot start");
		return EXIT_FAILURE;
	}
	if (pid) {
		close_fd(report_fds[1]);
		options_clear(options);
		return wait_for_report(report_fds[0]);
	}
	close_fd(report_fds[0]);
	setsid();
	return session_run(options, report_fds[1]);
}

int main(int argc, char **argv)
{
	struct options options;

	process_open_standard_fds();
	if (options_parse(argc, argv, geteuid() == 0, &options) < 0)
		return EXIT_FAILURE;
	if (options.debug)
		log_set_level(LOG_LEVEL_DEBUG);
	switch (options.action) {
	case OPTIONS_HELP:
		options_print_help();
		break;
	case OPTIONS_VERSION:
		printf("memcgfs %s, libfuse %s\n", MEMCGFS_VERSION,
		       fuse_pkgversion());
		break;
	case OPTIONS_CHECK:
		break;
	case OPTIONS_MOUNT:
		return options.foreground ? session_run(&options, -1) :
					    run_in_background(&options);
	}
	options_clear(&options);
	return EXIT_SUCCESS;
}
