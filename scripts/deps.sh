#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Brings a Debian machine to where memcgfs builds and its tests run.
#
#   deps.sh [GROUP...]           install what is missing (default: build test)
#   deps.sh --missing [GROUP...] only name what is missing; exit 1 if anything
#
# Groups: build, demo, test, guest, tsan, bench, lint, fuzz, valgrind, long (see the table below).
#
# memcgfs needs a libfuse that knows FUSE passthrough (3.17). Where Debian's
# is older, a private static one is built in build/libfuse from the newest
# source package of Debian, fetched through the machine's own mirror and
# authenticated by apt. Nothing but packages is installed on the machine, and
# its apt configuration stays as it is. What is there already costs nothing:
# no network, no root.
set -euo pipefail
shopt -s nullglob

FUSE_MIN=3.17
# Requests are received into memory that chargers share: custom I/O.
FUSE_OPTIONS=(-Denable-custom-io=true -Dutils=false -Dtests=false -Duseroot=false)
FUSE_RECIPE="${FUSE_OPTIONS[*]} 2" # of fetch_libfuse()
FUSE_SUITE=${FUSE_SUITE:-sid}

cd "$(dirname "$0")/.."
TOP=$PWD
BUILD=$TOP/build
NAME=deps
LOG=$BUILD/deps.log
PROMETHEUS=$BUILD/prometheus/usr/bin/prometheus
NGINX=$BUILD/scanners/usr/sbin/nginx
CLAMSCAN=$BUILD/scanners/usr/bin/clamscan
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C
. scripts/lib.sh

# group, Debian package, and how to see that it is there: a command, a
# pkg-config name, a header, a Python module, a file.
packages() {
	cat <<-'END'
	build	make		cmd make
	build	gcc		cmd gcc
	build	libc6-dev	header stdlib.h
	build	pkg-config	cmd pkg-config
	build	libcgroup-dev	pc libcgroup
	build	libseccomp-dev	pc libseccomp
	build	libjansson-dev	pc jansson
	build	libmicrohttpd-dev	pc libmicrohttpd
	build	libncurses-dev	pc ncursesw
	build	liburing-dev	pc liburing
	build	libnuma-dev	pc numa
	build	uthash-dev	header uthash.h
	build	libroaring-dev	header roaring/roaring.h
	build	python3		cmd python3
	build	scdoc		cmd scdoc
	libfuse	g++		cmd g++
	libfuse	meson		cmd meson
	libfuse	ninja-build	cmd ninja
	libfuse	patch		cmd patch
	libfuse	xz-utils	cmd xz
	demo	fuse3		cmd fusermount3
	demo	attr		cmd getfattr
	demo	procps		cmd ps
	demo	python3		cmd python3
	test	libcmocka-dev	pc cmocka
	test	python3-pytest	python pytest
	test	python3-jsonschema	python jsonschema
	test	zsh		cmd zsh
	test	python3-pyte	python pyte
	test	fuse3		cmd fusermount3
	test	procps		cmd ps
	test	acl		cmd setfacl
	test	attr		cmd getfattr
	test	libcap2-bin	cmd setcap
	test	git		cmd git
	test	fio		cmd fio
	test	rsync		cmd rsync
	test	ripgrep		cmd rg
	test	borgbackup	cmd borg
	test	restic		cmd restic
	test	libclamav12	file /usr/lib/*/libclamav.so.12
	test	man-db		cmd man
	test	mandoc		cmd mandoc
	test	e2fsprogs	cmd mkfs.ext4
	test	xfsprogs	cmd mkfs.xfs
	test	btrfs-progs	cmd mkfs.btrfs
	guest	python3		cmd python3
	guest	e2fsprogs	cmd mkfs.ext4
	guest	xfsprogs	cmd mkfs.xfs
	guest	btrfs-progs	cmd mkfs.btrfs
	fuzz	clang		cmd clang
	fuzz	libclang-rt-dev	file /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a
	fuzz	python3		cmd python3
	valgrind	valgrind	cmd valgrind
	long	stress-ng	cmd stress-ng
	long	dbench		cmd dbench
	long	bonnie++	cmd bonnie++
	long	sqlite3		cmd sqlite3
	long	postgresql	file /usr/lib/postgresql/*/bin/initdb
	long	libcmocka-dev	pc cmocka
	long	git		cmd git
	long	fio		cmd fio
	long	patch		cmd patch
	long	xz-utils	cmd xz
	bench	python3		cmd python3
	bench	fio		cmd fio
	bench	fuse3		cmd fusermount3
	bench	bindfs		cmd bindfs
	bench	mergerfs	cmd mergerfs
	bench	git		cmd git
	bench	sqlite3		cmd sqlite3
	bench	gnuplot-nox	cmd gnuplot
	lint	clang-format	cmd clang-format
	lint	cppcheck	cmd cppcheck
	lint	shellcheck	cmd shellcheck
	lint	pyflakes3	cmd pyflakes3
	END
}

