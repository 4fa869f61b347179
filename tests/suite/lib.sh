# shellcheck shell=bash
# lib.sh - what the suite's scripts share: rows, private directory, numeric users, processes by PID, HTTP over a socket.
#
#	. "$(dirname "$0")/lib.sh"
#	suite_begin "keyd over its socket"
#	...
#	suite_end
#
# BUILD is the directory with bin/.  Everything a script makes is below $T and gone when it ends; processes are ended by PID.
set -u
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$TOP/build}
# shellcheck disable=SC2034 # for the scripts
BIN=$BUILD/bin DATA=$TOP/../shared/data
rows=0 failed=0
declare -A PID=()

suite_begin() {
	echo "# $1"
	T=$(mktemp -d /tmp/ek.XXXXXX)
	chmod 711 "$T"
	trap suite_cleanup EXIT
	trap 'exit 130' INT TERM
	uid_block
}

# A block of 16 numeric user ids that no other test run on this machine has (decisions.md, Users): UID0, and user N.
uid_block() {
	local base path
	UID0=0
	[ "$(id -u)" -eq 0 ] || return 0
	for ((base = 61184; base + 16 <= 65519; base += 16)); do
		path=/tmp/edgekeep-uids.$base
		exec {UID_LOCK}>"$path"
		if flock -n "$UID_LOCK" && [ "$(stat -Lc %i "/proc/self/fd/$UID_LOCK")" = "$(stat -c %i "$path" 2>/dev/null)" ]; then
			UID0=$base UID_LOCK_PATH=$path
			return 0
		fi
		exec {UID_LOCK}>&-
	done
	echo "no block of user ids is free" >&2
	exit 1
}

is_root() { [ "$(id -u)" -eq 0 ]; }
# --user argument for the Nth user of the block, with further groups (by number in the block) behind: user 0 1 2
user() {
	local n=$((UID0 + $1)) groups="" g
	shift
	for g; do groups=$groups,$((UID0 + g)); done
	echo "$n:$n$groups"
}
# Run a command as that user: as_user "$(user 1 2)" COMMAND...
as_user() {
	local uid=${1%%:*} gids=${1#*:} groups=--clear-groups
	shift
	[ "$gids" = "${gids#*,}" ] || groups=--groups=${gids#*,}
	setpriv "--reuid=$uid" "--regid=${gids%%,*}" "$groups" "$@"
}

# Where root is needed and missing: a SKIP row; in CI a failure.
need_root() {
	is_root && return 0
	echo "SKIP issue 2: $1 needs root"
	return 1
}
need_tool() {
	command -v "$1" >/dev/null && return 0
	echo "SKIP issue 2: $1 is not installed"
	return 1
}

ok() { # ok WHAT STATUS: one row, passed when STATUS is 0
	rows=$((rows + 1))
	if [ "$2" -eq 0 ]; then
		[ -z "${VERBOSE:-}" ] || echo "ok   $1"
	else
		failed=$((failed + 1))
		echo "FAIL $1"
	fi
	return 0
}
is() { # is WHAT GOT WANTED
	if [ "$2" = "$3" ]; then ok "$1" 0; else ok "$1: got '$2', wanted '$3'" 1; fi
}
like() { # like WHAT GOT GLOB
	# shellcheck disable=SC2053
	if [[ $2 == $3 ]]; then ok "$1" 0; else ok "$1: got '$2', wanted like '$3'" 1; fi
}

# start NAME COMMAND...: in the background, output to $T/NAME.log
start() {
	local name=$1
	shift
	if [ -n "${UID_LOCK:-}" ]; then
		"$@" >>"$T/$name.log" 2>&1 {UID_LOCK}>&- &
	else
		"$@" >>"$T/$name.log" 2>&1 &
	fi
	PID[$name]=$!
}
# stop NAME [SIGNAL]: end it and wait; its exit status is stop's
stop() {
	local status pid=${PID[$1]:-}
	[ -n "$pid" ] || return 0
	kill "-${2:-TERM}" "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	status=$?
	unset "PID[$1]"
	return $status
}
alive() { [ -n "${PID[$1]:-}" ] && kill -0 "${PID[$1]}" 2>/dev/null && ! grep -q '^State:.Z' "/proc/${PID[$1]}/status"; }
# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
	local until=$(($(date +%s%N) + $1 * 1000000000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s%N)" -lt $until ] || return 1
		sleep 0.03
	done
}
listening() { [ -S "$1" ] && curl -s -o /dev/null --max-time 5 --unix-socket "$1" http://x/; }
wait_socket() { # wait_socket NAME PATH [SECONDS]: until the daemon serves, or end the script
	wait_for "${3:-10}" listening "$2" && return 0
	echo "FAIL $1 does not serve $2:"
	tail -20 "$T/$1.log"
	exit 1
}

# http SOCKET METHOD TARGET [BODY [CURL OPTION...]]: sets STATUS and BODY.  HTTP_AS: a command to run curl under.
http() {
	local socket=$1 method=$2 target=$3 body=${4-} out
	local how=(curl -sS --max-time "${HTTP_TIMEOUT:-30}" -w '\n%{http_code}' --path-as-is -X "$method" --unix-socket "$socket")
	shift 3
	[ $# -eq 0 ] || shift
	[ -z "$body" ] || how+=(-H 'content-type: application/json' --data-binary "$body")
	# shellcheck disable=SC2086
	out=$(${HTTP_AS:-} "${how[@]}" "$@" "http://localhost$target" 2>&1)
	STATUS=${out##*$'\n'}
	BODY=${out%$'\n'*}
}
# answer WHAT STATUS [JQ-EXPRESSION]: judge the last http; the expression must yield true
answer() {
	is "$1: status" "$STATUS" "$2"
	if [ -n "${3-}" ]; then
		jq -e "$3" >/dev/null 2>&1 <<<"$BODY"
		ok "$1: $3 of $BODY" $?
	fi
}

# The policy is in force (issue 2, point 3): confined NAME PID
confined() {
	local s=/proc/$2/status
	is "$1: Seccomp" "$(awk '/^Seccomp:/ {print $2}' "$s")" 2
	is "$1: NoNewPrivs" "$(awk '/^NoNewPrivs:/ {print $2}' "$s")" 1
	is "$1: CapBnd" "$(awk '/^CapBnd:/ {print $2}' "$s")" 0000000000000000
	is "$1: CapEff" "$(awk '/^CapEff:/ {print $2}' "$s")" 0000000000000000
}

suite_cleanup() {
	local name
	for name in "${!PID[@]}"; do stop "$name" >/dev/null 2>&1; done
	[ "$(type -t cleanup)" != function ] || cleanup
	if [ $failed -gt 0 ] && [ -n "${KEEP:-}" ]; then
		echo "kept $T"
		return
	fi
	rm -rf "$T"
	[ -z "${UID_LOCK_PATH:-}" ] || rm -f "$UID_LOCK_PATH"
}
suite_end() {
	local log
	if [ $failed -gt 0 ]; then
		for log in "$T"/*.log; do
			[ ! -s "$log" ] || { echo "--- ${log##*/}"; tail -15 "$log"; }
		done
	fi
	echo "100%: Checks: $rows, Failures: $failed, Errors: 0"
	exit $((failed > 0))
}
