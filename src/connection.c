// SPDX-License-Identifier: GPL-2.0-or-later
/* The mount and its connection to the kernel; see connection.h. */
#include "connection.h"

#include "log.h"
#include "transport.h"
#include "util.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define URING_SWITCH "/sys/module/fuse/parameters/enable_uring"

/*
 * libfuse's log function has no userdata: its last words go here, whichever
 * thread says them. They are read where no other thread runs.
 */
static char fuse_said[512];
static pthread_mutex_t fuse_said_lock = PTHREAD_MUTEX_INITIALIZER;

static void keep_words(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char text[sizeof(fuse_said)];
	size_t len;

	vsnprintf(text, sizeof(text), fmt, ap);
	len = strlen(text);
	if (len && text[len - 1] == '\n')
		text[len - 1] = '\0';
	if (level <= FUSE_LOG_DEBUG)
		log_debug("%s", text);
	pthread_mutex_lock(&fuse_said_lock);
	memcpy(fuse_said, text, sizeof(text));
	pthread_mutex_unlock(&fuse_said_lock);
}

static bool uring_is_enabled(void)
{
	char text[8];

	return read_small_file(AT_FDCWD, URING_SWITCH, text, sizeof(text)) >
		       0 &&
	       text[0] == 'Y';
}

int connection_check_uring(void)
{
	if (uring_is_enabled())
		return 0;
	if (access(URING_SWITCH, F_OK) < 0)
		log_error("option \"io_uring\": this kernel has no FUSE over "
			  "io_uring (Linux 6.14 and later can have it)");
	else
		log_error("option \"io_uring\": it is disabled here; enable "
			  "it with: echo Y > " URING_SWITCH);
	return -EOPNOTSUPP;
}

/* A value behind "-o": what separates options there is escaped. */
static void escape_option(const char *value, char *buf, size_t size)
{
	size_t len = 0;

	for (; *value && len + 3 < size; value++) {
		if (*value == ',' || *value == '\\')
			buf[len++] = '\\';
		buf[len++] = *value;
	}
	buf[len] = '\0';
}

/*
 * The kernel shows no options of ours in /proc/mounts: the cgroup is told
 * behind the source, as findmnt(8) tells a subdirectory.
 */
static int fuse_options(const struct connection_config *config, char **out)
{
	char name[PATH_MAX + CGROUP_PATH_MAX];
	char escaped[2 * sizeof(name)];
	const char *more = config->mount_options;

	snprintf(name, sizeof(name), "%s[memcg=%s]", config->places->source,
		 config->memcg);
	escape_option(name, escaped, sizeof(escaped));
	if (asprintf(out,
		     "-omax_read=%zu,fsname=%s,subtype=memcgfs,default_permissions"
		     "%s%s%s",
		     transport_max_read(), escaped,
		     uring_is_enabled() ? ",io_uring" : "", *more ? "," : "",
		     more) < 0)
		return -ENOMEM;
	return 0;
}

int connection_new(const struct connection_config *config,
		   struct fuse_session **out)
{
	cleanup_free char *mount_options = NULL;
	char name[] = "memcgfs", debug[] = "-d";
	char *argv[] = { name, NULL, debug, NULL };
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);
	struct fuse_session *fuse;
	int r;

	fuse_set_log_func(keep_words);
	r = fuse_options(config, &mount_options);
	if (r < 0)
		return log_error_errno(r, "mount options");
	argv[1] = mount_options;
	if (config->debug)
		args.argc = 3;
	fuse = fuse_session_new(&args, fuse_front_ops(config->front),
				sizeof(struct fuse_lowlevel_ops),
				config->front);
	fuse_opt_free_args(&args);
	if (!fuse) {
		log_error("cannot start FUSE: %s", fuse_said);
		return -EINVAL;
	}
	fuse_front_set_session(config->front, fuse);
	*out = fuse;
	return 0;
}

/* Lookups must not enter the mount itself: see inode_table_exclude(). */
static void exclude_own_mount(const struct connection_config *config)
{
	struct statx stx;

	if (statx(AT_FDCWD, config->places->mountpoint, AT_STATX_DONT_SYNC,
		  STATX_INO, &stx) == 0)
		inode_table_exclude(config->table, makedev(stx.stx_dev_major,
							   stx.stx_dev_minor));
}

int connection_mount(const struct connection_config *config,
		     struct fuse_session *fuse)
{
	fuse_said[0] = '\0';
	if (fuse_session_mount(fuse, config->places->mountpoint) < 0) {
		log_error("cannot mount on \"%s\": %s",
			  config->places->mountpoint,
			  *fuse_said ? fuse_said : strerror(errno));
		return -EIO;
	}
	exclude_own_mount(config);
	if (transport_install(fuse, config->arena) < 0 ||
	    fuse_set_signal_handlers(fuse) < 0) {
		log_error("cannot serve \"%s\"", config->places->mountpoint);
		transport_cut();
		fuse_session_unmount(fuse);
		return -EIO;
	}
	return 0;
}

int connection_serve(struct fuse_session *fuse, int max_threads)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int r;

	if (!config)
		return log_error_errno(-ENOMEM, "cannot start");
	fuse_loop_cfg_set_clone_fd(config, 1);
	fuse_loop_cfg_set_max_threads(config, (unsigned int)max_threads);
	r = fuse_session_loop_mt(fuse, config);
	fuse_loop_cfg_destroy(config);
	/* Positive: the number of the signal that ended it, as asked. */
	return r < 0 ? r : 0;
}

void connection_unmount(struct fuse_session *fuse)
{
	fuse_remove_signal_handlers(fuse);
	transport_cut();
	fuse_session_unmount(fuse);
}

const char *connection_last_words(void)
{
	return fuse_said;
}

const char *connection_library_version(void)
{
	return fuse_pkgversion();
}
