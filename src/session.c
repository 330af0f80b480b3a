// SPDX-License-Identifier: GPL-2.0-or-later
/* A session, 1: a mount's life; see session.h. */
#include "session_priv.h"

#include "affinity.h"
#include "charge_cached.h"
#include "cutoff.h"
#include "endpoint.h"
#include "log.h"
#include "passthrough.h"
#include "process.h"
#include "sandbox.h"
#include "transport.h"
#include "util.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>

#define IDLE_BACKING_NS 10000000000ull
#define IDLE_OPENER_NS UINT64_C(1000000000)

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
	if (session->why_cached)
		log_warning("io=auto is io=cached here: %s",
			    session->why_cached);
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
	session_begin_watch(session);
	if (session->options.io == POLICY_IO_CACHED)
		spawner_cut_off(session->spawner, session->places.mountpoint,
				inode_table_excluded(session->table));
	session->is_ready = true;
	charge_cached_ready(session->charge);
	if (!session->options.foreground)
		process_let_go_of_terminal();
	if (!report(session, 0))
		fuse_session_exit(session->fuse);
}

/* -- now and then -- */

static void on_signal(void *userdata)
{
	session_log_report(userdata);
}

static void on_tick(void *userdata)
{
	struct session *session = userdata;

	backing_expire(session->table, now_ns() - IDLE_BACKING_NS);
	openers_expire(session->openers, now_ns() - IDLE_OPENER_NS);
	scanners_expire(session->scanners);
	charge_cached_tick(session->charge);
	if (fuse_session_exited(session->fuse))
		session_hurry(session);
	session_tell_degraded(session);
}

static int start_janitor(struct session *session)
{
	struct janitor_config config = {
		.on_signal = on_signal,
		.on_tick = on_tick,
		.userdata = session,
	};
	int r;

	r = janitor_new(&config, &session->janitor);
	return r < 0 ? log_error_errno(r, "cannot start the janitor") : 0;
}

/* -- its parts -- */

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

	limits.keeps_writers = session->options.io == POLICY_IO_CACHED;
	limits.reads_exactly = session->options.io == POLICY_IO_CACHED;
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

/* What it has brought in before it was seen to be a scanner. */
static void spare(void *userdata, struct inode *inode,
		  const struct scanners_before *before)
{
	struct session *session = userdata;
	struct charge_before seen = {
		.resident_bytes = before->resident_bytes,
		.uses = before->uses,
	};

	charge_spare(session->charge, inode, &seen);
}

static int make_scanners(struct session *session)
{
	struct scanners_config config = {
		.table = session->table,
		.events = session->events,
		.openers = session->openers,
		.tree = session->tree,
		.is_off = session->options.scan == OPTIONS_SCAN_OFF,
		.spare = spare,
		.userdata = session,
	};
	int r;

	r = scanners_new(&config, &session->scanners);
	return r < 0 ? log_error_errno(r, "cannot look for scanners") : 0;
}

