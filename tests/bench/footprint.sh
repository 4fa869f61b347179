#!/bin/bash
# footprint.sh - what a whole idle device weighs, process by process, against floor.c: the same processes with the same libraries
# and no product code.  Then the time from exec to the first signature, and the installed size.
#   SETTLE (12)  seconds before the first look; LOOKS (5), one second apart: medians are shown
#   STARTS (10)  starts of keyd, with and without its sandbox in turn
# Each set maps a copy of the libraries of its own: shared pages are divided among its processes and nobody else's, whatever
# runs on the machine beside them.
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/../suite/lib.sh"
# shellcheck source=tests/suite/device.sh
. "$(dirname "$0")/../suite/device.sh"
need_root "a whole device" || exit 0
need_tool dockerd && need_tool swtpm || exit 0
BUILD=$(realpath "$BUILD") BIN=$BUILD/bin
export BUILD
device_namespaces "$@"
cleanup() { device_engine_gone; }
suite_begin "footprint of a device"
LOOKS=${LOOKS:-5}

# Every library that a daemon maps or loads by name, the TCTI of the simulator too.
copy_libraries() { # copy_libraries DIRECTORY
	mkdir -m 755 "$1"
	for program in keyd identityd tpmd; do ldd "$BIN/$program"; done | awk '/=> \// {print $3}' | sort -u |
		xargs cp -Lt "$1"
	cp -L "$(ldconfig -p | awk '/libtss2-tcti-swtpm.so.0 / {print $NF; exit}')" "$1"
	chmod 755 "$1"/*
}

# --- a provisioned device with its edgeAgent and no module
mkdir -m 755 "$T/bin"
copy_libraries "$T/lib-ours"
copy_libraries "$T/lib-floor"
device_layout
device_engine
device_tpm
# shellcheck disable=SC2119
device_cloud || exit 1
device_config
sed -i 's/^Cmd = .*/Entrypoint = ["\/caller", "sleep"]/' "$T/etc/edged/config.toml"
mkdir -p "$T/image"
cp "$BUILD/suite/caller" "$T/image/"
device_engine_ready && device_image || exit 1
LD_LIBRARY_PATH=$T/lib-ours device_services
http "$RUN/identityd.sock" POST '/identities/device?api-version=2020-09-01' '{"type":"aziot"}'
[ "$STATUS" = 200 ] || { echo "FAIL the device is not provisioned: $BODY"; exit 1; }
LD_LIBRARY_PATH=$T/lib-ours device_edged
agent_runs() { [ "$(docker inspect -f '{{.State.Running}}' edgeAgent 2>/dev/null)" = true ]; }
wait_for 30 agent_runs || { echo "FAIL edgeAgent does not run"; tail -20 "$T/edged.log"; exit 1; }

# --- the floor of the same processes
start swtpm2 swtpm socket --tpm2 --tpmstate "dir=$(mkdir "$T/tpm2" && echo "$T/tpm2")" --server type=tcp,port=2331,bindaddr=127.0.0.1 \
	--ctrl type=tcp,port=2332,bindaddr=127.0.0.1 --flags not-need-init,startup-clear
floor() { # floor NAME PROGRAM ARGUMENT...
	local name=floor-$1 program=$2
	shift 2
	start "$name" env "LD_LIBRARY_PATH=$T/lib-floor" "$BUILD/bench/$program" "$@" "$T/$name.sock"
	wait_for 10 grep -q ready "$T/$name.log" || { echo "FAIL $name does not start"; cat "$T/$name.log"; exit 1; }
}
floor keyd floor
floor certd floor
floor identityd floor-identityd
floor tpmd floor-tpmd --tpm 2331
floor edged floor --spawner
floor workload floor

# --- looks
PROCESSES="keyd certd identityd tpmd edged spawner workload"
child() { pgrep -P "$1" | head -1; }
spawner=$(child "${PID[edged]}")
declare -A ours=([spawner]=$spawner [workload]=$(child "$spawner")) base=([spawner]=$(child "${PID[floor-edged]}"))
for p in keyd certd identityd tpmd edged; do ours[$p]=${PID[$p]}; done
for p in keyd certd identityd tpmd edged workload; do base[$p]=${PID[floor-$p]}; done
weigh() { awk '/^(Pss|Private_Dirty):/ {print $2}' "/proc/$1/smaps_rollup" | xargs; }
sleep "${SETTLE:-12}"
for ((i = 0; i < LOOKS; i++)); do
	sleep 1
	for p in $PROCESSES; do echo "$p $(weigh "${ours[$p]}") $(weigh "${base[$p]}")"; done
done >"$T/looks"
if [ -n "${MAPS:-}" ]; then
	mkdir -p "$MAPS"
	for p in $PROCESSES; do
		cp "/proc/${ours[$p]}/smaps" "$MAPS/$p.ours"
		cp "/proc/${base[$p]}/smaps" "$MAPS/$p.floor"
	done
fi
awk -v processes="$PROCESSES" '
function median(list,   v, n, i, j, t) {
	n = split(list, v, " ")
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
	return v[int((n + 1) / 2)]
}
{ for (i = 2; i <= 5; i++) values[$1, i] = values[$1, i] " " $i }
END {
	printf "%-10s %9s %9s %7s %12s %12s\n", "idle, kB", "PSS", "floor", "ratio", "priv. dirty", "floor"
	n = split(processes, p, " ")
	for (k = 1; k <= n; k++) {
		for (i = 2; i <= 5; i++) { m[i] = median(values[p[k], i]); sum[i] += m[i] }
		printf "%-10s %9d %9d %7.2f %12d %12d%s\n", p[k], m[2], m[4], m[2] / m[4], m[3], m[5], (m[3] > 2048 ? "   above" : "")
	}
	printf "%-10s %9d %9d %7.2f %12d %12d   goal 1.25; 2048 each\n", "all", sum[2], sum[4], sum[2] / sum[4], sum[3], sum[5]
}' "$T/looks"

# --- keyd, from exec to its first signature; the key is there already, as on any start but the first
for n in edged identityd certd tpmd keyd; do stop $n; done
V='api-version=2021-05-01'
device_daemon keyd "$(user 1)"
wait_socket keyd "$RUN/keyd.sock"
http "$RUN/keyd.sock" POST "/keypair?$V" '{"keyId":"first"}'
printf '{"keyHandle":%s,"algorithm":"ECDSA","parameters":{"digest":"%s"}}' "$(jq .keyHandle <<<"$BODY")" \
	"$(head -c 32 /dev/urandom | base64 -w0)" >"$T/sign"
stop keyd
for ((i = 0; i < ${STARTS:-10}; i++)); do
	for mode in kill off; do
		echo "$mode $("$BUILD/bench/first" "$RUN/keyd.sock" "/sign?$V" "$T/sign" "$BIN/keyd" --config "$T/etc/keyd/config.toml" \
			--config-dir "$T/none" --user "$(user 1)" --sandbox $mode 2>>"$T/first.log")"
	done
done >"$T/firsts"
for mode in kill off; do
	awk -v m=$mode '$1 == m && NF == 2 {print $2}' "$T/firsts" | sort -n |
		awk -v m=$mode '{v[NR] = $1} END {printf "keyd, --sandbox %-4s exec to first signature: %.1f ms (%.1f to %.1f, %d starts)   goal 50\n",
			m, v[int((NR + 1) / 2)], v[1], v[NR], NR}'
done

# --- installed
DESTDIR=$T/root BUILD=$BUILD "$TOP/packaging/install.sh"
find "$T/root" -type f -printf '%s %f\n' | sort -rn |
	awk '{sum += $1; if (NR <= 7) list = list sprintf(", %s %d", $2, $1 / 1024)} END {printf "installed: %d kB   goal 2048 (%s)\n", sum / 1024, substr(list, 3)}'
exit 0
