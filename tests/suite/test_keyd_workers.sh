#!/bin/bash
# Key workers: backends in processes of their own, which crash, hang and leak without keyd; what their callers hear, and that all
# works again afterwards (issue 3, point 2).
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
need_root "the spawner has no capabilities" || exit 77
for tool in jq curl openssl; do need_tool $tool || exit 77; done
suite_begin "key workers"

V=api-version=2021-05-01
S=$T/keyd.sock
OWNER=$((UID0 + 1))
mkdir -m 755 "$T/etc"
up() {
	start keyd "$BIN/keyd" --config "$T/etc/keyd.toml" --config-dir "$T/none" --user "$(user 1)"
	wait_socket keyd "$S"
}
post() { http "$S" POST "$1?$V" "$2"; }
get() { jq -r ".$1" <<<"$BODY"; }
DIGEST=$(printf 'to be signed' | openssl dgst -sha256 -binary | base64 -w0)
sign() { post /sign "{\"keyHandle\":\"$1\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"$DIGEST\"}}"; }
# the worker of a place, by the role that the spawner gave it: worker ROLE
worker() {
	local spawner p
	for spawner in $(pgrep -P "${PID[keyd]}"); do
		for p in $(pgrep -P "$spawner"); do
			tr '\0' ' ' <"/proc/$p/cmdline" | grep -q -- "--role $1 " && echo "$p"
		done
	done
}
state_of() { http "$S" GET "/status?$V" && jq -r ".facts[\"key worker $1\"]" <<<"$BODY"; }
serving() { [[ $(state_of "$1") == serving,\ ${2:-*}\ restarts* ]]; }
again() { # again WHAT: the last answer says that it may be tried again
	is "$1: status" "$STATUS" 500
	like "$1: message" "$(get message)" "the key backend * try again"
}

# --- files in a worker
install -d -m 700 -o "$OWNER" "$T/home"
cat >"$T/etc/keyd.toml" <<EOT
[aziot_keys]
homedir_path = "$T/home"
[backends.file]
type = "file"
worker = true
deadline_ms = 1000
[endpoints]
aziot_keyd = "unix://$S"
EOT
up
W=$(worker worker-file)
is "one worker" "$(wc -w <<<"$W")" 1
confined "keyd" "${PID[keyd]}"
confined "keyd: worker-file" "$W"
confined "keyd: spawner" "$(pgrep -P "${PID[keyd]}")"
post /keypair '{"keyId":"ec"}'
answer "create" 200
EC=$(get keyHandle)
sign "$EC"
answer "sign" 200
get signature | base64 -d >"$T/sig"
printf 'to be signed' | openssl dgst -sha256 -prverify "$T/home/keys"/ec-*.key -signature "$T/sig" >/dev/null
ok "the signature verifies" $?
post /keypair '{"keyId":"other"}'
OTHER=$(get keyHandle)
http "$S" DELETE "/keypair?$V" "{\"keyHandle\":\"$OTHER\"}"
is "delete" "$STATUS" 204
sign "$OTHER"
is "and it is gone" "$STATUS" 400
http "$S" GET "/keypair/other?$V"
is "under its id, too" "$STATUS" 400
is "one key is left" "$(find "$T/home/keys" -type f | wc -l)" 1

# killed while it is idle, and while it is asked
kill -KILL "$W"
wait_for 5 serving file 1
ok "killed: another one serves" $?
sign "$EC"
answer "killed: the key that was open works" 200
W=$(worker worker-file)
kill -STOP "$W"
sign "$EC"
again "hangs"
wait_for 5 serving file 2
ok "hangs: another one serves" $?
[ ! -d "/proc/$W" ] || grep -q '^State:.Z' "/proc/$W/status"
ok "hangs: the one that hung is gone" $?
sign "$EC"
answer "hangs: and works" 200
kill -STOP "$(worker worker-file)"
sign "$EC"
sign "$EC"
again "in the pause"
http "$S" GET "/status?$V"
answer "in the pause: status" 200 '.ok == false and (.detail | startswith("the key backend file is "))'
wait_for 5 serving file 3
sign "$EC"
answer "after the pause" 200

# the end is quick though a worker hangs, and all end
kill -STOP "$(worker worker-file)"
sign "$EC" &
asking=$!
sleep 0.2
W=$(worker worker-file)
began=$(date +%s%N)
stop keyd
is "SIGTERM while it hangs: exit status" $? 0
took=$((($(date +%s%N) - began) / 1000000))
[ $took -lt 6000 ]
ok "SIGTERM while it hangs: $took ms" $?
wait $asking
wait_for 3 test ! -d "/proc/$W"
ok "SIGTERM: the worker is gone, too" $?
suite_end
