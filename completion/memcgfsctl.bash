# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Completion of memcgfsctl(1) for bash. Commands and options are those of
# memcgfsctl --help, which a test compares.

# Mount points that begin so. compgen -W would run what their names ask for.
_memcgfsctl_mounts() { # WORD
	local where type

	while read -r _ where type _; do
		printf -v where '%b' "${where//\\/\\0}"
		if [[ $type == fuse.memcgfs && $where == "$1"* ]]; then
			COMPREPLY+=("$where")
		fi
	done </proc/self/mounts
}

# The command of the words so far, if it is there.
_memcgfsctl_command() {
	local word

	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		if [[ $word != -* ]]; then
			echo "$word"
			return
		fi
	done
}

_memcgfsctl() {
	local cur=$2 prev=$3 command options='--json --help'

	command=$(_memcgfsctl_command)
	# "=" is a word of its own, as a rule.
	[[ $prev == '=' ]] && prev=${COMP_WORDS[COMP_CWORD - 2]}
	[[ $cur == '=' ]] && cur=''
	COMPREPLY=()
	case $prev in
	-s | --sort)
		mapfile -t COMPREPLY < <(
			compgen -W 'size shared foreign name' -- "$cur")
		return
		;;
	-n | --limit | -d | --delay)
		return
		;;
	esac

	case $command in
	'') options+=' --version' ;;
	tree) options+=' --all' ;;
	files) options+=' --sort= --limit=' ;;
	drop) options+=' --yes' ;;
	top) options+=' --delay=' ;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
		[[ ${COMPREPLY[*]} == *= ]] && compopt -o nospace 2>/dev/null
		return
	fi

	case $command in
	'')
		mapfile -t COMPREPLY < <(compgen -W 'status tree files explain
			verify claim drop events top metrics reload' -- "$cur")
		;;
	status | tree | events | top | metrics | reload)
		compopt -o filenames 2>/dev/null
		_memcgfsctl_mounts "$cur"
		;;
	*)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		;;
	esac
}

complete -F _memcgfsctl memcgfsctl
