#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
#   fetch.sh             put what the guest is made of into build/guest, once
#   fetch.sh --missing   only name what is missing
#
# These are the guest's parts:
#
#   linux            user-mode Linux, from Debian's newest package
#   libc64/          the C library it is linked with, newer than the machine's
#   busybox          for the guest's first and last steps
#   initramfs.cpio   busybox, modules, and tests/guest/boot as /init
#
# The packages are unpacked, never installed. What is there already costs
# nothing: no network, no root.
set -euo pipefail

PACKAGES=(user-mode-linux libc6 busybox-static)
MODULES=(fuse overlay loop)
SUITE=${GUEST_SUITE:-sid}

HERE=$(realpath "$(dirname "$0")")
cd "$HERE"/../..
GUEST=$PWD/build/guest
NAME=guest
LOG=$GUEST/fetch.log
export LC_ALL=C
. scripts/lib.sh

is_there() {
	[[ -e $GUEST/initramfs.cpio && ! $HERE/boot -nt $GUEST/initramfs.cpio ]]
}

# Fetches the packages and unpacks them into $TMP/root.
unpack_packages() {
	local package

	say "fetching ${PACKAGES[*]} ($SUITE)"
	private_apt "$TMP"/apt deb "$SUITE"
	mkdir "$TMP"/debs
	cd "$TMP"/debs
	logged "fetching ${PACKAGES[*]}" \
		"${PRIVATE_APT[@]}" download "${PACKAGES[@]}"
	cd "$GUEST"
	for package in "$TMP"/debs/*.deb; do
		logged "unpacking ${package##*/}" \
			dpkg-deb -x "$package" "$TMP"/root
	done
}

# Keeps what the guest needs. The kernel is told to take its C library from
# the directory libc64 below the one it is started in: /lib64, where it looks
# else, is the machine's.
keep_parts() {
	local root=$TMP/root module

	mkdir "$TMP"/libc64 "$TMP"/modules
	sed 's|/lib64/ld-linux|libc64/ld-linux|; s|/lib64:/lib|libc64:/lib|' \
		"$root"/usr/bin/linux.uml >"$TMP"/linux
	chmod +x "$TMP"/linux
	cp "$root"/usr/lib/x86_64-linux-gnu/{libc.so.6,ld-linux-x86-64.so.2} \
		"$TMP"/libc64/
	cp "$root"/usr/bin/busybox "$TMP"/busybox
	for module in "${MODULES[@]}"; do
		cp "$(find "$root"/usr/lib/uml -name "$module.ko")" \
			"$TMP"/modules/
	done
	rm -rf "$GUEST"/{linux,libc64,busybox,modules}
	mv "$TMP"/{linux,libc64,busybox,modules} "$GUEST"/
}

make_initramfs() {
	mkdir -p "$TMP"/initramfs/{bin,modules}
	cp "$GUEST"/busybox "$TMP"/initramfs/bin/
	cp "$GUEST"/modules/*.ko "$TMP"/initramfs/modules/
	cp "$HERE"/boot "$TMP"/initramfs/init
	cd "$TMP"/initramfs
	find . | "$GUEST"/busybox cpio -o -H newc >"$TMP"/initramfs.cpio \
		2>>"$LOG" || die "packing the initramfs failed"
	mv "$TMP"/initramfs.cpio "$GUEST"/
}

! is_there || exit 0
[[ ${1-} != --missing ]] || { echo user-mode-linux; exit 0; }
[[ $(uname -m) == x86_64 ]] || die "user-mode Linux runs on x86_64 only"
mkdir -p "$GUEST"
exec 9>"$GUEST"/.lock
flock 9 # a second run waits for the first, and finds all there
! is_there || exit 0
: >"$LOG"
rm -rf "$GUEST"/fetch.?????? # of a run that was killed
TMP=$(mktemp -d "$GUEST"/fetch.XXXXXX)
trap 'rm -rf "$TMP"' EXIT
trap 'exit 1' INT TERM HUP
if [[ ! -d $GUEST/modules ]]; then
	unpack_packages
	keep_parts
fi
make_initramfs
