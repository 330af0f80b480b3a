#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# demo.sh: who pays for the page cache of files that two containers share?
#
# Two cgroups A and B read the same files, first beside the mount, then through
# memcgfs. The kernel itself (/proc/kpagecgroup) is asked who each page is
# charged to. Leaves nothing behind, however it ends.
set -u

readonly here=${BASH_SOURCE[0]%/*}
readonly build=$here/../build
readonly files=16 file_mib=16
readonly pages=$((files * file_mib * 1048576 / $(getconf PAGE_SIZE)))
readonly name=memcgfs-demo	# of the cgroup that holds A, B, target, daemon

hierarchy=	# where the memory cgroups are
dir=		# the files and the mount point
tool=$build/demo/pages

say()
{
	local line="memcgfs demo: $*"
	[ ! -t 1 ] || line=$(fold -s -w 80 <<<"$line")
	printf '%s\n' "$line"
}

fail()
{
	say "FAIL - $*"
	exit 1
}

# grouped N: 65536 as 65,536, whatever the locale.
grouped()
{
	sed ':more; s/\B[0-9]\{3\}\>/,&/; t more' <<<"$1"
}

# Prints the directory of the v1 memory hierarchy, else of a v2 one that has
# the memory controller.
find_hierarchy()
{
	local v1 v2
	read -r v1 v2 < <(awk '
		BEGIN { v1 = v2 = "-" }
		{
			for (i = 7; $i != "-"; i++)
				;
			if ($(i + 1) == "cgroup" && ("," $(i + 3) ",") ~ /,memory,/)
				v1 = $5
			if ($(i + 1) == "cgroup2")
				v2 = $5
		}
		END { print v1, v2 }' /proc/self/mountinfo)
	if [ "$v1" != - ]; then
		echo "$v1"
	elif grep -qsw memory "$v2/cgroup.controllers"; then
		echo "$v2"
	fi
}

# v2 gives a controller only to the children of who enables it; v1 always does.
enable_memory()
{
	[ ! -e "$1/cgroup.subtree_control" ] ||
		echo +memory 2>/dev/null >"$1/cgroup.subtree_control"
}

make_cgroups()
{
	local group
	hierarchy=$(find_hierarchy)
	[ -n "$hierarchy" ] || fail "no cgroup hierarchy has the memory controller"
	if [ -n "$(cat "$hierarchy/$name"/*/cgroup.procs 2>/dev/null)" ]; then
		hierarchy=	# not ours to clean up
		fail "another demo is running in /$name"
	fi
	remove_cgroups
	enable_memory "$hierarchy" || fail "$hierarchy hands no memory controller down"
	mkdir "$hierarchy/$name" || fail "cannot make the cgroup /$name"
	enable_memory "$hierarchy/$name"
	for group in A B target daemon; do
		mkdir "$hierarchy/$name/$group" || fail "cannot make the cgroup $group"
	done
}

remove_cgroups()
{
	local try
	[ -d "$hierarchy/$name" ] || return 0
	for try in {1..50}; do
		[ "$try" != 20 ] || kill_all
		find "$hierarchy/$name" -depth -type d -exec rmdir {} \; 2>/dev/null
		[ -d "$hierarchy/$name" ] || return 0
		sleep 0.1
	done
	say "the cgroup $hierarchy/$name is left over"
}

