// SPDX-License-Identifier: GPL-2.0-or-later
/* The command line; see options.h. */
#include "options.h"

#include "endpoint.h"
#include "log.h"
#include "rules.h"
#include "scanlist.h"
#include "util.h"

#include <stdio.h>
#include <string.h>

#define DEFAULT_AHEAD_BYTES (64ull << 20)
#define DEFAULT_TIMEOUT 1.0
#define DEFAULT_CHARGER_TIMEOUT 30.0
#define DEFAULT_CHARGER_IDLE 60.0
#define DEFAULT_SHARE_DECAY 300.0
#define DEFAULT_MAX_THREADS 64
#define DEFAULT_RECONCILE_PERCENT 1.0

struct word {
	const char *name;
	int value;
};

static const struct word io_words[] = {
	{ "auto", POLICY_IO_AUTO },
	{ "strict", POLICY_IO_STRICT },
	{ "cached", POLICY_IO_CACHED },
	{ NULL, 0 },
};

static const struct word on_error_words[] = {
	{ "deny", POLICY_DENY },
	{ "opener", POLICY_OPENER },
	{ NULL, 0 },
};

static const struct word scan_words[] = {
	{ "auto", OPTIONS_SCAN_AUTO },
	{ "off", OPTIONS_SCAN_OFF },
	{ NULL, 0 },
};

enum option_type {
	TYPE_STRING, /* char * */
	TYPE_WORD, /* enum: one of words */
	TYPE_SIZE, /* uint64_t: bytes */
	TYPE_NUMBER, /* uint64_t from 1 to 1000 */
	TYPE_SECONDS, /* double */
	TYPE_PERCENT, /* double, more than 0, up to 100 */
	/* From here on without a value. */
	TYPE_FLAG, /* bool: true where given */
	TYPE_MOUNT, /* passed on to the kernel's mount */
	TYPE_DEFAULT, /* what happens anyway */
	TYPE_HELPER, /* mount(8) has dealt with it */
};

struct option {
	const char *name;
	enum option_type type;
	size_t offset; /* in struct options */
	const struct word *words;
	const char *argument; /* in the help; NULL there: not listed */
	const char *help;
};

#define FIELD(name) offsetof(struct options, name)

