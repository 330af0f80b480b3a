# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What the scripts that fetch things share: messages, a log, and Debian
# packages newer than the machine's release, fetched through the machine's own
# mirror and authenticated by apt. Sourced; the caller sets
#
#   NAME     what its messages begin with
#   LOG      the file that takes the output of commands
#
# DEBIAN_MIRROR, if set, is used instead of the machine's mirror.

say() {
	printf '%s: %s\n' "$NAME" "$*"
}

die() {
	printf '%s: %s\n' "$NAME" "$*" >&2
	exit 1
}

# Runs a command with its output in the log; when it fails, the log's end says
# why and WHAT says what it was for.
#
#   logged WHAT COMMAND...
logged() {
	local what=$1

	shift
	if ! "$@" >>"$LOG" 2>&1 </dev/null; then
		tail -n 15 "$LOG" >&2
		die "$what failed (all of it: $LOG)"
	fi
}

# The Debian archive that this machine is configured to use. Security and
# third-party archives carry other labels.
debian_mirror() {
	# shellcheck disable=SC2016 # apt expands these
	apt-get indextargets --format '$(LABEL)|$(COMPONENT)|$(REPO_URI)' \
		'Created-By: Packages' |
		sed -n 's/^Debian|main|//p' | head -n 1
}

# Sets PRIVATE_APT, an apt-get for SUITE that has its sources, state and cache
# in DIR, so that the machine's are not touched; its proxies and keys are the
# machine's.
#
#   private_apt DIR deb|deb-src SUITE
private_apt() {
	local dir=$1 type=$2 suite=$3
	local keyring=/usr/share/keyrings/debian-archive-keyring.gpg trust=''
	local mirror=${DEBIAN_MIRROR:-$(debian_mirror)}

	[[ -n $mirror ]] ||
		die "apt knows no Debian mirror: set DEBIAN_MIRROR=<its URI>"
	[[ ! -e $keyring ]] || trust="[signed-by=$keyring] "
	mkdir -p "$dir"/state/lists/partial "$dir"/cache/archives/partial
	echo "$type $trust$mirror $suite main" >"$dir"/sources.list
	# No sandbox user: _apt may be unable to reach this directory. A mirror
	# that lags behind will do: what it has is signed all the same.
	PRIVATE_APT=(apt-get -o Dir::Etc::sourcelist="$dir"/sources.list
		-o Dir::Etc::sourceparts=- -o Dir::State="$dir"/state
		-o Dir::Cache="$dir"/cache -o APT::Sandbox::User=root
		-o Acquire::Check-Valid-Until=false)
	logged "apt-get update for $suite" \
		"${PRIVATE_APT[@]}" --error-on=any update
}
