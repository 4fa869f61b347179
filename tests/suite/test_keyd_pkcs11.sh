#!/bin/bash
# keyd's keys on PKCS#11 tokens, through its key workers: SoftHSM, and tpm2-pkcs11 over a software TPM, a module unlike it.  Judged by
# pkcs11-tool and openssl; pkcs11-spy writes down every call (issue 3, point 1; contracts/pkcs11.md 4 to 6).
# shellcheck disable=SC2317
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
need_root "tokens of another user" || exit 77
for tool in jq curl openssl xxd softhsm2-util pkcs11-tool swtpm tpm2_flushcontext; do need_tool $tool || exit 77; done
suite_begin "keyd: keys on tokens"
# shellcheck source=tests/suite/tpm.sh
. "$(dirname "$0")/tpm.sh"

module() { find /usr/lib /usr/lib64 -name "$1" 2>/dev/null | head -1; }
SOFTHSM=$(module libsofthsm2.so) TPM2_PKCS11=$(module libtpm2_pkcs11.so) SPY=$(module pkcs11-spy.so)
for found in "$SOFTHSM" "$TPM2_PKCS11" "$SPY"; do
	[ -n "$found" ] || { echo "SKIP issue 3: SoftHSM, tpm2-pkcs11 or pkcs11-spy is not installed"; exit 77; }
done

