#!/bin/bash
# The real keyd over its socket: who may do what, bad input, crashes, its sandbox; openssl judges what it signs.
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
for tool in jq curl openssl xxd; do need_tool $tool || exit 77; done
suite_begin "keyd"

V=api-version=2021-05-01
S=$T/keyd.sock
as_keyd=() OWNER=$(id -u) HTTP_AS=
if is_root; then
	as_keyd=(--user "$(user 1)") OWNER=$((UID0 + 1))
	WRITER="setpriv --reuid=$((UID0 + 3)) --regid=$((UID0 + 3)) --groups=$OWNER"
	STRANGER="setpriv --reuid=$((UID0 + 4)) --regid=$((UID0 + 4)) --groups=$OWNER"
fi
mkdir -m 700 "$T/home" && mkdir -m 755 "$T/etc" "$T/pre"
openssl ecparam -name prime256v1 -genkey -noout -out "$T/pre/key.pem"
mkdir "$T/aside" && openssl ecparam -name prime256v1 -genkey -noout -out "$T/aside/key.pem"
chmod 644 "$T/pre/key.pem" "$T/aside/key.pem"
ln -s ../aside/key.pem "$T/pre/link.pem"
is_root && chown "$OWNER" "$T/home"

config() { # config PATTERNS: what the writer may name
	cat >"$T/etc/new" <<EOT
[aziot_keys]
homedir_path = "$T/home"
[preloaded_keys]
preloaded = "file://$T/pre/key.pem"
linked = "file://$T/pre/link.pem"
absent = "file://$T/absent/key.pem"
[endpoints]
aziot_keyd = "unix://$S"
[[principal]]
uid = $((UID0 + 3))
keys = [$1]
EOT
	# root needs no entry
	is_root || printf '[[principal]]\nuid = %s\nkeys = ["*"]\n' "$(id -u)" >>"$T/etc/new"
	mv "$T/etc/new" "$T/etc/keyd.toml"
}
config '"dev-*", "preloaded"'
keyd() { "$BIN/keyd" --config "$T/etc/keyd.toml" --config-dir "$T/etc/d" "${as_keyd[@]}" "$@"; }
up() {
	start keyd "$BIN/keyd" --config "$T/etc/keyd.toml" --config-dir "$T/etc/d" "${as_keyd[@]}"
	wait_socket keyd "$S"
}
post() { http "$S" POST "$1?$V" "$2"; }
get() { jq -r ".$1" <<<"$BODY"; }
listing() { find "$T/home" "$T/pre" -printf '%p %s %T@ %m\n' | LC_ALL=C sort; }

# --- configuration
keyd --check >/dev/null 2>&1
is "--check: good" $? 0
bad_config() { # bad_config WHAT TEXT WANTED: refused by --check and by the start
	local out
	printf '%b' "$2" >"$T/bad.toml"
	out=$("$BIN/keyd" --config "$T/bad.toml" --config-dir "$T/etc/d" "${as_keyd[@]}" --check 2>&1)
	is "$1: --check" $? 1
	like "$1: file, line, key" "$out" "*$3*"
	timeout 60 "$BIN/keyd" --config "$T/bad.toml" --config-dir "$T/etc/d" "${as_keyd[@]}" >/dev/null 2>&1
	is "$1: does not start" $? 1
}
bad_config "unknown parameter" '[aziot_keys]\nhomedir_path = "/x"\nhome = "y"\n' "$T/bad.toml:3:*aziot_keys.home"
bad_config "PKCS#11" '[preloaded_keys]\nk = "pkcs11:token=x?pin-value=1&module-path=/x"\n' "$T/bad.toml:2:*preloaded_keys.k*module-path is refused"
bad_config "no TCP" '[endpoints]\naziot_keyd = "http://localhost:80"\n' "$T/bad.toml:2:*endpoints.aziot_keyd"

