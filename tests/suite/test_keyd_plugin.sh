#!/bin/bash
# Keys in an OEM's library behind the real keyd: the sample of tests/oem in a worker, judged by openssl, and a library that lies,
# crashes and hangs, beside which all other keys are served (issue 3, points 1 and 2; contracts/keyabi.md).
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
need_root "the spawner has no capabilities" || exit 77
for tool in jq curl openssl xxd; do need_tool $tool || exit 77; done
suite_begin "keyd: keys in an OEM's library"

V=api-version=2021-05-01
S=$T/keyd.sock
OWNER=$((UID0 + 1))
mkdir -m 755 "$T/etc" "$T/lib"
install -d -m 700 -o "$OWNER" "$T/home" "$T/store"
install -m 755 "$BUILD/oem/sample.so" "$BUILD/oem/liar.so" "$T/lib"

config() { # config LIE
	cat >"$T/etc/keyd.toml" <<EOT
[aziot_keys]
homedir_path = "$T/home"
[backends.oem]
type = "plugin"
library = "$T/lib/sample.so"
paths = ["$T/store"]
[backends.oem.parameters]
store_path = "$T/store"
[backends.liar]
type = "plugin"
library = "$T/lib/liar.so"
paths = ["$T/absent"]
deadline_ms = 500
[backends.liar.parameters]
lie = "$1"
[[placement]]
keys = ["oem-*"]
backend = "oem"
[[placement]]
keys = ["liar-*"]
backend = "liar"
[[placement]]
keys = ["file-*"]
backend = "file"
[endpoints]
aziot_keyd = "unix://$S"
EOT
}
up() {
	start keyd "$BIN/keyd" --config "$T/etc/keyd.toml" --config-dir "$T/none" --user "$(user 1)"
	wait_socket keyd "$S"
}
post() { http "$S" POST "$1?$V" "$2"; }
get() { jq -r ".$1" <<<"$BODY"; }
b64() { base64 -w0 "$1"; }
state_of() { http "$S" GET "/status?$V" && jq -r ".facts[\"key worker $1\"]" <<<"$BODY"; }
serving() { [[ $(state_of "$1") == serving* ]]; }
listing() { find "$T/store" -printf '%p %s %T@ %m\n' | LC_ALL=C sort; }

# --- the sample: every request of the API
config ""
up
wait_for 10 serving oem
ok "the sample serves" $?
post /keypair '{"keyId":"oem-ec"}'
answer "create a pair" 200
EC=$(get keyHandle)
printf 'to be signed' >"$T/message"
openssl dgst -sha256 -binary "$T/message" >"$T/digest"
post /sign "{\"keyHandle\":\"$EC\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"$(b64 "$T/digest")\"}}"
answer "sign by ECDSA" 200
get signature | base64 -d >"$T/sig"
post /parameters/ec-point "{\"keyHandle\":\"$EC\"}"
{
	xxd -r -p <<<3059301306072a8648ce3d020106082a8648ce3d030107034200
	get value | base64 -d
} >"$T/ec.pub"
openssl pkeyutl -verify -pubin -keyform DER -inkey "$T/ec.pub" -in "$T/digest" -sigfile "$T/sig" >/dev/null 2>&1
ok "openssl verifies it" $?
post /parameters/algorithm "{\"keyHandle\":\"$EC\"}"
answer "algorithm" 200 '.value == "ECDSA"'

