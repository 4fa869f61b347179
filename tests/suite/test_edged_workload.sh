#!/bin/bash
# Who is granted and who is refused on edged's sockets, with real containers in a real engine (issue 2, point 9).
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/suite/device.sh
. "$(dirname "$0")/device.sh"
need_root "a container engine" || exit 77
need_tool dockerd || exit 77
device_namespaces "$@"
cleanup() { device_engine_gone; }

suite_begin "callers of edged"
device_layout
device_engine
device_tpm
# shellcheck disable=SC2119
device_cloud || exit 1
device_config
# the agent only sleeps: the script acts through `docker exec`
sed -i 's/^Cmd = .*/Entrypoint = ["\/caller", "sleep"]/; s/^Cmd = \["agent"\]//' "$T/etc/edged/config.toml"
device_services
device_engine_ready || exit 1
cp "$BUILD/suite/caller" "$T/caller"
mkdir -p "$T/image"
cp "$T/caller" "$T/image/"
device_image || exit 1
device_edged
MNT=$T/state/edged/mnt SHARE=$T/share
mkdir -m 777 "$SHARE"
running() { [ "$(docker inspect -f '{{.State.Running}}' "$1" 2>/dev/null)" = true ]; }
wait_for 30 running edgeAgent
ok "edgeAgent runs" $?

SIGN='{"data":"aGVsbG8="}'
V=api-version=2018-06-28
agent() { docker exec edgeAgent /caller ask "$RUN/mgmt.sock" "$@"; }
in_a() { docker exec mod-a /caller "$@"; }
in_b() { docker exec mod-b /caller "$@"; }

module() { # module NAME ENTRYPOINT-JSON
	tr -d '\n' <<EOF
{"name":"$1","type":"docker","imagePullPolicy":"never","config":{"settings":{"image":"$IMAGE","createOptions":{"Entrypoint":$2,
"User":"1234:1234","HostConfig":{"Binds":["$MNT/$1.sock:/var/run/iotedge/workload.sock","$MNT:/mnt","$SHARE:/share",
"$RUN/workload.sock:/shared.sock"]}}},"env":[]}}
EOF
}
for m in mod-a mod-b; do
	like "the agent makes the identity of $m" "$(agent POST "/identities/?$V" "{\"moduleId\":\"$m\",\"managedBy\":\"IotEdge\"}")" '200 *generationId*'
	like "the agent creates $m" "$(agent POST "/modules?$V" "$(module $m "[\"/caller\",\"first\",\"/var/run/iotedge/workload.sock\",\"POST\",\"/modules/$m/genid/x/sign?$V\"]")")" '201 *'
	like "the agent starts $m" "$(agent POST "/modules/$m/start?$V")" '204*'
	wait_for 10 running $m
	ok "$m runs" $?
done

# --- granted
first() { docker logs "$1" 2>/dev/null | grep -q '^200 {"digest":'; }
wait_for 20 first mod-a
ok "granted: the container's first process: $(docker logs mod-a 2>&1 | head -1)" $?
like "granted: a docker exec child" "$(in_a ask /var/run/iotedge/workload.sock POST "/modules/mod-a/genid/x/sign?$V" "$SIGN")" '200 {"digest":*'
like "granted: on the shared socket" "$(in_a ask /shared.sock POST "/modules/mod-a/genid/x/sign?$V" "$SIGN")" '200 {"digest":*'
like "open: the trust bundle" "$(in_a ask /var/run/iotedge/workload.sock GET "/trust-bundle?api-version=2020-07-07")" '200 *BEGIN CERTIFICATE*'

# --- refused
http "$MNT/mod-a.sock" POST "/modules/mod-a/genid/x/sign?$V" "$SIGN"
answer "refused: a root process of the host" 403 '.message == "forbidden"'
http "$RUN/workload.sock" POST "/modules/mod-a/genid/x/sign?$V" "$SIGN"
answer "refused: a root process of the host, shared socket" 403
like "refused: another container on A's socket" "$(in_b ask /mnt/mod-a.sock POST "/modules/mod-a/genid/x/sign?$V" "$SIGN")" '403*'
like "refused: another container on the shared socket" "$(in_b ask /shared.sock POST "/modules/mod-a/genid/x/sign?$V" "$SIGN")" '403*'
like "refused: A as B on A's own socket" "$(in_a ask /var/run/iotedge/workload.sock POST "/modules/mod-b/genid/x/sign?$V" "$SIGN")" '403*'
like "refused: A as B on the shared socket" "$(in_a ask /shared.sock POST "/modules/mod-b/genid/x/sign?$V" "$SIGN")" '403*'
like "refused: A as B on B's socket" "$(in_a ask /mnt/mod-b.sock POST "/modules/mod-b/genid/x/sign?$V" "$SIGN")" '403*'
like "refused: a client that ended after connect" "$(in_a orphan /var/run/iotedge/workload.sock POST "/modules/mod-a/genid/x/sign?$V" "$SIGN")" '403*'
docker exec -d mod-b /caller give /mnt/mod-a.sock /share/meeting
wait_for 5 test -S "$SHARE/meeting"
like "refused: a connection made by another container and passed to A" "$(in_a take /share/meeting POST "/modules/mod-a/genid/x/sign?$V" "$SIGN")" '403*'