printf '[backends.hsm]\ntype = "pkcs11"\nlibrary = "/x.so"\ntoken = "pkcs11:token=x"\n[preloaded_keys]\nk = "pkcs11:object=k"\n' >"$T/idle.toml"
out=$("$BIN/keyd" --config "$T/idle.toml" --config-dir "$T/etc/d" "${as_keyd[@]}" --check 2>&1)
is "without effect: --check" $? 0
like "without effect: a backend" "$out" "*backends.hsm keeps no key: no *placement*"
like "without effect: a preloaded key" "$out" "*preloaded_keys.k lives nowhere*pkcs11_lib_path*"
printf '[[placement]]\nkeys = ["*"]\nbackend = "hsm"\n' >>"$T/idle.toml"
is "with effect" "$("$BIN/keyd" --config "$T/idle.toml" --config-dir "$T/etc/d" "${as_keyd[@]}" --check 2>&1 | grep -c WARN)" 0

# --- the process
up
! need_root "capabilities" || confined keyd "${PID[keyd]}"
is "socket" "$(stat -c '%a %u' "$S")" "660 $OWNER"
is "secret" "$(stat -c '%a %s %u' "$T/home/handles.key")" "600 32 $OWNER"
if [ -z "$INSTRUMENTED" ]; then
	keyd --sandbox-probe >"$T/probe" 2>/dev/null
	is "--sandbox-probe" $? 0
	# the declared table: no exec, no fork, no socket of any family, nobody else's files; its own directory
	is "what the probe may do" "$(awk '$3 == "allowed" {print $1, $2}' "$T/probe")" "keyd own-dir"
	is "what the probe may not do" "$(awk '$3 == "refused" {print $2}' "$T/probe" | grep -cE '^(exec|fork|code|ptrace|shadow|inet|unix|io_uring|bpf|keyctl|userns)$')" 11
fi

# --- keys, by root
post /keypair '{"keyId":"dev-ec"}'
answer "create EC" 200
EC=$(get keyHandle)
post /keypair '{"keyId":"dev-rsa","preferredAlgorithms":"rsa-2048"}'
answer "create RSA" 200
RSA=$(get keyHandle)
post /key '{"keyId":"dev-sym","usage":"derive,sign","keyBytes":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}'
answer "import" 200
SYM=$(get keyHandle)
is "modes of key files" "$(stat -c %a "$T/home/keys"/* | sort -u)" 600

printf 'to be signed' >"$T/message"
digest() { openssl dgst -sha256 -binary "$T/message" | base64 -w0; }
sign_ec() { post /sign "{\"keyHandle\":\"$EC\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"$(digest)\"}}"; }
sign_sym() { post /sign "{\"keyHandle\":\"$1\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"$(base64 -w0 "$T/message")\"}}"; }
sign_ec
answer "sign ECDSA" 200
get signature | base64 -d >"$T/sig"
openssl dgst -sha256 -prverify "$T/home/keys"/devec-*.key -signature "$T/sig" "$T/message" >/dev/null
ok "ECDSA signature verifies" $?
post /encrypt "{\"keyHandle\":\"$RSA\",\"algorithm\":\"RSA-PKCS1\",\"plaintext\":\"$( (
	printf 3031300d060960864801650304020105000420 | xxd -r -p
	openssl dgst -sha256 -binary "$T/message"
) | base64 -w0)\"}"
answer "sign RSA" 200
get ciphertext | base64 -d >"$T/sig"
openssl dgst -sha256 -prverify "$T/home/keys"/devrsa-*.key -signature "$T/sig" "$T/message" >/dev/null
ok "RSA signature verifies" $?
# P-384 cuts a digest to 48 bytes, as openssl does; Ed25519 signs the message itself
post /keypair '{"keyId":"dev-p384","preferredAlgorithms":"ec-p384"}'
P384=$(get keyHandle)
post /sign "{\"keyHandle\":\"$P384\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"$(openssl dgst -sha512 -binary "$T/message" | base64 -w0)\"}}"
answer "sign P-384" 200
get signature | base64 -d >"$T/sig"
openssl dgst -sha512 -prverify "$T/home/keys"/devp384-*.key -signature "$T/sig" "$T/message" >/dev/null
ok "P-384 signature verifies" $?
post /parameters/ec-curve-oid "{\"keyHandle\":\"$P384\"}"
is "P-384: curve" "$(get value | base64 -d | openssl asn1parse -inform DER | sed 's/.*://')" secp384r1
post /keypair '{"keyId":"dev-ed","preferredAlgorithms":"ed448:ed25519"}'
ED=$(get keyHandle)
post /sign "{\"keyHandle\":\"$ED\",\"algorithm\":\"EdDSA\",\"parameters\":{\"message\":\"$(base64 -w0 "$T/message")\"}}"
answer "sign Ed25519" 200
get signature | base64 -d >"$T/sig"
openssl pkeyutl -verify -rawin -inkey "$T/home/keys"/deved-*.key -in "$T/message" -sigfile "$T/sig" >/dev/null
ok "Ed25519 signature verifies" $?
post /parameters/algorithm "{\"keyHandle\":\"$ED\"}"
is "Ed25519: algorithm" "$(get value)" EdDSA
for handle in "$EC" "$P384" "$RSA" "$SYM"; do
	post /sign "{\"keyHandle\":\"$handle\",\"algorithm\":\"EdDSA\",\"parameters\":{\"message\":\"bQ==\"}}"
	answer "no EdDSA with another key" 400
