#!/bin/bash
# The simulated cloud, judged by curl with signatures made by openssl: one row per verdict (contracts/cloud-dps.md, cloud-iothub.md).
# shellcheck disable=SC2016,SC2317
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
suite_begin "cloudsim: DPS and hub registry"
need_tool curl && need_tool jq && need_tool openssl || exit 77

SIM=$BIN/edgekeep-cloudsim
SCOPE=0ne00ABC123
KEY=$(openssl rand -base64 32) KEY2=$(openssl rand -base64 32) OTHER=$(openssl rand -base64 32)
# known answer of cloud-dps.md 3
GROUP='8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=='
MEMBER=sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6 MEMBER_KEY='Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc='
DPS_VERSION='api-version=2021-06-01' HUB_VERSION='api-version=2017-11-08-preview'

sim_start() { # sim_start NAME OPTION...: sets PORT
	local name=$1
	shift
	start "$name" "$SIM" --listen 127.0.0.1:0 --dir "$T/ca" --log "$T/$name.json" "$@"
	wait_for 10 grep -q 'listening on port' "$T/$name.log" || {
		echo "FAIL $name does not start:"
		cat "$T/$name.log"
		exit 1
	}
	PORT=$(sed -n 's/.*listening on port \([0-9]*\).*/\1/p' "$T/$name.log" | tail -1)
	LOG=$T/$name.json
}

