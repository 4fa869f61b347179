#!/bin/bash
# identityd with a real keyd and a simulated cloud over TLS: identities of the device and its modules (contracts/identityd.md).
# shellcheck disable=SC2016
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/identity.sh"
suite_begin "identityd, keyd and a simulated cloud"
for tool in jq curl openssl; do need_tool $tool || exit 77; done
identity_layout
cloud_start cloud --edge --device dev-manual="$(base64 -w0 "$T/device-key")"
keyd_start

V='api-version=2020-09-01'
api() { # api METHOD TARGET [BODY]
	local query='?'
	[ "${2#*\?}" = "$2" ] || query='&'
	http "$RUN/identityd.sock" "$1" "$2$query$V" "${3-}"
}
device() { api POST /identities/device '{"type":"aziot"}'; }
# The key that a handle stands for, as keyd tells it
exported() {
	http "$RUN/keyd.sock" POST "/derivedkey/export?$V" "$(jq -nc --arg h "$1" '{keyHandle: $h}')"
	jq -r .key <<<"$BODY"
}
derived() { printf %s "$1" | hmac_file "$T"/state/keyd/keys/aziotidentitydmasterid-*.key; }

# --- provisioning by DPS, symmetric key
identityd_config dps
identityd_start
device
answer "device identity" 200 '.type == "aziot" and .spec.deviceId == "press-07" and .spec.hubName == .spec.gatewayHost and .spec.auth.type == "sas"'
ok "its answer is of 16 to 4096 bytes (client-facts.md 3)" $((${#BODY} < 16 || ${#BODY} > 4096))
is "no member more" "$(jq -c '[.spec | keys[]] + [.spec.auth | keys[]]' <<<"$BODY")" '["auth","deviceId","gatewayHost","hubName","keyHandle","type"]'
HANDLE=$(jq -r .spec.auth.keyHandle <<<"$BODY")
http "$RUN/keyd.sock" POST "/sign?$V" "$(jq -nc --arg h "$HANDLE" '{keyHandle: $h, algorithm: "HMAC-SHA256", parameters: {message: "eA=="}}')"
is "the handle signs with the device key" "$(jq -r .signature <<<"$BODY")" \
	"$(printf x | hmac_file "$T/device-key")"
api GET /identities/identity
answer "caller's identity" 200 '.spec.deviceId == "press-07" and (.spec | has("moduleId") | not)'
http "$RUN/identityd.sock" GET '/identities/provisioning?api-version=2021-12-01'
is "provisioning info" "$BODY" "{\"source\":\"dps\",\"auth\":\"symmetric_key\",\"endpoint\":\"https://localhost:$PORT/\",\"scope_id\":\"$SCOPE\",\"registration_id\":\"press-07\",\"payload\":null}"
is "device_info" "$(cat "$T/state/identityd/device_info")" "$(printf 'hub_name = "localhost:%s"\nlocal_gateway_hostname = "localhost:%s"\ndevice_id = "press-07"' "$PORT" "$PORT")"
is "its mode" "$(stat -c %a "$T/state/identityd/device_info")" 600
is "the cloud's verdicts" "$(jq -r .verdict "$T/cloud.jsonl" | sort -u)" accepted
# a sanitizer's build has no policy
! is_root || confined identityd "${PID[identityd]}"

# --- modules
api POST /identities/modules '{"type":"aziot","moduleId":"$m-1.a"}'
answer "create" 200 '.type == "aziot" and .spec.moduleId == "$m-1.a" and .spec.auth.type == "sas" and (.spec.genId | length) > 0'
GEN=$(jq -r .spec.genId <<<"$BODY") HANDLE=$(jq -r .spec.auth.keyHandle <<<"$BODY") CREATED=$BODY
is "the handle is of the primary key" "$(exported "$HANDLE")" "$(derived "\$m-1.a:$GEN:primary")"
is "the hub has that key" "$(hub_module press-07 '$m-1.a' | jq -r .authentication.symmetricKey.primaryKey)" "$(derived "\$m-1.a:$GEN:primary")"
is "and the other" "$(hub_module press-07 '$m-1.a' | jq -r .authentication.symmetricKey.secondaryKey)" "$(derived "\$m-1.a:$GEN:secondary")"
BACKUP=$T/state/identityd/modules/$(printf 'localhost:%s' "$PORT" | sha256sum | cut -c1-64)-$(printf press-07 | sha256sum | cut -c1-64)/m1a-$(printf '$m-1.a' | sha256sum | cut -c1-64)
is "backup" "$(cat "$BACKUP")" "{\"moduleId\":\"\$m-1.a\",\"deviceId\":\"press-07\",\"generationId\":\"$GEN\"}"
api POST /identities/modules '{"type":"aziot","moduleId":"$m-1.a"}'
is "create again gives the same" "$BODY" "$CREATED"
for path in '%24m-1.a' '$m-1.a'; do
	api GET "/identities/modules/$path?type=aziot"
	is "get $path" "$BODY" "$CREATED"
	api PUT "/identities/modules/$path?type=aziot" '{}'
	is "update $path" "$BODY" "$CREATED"
done
api GET '/identities/modules?type=aziot'
answer "list" 200 '[.identities[].spec.moduleId] | sort == ["$edgeAgent", "$edgeHub", "$m-1.a"]'
answer "list, without auth" 200 '[.identities[].spec | has("auth")] | any | not'
api PUT '/identities/modules/$edgeAgent?type=aziot' '{"type":"aziot","moduleId":"$edgeAgent"}'
answer "update of the hub's own module" 200 '.spec.moduleId == "$edgeAgent"'
is "managedBy is kept" "$(hub_module press-07 '$edgeAgent' | jq -r .managedBy)" IotEdge
api DELETE '/identities/modules/$m-1.a?type=aziot'
answer "delete" 204
test ! -e "$BACKUP"
ok "the backup is gone" $?
api GET '/identities/modules/$m-1.a?type=aziot'
answer "get of a deleted one" 400 '.message == "module identity not found"'
api DELETE '/identities/modules/$m-1.a?type=aziot'
answer "delete of a deleted one" 400 '.message == "module identity not found"'

# --- a module that somebody deletes in the hub (R8), and a hub that is away
api POST /identities/modules '{"type":"aziot","moduleId":"m2"}'
M2=$BODY
fault '"drop:times=0"'
api GET '/identities/modules/m2?type=aziot'
is "offline: from the backup" "$BODY" "$M2"
api GET '/identities/modules/m9?type=aziot'
answer "offline: unknown here" 404 '.message | startswith("Hub client error\ncaused by: ")'
fault '"500:times=0"'
api GET '/identities/modules/m2?type=aziot'
is "hub answers 500: from the backup" "$BODY" "$M2"
faults_clear
registry DELETE press-07 /m2
api GET '/identities/modules/m2?type=aziot'
answer "deleted in the hub" 400 '.message == "module identity not found"'
fault '"drop:times=0"'
api GET '/identities/modules/m2?type=aziot'
answer "and not served from a backup either" 404
faults_clear

# --- a creation that is cut short between its two steps
fault '"drop:step=update,times=0"'
api POST /identities/modules '{"type":"aziot","moduleId":"m3"}'
answer "second step fails" 404
faults_clear
stop identityd KILL
identityd_start
GEN=$(hub_module press-07 m3 | jq -r .generationId)
api GET '/identities/modules/m3?type=aziot'
answer "after a restart the module is there" 200
is "and the hub has our key" "$(hub_module press-07 m3 | jq -r .authentication.symmetricKey.primaryKey)" "$(derived "m3:$GEN:primary")"
is "with the generation that it had" "$(jq -r .spec.genId <<<"$BODY")" "$GEN"

# --- one slow answer holds up nobody (P2)
fault '"hang:step=get"'
api GET '/identities/modules/m3?type=aziot' >/dev/null &
SLOW=$!
hangs() { tail -1 "$T/cloud.jsonl" | grep -q '"fault":"hang"'; }
wait_for 5 hangs
device
answer "device identity meanwhile" 200
api PUT '/identities/modules/$edgeHub?type=aziot' '{}'
answer "another module meanwhile" 200
kill -0 $SLOW 2>/dev/null
ok "while the slow one still waits" $?
kill $SLOW 2>/dev/null
wait $SLOW 2>/dev/null
faults_clear

# --- who may
if need_root "callers of other uids"; then
	identityd_config dps "[[principal]]
uid = $(user 6 | cut -d: -f1)
name = \"hostmod\"
idtype = [\"module\"]
[[principal]]
uid = $(user 7 | cut -d: -f1)
name = \"edge\""
	kill -HUP "${PID[identityd]}"
	has_hostmod() { hub_module press-07 hostmod | grep -q hostmod; }
	has_no_hostmod() { ! has_hostmod; }
	wait_for 5 has_hostmod
	ok "SIGHUP: the new principal's module is made" $?
	as() { # as USER METHOD TARGET [BODY]
		local who=$1
		shift
		HTTP_AS="setpriv --reuid $((UID0 + who)) --regid $((UID0 + who)) --groups $((UID0 + 3))" api "$@"
	}
	as 6 GET /identities/identity
	answer "module by host process" 200 '.spec.moduleId == "hostmod"'
	as 6 POST /identities/device '{"type":"aziot"}'
	answer "device by host process" 401 '.message == "authorization error"'
	as 6 GET '/identities/modules/m3?type=aziot'
	answer "another module by host process" 401
	as 6 POST /identities/device/reprovision
	answer "reprovision by host process" 401
	as 7 POST /identities/device '{"type":"aziot"}'
	answer "device by the daemon principal" 200
	as 8 POST /identities/device '{"type":"aziot"}'
	answer "device by a stranger" 401
	as 8 GET /trust-bundle
	answer "trust bundle by a stranger" 200 '. == {"certificate": ""}'
	identityd_config dps
	kill -HUP "${PID[identityd]}"
	wait_for 5 has_no_hostmod
	ok "SIGHUP: a principal is gone, and its module with it" $?
	test -n "$(hub_module press-07 m3)"
	ok "other modules stay" $?
	echo 'nonsense = ' >"$T/etc/identityd/config.d/x.toml"
	kill -HUP "${PID[identityd]}"
	device
	answer "SIGHUP with a broken file changes nothing" 200
	rm "$T/etc/identityd/config.d/x.toml"
fi

# --- bad input: the contract's status, nothing written
before=$(cd "$T/state/identityd" && find . -printf '%p %T@ %i\n' | sort)
api POST /identities/device '{"type"'
answer "half a document" 422
api POST /identities/modules '{"type":"aziot","moduleId":"../../../etc/x"}'
answer "a path for a name" 400
api GET '/identities/modules/a%2Fb?type=aziot'
answer "a path for a name in the path" 400
api PATCH /identities/device
answer "method" 400 '.message == "method not allowed"'
http "$RUN/identityd.sock" GET '/identities/identity?api-version=2031-01-01'
answer "version" 400
api POST /identities/modules "{\"type\":\"aziot\",\"moduleId\":\"$(printf 'x%.0s' {1..300})\"}"
answer "over-long name" 400
is "nothing written" "$(cd "$T/state/identityd" && find . -printf '%p %T@ %i\n' | sort)" "$before"

# --- manual provisioning; offline from the first moment
stop identityd
is "SIGTERM" $? 0
rm -rf "$T/state/identityd"/*
identityd_config manual
fault '"drop:times=0"'
identityd_start
device
answer "manual, hub away" 200 '.spec.deviceId == "dev-manual"'
http "$RUN/identityd.sock" GET '/identities/provisioning?api-version=2021-12-01'
is "manual: provisioning info" "$BODY" '{"source":"manual","auth":"sas"}'
faults_clear
api POST /identities/modules '{"type":"aziot","moduleId":"m1"}'
answer "manual: module" 200
stop identityd
is "SIGTERM again" $? 0

# --- SIGTERM while the cloud is silent
identityd_start
fault '"hang:times=0"'
for _ in 1 2 3; do
	(HTTP_TIMEOUT=20 api POST /identities/device/reprovision) &
	(HTTP_TIMEOUT=20 api GET '/identities/modules?type=aziot') &
done
wait_for 5 hangs
sleep 0.3
BEGIN=$SECONDS
stop identityd
is "SIGTERM in the middle" $? 0
ok "in bounded time" $((SECONDS - BEGIN > 30))
faults_clear

# --- never provisioned: served all the same, and never gone
identityd_config dps
rm -rf "$T/state/identityd"/*
sed -i 's/registration_id = .*/registration_id = "stranger"/' "$T/etc/identityd/config.toml"
identityd_start
http "$RUN/identityd.sock" GET "/trust-bundle?$V"
answer "unknown registration: serving" 200
device
answer "unknown registration: why" 404 '.message | startswith("the device has no identity yet\ncaused by: DPS client error\ncaused by: ")'
alive identityd
ok "alive" $?
http "$RUN/identityd.sock" GET "/status?$V"
answer "status says so" 200 '.ok == false and (.detail | contains("DPS client error"))'
sleep 3.5
identityd_config dps
kill -HUP "${PID[identityd]}"
provisioned() { device && [ "$STATUS" = 200 ]; }
wait_for 3 provisioned
ok "SIGHUP with the right one ends the waiting" $?
identityd_config none
stop identityd
rm -rf "$T/state/identityd"/*
identityd_start
device
answer "source none" 400 '.message == "device identity not found"'
stop identityd

# --- local identities: keys and certificates by certd, without any cloud
certd_start loc1 loc2
identityd_config none '[localid]
domain = "plant.test"
[[principal]]
uid = 4711
name = "loc1"
idtype = ["local"]
localid = { type = "x509", attributes = "server" }'
identityd_start
local_identity() { # local_identity WHAT CN PURPOSE: the last answer, judged by openssl
	answer "$1" 200 '.type == "local" and (.spec | keys) == ["auth", "moduleId"] and (.spec.auth | keys) == ["certificate", "expiration", "privateKey"]'
	jq -r .spec.auth.certificate <<<"$BODY" >"$T/local.crt"
	jq -r .spec.auth.privateKey <<<"$BODY" >"$T/local.key"
	is "$1: key" "$(openssl pkey -in "$T/local.key" -pubout)" "$(openssl x509 -in "$T/local.crt" -noout -pubkey)"
	is "$1: kind of key" "$(head -1 "$T/local.key") $(openssl pkey -in "$T/local.key" -noout -text | head -1)" \
		"-----BEGIN PRIVATE KEY----- Private-Key: (2048 bit, 2 primes)"
	is "$1: subject" "$(openssl x509 -in "$T/local.crt" -noout -subject)" "subject=CN = $2"
	is "$1: purpose" "$(openssl x509 -in "$T/local.crt" -noout -ext extendedKeyUsage | sed -n 's/^ *//;2p')" "$3"
	is "$1: usage" "$(openssl x509 -in "$T/local.crt" -noout -ext keyUsage | sed -n 's/^ *//;2p')" "Digital Signature, Non Repudiation, Key Encipherment"
	is "$1: expiration" "$(jq -r .spec.auth.expiration <<<"$BODY")" \
		"$(date -u -d "$(openssl x509 -in "$T/local.crt" -noout -enddate | cut -d= -f2)" +%FT%T+00:00)"
	openssl verify -CAfile "$T/local-ca.pem" "$T/local.crt" >/dev/null 2>&1
	ok "$1: verifies" $?
}
api GET '/identities/modules/loc1?type=local'
local_identity "local principal" loc1.press-07.plant.test "TLS Web Client Authentication, TLS Web Server Authentication"
api POST /identities/modules '{"type":"local","moduleId":"loc2"}'
local_identity "local module" loc2.press-07.plant.test "TLS Web Client Authentication"
api POST /identities/modules '{"type":"local","moduleId":"loc1"}'
answer "name of a principal" 400 '.message | endswith("local identity for loc1 already exists")'
api GET '/identities/modules/loc2?type=local'
answer "no principal" 400 '.message | endswith("local identity for loc2 doesn'"'"'t exist")'
api POST /identities/modules '{"type":"local","moduleId":"loc3"}'
answer "certd has no rule" 500 '.message == "internal error"'
stop identityd

# --- probe, check
if [ -z "$INSTRUMENTED" ] && need_root "the sandbox"; then
	"$BIN/identityd" --config "$T/etc/identityd/config.toml" --config-dir "$T/none" --user "$(user 3)" --sandbox-probe >"$T/probe" 2>/dev/null
	is "--sandbox-probe" $? 0
	# the declared table: the network, other daemons' sockets, name services as libraries; nothing else beyond its own directory
	is "what the probe may do" "$(awk '$3 == "allowed" {print $2}' "$T/probe" | sort | xargs)" "code inet own-dir unix"
	is "what the probe may not do" "$(awk '$3 == "refused" {print $2}' "$T/probe" | grep -cE '^(exec|fork|ptrace|shadow|io_uring|bpf|keyctl|userns)$')" 8
fi
"$BIN/identityd" --config "$T/etc/identityd/config.toml" --config-dir "$T/none" --check
is "--check, good" $? 0
printf 'hostname = "h"\nhomedir = 7\n' >"$T/bad.toml"
"$BIN/identityd" --config "$T/bad.toml" --config-dir "$T/none" --check 2>"$T/check"
is "--check, bad" $? 1
like "--check names file and key" "$(cat "$T/check")" '*bad.toml:2*homedir*'
suite_end
