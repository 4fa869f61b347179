#!/bin/bash
# workload.sh - what a module waits for a signature of its workload socket: container, edged's workload process, identityd, keyd and back.
#   ROUNDS (5), SIGNS (500) of each kind in a round; the median round is shown
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/../suite/lib.sh"
# shellcheck source=tests/suite/device.sh
. "$(dirname "$0")/../suite/device.sh"
need_root "a container engine" || exit 0
need_tool dockerd && need_tool swtpm || exit 0
BUILD=$(realpath "$BUILD") BIN=$BUILD/bin
export BUILD
device_namespaces "$@"
cleanup() { device_engine_gone; }
suite_begin "signatures for a module"
device_layout
device_engine
device_tpm
# shellcheck disable=SC2119
device_cloud || exit 1
device_config
# the agent only sleeps: the script acts through `docker exec`
sed -i 's/^Cmd = .*/Entrypoint = ["\/caller", "sleep"]/' "$T/etc/edged/config.toml"
mkdir -p "$T/image"
cp "$BUILD/suite/caller" "$T/image/"
device_services
device_engine_ready && device_image || exit 1
device_edged
running() { [ "$(docker inspect -f '{{.State.Running}}' "$1" 2>/dev/null)" = true ]; }
need() { wait_for 30 running "$1" || { echo "FAIL $1 does not run"; tail -20 "$T/edged.log"; exit 1; }; }
need edgeAgent

V=api-version=2018-06-28
agent() { docker exec edgeAgent /caller ask "$RUN/mgmt.sock" "$@"; }
agent POST "/identities/?$V" '{"moduleId":"mod","managedBy":"IotEdge"}' >"$T/module.log"
agent POST "/modules?$V" '{"name":"mod","type":"docker","imagePullPolicy":"never","config":{"settings":{"image":"'$IMAGE'","createOptions":
{"Entrypoint":["/caller","sleep"],"User":"1234:1234","HostConfig":{"Binds":["'"$T"'/state/edged/mnt/mod.sock:/workload.sock"]}}},"env":[]}}' >>"$T/module.log"
agent POST "/modules/mod/start?$V" >>"$T/module.log"
need mod
for ((i = 0; i < ${ROUNDS:-5}; i++)); do
	for how in kept each; do
		echo "$how $(docker exec mod /caller bench /workload.sock POST "/modules/mod/genid/x/sign?$V" "${SIGNS:-500}" $how)"
	done
done >"$T/rounds"
for how in kept each; do
	awk -v how=$how '$1 == how && NF == 3' "$T/rounds" | sort -n -k2 |
		awk -v how=$how '{p50[NR] = $2; p99[NR] = $3} END {m = int((NR + 1) / 2)
			if (!NR) { print "FAIL no signature, connection " how; exit 1 }
			printf "workload sign in a container, connection %s: p50 %d us, p99 %d us (%d rounds)\n", how, p50[m], p99[m], NR}' || exit 1
done
exit 0
