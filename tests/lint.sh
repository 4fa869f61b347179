#!/bin/bash
# lint.sh - the rules of the house that a machine can check (architecture.md 2).  Prints each breach and exits 1.
set -u
cd "$(dirname "$0")/.." || exit 2
bad=0
breach() {
	echo "lint: $*" >&2
	bad=1
}

# Layers: a file may include its own room and those before it, never up, never sideways into a daemon.
layers=(base platform data crypto http wire client provider)
declare -A rank
for i in "${!layers[@]}"; do rank[${layers[i]}]=$i; done
while IFS=: read -r file _ include; do
	from=${file#common/}
	from=${from%%/*}
	to=${include#*\"}
	to=${to%%\"*}
	room=${to%%/*}
	[ "$room" != "$to" ] || continue
	if [ -z "${rank[$room]:-}" ]; then
		breach "$file includes \"$to\", which is outside common/"
	elif [ "${rank[$room]}" -gt "${rank[$from]}" ]; then
		breach "$file ($from) includes \"$to\" of a higher layer"
	fi
done < <(grep -rnE '^#include "' common --include='*.c' --include='*.h')

# Daemons include common/ and themselves only.
for d in keyd certd identityd tpmd edged ctl; do
	for other in keyd certd identityd tpmd edged ctl tests; do
		[ "$d" = "$other" ] && continue
		hits=$(grep -rlE "^#include \"$other/" "$d" 2>/dev/null)
		[ -z "$hits" ] || breach "$d reaches into $other: $hits"
	done
done

# libmicrohttpd and libcurl in one file each, jansson in the data layer only.
within() { # within HEADER ALLOWED-REGEX
	local hits
	hits=$(grep -rlE "^#include <$1" common keyd certd identityd tpmd edged ctl 2>/dev/null | grep -vE "$2")
	[ -z "$hits" ] || breach "$1 is included by: $hits"
}
within microhttpd.h '^common/http/server'
within curl/ '^common/http/https_client'
within jansson.h '^common/data/'

# Rule 2: the domain knows no HTTP.  The edges of a daemon do: its API, its start; identityd's calls of the cloud, edged's of the
# engine, and edged's process for modules, which is a server of its own.
edges='^[a-z]+/(main\.c|api[a-z_]*\.[ch]|service\.[ch])|^identityd/cloud\.c|^edged/(engine_call\.h|workload\.h)'
hits=$(grep -rlE '^#include "http/' keyd certd identityd tpmd edged 2>/dev/null | grep -vE "$edges")
[ -z "$hits" ] || breach "http/ is included beyond a daemon's edges: $hits"

# exit() below main; words that belong to no product; comments without an owner.
hits=$(grep -rnE '(^|[^_a-z])exit\(' common keyd certd identityd tpmd edged --include='*.c' | grep -vE '/main\.c:|_exit\(')
[ -z "$hits" ] || breach "exit() outside main: $hits"
hits=$(git grep -nE '\b(TODO|FIXME|XXX)\b' -- '*.c' '*.h' '*.sh' Makefile ':!tests/lint.sh' | grep -vE 'TODO\(#[0-9]+\)')
[ -z "$hits" ] || breach "mark without an issue number: $hits"
hits=$(git grep -nE '/w[o]rk/|/f[a]rm/' -- .)
[ -z "$hits" ] || breach "path of one machine: $hits"
hits=$(git grep -nE '\b(strcpy|strcat|sprintf|gets|strtok)\(' -- '*.c')
[ -z "$hits" ] || breach "unbounded string function: $hits"

# A daemon's rooms have the same names everywhere.
for d in keyd certd identityd tpmd edged; do
	[ -f "$d/main.c" ] || continue
	for f in api.c service.c service.h config.c config.h sandbox.c; do
		[ -f "$d/$f" ] || breach "$d has no $f"
	done
	[ "$(grep -c '^{' "$d/main.c")" -eq 1 ] || breach "$d/main.c does more than declare"
done

if command -v "${CLANG_FORMAT:-clang-format}" >/dev/null; then
	git ls-files -co --exclude-standard '*.c' '*.h' |
	    xargs -r "${CLANG_FORMAT:-clang-format}" --dry-run -Werror 2>&1 | grep -E 'error:' | head -20 |
	    { ! grep .; } || breach "clang-format disagrees (make format)"
else
	echo "SKIP clang-format is not installed"
fi
if command -v shellcheck >/dev/null; then
	git ls-files -co --exclude-standard '*.sh' .ci/run |
	    xargs -r shellcheck -x -e SC1091,SC2153,SC2154,SC2317 || breach "shellcheck"
else
	echo "SKIP shellcheck is not installed"
fi
[ $bad -eq 0 ] && echo "lint: ok"
exit $bad
