#!/bin/bash
# keyd.sh - signing through keyd against the operation in process and a bare HTTP server, in interleaved rounds.
#   BUILD   directory of the programs; ROUNDS (5), SECONDS_EACH (0.4)
# Costs are compared with server and clients on one core, where a wake-up costs the same for all; rates are also shown for all cores.
set -u
BUILD=${BUILD:-build}
ROUNDS=${ROUNDS:-5}
EACH=${SECONDS_EACH:-0.4}
T=$(mktemp -d /tmp/ek.XXXXXX)
pids=()
end() {
	local pid
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
	rm -rf "$T"
}
trap end EXIT
wait_socket() {
	local i
	for ((i = 0; i < 200; i++)); do [ -S "$1" ] && return; sleep 0.02; done
	echo "$1 does not come" >&2
	exit 1
}
user=()
if [ "$(id -u)" -eq 0 ]; then
	user=(--user 65500:65500)
	chmod 711 "$T"
fi
mkdir -m 700 "$T/home"
[ ${#user[@]} -eq 0 ] || chown 65500 "$T/home"
cat >"$T/keyd.toml" <<EOT
max_requests = 64
[aziot_keys]
homedir_path = "$T/home"
[endpoints]
aziot_keyd = "unix://$T/keyd.sock"
[[principal]]
uid = $(id -u)
keys = ["*"]
EOT
"$BUILD/bin/keyd" --config "$T/keyd.toml" --config-dir "$T/none" "${user[@]}" 2>"$T/keyd.log" &
keyd=$!
"$BUILD/bench/bare" "$T/bare.sock" &
bare=$!
pids=("$keyd" "$bare")
wait_socket "$T/keyd.sock"
wait_socket "$T/bare.sock"
V='api-version=2021-05-01'
handle() { curl -sS --unix-socket "$T/keyd.sock" -d "$2" "http://keyd.sock$1?$V" -H 'content-type: application/json' | jq -r .keyHandle; }
pair=$(handle /keypair '{"keyId":"pair"}')
key=$(handle /key '{"keyId":"key","usage":"sign"}')
printf '{"keyHandle":"%s","algorithm":"ECDSA","parameters":{"digest":"%s"}}' "$pair" \
	"$(head -c 32 /dev/urandom | base64 -w0)" >"$T/ecdsa"
printf '{"keyHandle":"%s","algorithm":"HMAC-SHA256","parameters":{"message":"%s"}}' "$key" \
	"$(head -c 64 /dev/urandom | base64 -w0)" >"$T/hmac"

ONE=$(($(nproc) - 1)) ALL=0-$(($(nproc) - 1))
pin() { taskset -acp "$1" "$keyd" && taskset -acp "$1" "$bare"; } >/dev/null
load() { taskset -c "$cores" "$BUILD/bench/load" "$1" "$2" "$4" "$5" "$EACH" "/sign?$V" "$T/$3"; }
for ((round = 0; round < ROUNDS; round++)); do
	read -r e h < <(taskset -c "$ONE" "$BUILD/bench/inproc")
	echo "op ecdsa 0 0 - 0 0 $e"
	echo "op hmac 0 0 - 0 0 $h"
	for cores in $ONE $ALL; do
		pin "$cores"
		for clients in 1 8; do
			for how in kept each; do
				for op in ecdsa hmac; do
					echo "bare $op $cores $clients $how $(load "$T/bare.sock" "$bare" $op $clients $how)"
					echo "keyd $op $cores $clients $how $(load "$T/keyd.sock" "$keyd" $op $clients $how)"
				done
			done
		done
	done
done >"$T/samples"

# medians; goal: server CPU of keyd at most 1.3 times that of the bare server and the operation together
awk -v one="$ONE" -v all="$ALL" '
function median(key,   n, i, j, t, list) {
	n = split(values[key], list, " ")
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && list[j - 1] + 0 > list[j] + 0; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
	return list[int((n + 1) / 2)]
}
{
	key = $1 " " $2 " " $3 " " $4 " " $5
	values[key " rate"] = values[key " rate"] " " $6
	values[key " p50"] = values[key " p50"] " " $7
	values[key " cpu"] = values[key " cpu"] " " $8
}
END {
	printf "%-6s %-5s %7s %-5s %10s %7s %7s %8s %6s %6s\n", "sign", "cores", "clients", "conn", "requests/s", "p50 us", "cpu us", "bare us", "op us", "ratio"
	split("ecdsa hmac", ops, " "); split("1 8", ns, " "); split("kept each", hows, " "); split(one " " all, where, " ")
	for (w = 1; w <= 2; w++) for (o = 1; o <= 2; o++) for (n = 1; n <= 2; n++) for (h = 1; h <= 2; h++) {
		at = ops[o] " " where[w] " " ns[n] " " hows[h]
		op = median("op " ops[o] " 0 0 - cpu"); b = median("bare " at " cpu"); k = median("keyd " at " cpu")
		goal = hows[h] == "kept" && ops[o] == "ecdsa" && w == 1
		printf "%-6s %-5s %7d %-5s %10d %7d %7.1f %8.1f %6.1f %6.2f%s\n", ops[o], w == 1 ? "one" : "all", ns[n], hows[h],
			median("keyd " at " rate"), median("keyd " at " p50"), k, b, op, k / (b + op), goal ? "   goal 1.30" : ""
	}
}' "$T/samples"