# What is there

is_there() { # KIND NAME
	case $1 in
	cmd) command -v "$2" >/dev/null ;;
	pc) pkg-config --exists "$2" 2>/dev/null ;;
	header) echo "#include <$2>" | gcc -E - >/dev/null 2>&1 ;;
	file) compgen -G "$2" >/dev/null ;;
	python) /usr/bin/python3 -c "import $2" 2>/dev/null ;;
	esac
}

missing_packages() { # GROUP...
	local wanted=" $* " group package kind name

	while read -r group package kind name; do
		if [[ $wanted == *" $group "* ]] && ! is_there "$kind" "$name"; then
			echo "$package"
		fi
	done < <(packages) | sort -u
}

# A private libfuse built as it is today?
is_current() { # NAME
	[[ $(cat "$BUILD/$1/recipe" 2>/dev/null) == "$FUSE_RECIPE" ]]
}

# A private libfuse or the system's.
fuse_is_there() {
	[[ ! -e $BUILD/libfuse ]] || is_current libfuse || return 1
	PKG_CONFIG_PATH=$BUILD/libfuse/lib/pkgconfig \
		pkg-config --atleast-version="$FUSE_MIN" fuse3 2>/dev/null
}

tsan_fuse_is_there() {
	is_current libfuse-tsan
}

wants() { # GROUP
	[[ " ${GROUPS_WANTED[*]} " == *" $1 "* ]]
}

missing() {
	missing_packages "${GROUPS_WANTED[@]}"
	if wants build; then
		fuse_is_there || echo "libfuse>=$FUSE_MIN"
	fi
	if wants tsan; then
		tsan_fuse_is_there || echo libfuse-tsan
	fi
	if wants guest; then
		tests/guest/fetch.sh --missing
	fi
	if wants test; then
		[[ -x $PROMETHEUS ]] || echo prometheus
		[[ -x $NGINX && -x $CLAMSCAN ]] || echo nginx clamav
	fi
	if wants long; then
		[[ -d $BUILD/libfuse-src ]] || echo libfuse-src
		[[ -d $BUILD/zlib-src ]] || echo zlib-src
	fi
}

# Debian packages

# Without the lock's fd: a daemon that a package starts would keep the lock.
as_root() {
	if [[ $EUID -eq 0 ]]; then
		"$@" 9>&-
	else
		sudo "$@" 9>&-
	fi
}

# No sandbox user: _apt may be unable to reach this directory.
APT_DOWNLOAD=(apt-get -qq -o APT::Sandbox::User=root download)

require_root() { # WHY
	[[ $EUID -eq 0 ]] && return
	sudo -n true 2>/dev/null && return
	[[ -t 0 ]] && command -v sudo >/dev/null && sudo -v && return
	die "$1 needs root: run 'make deps' as root or with sudo"
}

apt_get() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq \
		-o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
}

