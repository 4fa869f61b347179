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
STARTED=()
# A sanitizer's build runs without a policy and makes no claim about it: its own calls are in no declaration (architecture.md 4).
INSTRUMENTED=
! grep -qs __asan_init "$BIN/keyd" || INSTRUMENTED=1

suite_begin() {
	echo "# $1"
	T=$(mktemp -d /tmp/ek.XXXXXX)
	chmod 711 "$T"
	export AZIOT_LOG=trace # so that suite_end sees all that a log can say
	[ -z "$INSTRUMENTED" ] || suppress_leaks
	trap suite_cleanup EXIT
	# once: whoever presses the keys again would cut the cleaning up short
	trap 'trap "" INT TERM; exit 130' INT TERM
	uid_block
}

# What modules of others leak: tpm2-pkcs11 1.9 a public key's point with each C_SignInit, where the stack ends in libcrypto, which
# has no frame pointers; pkcs11-spy its list of functions.  Read by every process, also by those of other users.
suppress_leaks() {
	printf 'leak:%s\n' libtpm2_pkcs11.so pkcs11-spy.so ASN1_STRING_set >"$T/lsan.supp"
	chmod 644 "$T/lsan.supp"
	export LSAN_OPTIONS=suppressions=$T/lsan.supp:print_suppressions=0
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
	STARTED+=("$name")
}
# stop NAME [SIGNAL]: end it and wait; its exit status is stop's
stop() {
	local status pid=${PID[$1]:-}
	[ -n "$pid" ] || return 0
	kill "-${2:-TERM}" "$pid" 2>/dev/null
	# one that does not end is a failure, and not the end of all tests
	wait_for 15 gone "$1" || kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
	status=$?
	unset "PID[$1]"
	return $status
}
alive() { [ -n "${PID[$1]:-}" ] && kill -0 "${PID[$1]}" 2>/dev/null && ! grep -q '^State:.Z' "/proc/${PID[$1]}/status"; }
gone() { ! alive "$1"; }
# ended PID: of a process that need not be our child; its parent may be slow to take notice, or never do
ended() { [ ! -d "/proc/$1" ] || grep -qs '^State:.[ZX]' "/proc/$1/status" || [ ! -d "/proc/$1" ]; }
# connected SOCKET: a daemon has accepted a connection there that is still open (unix(7): listed by its path, state 03)
connected() { grep -q " 0001 03 .* $1\$" /proc/net/unix; }
# wait_for SECONDS COMMAND...: until it succeeds.  The seconds are those of a quiet machine; a busy one, a sanitizer's build or valgrind
# takes several times as long, and none of that is the failure that is looked for.
wait_for() {
	local until=$(($(date +%s%N) + $1 * 6 * 1000000000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s%N)" -lt $until ] || return 1
		sleep 0.03
	done
}
listening() { [ -S "$1" ] && curl -s -o /dev/null --max-time 5 --unix-socket "$1" http://x/; }
wait_socket() { # wait_socket NAME PATH [SECONDS]: until the daemon serves, or end the script
	wait_for "${3:-${PATIENCE:-10}}" listening "$2" && return 0
	echo "FAIL $1 does not serve $2:"
	tail -20 "$T/$1.log"
	exit 1
}

# http SOCKET METHOD TARGET [BODY [CURL OPTION...]]: sets STATUS and BODY.  HTTP_AS: a command to run curl under.
http() {
	local socket=$1 method=$2 target=$3 body=${4-} out
	local how=(curl -sS --max-time "${HTTP_TIMEOUT:-60}" -w '\n%{http_code}' --path-as-is -X "$method" --unix-socket "$socket")
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

long() { head -c "$1" /dev/zero | tr '\0' "${2:-a}"; } # long BYTES [CHARACTER]
# What every socket refuses alike (common.md 5, edged-management.md 1.3), each with the contract's status and a message:
# bad_input NAME SOCKET VERSION PATH-OF-A-POST STATUS-OF-NO-BODY [STATUS-OF-A-WRONG-BODY]
bad_input() {
	local name=$1 s=$2 v=api-version=$3 path=$4 method body target
	long 1100000 ' ' >"$T/big"
	bad() { # bad WHAT STATUS METHOD TARGET [BODY [CURL OPTION...]]
		http "$s" "${@:3}"
		answer "$name: $1" "$2" '.message | length > 0'
	}
	bad "no version" 400 POST "$path" '{}'
	bad "wrong version" 400 POST "$path?api-version=1999-01-01" '{}'
	bad "empty version" 400 POST "$path?api-version=" '{}'
	bad "over-long version" 400 POST "$path?api-version=$(long 5000)" '{}'
	bad "version before path" 400 GET /nowhere
	bad "wrong path" 404 GET "/nowhere?$v"
	bad "over-long path" 404 GET "/$(long 5000)?$v"
	bad "path that is no UTF-8" 404 GET "/%ff%fe?$v"
	bad "encoded path" 404 POST "/%2e%2e$path?$v" '{}'
	for method in PATCH OPTIONS TRACE PROPFIND; do bad "method $method" 400 $method "$path?$v" '{}'; done
	bad "PUT of text" 415 PUT "$path?$v" '' -H 'content-type: text/plain' --data-binary '{}'
	bad "PUT without a body" 422 PUT "$path?$v"
	bad "no body" "$5" POST "$path?$v"
	bad "text as body" "$5" POST "$path?$v" '' -H 'content-type: text/plain' --data-binary '{}'
	for body in '{' '{"a":1}{"b":2}' $'{"a":"\xff"}' "$(long 200 '[')" '{"a":1e999999}' '{"a":"\u0000"}' 'nul' "'"; do
		bad "body ${body:0:20}" 422 POST "$path?$v" "$body"
	done
	for body in '[]' '5' 'null' '"x"' '{}' '{"data":5,"certId":[],"moduleId":{},"keyHandle":true}'; do
		bad "body $body" "${6:-422}" POST "$path?$v" "$body"
	done
	bad "over-long body" 413 POST "$path?$v" "@$T/big"
	http "$s" GET "/$(long 60000)?$v"
	like "$name: over-long head" "$STATUS" "4[13][14]"
	http "$s" GET "$path?$v" '' -H "x: $(long 60000)"
	is "$name: over-long header" "$STATUS" 431
	printf 'GARBAGE\0\r\n\r\n\r\n' | timeout 5 socat -t2 - "UNIX-CONNECT:$s" >/dev/null 2>&1
	head -c 3000 /dev/urandom | timeout 5 socat -t2 - "UNIX-CONNECT:$s" >/dev/null 2>&1
	printf 'POST %s?%s HTTP/1.1\r\nContent-Length: 50\r\n\r\n{' "$path" "$v" | timeout 5 socat -t0.2 - "UNIX-CONNECT:$s" >/dev/null 2>&1
}

# The policy is in force (issue 2, point 3): confined NAME PID
confined() {
	local s=/proc/$2/status
	[ -z "$INSTRUMENTED" ] || return 0
	is "$1: Seccomp" "$(awk '/^Seccomp:/ {print $2}' "$s")" 2
	is "$1: NoNewPrivs" "$(awk '/^NoNewPrivs:/ {print $2}' "$s")" 1
	! is_root || is "$1: CapBnd" "$(awk '/^CapBnd:/ {print $2}' "$s")" 0000000000000000 # without root it cannot be emptied
	is "$1: CapEff" "$(awk '/^CapEff:/ {print $2}' "$s")" 0000000000000000
}

suite_cleanup() {
	local name
	trap "" INT TERM
	for name in "${!PID[@]}"; do stop "$name" >/dev/null 2>&1; done
	[ "$(type -t cleanup)" != function ] || cleanup
	if [ $failed -gt 0 ] && [ -n "${KEEP:-}" ]; then
		echo "kept $T"
		return
	fi
	rm -rf "$T"
	[ -z "${UID_LOCK_PATH:-}" ] || rm -f "$UID_LOCK_PATH"
}
# What a sanitizer or valgrind has said of anything that was started, a row; leaks are told at the end, so all must have ended.
judged() {
	local n
	for ((n = ${#STARTED[@]} - 1; n >= 0; n--)); do stop "${STARTED[n]}" >/dev/null 2>&1; done
	! grep -lE '(Address|Leak)Sanitizer|runtime error: |^==[0-9]+== ' "$T"/*.log 2>/dev/null
	ok "no leak, no invalid access" $?
}
# Architecture rule 7: no body, header, key, handle, token or query in a daemon's log, at any level.
no_secrets() {
	local log found
	for log in "$T"/{keyd,certd,identityd,tpmd,edged}.log; do
		[ -s "$log" ] || continue
		found=$(grep -aoE -m1 '.{0,60}(ek1\.[A-Za-z0-9_-]{8}|-----BEGIN|SharedAccess|[?&](api-version|sig|skn|se)=|"(keyHandle|keyBytes|parameters|pem|csr|data|digest|message)":|[Cc]ontent-[Tt]ype:).{0,60}' "$log")
		is "no secret, body, header or query in ${log##*/}" "$found" ""
		[ ! -s "$T/device-key" ] || ok "nor the device key in ${log##*/}" "$(! grep -qF "$(base64 -w0 "$T/device-key")" "$log"; echo $?)"
	done
}
suite_end() {
	local log
	[ -z "$INSTRUMENTED" ] || judged
	no_secrets
	if [ $failed -gt 0 ]; then
		for log in "$T"/*.log; do
			[ ! -s "$log" ] || { echo "--- ${log##*/}"; tail -15 "$log"; }
		done
	fi
	echo "100%: Checks: $rows, Failures: $failed, Errors: 0"
	exit $((failed > 0))
}