static const struct option option_table[] = {
	{ "memcg", TYPE_STRING, FIELD(memcg), NULL, "memcg=PATH",
	  "charge file cache to this cgroup (required); PATH is as in "
	  "/proc/PID/cgroup,\n\t\t\tor below /sys/fs/cgroup; @opener: "
	  "enforce nothing" },
	{ "create", TYPE_FLAG, FIELD(create), NULL, "create",
	  "create the cgroup if it is missing, remove it at unmount" },
	{ "io", TYPE_WORD, FIELD(io), io_words, "io=auto|strict|cached",
	  "passthrough where ownership is safe, or never, or open\n\t\t\tfiles "
	  "without a message (auto)" },
	{ "ahead", TYPE_SIZE, FIELD(ahead_bytes), NULL, "ahead=SIZE",
	  "the largest file charged whole at open (64M)" },
	{ "on_error", TYPE_WORD, FIELD(on_error), on_error_words,
	  "on_error=deny|opener",
	  "when the cgroup can't be used: fail opens, or fall back\n\t\t\tto "
	  "first touch (deny)" },
	{ "io_uring", TYPE_FLAG, FIELD(io_uring), NULL, "io_uring",
	  "insist on FUSE over io_uring (used where enabled)" },
	{ "attr_timeout", TYPE_SECONDS, FIELD(attr_timeout), NULL,
	  "attr_timeout=S", "cache attributes for S seconds (1.0)" },
	{ "entry_timeout", TYPE_SECONDS, FIELD(entry_timeout), NULL,
	  "entry_timeout=S", "cache names for S seconds (1.0)" },
	{ "negative_timeout", TYPE_SECONDS, FIELD(negative_timeout), NULL,
	  "negative_timeout=S",
	  "cache for S seconds that there is no such name (0.0)" },
	{ "max_threads", TYPE_NUMBER, FIELD(max_threads), NULL, "max_threads=N",
	  "serve at most N requests at a time (64)" },
	{ "charger_timeout", TYPE_SECONDS, FIELD(charger_timeout), NULL,
	  "charger_timeout=S",
	  "wait S seconds for a target that is frozen (30.0)" },
	{ "charger_idle", TYPE_SECONDS, FIELD(charger_idle), NULL,
	  "charger_idle=S",
	  "a charger leaves its cgroup after S seconds without\n\t\t\twork, "
	  "until it is needed again (60.0)" },
	{ "pin_max", TYPE_SIZE, FIELD(pin_max), NULL, "pin_max=SIZE",
	  "what a cgroup may have of pinned files\n\t\t\t(a quarter of its "
	  "limit)" },
	{ "scan", TYPE_WORD, FIELD(scan), scan_words, "scan=auto|off",
	  "look for readers that go once through many files, so\n\t\t\tthat "
	  "they push nothing out; or don't (auto)" },
	{ "scanners", TYPE_STRING, FIELD(scanners), NULL,
	  "scanners=WHO[:WHO...]",
	  "who is such a reader anyway: a command's name,\n\t\t\tcgroup:PATH, "
	  "uid:N" },
	{ "share_decay", TYPE_SECONDS, FIELD(share_decay), NULL,
	  "share_decay=S",
	  "who has not opened a file for S seconds doesn't\n\t\t\tuse it any "
	  "more (300.0)" },
	{ "reconcile", TYPE_PERCENT, FIELD(reconcile_percent), NULL,
	  "reconcile=PERCENT",
	  "how much of one CPU may go into finding pages that\n\t\t\treclaim "
	  "gave to readers (1)" },
	{ "rules", TYPE_STRING, FIELD(rules), NULL, "rules=FILE",
	  "rules of the whole mount, as in .memcgfs files" },
	{ "norulefiles", TYPE_FLAG, FIELD(norulefiles), NULL, "norulefiles",
	  "ignore .memcgfs files in directories" },
	{ "metrics", TYPE_STRING, FIELD(metrics), NULL, "metrics=[ADDR:]PORT",
	  "serve metrics over HTTP there, for Prometheus;\n\t\t\twithout "
	  "an address to this machine alone" },
	{ "allow_other", TYPE_MOUNT, 0, NULL, "allow_other",
	  "let all users in (default for root)" },
	{ "default_permissions", TYPE_MOUNT, 0, NULL, "default_permissions",
	  "the kernel checks permissions (always on)" },
	{ "ro", TYPE_MOUNT, 0, NULL, "ro, rw, nosuid, nodev, noexec, ...",
	  "as for any mount" },
	{ "rw", TYPE_MOUNT, 0, NULL, NULL, NULL },
	{ "suid", TYPE_MOUNT, 0, NULL, NULL, NULL },
	{ "nosuid", TYPE_MOUNT, 0, NULL, NULL, NULL },
	{ "dev", TYPE_MOUNT, 0, NULL, NULL, NULL },
	{ "nodev", TYPE_MOUNT, 0, NULL, NULL, NULL },
	{ "exec", TYPE_MOUNT, 0, NULL, NULL, NULL },
	{ "noexec", TYPE_MOUNT, 0, NULL, NULL, NULL },
	{ "async", TYPE_MOUNT, 0, NULL, NULL, NULL },
	{ "sync", TYPE_MOUNT, 0, NULL, NULL, NULL },
	{ "dirsync", TYPE_MOUNT, 0, NULL, NULL, NULL },
	{ "atime", TYPE_MOUNT, 0, NULL, NULL, NULL },
	{ "noatime", TYPE_MOUNT, 0, NULL, NULL, NULL },
	{ "nodiratime", TYPE_MOUNT, 0, NULL, NULL, NULL },
	{ "relatime", TYPE_DEFAULT, 0, NULL, NULL, NULL },
	{ "defaults", TYPE_DEFAULT, 0, NULL, NULL, NULL },
	{ "auto", TYPE_HELPER, 0, NULL, NULL, NULL },
	{ "noauto", TYPE_HELPER, 0, NULL, NULL, NULL },
	{ "nofail", TYPE_HELPER, 0, NULL, NULL, NULL },
	{ "_netdev", TYPE_HELPER, 0, NULL, NULL, NULL },
	{ "user", TYPE_HELPER, 0, NULL, NULL, NULL },
	{ "nouser", TYPE_HELPER, 0, NULL, NULL, NULL },
	{ "users", TYPE_HELPER, 0, NULL, NULL, NULL },
	{ "owner", TYPE_HELPER, 0, NULL, NULL, NULL },
	{ "group", TYPE_HELPER, 0, NULL, NULL, NULL },
};