done
post /sign "{\"keyHandle\":\"$ED\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"$(digest)\"}}"
answer "no ECDSA with Ed25519" 400
sign_sym "$SYM"
MAC=$(openssl mac -digest SHA256 -macopt hexkey:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f \
	-in "$T/message" HMAC | xxd -r -p | base64 -w0)
is "HMAC" "$(get signature)" "$MAC"
http "$S" GET "/keypair/preloaded?$V"
answer "preloaded key" 200
like "a directory of preloaded keys that is not there" "$(cat "$T/keyd.log")" \
	"*$T/absent/: No such file or directory; a preloaded key that is put there counts after a restart*"
post /parameters/ec-point "{\"keyHandle\":\"$(get keyHandle)\"}"
is "preloaded key's point" "$(get value)" \
	"$(openssl ec -in "$T/pre/key.pem" -pubout -conv_form compressed -outform DER 2>/dev/null | tail -c 33 | base64 -w0)"

# --- a signature opens no file: the directory is out of reach, and what is at hand still works
mv "$T/home/keys" "$T/home/away"
sign_ec
is "signs without files: ECDSA" "$STATUS" 200
sign_sym "$SYM"
is "signs without files: HMAC" "$(get signature)" "$MAC"
http "$S" GET "/key/dev-none?$V"
is "a key that is not at hand is looked for" "$STATUS" 400
mv "$T/home/away" "$T/home/keys"

# --- a file that was put in place of a preloaded one, as editors and `config apply` do, counts after SIGHUP; so does what a link names
openssl ecparam -name prime256v1 -genkey -noout -out "$T/pre/new.pem"
chmod 644 "$T/pre/new.pem"
mv "$T/pre/new.pem" "$T/pre/key.pem"
read_again() { # read_again: SIGHUP, and wait for it
	local n
	n=$(grep -c 'configuration read again' "$T/keyd.log")
	kill -HUP "${PID[keyd]}"
	again() { [ "$(grep -c 'configuration read again' "$T/keyd.log")" -gt "$n" ]; }
	wait_for 5 again
}
read_again
for id in preloaded linked; do
	file=$T/pre/key.pem
	[ $id = preloaded ] || file=$T/aside/key.pem
	http "$S" GET "/keypair/$id?$V"
	post /parameters/ec-point "{\"keyHandle\":\"$(get keyHandle)\"}"
	is "replaced and linked preloaded keys: $id" "$(get value)" \
		"$(openssl ec -in "$file" -pubout -conv_form compressed -outform DER 2>/dev/null | tail -c 33 | base64 -w0)"
done

