#!/bin/bash
# tpmd against a real software TPM, judged by tpm2-tools and openssl (contracts/tpmd.md, tpm2.md).
# shellcheck disable=SC2317
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
suite_begin "tpmd and a software TPM"
for tool in swtpm tpm2_readpublic jq curl openssl xxd socat ss; do need_tool $tool || exit 77; done

# shellcheck source=tests/suite/tpm.sh
. "$(dirname "$0")/tpm.sh"

SOCKET=$T/tpmd.sock
V='api-version=2020-09-01'
chmod 777 "$T"

hmac() { openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(hex "$1")" -binary "$2" | base64 -w0; }

config() { # config [LINE...]: beside the TCTI and the socket
	printf 'tcti = "swtpm:host=127.0.0.1,port=%s"\n' "${BUS_PORT:-$TPM_PORT}" >"$T/tpmd.toml"
	printf '%s\n' "$@" >>"$T/tpmd.toml"
	printf '[endpoints]\naziot_tpmd = "unix://%s"\n' "$SOCKET" >>"$T/tpmd.toml"
	chmod 644 "$T/tpmd.toml"
}
tpmd_start() {
	local how=()
	! is_root || how=(--user "$(user 4)")
	start tpmd "$BIN/tpmd" --config "$T/tpmd.toml" --config-dir "$T/none" "${how[@]}"
	wait_socket tpmd "$SOCKET"
}
keys() { http "$SOCKET" GET "/get_tpm_keys?$V"; }
send() { # send ROUTE MEMBER FILE
	printf '{"%s":"%s"}' "$2" "$(base64 -w0 "$3")" >"$T/request.$BASHPID"
	http "$SOCKET" POST "/$1?$V" "@$T/request.$BASHPID"
}
sign() { send sign_with_auth_key data "$1"; } # the digest is in BODY
import() { send import_auth_key key "$1"; }
signs_as() { # signs_as WHAT KEY FILE
	sign "$3"
	is "$1" "$STATUS $(jq -r .digest <<<"$BODY")" "200 $(hmac "$2" "$3")"
}

# --- a fresh TPM: both keys are made
tpm_start
TPM_FIXED=1
config
tpmd_start
confined tpmd "${PID[tpmd]}"
keys
answer "keys of a fresh TPM" 200 'keys == ["endorsement_key","storage_root_key"]'
tpm2_readpublic -Q -c 0x81010001 -o "$T/ek.pub"
tpm2_readpublic -Q -c 0x81000001 -o "$T/srk.pub" -n "$T/srk.name"
is "endorsement key as tpm2_readpublic has it" "$(jq -r .endorsement_key <<<"$BODY")" "$(base64 -w0 "$T/ek.pub")"
is "storage root key as tpm2_readpublic has it" "$(jq -r .storage_root_key <<<"$BODY")" "$(base64 -w0 "$T/srk.pub")"
FIRST=$BODY
# tpm2.md 2: sizes, and the template of the TCG's profile, of which tpm2_createek is the judge
is "size of the endorsement key" "$(stat -c %s "$T/ek.pub")" 316
is "size of the storage root key" "$(stat -c %s "$T/srk.pub")" 284
tpm2_createek -Q -G rsa -u "$T/ek.tools" -c "$T/ek.ctx" -f tss
is "the same as tpm2_createek makes" "$(base64 -w0 "$T/ek.tools")" "$(base64 -w0 "$T/ek.pub")"
tpm2_flushcontext -t
is "nothing stays loaded" "$(transients)" ""
printf hello >"$T/hello"
head -c 1024 /dev/urandom >"$T/1024"
head -c 1025 /dev/urandom >"$T/1025"
head -c 2048 /dev/urandom >"$T/2048"
head -c 100000 /dev/urandom >"$T/100000"
: >"$T/0"
sign "$T/hello"
answer "sign without a key" 500 '. == {"message":"internal error"}'

# --- the exchanges of the transcript and what stands beside them
http "$SOCKET" POST "/get_tpm_keys?$V" '{}'
answer "POST get_tpm_keys" 400 '.message == "method not allowed"'
http "$SOCKET" POST "/sign_with_auth_key?$V" '{"data":"**"}'
answer "bad base64" 422
for body in '{"data":null}' '{}' '{"data":5}' '{"data":"aGVsbG8"}' '[]' '{'; do
	http "$SOCKET" POST "/sign_with_auth_key?$V" "$body"
	answer "sign $body" 422
	http "$SOCKET" POST "/import_auth_key?$V" "${body//data/key}"
	answer "import ${body//data/key}" 422
done
http "$SOCKET" POST "/sign_with_auth_key?$V"
answer "no body" 400 '.message == "missing request body"'
http "$SOCKET" POST "/import_auth_key?$V" '{"key":"anVuaw=="}'
answer "import junk" 500 '. == {"message":"internal error"}'
http "$SOCKET" GET "/get_tpm_keys?api-version=2021-05-01"
answer "bad api-version" 400 '.message == "invalid api-version \"2021-05-01\""'
http "$SOCKET" GET "/nothing?$V"
answer "no such path" 404
if is_root; then
	chmod 666 "$SOCKET"
	HTTP_AS="setpriv --reuid=65534 --clear-groups" keys
	answer "any uid that may open the socket" 200
	is "to any uid the same" "$BODY" "$FIRST"
fi
http "$SOCKET" GET "/status?$V"
answer "status" 200 '.ok and .daemon == "tpmd" and (.detail | contains("no authentication key"))'

# --- a key that is at the handle already is adopted, without a restart and after one
provision() { # provision FILE: that HMAC key at the handle
	tpm2_evictcontrol -Q -C o -c 0x81000100 2>/dev/null
	tpm2_import -Q -C 0x81000001 -G hmac -i "$1" -u "$T/k.pub" -r "$T/k.priv" -a 'sign|userwithauth'
	tpm2_flushcontext -t
	tpm2_load -Q -C 0x81000001 -u "$T/k.pub" -r "$T/k.priv" -c "$T/k.ctx"
	tpm2_evictcontrol -Q -C o -c "$T/k.ctx" 0x81000100
	tpm2_flushcontext -t
}
head -c 32 /dev/urandom >"$T/key1"
provision "$T/key1"
for length in hello 1024 1025 2048 100000 0; do
	signs_as "HMAC of $length equals openssl's" "$T/key1" "$T/$length"
done
is "nothing stays loaded after signing" "$(transients)" ""
head -c 32 /dev/urandom >"$T/key2"
provision "$T/key2"
signs_as "a key that others put in its place" "$T/key2" "$T/hello"
provision "$T/key1"
signs_as "and back" "$T/key1" "$T/2048"
http "$SOCKET" GET "/status?$V"
answer "status with a key" 200 '.ok and (.detail | contains("with an authentication key"))'
stop tpmd
is "ends in order" $? 0
tpmd_start
keys
is "the same keys after a restart" "$BODY" "$FIRST"
signs_as "adopted after a restart" "$T/key1" "$T/hello"

# --- two clients at once, and many
for i in 1 2 3 4 5 6; do
	(failed=0; for _ in 1 2 3 4 5; do signs_as "x" "$T/key1" "$T/2048"; done; exit $failed) &
	jobs_[i]=$!
done
bad=0
for i in 1 2 3 4 5 6; do wait "${jobs_[i]}" || bad=1; done
ok "six clients at once" $bad

# --- the simulator dies and comes back: refused meanwhile, served afterwards by the same process
before=${PID[tpmd]}
tpm_stop KILL
keys
answer "keys without a TPM" 500 '. == {"message":"internal error"}'
sign "$T/hello"
answer "sign without a TPM" 500
http "$SOCKET" GET "/status?$V"
answer "status without a TPM" 200 '.ok == false and (.detail | length > 0)'
tpm_start
signs_as "sign after the TPM came back" "$T/key1" "$T/hello"
tpm_stop KILL
tpm_start
signs_as "sign after an unnoticed restart" "$T/key1" "$T/2048"
keys
is "the same keys after the TPM came back" "$BODY" "$FIRST"
# reset on its own: it refuses everything with TPM_RC_INITIALIZE until somebody starts it up (TPM 2.0 part 3, 9.3)
for _ in 1 2; do
	tpm_stop KILL
	start swtpm swtpm socket --tpm2 --tpmstate "dir=$T/tpm" --server "type=tcp,port=$TPM_PORT,bindaddr=127.0.0.1" \
		--ctrl "type=tcp,port=$((TPM_PORT + 1)),bindaddr=127.0.0.1" --flags not-need-init
	refuses() { tpm2_getcap properties-fixed 2>&1 | grep -q 0x100; }
	wait_for 10 refuses
	ok "a TPM that waits for its startup" $?
	signs_as "sign after a reset without a startup" "$T/key1" "$T/1025"
done
tpm2_dictionarylockout -Q --clear-lockout
is "the same process" "${PID[tpmd]}" "$before"
alive tpmd
ok "tpmd is alive" $?

# --- import: a blob as DPS makes it, made by tpm2-tools (tpm2.md 3)
blob() { # blob FILE: a blob, and the key's HMAC of hello in $WANT; the tools know an inner key of 16 bytes only
	local dir=$T/blob
	mkdir -p "$dir"
	tpm2_startauthsession -Q -S "$dir/s.ctx"
	tpm2_policycommandcode -Q -S "$dir/s.ctx" -L "$dir/policy" TPM2_CC_Duplicate
	tpm2_flushcontext "$dir/s.ctx"
	tpm2_create -Q -C 0x81000001 -G hmac -L "$dir/policy" -a 'sensitivedataorigin|userwithauth|sign' -u "$dir/d.pub" -r "$dir/d.priv"
	tpm2_flushcontext -t
	tpm2_load -Q -C 0x81000001 -u "$dir/d.pub" -r "$dir/d.priv" -c "$dir/d.ctx"
	WANT=$(tpm2_hmac -c "$dir/d.ctx" -g sha256 "$T/hello" | base64 -w0)
	tpm2_flushcontext -t
	head -c 16 /dev/urandom >"$dir/inner"
	tpm2_startauthsession -Q --policy-session -S "$dir/s.ctx"
	tpm2_policycommandcode -Q -S "$dir/s.ctx" TPM2_CC_Duplicate
	tpm2_duplicate -Q -C 0x81000001 -c "$dir/d.ctx" -G aes -i "$dir/inner" -p "session:$dir/s.ctx" -r "$dir/dup" -s "$dir/seed"
	tpm2_flushcontext "$dir/s.ctx"
	tpm2_flushcontext -t
	tpm2_makecredential -Q -T none -u "$T/ek.pub" -s "$dir/inner" -n "$(hex "$T/srk.name")" -o "$dir/cred"
	# credential and secret stand behind eight bytes of the tool's own
	tail -c +9 "$dir/cred" | cat - "$dir/dup" "$dir/seed" "$dir/d.pub" >"$1"
}
blob "$T/blob1"
import "$T/blob1"
answer "import" 200 '. == {}'
sign "$T/hello"
is "signs by the imported key" "$(jq -r .digest <<<"$BODY")" "$WANT"
is "nothing stays loaded after an import" "$(transients)" ""
blob "$T/blob2"
{ cat "$T/blob2"; printf '\000\003hub'; } >"$T/blob2tail"
import "$T/blob2tail"
answer "import with a sixth part" 200
sign "$T/hello"
is "signs by the second key" "$(jq -r .digest <<<"$BODY")" "$WANT"
SECOND=$WANT
stop tpmd
tpmd_start
sign "$T/hello"
is "the imported key survives a restart" "$(jq -r .digest <<<"$BODY")" "$SECOND"

# --- what somebody on the bus to the TPM hears (tpm2.md 5)
stop tpmd
bus_start
config
tpmd_start
blob "$T/blob3"
import "$T/blob3"
answer "import on a bus" 200
blob "$T/blob2"
import "$T/blob2"
answer "another" 200
SECOND=$WANT
head -c 300 /dev/urandom >"$T/300"
sign "$T/300"
jq -r .digest <<<"$BODY" | base64 -d >"$T/300.hmac"
tail -c 258 "$T/blob/seed" >"$T/blob/seed.end"
crossed "the wrapped key's seed, which says that the relay listens" "$T/blob/seed.end"
hidden "the inner key" "$T/blob/inner"
hidden "a message" "$T/300"
hidden "its HMAC" "$T/300.hmac"
stop tpmd
stop bus0
stop bus1
BUS_PORT=
config
tpmd_start

# --- whatever is wrong with a blob, the old key stays and nothing stays loaded
size=$(stat -c %s "$T/blob2")
for cut in 0 1 2 3 53 54 55 311 312 313 $((size - 83)) $((size - 82)) $((size - 1)); do
	head -c "$cut" "$T/blob2" >"$T/bad"
	import "$T/bad"
	is "cut to $cut bytes" "$STATUS" 500
done
for at in 4 20 45 60 200 320 400 500 640 $((size - 60)) $((size - 5)); do
	cp "$T/blob2" "$T/bad"
	byte=$(od -An -tu1 -j "$at" -N 1 "$T/bad")
	printf '%b' "\\x$(printf %x $((byte ^ 0xff)))" | dd of="$T/bad" bs=1 seek="$at" conv=notrunc 2>/dev/null
	import "$T/bad"
	is "flipped at $at" "$STATUS" 500
done
{ cat "$T/blob2"; printf 'stray'; } >"$T/bad"
import "$T/bad"
is "stray bytes behind" "$STATUS" 500
sign "$T/hello"
is "the old key signs on" "$(jq -r .digest <<<"$BODY")" "$SECOND"
is "nothing stays loaded after bad imports" "$(transients)" ""

# --- passwords of the hierarchies
stop tpmd
tpm2_changeauth -Q -c owner ownerpw
tpm2_changeauth -Q -c endorsement endorsepw
config '[hierarchy_authorization]' 'endorsement = "endorsepw"' 'owner = "ownerpw"'
tpmd_start
import "$T/blob1"
answer "import with the right passwords" 200
config '[hierarchy_authorization]' 'endorsement = "wrong"' 'owner = "ownerpw"'
stop tpmd
tpmd_start
import "$T/blob2"
answer "import with a wrong password" 500
like "the log says what is wrong" "$(tail -3 "$T/tpmd.log")" '*hierarchy_authorization*'
sign "$T/hello"
is "signing needs no password" "$STATUS" 200
stop tpmd
tpm2_changeauth -Q -c owner -p ownerpw
tpm2_changeauth -Q -c endorsement -p endorsepw

# --- a key of others' at the handle, with a password that is guarded against guessing: one try, or the TPM locks itself
stop tpmd
tpm2_create -Q -C 0x81000001 -G hmac -p secret -a 'sensitivedataorigin|userwithauth|sign' -u "$T/k.pub" -r "$T/k.priv"
tpm2_flushcontext -t
tpm2_load -Q -C 0x81000001 -u "$T/k.pub" -r "$T/k.priv" -c "$T/k.ctx"
tpm2_evictcontrol -Q -C o -c 0x81000100
tpm2_evictcontrol -Q -C o -c "$T/k.ctx" 0x81000100
tpm2_flushcontext -t
tpm2_dictionarylockout -Q --clear-lockout
tries() { tpm2_getcap properties-variable | awk '/TPM2_PT_LOCKOUT_COUNTER/ {print $2}'; }
config
tpmd_start
is "no try yet" "$(tries)" 0x0
for _ in 1 2 3 4 5; do
	sign "$T/hello"
	is "a key with a password" "$STATUS" 500
done
is "tries that the TPM has counted" "$(tries)" 0x1
like "the log says what to do" "$(cat "$T/tpmd.log")" '*key at 0x81000100 has a password*tpm2_evictcontrol*'
# locked by somebody else's guesses: said, and over when the TPM is unlocked (tpm2.md 3)
blob "$T/blob3"
for _ in 1 2 3; do tpm2_hmac -Q -c 0x81000100 -p guess "$T/hello" 2>/dev/null; done
import "$T/blob3"
answer "an import that cannot sign" 500
like "the log says that the TPM is locked" "$(tail -2 "$T/tpmd.log")" '*TPM is locked*--clear-lockout*'
tpm2_dictionarylockout -Q --clear-lockout
import "$T/blob3"
answer "an import takes its place" 200
sign "$T/hello"
is "and signs" "$(jq -r .digest <<<"$BODY")" "$WANT"
is "nothing stays loaded after a lock" "$(transients)" ""
stop tpmd

# --- the simulator by name: the TCTI asks the resolver for each command
config
sed -i "s/host=127.0.0.1,//" "$T/tpmd.toml"
tpmd_start
sign "$T/hello"
answer "TPM by name" 200
tpm_stop KILL
tpm_start
sign "$T/hello"
answer "TPM by name, after it came back" 200
stop tpmd

# --- a TPM that hangs: tpmd ends all the same
tpmd_start
before=$(date +%s)
kill -STOP "${PID[swtpm]}"
sign "$T/hello" &
busy=$!
at_work() { ss -Htn state established "dport = :$TPM_PORT" | grep -q .; }
wait_for 10 at_work
ok "a call hangs" $?
stop tpmd
is "ends in order beside it" $? 0
ok "in time" $(($(date +%s) - before > 40))
kill -CONT "${PID[swtpm]}"
wait $busy

# --- another index, and a TPM that is not there
config 'auth_key_index = 512'
tpmd_start
sign "$T/hello"
answer "nothing at another index" 500
stop tpmd
tpm_stop
how=()
! is_root || how=(--user "$(user 4)")
config
timeout 120 "$BIN/tpmd" --config "$T/tpmd.toml" --config-dir "$T/none" "${how[@]}" 2>"$T/absent"
is "without a TPM it does not start" $? 1
like "and says so" "$(cat "$T/absent")" '*could not open swtpm:host=127.0.0.1*'

# --- configuration
check() { # check STATUS LINE...
	local want=$1
	shift
	printf '%s\n' "$@" >"$T/check.toml"
	"$BIN/tpmd" --check --config "$T/check.toml" --config-dir "$T/none" >"$T/check.out" 2>&1
	is "--check $*" $? "$want"
}
check 0 ''
check 0 'tcti = ""' 'max_requests = 5' 'auth_key_index = 0x7FFFFF'
check 0 'tcti = "swtpm:port=2321"'
check 1 'tcti = "../evil:x"'
check 1 'tcti = "tabrmd"'
check 1 'auth_key_index = "0x000100"'
like "names the key" "$(cat "$T/check.out")" '*check.toml:1*auth_key_index*'
check 1 'auth_key_index = 0x800000'
check 1 'auth_key_index = -1'
check 1 '[hierarchy_authorization]' "owner = \"$(printf 'x%.0s' {1..65})\""
check 0 '[hierarchy_authorization]' "owner = \"$(printf 'x%.0s' {1..64})\""
rm -f "$T/absent"
suite_end