head -c 32 /dev/urandom >"$T/key"
post /key "{\"keyId\":\"oem-hmac\",\"usage\":\"derive,sign\",\"keyBytes\":\"$(b64 "$T/key")\"}"
answer "import" 200
KEY=$(get keyHandle)
hmac() { openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(xxd -p -c 99 "$1")" -binary "$2" | base64 -w0; }
post /sign "{\"keyHandle\":\"$KEY\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"$(b64 "$T/message")\"}}"
is "HMAC" "$STATUS $(get signature)" "200 $(hmac "$T/key" "$T/message")"
post /derivedkey "{\"baseKeyHandle\":\"$KEY\",\"derivationData\":\"$(b64 "$T/message")\"}"
DERIVED=$(get keyHandle)
post /derivedkey/export "{\"keyHandle\":\"$DERIVED\"}"
is "derived key" "$STATUS $(get key)" "200 $(hmac "$T/key" "$T/message")"
for key in "$KEY" "$DERIVED"; do
	post /encrypt "{\"keyHandle\":\"$key\",\"algorithm\":\"AEAD\",\"parameters\":{\"iv\":\"AAAAAAAAAAAAAAAA\",\"aad\":\"YWFk\"},\"plaintext\":\"aGVsbG8=\"}"
	answer "encrypt" 200
	SEALED=$(get ciphertext)
	post /decrypt "{\"keyHandle\":\"$key\",\"algorithm\":\"AEAD\",\"parameters\":{\"iv\":\"AAAAAAAAAAAAAAAA\",\"aad\":\"YWFk\"},\"ciphertext\":\"$SEALED\"}"
	answer "decrypt" 200 '.plaintext == "aGVsbG8="'
	post /decrypt "{\"keyHandle\":\"$key\",\"algorithm\":\"AEAD\",\"parameters\":{\"iv\":\"AAAAAAAAAAAAAAAA\",\"aad\":\"\"},\"ciphertext\":\"$SEALED\"}"
	answer "decrypt with other additional data" 500
done
post /keypair '{"keyId":"oem-rsa","preferredAlgorithms":"ec-p384:rsa-2048"}'
answer "an algorithm that libraries have no name for, then RSA" 200
RSA=$(get keyHandle)
post /parameters/rsa-modulus "{\"keyHandle\":\"$RSA\"}"
is "RSA modulus" "$(get value | base64 -d | wc -c)" 256
post /encrypt "{\"keyHandle\":\"$RSA\",\"algorithm\":\"RSA-PKCS1\",\"plaintext\":\"$(b64 "$T/digest")\"}"
answer "RSA-PKCS1" 200

# one id, one key; ids that are not placed live nowhere; keys of others are where they belong
post /keypair '{"keyId":"oem-hmac"}'
answer "a pair of a key's id" 400
post /key '{"keyId":"other","usage":"sign"}'
answer "no placement" 400 '.message | contains("no way to create keys")'
post /key '{"keyId":"file-a","usage":"sign"}'
answer "a file beside it" 200
FILE=$(get keyHandle)
is "keys of the library" "$(find "$T/store" -type f | wc -l)" 3
is "keys in files" "$(find "$T/home/keys" -type f | wc -l)" 1

# refusals change nothing
before=$(listing)
http "$S" GET "/key/oem-absent?$V"
answer "load a missing key" 400
post /sign "{\"keyHandle\":\"$EC\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"YWI=\"}}"
answer "a short digest" 400
post /parameters/rsa-modulus "{\"keyHandle\":\"$EC\"}"
answer "a parameter of another algorithm" 400
is "the store is as it was" "$(listing)" "$before"

# move and delete, also over a restart
post /keypair '{"keyId":"oem-temp"}'
post /parameters/ec-point "{\"keyHandle\":\"$(get keyHandle)\"}"
POINT=$(get value)
post /keypair/oem-ec '{"from":"oem-temp"}'
answer "move" 204
stop keyd
is "ends in good order" $? 0
up
wait_for 10 serving oem
post /parameters/ec-point "{\"keyHandle\":\"$EC\"}"
answer "the moved pair after a restart" 200 ".value == \"$POINT\""
http "$S" DELETE "/keypair?$V" "{\"keyHandle\":\"$EC\"}"
is "delete" "$STATUS" 204
http "$S" GET "/keypair/oem-ec?$V"
answer "it is gone" 400
http "$S" DELETE "/key?$V" "{\"keyHandle\":\"$KEY\"}"
is "delete a key" "$STATUS" 204
is "its store" "$(find "$T/store" -type f | wc -l)" 1
# away, not missing: nothing is made anew (the sample cannot reach its store)
chmod 000 "$T/store"
mv "$T/store" "$T/away"
post /keypair '{"keyId":"oem-rsa"}'
answer "its store is away" 500
mv "$T/away" "$T/store"
chmod 700 "$T/store"
stop keyd

# --- our own library in the OEM's place: the files are upstream's, so openssl finds the key in them
install -d -m 700 -o "$OWNER" "$T/ours"
install -m 755 "$BUILD/lib/libaziot_keys.so" "$T/lib"
config ""
sed -i "s|sample.so|libaziot_keys.so|; s|^store_path = .*|homedir_path = \"$T/ours\"|; s|^paths = .*||" "$T/etc/keyd.toml"
up
wait_for 10 serving oem
post /keypair '{"keyId":"oem-ec"}'
answer "our library: create a pair" 200
post /sign "{\"keyHandle\":\"$(get keyHandle)\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"$(b64 "$T/digest")\"}}"
answer "our library: sign" 200
get signature | base64 -d >"$T/sig"
openssl pkeyutl -verify -inkey "$T/ours/keys/oemec-$(printf oem-ec | sha256sum | cut -c1-64).key" -in "$T/digest" -sigfile "$T/sig" >/dev/null 2>&1
ok "our library: openssl verifies it" $?
stop keyd

# --- what a library may do that has a device, and that it gets at nothing which is not its own: from its first parameter on
begin() { # begin LIE [OPTION...]: keyd with that liar
	config "$1"
	[ "$1" != reach ] || sed -i "s|^lie = .*|&\ntarget = \"$KEY_FILE\"|" "$T/etc/keyd.toml"
	shift
	start keyd "$BIN/keyd" --config "$T/etc/keyd.toml" --config-dir "$T/none" --user "$(user 1)" "$@"
	wait_socket keyd "$S"
	wait_for 10 serving liar
}
KEY_FILE=$(echo "$T"/home/keys/filea-*.key)
begin hardware
post /key '{"keyId":"liar-a","usage":"sign"}'
answer "ioctl, select, epoll" 200
like "ioctl, select, epoll: the same process" "$(state_of liar)" "serving, 0 restarts*"
stop keyd
if [ -z "$INSTRUMENTED" ] && ! grep -q "Landlock ABI 0" "$T/keyd.log"; then
	# errno, so that one refusal is not the last
	begin reach --sandbox errno
	post /key '{"keyId":"liar-a","usage":"sign"}'
	answer "it reaches nothing" 200
	is "it reaches nothing, neither while it is loaded" "$(grep '^reached' "$T/keyd.log")" ""
	stop keyd
fi

# --- the liar: LIE | status | what the log says | restarts | message
lied() { # lied LIE STATUS LOG RESTARTS [MESSAGE]
	config "$1"
	start keyd "$BIN/keyd" --config "$T/etc/keyd.toml" --config-dir "$T/none" --user "$(user 1)"
	wait_socket keyd "$S"
	wait_for 10 serving liar
	post /key '{"keyId":"liar-a","usage":"derive,sign"}'
	LIAR=$(get keyHandle)
	if [ "$LIAR" != null ]; then
		post /sign "{\"keyHandle\":\"$LIAR\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"YQ==\"}}"
	fi
	is "$1: status" "$STATUS" "$2"
	like "$1: message" "$(get message)" "${5:-internal error}"
	ok "$1: the log says: $3" "$(grep -qE "$3" "$T/keyd.log"; echo $?)"
	post /sign "{\"keyHandle\":\"$FILE\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"YQ==\"}}"
	answer "$1: a file key beside it" 200
	wait_for 10 serving liar
	ok "$1: it serves again" $?
	like "$1: restarts" "$(state_of liar)" "serving, $4 restarts*"
	stop keyd
}
lied result 500 'load_key: the key library answered 7' 0
lied trouble 500 'load_key: the key library failed' 0
lied bound 500 'sign: the key library asked for a buffer of 1073741824 bytes' 0
lied overrun 500 'key worker liar has ended: sign: the key library wrote beyond the buffer' 1
lied length 500 'key worker liar has ended: sign: the key library answered a length beyond the buffer' 1
lied crash 500 'key worker liar has ended' '[1-9]' 'the key backend liar *try again*'
lied hang 500 'key worker liar has ended: .*does not answer' '[1-9]' 'the key backend liar did not answer in 500 ms; try again*'

# --- a parameter that the library refuses
config ""
sed -i 's/^lie = .*/bad = "secret-pin"/' "$T/etc/keyd.toml"
start keyd "$BIN/keyd" --config "$T/etc/keyd.toml" --config-dir "$T/none" --user "$(user 1)"
wait_socket keyd "$S"
post /key '{"keyId":"liar-a","usage":"sign"}'
answer "a refused parameter" 500
wait_for 10 serving oem
post /key '{"keyId":"oem-b","usage":"sign"}'
answer "another library beside it" 200
wait_for 5 grep -q "parameter bad of backend liar" "$T/keyd.log"
ok "the log names it" $?
grep -qF "backends.liar.paths: $T/absent cannot be had: No such file" "$T/keyd.log"
ok "the log names a path that is not there" $?
is "and not its value" "$(grep -c secret-pin "$T/keyd.log")" 0
suite_end
