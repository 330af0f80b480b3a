# SPDX-License-Identifier: GPL-2.0-or-later
#
# Builds, tests and installs memcgfs. `make help` lists the targets.
#
# Variables for the command line:
#   FLAVOUR=asan|tsan   build with sanitizers, into build/asan, build/tsan
#   FUZZ_SECONDS        how long each fuzzer of `make fuzz` runs
#   WERROR=1            make warnings errors (the default when CI is set)
#   V=1                 show the commands
#   CC, CFLAGS, CPPFLAGS, LDFLAGS, PREFIX, DESTDIR   as everywhere
#   PYTEST_ARGS, BENCH_ARGS   handed to pytest, to the benchmarks
#   CMD, FS             what `make guest` runs, and its disk's filesystem

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

VERSION := 0.1
FLAVOUR = release
PREFIX ?= /usr/local
PYTHON := /usr/bin/python3
Q := $(if $(V),,@)
WERROR ?= $(if $(CI),1)

ifeq ($(filter release asan tsan fuzz,$(FLAVOUR)),)
$(error unknown FLAVOUR "$(FLAVOUR)": release, asan, tsan or fuzz)
endif

# ---- Directories: each flavour has its own --------------------------------

B := $(if $(filter release,$(FLAVOUR)),build,build/$(FLAVOUR))
OBJ := $(B)/obj
REPORTS := $(CURDIR)/$(B)/reports

# ---- Sources --------------------------------------------------------------