/* Options of later versions, and of users' hopes: say so by name. */
static int refuse_shared(const char *text)
{
	log_error("option \"memcg=%s\": ownership that follows use is not "
		  "supported; give a cgroup's path or @opener",
		  text);
	return -EINVAL;
}

static void *field_of(struct options *options, const struct option *option)
{
	return (char *)options + option->offset;
}

static int set_word(struct options *options, const struct option *option,
		    const char *value)
{
	char allowed[128] = "";

	for (const struct word *word = option->words; word->name; word++) {
		if (strcmp(word->name, value) == 0) {
			*(int *)field_of(options, option) = word->value;
			return 0;
		}
		if (*allowed)
			strcat(allowed, ", ");
		strcat(allowed, word->name);
	}
	log_error("option \"%s=%s\": allowed are %s", option->name, value,
		  allowed);
	return -EINVAL;
}

static int set_seconds(struct options *options, const struct option *option,
		       const char *value)
{
	double seconds;
	char *end;

	seconds = strtod(value, &end);
	if (end == value || *end || !(seconds >= 0) || seconds > 1e9) {
		log_error("option \"%s=%s\": a number of seconds is needed, "
			  "0 or more",
			  option->name, value);
		return -EINVAL;
	}
	*(double *)field_of(options, option) = seconds;
	return 0;
}

static int set_percent(struct options *options, const struct option *option,
		       const char *value)
{
	double percent;
	char *end;

	percent = strtod(value, &end);
	if (end == value || *end || !(percent > 0) || percent > 100) {
		log_error("option \"%s=%s\": a share of one CPU is needed, in "
			  "percent, more than 0 and up to 100",
			  option->name, value);
		return -EINVAL;
	}
	*(double *)field_of(options, option) = percent;
	return 0;
}

static int set_size(struct options *options, const struct option *option,
		    const char *value)
{
	if (parse_size(value, field_of(options, option)) == 0)
		return 0;
	log_error("option \"%s=%s\": a size is needed, in bytes or with one "
		  "of K, M, G, T",
		  option->name, value);
	return -EINVAL;
}

static int set_number(struct options *options, const struct option *option,
		      const char *value)
{
	uint64_t number;

	if (parse_size(value, &number) == 0 && number >= 1 && number <= 1000) {
		*(uint64_t *)field_of(options, option) = number;
		return 0;
	}
	log_error("option \"%s=%s\": a number from 1 to 1000 is needed",
		  option->name, value);
	return -EINVAL;
}

static int set_string(struct options *options, const struct option *option,
		      const char *value)
{
	char **field = field_of(options, option);

	free(*field);
	*field = strdup(value);
	return *field ? 0 :
			log_error_errno(-ENOMEM, "option \"%s\"", option->name);
}

static int append(char **list, const char *text)
{
	char *longer;

	if (asprintf(&longer, "%s%s%s", *list, **list ? "," : "", text) < 0)
		return -ENOMEM;
	free(*list);
	*list = longer;
	return 0;
}

static int set_option(struct options *options, const struct option *option,
		      const char *value)
{
	switch (option->type) {
	case TYPE_STRING:
		return set_string(options, option, value);
	case TYPE_FLAG:
		*(bool *)field_of(options, option) = true;
		return 0;
	case TYPE_WORD:
		return set_word(options, option, value);
	case TYPE_SIZE:
		return set_size(options, option, value);
	case TYPE_NUMBER:
		return set_number(options, option, value);
	case TYPE_SECONDS:
		return set_seconds(options, option, value);
	case TYPE_PERCENT:
		return set_percent(options, option, value);
	case TYPE_MOUNT:
		return append(&options->mount_options, option->name);
	case TYPE_DEFAULT:
	case TYPE_HELPER:
		return 0;
	}
	return -EINVAL;
}

static bool takes_value(const struct option *option)
{
	return option->type < TYPE_FLAG;
}

/* What fstab says to others: "x-systemd.automount", "comment=...". */
static bool is_for_others(const char *text)
{
	return strncmp(text, "x-", 2) == 0 || strncmp(text, "X-", 2) == 0 ||
	       strncmp(text, "comment=", 8) == 0;
}

static const struct option *find_option(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(option_table); i++)
		if (strlen(option_table[i].name) == len &&
		    strncmp(option_table[i].name, name, len) == 0)
			return &option_table[i];
	return NULL;
}

