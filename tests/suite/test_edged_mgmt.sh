#!/bin/bash
# test_edged_mgmt.sh - edged's management side on a whole device: start, edgeAgent, the API by the contract's table, who may call what,
# sockets over restarts, the engine away, purge, and the end (contracts/edged-management.md, edged-lifecycle.md).
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/suite/device.sh
. "$(dirname "$0")/device.sh"
# shellcheck source=tests/suite/engine.sh
. "$(dirname "$0")/engine.sh"
need_root "edged on an engine" || exit 77
for tool in dockerd docker curl jq busybox unshare; do need_tool $tool || exit 77; done
device_namespaces "$@"
suite_begin "edged: management"
cleanup() { device_engine_gone; }

BB=edgekeep-bb:1 M=$T/run/mgmt.sock V=api-version=2022-08-03
device_layout
device_engine
device_cloud --edge || { ok "cloudsim starts" 1; suite_end; }
device_tpm
device_config
engine_agent $BB
device_services
device_engine_ready || { ok "dockerd starts" 1; suite_end; }
engine_image $BB

# --- start
device_edged
wait_for 20 running edgeAgent
ok "edgeAgent runs" $?
running edgeAgent || suite_end
confined edged "${PID[edged]}"
inspect=$(docker inspect edgeAgent)
is "owner label" "$(jq -r '.[0].Config.Labels["net.azure-devices.edge.owner"]' <<<"$inspect")" Microsoft.Azure.Devices.Edge.Agent
is "labels the agent reads" "$(jq -c '.[0].Config.Labels | [.["net.azure-devices.edge.create-options"], .["net.azure-devices.edge.env"]]' <<<"$inspect")" '["{}","{}"]'
# shellcheck disable=SC2016 # the hub's own dollar
for e in EdgeDeviceHostName=press-07 IOTEDGE_APIVERSION=2022-08-03 IOTEDGE_AUTHSCHEME=sasToken IOTEDGE_DEVICEID=press-07 \
	"IOTEDGE_IOTHUBHOSTNAME=hub.demo:$PORT" 'IOTEDGE_MODULEID=$edgeAgent' "IOTEDGE_MANAGEMENTURI=unix://$M" \
	"IOTEDGE_WORKLOADLISTEN_MNTURI=unix://$T/state/edged/mnt" IOTEDGE_WORKLOADURI=unix:///var/run/iotedge/workload.sock \
	Mode=iotedged NetworkId=azure-iot-edge; do
	jq -e --arg e "$e" '.[0].Config.Env | index($e)' <<<"$inspect" >/dev/null
	ok "edgeAgent's environment: $e" $?
done
is "binds" "$(jq -c '.[0].HostConfig.Binds' <<<"$inspect")" "[\"$M:$M\",\"$T/state/edged/mnt/edgeAgent.sock:/var/run/iotedge/workload.sock\"]"
is "network" "$(jq -r '.[0].NetworkSettings.Networks | keys[]' <<<"$inspect")" azure-iot-edge
is "its socket" "$(stat -c '%F %a' "$T/state/edged/mnt/edgeAgent.sock")" "socket 666"
is "the sockets' directory" "$(stat -c %a "$T/state/edged/mnt")" 711
is "state digest" "$(cat "$T/state/edged/cache/provisioning_state")" \
	"$(printf '{"device_id":"press-07","gateway_host_name":"hub.demo:%s","hub_name":"hub.demo:%s"}' "$PORT" "$PORT" | openssl dgst -sha256 -binary | openssl base64)"