CTL_OBJS := $(patsubst ctl/%.c,$(OBJ)/ctl/%.o,$(sort $(wildcard ctl/*.c)))
OBJS := $(patsubst src/%.c,$(OBJ)/%.o,$(sort $(wildcard src/*.c)))
# Of these, unit tests have a build that checks itself at each step.
CHECKED := accounting
CHECKED_OBJS := $(CHECKED:%=$(OBJ)/checked/%.o)
UNIT_TESTS := $(patsubst tests/unit/%.c,$(B)/unit/%,\
	$(sort $(wildcard tests/unit/test_*.c)))
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/%,\
	$(sort $(wildcard tests/fuzz/fuzz_*.c)))
MAN := $(patsubst doc/%.scd,$(B)/man/%,$(sort $(wildcard doc/*.scd)))
C_FILES := $(wildcard src/*.[ch] ctl/*.[ch] tests/*.[ch] tests/*/*.[ch] \
	bench/*.[ch] demo/*.[ch])
PYTHON_FILES := scripts/check-layers scripts/manual tests/guest/run tests/fuzz/run \
	$(wildcard tests/*.py tests/*/*.py bench/*.py scripts/*.py demo/*.py)
SHELL_FILES := .ci/run scripts/check tests/guest/boot tests/guest/init \
	$(wildcard scripts/*.sh demo/*.sh bench/*.sh tests/guest/*.sh completion/*.bash)

# ---- Libraries: a private static libfuse wins over the system's -----------

# ThreadSanitizer must see libfuse's locks, so it has a libfuse of its own.
FUSE_DIR := build/libfuse$(if $(filter tsan,$(FLAVOUR)),-tsan)
FUSE_PC := $(wildcard $(FUSE_DIR)/lib/pkgconfig/fuse3.pc)
PKG_CONFIG := PKG_CONFIG_PATH=$(FUSE_DIR)/lib/pkgconfig:$(PKG_CONFIG_PATH) \
	pkg-config $(if $(FUSE_PC),--static)
LIB_CFLAGS := $(shell $(PKG_CONFIG) --cflags fuse3 libcgroup libseccomp jansson 2>/dev/null)
LIB_LIBS := $(shell $(PKG_CONFIG) --libs fuse3 libcgroup libseccomp jansson 2>/dev/null) \
	-lroaring -ldl
CTL_LIBS := $(shell $(PKG_CONFIG) --libs jansson ncursesw 2>/dev/null)
UNIT_LIBS := $(shell $(PKG_CONFIG) --libs cmocka 2>/dev/null)

# ---- Flags ----------------------------------------------------------------

# Callbacks have the parameters that their caller gives them, used or not.
WARNINGS := -Wall -Wextra -Wshadow -Wundef -Wvla -Wpointer-arith \
	-Wwrite-strings -Wformat=2 -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wimplicit-fallthrough -Wno-unused-parameter \
	$(if $(filter-out 0,$(WERROR)),-Werror)

# Their checks keep gcc from seeing ranges, so two warnings are wrong there.
SANITIZE_asan := -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined \
	-Wno-format-truncation -Wno-maybe-uninitialized
SANITIZE_tsan := -fsanitize=thread \
	-Wno-format-truncation -Wno-maybe-uninitialized
# And clang doesn't see the comments in uthash.h.
SANITIZE_fuzz := -fsanitize=address,undefined,fuzzer-no-link \
	-fno-sanitize-recover=undefined \
	-Wno-implicit-fallthrough -Wno-format-nonliteral \
	-Wno-missing-field-initializers
SANITIZE := $(SANITIZE_$(FLAVOUR))
# As shared libraries, UBSan beside ASan knows no log_path.
SANITIZER_LIBS := $(if $(filter asan,$(FLAVOUR)),\
	-static-libasan -static-libubsan)

# libFuzzer is clang's.
ifeq ($(FLAVOUR),fuzz)
CC := clang
endif

# They take a lock at each step, which would hide races from ThreadSanitizer.
CHECKS := $(if $(filter tsan,$(FLAVOUR)),,-DACCOUNTING_CHECKS)
# Objects are malloc's, which sanitizers know.
CHECKS += -DSLAB_IS_MALLOC=1

CFLAGS ?= $(if $(SANITIZE),-O1 -g -fno-omit-frame-pointer,-O2 -g)
COMPILE := $(CC) -std=gnu11 -D_GNU_SOURCE -DMEMCGFS_VERSION='"$(VERSION)"' -Isrc $(LIB_CFLAGS) $(CPPFLAGS) \
	$(WARNINGS) $(SANITIZE) $(if $(SANITIZE),$(CHECKS)) -pthread $(CFLAGS)
LINK := $(CC) $(SANITIZE) $(SANITIZER_LIBS) -pthread $(CFLAGS) $(LDFLAGS)

# ---- Build ----------------------------------------------------------------

# Manual pages don't differ between flavours.
all: $(B)/memcgfs $(B)/mount.memcgfs $(B)/memcgfsctl $(if $(SANITIZE),,man) ## build build/memcgfs and the like

# mount(8) calls mount.TYPE; the program sees by its name how it is called.
$(B)/mount.memcgfs: $(B)/memcgfs
	$(Q)ln -sf memcgfs $@

$(B)/memcgfs: $(OBJS) $(B)/flags
	@echo "  LINK    $@"
	$(Q)$(LINK) -o $@ $(OBJS) $(LIB_LIBS)

$(B)/memcgfsctl: $(CTL_OBJS) $(B)/flags
	@echo "  LINK    $@"
	$(Q)$(LINK) -o $@ $(CTL_OBJS) $(CTL_LIBS)

man: $(MAN) ## make the manual pages, and prove that they tell all

$(B)/man/%: doc/%.scd scripts/manual src/stats.h $(B)/memcgfs $(B)/memcgfsctl | have-deps
	@echo "  MAN     $@"
	$(Q)mkdir -p $(@D)
	$(Q)scripts/manual $(B)/memcgfs $(B)/memcgfsctl $(VERSION) $< >$@.scd
	$(Q)scdoc <$@.scd >$@

# All that unit tests are linked with.
$(B)/libmemcgfs.a: $(filter-out $(OBJ)/main.o $(CHECKED:%=$(OBJ)/%.o),$(OBJS)) \
		$(CHECKED_OBJS) $(B)/flags
	@echo "  AR      $@"
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

$(OBJ)/%.o: src/%.c $(B)/flags | have-deps
	@echo "  CC      $@"
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

$(OBJ)/checked/%.o: src/%.c $(B)/flags | have-deps
	@echo "  CC      $@"
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) $(CHECKS) -MMD -MP -c -o $@ $<

$(OBJ)/ctl/%.o: ctl/%.c $(B)/flags | have-deps
	@echo "  CC      $@"
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

$(B)/libmemcgfsctl.a: $(filter-out %/memcgfsctl.o,$(CTL_OBJS)) $(B)/flags
	@echo "  AR      $@"
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

$(B)/unit/test_ctl_%: tests/unit/test_ctl_%.c $(B)/libmemcgfsctl.a $(B)/flags
	@echo "  CC      $@"
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) -I. -MMD -MP -MF $@.d -o $@ $< $(SANITIZER_LIBS) \
		$(LDFLAGS) $(B)/libmemcgfsctl.a $(UNIT_LIBS) $(CTL_LIBS)

$(B)/unit/%: tests/unit/%.c $(B)/libmemcgfs.a $(B)/flags
	@echo "  CC      $@"
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) -MMD -MP -MF $@.d -o $@ $< $(SANITIZER_LIBS) $(LDFLAGS) \
		$(B)/libmemcgfs.a $(UNIT_LIBS) $(LIB_LIBS)

# What the tests ask about rules.
$(B)/rulematch: tests/rulematch.c $(B)/libmemcgfs.a $(B)/flags
	@echo "  CC      $@"
	$(Q)$(COMPILE) -MMD -MP -MF $(OBJ)/rulematch.d -o $@ $< \
		$(SANITIZER_LIBS) $(LDFLAGS) $(B)/libmemcgfs.a $(LIB_LIBS)

$(B)/fuzz_%: tests/fuzz/fuzz_%.c $(B)/libmemcgfs.a $(B)/flags
	@echo "  CC      $@"
	$(Q)$(COMPILE) -fsanitize=fuzzer -MMD -MP -MF $@.d -o $@ $< \
		$(LDFLAGS) $(B)/libmemcgfs.a $(LIB_LIBS)

# Changes when the commands or the set of sources do, and all is built anew.
$(B)/flags: force
	@mkdir -p $(OBJ)
	@echo '$(subst ','\'',$(COMPILE)) | $(LINK) | $(LIB_LIBS) | $(OBJS) $(CTL_OBJS)' >$@.$$PPID
	@if cmp -s $@.$$PPID $@; then rm $@.$$PPID; else mv $@.$$PPID $@; fi

-include $(wildcard $(OBJ)/*.d $(OBJ)/*/*.d $(B)/unit/*.d $(B)/fuzz_*.d)

# ---- What the build needs -------------------------------------------------

have-deps:
	@missing=$$(scripts/deps.sh --missing build \
		$(filter tsan,$(FLAVOUR))) || { \
		echo "missing: $$missing ('make deps' installs it)" >&2; exit 1; }

deps: ## install what building and testing need
	@scripts/deps.sh build test guest

# ---- Demonstration and benchmarks -----------------------------------------

demo: ## show what memcgfs is for
	@scripts/deps.sh build demo
	@$(MAKE) --no-print-directory all
	@demo/demo.sh

bench: ## run the benchmarks
	@scripts/deps.sh build bench
	@$(MAKE) --no-print-directory all
	@$(PYTHON) bench/bench.py $(BENCH_ARGS)

bench-ahead: ## measure what the default of ahead= rests on
	@scripts/deps.sh build bench
	@$(MAKE) --no-print-directory all
	@$(PYTHON) bench/ahead.py

bench-rules: ## measure what rules cost an open
	@scripts/deps.sh build bench
	@$(MAKE) --no-print-directory all
	@$(PYTHON) bench/rules.py

bench-scan: ## measure what scans cost, and what they cost others
	@scripts/deps.sh build bench
	@$(MAKE) --no-print-directory all
	@$(PYTHON) bench/scan.py $(BENCH_ARGS)

$(B)/bench_scanners: bench/scanners.c $(B)/libmemcgfs.a $(B)/flags
	@echo "  CC      $@"
	$(Q)$(COMPILE) -o $@ $< $(LDFLAGS) $(B)/libmemcgfs.a $(LIB_LIBS)

bench-scanners: $(B)/bench_scanners ## measure what looking for scanners costs an open
	@where=$$(mktemp -d) && $< $$where; rm -rf $$where

# With the modules as the daemon has them, without the checks of tests.
$(B)/bench_accounting: bench/accounting.c $(OBJ)/account_file.o \
		$(OBJ)/accounting.o $(OBJ)/contributors.o $(B)/flags
	@echo "  CC      $@"
	$(Q)$(COMPILE) -o $@ $(filter %.c %.o,$^) $(LDFLAGS)

bench-accounting: $(B)/bench_accounting ## measure what the books cost
	@$<

# With a small filesystem of its own, and libfuse as the daemon has it.
$(B)/bench_fanotify: bench/fanotify.c $(B)/flags
	@echo "  CC      $@"
	$(Q)$(COMPILE) -o $@ $< $(LDFLAGS) $(LIB_LIBS)

bench-fanotify: $(B)/bench_fanotify ## measure what watching who opens costs
	@for files in 64 20000; do \
		echo "$$files files"; $< /tmp $$files || exit 1; \
	done

# ---- Tests ----------------------------------------------------------------

# Sanitizers write their reports to files, as a daemon has no stderr; any
# report is a failure. Old sanitizers know no high-entropy address layouts,
# hence setarch. Suppressions, if any, say why in the file.
TSAN_SUPP := $(wildcard $(CURDIR)/tests/tsan.supp)
SANITIZER_ENV := setarch -R env \
	ASAN_OPTIONS=log_path=$(REPORTS)/asan:detect_stack_use_after_return=1 \
	UBSAN_OPTIONS=log_path=$(REPORTS)/ubsan:print_stacktrace=1 \
	TSAN_OPTIONS=log_path=$(REPORTS)/tsan$(TSAN_SUPP:%=:suppressions=%)
RUN_ENV := $(if $(SANITIZE),$(SANITIZER_ENV))

PYTEST_ENV := PYTHONDONTWRITEBYTECODE=1 \
	MEMCGFS=$(CURDIR)/$(B)/memcgfs MEMCGFS_FLAVOUR=$(FLAVOUR)
TESTS = tests
PYTEST = $(PYTHON) -m pytest $(TESTS) --fail-on-skip \
	$(if $(CI),--second-chance) $(PYTEST_ARGS)

define no_reports
	$(if $(SANITIZE),@for report in $(REPORTS)/*; do \
		[ ! -e "$$report" ] || { cat $(REPORTS)/* >&2; exit 1; }; done)
endef

check: ## run all of the checks below, in CI's way
	+@exec scripts/check

check-layers: ## includes point downward only
	@scripts/check-layers

check-unit: $(UNIT_TESTS) fresh-reports ## C tests of single modules, no root
	@[ -n '$(UNIT_TESTS)' ] || { echo 'no unit tests' >&2; exit 1; }
	$(Q)for test in $(UNIT_TESTS); do \
		echo "  TEST    $$test"; \
		$(RUN_ENV) timeout 120 $$test || exit 1; \
	done
	$(no_reports)

check-integration: all $(B)/rulematch fresh-reports ## mounts and page owners; as root
	$(Q)$(PYTEST_ENV) $(RUN_ENV) $(PYTEST)
	$(no_reports)

check-asan: ## both again with AddressSanitizer and UBSan
	@$(MAKE) --no-print-directory FLAVOUR=asan check-unit
	@$(MAKE) --no-print-directory FLAVOUR=asan check-integration

check-tsan: ## both again with ThreadSanitizer
	@scripts/deps.sh build tsan
	@$(MAKE) --no-print-directory FLAVOUR=tsan check-unit
	@$(MAKE) --no-print-directory FLAVOUR=tsan check-integration

# Of these there is time among all other checks for what reads, writes and keeps
# books with each, and for the rest that is about the daemon with one:
# ThreadSanitizer where threads, or faults, are what it is about, and otherwise
# AddressSanitizer.
BOTH_SANITIZERS := books cached data ownership
ASAN_CORE := $(BOTH_SANITIZERS) command_line control control_events ctl \
	ctl_mount hostile limits metrics namespace posix_attributes posix_calls \
	posix_data posix_names posix_random rules rules_conf rules_git rules_trust tmpfs \
	tree unprivileged verify xattrs
TSAN_CORE := $(BOTH_SANITIZERS) controls cutoff frozen pressure probe reconciler \
	rules_change rules_isolation rules_pin scanner_detect scenarios schema usewatch

check-asan-core: ## the part of check-asan that `make check` runs
	@$(MAKE) --no-print-directory FLAVOUR=asan check-unit
	@$(MAKE) --no-print-directory FLAVOUR=asan check-integration \
		TESTS='$(ASAN_CORE:%=tests/test_%.py)'

check-tsan-core: ## the part of check-tsan that `make check` runs
	@scripts/deps.sh build tsan
	@$(MAKE) --no-print-directory FLAVOUR=tsan check-unit
	@$(MAKE) --no-print-directory FLAVOUR=tsan check-integration \
		TESTS='$(TSAN_CORE:%=tests/test_%.py)'

# valgrind 3.19 knows neither openat2(2) nor cachestat(2), and no clone(2)
# that shares files alone: so it can run no daemon, not all tests, and of some
# only its own findings count.
# Races are ThreadSanitizer's to find, in the same tests: drd found nothing in
# those of accounting, events, gate, pool and worker, and helgrind takes glibc's
# timed waits for mistakes.
VALGRIND_CANT := charger hosts mover residency
VALGRIND_BLIND := cgroup charger_ops inode pins rulefile
VALGRIND := valgrind -q --error-exitcode=99 --trace-children=no

check-valgrind: $(UNIT_TESTS) ## unit tests under valgrind's memcheck
	@scripts/deps.sh build valgrind
	$(Q)for test in $(filter-out $(VALGRIND_CANT:%=$(B)/unit/test_%),\
			$(UNIT_TESTS)); do \
		leaks=full; own=1; \
		case " $(VALGRIND_BLIND) " in *" $${test##*/test_} "*) \
			leaks=no; own=0;; \
		esac; \
		echo "  MEMCHECK $$test"; \
		timeout 600 $(VALGRIND) --leak-check=$$leaks $$test \
			>$(B)/valgrind.log 2>&1; code=$$?; \
		[ $$code -eq 0 ] || [ $$own$$code -lt 99 ] || \
			{ cat $(B)/valgrind.log >&2; exit 1; }; \
	done

# What others wrote to try filesystems, databases among it.
LONG_LIMIT = 2400
check-long: all ## stress-ng, fio, SQLite, PostgreSQL and more; half an hour
	@scripts/deps.sh build test long
	$(Q)start=$$(date +%s); verdict=FAIL; \
	timeout --foreground --signal=INT --kill-after=60 $(LONG_LIMIT) \
		env MEMCGFS_LONG=1 $(PYTEST_ENV) $(PYTEST)$(if \
		$(filter tests,$(TESTS)),/long) --durations=10 && verdict=PASS; \
	echo "memcgfs check-long: $$verdict in $$(($$(date +%s) - start)) s"; \
	[ $$verdict = PASS ]

check-minutes: all $(B)/rulematch ## what else goes on for seconds, for a minute each
	@scripts/deps.sh build test
	$(Q)timeout --foreground --signal=INT --kill-after=60 $(LONG_LIMIT) \
		env MEMCGFS_LONG=1 $(PYTEST_ENV) $(PYTEST) -m long_form \
		--durations=10

FUZZ_SECONDS ?= 60
fuzz: ## fuzz the parsers of options, rules and requests, for a minute each
	@scripts/deps.sh build fuzz
	@$(MAKE) --no-print-directory FLAVOUR=fuzz fuzzers
	@tests/fuzz/run $(FUZZ_SECONDS) $(patsubst %,build/fuzz/%,\
		$(notdir $(FUZZERS)))

fuzzers: $(FUZZERS)

# Two guests with one CPU each; each one's output in one piece, at its end.
GUESTS := ext4 xfs
GUEST_LIMIT = 2400

check-v2: all $(B)/rulematch ## the same mounts on cgroup v2, with ext4 and with xfs
	@scripts/deps.sh build test guest
	@$(MAKE) --no-print-directory -j2 --output-sync=target \
		$(GUESTS:%=check-v2-%)

# What there is time for among all other checks: what the kernels differ in.
V2_CORE := books controls ctl_mount data frozen hardening ownership pressure probe \
	quota reconciler rules scenarios tmpfs tree unprivileged verify

# Of these, what has little to do with the disk of the guest is there once.
V2_CORE_ext4 := $(V2_CORE)
V2_CORE_xfs := data ownership probe quota
V2_TURN_ext4 := 0
V2_TURN_xfs := 1

check-v2-core: $(GUESTS:%=check-v2-core-%) ## the part of check-v2 that `make check` runs

# On a slow machine as long as all checks may take.
$(GUESTS:%=check-v2-core-%): check-v2-core-%:
	@$(MAKE) --no-print-directory check-v2-$* \
		GUEST_LIMIT=$${CHECK_LIMIT:-900} \
		TESTS='$(V2_CORE_$*:%=tests/test_%.py)'

# A guest is some times slower than the machine, and so are its time limits;
# what is done many times is done less often there.
$(GUESTS:%=check-v2-%): check-v2-%: all $(B)/rulematch
	@echo "== cgroup v2 on $*"
	$(Q)$(PYTEST_ENV) MEMCGFS_PATIENCE=3 MEMCGFS_BRIEF=1 \
		MEMCGFS_TURN=$(V2_TURN_$*) tests/guest/run --fs $* \
		--timeout $(GUEST_LIMIT) -- $(PYTEST)

# CMD is the shell's, $ and quotes included.
FS = ext4
guest: ## run CMD='...' on cgroup v2, with a disk of FS=ext4|xfs|btrfs
	@tests/guest/run --fs $(FS) --timeout $(GUEST_LIMIT) -- \
		bash -c '$(subst ','\'',$(value CMD))'

fresh-reports:
	@rm -rf $(REPORTS)
	@mkdir -p $(REPORTS)
	@chmod 1777 $(REPORTS) # daemons of ordinary users report, too

# ---- Style ----------------------------------------------------------------

# cppcheck knows no cleanup attribute: leaks are ASan's to find. Nor does it
# see what libraries' macros are.
lint: ## static checkers and code format
	@missing=$$(scripts/deps.sh --missing lint) || { \
		echo "missing: $$missing ('scripts/deps.sh lint' installs it)" >&2; \
		exit 1; }
	clang-format --dry-run -Werror $(C_FILES)
	cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr \
		--enable=warning,performance,portability \
		--suppress=missingIncludeSystem --suppress=memleak \
		--suppress=unknownMacro \
		-Isrc -D_GNU_SOURCE $(filter %.c,$(C_FILES))
	shellcheck $(SHELL_FILES)
	pyflakes3 $(PYTHON_FILES)

format: ## bring the C code into format
	clang-format -i $(C_FILES)

# ---- Installation ---------------------------------------------------------

# mount(8) looks for mount.TYPE in /sbin only, whatever the prefix is.
MOUNT_DIR ?= /sbin
BIN_DIR := $(PREFIX)/bin
MAN_DIR := $(PREFIX)/share/man
DOC_DIR := $(PREFIX)/share/doc/memcgfs
EXAMPLES_DIR := $(DOC_DIR)/examples
EXAMPLES := $(filter-out conf/grafana,$(wildcard conf/* conf/grafana/*))
SCHEMA := memcgfs.schema.json
BASH_COMPLETION := $(PREFIX)/share/bash-completion/completions/memcgfsctl
ZSH_COMPLETION := $(PREFIX)/share/zsh/site-functions/_memcgfsctl

install: all ## install into PREFIX (/usr/local) below DESTDIR
	install -D -m 755 build/memcgfs $(DESTDIR)$(BIN_DIR)/memcgfs
	install -m 755 build/memcgfsctl $(DESTDIR)$(BIN_DIR)/memcgfsctl
	install -d $(DESTDIR)$(MOUNT_DIR) $(DESTDIR)$(EXAMPLES_DIR)
	ln -sf $(BIN_DIR)/memcgfs $(DESTDIR)$(MOUNT_DIR)/mount.memcgfs
	install -m 644 $(EXAMPLES) $(DESTDIR)$(EXAMPLES_DIR)
	install -m 644 doc/$(SCHEMA) $(DESTDIR)$(DOC_DIR)
	install -D -m 644 completion/memcgfsctl.bash $(DESTDIR)$(BASH_COMPLETION)
	install -D -m 644 completion/_memcgfsctl $(DESTDIR)$(ZSH_COMPLETION)
	for page in $(MAN); do install -D -m 644 $$page \
		$(DESTDIR)$(MAN_DIR)/man$${page##*.}/$${page##*/} || exit 1; done

uninstall: ## remove what install has put there
	rm -f $(DESTDIR)$(BIN_DIR)/memcgfs $(DESTDIR)$(BIN_DIR)/memcgfsctl \
		$(DESTDIR)$(MOUNT_DIR)/mount.memcgfs
	rm -f $(addprefix $(DESTDIR)$(EXAMPLES_DIR)/,$(notdir $(EXAMPLES)))
	rm -f $(DESTDIR)$(DOC_DIR)/$(SCHEMA) $(DESTDIR)$(BASH_COMPLETION) \
		$(DESTDIR)$(ZSH_COMPLETION)
	for page in $(MAN); do \
		rm -f $(DESTDIR)$(MAN_DIR)/man$${page##*.}/$${page##*/}; done
	-rmdir --ignore-fail-on-non-empty $(DESTDIR)$(EXAMPLES_DIR) \
		$(DESTDIR)$(DOC_DIR)

# ---- Cleaning -------------------------------------------------------------

# What was fetched stays: the private libfuse, the guest, Prometheus.
clean: ## remove what was built, but what was fetched for it
	@[ ! -d build ] || find build -mindepth 1 -maxdepth 1 ! -name guest \
		! -name prometheus ! -name 'libfuse*' ! -name '*deps*' -exec rm -rf {} +

distclean: ## remove build/ altogether
	rm -rf build

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-18s %s\n", $$1, $$2 }' \
		$(firstword $(MAKEFILE_LIST))

.PHONY: all bench bench-accounting bench-ahead bench-fanotify bench-rules bench-scan bench-scanners check check-asan \
	check-asan-core check-integration check-layers check-long check-minutes check-tsan check-tsan-core \
	check-unit check-v2 check-v2-core $(GUESTS:%=check-v2-core-%) check-valgrind \
	$(GUESTS:%=check-v2-%) clean demo deps distclean force format \
	fresh-reports fuzz fuzzers guest have-deps help install lint man \
	uninstall