static int parse_option(struct options *options, const char *text,
			bool is_helper)
{
	size_t len = strcspn(text, "=");
	bool has_value = text[len];
	const char *value = text + len + has_value;
	const struct option *option;

	if (is_helper && is_for_others(text))
		return 0;
	option = find_option(text, len);
	if (!option || (option->type == TYPE_HELPER && !is_helper)) {
		log_error("unknown option \"%s\": see memcgfs --help", text);
		return -EINVAL;
	}
	if (takes_value(option) && !*value) {
		log_error("option \"%s\": a value is needed, as in \"%s\"",
			  text, option->argument);
		return -EINVAL;
	}
	if (!takes_value(option) && has_value) {
		log_error("option \"%s\": \"%s\" takes no value", text,
			  option->name);
		return -EINVAL;
	}
	return set_option(options, option, value);
}

/* A list of options; an empty one between commas is none. */
static int parse_list(struct options *options, const char *list, bool is_helper)
{
	cleanup_free char *copy = strdup(list);
	char *rest = copy;
	char *text;
	int r;

	if (!copy)
		return -ENOMEM;
	while ((text = strsep(&rest, ","))) {
		if (!*text)
			continue;
		r = parse_option(options, text, is_helper);
		if (r < 0)
			return r;
	}
	return 0;
}

static int set_place(struct options *options, const char *text)
{
	char **place;

	if (!options->source)
		place = &options->source;
	else if (!options->mountpoint)
		place = &options->mountpoint;
	else {
		log_error("unexpected argument \"%s\": SOURCE and MOUNTPOINT "
			  "are given already",
			  text);
		return -EINVAL;
	}
	*place = strdup(text);
	return *place ? 0 : -ENOMEM;
}

/*
 * One dashed argument, with the one behind it if it needs that. Gives how
 * many were used.
 */
static int parse_dashed(struct options *options, const char *text,
			const char *next, bool is_helper)
{
	int r;

	if (strcmp(text, "-h") == 0 || strcmp(text, "--help") == 0) {
		options->action = OPTIONS_HELP;
		return 1;
	}
	if (strcmp(text, "-V") == 0 || strcmp(text, "--version") == 0) {
		options->action = OPTIONS_VERSION;
		return 1;
	}
	if (strcmp(text, "-f") == 0) {
		/* Of mount(8) it means: do all but mount. */
		if (is_helper)
			options->action = OPTIONS_CHECK;
		options->foreground = true;
		return 1;
	}
	if (strcmp(text, "-d") == 0) {
		options->debug = true;
		options->foreground = true;
		return 1;
	}
	if (is_helper && strcmp(text, "-t") == 0)
		return 2;
	if (is_helper && (strcmp(text, "-r") == 0 || strcmp(text, "-w") == 0))
		return append(&options->mount_options, text[1] == 'r' ? "ro" : "rw") ?:
			       1;
	if (is_helper && (strcmp(text, "-n") == 0 || strcmp(text, "-s") == 0 ||
			  strcmp(text, "-v") == 0))
		return 1;
	if (strncmp(text, "-o", 2) == 0) {
		if (!text[2] && !next) {
			log_error("\"-o\" needs options behind it");
			return -EINVAL;
		}
		r = parse_list(options, text[2] ? text + 2 : next, is_helper);
		return r < 0 ? r : text[2] ? 1 : 2;
	}
	log_error("unknown argument \"%s\": see memcgfs --help", text);
	return -EINVAL;
}

static bool is_long(double seconds, const char *name)
{
	if (seconds < 1)
		log_error("option \"%s=%g\": at least 1 second is needed", name,
			  seconds);
	return seconds >= 1;
}

static int check_metrics(const struct options *options)
{
	struct endpoint endpoint;

	if (!options->metrics ||
	    endpoint_parse(options->metrics, &endpoint) == 0)
		return 0;
	log_error("option \"metrics=%s\": a port is needed, as in \"9100\", or "
		  "an address and a port, as in \"127.0.0.1:9100\" and "
		  "\"[::1]:9100\"",
		  options->metrics);
	return -EINVAL;
}

static int check_scanners(const struct options *options)
{
	if (!options->scanners || scanlist_is_valid(options->scanners))
		return 0;
	log_error("option \"scanners=%s\": " SCANLIST_ALLOWED,
		  options->scanners);
	return -EINVAL;
}