# --- open rows, from the host
http "$M" GET "/modules?$V"
answer "list" 200 '.modules | length == 1 and .[0].id == "id" and .[0].name == "edgeAgent" and .[0].status.runtimeStatus.status == "running"'
http "$M" GET "/modules/?api-version=2018-06-28"
answer "list as the diagnostics container asks" 200
http "$M" GET "/modules/edgeAgent?$V"
answer "get" 200 '.config.settings.image == "edgekeep-bb:1" and .config.env == [] and (.status.startTime | endswith("Z"))'
http "$M" GET "/modules/absent?$V"
answer "get what is not there" 404 '.message == "runtime operation error: get module \"absent\""'
http "$M" GET "/systeminfo?$V"
answer "systeminfo" 200 '.osType == "Linux" and .architecture == "x86_64" and .cpus > 0 and .total_memory > 0 and .server_version != null and .provisioning.type == "ProvisioningType"'
http "$M" GET "/systeminfo/resources?$V"
answer "resources" 200 '(.docker_stats | fromjson | length == 1) and .used_ram > 0 and (.disks | type == "array") and .host_uptime >= .process_uptime'
http "$M" GET "/systeminfo/resources?api-version=2018-06-28"
answer "resources before their version" 404 '.message == "not found"'
http "$M" GET "/identities/?$V"
answer "identities" 200 '.identities | type == "array"'
http "$M" GET "/status?$V"
answer "status" 200 '.ok and .daemon == "edged" and .modules[0].state == "running"'
http "$M" GET "/modules?api-version=2021-05-11"
answer "the version that upstream refuses" 400 '.message == "invalid api-version \"2021-05-11\""'
http "$M" GET /modules
answer "no version" 400 '.message == "api-version not specified"'
http "$M" PATCH "/modules?$V"
answer "unknown method" 400 '.message == "method not allowed"'

# --- guarded rows: a process of the host, root's too
spec='{"name":"m1","type":"docker","imagePullPolicy":"never","config":{"settings":{"image":"edgekeep-bb:1","createOptions":{"Cmd":["sh","-c","trap exit TERM; echo hello; while :; do sleep 1 & wait; done"],"HostConfig":{"Binds":["'$T'/state/edged/mnt/m1.sock:/w.sock"]}},"auth":{"username":"u","password":"topsecret"}},"env":[{"key":"A","value":"1"}]}}'
refused() { # refused WHAT METHOD TARGET [BODY]
	http "$M" "$2" "$3" "${4-}"
	answer "$1, from the host" 403 '. == {"message":"forbidden"}'
}
refused "create" POST "/modules?$V" "$spec"
refused "replace" PUT "/modules/m1?$V" "$spec"
refused "delete" DELETE "/modules/edgeAgent?$V"
refused "prepare" POST "/modules/m1/prepareupdate?$V" "$spec"
refused "new identity" POST "/identities?$V" '{"moduleId":"m1"}'
refused "changed identity" PUT "/identities/m1?$V" '{}'
refused "identity's end" DELETE "/identities/m1?$V"
refused "reprovision" POST "/device/reprovision?$V"
http "$M" POST "/modules?$V" '{"name":'
answer "JSON before authorization" 422
is "nothing was made" "$(docker ps -aq | wc -l)" 1

# --- the same from edgeAgent's container, an exec'd process of which this is
agent_http POST "/identities?$V" '{"moduleId":"m1","managedBy":"IotEdge"}'
answer "new identity" 200 '.moduleId == "m1" and .managedBy == "IotEdge" and .authType == "sas" and (.generationId | length > 0)'
agent_http PUT "/identities/m1?$V" '{"generationId":"x"}'
answer "changed identity" 200 '.moduleId == "m1" and .managedBy == "iotedge"'
agent_http GET "/identities/?$V"
answer "identities" 200 '[.identities[].moduleId] | contains(["m1"])'
agent_http POST "/modules/m1/prepareupdate?$V" "$spec"
answer "prepare" 204
agent_http POST "/modules/m2/prepareupdate?$V" "$spec"
answer "prepare under another name" 400 '.message == "module name in spec does not match URI"'
agent_http POST "/modules?$V" "$spec"
answer "create" 201 '.name == "m1" and .status.runtimeStatus.status == "stopped" and .config.settings.image == "edgekeep-bb:1" and .config.env == [{"key":"A","value":"1"}]'
[[ $BODY != *topsecret* ]]
ok "create does not echo credentials" $?
is "create starts nothing" "$(state m1)" created
[ ! -e "$T/state/edged/mnt/m1.sock" ]
ok "create makes no socket" $?
agent_http POST "/modules?$V" "$spec"
answer "create again" 409 '.message == "runtime operation error: create module \"m1\""'
http "$M" POST "/modules/m1/start?$V"
answer "start, an open row" 204
is "it runs" "$(state m1)" running
inode=$(stat -c %i "$T/state/edged/mnt/m1.sock")
inside=$(docker exec m1 busybox stat -c %i /w.sock 2>&1)
is "it has its socket" "$inside" "$inode"
http "$M" POST "/modules/m1/start?$V"
answer "start again" 204
is "and its socket is the same (B1)" "$(stat -c %i "$T/state/edged/mnt/m1.sock")" "$inode"
http "$M" POST "/modules/m1/Restart?$V"
answer "restart, in any case" 204
is "and its socket is the same" "$(stat -c %i "$T/state/edged/mnt/m1.sock")" "$inode"
wait_for 5 running m1