# --- who may do what
if need_root "principals"; then
	HTTP_AS=$WRITER
	http "$S" GET "/keypair/dev-ec?$V"
	is "writer: loads" "$STATUS" 200
	http "$S" GET "/keypair/other?$V"
	answer "writer: not another's" 401 ".message == \"user $((UID0 + 3)) is not authorized to access the key other\""
	HTTP_AS=$STRANGER
	http "$S" GET "/keypair/dev-ec?$V"
	is "stranger: loads nothing" "$STATUS" 401
	sign_ec
	is "stranger: a handle is enough to sign" "$STATUS" 200
	http "$S" DELETE "/keypair?$V" "{\"keyHandle\":\"$EC\"}"
	is "stranger: and not to delete" "$STATUS" 401
	HTTP_AS="setpriv --reuid=$((UID0 + 5)) --regid=$((UID0 + 5)) --clear-groups"
	http "$S" GET "/status?$V"
	is "outside the group: no connection" "$STATUS" 000
	HTTP_AS=$WRITER
	config '"other"'
	kill -HUP "${PID[keyd]}"
	wait_for 5 grep -q 'configuration read again' "$T/keyd.log"
	http "$S" GET "/keypair/dev-ec?$V"
	is "reload: taken away" "$STATUS" 401
	http "$S" GET "/keypair/other?$V"
	is "reload: given" "$STATUS" 400
	echo 'nonsense' >"$T/etc/keyd.toml"
	kill -HUP "${PID[keyd]}"
	wait_for 5 grep -q 'could not read the configuration again' "$T/keyd.log"
	http "$S" GET "/keypair/other?$V"
	is "a bad configuration changes nothing" "$STATUS" 400
	config '"dev-*", "preloaded"'
	HTTP_AS=
fi

# --- bad input: the contract's status and a message, nothing written, keyd alive
before=$(listing)
pid=${PID[keyd]}
bad() { # bad WHAT STATUS METHOD TARGET [BODY [CURL OPTION...]]
	http "$S" "${@:3}"
	answer "$1" "$2" '.message | length > 0'
}
long() { head -c "$1" /dev/zero | tr '\0' "${2:-a}"; }
bad "no version" 400 GET /key/dev-sym
bad "wrong version" 400 GET "/key/dev-sym?api-version=2018-06-28"
bad "version before path" 400 GET "/nowhere?api-version=x"
bad "wrong path" 404 GET "/nowhere?$V"
bad "trailing slash" 404 POST "/sign/?$V" '{}'
bad "dots" 404 GET "/key/../key/dev-sym?$V"
for method in PUT PATCH OPTIONS TRACE X; do bad "method $method" 400 $method "/sign?$V" '{}'; done
bad "GET on POST" 400 GET "/sign?$V"
bad "PUT of text" 415 PUT "/sign?$V" '' -H 'content-type: text/plain' --data-binary '{}'
bad "no body" 400 POST "/sign?$V"
bad "text as body" 400 POST "/sign?$V" '' -H 'content-type: text/plain' --data-binary '{}'
for body in '{' '[]' '5' 'null' '"x"' '{}' '{"keyHandle":5}' '{"a":1}{"b":2}' '{"keyHandle":"x","keyHandle":"x"}' $'{"keyHandle":"\xff"}' \
	'{"keyHandle":"\u0000"}' "$(long 200 '[')" '{"keyHandle":"x","algorithm":"ECDSA","parameters":{"digest":"A"}}'; do
	bad "body ${body:0:30}" 422 POST "/sign?$V" "$body"