# --- bad input on the module's own socket and the shared one: nothing written, everybody alive
written() { find "$T/state/edged" "$MNT" -printf '%p %s %T@ %m\n' | LC_ALL=C sort; }
before=$(written)
bad_input "mod-a's socket" "$MNT/mod-a.sock" 2020-07-07 /modules/mod-a/genid/x/sign 403 403
bad_input "shared socket" "$RUN/workload.sock" 2020-07-07 /modules/mod-a/genid/x/sign 403 403
is "bad input: nothing was written" "$(written)" "$before"
like "bad input: the module is served" "$(in_a ask /var/run/iotedge/workload.sock POST "/modules/mod-a/genid/x/sign?$V" "$SIGN")" '200 {"digest":*'

# --- management: the agent's container only
http "$RUN/mgmt.sock" POST "/modules?$V" "$(module mod-c '["/caller","sleep"]')"
answer "refused: create by root of the host" 403
http "$RUN/mgmt.sock" DELETE "/modules/mod-a?$V"
answer "refused: delete by root of the host" 403
http "$RUN/mgmt.sock" GET "/modules?$V"
answer "open: list" 200 '[.modules[].name] | sort == ["edgeAgent", "mod-a", "mod-b"]'

# --- a container made anew under the same name, behind edged's back
docker rm -f mod-a >/dev/null
docker run -d --name mod-a --label net.azure-devices.edge.owner=Microsoft.Azure.Devices.Edge.Agent --entrypoint /caller \
	-v "$MNT/mod-a.sock:/var/run/iotedge/workload.sock" -v "$RUN/workload.sock:/shared.sock" "$IMAGE" sleep >/dev/null
like "refused: a container made anew under the same name" "$(in_a ask /var/run/iotedge/workload.sock POST "/modules/mod-a/genid/x/sign?$V" "$SIGN")" '403*'
like "refused: the same on the shared socket" "$(in_a ask /shared.sock POST "/modules/mod-a/genid/x/sign?$V" "$SIGN")" '403*'

# --- the workload process dies: nobody is refused, the next one serves
child=$(pgrep -P "$(pgrep -P "${PID[edged]}" | head -1)" | head -1)
confined "edged" "${PID[edged]}"
confined "workload process" "$child"
kill -9 "$child"
like "served again after the workload process died" "$(in_b ask /var/run/iotedge/workload.sock POST "/modules/mod-b/genid/x/sign?$V" "$SIGN")" '200 {"digest":*'

# --- it dies again and again: the next one follows later and later, but follows
spawner=$(pgrep -P "${PID[edged]}" | head -1)
another() { child=$(pgrep -P "$spawner" | head -1); [ -n "$child" ] && [ "$child" != "$1" ]; }
for n in 1 2 3 4; do
	wait_for 10 another "$child"
	kill -9 "$child"
done
status_is() { http "$RUN/mgmt.sock" GET "/status?$V" && jq -e "$1" <<<"$BODY"; }
wait_for 2 status_is '.ok == false and (.detail | test("workload process"))'
ok "status says that there is no workload process" $?
like "served again after it died four times" "$(in_b ask /var/run/iotedge/workload.sock POST "/modules/mod-b/genid/x/sign?$V" "$SIGN")" '200 {"digest":*'
wait_for 5 status_is .ok
ok "status is well again" $?

# --- the spawner dies: edged cannot have another, so it ends, and its supervisor starts it
kill -9 "$spawner"
wait_for 30 eval '! alive edged'
stop edged
is "spawner killed: edged's exit status" $? 1
device_edged
wait_for 30 running edgeAgent
ok "the next edged starts edgeAgent" $?
agent POST "/modules/mod-b/start?$V" >/dev/null
wait_for 10 running mod-b
like "and serves its modules" "$(in_b ask /var/run/iotedge/workload.sock POST "/modules/mod-b/genid/x/sign?$V" "$SIGN")" '200 {"digest":*'

# --- the engine hangs: status says so, and soon
kill -STOP "${PID[dockerd]}"
began=$SECONDS
http "$RUN/mgmt.sock" GET "/status?$V"
answer "engine hangs: status" 200 '.facts["container engine"] == "away"'
ok "engine hangs: status within 10 s" $((SECONDS - began > 10))
kill -CONT "${PID[dockerd]}"

# --- the engine goes away and comes back: nothing is lost
stop dockerd
http "$RUN/mgmt.sock" GET "/systeminfo?$V"
is "engine away: an error, not a hang" "$STATUS" 500
alive edged
ok "engine away: edged lives" $?
device_engine
device_engine_ready
listed() { http "$RUN/mgmt.sock" GET "/modules?$V"; [ "$STATUS" = 200 ]; }
wait_for 20 listed
ok "engine back: modules are listed" $?
wait_for 30 running edgeAgent
ok "engine back: edgeAgent is started again" $?
stop edged
is "edged ends in good order" $? 0
suite_end
