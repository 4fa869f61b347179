#!/bin/bash
# Key files encrypted at rest (issue 3, point 1): by a systemd credential and by the TPM; `edgekeep keys wrap` and `unwrap`
# beside a keyd that serves, killed at any moment.
# shellcheck disable=SC2317
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
suite_begin "keyd: files at rest"
for tool in swtpm jq curl openssl xxd; do need_tool $tool || exit 77; done
# shellcheck source=tests/suite/tpm.sh
. "$(dirname "$0")/tpm.sh"

V=api-version=2021-05-01
S=$T/keyd.sock
KEYS=$T/home/keys
FIRST_LINE='edgekeep wrapped key 1'
as_keyd=() AS_KEYD=()
mkdir -m 700 "$T/home" && mkdir "$T/pre" "$T/credentials"
if is_root; then
	as_keyd=(--user "$(user 1)")
	AS_KEYD=(as_user "$(user 1)")
	chown -R "$((UID0 + 1)):$((UID0 + 1))" "$T/home" "$T/pre"
fi
head -c 32 /dev/urandom >"$T/credentials/edgekeep-kek"
chmod 755 "$T/pre" "$T/credentials" && chmod 644 "$T/credentials/edgekeep-kek"
export CREDENTIALS_DIRECTORY=$T/credentials AZIOT_KEYD_CONFIG=$T/keyd.toml AZIOT_KEYD_CONFIG_DIR=$T/none

