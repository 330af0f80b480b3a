// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The command line: what is asked for, what holds otherwise, and that bad
 * input is refused by one line that quotes it.
 */
#include "options.h"

#include "unit.h"
#include "util.h"

#define ARGS_MAX 32

/* A command line, and what came of it. */
struct parsed {
	int result;
	struct options options;
	char said[2048]; /* on stderr */
};

/* Parses @line, cut at spaces; "''" is an empty argument. */
static void parse_as(struct parsed *parsed, const char *line, bool is_root)
{
	char *argv[ARGS_MAX + 1] = { NULL };
	char *copy = strdup(line);
	struct capture capture;
	char *rest = copy;
	int argc = 0;

	assert_non_null(copy);
	while (argc < ARGS_MAX && (argv[argc] = strsep(&rest, " "))) {
		if (strcmp(argv[argc], "''") == 0)
			argv[argc][0] = '\0';
		argc++;
	}
	memset(&parsed->options, 0xaa, sizeof(parsed->options));
	capture_begin(&capture);
	parsed->result = options_parse(argc, argv, is_root, &parsed->options);
	capture_end(&capture, parsed->said, sizeof(parsed->said));
	free(copy);
}

static void parse_well(struct parsed *parsed, const char *line, bool is_root)
{
	parse_as(parsed, line, is_root);
	if (parsed->result != 0 || parsed->said[0])
		fail_msg("\"%s\" gave %d: %s", line, parsed->result,
			 parsed->said);
}

/* The shortest line that mounts. */
static void test_defaults(void **state)
{
	struct parsed parsed;
	struct options *options = &parsed.options;

	parse_well(&parsed, "memcgfs -o memcg=/shared /src /mnt", true);
	assert_int_equal(options->action, OPTIONS_MOUNT);
	assert_string_equal(options->source, "/src");
	assert_string_equal(options->mountpoint, "/mnt");
	assert_string_equal(options->memcg, "/shared");
	assert_false(options->foreground);
	assert_false(options->debug);
	assert_false(options->create);
	assert_false(options->io_uring);
	assert_int_equal(options->io, POLICY_IO_AUTO);
	assert_int_equal(options->on_error, POLICY_DENY);
	assert_int_equal(options->ahead_bytes, 64 * MIB);
	assert_true(options->attr_timeout == 1.0);
	assert_true(options->entry_timeout == 1.0);
	assert_int_equal(options->max_threads, 64);
	assert_string_equal(options->mount_options, "allow_other,suid,dev");
	options_clear(options);
	assert_null(options->source);
	assert_null(options->mount_options);
}

/* Only root may let others in, so only root does by default. */
static void test_an_ordinary_user(void **state)
{
	struct parsed parsed;

	parse_well(&parsed, "memcgfs -o memcg=/shared /src /mnt", false);
	assert_string_equal(parsed.options.mount_options, "");
	options_clear(&parsed.options);
	parse_well(&parsed, "memcgfs -o memcg=/shared,allow_other,ro /src /mnt",
		   false);
	assert_string_equal(parsed.options.mount_options, "allow_other,ro");
	options_clear(&parsed.options);
}

/* Every option once. */
static void test_every_option(void **state)
{
	struct parsed parsed;
	struct options *options = &parsed.options;

	parse_well(&parsed,
		   "/usr/bin/memcgfs -d /src "
		   "-o memcg=/a=b,create,io=strict,ahead=4G "
		   "-oon_error=opener,io_uring,attr_timeout=2.5 "
		   "-o entry_timeout=0,max_threads=8 "
		   "-o ,ro,,nosuid, /mnt",
		   false);
	assert_string_equal(options->source, "/src");
	assert_string_equal(options->mountpoint, "/mnt");
	assert_true(options->foreground); /* -d says so, too */
	assert_true(options->debug);
	assert_string_equal(options->memcg, "/a=b");
	assert_true(options->create);
	assert_int_equal(options->io, POLICY_IO_STRICT);
	assert_int_equal(options->ahead_bytes, 4096 * MIB);
	assert_int_equal(options->on_error, POLICY_OPENER);
	assert_true(options->io_uring);
	assert_true(options->attr_timeout == 2.5);
	assert_true(options->entry_timeout == 0);
	assert_int_equal(options->max_threads, 8);
	assert_string_equal(options->mount_options, "ro,nosuid");
	options_clear(options);
}