done
bad "handle of no form" 400 POST "/sign?$V" '{"keyHandle":"","algorithm":"ECDSA","parameters":{"digest":"AA=="}}'
bad "over-long handle" 400 POST "/derivedkey/export?$V" "{\"keyHandle\":\"ek1.$(long 100000)\"}"
bad "over-long id" 400 POST "/keypair?$V" "{\"keyId\":\"$(long 129)\"}"
bad "over-long id in the path" 400 GET "/key/$(long 3000)?$V"
bad "id that is no UTF-8" 404 GET "/key/%ff?$V"
bad "over-long usage" 422 POST "/key?$V" "{\"keyId\":\"k\",\"usage\":\"$(long 100000)\"}"
bad "over-long list of algorithms" 400 POST "/keypair?$V" "{\"keyId\":\"k\",\"preferredAlgorithms\":\"$(long 100000 :)\"}"
printf '{"keyId":"k","usage":"sign","keyBytes":"%s"}' "$(long 100000 A)" >"$T/key.json"
bad "over-long key" 400 POST "/key?$V" "@$T/key.json"
long 1100000 ' ' >"$T/big"
bad "over-long body" 413 POST "/sign?$V" "@$T/big"
bad "derivation data" 400 POST "/derivedkey?$V" "{\"baseKeyHandle\":\"$SYM\",\"derivationData\":\"$(long 8000 A)\"}"
bad "refused id" 401 GET "/key/handle-validation-key?$V"
for ((i = 4; i < ${#SYM}; i += 5)); do
	c=${SYM:i:1}
	[ "$c" = A ] && c=B || c=A
	bad "handle changed at $i" 400 POST "/derivedkey/export?$V" "{\"keyHandle\":\"${SYM:0:i}$c${SYM:i+1}\"}"
done
is "nothing was written" "$(listing)" "$before"
is "the same process" "${PID[keyd]} $(alive keyd && echo alive)" "$pid alive"
sign_sym "$SYM"
is "and it signs" "$(get signature)" "$MAC"

# --- our own client
"$BUILD/suite/keyd_client" "$S"
is "every call of client/keyd" $? 0

# --- what deleting means, and a restart
post /derivedkey "{\"baseKeyHandle\":\"$SYM\",\"derivationData\":\"bW9kdWxl\"}"
DERIVED=$(get keyHandle)
post /key '{"keyId":"dev-gone","usage":"sign"}'
GONE=$(get keyHandle)
http "$S" DELETE "/key?$V" "{\"keyHandle\":\"$GONE\"}"
is "delete" "$STATUS" 204
post /key '{"keyId":"dev-gone","usage":"sign"}'
AGAIN=$(get keyHandle)
stop keyd
is "SIGTERM: exit status" $? 0
up
sign_sym "$SYM"
is "handles outlive a restart" "$(get signature)" "$MAC"
sign_sym "$DERIVED"
is "derived handles, too" "$STATUS" 200
sign_sym "$AGAIN"
is "a key made again has a new handle" "$STATUS" 200
sign_sym "$GONE"
answer "the deleted key's handle is dead" 400 '.message == "parameter \"handle\" has an invalid value\ncaused by: invalid handle"'

# --- SIGTERM with a request in flight: it is answered
(
	post /keypair '{"keyId":"dev-slow","preferredAlgorithms":"rsa-3072"}'
	echo "$STATUS" >"$T/in-flight"
) &
slow=$!
wait_for 5 connected "$S"
sleep 0.1
stop keyd
is "SIGTERM with a request in flight: exit status" $? 0
wait $slow
is "the request in flight is answered" "$(cat "$T/in-flight")" 200

# --- the secret of the handles is lost: no start, and it says what to do
mv "$T/home/handles.key" "$T/home/away"
keyd >"$T/lost.log" 2>&1
is "secret lost: exit status" $? 1
like "secret lost: the remedy" "$(cat "$T/lost.log")" "*handles.key is lost*backup*"
mv "$T/home/away" "$T/home/handles.key"

# --- killed at any moment: the old key or the new, whole
printf -v A '%064d' 0
printf -v B '%064d' 1
up
for _ in 1 2 3 4 5; do
	(while
		for k in "$A" "$B"; do
			post /key "{\"keyId\":\"dev-kill\",\"usage\":\"sign\",\"keyBytes\":\"$(printf %s "$k" | base64 -w0)\"}"
		done
		[ "$STATUS" = 200 ]
	do :; done) 2>/dev/null &
	writing=$!
	sleep "0.$((RANDOM % 20 + 10))"
	stop keyd KILL
	wait "$writing" 2>/dev/null
	up
	like "killed while writing" "$(cat "$T/home/keys"/devkill-*.key)" "000000000000000000000000000000000000000000000000000000000000000[01]"
	is "and nothing is left lying" "$(find "$T/home" -name '.new*')" ""
done

# --- a damaged key file is not touched
printf '%s\n' '-----BEGIN PRIVATE KEY-----' nonsense >"$T/home/keys/$(basename "$T/home/keys"/devec-*.key)"
before=$(listing)
kill -HUP "${PID[keyd]}"
wait_for 5 grep -q 'read again' "$T/keyd.log"
post /keypair '{"keyId":"dev-ec"}'
answer "damaged key" 500 '.message == "internal error"'
like "damaged key: said in the log" "$(cat "$T/keyd.log")" "*key file of dev-ec is malformed*"
is "damaged key: left as it is" "$(listing)" "$before"

# --- a disk that is full, or read only: 500, every key and handle is as it was, nothing is left lying, and room is all that it takes
mkdir "$T/disk"
if need_root "a file system of its own" && ! unshare -m mount -t tmpfs tmpfs "$T/disk" 2>/dev/null; then
	echo "SKIP a full disk: nothing can be mounted here"
elif is_root; then
	sed "s#$T/home#$T/disk#; s#$S#$T/disk.sock#" "$T/etc/keyd.toml" >"$T/disk.toml"
	# shellcheck disable=SC2016
	start disk unshare -m sh -c 'mount -t tmpfs -o "size=160k,mode=700,uid=$1" tmpfs "$2" && shift 2 && exec "$@"' \
		sh "$OWNER" "$T/disk" "$BIN/keyd" --config "$T/disk.toml" --config-dir "$T/etc/d" "${as_keyd[@]}"
	wait_socket disk "$T/disk.sock"
	disk=/proc/${PID[disk]}/root$T/disk
	disk_post() { http "$T/disk.sock" "${3:-POST}" "$1?$V" "$2"; }
	disk_listing() { find "$disk/keys" "$disk/epochs" "$disk/handles.key" -type f -printf '%P %s %T@ %m\n' | LC_ALL=C sort; }
	disk_post /key "{\"keyId\":\"sym\",\"usage\":\"sign\",\"keyBytes\":\"$(printf '%032d' 1 | base64 -w0)\"}"
	sym=$(get keyHandle)
	disk_post /keypair '{"keyId":"pair"}'
	before=$(disk_listing)
	writes() { # writes WHAT: what would write is answered with 500
		local request
		for request in "/key {\"keyId\":\"sym\",\"usage\":\"sign\",\"keyBytes\":\"$(printf '%032d' 2 | base64 -w0)\"}" \
			'/key {"keyId":"new","usage":"sign"}' '/keypair {"keyId":"new"}'; do
			disk_post "${request%% *}" "${request#* }"
			answer "$1: ${request%% *}" 500 '.message == "internal error"'
		done
		disk_post /key "{\"keyHandle\":\"$sym\"}" DELETE
		is "$1: delete" "$STATUS" 500
		disk_post /sign "{\"keyHandle\":\"$sym\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"bQ==\"}}"
		is "$1: the key is what it was" "$(get signature)" \
			"$(printf m | openssl mac -digest SHA256 -macopt "key:$(printf '%032d' 1)" HMAC | xxd -r -p | base64 -w0)"
		http "$T/disk.sock" GET "/key/new?$V"
		is "$1: nothing new" "$STATUS" 400
		is "$1: the directory" "$(disk_listing)" "$before"
	}
	head -c 1M /dev/zero >"$disk/fill" 2>/dev/null
	writes "full disk"
	disk_post /keypair/moved '{"from":"pair"}'
	is "full disk: a move takes no room" "$STATUS" 204
	disk_post /keypair/pair '{"from":"moved"}'
	rm "$disk/fill"
	before=$(disk_listing)
	nsenter --mount="/proc/${PID[disk]}/ns/mnt" mount -o remount,ro "$T/disk"
	writes "read-only disk"
	disk_post /keypair/moved '{"from":"pair"}'
	is "read-only disk: move" "$STATUS" 500
	nsenter --mount="/proc/${PID[disk]}/ns/mnt" mount -o remount,rw "$T/disk"
	disk_post /key "{\"keyHandle\":\"$sym\"}" DELETE
	is "room again: delete" "$STATUS" 204
	disk_post /keypair '{"keyId":"new"}'
	is "room again: create" "$STATUS" 200
	is "room again: nothing is left lying" "$(find "$disk" -name '.new*')" ""
	stop disk
fi

# --- status
http "$S" GET "/status?$V"
answer "status" 200 '.ok and .daemon == "keyd"'
[ -n "$INSTRUMENTED" ] || like "status: the sandbox" "$(get sandbox)" "kill*"
stop keyd
is "end: exit status" $? 0
ok "no secret in the log" "$(! grep -qE 'ek1\.|BEGIN|keyBytes' "$T/keyd.log"; echo $?)"
suite_end