static int check(const struct options *options)
{
	if (options->action != OPTIONS_MOUNT &&
	    options->action != OPTIONS_CHECK)
		return 0;
	if (!options->source || !options->mountpoint) {
		log_error("SOURCE and MOUNTPOINT are needed: memcgfs -o "
			  "memcg=PATH SOURCE MOUNTPOINT");
		return -EINVAL;
	}
	if (!options->memcg) {
		log_error("option \"memcg=PATH\" is needed: the cgroup to "
			  "charge, or @opener");
		return -EINVAL;
	}
	if (strcmp(options->memcg, "@shared") == 0)
		return refuse_shared(options->memcg);
	if (!is_long(options->charger_timeout, "charger_timeout") ||
	    !is_long(options->charger_idle, "charger_idle") ||
	    !is_long(options->share_decay, "share_decay"))
		return -EINVAL;
	if (options->memcg[0] == '@' && strcmp(options->memcg, "@opener")) {
		log_error("option \"memcg=%s\": allowed are a cgroup's path "
			  "and @opener",
			  options->memcg);
		return -EINVAL;
	}
	return check_metrics(options) ?: check_scanners(options);
}

int options_parse(int argc, char **argv, bool is_root, struct options *options)
{
	const char *name = strrchr(argv[0], '/');
	bool is_helper;
	int r = 0;

	name = name ? name + 1 : argv[0];
	is_helper = strncmp(name, "mount.", 6) == 0;
	*options = (struct options){
		.ahead_bytes = DEFAULT_AHEAD_BYTES,
		.attr_timeout = DEFAULT_TIMEOUT,
		.entry_timeout = DEFAULT_TIMEOUT,
		.max_threads = DEFAULT_MAX_THREADS,
		.charger_timeout = DEFAULT_CHARGER_TIMEOUT,
		.charger_idle = DEFAULT_CHARGER_IDLE,
		.share_decay = DEFAULT_SHARE_DECAY,
		.reconcile_percent = DEFAULT_RECONCILE_PERCENT,
		/* As mount(8) has it; libfuse's own are nosuid,nodev. */
		.mount_options = strdup(is_root ? "allow_other,suid,dev" : ""),
	};
	if (!options->mount_options)
		return -ENOMEM;
	for (int i = 1; i < argc && r >= 0; i += r) {
		if (argv[i][0] == '-' && argv[i][1])
			r = parse_dashed(options, argv[i], argv[i + 1],
					 is_helper);
		else
			r = set_place(options, argv[i]) ?: 1;
	}
	if (r >= 0)
		r = check(options);
	if (r < 0)
		options_clear(options);
	return r < 0 ? r : 0;
}

void options_clear(struct options *options)
{
	free(options->source);
	free(options->mountpoint);
	free(options->memcg);
	free(options->rules);
	free(options->metrics);
	free(options->scanners);
	free(options->mount_options);
	*options = (struct options){ 0 };
}

/* One entry of a list: its form, and behind it or below what it means. */
static void print_entry(const char *form, const char *help)
{
	printf("    %-20s%s%s\n", form, strlen(form) < 20 ? "" : "\n\t\t\t",
	       help);
}

void options_print_help(void)
{
	const struct rules_attribute_info *info;

	printf("usage: memcgfs [-f] [-d] -o memcg=PATH[,OPT...] SOURCE "
	       "MOUNTPOINT\n\n"
	       "Mounts the directory SOURCE on MOUNTPOINT (which may be the "
	       "same) and charges the\nfile cache of all files in it to one "
	       "memory cgroup.\n\n"
	       "arguments:\n"
	       "    -f\t\t\tstay in the foreground, log to stderr\n"
	       "    -d\t\t\tthe same, and log every request\n"
	       "    -h, --help\t\tthis text\n"
	       "    -V, --version\tthe version\n\n"
	       "options behind -o (default):\n");
	for (size_t i = 0; i < ARRAY_SIZE(option_table); i++)
		if (option_table[i].argument)
			print_entry(option_table[i].argument,
				    option_table[i].help);
	printf("\nattributes of rules, see memcgfs-rules(5):\n");
	for (int i = 0; i < RULES_ATTRIBUTES; i++) {
		info = rules_attribute_info(i);
		print_entry(info->form, info->help);
	}
}