/* The kernel's own options go to its mount, in their order. */
static void test_options_of_the_kernel(void **state)
{
	static const char all[] =
		"rw,suid,nosuid,dev,nodev,exec,noexec,async,sync,dirsync,"
		"atime,noatime,nodiratime,default_permissions";
	struct parsed parsed;
	char line[512];

	snprintf(line, sizeof(line), "memcgfs -o memcg=/x,%s a b", all);
	parse_well(&parsed, line, false);
	assert_string_equal(parsed.options.mount_options, all);
	options_clear(&parsed.options);
}

/* The later word wins. */
static void test_repeated_options(void **state)
{
	struct parsed parsed;

	parse_well(&parsed,
		   "memcgfs -o memcg=/a,io=strict,ahead=1K,io=auto "
		   "-o memcg=@opener,ahead=0 a b",
		   false);
	assert_string_equal(parsed.options.memcg, "@opener");
	assert_int_equal(parsed.options.io, POLICY_IO_AUTO);
	assert_int_equal(parsed.options.ahead_bytes, 0);
	options_clear(&parsed.options);
}

static void assert_action(const char *line, enum options_action action)
{
	struct parsed parsed;

	parse_well(&parsed, line, false);
	assert_int_equal(parsed.options.action, action);
	options_clear(&parsed.options);
}

/* Who asks for help needs nothing else. */
static void test_help_and_version(void **state)
{
	assert_action("memcgfs -h", OPTIONS_HELP);
	assert_action("memcgfs --help", OPTIONS_HELP);
	assert_action("memcgfs --help -o memcg=@shared a b", OPTIONS_HELP);
	assert_action("memcgfs -V", OPTIONS_VERSION);
	assert_action("memcgfs --version", OPTIONS_VERSION);
	assert_action("memcgfs -f -o memcg=/x a b", OPTIONS_MOUNT);
}

/* Whatever can be given wrong, and the words that must be quoted. */
static const struct {
	const char *line;
	const char *quoted;
} refused[] = {
	{ "memcgfs", "SOURCE and MOUNTPOINT" },
	{ "memcgfs -f", "SOURCE and MOUNTPOINT" },
	{ "memcgfs /src", "SOURCE and MOUNTPOINT" },
	{ "memcgfs -o memcg=/x /src", "SOURCE and MOUNTPOINT" },
	{ "memcgfs /src /mnt", "\"memcg=PATH\"" },
	{ "memcgfs -o ro /src /mnt", "\"memcg=PATH\"" },
	{ "memcgfs -o memcg=/x /src /mnt /more", "\"/more\"" },
	{ "memcgfs -o memcg=/x /src /mnt -o", "\"-o\"" },

	{ "memcgfs -x -o memcg=/x a b", "\"-x\"" },
	{ "memcgfs --nonsense -o memcg=/x a b", "\"--nonsense\"" },
	{ "memcgfs -fd -o memcg=/x a b", "\"-fd\"" },
	{ "memcgfs -- a b", "\"--\"" },
	{ "memcgfs -n -o memcg=/x a b", "\"-n\"" },
	{ "memcgfs -r -o memcg=/x a b", "\"-r\"" },
	{ "memcgfs -o memcg=/x,defaults=1 a b", "\"defaults=1\"" },

	{ "memcgfs -o memcg=/x,nonsense a b", "\"nonsense\"" },
	{ "memcgfs -o memcg=/x,nonsense=5 a b", "\"nonsense=5\"" },
	{ "memcgfs -o memcg=/x,Create a b", "\"Create\"" },
	{ "memcgfs -o memcg=/x,creat a b", "\"creat\"" },
	{ "memcgfs -o memcg=/x,=5 a b", "\"=5\"" },
	{ "memcgfs -o memcgs=/x a b", "\"memcgs=/x\"" },
	{ "memcgfs -o memcg=/x,nofail a b", "\"nofail\"" },
	{ "memcgfs -o memcg=/x,x-systemd.automount a b",
	  "\"x-systemd.automount\"" },

	{ "memcgfs -o memcg a b", "\"memcg\"" },
	{ "memcgfs -o memcg= a b", "\"memcg=\"" },
	{ "memcgfs -o memcg=@shared a b", "\"memcg=@shared\"" },
	{ "memcgfs -o memcg=@ a b", "\"memcg=@\"" },
	{ "memcgfs -o memcg=@openers a b", "\"memcg=@openers\"" },

	{ "memcgfs -o memcg=/x,create=yes a b", "\"create=yes\"" },
	{ "memcgfs -o memcg=/x,create= a b", "\"create=\"" },
	{ "memcgfs -o memcg=/x,ro=1 a b", "\"ro=1\"" },

	{ "memcgfs -o memcg=/x,io a b", "\"io\"" },
	{ "memcgfs -o memcg=/x,io= a b", "\"io=\"" },
	{ "memcgfs -o memcg=/x,io=fast a b", "\"io=fast\"" },
	{ "memcgfs -o memcg=/x,io=STRICT a b", "\"io=STRICT\"" },
	{ "memcgfs -o memcg=/x,on_error=ignore a b", "\"on_error=ignore\"" },

	{ "memcgfs -o memcg=/x,ahead a b", "\"ahead\"" },
	{ "memcgfs -o memcg=/x,ahead=much a b", "\"ahead=much\"" },
	{ "memcgfs -o memcg=/x,ahead=-1 a b", "\"ahead=-1\"" },
	{ "memcgfs -o memcg=/x,ahead=1.5M a b", "\"ahead=1.5M\"" },
	{ "memcgfs -o memcg=/x,ahead=16777216T a b", "\"ahead=16777216T\"" },

	{ "memcgfs -o memcg=/x,attr_timeout=soon a b",
	  "\"attr_timeout=soon\"" },
	{ "memcgfs -o memcg=/x,attr_timeout=1s a b", "\"attr_timeout=1s\"" },
	{ "memcgfs -o memcg=/x,attr_timeout=-1 a b", "\"attr_timeout=-1\"" },
	{ "memcgfs -o memcg=/x,attr_timeout=nan a b", "\"attr_timeout=nan\"" },
	{ "memcgfs -o memcg=/x,entry_timeout=inf a b",
	  "\"entry_timeout=inf\"" },
	{ "memcgfs -o memcg=/x,entry_timeout= a b", "\"entry_timeout=\"" },

	{ "memcgfs -o memcg=/x,max_threads=0 a b", "\"max_threads=0\"" },
	{ "memcgfs -o memcg=/x,max_threads=1001 a b", "\"max_threads=1001\"" },
	{ "memcgfs -o memcg=/x,max_threads=-4 a b", "\"max_threads=-4\"" },
	{ "memcgfs -o memcg=/x,max_threads=many a b", "\"max_threads=many\"" },
};