# token RESOURCE KEY LIFETIME [SKN]: the resource goes into the token as it is given
token() {
	local expiry=$(($(date +%s) + $3)) hex sig
	hex=$(base64 -d <<<"$2" | od -An -v -tx1 | tr -d ' \n')
	sig=$(printf '%s\n%s' "$1" "$expiry" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$hex" -binary | base64 -w0)
	sig=${sig//+/%2B} sig=${sig//\//%2F} sig=${sig//=/%3D}
	echo "SharedAccessSignature sr=$1&sig=$sig&se=$expiry${4:+&skn=$4}"
}
# call METHOD TARGET [CURL OPTION...]: sets STATUS, BODY; curl's own exit status in CURL
call() {
	local method=$1 target=$2 out
	shift 2
	out=$(curl -sS --max-time 60 -w '\n%{http_code}' --path-as-is -X "$method" --cacert "$T/ca/ca.pem" -D "$T/head" \
		"$@" "https://localhost:$PORT$target" 2>"$T/curl.err")
	CURL=$?
	STATUS=${out##*$'\n'}
	BODY=${out%$'\n'*}
}
head_lower() { tr '[:upper:]' '[:lower:]' <"$T/head"; }
as() { AUTH=(-H "Authorization: $1"); }
# judge WHAT STATUS VERDICT METHOD TARGET [CURL OPTION...]: with $AUTH
judge() {
	local what=$1 status=$2 verdict=$3
	shift 3
	call "$@" "${AUTH[@]}"
	is "$what: status" "$STATUS" "$status"
	is "$what: verdict" "$(tail -1 "$LOG" | jq -r .verdict)" "$verdict"
}
json() { jq -e "$2" >/dev/null 2>&1 <<<"$BODY"; ok "$1: $2 of $BODY" $?; }
TYPE=(-H 'Content-Type: application/json')
ANY=(-H 'If-Match: *')

# --- DPS
sim_start sim --scope $SCOPE --hub hub.demo:8443 --enroll "Dev-1=$KEY,$KEY2" --enroll-group "$GROUP" --device "manual=$KEY2" \
	--retry-after 3 --state "$T/state.json"
R=0ne00abc123/registrations/dev-1
REGISTER="/$SCOPE/registrations/Dev-1/register?$DPS_VERSION"
register() { # register WHAT STATUS VERDICT [TARGET [CURL OPTION...]]
	local what=$1 status=$2 verdict=$3 target=${4:-$REGISTER}
	shift 3
	[ $# -eq 0 ] || shift
	[ $# -gt 0 ] || set -- "${TYPE[@]}" --data-binary '{"registrationId":"Dev-1"}'
	judge "DPS: $what" "$status" "$verdict" PUT "$target" "$@"
}
as "$(token $R "$KEY" 300 registration)"
register "upstream's form of a token" 202 accepted
json "operation" '.status == "assigning" and (.operationId | length) > 8'
like "answered in chunks" "$(head_lower)" '*transfer-encoding: chunked*'
like "asks to wait" "$(head_lower)" '*retry-after: 3*'
OPERATION=$(jq -r .operationId <<<"$BODY")
as "$(token "${R//\//%2F}" "$KEY" 300 registration)"
register "slashes encoded, as the SDKs do" 202 accepted
as "$(token "$SCOPE/registrations/Dev-1" "$KEY" 300 registration)"
register "case kept" 202 accepted
as "$(token $R "$KEY2" 300 registration)"
register "secondary key" 202 accepted
is "the log names the key" "$(tail -1 "$LOG" | jq -r .key)" secondary
as "$(token $R "$KEY" -240 registration)"
register "expired within the skew of 5 min" 202 accepted
as "$(token $R "$KEY" -310 registration)"
register "expired" 401 expired
json "error body" '.errorCode == 401002 and .message == "Unauthorized" and (.trackingId | length) > 0'
like "error header" "$(head_lower)" '*x-ms-error-code:*'
as "$(token $R "$KEY" 90000 registration)"
register "far future" 401 far-future
as "$(token "${R}x" "$KEY" 300 registration)"
register "audience of another registration" 401 wrong-audience
as "$(token 0ne00abc124/registrations/dev-1 "$KEY" 300 registration)"
register "audience of another scope" 401 wrong-audience
as "$(token hub.demo:8443/devices/dev-1 "$KEY" 300 registration)"
register "audience of a hub" 401 wrong-audience
as "$(token 0ne00abc123 "$KEY" 300 registration)"
register "audience of the whole scope" 401 wrong-audience
as "$(token $R "$OTHER" 300 registration)"
register "wrong key" 401 wrong-key
as "$(token $R "$KEY" 300 iothubowner)"
register "wrong skn" 401 wrong-skn
as "$(token $R "$KEY" 300)"
register "no skn" 401 wrong-skn
AUTH=()
register "no Authorization" 401 no-authorization
good=$(token $R "$KEY" 300 registration)
for bad in "Bearer x" "SharedAccessSignature" "sharedaccesssignature ${good#* }" "$good more" "${good/sr=/st=}" "${good/&se=*/}" "$good&se=1" \
	"${good//%3D/=}" "${good/sig=/sig=!}" "${good/&se=/&se=x}" "${good/&skn/&sig=a&skn}"; do
	as "$bad"
	register "malformed: ${bad:0:40}" 401 bad-token
done
as "$good"
register "unknown scope" 404 unknown-scope "/0neother/registrations/Dev-1/register?$DPS_VERSION"
register "no content type" 415 wrong-content-type "$REGISTER" -H 'Content-Type:' --data-binary '{"registrationId":"Dev-1"}'
register "wrong content type" 415 wrong-content-type "$REGISTER" -H 'Content-Type: text/plain' --data-binary '{"registrationId":"Dev-1"}'
register "content type with charset" 202 accepted "$REGISTER" -H 'Content-Type: application/json; charset=utf-8' --data-binary '{"registrationId":"dev-1"}'
register "body of another registration" 400 id-mismatch "$REGISTER" "${TYPE[@]}" --data-binary '{"registrationId":"dev-2"}'
register "body without id" 400 id-mismatch "$REGISTER" "${TYPE[@]}" --data-binary '{}'
register "no JSON" 400 bad-body "$REGISTER" "${TYPE[@]}" --data-binary '{"registrationId"'
register "no api-version" 400 bad-api-version "${REGISTER%\?*}"
register "unknown api-version" 400 bad-api-version "${REGISTER%\?*}?api-version=2020-01-01"
as "$(token 0ne00abc123/registrations/$MEMBER "$MEMBER_KEY" 300 registration)"
register "member of a group, known answer" 202 accepted "/$SCOPE/registrations/$MEMBER/register?$DPS_VERSION" "${TYPE[@]}" \
	--data-binary "{\"registrationId\":\"$MEMBER\"}"

POLL="/$SCOPE/registrations/Dev-1/operations/$OPERATION?$DPS_VERSION"
as "$good"
judge "poll: assigning" 202 accepted GET "$POLL"
json "assigning" '.status == "assigning"'
judge "poll: assigned" 200 accepted GET "$POLL"
json "assigned" '.status == "assigned" and .registrationState.assignedHub == "hub.demo:8443" and .registrationState.deviceId == "Dev-1"
	and .registrationState.substatus == "initialAssignment"'
if [ -r "$DATA/transcripts/cloud.txt" ]; then
	want=$(sed -n 's/^< \(.*"status": "assigned".*\)/\1/p' "$DATA/transcripts/cloud.txt" | head -1 | jq -c '[paths | map(tostring) | join(".")] | sort')
	is "members as in the transcript" "$(jq -c '[paths | map(tostring) | join(".")] | sort' <<<"$BODY")" "$want"
else
	echo "SKIP $DATA is not beside this checkout"
fi
judge "poll: unknown operation" 404 unknown-operation GET "/$SCOPE/registrations/Dev-1/operations/4.x.y?$DPS_VERSION"
judge "status lookup" 200 accepted POST "/$SCOPE/registrations/Dev-1?$DPS_VERSION" "${TYPE[@]}" -d '{"registrationId":"Dev-1"}'
as "$(token $R "$OTHER" 300 registration)"
judge "poll: wrong key" 401 wrong-key GET "$POLL"
stop sim
sim_start alone --scope $SCOPE --enroll "Dev-1=$KEY"
as "$(token 0ne00abc123/registrations/dev-2 "$KEY" 300 registration)"
register "unknown registration" 404 unknown-registration "/$SCOPE/registrations/dev-2/register?$DPS_VERSION" "${TYPE[@]}" -d '{"registrationId":"dev-2"}'
json "error body" '.errorCode == 404201'
stop alone

# --- the hub's registry
hub_rows() { # hub_rows DEVICE KEY
	local device=$1 key=$2 H=hub.demo:8443/devices/$1 D=/devices/$1/modules M b64
	M="$D/\$m1?$HUB_VERSION"
	as "$(token "$H" "$key" 300)"
	judge "hub: list of none" 200 accepted GET "$D?$HUB_VERSION"
	is "hub: empty list" "$(jq -c . <<<"$BODY")" '[]'
	judge "hub: get unknown" 404 unknown-module GET "$M"
	like "hub: error header" "$(head_lower)" '*iothub-errorcode: modulenotfound*'
	json "hub: error body" '.Message | startswith("ErrorCode:ModuleNotFound")'
	judge "hub: update unknown" 404 unknown-module PUT "$M" "${TYPE[@]}" "${ANY[@]}" -d "{\"moduleId\":\"\$m1\",\"deviceId\":\"$device\"}"
	judge "hub: create" 200 accepted PUT "$M" "${TYPE[@]}" -d "{\"moduleId\":\"\$m1\",\"deviceId\":\"$device\",\"managedBy\":\"IotEdge\"}"
	json "hub: created" ".moduleId == \"\$m1\" and .deviceId == \"$device\" and .managedBy == \"IotEdge\" and (.generationId | test(\"^[0-9]{18}\$\"))
		and .authentication.type == \"sas\" and (.authentication.symmetricKey.primaryKey | length) == 44"
	GENERATION=$(jq -r .generationId <<<"$BODY") ETAG=$(jq -r .etag <<<"$BODY")
	judge "hub: create again" 409 exists PUT "$M" "${TYPE[@]}" -d "{\"moduleId\":\"\$m1\",\"deviceId\":\"$device\"}"
	MKEY=$(openssl rand -base64 32) MKEY2=$(openssl rand -base64 32)
	b64="\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"$MKEY\",\"secondaryKey\":\"$MKEY2\"},\"type\":\"sas\"}"
	judge "hub: update" 200 accepted PUT "$M" "${TYPE[@]}" "${ANY[@]}" -d "{\"moduleId\":\"\$m1\",\"deviceId\":\"$device\",$b64}"
	json "hub: keys echoed, generation kept" ".authentication.symmetricKey.primaryKey == \"$MKEY\" and .generationId == \"$GENERATION\"
		and .managedBy == \"IotEdge\" and .etag != \"$ETAG\""
	ETAG=$(jq -r .etag <<<"$BODY")
	judge "hub: update by quoted star" 200 accepted PUT "$M" "${TYPE[@]}" -H 'If-Match: "*"' -d "{\"moduleId\":\"\$m1\",\"deviceId\":\"$device\"}"
	judge "hub: update by stale tag" 412 stale-if-match PUT "$M" "${TYPE[@]}" -H "If-Match: \"$ETAG\"" -d "{\"moduleId\":\"\$m1\",\"deviceId\":\"$device\"}"
	judge "hub: get" 200 accepted GET "$M"
	ETAG=$(jq -r .etag <<<"$BODY")
	judge "hub: update by its tag" 200 accepted PUT "$M" "${TYPE[@]}" -H "If-Match: \"$ETAG\"" -d "{\"moduleId\":\"\$m1\",\"deviceId\":\"$device\"}"
	judge "hub: get by encoded id" 200 accepted GET "$D/%24m1?$HUB_VERSION"
	judge "hub: list" 200 accepted GET "$D?$HUB_VERSION"
	json "hub: listed" 'length == 1 and .[0].moduleId == "$m1"'
	judge "hub: wrong content type" 415 wrong-content-type PUT "$M" -H 'Content-Type: text/plain' "${ANY[@]}" -d '{}'
	judge "hub: no JSON" 400 bad-body PUT "$M" "${TYPE[@]}" "${ANY[@]}" -d '['
	judge "hub: body of another module" 400 id-mismatch PUT "$M" "${TYPE[@]}" "${ANY[@]}" -d "{\"moduleId\":\"m2\",\"deviceId\":\"$device\"}"
	judge "hub: body of another device" 400 id-mismatch PUT "$M" "${TYPE[@]}" "${ANY[@]}" -d '{"moduleId":"$m1","deviceId":"x"}'
	judge "hub: type x509" 400 bad-authentication PUT "$M" "${TYPE[@]}" "${ANY[@]}" \
		-d "{\"moduleId\":\"\$m1\",\"deviceId\":\"$device\",${b64/sas/x509}}"
	judge "hub: short key" 400 bad-authentication PUT "$M" "${TYPE[@]}" "${ANY[@]}" \
		-d "{\"moduleId\":\"\$m1\",\"deviceId\":\"$device\",${b64/$MKEY/YWJj}}"
	judge "hub: bad module id" 400 bad-module-id PUT "$D/a%20b?$HUB_VERSION" "${TYPE[@]}" -d "{\"moduleId\":\"a b\",\"deviceId\":\"$device\"}"
	judge "hub: no api-version" 400 bad-api-version GET "$D"
	judge "hub: delete without If-Match" 412 no-if-match DELETE "$M"
	judge "hub: delete by stale tag" 412 stale-if-match DELETE "$M" -H 'If-Match: "x"'
	judge "hub: no such method" 405 bad-method PATCH "$M"
	judge "hub: no such path" 404 bad-path GET "/devices?$HUB_VERSION"

	as "$(token "$H" "$OTHER" 300)"
	judge "hub: wrong key" 401 wrong-key GET "$M"
	as "$(token "hub.demo/devices/$device" "$key" 300)"
	judge "hub: audience without the port" 401 wrong-audience GET "$M"
	as "$(token "hub.demo:8443" "$key" 300)"
	judge "hub: audience of the whole hub" 401 wrong-audience GET "$M"
	as "$(token "${H}x" "$key" 300)"
	judge "hub: audience of another device" 401 wrong-audience GET "$M"
	as "$(token "$H/modules/other" "$key" 300)"
	judge "hub: audience of another module" 401 wrong-audience GET "$M"
	as "$(token "$H" "$key" -310)"
	judge "hub: expired" 401 expired GET "$M"
	as "$(token "$H" "$key" 300 device)"
	judge "hub: skn" 401 wrong-skn GET "$M"
	as "$(token "${H//\//%2f}" "$key" 300)"
	judge "hub: audience encoded in lower case" 200 accepted GET "$M"
	AUTH=()
	judge "hub: no token" 401 no-authorization GET "$M"
	as "$(token hub.demo:8443/devices/nobody "$key" 300)"
	judge "hub: unknown device" 401 unknown-device GET "/devices/nobody/modules?$HUB_VERSION"

	# a module's own token, as it would present it to send a message
	local E="$D/\$m1/messages/events?api-version=2020-03-13"
	as "$(token "$H/modules/\$m1" "$MKEY" 300)"
	judge "hub: module's token" 204 accepted POST "$E" -d hello
	is "hub: logged with its module" "$(tail -1 "$LOG" | jq -rc '[.step, .module, .key]')" '["event","$m1","primary"]'
	as "$(token "$H/modules/%24m1" "$MKEY2" 300)"
	judge "hub: module's secondary key" 204 accepted POST "$E" -d hello
	as "$(token "$H/modules/\$m1/messages" "$MKEY" 300)"
	judge "hub: token for a part of it" 204 accepted POST "$E" -d hello
	as "$(token "$H/modules/\$m1" "$key" 300)"
	judge "hub: module's token by the device's key" 401 wrong-key POST "$E" -d hello
	as "$(token "$H" "$MKEY" 300)"
	judge "hub: module's key, device's audience" 401 wrong-audience POST "$E" -d hello
	as "$(token "$H/modules/\$m1" "$MKEY" 300)"
	judge "hub: another module" 401 unknown-module POST "${E/m1/m2}" -d hello
	judge "hub: module's token at the registry" 401 wrong-key GET "$M"
	as "$(token "$H" "$key" 300)"
	judge "hub: device's own message" 204 accepted POST "/devices/$device/messages/events?api-version=2020-03-13" -d hello
}
sim_start hub --scope $SCOPE --hub hub.demo:8443 --enroll "Dev-1=$KEY,$KEY2" --device "manual=$KEY2" --state "$T/state.json"
hub_rows Dev-1 "$KEY"
as "$(token hub.demo:8443/devices/manual "$KEY2" 300)"
judge "hub: device added by hand" 200 accepted GET "/devices/manual/modules?$HUB_VERSION"
stop hub
sim_start again --scope $SCOPE --hub hub.demo:8443 --enroll "Dev-1=$KEY" --state "$T/state.json"
as "$(token hub.demo:8443/devices/dev-1 "$KEY" 300)"
judge "state: kept over a restart" 200 accepted GET "/devices/Dev-1/modules/\$m1?$HUB_VERSION"
json "state: same generation and keys" ".generationId == \"$GENERATION\" and .authentication.symmetricKey.primaryKey == \"$MKEY\""
judge "hub: delete" 204 accepted DELETE "/devices/Dev-1/modules/\$m1?$HUB_VERSION" "${ANY[@]}"
is "hub: nothing behind a 204" "$BODY" ""
judge "hub: deleted" 404 unknown-module DELETE "/devices/Dev-1/modules/\$m1?$HUB_VERSION" "${ANY[@]}"
judge "hub: create after delete" 200 accepted PUT "/devices/Dev-1/modules/\$m1?$HUB_VERSION" "${TYPE[@]}" -d '{"moduleId":"$m1","deviceId":"Dev-1"}'
json "hub: another generation" ".generationId != \"$GENERATION\""

# --- faults
fault() { # fault SPEC: add one while it runs
	call POST /sim/faults -d "\"$1\""
	is "fault $1" "$STATUS" 200
}
LIST="/devices/Dev-1/modules?$HUB_VERSION"
for row in 401 429 500; do
	fault "$row:step=list"
	judge "fault $row" $row fault GET "$LIST"
	judge "fault $row is over" 200 accepted GET "$LIST"
done
fault '429:step=list,times=2,retry-after=7'
judge "fault 429 first" 429 fault GET "$LIST"
like "fault: Retry-After" "$(head_lower)" '*retry-after: 7*'
judge "fault 429 second" 429 fault GET "$LIST"
judge "fault 429 over" 200 accepted GET "$LIST"
fault '500:step=list,nth=2'
judge "fault: not the first" 200 accepted GET "$LIST"
judge "fault: the second" 500 fault GET "$LIST"
fault 'drop:step=create'
call PUT "/devices/Dev-1/modules/m2?$HUB_VERSION" "${TYPE[@]}" -d '{"moduleId":"m2","deviceId":"Dev-1"}' "${AUTH[@]}"
ok "drop: no answer ($(cat "$T/curl.err"))" $((CURL == 52 || CURL == 56 ? 0 : 1))
judge "drop: without effect" 404 unknown-module GET "/devices/Dev-1/modules/m2?$HUB_VERSION"
fault 'drop:step=create,after'
call PUT "/devices/Dev-1/modules/m2?$HUB_VERSION" "${TYPE[@]}" -d '{"moduleId":"m2","deviceId":"Dev-1"}' "${AUTH[@]}"
ok "drop after: no answer" $((CURL == 52 || CURL == 56 ? 0 : 1))
judge "drop after: with effect" 200 accepted GET "/devices/Dev-1/modules/m2?$HUB_VERSION"
fault 'hang:step=get'
call GET "/devices/Dev-1/modules/m2?$HUB_VERSION" "${AUTH[@]}" --max-time 1
is "hang: curl gives up" "$CURL" 28
fault 'truncated:step=list'
call GET "$LIST" "${AUTH[@]}"
is "truncated: curl sees it" "$CURL" 18
fault '201:step=create'
judge "201 for a create" 201 accepted PUT "/devices/Dev-1/modules/m3?$HUB_VERSION" "${TYPE[@]}" -d '{"moduleId":"m3","deviceId":"Dev-1"}'
judge "and gone again" 204 accepted DELETE "/devices/Dev-1/modules/m3?$HUB_VERSION" "${ANY[@]}"
fault 'not-json:step=list'
judge "not-json" 200 accepted GET "$LIST"
jq . >/dev/null 2>&1 <<<"$BODY"
ok "not-json: is none" $(($? == 0))
fault 'oversized:step=list'
call GET "$LIST" "${AUTH[@]}"
is "oversized" "${#BODY}" $((2 * 1024 * 1024 + 2))
fault 'empty:step=list'
judge "empty" 200 accepted GET "$LIST"
is "empty: nothing" "$BODY" ""
as "$good"
register "for faults" 202 accepted
POLL="/$SCOPE/registrations/Dev-1/operations/$(jq -r .operationId <<<"$BODY")?$DPS_VERSION"
fault 'assigning:times=0'
for _ in 1 2 3 4; do
	judge "fault assigning" 202 accepted GET "$POLL"
	json "fault assigning" '.status == "assigning"'
done
call DELETE /sim/faults
is "faults cleared" "$BODY" "[]"
fault failed
judge "fault failed" 200 accepted GET "$POLL"
json "fault failed" '.status == "failed" and .registrationState.errorCode == 400208'
fault disabled
judge "fault disabled" 200 accepted GET "$POLL"
json "fault disabled" '.status == "disabled"'
fault 'truncated:step=poll'
call GET "$POLL" "${AUTH[@]}"
is "truncated chunks: curl sees it" "$CURL" 18
judge "and then assigned" 200 accepted GET "$POLL"
json "and then assigned" '.status == "assigned"'
for bad in '"nonsense"' '"500:step=nowhere"' '"500:nth=x"' '"500:colour=red"' '{}' '['; do
	call POST /sim/faults -d "$bad"
	is "bad fault $bad" "$STATUS" 400
done
call GET /sim/state
json "state shown without keys" '(.devices["Dev-1"] | keys) == ["$m1","m2"] and ([.. | objects | has("primaryKey")] | any | not)'
fault 'hang:step=list'
(call GET "$LIST" "${AUTH[@]}") &
hung() { tail -1 "$LOG" | grep -q '"step":"list".*"fault":"hang"'; }
wait_for 5 hung
stop again
is "ends in order while a request hangs" $? 0
wait $! 2>/dev/null

# --- no secret and no token in the log; each line is JSON
jq -e . "$T"/{sim,hub,again}.json >/dev/null
ok "the log is JSON lines" $?
grep -qF -e "$KEY" -e "$MKEY" -e SharedAccessSignature -e "$MEMBER_KEY" "$T"/{sim,hub,again}.json
ok "the log holds neither keys nor tokens" $(($? == 0))

# --- TLS: another name, another CA, old protocol
sim_start misnamed --scope $SCOPE --name other.example --enroll "Dev-1=$KEY"
call GET "/sim/state"
is "certificate for another name" "$CURL" 60
stop misnamed
sim_start edge --name hub.demo --name localhost --edge --errors edgehub --enroll "Dev-1=$KEY" --device "e1=$KEY"
openssl s_client -connect "127.0.0.1:$PORT" -tls1_1 -cipher ALL:@SECLEVEL=0 </dev/null >/dev/null 2>&1
ok "TLS 1.1 is refused" $(($? == 0))
curl -s -o /dev/null "https://localhost:$PORT/sim/state"
is "not trusted by the system" $? 60
as "$(token "localhost:$PORT/devices/e1" "$KEY" 300)"
judge "edge device" 200 accepted GET "/devices/e1/modules?$HUB_VERSION"
json "edge device: its system modules" '[.[].moduleId] | sort == ["$edgeAgent","$edgeHub"]'
judge "errors as a parent's" 404 unknown-module GET "/devices/e1/modules/x?$HUB_VERSION"
json "errors as a parent's" '.errorMessage | length > 0'
stop edge

# --- the program itself
"$SIM" --help | grep -q 'without a cloud subscription'
ok "--help" $?
for bad in "" "--enroll a=notbase64!" "--enroll a=YWJj" "--enroll =x" "--listen nowhere --enroll a" "--fault x --enroll a" \
	"--retry-after x --enroll a" "--errors x --enroll a" "--enroll a stray"; do
	# shellcheck disable=SC2086
	timeout 60 "$SIM" --dir "$T/ca" $bad >/dev/null 2>"$T/err"
	status=$?
	ok "refuses '$bad'" $((status == 1 || status == 2 ? 0 : 1))
	[ -s "$T/err" ]
	ok "says why: '$bad'" $?
done
printf 'scope = "0ne00FILE"\nenroll = ["Dev-1=%s"]\nretry-after = 2\nedge = true\nfault = "500:step=poll"\n' "$KEY" >"$T/sim.toml"
sim_start file --config "$T/sim.toml" --hub hub.demo
as "$(token "0ne00file/registrations/dev-1" "$KEY" 300 registration)"
register "configured by a file" 202 accepted "/0ne00FILE/registrations/Dev-1/register?$DPS_VERSION"
like "configured by a file" "$(head_lower)" '*retry-after: 2*'
stop file
for bad in 'nonsense = 1' 'enroll = 5' 'enroll = [5]' 'edge = "x"' 'retry-after = "soon"' 'enroll = ["a=b"' 'config = "x"'; do
	echo "$bad" >"$T/bad.toml"
	timeout 60 "$SIM" --config "$T/bad.toml" --enroll a --dir "$T/ca" 2>"$T/err"
	is "refuses $bad" $? 2
	like "names the line: $bad" "$(cat "$T/err")" '*bad.toml:[12]*'
done
sim_start invented --enroll my-device --device my-manual
like "prints a configuration" "$(cat "$T/invented.log")" '*source = "dps"*symmetric_key = { value = "*source = "manual"*'
suite_end