static int make_front(struct session *session)
{
	const struct options *options = &session->options;
	struct charge_config charge = {
		.fallback = session->fallback,
		.stats = &session->stats,
		.events = session->events,
		.arena = session->arena,
		.openers = session->openers,
		.books = session->books,
		.tree = session->tree,
		.sees_owners = session->kpagecgroup_fd >= 0,
		.sees_flags = session->kpageflags_fd >= 0,
	};
	struct fuse_front_config front = {
		.table = session->table,
		.is_cached = options->io == POLICY_IO_CACHED,
		.attr_timeout = options->attr_timeout,
		.entry_timeout = options->entry_timeout,
		.negative_timeout = options->negative_timeout,
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
	if (options->io == POLICY_IO_CACHED)
		r = charge_cached_begin(session->charge,
					session->places.mountpoint,
					(unsigned int)options->max_threads);
	if (r < 0)
		return log_error_errno(r, "cannot start");
	r = session_make_book(session);
	if (r < 0)
		return r;
	front.charge = session->charge;
	front.book = session->book;
	front.scanners = session->scanners;
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

static int start_bookkeeper(struct session *session)
{
	struct bookkeeper_config config = {
		.table = session->table,
		.charge = session->charge,
		.books = session->books,
		.share_decay_s = (uint32_t)session->options.share_decay,
	};
	int r;

	r = bookkeeper_new(&config, &session->bookkeeper);
	return r < 0 ? log_error_errno(r, "cannot start the bookkeeper") : 0;
}

/* The mount does without, but says so. */
static int start_control(struct session *session)
{
	struct control_config config = {
		.mountpoint = session->places.mountpoint,
		.table = session->table,
		.book = session->book,
		.charge = session->charge,
		.events = session->events,
		.books = session->books,
		.tree = session->tree,
		.scanners = session->scanners,
		.report = session_take_report,
		.reload = session_reload,
		.userdata = session,
	};
	int r;

	r = control_new(&config, &session->control);
	if (r < 0)
		log_warning("memcgfsctl can't speak to this mount: %s",
			    strerror(-r));
	return 0;
}

/* Early: a port may be one that takes rights which are dropped. */
static int bind_exporter(struct session *session)
{
	const char *metrics = session->options.metrics;
	struct endpoint endpoint;
	int r;

	if (!metrics)
		return 0;
	r = endpoint_parse(metrics, &endpoint);
	if (r == 0)
		r = endpoint_bind(&endpoint);
	if (r < 0)
		return log_error_errno(r, "metrics=%s: cannot listen there",
				       metrics);
	session->metrics_fd = r;
	return 0;
}

/* Before the mount, which may cover where it is; chargers never have it. */
static int load_httpd(struct session *session)
{
	const char *why = "";
	int r;

	if (session->metrics_fd < 0)
		return 0;
	r = httpd_load(&session->httpd, &why);
	return r < 0 ? log_error_errno(r, "metrics=%s: cannot serve them: %s",
				       session->options.metrics, why) :
		       0;
}

static int start_exporter(struct session *session)
{
	struct exporter_config config = {
		.httpd = session->httpd,
		.report = session_take_report,
		.userdata = session,
	};
	int r;

	if (session->metrics_fd < 0)
		return 0;
	r = exporter_new(&config, steal_fd(&session->metrics_fd),
			 &session->exporter);
	return r < 0 ? log_error_errno(r, "metrics=%s: cannot serve them",
				       session->options.metrics) :
		       0;
}

/*
 * Without passthrough each read would be a message, of what is in memory, too:
 * so the pages are to be those of the mount.
 */
static void choose_io(struct session *session)
{
	struct options *options = &session->options;
	const char *why = passthrough_why_not();

	if (options->io != POLICY_IO_AUTO || options->memcg[0] == '@' || !why)
		return;
	session->why_cached = why;
	options->io = POLICY_IO_CACHED;
}

/* -- its life -- */

static int session_start(struct session *session)
{
	int r;

	affinity_init();
	process_raise_limits();
	session->unprotected = !process_protect_from_oom();
	r = transport_open_pipes();
	if (r < 0)
		return log_error_errno(r, "cannot open pipes");
	r = bind_exporter(session);
	if (r < 0)
		return r;
	r = sandbox_drop_daemon_capabilities();
	if (r < 0)
		return log_error_errno(r, "cannot drop capabilities");
	r = places_resolve(&session->places, session->options.source,
			   session->options.mountpoint);
	if (r == 0 && session->options.io_uring)
		r = connection_check_uring();
	if (r < 0)
		return r;
	choose_io(session);
	/* Both before there are threads, and memory to be inherited. */
	r = session_make_watch(session);
	if (r < 0)
		return r;
	r = spawner_new(&session->spawner);
	if (r < 0)
		return log_error_errno(r, "cannot start the spawner");
	janitor_block_signals();
	r = load_httpd(session);
	if (r < 0)
		return r;
	r = events_new(&session->events);
	if (r < 0)
		return log_error_errno(r, "cannot start");
	r = session_start_cgroups(session);
	if (r == 0)
		r = make_table(session);
	if (r == 0)
		r = make_scanners(session);
	if (r == 0)
		r = make_front(session);
	if (r == 0)
		r = connect_and_mount(session);
	if (r == 0)
		r = start_janitor(session);
	if (r == 0)
		r = start_reconciler(session);
	if (r == 0)
		r = start_bookkeeper(session);
	if (r == 0)
		r = start_control(session);
	if (r == 0)
		r = start_exporter(session);
	return r;
}

/*
 * Nobody serves requests any more. The mount goes first: it is what the
 * front's threads may be waiting for.
 */
static void session_stop(struct session *session)
{
	if (session->hosts)
		session_hurry(session);
	janitor_free(session->janitor);
	reconciler_free(session->reconciler);
	bookkeeper_free(session->bookkeeper);
	control_free(session->control);
	exporter_free(session->exporter);
	httpd_free(session->httpd);
	close_fd(session->metrics_fd);
	/* The charge's threads may be waiting for what nobody serves now. */
	if (session->is_mounted && session->options.io == POLICY_IO_CACHED)
		cutoff(session->places.mountpoint,
		       inode_table_excluded(session->table));
	if (session->is_mounted)
		connection_unmount(session->fuse);
	usewatch_free(session->watch);
	fuse_front_free(session->front);
	if (session->charge)
		charge_cached_end(session->charge);
	rulebook_stop(session->book);
	scanners_free(session->scanners);
	charge_stop(session->charge);
	inode_table_free(session->table);
	if (session->fuse)
		fuse_session_destroy(session->fuse);
	charge_free(session->charge);
	hosts_free(session->hosts);
	rulebook_free(session->book);
	spawner_free(session->spawner);
	transport_remove();
	arena_free(session->arena);
	openers_free(session->openers);
	books_free(session->books);
	cgroup_tree_free(session->tree);
	json_decref(session->degraded);
	events_free(session->events);
	close_fd(session->kpagecgroup_fd);
	close_fd(session->kpageflags_fd);
	options_clear(&session->options);
}

int session_run(const struct options *options, int report_fd)
{
	struct session session = {
		.options = *options,
		.report_fd = report_fd,
		.metrics_fd = -1,
		.kpagecgroup_fd = -1,
		.kpageflags_fd = -1,
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