apt_install() { # PACKAGE...
	[[ $# -gt 0 ]] || return 0
	command -v apt-get >/dev/null || die "no apt-get here; please install: $*"
	require_root "installing $*"
	say "installing $*"
	# The machine's package lists may be missing or old: ask for new ones
	# only then.
	if ! apt_get install -y --no-install-recommends "$@" \
			>>"$LOG" 2>&1 </dev/null; then
		say "updating the package lists"
		logged "apt-get update" apt_get update
		logged "installing $*" \
			apt_get install -y --no-install-recommends "$@"
	fi
}

# The private libfuse

debian_fuse_is_new_enough() {
	local candidate

	candidate=$(apt-cache policy libfuse3-dev |
		sed -n 's/^ *Candidate: *//p')
	[[ -n $candidate && $candidate != "(none)" ]] &&
		dpkg --compare-versions "$candidate" ge "$FUSE_MIN"
}

# Fetches and unpacks a Debian source package into build/NAME-src.
fetch_source() { # NAME PACKAGE SUITE
	local name=$1 package=$2 apt=$TMP/apt-$1 src=$TMP/$1-src patch

	[[ ! -d $BUILD/$name-src ]] || return 0
	say "fetching the source package $package of $3"
	mkdir -p "$apt"/download "$src"
	private_apt "$apt" deb-src "$3"
	cd "$apt"/download
	logged "fetching $package" \
		"${PRIVATE_APT[@]}" source --download-only "$package"
	cd "$TOP"
	logged "unpacking $package" tar -C "$src" --strip-components=1 \
		-xf "$(echo "$apt"/download/"$package"_*.orig.tar.?z)"
	logged "unpacking $package" tar -C "$src" \
		-xf "$(echo "$apt"/download/"$package"_*.debian.tar.?z)"
	if [[ -e $src/debian/patches/series ]]; then
		while read -r patch _; do
			[[ -n $patch && $patch != \#* ]] || continue
			logged "patch $patch" patch -d "$src" -p1 \
				-i "debian/patches/$patch"
		done <"$src"/debian/patches/series
	fi
	mv "$src" "$BUILD/$name"-src
}

# Its buffer for backtraces of a million frames is 8 MiB that LeakSanitizer looks
# through at the end of each daemon, for 50 ms.
#
# Over io_uring, the thread of a ring submits what there is without the lock of
# those who answer from other threads: it may take an entry that is only half
# made, and the answer is never sent (seen with 3.18.3, 16 readers, io=strict).
fetch_libfuse() {
	local lib=$BUILD/libfuse-src/lib

	fetch_source libfuse fuse3 "$FUSE_SUITE"
	sed -i 's/^#define BT_STACK_SZ .*/#define BT_STACK_SZ 1024/' \
		"$lib"/fuse_signals.c
	sed -i '/^\t*io_uring_submit_and_wait(&queue->ring, 1);$/c\
		pthread_mutex_lock(&queue->ring_lock);\
		io_uring_submit(&queue->ring);\
		pthread_mutex_unlock(&queue->ring_lock);\
		io_uring_wait_cqe(&queue->ring, &(struct io_uring_cqe *){ 0 });' \
		"$lib"/fuse_uring.c
}

# Builds the fetched libfuse into build/NAME, all of it or nothing: what is
# half done lies in the temporary directory.
#
#   build_libfuse NAME EXAMPLES(true|false) MESON_OPTION...
build_libfuse() {
	local name=$1 examples=$2
	local work=$TMP/$1-work stage=$TMP/$1-stage

	shift 2
	[[ ! -e $BUILD/$name ]] || rm -rf "${BUILD:?}/$name"
	say "building libfuse ($name)"
	# bindir is where libfuse looks for fusermount3.
	logged "configuring libfuse" meson setup "$work" "$BUILD"/libfuse-src \
		--default-library=static --buildtype=release \
		--prefix="$BUILD/$name" --libdir=lib --bindir=/usr/bin \
		--sysconfdir=/etc -Dpkgconfig.relocatable=true \
		"${FUSE_OPTIONS[@]}" -Dexamples="$examples" "$@"
	logged "building libfuse" ninja -C "$work"
	logged "installing libfuse" \
		env DESTDIR="$stage" meson install -C "$work" --no-rebuild
	if [[ $examples == true ]]; then
		# The peer that the benchmarks compare with.
		install -D "$work"/example/passthrough_hp \
			"$stage$BUILD/$name"/bin/passthrough_hp
	fi
	echo "$FUSE_RECIPE" >"$stage$BUILD/$name"/recipe
	mv "$stage$BUILD/$name" "$BUILD/$name"
}

provide_libfuse() {
	if wants build && ! fuse_is_there; then
		if debian_fuse_is_new_enough; then
			apt_install libfuse3-dev
		else
			mapfile -t packages < <(missing_packages libfuse)
			apt_install "${packages[@]}"
			fetch_libfuse
			build_libfuse libfuse true
		fi
	fi
	if wants tsan && ! tsan_fuse_is_there; then
		mapfile -t packages < <(missing_packages libfuse)
		apt_install "${packages[@]}"
		fetch_libfuse
		build_libfuse libfuse-tsan false \
			-Db_sanitize=thread -Db_lundef=false
	fi
}

# Installed, they would start services: their programs alone are wanted.
unpack_programs() { # NAME PACKAGE...
	local name=$1 package

	shift
	say "fetching $*"
	mkdir "$TMP/$name"
	cd "$TMP/$name"
	"${APT_DOWNLOAD[@]}" "$@" >>"$LOG" 2>&1 </dev/null || {
		logged "apt-get update" apt_get update
		logged "fetching $*" "${APT_DOWNLOAD[@]}" "$@"
	}
	cd "$TOP"
	for package; do
		logged "unpacking $package" dpkg-deb --extract \
			"$TMP/$name/${package}"_*.deb "$TMP/$name"/all
	done
	rm -rf "${BUILD:?}/$name"
	mv "$TMP/$name"/all "$BUILD/$name"
}

provide_programs() {
	[[ -x $PROMETHEUS ]] || unpack_programs prometheus prometheus
	[[ -x $NGINX && -x $CLAMSCAN ]] || unpack_programs scanners nginx clamav
}

main() {
	local mode=install

	if [[ ${1-} == --missing ]]; then
		mode=missing
		shift
	fi
	GROUPS_WANTED=("${@:-build test}")
	# shellcheck disable=SC2206 # one word per group
	GROUPS_WANTED=(${GROUPS_WANTED[*]})
	for group in "${GROUPS_WANTED[@]}"; do
		[[ " build demo test guest tsan bench lint fuzz valgrind long " == *" $group "* ]] ||
			die "unknown group \"$group\""
	done

	mapfile -t needed < <(missing)
	if [[ $mode == missing ]]; then
		[[ ${#needed[@]} -eq 0 ]] && exit 0
		echo "${needed[*]}"
		exit 1
	fi
	[[ ${#needed[@]} -gt 0 ]] || exit 0

	mkdir -p "$BUILD"
	exec 9>"$BUILD"/.deps.lock
	flock 9 # a second run waits for the first, and finds all there
	: >"$LOG"
	rm -rf "$BUILD"/deps.?????? # of a run that was killed
	TMP=$(mktemp -d "$BUILD"/deps.XXXXXX)
	trap 'rm -rf "$TMP"' EXIT
	trap 'exit 1' INT TERM HUP

	mapfile -t packages < <(missing_packages "${GROUPS_WANTED[@]}")
	apt_install "${packages[@]}"
	provide_libfuse
	if wants test; then
		provide_programs
	fi
	if wants guest; then
		tests/guest/fetch.sh 9>&-
	fi
	if wants long; then
		fetch_libfuse
		fetch_source zlib zlib stable
	fi

	mapfile -t needed < <(missing)
	[[ ${#needed[@]} -eq 0 ]] || die "still missing: ${needed[*]}"
	say "done"
}

main "$@"
