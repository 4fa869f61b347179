#!/bin/bash
# memory.sh - what an idle keyd weighs against the floor (floor.c), side by side so that both share the libraries alike;
# and the time from exec to the first signature, and installed size.
set -u
BUILD=${BUILD:-build}
T=$(mktemp -d /tmp/ek.XXXXXX)
pids=()
end() {
	local pid
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
	rm -rf "$T"
}
trap end EXIT
user=()
if [ "$(id -u)" -eq 0 ]; then
	user=(--user 65501:65501)
	chmod 711 "$T"
fi
mkdir -m 700 "$T/home"
[ ${#user[@]} -eq 0 ] || chown 65501 "$T/home"
cat >"$T/keyd.toml" <<EOT
[aziot_keys]
homedir_path = "$T/home"
[endpoints]
aziot_keyd = "unix://$T/keyd.sock"
[[principal]]
uid = $(id -u)
keys = ["*"]
EOT
V='api-version=2021-05-01'
run() {
	"$BUILD/bin/keyd" --config "$T/keyd.toml" --config-dir "$T/none" "${user[@]}" 2>>"$T/keyd.log" &
	keyd=$!
	pids=("$keyd")
	while [ ! -S "$T/keyd.sock" ]; do :; done
}
# a first life makes the key; handles live on
run
post() { curl -sS --unix-socket "$T/keyd.sock" -H 'content-type: application/json' -d "$2" "http://keyd.sock$1?$V"; }
handle=$(post /keypair '{"keyId":"k"}' | sed 's/.*:"//; s/".*//')
printf '{"keyHandle":"%s","algorithm":"ECDSA","parameters":{"digest":"ERERERERERERERERERERERERERERERERERERERERERE="}}' "$handle" >"$T/sign"
kill "$keyd" && wait "$keyd"
rm -f "$T/keyd.sock"
from=$(date +%s%N)
run
"$BUILD/bench/load" "$T/keyd.sock" "$keyd" 1 kept 0 "/sign?$V" "$T/sign" >/dev/null || exit 1
first=$((($(date +%s%N) - from) / 1000000))
"$BUILD/bench/floor" "$T/floor.sock" >"$T/floor.log" &
floor=$!
pids+=("$floor")
until grep -q ready "$T/floor.log" 2>/dev/null; do sleep 0.02; done
weigh() { awk '/^(Pss|Private_Dirty):/ {print $2}' "/proc/$1/smaps_rollup" | tr '\n' ' '; }
read -r keyd_pss keyd_dirty < <(weigh "$keyd")
read -r floor_pss floor_dirty < <(weigh "$floor")
awk -v k="$keyd_pss" -v kd="$keyd_dirty" -v f="$floor_pss" -v fd="$floor_dirty" -v first="$first" \
	-v size="$(strip -o "$T/stripped" "$BUILD/bin/keyd" && stat -c %s "$T/stripped")" 'BEGIN {
	printf "keyd idle: PSS %d kB, private dirty %d kB; floor: %d kB, %d kB; ratio %.2f   goal 1.25; dirty at most 2048 kB\n", k, kd, f, fd, k / f
	printf "keyd: exec to first signature %d ms   goal 50; size %d kB\n", first, size / 1024
}'
