#!/bin/bash
# A device that ran upstream's keyd until now: its key directory as openssl writes it (contracts/keyd.md 6) loads and works and is not
# touched; and a directory of 100,000 keys costs no request more than one of 10, counted in system calls.
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
for tool in jq curl openssl xxd; do need_tool $tool || exit 77; done
suite_begin "keyd: upgrade in place"

V=api-version=2021-05-01
S=$T/keyd.sock
HOME_DIR=$T/home
as_keyd=() OWNER=$(id -u)
if is_root; then as_keyd=(--user "$(user 1)") OWNER=$((UID0 + 1)); fi
mkdir -m 755 "$T/pre" "$T/etc"

config() { # config HOME
	cat >"$T/etc/keyd.toml" <<EOT
max_requests = 64
[aziot_keys]
homedir_path = "$1"
[preloaded_keys]
preloaded = "file://$T/pre/key.pem"
"preloaded/symmetric key" = "file://$T/pre/symmetric%20key"
[endpoints]
aziot_keyd = "unix://$S"
[[principal]]
uid = $(id -u)
keys = ["*"]
EOT
}
up() {
	start keyd "$@" "$BIN/keyd" --config "$T/etc/keyd.toml" --config-dir "$T/etc/d" "${as_keyd[@]}"
	wait_socket keyd "$S" 30
}
post() { http "$S" POST "$1?$V" "$2"; }
get() { jq -r ".$1" <<<"$BODY"; }
handle() { # handle PATH ID [MORE]: by POST, as ids may be anything; keyd finds what is there
	post "$1" "$(jq -nc --arg id "$2" "{keyId: \$id, ${3:-usage: \"sign\"}}")"
	get keyHandle
}
file_of() { echo "$HOME_DIR/keys/$(LC_ALL=C tr -dc 'A-Za-z0-9' <<<"$1")-$(printf %s "$1" | sha256sum | cut -c1-64).key"; }
listing() { find "$HOME_DIR/keys" "$T/pre" -printf '%p %s %T@ %C@ %m %U\n' | LC_ALL=C sort; }

# --- the directory: what upstream makes, and what operators put there by hand
mkdir -p "$HOME_DIR/keys"
chmod 700 "$HOME_DIR" "$HOME_DIR/keys"
LONG=$(printf '%0500d' 0 | tr 0 /)$(printf '%0500d' 0 | tr 0 .) # 1000 bytes, of which its file's name has none
is "file name, keyd.md 6" "$(basename "$(file_of device-id)")" \
	deviceid-bd732105ef89cf8edd2606a5309c8a26b7b5599a4e124a0fe6199b6b2f60e655.key
pkcs8_ec() { openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:${1:-P-256}" 2>/dev/null; }
EC_IDS=(device-id sec1 'with parameters' crlf commented twice 'grün/id' '密钥 🔑' 'a b c' '..' '%41' "$LONG" $'two\nlines' P-384)
pkcs8_ec >"$(file_of device-id)"
pkcs8_ec | openssl ec 2>/dev/null >"$(file_of sec1)"
openssl ecparam -name prime256v1 -genkey >"$(file_of 'with parameters')"
pkcs8_ec | sed 's/$/\r/' >"$(file_of crlf)"
(printf 'Bag Attributes\n    friendlyName: device\nKey Attributes: <No Attributes>\n'; pkcs8_ec) >"$(file_of commented)"
(pkcs8_ec; echo; echo 'made by hand') >"$(file_of twice)"
for id in 'grün/id' '密钥 🔑' 'a b c' '..' '%41' "$LONG" $'two\nlines'; do pkcs8_ec >"$(file_of "$id")"; done
pkcs8_ec P-384 >"$(file_of P-384)"
RSA_IDS=(rsa pkcs1 big)
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 2>/dev/null >"$(file_of rsa)"
openssl rsa -in "$(file_of rsa)" -traditional 2>/dev/null >"$(file_of pkcs1)"
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:4096 2>/dev/null >"$(file_of big)"
SYMMETRIC_IDS=(s16 s32 s48 s64 s1 'sym/metric' aziot_identityd_master_id)
for n in 16 32 48 64 1; do openssl rand "$n" >"$(file_of "s$n")"; done
openssl rand 32 >"$(file_of sym/metric)"
openssl rand 64 >"$(file_of aziot_identityd_master_id)"
printf '\000\012-----\015\012\000' >"$(file_of s16)" # bytes are bytes
xxd -r -p >"$(file_of vector)" <<<000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
openssl rand 32 >"$(file_of handle-validation-key)"
chmod 644 "$HOME_DIR/keys"/*            # systemd's umask of 022
chmod 444 "$(file_of rsa)"
chmod 600 "$(file_of device-id)"
pkcs8_ec >"$T/pre/key.pem"
openssl rand 32 >"$T/pre/symmetric key"
chmod 644 "$T/pre"/*
DAMAGED_IDS=(empty cut nonsense encrypted public certificate)
: >"$(file_of empty)"
head -c 100 "$(file_of rsa)" >"$(file_of cut)"
printf -- '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n' >"$(file_of nonsense)"
pkcs8_ec | openssl pkcs8 -topk8 -passout pass:x 2>/dev/null >"$(file_of encrypted)"
pkcs8_ec | openssl pkey -pubout >"$(file_of public)"
printf -- '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' >"$(file_of certificate)"
is_root && chown -R "$OWNER" "$HOME_DIR"
before=$(listing)
config "$HOME_DIR"
up
is "the directory before keyd starts" "$(ls -A "$HOME_DIR")" "epochs
handles.key
keys"

# --- key pairs sign
printf 'to be signed' >"$T/message"
DIGEST=$(openssl dgst -sha256 -binary "$T/message" | base64 -w0)
verify() { openssl dgst -sha256 -prverify "$1" -signature "$T/sig" "$T/message" >/dev/null 2>&1; }
signs_ec() { # signs_ec WHAT HANDLE FILE
	post /sign "{\"keyHandle\":\"$2\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"$DIGEST\"}}"
	is "$1: signs" "$STATUS" 200
	get signature | base64 -d >"$T/sig"
	verify "$3"
	ok "$1: openssl verifies" $?
}
for id in "${EC_IDS[@]}"; do
	signs_ec "EC ${id:0:20}" "$(handle /keypair "$id" 'preferredAlgorithms: "rsa-2048"')" "$(file_of "$id")"
done
signs_ec "EC preloaded" "$(handle /keypair preloaded 'preferredAlgorithms: null')" "$T/pre/key.pem"
INFO=$( (
	printf 3031300d060960864801650304020105000420 | xxd -r -p
	openssl dgst -sha256 -binary "$T/message"
) | base64 -w0)
for id in "${RSA_IDS[@]}"; do
	post /encrypt "{\"keyHandle\":\"$(handle /keypair "$id" 'preferredAlgorithms: "ec-p256"')\",\"algorithm\":\"RSA-PKCS1\",\"plaintext\":\"$INFO\"}"
	get ciphertext | base64 -d >"$T/sig"
	verify "$(file_of "$id")"
	ok "RSA $id: openssl verifies" $?
done
http "$S" GET "/keypair/a%20b%20c?$V"
is "an odd id in the path" "$STATUS" 200
http "$S" GET "/keypair/gr%C3%BCn%2Fid?$V"
is "another" "$STATUS" 200

# --- keys: HMAC, derivation, and what was sealed with either version
hex() { xxd -p "$1" | tr -d '\n'; }
mac() { openssl mac -digest SHA256 -macopt "hexkey:$1" HMAC | xxd -r -p | base64 -w0; } # mac HEXKEY <MESSAGE
for id in "${SYMMETRIC_IDS[@]}" vector; do
	post /sign "{\"keyHandle\":\"$(handle /key "$id")\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"$(base64 -w0 "$T/message")\"}}"
	is "HMAC $id" "$(get signature)" "$(mac "$(hex "$(file_of "$id")")" <"$T/message")"
done
post /sign "{\"keyHandle\":\"$(handle /key 'preloaded/symmetric key')\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"$(base64 -w0 "$T/message")\"}}"
is "HMAC preloaded" "$(get signature)" "$(mac "$(hex "$T/pre/symmetric key")" <"$T/message")"
MASTER=$(handle /key aziot_identityd_master_id)
post /derivedkey "{\"baseKeyHandle\":\"$MASTER\",\"derivationData\":\"$(printf 'sensor:638300000000000000:primary' | base64 -w0)\"}"
DERIVED=$(get keyHandle)
post /derivedkey/export "{\"keyHandle\":\"$DERIVED\"}"
is "a module's key is what it was" "$(get key)" "$(printf 'sensor:638300000000000000:primary' | mac "$(hex "$(file_of aziot_identityd_master_id)")")"
VECTOR=$(handle /key vector)
opens() { # opens WHAT HEX
	post /decrypt "{\"keyHandle\":\"$VECTOR\",\"algorithm\":\"AEAD\",\"parameters\":{\"iv\":\"AAAAAAAAAAAAAAAA\",\"aad\":\"YWFk\"},\"ciphertext\":\"$(xxd -r -p <<<"$2" | base64 -w0)\"}"
	is "$1" "$(get plaintext | base64 -d)" hello
}
opens "AEAD of version 2" 0266d9d9b2dacaba6d3d5e52f91c5281d89320385bdb
opens "AEAD of version 1" 01caba6d3d5e52f91c5281d89320385bdb66d9d9b2da # tag first

# --- upstream's handles and the key behind them
post /sign '{"keyHandle":"sr=eyJrZXlfaWQiOnsiS2V5IjoiczMyIn0sIm5vbmNlIjoiIn0=&sig=AAAA","algorithm":"HMAC-SHA256","parameters":{"message":""}}'
answer "upstream's handle" 400 '.message == "parameter \"handle\" has an invalid value\ncaused by: invalid handle"'
post /key '{"keyId":"handle-validation-key","usage":"sign"}'
is "its validation key is nobody's" "$STATUS" 401

# --- damaged: 500, said in the log, never replaced; as a symmetric key any bytes will do but none
for id in "${DAMAGED_IDS[@]}"; do
	for want in '"ec-p256"' null; do
		post /keypair "$(jq -nc --arg id "$id" "{keyId: \$id, preferredAlgorithms: $want}")"
		answer "damaged: $id" 500 '.message == "internal error"'
	done
	http "$S" GET "/keypair/$id?$V"
	is "damaged: $id: load" "$STATUS" 500
done
post /key '{"keyId":"empty","usage":"sign"}'
is "an empty file is no symmetric key, either" "$STATUS" 500
like "damaged: the log names the key" "$(cat "$T/keyd.log")" "*nonsense*malformed*"
is "no file was touched" "$(listing)" "$before"

# --- and it goes on from there: renewal, deletion, a restart
handle /keypair device-id-temp 'preferredAlgorithms: "ec-p256"' >/dev/null
http "$S" POST "/keypair/device-id?$V" '{"from":"device-id-temp"}'
is "renewal over an old key" "$STATUS" 204
signs_ec "the renewed key" "$(handle /keypair device-id 'preferredAlgorithms: null')" "$(file_of device-id)"
http "$S" DELETE "/key?$V" "{\"keyHandle\":\"$(handle /key 'sym/metric')\"}"
is "an old key is deleted" "$STATUS $([ -e "$(file_of sym/metric)" ] || echo gone)" "204 gone"
stop keyd
up
signs_ec "after a restart" "$(handle /keypair "$LONG" 'preferredAlgorithms: null')" "$(file_of "$LONG")"
stop keyd
is "end: exit status" $? 0

# --- work for a request: the same with 10 keys and with 100,000.  All calls that name a file or read a directory are counted,
# start and end included.
if [ -z "$INSTRUMENTED" ] && need_tool strace && need_root "strace over a change of user"; then
	work() { # work KEYS: into work-KEYS, calls by name
		local i base n=$1
		HOME_DIR=$T/home$n
		mkdir -p "$HOME_DIR/keys"
		chmod 700 "$HOME_DIR"
		for i in 1 2 3 4; do # read by the requests below
			printf '0123456789abcdef0123456789abcdef' >"$(file_of "sym$i")"
			cp "$T/pre/key.pem" "$(file_of "pair$i")"
		done
		chown -R "$OWNER" "$HOME_DIR"
		# names as long as real ones; nobody opens them
		seq $((n - 8)) | awk -v dir="$HOME_DIR/keys" '{ printf "%s/module%d-%064d.key\n", dir, $1, $1 }' | xargs touch
		config "$HOME_DIR"
		up strace -D -f -qq -y -o "$T/trace$n" -e trace=%file,getdents64,read,fsync,fdatasync,unlinkat,renameat
		for i in 1 2 3 4 1 2; do
			http "$S" GET "/key/sym$i?$V"
			base=$(get keyHandle)
			post /sign "{\"keyHandle\":\"$base\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"eA==\"}}"
			is "$n keys: sign" "$STATUS" 200
			http "$S" GET "/keypair/pair$i?$V"
			post /sign "{\"keyHandle\":\"$(get keyHandle)\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"$DIGEST\"}}"
			is "$n keys: sign" "$STATUS" 200
		done
		for i in 1 2 3; do
			handle /keypair "fresh$i" 'preferredAlgorithms: "ec-p256"' >/dev/null
			http "$S" POST "/keypair/moved?$V" "{\"from\":\"fresh$i\"}"
			post /key "{\"keyId\":\"imported\",\"usage\":\"sign\",\"keyBytes\":\"AAAA\"}"
			http "$S" DELETE "/key?$V" "{\"keyHandle\":\"$(get keyHandle)\"}"
			is "$n keys: made, moved, imported, deleted" "$STATUS" 204
			http "$S" GET "/key/nowhere?$V"
		done
		stop keyd
		# threads that wake each other by an eventfd read it once for several calls, as it happens
		sed -n -e '/^[0-9]* *read([0-9]*<anon_inode/d' -e 's/^[0-9]* *\([a-z0-9_]*\)(.*/\1/p' "$T/trace$n" | sort | uniq -c | awk '{print $2, $1}' >"$T/work-$n"
	}
	work 10
	work 100000
	is "keys in the large directory" "$(find "$T/home100000/keys" -type f | wc -l)" 100001 # and "moved"
	is "the same calls with 100,000 keys as with 10" "$(cat "$T/work-100000")" "$(cat "$T/work-10")"
	ok "and some were counted: $(wc -l <"$T/trace10") calls" "$([ "$(wc -l <"$T/trace10")" -gt 100 ]; echo $?)"
	is "no key directory is ever read" "$(grep -c 'keys.*O_DIRECTORY' "$T/trace100000") $(grep -c getdents "$T/trace100000")" \
		"$(grep -c 'keys.*O_DIRECTORY' "$T/trace10") $(grep -c getdents "$T/trace10")"
fi
suite_end