kill_all()
{
	cat "$hierarchy/$name"/{A,B,target{,/*},daemon}/cgroup.procs 2>/dev/null |
		xargs -r kill -KILL
}

# A real filesystem with room: pages of tmpfs have no backing store.
make_dir()
{
	local parent
	for parent in /var/tmp /var/lib "$build"; do
		case $(stat -f -c %T "$parent" 2>/dev/null) in
		tmpfs | ramfs | '') continue ;;
		esac
		[ "$(df --output=avail -m "$parent" | tail -1)" -gt 300 ] || continue
		dir=$(mktemp -d "$parent/$name.XXXXXX") && return
	done
	fail "no disk filesystem with 300 MiB free in /var/tmp, /var/lib or $build"
}

make_files()
{
	local i
	mkdir "$dir/source" "$dir/mnt"
	for ((i = 0; i < files; i++)); do
		head -c "${file_mib}M" /dev/urandom >"$dir/source/file$i" ||
			fail "cannot write the files"
	done
	sync -f "$dir/source"
}

drop_pages()
{
	local left
	for _ in 1 2 3; do
		left=$("$tool" drop "$dir/source") && [ "$left" = 0 ] && return
		sync -f "$dir/source"
	done
	fail "$left pages of the files cannot be dropped from the page cache"
}

mount_memcgfs()
{
	( echo 0 >"$hierarchy/$name/daemon/cgroup.procs" &&
		exec timeout --foreground 20 "$build/memcgfs" \
			-o "memcg=$hierarchy/$name/target" \
			"$dir/source" "$dir/mnt" ) || fail "memcgfs does not mount"
}

# run CASE DIRECTORY: A reads, then B; fills the arrays speed and charged.
declare -A speed charged
run()
{
	local case=$1 group ino count owners sum=0
	for group in A B; do
		speed[$case.$group]=$(timeout --foreground 20 "$tool" read \
			"$hierarchy/$name/$group" "$2"/file*) ||
			fail "$group cannot read the files $case the mount"
	done
	owners=$("$tool" owners "$dir/source" "$2") ||
		fail "cannot see who owns the pages"
	charged[$case.all]=$(awk '{ n += $2 } END { print n + 0 }' <<<"$owners")
	for group in A B target; do
		ino=$(stat -c %i "$hierarchy/$name/$group")
		count=$(awk -v ino="$ino" '$1 == ino { print $2 }' <<<"$owners")
		charged[$case.$group]=${count:-0}
		sum=$((sum + ${count:-0}))
	done
	charged[$case.else]=$((charged[$case.all] - sum))
}

row()
{
	printf '  %-28s %20s %24s\n' "$1" "$(grouped "$2")" "$(grouped "$3")"
}

table()
{
	local group
	printf '%s files of %s MiB, %s pages, read by A, then by B\n\n' \
		$files $file_mib "$(grouped "$pages")"
	printf '  %-28s %20s %24s\n' '' 'beside the mount' 'through memcgfs' \
		'pages charged to' '' ''
	for group in A B target; do
		row "  $group" "${charged[beside.$group]}" "${charged[through.$group]}"
	done
	row '  anyone else' "${charged[beside.else]}" "${charged[through.else]}"
	printf '  %s\n' 'MiB/s'
	row '  A, nothing cached' "${speed[beside.A]}" "${speed[through.A]}"
	row '  B, all cached' "${speed[beside.B]}" "${speed[through.B]}"
	echo
}

verdict()
{
	# The machine may have taken a few pages back since they were read.
	local group why='' enough=$((pages * 3 / 4)) target=${charged[through.target]}
	for group in A B else; do
		[ "${charged[through.$group]}" = 0 ] ||
			why+="$(grouped "${charged[through.$group]}") pages charged to $group, "
	done
	[ "$target" -ge "$enough" ] ||
		why+="$(grouped "$target") pages charged to the target, "
	[ "${charged[beside.A]}" -ge "$enough" ] ||
		why+="the comparison failed: beside the mount A should pay for all, "
	[ -z "$why" ] || fail "${why%, }"
	say "PASS - all $(grouped "$target") pages belong to /$name/target;" \
		"A and B pay nothing"
}

# A server that was interrupted while it starts may still mount.
unmount()
{
	local try
	for try in {1..50}; do
		if grep -q " $dir/mnt " /proc/self/mountinfo; then
			[ "$try" -lt 30 ] || umount -l "$dir/mnt"
			umount "$dir/mnt" 2>/dev/null && continue
		elif [ -z "$(cat "$hierarchy/$name/daemon/cgroup.procs")" ]; then
			return
		fi
		[ "$try" != 20 ] || kill_all
		sleep 0.1
	done
}

clean_up()
{
	trap '' INT TERM HUP
	if [ -n "$dir" ]; then
		unmount
		rm -rf --one-file-system "$dir"
	fi
	[ -z "$hierarchy" ] || remove_cgroups
}

main()
{
	[ "$(id -u)" = 0 ] || fail "needs root (cgroups, /proc/kpagecgroup): sudo make demo"
	[ -r /proc/kpagecgroup ] || fail "the kernel has no /proc/kpagecgroup"
	[ -x "$build/memcgfs" ] || fail "build/memcgfs is missing: run make"
	mkdir -p "$build/demo"
	${CC:-cc} -std=gnu11 -O2 -o "$tool" "$here/pages.c" ||
		fail "cannot compile demo/pages.c"

	trap clean_up EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	make_cgroups
	make_dir
	make_files
	drop_pages
	run beside "$dir/source"
	drop_pages
	mount_memcgfs
	run through "$dir/mnt"
	table
	verdict
}

main