# another container is not edgeAgent
out=$(docker run --rm -v "$M:$M" $BB curl -sS -w '\n%{http_code}' -X POST --unix-socket "$M" "http://x/device/reprovision?$V")
is "another container is refused" "${out##*$'\n'}" 403
# edgeAgent's own first process: the shell becomes it by a container of the same name
docker stop -t 1 edgeAgent >/dev/null
wait_for 20 running edgeAgent
ok "a stopped edgeAgent is started again" $?

# --- names that could leave their place (A1), and containers of somebody else (A3)
docker run -d --name foreign $BB sh -c 'trap exit TERM; while :; do sleep 1 & wait; done' >/dev/null
for n in m1%2Fexport%3F ..%2Finfo m1%3Ft=1 %2e%2e -m a "m%00"; do
	http "$M" GET "/modules/$n/logs?$V"
	like "logs of $n" "$STATUS" "40[04]"
	http "$M" POST "/modules/$n/stop?$V"
	like "stop of $n" "$STATUS" "40[04]"
done
for verb in stop start restart; do
	http "$M" POST "/modules/foreign/$verb?$V"
	answer "$verb of somebody else's container" 404
done
http "$M" GET "/modules/foreign/logs?$V"
answer "logs of somebody else's container" 404
agent_http DELETE "/modules/foreign?$V"
answer "delete of somebody else's container" 404
is "it still runs" "$(state foreign)" running
http "$M" POST "/modules/$(docker inspect -f '{{.Id}}' m1 | cut -c1-12)/stop?$V"
answer "an id is no name" 404
is "m1 still runs" "$(state m1)" running
docker rm -f foreign >/dev/null

# --- logs: the engine's frames unchanged
http "$M" GET "/modules/m1/logs?$V&tail=1" "" -o "$T/logs"
is "logs: status" "$STATUS" 200
is "logs: frame" "$(head -c 14 "$T/logs" | od -An -tx1 | tr -d ' ')" "010000000000000668656c6c6f0a"
http "$M" GET "/modules/m1/logs?$V&tail=x"
answer "logs: tail" 400 '.message == "invalid parameter: tail"'
http "$M" GET "/modules/m1/logs?$V&since=yesterday"
answer "logs: since" 400 '.message == "invalid parameter: since"'
http "$M" GET "/modules/m1/logs?$V&follow=1"
answer "logs: follow" 400 '.message == "invalid parameter: follow"'
start follower curl -sN --max-time 120 --unix-socket "$M" "http://x/modules/m1/logs?$V&follow=true" -o "$T/follow"
heard() { [ "$(head -c 14 "$T/follow" | od -An -tx1 | tr -d ' ')" = 010000000000000668656c6c6f0a ]; }
wait_for 5 heard
ok "logs: a follower hears at once" $?
alive follower
ok "logs: and goes on listening" $?
stop follower

