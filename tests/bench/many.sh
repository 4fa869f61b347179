#!/bin/bash
# many.sh - what 100,000 more keys in the directory cost against 10 more: start, a key that is not at hand, a signature, memory.
#   BUILD   directory of the programs; MANY (100000), ROUNDS (5)
set -u
BUILD=${BUILD:-build}
MANY=${MANY:-100000}
ROUNDS=${ROUNDS:-5}
OPENED=512 # keys that are opened once each; keyd keeps half as many
V='api-version=2021-05-01'
T=$(mktemp -d /tmp/ek.XXXXXX)
keyd=
end() {
	[ -z "$keyd" ] || { kill "$keyd" && wait "$keyd"; } 2>/dev/null
	rm -rf "$T"
}
trap end EXIT
user=()
if [ "$(id -u)" -eq 0 ]; then
	user=(--user 65500:65500)
	chmod 711 "$T"
fi
fill() { # fill KEYS: a home with so many, the opened ones among them
	local home=$T/$1 i
	mkdir -m 700 "$home" "$home/keys"
	for ((i = 0; i < OPENED; i++)); do
		printf '0123456789abcdef0123456789abcdef' >"$home/keys/k$i-$(printf 'k%d' $i | sha256sum | cut -c1-64).key"
	done
	seq "$1" | awk -v dir="$home/keys" '{ printf "%s/module%d-%064d.key\n", dir, $1, $1 }' | xargs touch
	[ ${#user[@]} -eq 0 ] || chown -R 65500 "$home"
	cat >"$home.toml" <<EOT
max_requests = 64
[aziot_keys]
homedir_path = "$home"
[endpoints]
aziot_keyd = "unix://$T/keyd.sock"
[[principal]]
uid = $(id -u)
keys = ["*"]
EOT
}
cpu_us() { cat /proc/"$keyd"/task/*/schedstat | awk '{ns += $1} END {print ns / 1000}'; }
ask() { curl -sS --unix-socket "$T/keyd.sock" -H 'content-type: application/json' "$@"; }
once() { # once KEYS: milliseconds to the first answer, us of a key opened, us of a signature, kB of PSS
	local began start before opened
	rm -f "$T/keyd.sock"
	began=$(date +%s%N)
	"$BUILD/bin/keyd" --config "$T/$1.toml" --config-dir "$T/none" "${user[@]}" 2>>"$T/keyd.log" &
	keyd=$!
	until ask -o /dev/null "http://x/status?$V" 2>/dev/null; do :; done
	start=$((($(date +%s%N) - began) / 1000000))
	before=$(cpu_us)
	ask -o /dev/null "http://x/key/k[0-$((OPENED - 1))]?$V"
	opened=$(awk -v a="$before" -v b="$(cpu_us)" -v n=$OPENED 'BEGIN {print (b - a) / n}')
	printf '{"keyHandle":"%s","algorithm":"HMAC-SHA256","parameters":{"message":"eA=="}}' \
		"$(ask "http://x/key/k0?$V" | jq -r .keyHandle)" >"$T/hmac"
	echo "$1 $start $opened $("$BUILD/bench/load" "$T/keyd.sock" "$keyd" 1 kept 0.3 "/sign?$V" "$T/hmac" | awk '{print $3}') $(awk '/^Pss:/ {print $2}' "/proc/$keyd/smaps_rollup")"
	{ kill "$keyd" && wait "$keyd"; } 2>/dev/null
	keyd=
}
fill 10
fill "$MANY"
for ((round = 0; round < ROUNDS; round++)); do
	once 10
	once "$MANY"
done >"$T/samples"
printf '%-8s %9s %13s %9s %7s\n' keys 'start ms' 'open, cpu us' 'sign, us' 'PSS kB'
for n in 10 "$MANY"; do
	for column in 2 3 4 5; do
		awk -v n="$n" -v c=$column '$1 == n {print $c}' "$T/samples" | sort -n | sed -n "$((ROUNDS / 2 + 1))p"
	done | xargs printf "%-8s %9d %13.1f %9.1f %7d\n" "$n"
done