static void test_bad_input(void **state)
{
	struct parsed parsed;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		parse_as(&parsed, refused[i].line, false);
		if (parsed.result != -EINVAL)
			fail_msg("\"%s\" gave %d", refused[i].line,
				 parsed.result);
		if (count_lines(parsed.said) != 1 ||
		    strncmp(parsed.said, "memcgfs: ", 9) != 0 ||
		    !strstr(parsed.said, refused[i].quoted))
			fail_msg("\"%s\" was answered by: %s", refused[i].line,
				 parsed.said);
		assert_null(parsed.options.source); /* nothing is left */
		assert_null(parsed.options.memcg);
	}
}

/* A wrong word is told which ones are right. */
static void test_allowed_words(void **state)
{
	struct parsed parsed;

	parse_as(&parsed, "memcgfs -o memcg=/x,io=fast a b", false);
	assert_string_equal(parsed.said, "memcgfs: option \"io=fast\": "
					 "allowed are auto, strict, cached\n");
	parse_as(&parsed, "memcgfs -o memcg=/x,on_error=5 a b", false);
	assert_string_equal(parsed.said, "memcgfs: option \"on_error=5\": "
					 "allowed are deny, opener\n");
	parse_as(&parsed, "memcgfs -o memcg a b", false);
	assert_non_null(strstr(parsed.said, "as in \"memcg=PATH\""));
}

/*
 * As mount(8) calls its helper: SOURCE DIR -s -f -n -v -o OPTIONS, with the
 * options of fstab that are for mount itself, or for others.
 */
static void test_mount_helper(void **state)
{
	struct parsed parsed;

	parse_well(&parsed,
		   "/sbin/mount.memcgfs /src /mnt -n -s -v -o "
		   "rw,memcg=/x,create,nofail,noauto,auto,user,nouser,users,"
		   "owner,group,_netdev,defaults,relatime,comment=by=hand,"
		   "x-systemd.automount,x-systemd.requires=/a,X-mount.mkdir",
		   true);
	assert_int_equal(parsed.options.action, OPTIONS_MOUNT);
	assert_string_equal(parsed.options.source, "/src");
	assert_string_equal(parsed.options.memcg, "/x");
	assert_true(parsed.options.create);
	assert_string_equal(parsed.options.mount_options,
			    "allow_other,suid,dev,rw");
	options_clear(&parsed.options);
}