# --- replacing; edgeAgent gets its answer before it is stopped
agent_http PUT "/modules/m1?$V&start=true" "${spec/\"value\":\"1\"/\"value\":\"2\"}"
answer "replace" 201 '.status.runtimeStatus.status == "running"'
is "the new one" "$(docker inspect m1 | jq -r '.[0].Config.Env[] | select(startswith("A="))')" A=2
is "runs" "$(state m1)" running
is "with its socket" "$(docker exec m1 busybox stat -c %i /w.sock)" "$(stat -c %i "$T/state/edged/mnt/m1.sock")"
agent_http PUT "/modules/m1?$V&start=yes" "$spec"
answer "replace: start" 400 '.message == "invalid parameter: start"'
agent_http PUT "/modules/absent?$V" "$spec"
answer "replace what is not there" 404
old=$(docker inspect -f '{{.Id}}' edgeAgent)
self=$(docker inspect edgeAgent | jq -c '.[0] | {name:"edgeAgent",type:"docker",imagePullPolicy:"never",config:{settings:{image:.Config.Image,createOptions:{Cmd:.Config.Cmd,HostConfig:{Binds:.HostConfig.Binds}}},env:[]}}')
agent_http PUT "/modules/edgeAgent?$V&start=true" "$self"
answer "edgeAgent replaces itself" 201
other() { # in one look: between two the old one may be gone and the other not yet there
	local now
	now=$(docker inspect -f '{{.State.Status}} {{.Id}}' edgeAgent) && [ "${now% *}" = running ] && [ "${now#* }" != "$old" ]
}
wait_for 20 other
ok "and another one runs" $?
agent_http POST "/modules/m1/prepareupdate?$V" "$spec"
answer "and may call" 204
# its first process may, too: an agent that is nothing but one call, and then sleeps
old=$(docker inspect -f '{{.Id}}' edgeAgent)
first=$(jq -c --arg m "$M" --arg t "/identities/m1?$V" '.config.settings.createOptions += {Cmd:null,Entrypoint:["/bin/caller","first",$m,"PUT",$t,"{}"]}' <<<"$self")
agent_http PUT "/modules/edgeAgent?$V&start=true" "$first"
answer "edgeAgent replaces itself again" 201
wait_for 20 other
called() { docker logs edgeAgent 2>&1 | grep -q '^200 '; }
wait_for 10 called
ok "a first process is granted: $(docker logs edgeAgent 2>&1 | head -1)" $?

# --- bad specs
while IFS='|' read -r what body status; do
	agent_http POST "/modules?$V" "$body"
	answer "$what" "$status" '.message | length > 0'
done <<'ROWS'
no body||400
blank name|{"name":" ","type":"docker","config":{"settings":{"image":"x"}}}|400
no image|{"name":"m3","type":"docker","config":{"settings":{}}}|400
another type|{"name":"m3","type":"moon","config":{"settings":{"image":"x"}}}|500
no config|{"name":"m3","type":"docker"}|422
duplicate env|{"name":"m3","type":"docker","config":{"settings":{"image":"x"},"env":[{"key":"A","value":"1"},{"key":"A","value":"2"}]}}|400
bad policy|{"name":"m3","type":"docker","imagePullPolicy":"often","config":{"settings":{"image":"x"}}}|400
another case|{"name":"m3","type":"docker","imagePullPolicy":"never","config":{"settings":{"image":"edgekeep-bb:1","createOptions":{"HostConfig":{"privileged":true}}}}}|400
image absent|{"name":"m3","type":"docker","imagePullPolicy":"never","config":{"settings":{"image":"absent:1"}}}|404
bad name|{"name":"a/b","type":"docker","imagePullPolicy":"never","config":{"settings":{"image":"edgekeep-bb:1"}}}|400
ROWS
is "none of them was made" "$(docker ps -a --format '{{.Names}}' | sort | tr '\n' ' ')" "edgeAgent m1 "

# --- the workload process dies: nobody is refused
child() { pgrep -P "$(pgrep -P "${PID[edged]}" | head -1)" | head -1; }
first=$(child)
[ -n "$first" ]
ok "there is a workload process" $?
confined "workload" "$first"
kill -9 "$first"
docker exec m1 curl -sS --max-time 20 -o /dev/null --unix-socket /w.sock "http://x/modules?$V"
ok "a module's call waits for the next one" $?
second() { [ -n "$(child)" ] && [ "$(child)" != "$first" ]; }
wait_for 10 second
ok "there is another one" $?

# --- delete
agent_http DELETE "/modules/m1?$V"
answer "delete" 204
is "it is gone" "$(state m1)" ""
[ ! -e "$T/state/edged/mnt/m1.sock" ]
ok "and its socket" $?
agent_http DELETE "/modules/m1?$V"
answer "delete again" 404
agent_http DELETE "/identities/m1?$V"
answer "identity's end" 204