config() { # config [WRAP]
	cat >"$T/keyd.toml" <<EOT
[aziot_keys]
homedir_path = "$T/home"
[preloaded_keys]
preloaded = "file://$T/pre/pre.key"
[endpoints]
aziot_keyd = "unix://$S"
aziot_tpmd = "unix://$T/tpmd.sock"
[[principal]]
uid = $(id -u)
keys = ["*"]
EOT
	[ -z "${1:-}" ] || printf '[backends.file]\ntype = "file"\nwrap = "%s"\n' "$1" >>"$T/keyd.toml"
	chmod 644 "$T/keyd.toml"
}
up() {
	start keyd "$BIN/keyd" "${as_keyd[@]}"
	wait_socket keyd "$S"
}
restart() {
	stop keyd
	up
}
post() { http "$S" POST "$1?$V" "$2"; }
handle() { jq -r .keyHandle <<<"$BODY"; }
import() { post /key "{\"keyId\":\"$1\",\"usage\":\"sign\",\"keyBytes\":\"$(printf %s "$2" | base64 -w0)\"}"; }
signs() { # signs WHAT ID BYTES: a key of that value answers to the id
	http "$S" GET "/key/$2?$V"
	post /sign "{\"keyHandle\":\"$(handle)\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"bQ==\"}}"
	is "$1" "$(jq -r .signature <<<"$BODY")" \
		"$(printf m | openssl mac -digest SHA256 -macopt "hexkey:$(printf %s "$3" | xxd -p)" HMAC | xxd -r -p | base64 -w0)"
}
wrapped() { # how many files are
	local f n=0
	for f in "$KEYS"/*.key "$T"/pre/*.key; do
		[ "$(head -c 22 "$f" 2>/dev/null | tr -d '\0')" != "$FIRST_LINE" ] || n=$((n + 1))
	done
	echo $n
}
files() { find "$KEYS" "$T/pre" -type f | wc -l; }
convert() { # convert wrap|unwrap: sets CODE and OUT
	OUT=$(AZIOT_LOG=info "${AS_KEYD[@]}" "$BIN/edgekeep" keys "$1" 2>&1)
	CODE=$?
}
listing() { find "$T/home" "$T/pre" -printf '%p %s %T@ %m\n' | LC_ALL=C sort; }

# --- plain keys of before stay readable; what is written is wrapped
config
up
import plain 'a plain key'
answer "plain import" 200
post /keypair '{"keyId":"pair"}'
PAIR=$(handle)
is "plain without wrap" "$(wrapped)" 0
convert wrap
is "nothing says by what to wrap: status" "$CODE" 1
like "nothing says by what to wrap: said" "$OUT" '*[[]backends.file[]] has no wrap*'
config credential
restart
signs "a plain key of before" plain 'a plain key'
import fresh 'a fresh key'
answer "import" 200
import preloaded 'a preloaded key'
post /keypair '{"keyId":"second"}'
answer "create" 200
is "new ones are wrapped" "$(wrapped) $(files)" "3 5"
! grep -rqa -e 'a fresh key' -e 'a preloaded key' "$T/home" "$T/pre"
ok "and nothing of them is in the clear" $?
is "modes" "$(stat -c %a "$KEYS"/*.key | sort -u)" 600

# --- converted beside a keyd that serves
convert wrap
is "edgekeep keys wrap" "$CODE $OUT" "0 2 wrapped, 3 were already, 0 failed"
is "all are wrapped" "$(wrapped)" 5
convert wrap
is "again" "$CODE $OUT" "0 0 wrapped, 5 were already, 0 failed"
post /sign "{\"keyHandle\":\"$PAIR\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"$(head -c 32 /dev/zero | base64 -w0)\"}}"
answer "handles live on" 200
post /keypair/moved '{"from":"pair"}'
is "a wrapped key moves" "$STATUS" 204
restart
for key in 'plain:a plain key' 'fresh:a fresh key' 'preloaded:a preloaded key'; do signs "after a restart: $key" "${key%%:*}" "${key#*:}"; done
http "$S" GET "/keypair/moved?$V"
answer "moved key" 200
convert unwrap
is "edgekeep keys unwrap" "$CODE $OUT" "0 5 unwrapped, 0 were already, 0 failed"
is "none is wrapped" "$(wrapped)" 0
AZIOT_LOG=info "${AS_KEYD[@]}" "$BIN/edgekeep" keys unwrap >/dev/null 2>&1
is "to a device, as a terminal is one" $? 0
is "the key is what it was" "$(cat "$KEYS"/fresh-*.key)" "a fresh key"
convert wrap

# --- one that waits for the lock; stopped while it holds it, by ^Z, it would hold up keyd: so it does not stop
exec {lock}<"$KEYS"
flock "$lock"
start waiting "$BIN/keyd" "${as_keyd[@]}" --role wrap
waits() { grep -q "^[0-9]*: -> FLOCK.* ${PID[waiting]} " /proc/locks; }
wait_for 10 waits
ok "it waits for the lock" $?
ignored=0x$(awk '/^SigIgn:/ {print $2}' "/proc/${PID[waiting]}/status")
is "and does not stop for ^Z" $(((ignored >> 19) & 1)) 1 # signal 20
flock -u "$lock"
exec {lock}<&-
wait "${PID[waiting]}"
is "then it goes on" $? 0
unset "PID[waiting]"

# --- who may
if need_root "another user"; then
	OUT=$(as_user "$(user 3)" "$BIN/edgekeep" keys wrap 2>&1)
	is "a stranger: status" $? 1
	like "a stranger: told whose it is" "$OUT" '*run this as root, or as keyd'*
	OUT=$(AZIOT_LOG=info "$BIN/keyd" "${as_keyd[@]}" --role unwrap 2>&1)
	is "root, as keyd's user" "$? $OUT" "0 5 unwrapped, 0 were already, 0 failed"
	is "owner stays" "$(stat -c %u "$KEYS"/*.key | sort -u)" "$((UID0 + 1))"
	convert wrap
fi

# --- a wrong or missing KEK: refused as damaged, never taken for missing, and nothing is touched
cp "$T/credentials/edgekeep-kek" "$T/right"
head -c 32 /dev/urandom >"$T/credentials/edgekeep-kek"
restart
before=$(listing)
for request in 'GET /key/fresh' 'GET /keypair/moved' 'POST /key {"keyId":"fresh","usage":"sign"}' 'POST /keypair {"keyId":"moved"}' \
	'POST /keypair/other {"from":"moved"}'; do
	read -r method path body <<<"$request"
	http "$S" "$method" "$path?$V" "$body"
	answer "wrong KEK: $request" 500 '.message == "internal error"'
done
is "wrong KEK: nothing was touched" "$(listing)" "$before"
like "wrong KEK: the log says what to do" "$(cat "$T/keyd.log")" '*was wrapped by another key-encryption key*'
convert unwrap
is "wrong KEK: unwrap: status" "$CODE" 1
like "wrong KEK: unwrap: counts" "$OUT" "*0 unwrapped, 0 were already, 5 failed"
is "wrong KEK: still nothing" "$(listing)" "$before"
stop keyd
mv "$T/credentials/edgekeep-kek" "$T/wrong"
OUT=$(timeout 120 "$BIN/keyd" "${as_keyd[@]}" 2>&1)
is "no KEK: does not start" $? 1
like "no KEK: says what to do" "$OUT" '*LoadCredentialEncrypted=*'
cp "$T/right" "$T/credentials/edgekeep-kek" && chmod 644 "$T/credentials/edgekeep-kek"
up
signs "right KEK again" fresh 'a fresh key'
config
restart
http "$S" GET "/key/fresh?$V"
answer "wrap taken out of the configuration" 500
is "and nothing was touched" "$(listing)" "$before"
config credential
restart

# --- kill -9 at any moment: every key is there, whole
convert unwrap
# shellcheck disable=SC2016
"${AS_KEYD[@]}" bash -c 'for ((i = 0; i < 60; i++)); do head -c 48 /dev/urandom >"$1/k$i-0.key"; done' bash "$KEYS"
chmod 600 "$KEYS"/*.key
cp -a "$KEYS" "$T/copy"
# how long one takes here, from its start
took=0
for role in wrap unwrap; do
	before=$(date +%s%N)
	"${AS_KEYD[@]}" "$BIN/keyd" --role $role >/dev/null 2>&1
	took=$((took + ($(date +%s%N) - before) / 2000))
done
killed=0 begun=0 last=0
for ((i = 0; i < 40; i++)); do
	role=wrap
	[ $((i % 2)) -eq 0 ] || role=unwrap
	"${AS_KEYD[@]}" "$BIN/keyd" --role $role >/dev/null 2>&1 &
	pid=$!
	sleep "$(awk -v us=$took -v r=$RANDOM 'BEGIN { printf "%.4f", us / 1e6 * r / 32768 }')"
	kill -9 $pid 2>/dev/null
	wait $pid 2>/dev/null
	[ $? -ne 137 ] || killed=$((killed + 1))
	n=$(grep -alF "$FIRST_LINE" "$KEYS"/*.key | wc -l)
	[ "$n" -eq "$last" ] || begun=$((begun + 1))
	last=$n
	[ "$(find "$KEYS" -name '*.key' | wc -l)" -eq "$(find "$T/copy" -name '*.key' | wc -l)" ] || break
done
ok "killed $killed of 40, $begun of them at work, and no key is missing" "$((i < 40 || killed < 10 || begun < 5))"
convert unwrap
like "after all that" "$CODE $OUT" "0 *, 0 failed"
diff -r "$KEYS" "$T/copy" >"$T/diff"
ok "every key is what it was, and no leftover is there: $(head -3 "$T/diff")" $?
rm -rf "$T/copy"
find "$KEYS" -name 'k*-0.key' -delete

# --- beside a keyd that writes: no write is lost
"${AS_KEYD[@]}" touch "$T/pre/go"
# shellcheck disable=SC2016
AZIOT_LOG=info start converter "${AS_KEYD[@]}" bash -c 'while [ -e "$2/go" ]; do "$1/keyd" --role wrap; "$1/keyd" --role unwrap; done' bash "$BIN" "$T/pre"
for ((i = 0; i < 60; i++)); do
	import "busy$((i % 5))" "value $i"
	[ "$STATUS" = 200 ] || break
	if [ $((i % 7)) -eq 0 ]; then
		post /keypair '{"keyId":"from"}' && post /keypair/to '{"from":"from"}'
		[ "$STATUS" = 204 ] || break
	fi
done
is "60 imports and 9 moves beside the conversion" "$i: $STATUS" "60: 200"
rm "$T/pre/go"
wait "${PID[converter]}"
unset "PID[converter]"
is "no conversion failed" "$(grep -c '0 failed' "$T/converter.log")" "$(grep -c . "$T/converter.log")"
restart
for ((i = 55; i < 60; i++)); do signs "the last write counts: busy$((i % 5))" "busy$((i % 5))" "value $i"; done
http "$S" GET "/keypair/to?$V"
answer "and so does the last move" 200
http "$S" GET "/keypair/from?$V"
answer "whose source is gone" 400
stop keyd

# --- by the TPM
tpm_start
tpmd() {
	local how=() uid
	uid=$(id -u)
	! is_root || uid=$((UID0 + 1)) how=(--user "$(user 4)")
	printf 'tcti = "swtpm:host=127.0.0.1,port=%s"\n[endpoints]\naziot_tpmd = "unix://%s"\n[[principal]]\nuid = %s\n' "$TPM_PORT" \
		"$T/tpmd.sock" "$uid" >"$T/tpmd.toml"
	start tpmd "$BIN/tpmd" --config "$T/tpmd.toml" --config-dir "$T/none" "${how[@]}"
	wait_socket tpmd "$T/tpmd.sock"
	chmod 666 "$T/tpmd.sock"
}
chmod 777 "$T"
convert unwrap
tpmd
config tpm
up
is "kek.tpm" "$(stat -c %a "$T/home/kek.tpm")" 600
cp "$T/home/kek.tpm" "$T/kek"
import sealed 'a key below the TPM'
convert wrap
like "wrap by the TPM" "$CODE $OUT" "0 *, 0 failed"
is "all are wrapped by it" "$(wrapped)" "$(files)"
stop tpmd
signs "serves without tpmd, once it has started" sealed 'a key below the TPM'
stop keyd
# it waits for a tpmd that comes late
start keyd "$BIN/keyd" "${as_keyd[@]}"
sleep 0.5
tpmd
wait_socket keyd "$S"
signs "after a restart, with a tpmd that was late" sealed 'a key below the TPM'
cmp -s "$T/kek" "$T/home/kek.tpm"
ok "kek.tpm is never replaced" $?
stop keyd
mv "$T/home/kek.tpm" "$T/home/away"
OUT=$(timeout 120 "$BIN/keyd" "${as_keyd[@]}" 2>&1)
is "kek.tpm lost: does not start" $? 1
like "kek.tpm lost: says what to do" "$OUT" '*kek.tpm is lost and keys are wrapped by it: put it back from a backup*'
[ ! -e "$T/home/kek.tpm" ]
ok "kek.tpm lost: no other is made" $?
mv "$T/home/away" "$T/home/kek.tpm"
stop tpmd
OUT=$(timeout 120 "$BIN/keyd" "${as_keyd[@]}" 2>&1)
is "no tpmd: does not start" $? 1
like "no tpmd: says what to do" "$OUT" '*is tpmd running, and keyd*group of its socket?*'
stop swtpm
suite_end
