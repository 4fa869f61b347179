#!/bin/bash
# edgekeep status and version, without daemons and with some (issue 2, point 10).
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
suite_begin "edgekeep"

is "version" "$("$BIN/edgekeep" version)" "edgekeep $(sed -n 's/^VERSION[[:space:]]*:= *//p' "$TOP/Makefile")"
is "version --json" "$("$BIN/edgekeep" version --json | jq -r .version)" "$(sed -n 's/^VERSION[[:space:]]*:= *//p' "$TOP/Makefile")"
"$BIN/edgekeep" nonsense >"$T/out" 2>&1
is "unknown command: status" $? 2
"$BIN/edgekeep" status --run "$T" --edged "$T/mgmt.sock" >"$T/out"
is "no daemon: status" $? 1
is "no daemon: four are down, tpmd is no fault" "$(grep -c DOWN "$T/out") $(grep -c '^  tpmd  *-' "$T/out")" "4 1"
is "one screen" "$(($(wc -l <"$T/out") <= 24))" 1

mkdir "$T/keys"
is_root && chown "$((UID0 + 1))" "$T/keys"
printf '[aziot_keys]\nhomedir_path = "%s/keys"\n[endpoints]\naziot_keyd = "unix://%s/keyd.sock"\n[[principal]]\nuid = %s\nkeys = ["*"]\n' "$T" "$T" "$(id -u)" >"$T/keyd.toml"
as=()
is_root && as=(--user "$(user 1)")
start keyd "$BIN/keyd" --config "$T/keyd.toml" --config-dir "$T/none" "${as[@]}"
wait_socket keyd "$T/keyd.sock"
"$BIN/edgekeep" status --run "$T" --edged "$T/mgmt.sock" >"$T/out"
is "one daemon: not all is well" $? 1
like "one daemon: shown" "$(grep keyd "$T/out" | head -1)" '*keyd  *ok  *up *'
"$BIN/edgekeep" status --json --run "$T" --edged "$T/mgmt.sock" >"$T/json"
ok "json: keyd" "$(jq -e '.ok == false and (.daemons[] | select(.daemon == "keyd") | .ok and .status.version != null and .status.started != null)' "$T/json" >/dev/null; echo $?)"
# --- keys pem: needs keyd to know the key as a pair
V=api-version=2021-05-01
pem() {
	"$BIN/edgekeep" --run "$T" keys pem "$@" >"$T/pem" 2>"$T/err"
	STATUS=$?
}
http "$T/keyd.sock" POST "/keypair?$V" '{"keyId":"press 07/tls"}'
http "$T/keyd.sock" POST "/key?$V" '{"keyId":"symmetric","usage":"sign"}'
pem "press 07/tls"
is "keys pem: status" "$STATUS" 0
is "keys pem: label" "$(sed -n '1p;$p' "$T/pem" | tr '\n' ' ')" "-----BEGIN EDGEKEEP KEY URI----- -----END EDGEKEEP KEY URI----- "
is "keys pem: URI" "$(grep -v -e ----- "$T/pem" | base64 -d)" "keyd:id=press%2007%2Ftls"
while IFS='|' read -r what id said; do
	pem "$id"
	is "keys pem, $what: status" "$STATUS" 1
	is "keys pem, $what: no output" "$(wc -c <"$T/pem")" 0
	like "keys pem, $what: says why" "$(cat "$T/err")" "edgekeep: *$said*"
done <<'END'
no such key|none|no key pair of that id
symmetric key|symmetric|key pair "symmetric"
empty id||empty
END
pem
is "keys pem without an id: usage" "$STATUS" 2
pem a b
is "keys pem of two: usage" "$STATUS" 2
"$BIN/edgekeep" --run "$T/none" keys pem x >"$T/out" 2>&1
is "keys pem without keyd: status" $? 1
like "keys pem without keyd: remedy" "$(cat "$T/out")" '*is keyd running*'

# a daemon that does not answer is no reason to hang
stop keyd
rm -f "$T/keyd.sock"
start silent socat "UNIX-LISTEN:$T/keyd.sock,fork" 'SYSTEM:sleep 30'
wait_for 5 test -S "$T/keyd.sock"
s=$SECONDS
"$BIN/edgekeep" status --run "$T" --edged "$T/mgmt.sock" >"$T/out"
ok "a silent daemon is given up within 10 s" $((SECONDS - s > 10))
like "a silent daemon is a failure" "$(grep keyd "$T/out" | head -1)" '*FAIL*'
suite_end