# --- the engine goes away and comes back
http "$M" GET "/status?$V"
answer "status tells the engine's own version" 200 ".facts[\"container engine\"] == \"$(docker version -f '{{.Server.Version}}'), API 1.41\""
stop dockerd
away() { http "$M" GET "/status?$V" && jq -e '.ok == false and (.detail | test("engine|container|runtime"))' <<<"$BODY"; }
wait_for 70 away
ok "status says that the engine is away" $?
is "and so does the fact" "$(jq -r '.facts["container engine"]' <<<"$BODY")" away
http "$M" GET "/modules?$V"
answer "list without an engine" 500 '.message == "runtime operation error: list modules"'
alive edged
ok "edged lives" $?
rm -f "$T/docker.pid"
device_engine
device_engine_ready
# edged has seen its agent end many times by now, and takes up to a minute between looks
wait_for 60 running edgeAgent
ok "edgeAgent runs again" $?
well() { http "$M" GET "/status?$V" && jq -e .ok <<<"$BODY"; }
wait_for 60 well
ok "status is well again" $?

# --- no engine, or one that edged may not ask, at edged's start: it waits, says what for, and goes on by itself
absent() { http "$M" GET "/status?$V" && jq -e ".ok == false and (.detail | test(\"$1\"))" <<<"$BODY"; }
stop edged
mv "$ENGINE" "$ENGINE.away"
device_edged
wait_for 30 absent "docker.sock does not answer.*No such file"
ok "started without the engine's socket: status says so" $?
mv "$ENGINE.away" "$ENGINE"
wait_for 40 running edgeAgent
ok "the socket is there: edgeAgent runs" $?
stop edged
chown 0:0 "$ENGINE"
device_edged
wait_for 30 absent "docker.sock does not answer.*Permission denied"
ok "started without the right to ask: status says so" $?
chown "0:$((UID0 + 6))" "$ENGINE"
wait_for 40 running edgeAgent
ok "the right is given: edgeAgent runs" $?
wait_for 60 well
ok "and all is well" $?

# --- end, start, purge
agent_http POST "/modules?$V" "$spec"
answer "a module for the purge" 201
http "$M" POST "/modules/m1/start?$V"
stop edged
is "edged's exit status" $? 0
is "modules stopped" "$(docker ps -q | wc -l)" 0
device_edged
wait_for 20 running edgeAgent
ok "the next edged starts edgeAgent" $?
is "the same device keeps its modules" "$(state m1)" exited
stop edged
echo changed >"$T/state/edged/cache/provisioning_state"
chown "$((UID0 + 5))" "$T/state/edged/cache/provisioning_state"
device_edged
wait_for 20 running edgeAgent
ok "another device starts edgeAgent" $?
is "another device's modules are gone" "$(state m1)" ""

# --- reprovision: answer, then exit status 154
agent_http POST "/device/reprovision?$V"
answer "reprovision" 204
wait "${PID[edged]}"
is "exit status" $? 154
unset "PID[edged]"
[ ! -e "$T/state/edged/cache/provisioning_state" ]
ok "the next start will purge" $?

# --- what each of its processes cannot do (architecture.md 4)
if [ -z "$INSTRUMENTED" ]; then
	probe=$("$BIN/edged" --config "$T/etc/edged/config.toml" --config-dir /nonexistent --user "$(user 5 1 2 3 6)" --sandbox-probe 2>&1)
	is "probe: exit status" $? 0
	for row in "edged exec" "edged fork" "edged code" "edged ptrace" "edged shadow" "edged inet" "edged io_uring" "edged bpf" "edged keyctl" \
		"edged userns" "edged: workload exec" "edged: workload fork" "edged: workload code" "edged: workload ptrace" \
		"edged: workload shadow" "edged: workload inet" "edged: workload unix" "edged: workload engine" "edged: workload io_uring" \
		"edged: workload bpf" "edged: workload keyctl" "edged: workload userns" "edged: spawner ptrace" "edged: spawner inet" \
		"edged: spawner unix" "edged: spawner engine" "edged: spawner io_uring" "edged: spawner bpf" "edged: spawner keyctl" \
		"edged: spawner userns"; do
		grep -qx "$row refused" <<<"$probe"
		ok "probe: $row refused" $?
	done
	for row in "edged unix" "edged engine" "edged own-dir"; do
		grep -qx "$row allowed" <<<"$probe"
		ok "probe: $row allowed" $?
	done
fi

# --- bad configuration
sed -i 's/^name = "edgeAgent"/name = "agent"/' "$T/etc/edged/config.toml"
"$BIN/edged" --config "$T/etc/edged/config.toml" --config-dir /nonexistent --user "$(user 5)" >"$T/bad.out" 2>&1
is "bad configuration" $? 153
grep -q 'agent.name' "$T/bad.out"
ok "and it says what" $?
suite_end
