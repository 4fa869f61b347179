#!/bin/bash
# keyd's keys in the TPM, with the real tpmd and a software TPM: judged by openssl, by tpm2-tools on the blobs in keyd's files, and by the
# OpenSSL provider for TPMs, which reads those files itself.
# shellcheck disable=SC2317
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
suite_begin "keyd: keys in the TPM"
for tool in swtpm tpm2_load jq curl openssl xxd; do need_tool $tool || exit 77; done
# shellcheck source=tests/suite/tpm.sh
. "$(dirname "$0")/tpm.sh"

K=$T/keyd.sock P=$T/tpmd.sock
V=api-version=2021-05-01
chmod 777 "$T"
mkdir -m 755 "$T/etc"
mkdir -m 700 "$T/home"
as_tpmd=() as_keyd=() OWNER=$(id -u) HTTP_AS=''
if is_root; then
	OWNER=$((UID0 + 1))
	as_tpmd=(--user "$(user 4)") as_keyd=(--user "$(user 1 4)")
	chown "$OWNER" "$T/home"
fi
config() { # config UID-OF-TPMD'S-PRINCIPAL
	printf 'tcti = "swtpm:host=127.0.0.1,port=%s"\n[endpoints]\naziot_tpmd = "unix://%s"\n[[principal]]\nuid = %s\n' \
		"$TPM_PORT" "$P" "$1" >"$T/etc/tpmd.toml"
	cat >"$T/etc/keyd.toml" <<EOT
max_requests = 32
[aziot_keys]
homedir_path = "$T/home"
[backends.chip]
type = "tpm"
[[placement]]
keys = ["tpm-*"]
backend = "chip"
[[placement]]
keys = ["file-*"]
backend = "file"
[endpoints]
aziot_keyd = "unix://$K"
aziot_tpmd = "unix://$P"
EOT
	is_root || printf '[[principal]]\nuid = %s\nkeys = ["*"]\n' "$(id -u)" >>"$T/etc/keyd.toml"
	chmod 644 "$T/etc"/*
}
tpmd_start() {
	start tpmd "$BIN/tpmd" --config "$T/etc/tpmd.toml" --config-dir "$T/none" "${as_tpmd[@]}"
	wait_socket tpmd "$P"
}
keyd_start() {
	start keyd "$BIN/keyd" --config "$T/etc/keyd.toml" --config-dir "$T/none" "${as_keyd[@]}"
	wait_socket keyd "$K"
}
post() { http "$K" POST "$1?$V" "$2"; }
get() { jq -r ".$1" <<<"$BODY"; }
b64() { base64 -w0 "$1"; }
listing() { find "$T/home" -printf '%p %s %T@ %m\n' | LC_ALL=C sort; }
pair() { # pair ID [ALGORITHMS]: the handle is in HANDLE
	post /keypair "{\"keyId\":\"$1\",\"preferredAlgorithms\":\"${2:-ec-p256}\"}"
	HANDLE=$(get keyHandle)
}
key() { # key ID [FILE]
	post /key "{\"keyId\":\"$1\",\"usage\":\"derive,sign\"${2:+,\"keyBytes\":\"$(b64 "$2")\"}}"
	HANDLE=$(get keyHandle)
}
sign() { # sign HANDLE FILE-OF-A-DIGEST: to $T/sig
	post /sign "{\"keyHandle\":\"$1\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"$(b64 "$2")\"}}"
	jq -r '.signature // empty' <<<"$BODY" | base64 -d >"$T/sig"
}
rsa() { # rsa HANDLE ALGORITHM FILE: to $T/sig
	post /encrypt "{\"keyHandle\":\"$1\",\"algorithm\":\"$2\",\"plaintext\":\"$(b64 "$3")\"}"
	jq -r '.ciphertext // empty' <<<"$BODY" | base64 -d >"$T/sig"
}
mac() { # mac HANDLE FILE
	printf '{"keyHandle":"%s","algorithm":"HMAC-SHA256","parameters":{"message":"%s"}}' "$1" "$(b64 "$2")" >"$T/request"
	post /sign "@$T/request"
}
value() { # value NAME HANDLE: that parameter
	post "/parameters/$1" "{\"keyHandle\":\"$2\"}"
	get value
}
hmac() { openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(hex "$1")" -binary "$2" | base64 -w0; }
file_of() { echo "$T/home/tpm/${1//-/}"-*.pem; }
nothing_loaded() { [ -z "$(transients)" ]; }
# The two blobs in a file of keyd's, taken out by openssl.
blobs() { # blobs FILE: to $T/blob.pub, $T/blob.priv
	openssl asn1parse -in "$1" | awk -F: '/OCTET STRING/ {print $4}' >"$T/octets"
	sed -n 1p "$T/octets" | xxd -r -p >"$T/blob.pub"
	sed -n 2p "$T/octets" | xxd -r -p >"$T/blob.priv"
}
public_of() { # public_of ID: what tpm2-tools say that the public key is, to $T/ID.pub.pem
	blobs "$(file_of "$1")"
	tpm2_load -Q -C 0x81000001 -u "$T/blob.pub" -r "$T/blob.priv" -c "$T/blob.ctx" &&
		tpm2_readpublic -Q -c "$T/blob.ctx" -f pem -o "$T/$1.pub.pem"
	ok "tpm2_load takes the blobs of $1" $?
	tpm2_flushcontext -t
}

tpm_start
# shellcheck disable=SC2034 # for tpm.sh
TPM_FIXED=1
config "$OWNER"
tpmd_start
keyd_start

# --- each kind of key
printf 'to be signed' >"$T/message"
openssl dgst -sha256 -binary "$T/message" >"$T/digest"
pair tpm-ec
answer "create EC" 200
EC=$HANDLE
is "one file, of keyd's, for nobody else" "$(stat -c '%a %u' "$(file_of tpm-ec)")" "600 $OWNER"
is "and none among the file keys" "$(ls "$T/home/keys" 2>/dev/null)" ""
public_of tpm-ec
sign "$EC" "$T/digest"
answer "sign ECDSA" 200
openssl dgst -sha256 -verify "$T/tpm-ec.pub.pem" -signature "$T/sig" "$T/message" >/dev/null
ok "openssl verifies ECDSA" $?
is "algorithm" "$(value algorithm "$EC")" ECDSA
is "curve" "$(value ec-curve-oid "$EC")" "$(printf 06082a8648ce3d030107 | xxd -r -p | base64)"
is "point, as tpm2_readpublic has it" "$(value ec-point "$EC" | base64 -d | xxd -p -c 99)" \
	"$(openssl ec -pubin -in "$T/tpm-ec.pub.pem" -conv_form compressed -outform DER 2>/dev/null | tail -c 33 | xxd -p -c 99)"
pair tpm-rsa rsa-4096:rsa-2048
answer "create RSA, the second algorithm" 200
RSA=$HANDLE
public_of tpm-rsa
{
	printf 3031300d060960864801650304020105000420 | xxd -r -p
	cat "$T/digest"
} >"$T/info"
rsa "$RSA" RSA-PKCS1 "$T/info"
answer "sign RSA" 200
openssl dgst -sha256 -verify "$T/tpm-rsa.pub.pem" -signature "$T/sig" "$T/message" >/dev/null
ok "openssl verifies PKCS#1" $?
{
	head -c 255 /dev/zero
	printf '\005'
} >"$T/five"
rsa "$RSA" RSA-NO-PADDING "$T/five"
answer "raw RSA" 200
is "openssl's public operation brings it back" "$(openssl pkeyutl -encrypt -pubin -inkey "$T/tpm-rsa.pub.pem" -in "$T/sig" \
	-pkeyopt rsa_padding_mode:none | xxd -p -c 999)" "$(xxd -p -c 999 "$T/five")"
is "modulus, as tpm2_readpublic has it" "$(value rsa-modulus "$RSA" | base64 -d | xxd -p -u -c 999)" \
	"$(openssl rsa -pubin -in "$T/tpm-rsa.pub.pem" -noout -modulus | cut -d= -f2)"
is "exponent" "$(value rsa-exponent "$RSA")" AQAB
head -c 32 /dev/urandom >"$T/imported"
head -c 5000 /dev/urandom >"$T/5000"
key tpm-key "$T/imported"
answer "import" 200
KEY=$HANDLE
for data in message 5000; do
	mac "$KEY" "$T/$data"
	is "HMAC of $data is openssl's" "$(get signature)" "$(hmac "$T/imported" "$T/$data")"
done
post /derivedkey "{\"baseKeyHandle\":\"$KEY\",\"derivationData\":\"$(b64 "$T/message")\"}"
DERIVED=$(get keyHandle)
post /derivedkey/export "{\"keyHandle\":\"$DERIVED\"}"
is "a derived key is openssl's HMAC" "$(get key)" "$(hmac "$T/imported" "$T/message")"
get key | base64 -d >"$T/derived"
mac "$DERIVED" "$T/digest"
is "and signs" "$(get signature)" "$(hmac "$T/derived" "$T/digest")"
head -c 200 /dev/urandom >"$T/long"
key tpm-long "$T/long"
mac "$HANDLE" "$T/message"
is "a key longer than a TPM takes" "$(get signature)" "$(hmac "$T/long" "$T/message")"

# --- what was imported, and what was derived and exported, is in no process's memory (issue 3, point 4; the scanner is proved by
# test_keyd_memory.sh)
descendants() { local p; for p in $(pgrep -P "$1"); do echo "$p"; descendants "$p"; done; }
if is_root && [ -z "$INSTRUMENTED" ]; then
	sleep 0.1
	for p in "${PID[tpmd]}" "${PID[keyd]}" $(descendants "${PID[keyd]}"); do
		found=$("$BUILD/suite/scanmem" "$p" "$T/imported" "$T/derived" "$T/long")
		is "no key in $(tr '\0' ' ' <"/proc/$p/cmdline" | cut -d' ' -f1-3)" "$? $found" "0 "
	done
fi

# --- a key made there, and where all of them are
key tpm-made
answer "create HMAC" 200
mac "$HANDLE" "$T/message"
answer "sign by it" 200
MADE=$(get signature)
is "the imported bytes are in no file" "$(grep -rlF -e "$(b64 "$T/imported")" -e "$(hex "$T/imported")" "$T/home")" ""
pair file-ec
answer "a key of another place beside it" 200
is "which is a file" "$(find "$T/home/keys" -type f | wc -l)" 1
wait_for 3 nothing_loaded
ok "nothing stays loaded" $?

# --- the OpenSSL provider for TPMs reads keyd's files, and signs by them
export TPM2OPENSSL_TCTI=$TPM2TOOLS_TCTI
if openssl list -provider tpm2 -providers >/dev/null 2>&1; then
	for id in tpm-ec tpm-rsa; do
		openssl pkey -provider tpm2 -provider default -in "$(file_of $id)" -pubout -out "$T/provider.pem" 2>"$T/provider.err"
		is "the provider's public key: $id" "$(cat "$T/provider.pem")" "$(cat "$T/$id.pub.pem")"
		openssl pkeyutl -provider tpm2 -provider default -propquery '?provider=tpm2' -inkey "$(file_of $id)" -sign -rawin \
			-digest sha256 -in "$T/message" -out "$T/provider.sig" 2>>"$T/provider.err"
		openssl dgst -sha256 -verify "$T/$id.pub.pem" -signature "$T/provider.sig" "$T/message" >/dev/null
		ok "the provider signs: $id" $?
	done
else
	echo "SKIP issue 3: tpm2-openssl is not installed"
fi

# --- certificates by them, through keyd's own provider: ECDSA, PKCS#1, PSS, which it pads itself for the raw operation
if [ -z "$INSTRUMENTED" ]; then
	sed "s|^\[edgekeep_keyd\]|&\nmodule = $BUILD/lib/edgekeep.so\nsocket = $K\n|" "$TOP/packaging/openssl/edgekeep.cnf" >"$T/openssl.cnf"
	for how in 'tpm-ec' 'tpm-rsa' 'tpm-rsa -sigopt rsa_padding_mode:pss' 'tpm-rsa -sha384 -sigopt rsa_padding_mode:pss'; do
		# shellcheck disable=SC2086
		OPENSSL_CONF=$T/openssl.cnf openssl req -x509 -subj "/CN=$how" -key keyd:id=$how -out "$T/crt" 2>"$T/req.err"
		openssl verify -check_ss_sig -CAfile "$T/crt" "$T/crt" >/dev/null 2>&1
		ok "a certificate by $how" $?
		is "of that key" "$(openssl x509 -in "$T/crt" -noout -pubkey)" "$(cat "$T/${how%% *}.pub.pem")"
	done
fi

# --- what these keys do not do: the contract's 400, and nothing changes
before=$(listing)
post /encrypt "{\"keyHandle\":\"$KEY\",\"algorithm\":\"AEAD\",\"parameters\":{\"iv\":\"AAAAAAAAAAAAAAAA\",\"aad\":\"YWFk\"},\"plaintext\":\"aGVsbG8=\"}"
answer "AEAD" 400
post /key '{"keyId":"tpm-new","usage":"encrypt"}'
answer "a key that encrypts" 400
post /key "{\"keyId\":\"tpm-key\",\"usage\":\"encrypt\",\"keyBytes\":\"$(b64 "$T/imported")\"}"
answer "import of one" 400
post /keypair '{"keyId":"tpm-new","preferredAlgorithms":"rsa-4096"}'
answer "an algorithm of no TPM" 400
post /keypair '{"keyId":"tpm-key"}'
answer "a pair where a key is" 400
post /key '{"keyId":"tpm-ec","usage":"sign"}'
answer "a key where a pair is" 400
http "$K" GET "/keypair/tpm-none?$V"
answer "no such key" 400
sign "$RSA" "$T/digest"
answer "ECDSA by RSA" 400
rsa "$EC" RSA-PKCS1 "$T/info"
answer "RSA by EC" 400
sign "$EC" "$T/message"
answer "12 bytes as a digest" 400
rsa "$RSA" RSA-NO-PADDING "$T/info"
answer "raw RSA of another length" 500
rsa "$RSA" RSA-PKCS1 "$T/five"
answer "PKCS#1 of too much" 500
value rsa-modulus "$EC" >/dev/null
answer "a modulus of EC" 400
is "nothing was written" "$(listing)" "$before"

# --- restarts: of keyd, of tpmd, of the TPM, with a key in use and without
again() { # again WHAT: all keys work as before
	sign "$EC" "$T/digest"
	openssl dgst -sha256 -verify "$T/tpm-ec.pub.pem" -signature "$T/sig" "$T/message" >/dev/null 2>&1
	ok "ECDSA $1: $BODY" $?
	mac "$KEY" "$T/message"
	is "HMAC $1" "$(get signature)" "$(hmac "$T/imported" "$T/message")"
}
stop keyd
keyd_start
again "after a restart of keyd"
key tpm-made
mac "$HANDLE" "$T/message"
is "the key made is the same" "$(get signature)" "$MADE"
rsa "$RSA" RSA-PKCS1 "$T/info"
answer "RSA after a restart" 200
stop tpmd
tpmd_start
again "after a restart of tpmd"
tpm_stop KILL
tpm_start
again "after an unnoticed restart of the TPM"
before=$(listing)
away() { # away WHAT: refused for now, and no key is taken for missing
	sign "$EC" "$T/digest"
	answer "$1: sign" 500
	mac "$KEY" "$T/message"
	answer "$1: HMAC" 500
	pair tpm-ec
	is "$1: the key is there all the same" "$STATUS $HANDLE" "200 $EC"
	is "$1: and its public part" "$(value algorithm "$EC")" ECDSA
	pair tpm-other
	answer "$1: no new key" 500
	key tpm-key "$T/long"
	answer "$1: no import" 500
	pair file-ec
	answer "$1: other places work" 200
	is "$1: nothing was written" "$(listing)" "$before"
}
tpm_stop KILL
away "without a TPM"
stop keyd
keyd_start
away "keyd started without a TPM"
tpm_start
again "when the TPM is back"
stop tpmd
away "without tpmd"
tpmd_start
again "when tpmd is back"
# killed at work: each answer is a good signature or a refusal
for i in 1 2; do
	(
		bad=0
		for n in 1 2 3 4 5 6 7 8; do
			T2=$T/at.$i.$n
			head -c 20000 /dev/urandom >"$T2"
			printf '{"keyHandle":"%s","algorithm":"HMAC-SHA256","parameters":{"message":"%s"}}' "$KEY" "$(b64 "$T2")" >"$T2.request"
			post /sign "@$T2.request"
			[ "$STATUS" = 500 ] || [ "$(get signature)" = "$(hmac "$T/imported" "$T2")" ] || bad=1
		done
		exit $bad
	) &
	busy=$!
	sleep 0.1
	tpm_stop KILL
	tpm_start
	wait $busy
	ok "answers of a TPM that dies at work are right or refusals" $?
done
again "after a TPM that died at work"
# one that hangs for a while: waited for, and nobody else waits with it
kill -STOP "${PID[swtpm]}"
(sign "$EC" "$T/digest"; cp "$T/sig" "$T/late.sig"; [ "$STATUS" = 200 ]) &
busy=$!
sleep 0.2
before=$(date +%s%N)
pair file-ec
sign "$HANDLE" "$T/digest"
is "a file key beside a TPM that hangs" "$STATUS $((($(date +%s%N) - before) / 10000000000))" "200 0"
kill -CONT "${PID[swtpm]}"
wait $busy
ok "the TPM key signs when it goes on" $?
openssl dgst -sha256 -verify "$T/tpm-ec.pub.pem" -signature "$T/late.sig" "$T/message" >/dev/null
ok "and the signature is good" $?
# the longest message: over what a TPM takes at once, and nearly what a request holds
head -c 768000 /dev/urandom >"$T/longest"
mac "$KEY" "$T/longest"
is "HMAC of 750 KiB" "$(get signature)" "$(hmac "$T/imported" "$T/longest")"
printf x >>"$T/longest"
mac "$KEY" "$T/longest"
answer "one byte more" 400

# --- several at once
for i in 1 2 3 4; do
	(
		for n in 1 2 3 4 5; do
			T2=$T/many.$i.$n
			echo "$i $n" >"$T2"
			post /sign "{\"keyHandle\":\"$KEY\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"$(b64 "$T2")\"}}"
			[ "$(get signature)" = "$(hmac "$T/imported" "$T2")" ] || exit 1
			post /sign "{\"keyHandle\":\"$EC\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"$(b64 "$T/digest")\"}}"
			get signature | base64 -d >"$T2.sig"
			openssl dgst -sha256 -verify "$T/tpm-ec.pub.pem" -signature "$T2.sig" "$T/message" >/dev/null || exit 1
		done
	) &
	jobs_[i]=$!
done
bad=0
for i in 1 2 3 4; do wait "${jobs_[i]}" || bad=1; done
ok "four callers, two keys" $bad

# --- move and delete
pair tpm-temp
TEMP=$HANDLE
http "$K" POST "/keypair/tpm-moved?$V" '{"from":"tpm-temp"}'
answer "move" 204
is "the file has moved" "$(ls "$(file_of tpm-temp)" "$(file_of tpm-moved)" 2>/dev/null)" "$(file_of tpm-moved)"
http "$K" POST "/keypair/file-moved?$V" '{"from":"tpm-moved"}'
answer "not to another place" 400
pair tpm-moved
sign "$HANDLE" "$T/digest"
answer "sign by the moved key" 200
http "$K" DELETE "/keypair?$V" "{\"keyHandle\":\"$HANDLE\"}"
answer "delete" 204
is "the file is gone" "$(ls "$(file_of tpm-moved)" 2>/dev/null)" ""
sign "$HANDLE" "$T/digest"
answer "a handle of a deleted key" 400
sign "$TEMP" "$T/digest"
answer "and one of the moved" 400

# --- damaged files: 500, and they stay as they are
# a bit flipped in a blob: the file reads well, and tpmd or the TPM refuses it; elsewhere keyd itself
file=$(file_of tpm-ec)
cp -p "$file" "$T/good.pem"
openssl asn1parse -in "$file" -out "$T/good.der" >/dev/null
size=$(stat -c %s "$T/good.der") refused=0
times_read() { grep -c "configuration read again" "$T/keyd.log"; }
read_again() { [ "$(times_read)" -gt "$reads" ]; }
look_again() { # keyd forgets what it has opened
	local reads
	reads=$(times_read)
	kill -HUP "${PID[keyd]}"
	wait_for 5 read_again
}
for ((at = 0; at < size; at += 1 + RANDOM % 13)); do
	cp "$T/good.der" "$T/bad.der"
	byte=$(od -An -tu1 -j "$at" -N 1 "$T/bad.der")
	printf '%b' "\\x$(printf %x $((byte ^ 1 << RANDOM % 8)))" | dd of="$T/bad.der" bs=1 seek="$at" conv=notrunc 2>/dev/null
	{
		echo "-----BEGIN TSS2 PRIVATE KEY-----"
		base64 -w64 "$T/bad.der"
		echo "-----END TSS2 PRIVATE KEY-----"
	} >"$file"
	before=$(listing)
	look_again
	sign "$EC" "$T/digest"
	if [ "$STATUS" = 500 ] && [ "$(listing)" = "$before" ]; then
		refused=$((refused + 1))
	else
		is "bit flipped at $at" "$STATUS $BODY" 500
	fi
done
ok "flipped bits are refused ($refused)" $((refused < 10))
pair tpm-ec
is "create leaves a damaged file" "$(listing)" "$before"
cp -p "$T/good.pem" "$file"
look_again
again "when the file is put back"
like "the log names the key and the reason" "$(cat "$T/keyd.log")" "*TPM refuses key tpm-ec*"

# --- tpmd does not know keyd's user: refused, with what to do in the log
if need_root "callers of other uids"; then
	stop tpmd
	config $((UID0 + 9))
	tpmd_start
	sign "$EC" "$T/digest"
	answer "not a principal of tpmd's" 500
	like "the log says what to do" "$(cat "$T/keyd.log")" "*\[\[principal\]\]*"
	before=$(listing)
	pair tpm-new
	is "no key is made" "$STATUS $(listing)" "500 $before"
	stop tpmd
	config "$OWNER"
	tpmd_start
	again "as a principal"
fi

# --- another TPM: the keys are of no use there, and that is said
stop tpmd
tpm_stop
mkdir "$T/tpm2"
# shellcheck disable=SC2034 # for tpm.sh
TPM_STATE=$T/tpm2
tpm_start
tpmd_start
sign "$EC" "$T/digest"
answer "a key of another TPM" 500
like "the log says so" "$(cat "$T/keyd.log")" "*made by another TPM*"
pair tpm-second
sign "$HANDLE" "$T/digest"
answer "a key of this TPM" 200
wait_for 3 nothing_loaded
ok "nothing stays loaded in the end" $?
stop keyd
is "keyd ends in order" $? 0
suite_end