/* "mount -r" and "mount -w" say it beside the options. */
static void test_mount_helper_ro(void **state)
{
	struct parsed parsed;

	parse_well(&parsed, "mount.memcgfs a b -r -o memcg=/x,nosuid", false);
	assert_string_equal(parsed.options.mount_options, "ro,nosuid");
	options_clear(&parsed.options);
	parse_well(&parsed, "mount.memcgfs a b -o memcg=/x -w", false);
	assert_string_equal(parsed.options.mount_options, "rw");
	options_clear(&parsed.options);
}

/* What happens anyway may be said by anybody, and is said to nobody. */
static void test_defaults_by_name(void **state)
{
	struct parsed parsed;

	parse_well(&parsed, "memcgfs -o memcg=/x,defaults,relatime a b", false);
	assert_string_equal(parsed.options.mount_options, "");
	options_clear(&parsed.options);
}

/* mount -f does all but mount. */
static void test_fake_mount(void **state)
{
	assert_action("mount.memcgfs a b -f -o memcg=/x", OPTIONS_CHECK);
	assert_action("/sbin/mount.fuse.memcgfs a b -f -o memcg=/x",
		      OPTIONS_CHECK);
	assert_action("./dir/mount.x/memcgfs a b -f -o memcg=/x",
		      OPTIONS_MOUNT);
}

/* A helper is no less strict: fstab's mistakes are refused, and quoted. */
static void test_mount_helper_bad_input(void **state)
{
	static const char *const lines[] = {
		"mount.memcgfs a b -f -o memcg=/x,io=fast",
		"mount.memcgfs a b -o memcg=/x,relatime,io=fast",
		"mount.memcgfs a b -sn -o io=fast",
	};
	struct parsed parsed;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		parse_as(&parsed, lines[i], true);
		assert_int_equal(parsed.result, -EINVAL);
		assert_int_equal(count_lines(parsed.said), 1);
		assert_non_null(
			strstr(parsed.said, i < 2 ? "\"io=fast\"" : "\"-sn\""));
	}
	parse_as(&parsed, "mount.memcgfs a b -f -o ro", true);
	assert_int_equal(parsed.result, -EINVAL);
	assert_non_null(strstr(parsed.said, "\"memcg=PATH\""));
}

/* An option of 3,000 bytes is quoted as far as a line goes. */
static void test_a_long_option(void **state)
{
	struct parsed parsed;
	char line[3200] = "memcgfs a b -o memcg=/x,";
	size_t len = strlen(line);

	memset(line + len, 'y', 3000);
	parse_as(&parsed, line, false);
	assert_int_equal(parsed.result, -EINVAL);
	assert_int_equal(count_lines(parsed.said), 1);
	assert_non_null(strstr(parsed.said, "\"yyyyyyyy"));
}

/* Every option that is no other program's is in the help. */
static void test_help_names_them(void **state)
{
	static const char *const words[] = {
		"memcg=PATH",
		"create",
		"io=auto|strict",
		"ahead=SIZE",
		"on_error=deny|opener",
		"io_uring",
		"attr_timeout=S",
		"entry_timeout=S",
		"max_threads=N",
		"allow_other",
		"default_permissions",
		"ro,",
		"-f",
		"-d",
		"--help",
		"--version",
		"SOURCE MOUNTPOINT",
	};
	struct capture capture;
	char text[8192];
	int saved;

	fflush(stdout);
	capture_begin(&capture);
	saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	options_print_help();
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	capture_end(&capture, text, sizeof(text));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (!strstr(text, words[i]))
			fail_msg("\"%s\" is not in the help", words[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_an_ordinary_user),
		cmocka_unit_test(test_every_option),
		cmocka_unit_test(test_options_of_the_kernel),
		cmocka_unit_test(test_repeated_options),
		cmocka_unit_test(test_help_and_version),
		cmocka_unit_test(test_bad_input),
		cmocka_unit_test(test_allowed_words),
		cmocka_unit_test(test_mount_helper),
		cmocka_unit_test(test_mount_helper_ro),
		cmocka_unit_test(test_defaults_by_name),
		cmocka_unit_test(test_fake_mount),
		cmocka_unit_test(test_mount_helper_bad_input),
		cmocka_unit_test(test_a_long_option),
		cmocka_unit_test(test_help_names_them),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