V=api-version=2021-05-01
S=$T/keyd.sock
OWNER=$((UID0 + 1))
chmod 755 "$T"
mkdir -m 755 "$T/etc"
for dir in home tokens spy pins store; do install -d -m 700 -o "$OWNER" "$T/$dir"; done
up() {
	start keyd "$BIN/keyd" --config "$T/etc/keyd.toml" --config-dir "$T/none" --user "$(user 1)"
	wait_socket keyd "$S"
}
post() { http "$S" POST "$1?$V" "$2"; }
get() { jq -r ".$1" <<<"$BODY"; }
b64() { base64 -w0 "$1"; }
printf 'to be signed' | openssl dgst -sha256 -binary >"$T/digest"
pair() { # pair ID [ALGORITHMS]: the handle is in HANDLE
	post /keypair "{\"keyId\":\"$1\",\"preferredAlgorithms\":\"${2:-ec-p256}\"}"
	HANDLE=$(get keyHandle)
}
sign() { # sign HANDLE: to $T/sig
	post /sign "{\"keyHandle\":\"$1\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"$(b64 "$T/digest")\"}}"
	jq -r '.signature // empty' <<<"$BODY" | base64 -d >"$T/sig"
}
mac() { # mac HANDLE: of "data", in MAC
	post /sign "{\"keyHandle\":\"$1\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"ZGF0YQ==\"}}"
	MAC=$(get signature)
}
parameter() { post "/parameters/$2" "{\"keyHandle\":\"$1\"}" && get value; }
# the public key as the token itself shows it: public_of LABEL, to $T/pub.der
public_of() { tool -O --type pubkey 2>/dev/null | awk -v l="$1" '/EC_POINT:/ { p = substr($2, 5) }
	$1 == "label:" && $2 == l { print "3059301306072a8648ce3d020106082a8648ce3d030107034200" p }' | xxd -r -p >"$T/pub.der"; }
verified() { # verified WHAT LABEL: the last signature, by the token's public key
	public_of "$2"
	openssl pkeyutl -verify -pubin -keyform DER -inkey "$T/pub.der" -in "$T/digest" -sigfile "$T/sig" >/dev/null 2>&1
	ok "$1: openssl verifies with the token's public key" $?
}
verified_rsa() { # verified_rsa WHAT HANDLE: its private operation on a PKCS#1 block, by its public numbers
	local n e info
	n=$(parameter "$2" rsa-modulus | base64 -d | xxd -p -c 999) e=$(parameter "$2" rsa-exponent | base64 -d | xxd -p)
	printf 'asn1=SEQUENCE:k\n[k]\nalg=SEQUENCE:a\nkey=BITWRAP,SEQUENCE:n\n[a]\no=OID:rsaEncryption\nz=NULL\n[n]\nn=INTEGER:0x%s\ne=INTEGER:0x%s\n' "$n" "$e" >"$T/rsa.cnf"
	openssl asn1parse -genconf "$T/rsa.cnf" -noout -out "$T/pub.der"
	info=$({ printf '3031300d060960864801650304020105000420' | xxd -r -p; cat "$T/digest"; } | base64 -w0)
	post /encrypt "{\"keyHandle\":\"$2\",\"algorithm\":\"RSA-PKCS1\",\"plaintext\":\"$info\"}"
	answer "$1: RSA-PKCS1" 200
	get ciphertext | base64 -d >"$T/sig"
	openssl pkeyutl -verify -pubin -keyform DER -inkey "$T/pub.der" -in "$T/digest" -sigfile "$T/sig" -pkeyopt digest:sha256 >/dev/null 2>&1
	ok "$1: openssl verifies" $?
	{ printf '\0\1'; long $((${#n} / 2 - 54)) $'\377'; printf '\0'; base64 -d <<<"$info"; } >"$T/block"
	post /encrypt "{\"keyHandle\":\"$2\",\"algorithm\":\"RSA-NO-PADDING\",\"plaintext\":\"$(b64 "$T/block")\"}"
	is "$1: RSA-NO-PADDING of the same block" "$(get ciphertext | base64 -d | xxd -p)" "$(xxd -p "$T/sig")"
}
# the token's worker ends, and another one follows it
kill_worker() {
	local pid
	pid=$(pgrep -P "$(pgrep -P "${PID[keyd]}")")
	kill -KILL "$pid" && wait_for 10 another_worker "$pid"
}
another_worker() {
	local pid
	pid=$(pgrep -P "$(pgrep -P "${PID[keyd]}")") && [ "$pid" != "$1" ] &&
		http "$S" GET "/status?$V" && [[ $(jq -r '.facts["key worker hsm"]' <<<"$BODY") == serving,* ]]
}
calls() { grep -c -E "$1" "$T/spy/log"; }
files() { find "$T/home/keys" -type f | wc -l; }

# --- SoftHSM, behind pkcs11-spy
export SOFTHSM2_CONF=$T/etc/softhsm2.conf PKCS11SPY=$SOFTHSM PKCS11SPY_OUTPUT=$T/spy/log
printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$T/tokens" >"$SOFTHSM2_CONF"
token() { as_user "$(user 1)" softhsm2-util --init-token --free --label "$1" --pin 73904182 --so-pin 5678 >/dev/null; }
MODULE=$SOFTHSM
tool() { as_user "$(user 1)" pkcs11-tool --module "$MODULE" -l --pin 73904182 --token-label tok "$@"; }
token tok
echo 73904182 >"$T/pins/pin"
chown "$OWNER" "$T/pins/pin"
cat >"$T/etc/keyd.toml" <<EOT
[aziot_keys]
homedir_path = "$T/home"
[backends.hsm]
type = "pkcs11"
library = "$SPY"
token = "pkcs11:token=tok?pin-source=file:$T/pins/pin"
paths = ["$T/spy"]
[[placement]]
keys = ["hsm-*"]
backend = "hsm"
[[placement]]
keys = ["*"]
backend = "file"
[preloaded_keys]
hsm-local = "pkcs11:token=tok;object=local%2Dca;type=private"
[endpoints]
aziot_keyd = "unix://$S"
EOT
chmod 644 "$T/etc"/*
up
pair hsm-ec
answer "SoftHSM: P-256" 200
EC=$HANDLE
sign "$EC"
answer "SoftHSM: sign" 200
verified "SoftHSM: P-256" hsm-ec
parameter "$EC" ec-point | base64 -d | xxd -p -c 99 >"$T/point"
is "SoftHSM: the point, compressed" "$(cut -c3- "$T/point")" "$(xxd -s 27 -l 32 -p -c 99 "$T/pub.der")"
pair hsm-rsa rsa-2048
answer "SoftHSM: RSA-2048" 200
verified_rsa "SoftHSM: RSA-2048" "$HANDLE"
pair hsm-384 ec-p384
answer "SoftHSM: P-384" 200
pair hsm-ed ed25519
is "SoftHSM: Ed25519 is not made on tokens" "$STATUS" 400
post /key '{"keyId":"hsm-mac","usage":"derive,sign"}'
answer "SoftHSM: a key" 200
H=$(get keyHandle)
post /derivedkey "{\"baseKeyHandle\":\"$H\",\"derivationData\":\"ZGF0YQ==\"}"
post /derivedkey/export "{\"keyHandle\":\"$(get keyHandle)\"}"
answer "SoftHSM: a derived key" 200
DERIVED=$(get key)
mac "$H"
is "SoftHSM: is its HMAC" "$DERIVED" "$MAC"
post /key '{"keyId":"hsm-imp","usage":"sign","keyBytes":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}'
answer "SoftHSM: import" 200
mac "$(get keyHandle)"
is "SoftHSM: import: HMAC" "$(base64 -d <<<"$MAC" | xxd -p -c 99 | tr a-f A-F)" \
	"$(printf data | openssl mac -digest SHA256 -macopt key:0123456789abcdef0123456789abcdef HMAC)"
post /key '{"keyId":"hsm-short","usage":"sign","keyBytes":"c2l4dGVlbiBieXRlcy4uLg=="}'
is "SoftHSM: short HMAC keys are refused where nothing else may keep them" "$STATUS" 400
post /key '{"keyId":"hsm-aes","usage":"encrypt"}'
AES=$(get keyHandle)
aead='"algorithm":"AEAD","parameters":{"iv":"AAAAAAAAAAAAAAAA","aad":"YWFk"}'
post /encrypt "{\"keyHandle\":\"$AES\",$aead,\"plaintext\":\"aGVsbG8=\"}"
answer "SoftHSM: encrypt" 200
CT=$(get ciphertext)
like "SoftHSM: frame" "$(base64 -d <<<"$CT" | xxd -p -c 99)" "02$(printf '?%.0s' {1..42})"
post /decrypt "{\"keyHandle\":\"$AES\",$aead,\"ciphertext\":\"$CT\"}"
is "SoftHSM: decrypt" "$(get plaintext)" "aGVsbG8="
post /decrypt "{\"keyHandle\":\"$AES\",$aead,\"ciphertext\":\"$(base64 -d <<<"$CT" | xxd -p | sed 's/00$/01/; t; s/..$/00/' | xxd -r -p | base64 -w0)\"}"
is "SoftHSM: a tampered one" "$STATUS" 500
is "SoftHSM: nothing of this in files" "$(files)" 0

# what is on the token
is "SoftHSM: private keys that never leave" "$(tool -O --type privkey 2>/dev/null | grep -c 'sensitive, always sensitive, never extractable, local')" 3
is "SoftHSM: secret keys that never leave" "$(tool -O --type secrkey 2>/dev/null | grep -c 'Access: *sensitive')" 3
is "SoftHSM: each has a CKA_ID of its own" "$(tool -O 2>/dev/null | grep 'ID:' | sort -u | wc -l)" 6
is "spy: keys are wrapped, copied, derived from" "$(calls ': C_(WrapKey|UnwrapKey|DeriveKey|CopyObject|GetOperationState)$')" 0
is "spy: parts of private keys are asked for" "$(calls 'CKA_(PRIVATE_EXPONENT|PRIME_1|PRIME_2|EXPONENT_1|COEFFICIENT)')" 0
is "spy: values are given on import only" "$(calls 'CKA_VALUE ')" "$(calls ': C_CreateObject$')"
is "spy: an extractable key" "$(calls 'CKA_EXTRACTABLE +True')" 0

# other programs at the token
tool --keypairgen --key-type EC:prime256v1 --label local-ca --id 01 >/dev/null 2>&1
http "$S" GET "/keypair/hsm-local?$V"
answer "preloaded: a key that pkcs11-tool made" 200
LOCAL=$(get keyHandle)
sign "$LOCAL"
verified "preloaded" local-ca
for type in privkey pubkey; do tool -b --type $type --label local-ca >/dev/null 2>&1; done
tool --keypairgen --key-type EC:prime256v1 --label local-ca --id 02 >/dev/null 2>&1
sign "$LOCAL"
answer "replaced: the handle serves" 200
verified "replaced: with the new key" local-ca
tool --keypairgen --key-type EC:prime256v1 --label local-ca --id 03 >/dev/null 2>&1
stop keyd
up
http "$S" GET "/keypair/hsm-local?$V"
is "duplicate label: an error" "$STATUS" 500
grep -q "two keys on the token have this name" "$T/keyd.log"
ok "duplicate label: said" $?

# move and delete
pair hsm-new
NEW=$(parameter "$HANDLE" ec-point)
http "$S" POST "/keypair/hsm-ec?$V" '{"from":"hsm-new"}'
is "move" "$STATUS" 204
is "move: the key" "$(parameter "$EC" ec-point)" "$NEW"
sign "$EC"
verified "move" hsm-ec
is "move: nothing is left" "$(tool -O 2>/dev/null | grep -c 'hsm-new')" 0
http "$S" DELETE "/keypair?$V" "{\"keyHandle\":\"$EC\"}"
is "delete" "$STATUS" 204
is "delete: from the token" "$(tool -O 2>/dev/null | grep -c 'hsm-ec')" 0

# the token goes away: no key is made anew, and all is well when it is back
pair hsm-id
ID=$HANDLE POINT=$(parameter "$HANDLE" ec-point)
mv "$T/tokens" "$T/away"
sign "$ID"
is "away: sign" "$STATUS" 500
pair hsm-id
is "away: it stays the key" "$HANDLE" "$ID"
pair hsm-other
is "away: create another" "$STATUS" 500
pair file-id
is "away: files work" "$STATUS" 200
mv "$T/away" "$T/tokens"
back() { sign "$ID" && [ "$STATUS" = 200 ]; }
wait_for 10 back
ok "back: signs again" $?
pair hsm-id
is "back: the same key" "$(parameter "$HANDLE" ec-point)" "$POINT"
is "back: one of it" "$(tool -O --type privkey 2>/dev/null | grep -c 'label: *hsm-id$')" 1

# a wrong PIN is sent once; the right one, when it stands in the file, at once
stop keyd
echo 28401937 >"$T/pins/pin"
before=$(calls ': C_Login$')
up
for _ in 1 2 3 4; do pair hsm-id; done
is "wrong PIN" "$STATUS" 500
is "wrong PIN: sent once" $(($(calls ': C_Login$') - before)) 1
for _ in 1 2; do kill_worker; done
ok "wrong PIN: the worker ends, and another one serves" $?
pair hsm-id
is "wrong PIN: not sent by the next worker either" "$STATUS $(($(calls ': C_Login$') - before))" "500 1"
echo 73904182 >"$T/pins/pin"
pair hsm-id
answer "right PIN" 200
is "right PIN: the same key" "$(parameter "$HANDLE" ec-point)" "$POINT"

# another token of the same name is not this one
as_user "$(user 1)" softhsm2-util --delete-token --token tok >/dev/null 2>&1
token tok
sign "$ID"
is "another token of this name" "$STATUS" 500
sleep 1.1
pair hsm-other
is "another token of this name, later" "$STATUS" 500
kill_worker
pair hsm-other
is "another token of this name, to the next worker" "$STATUS" 500
is "no key is made on it" "$(tool -O 2>/dev/null | wc -l)" 0
stop keyd

# --- the contract's order: token, then file (keyd.md 6), with upstream's own settings
rm -r "$T/home/keys"
cat >"$T/etc/keyd.toml" <<EOT
[aziot_keys]
homedir_path = "$T/home"
pkcs11_lib_path = "$SOFTHSM"
pkcs11_base_slot = "pkcs11:token=tok?pin-value=73904182"
[endpoints]
aziot_keyd = "unix://$S"
EOT
up
pair a
is "order: a pair is on the token" "$STATUS $(files) $(tool -O --type privkey 2>/dev/null | grep -c 'label: *a$')" "200 0 1"
post /key '{"keyId":"short","usage":"sign","keyBytes":"c2l4dGVlbiBieXRlcy4uLg=="}'
is "order: a short HMAC key goes to a file" "$STATUS $(files) $(tool -O 2>/dev/null | grep -c short)" "200 1 0"
mac "$(get keyHandle)"
is "order: and works" "$(base64 -d <<<"$MAC" | xxd -p -c 99 | tr a-f A-F)" \
	"$(printf data | openssl mac -digest SHA256 -macopt 'key:sixteen bytes...' HMAC)"
stop keyd
like "the log has no PIN" "$(cat "$T/keyd.log")" "*keyd*"
is "the log has no PIN" "$(grep -c -E '73904182|28401937|pin-(value|source)=' "$T/keyd.log")" 0

# --- tpm2-pkcs11: no AES-GCM, no HMAC keys of its own, three objects at a time
export TPM_STATE=$T/tpm
tpm_start
export TPM2_PKCS11_STORE=$T/store TPM2_PKCS11_TCTI=$TPM2TOOLS_TCTI TPM2_PKCS11_LOG_LEVEL=0
MODULE=$TPM2_PKCS11
# this TPM has no manager of resources, and the module leaves what it loaded
down() {
	stop keyd
	tpm2_flushcontext -t && tpm2_flushcontext -l && tpm2_flushcontext -s && tpm2_dictionarylockout -Q --clear-lockout
}
as_user "$(user 1)" pkcs11-tool --module "$TPM2_PKCS11" --slot-index 0 --init-token --label tok --so-pin 5678 >/dev/null 2>&1 &&
	as_user "$(user 1)" pkcs11-tool --module "$TPM2_PKCS11" --token-label tok --init-pin --so-pin 5678 --pin 73904182 >/dev/null 2>&1
ok "tpm2-pkcs11: a token" $?
rm -r "$T/home/keys"
cat >"$T/etc/keyd.toml" <<EOT
[aziot_keys]
homedir_path = "$T/home"
[backends.chip]
type = "pkcs11"
library = "$TPM2_PKCS11"
token = "pkcs11:token=tok?pin-value=73904182"
network = true
deadline_ms = 60000
[[placement]]
keys = ["chip-*"]
backend = "chip"
[[placement]]
keys = ["*"]
backend = "file"
[endpoints]
aziot_keyd = "unix://$S"
EOT
up
pair chip-ec
answer "tpm2-pkcs11: P-256" 200
EC=$HANDLE
sign "$EC"
answer "tpm2-pkcs11: sign" 200
down
verified "tpm2-pkcs11: P-256" chip-ec
up
pair chip-ec
is "tpm2-pkcs11: the key outlives keyd" "$HANDLE" "$EC"
pair chip-rsa rsa-2048
answer "tpm2-pkcs11: RSA-2048" 200
RSA=$HANDLE
verified_rsa "tpm2-pkcs11: RSA-2048" "$RSA"
post /key '{"keyId":"chip-mac","usage":"sign"}'
is "tpm2-pkcs11: makes no HMAC keys" "$STATUS" 400
post /key '{"keyId":"chip-aes","usage":"encrypt"}'
is "tpm2-pkcs11: makes no AES-GCM keys" "$STATUS" 400
down # three objects are loaded now
up
pair chip-new
NEW=$(parameter "$HANDLE" ec-point)
http "$S" POST "/keypair/chip-ec?$V" '{"from":"chip-new"}'
is "tpm2-pkcs11: move" "$STATUS" 204
is "tpm2-pkcs11: move: the key" "$(parameter "$EC" ec-point)" "$NEW"
for _ in 1 2 3 4 5; do
	sign "$EC"
	judge=$STATUS
	[ "$judge" = 200 ] || break
done
is "tpm2-pkcs11: signs again and again" "$judge" 200
http "$S" DELETE "/keypair?$V" "{\"keyHandle\":\"$RSA\"}"
is "tpm2-pkcs11: delete" "$STATUS" 204
down
verified "tpm2-pkcs11: after the move" chip-ec
is "tpm2-pkcs11: what is left" "$(tool -O 2>/dev/null | grep -c 'Key Object')" 2
suite_end
