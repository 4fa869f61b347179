#!/bin/bash
# run.sh TEST... - run test programs side by side, print a line each and a summary.
#
# A test passes with exit status 0 and fails with any other but 77, which means the whole of it was skipped.  Lines that
# begin with "SKIP" are counted wherever they come from; with CI=true a skipped line "SKIP issue ..." is a failure.
#   JOBS   how many at once (default: processors)
#   WRAP   command to run C tests under (valgrind)
set -u
out=$(mktemp -d "${TMPDIR:-/tmp}/ek-run.XXXXXX")
trap 'rm -rf "$out"' EXIT
# a C test that fails cannot clear up after itself: its directories are made in here (search only, for tests that give up root)
mkdir -m 711 "$out/t"
chmod 711 "$out"
jobs=${JOBS:-$(nproc)}

one() {
	local test=$1 name log start status
	name=${test#*tests/}
	log=$out/$(echo "$name" | tr / _)
	start=$(date +%s%N)
	if [ "${test%.sh}" = "$test" ]; then
		# shellcheck disable=SC2086
		TMPDIR=$out/t timeout "${TEST_TIMEOUT:-900}" ${WRAP:-} "$test" >"$log" 2>&1
	else
		timeout "${TEST_TIMEOUT:-900}" "$test" >"$log" 2>&1
	fi
	status=$?
	case $status in
	0) word=ok ;;
	77) word=SKIP ;;
	*) word=FAIL ;;
	esac
	if [ "$word" != FAIL ] && [ "${CI:-}" = true ] && grep -q '^SKIP issue' "$log"; then
		word=FAIL
	fi
	echo "$word" >"$log.word"
	printf '%-5s %-44s %6d ms\n' "$word" "$name" $((($(date +%s%N) - start) / 1000000))
	grep '^SKIP' "$log" | sed 's/^/      /'
	[ "$word" != FAIL ] || sed 's/^/      | /' "$log"
}

for test; do
	while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
		wait -n
	done
	one "$test" &
done
wait
count() { cat "$out"/*.word 2>/dev/null | grep -c "^$1\$"; }
skips=$(cat "$out"/[!t]* "$out"/t?* 2>/dev/null | grep -c '^SKIP ')
checks=$(cat "$out"/[!t]* "$out"/t?* 2>/dev/null | sed -n 's/^[0-9]*%: Checks: \([0-9]*\),.*/\1/p' | awk '{n += $1} END {print n + 0}')
echo "$# test programs: $(count ok) passed, $(count FAIL) failed, $(count SKIP) skipped; $checks checks, $skips rows skipped"
[ "$(count FAIL)" -eq 0 ]
