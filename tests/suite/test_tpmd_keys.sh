#!/bin/bash
# tpmd's /keys: keys and sealed data below the storage root key, on a software TPM; tpm2-tools and openssl judge (docs/compat.md, tpmd(8)).
# shellcheck disable=SC2317
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
suite_begin "tpmd: keys that callers keep"
for tool in swtpm tpm2_load jq curl openssl xxd socat; do need_tool $tool || exit 77; done
# shellcheck source=tests/suite/tpm.sh
. "$(dirname "$0")/tpm.sh"

SOCKET=$T/tpmd.sock
V='api-version=2020-09-01'
chmod 777 "$T"
MAY='' MAY_NOT=''
if is_root; then
	MAY="setpriv --reuid=$((UID0 + 1)) --regid=$((UID0 + 1)) --clear-groups"
	MAY_NOT="setpriv --reuid=$((UID0 + 2)) --regid=$((UID0 + 2)) --clear-groups"
fi
config() { # config [LINE...]: beside the TCTI, the socket and the principal
	local uid=$((UID0 + 1))
	is_root || uid=$(id -u)
	printf '%s\n' "$@" >"$T/tpmd.toml"
	printf 'tcti = "swtpm:host=127.0.0.1,port=%s"\n[endpoints]\naziot_tpmd = "unix://%s"\n[[principal]]\nuid = %s\n' \
		"${BUS_PORT:-$TPM_PORT}" "$SOCKET" "$uid" >>"$T/tpmd.toml"
	chmod 644 "$T/tpmd.toml"
}
tpmd_start() {
	local how=()
	! is_root || how=(--user "$(user 4)")
	start tpmd "$BIN/tpmd" --config "$T/tpmd.toml" --config-dir "$T/none" "${how[@]}"
	wait_socket tpmd "$SOCKET"
	! is_root || chmod 666 "$SOCKET"
}
b64() { base64 -w0 "$1"; }
post() { http "$SOCKET" POST "/keys/$1?$V" "$2"; }
keep() { # keep NAME: the object that was answered, as tpm2-tools have it
	jq -r .public <<<"$BODY" | base64 -d >"$T/$1.pub"
	jq -r .private <<<"$BODY" | base64 -d >"$T/$1.priv"
}
create() { # create NAME ALGORITHM
	post create "{\"algorithm\":\"$2\"}"
	answer "create $2" 200 'keys == ["private","public"]'
	keep "$1"
}
blobs() { printf '"public":"%s","private":"%s"' "$(b64 "$T/$1.pub")" "$(b64 "$T/$1.priv")"; }
sign() { # sign NAME ALGORITHM FILE: to $T/sig
	printf '{%s,"algorithm":"%s","data":"%s"}' "$(blobs "$1")" "$2" "$(b64 "$3")" >"$T/request"
	post sign "@$T/request"
	jq -r '.signature // empty' <<<"$BODY" | base64 -d >"$T/sig" 2>/dev/null
}
seal() { post seal "{\"data\":\"$(b64 "$1")\"}"; }
unseal() { post unseal "{$(blobs "$1")}"; }
loaded() { # as TPM 2.0's own tools have it
	transients >"$T/loaded"
	cat "$T/loaded"
}
nothing_loaded() { [ -z "$(loaded)" ]; }

tpm_start
TPM_FIXED=1
config
tpmd_start
confined tpmd "${PID[tpmd]}"
HTTP_AS=$MAY

# --- each kind of key, judged by those who had no part in it
printf 'to be signed' >"$T/message"
openssl dgst -sha256 -binary "$T/message" >"$T/digest"
attributes() { tpm2_print -t TPM2B_PUBLIC "$T/$1.pub" 2>/dev/null | sed -n '/^attributes/,/raw/s/.*raw: //p'; }
public_pem() { # public_pem NAME: tpm2-tools load both blobs and say what the public key is
	tpm2_load -Q -C 0x81000001 -u "$T/$1.pub" -r "$T/$1.priv" -c "$T/$1.ctx" &&
		tpm2_readpublic -Q -c "$T/$1.ctx" -f pem -o "$T/$1.pem"
	local status=$?
	tpm2_flushcontext -t
	return $status
}
create ec ec-p256
public_pem ec
ok "tpm2_load takes the EC key" $?
# fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, sign (TPM 2.0 part 2, 8.3)
is "attributes of the EC key" "$(attributes ec)" 0x40472
sign ec ECDSA "$T/digest"
answer "sign ECDSA" 200 'keys == ["signature"]'
openssl dgst -sha256 -verify "$T/ec.pem" -signature "$T/sig" "$T/message" >/dev/null
ok "openssl verifies ECDSA" $?
openssl dgst -sha1 -binary "$T/message" >"$T/sha1"
openssl dgst -sha512 -binary "$T/message" >"$T/sha512"
for hash in sha1 sha512; do
	sign ec ECDSA "$T/$hash"
	openssl pkeyutl -verify -pubin -inkey "$T/ec.pem" -sigfile "$T/sig" -in "$T/$hash" >/dev/null
	ok "openssl verifies ECDSA of $hash" $?
done
create rsa rsa-2048
public_pem rsa
ok "tpm2_load takes the RSA key" $?
is "attributes of the RSA key" "$(attributes rsa)" 0x60472
# PKCS#1 type 1 by hand: 00 01 ff.. 00 DigestInfo
{
	printf '0001'
	printf 'ff%.0s' {1..202}
	printf '003031300d060960864801650304020105000420'
	xxd -p -c 32 "$T/digest"
} | xxd -r -p >"$T/padded"
sign rsa RSA-NO-PADDING "$T/padded"
answer "RSA raw" 200
openssl dgst -sha256 -verify "$T/rsa.pem" -signature "$T/sig" "$T/message" >/dev/null
ok "openssl verifies PKCS#1" $?
openssl rsa -pubin -in "$T/rsa.pem" -noout -modulus | cut -d= -f2 | xxd -r -p >"$T/modulus"
head -c 256 /dev/zero >"$T/zeros"
sign rsa RSA-NO-PADDING "$T/zeros"
is "RSA of zero is zero, in full length" "$STATUS $(xxd -p "$T/sig" | tr -d '\n0')$(stat -c %s "$T/sig")" "200 256"
head -c 32 /dev/urandom >"$T/hmac.key"
post import "{\"key\":\"$(b64 "$T/hmac.key")\"}"
answer "import HMAC" 200
keep hmac
is "attributes of the imported key" "$(attributes hmac)" 0x40452
hmac() { openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(hex "$1")" -binary "$2" | xxd -p -c 64; }
head -c 100000 /dev/urandom >"$T/100000"
for size in 0 1 1024 1025 5000 100000; do
	head -c $size /dev/urandom >"$T/data"
	sign hmac HMAC-SHA256 "$T/data"
	is "HMAC of $size bytes is openssl's" "$STATUS $(xxd -p -c 64 "$T/sig")" "200 $(hmac "$T/hmac.key" "$T/data")"
done
for size in 1 64; do
	head -c $size /dev/urandom >"$T/key$size"
	post import "{\"key\":\"$(b64 "$T/key$size")\"}"
	keep "key$size"
	sign "key$size" HMAC-SHA256 "$T/message"
	is "HMAC by a key of $size" "$(xxd -p -c 64 "$T/sig")" "$(hmac "$T/key$size" "$T/message")"
done
create made hmac-sha256
is "attributes of the key made" "$(attributes made)" 0x40472
sign made HMAC-SHA256 "$T/message"
is "HMAC by a key made" "$STATUS $(stat -c %s "$T/sig")" "200 32"
first=$(b64 "$T/sig")
tpm2_load -Q -C 0x81000001 -u "$T/made.pub" -r "$T/made.priv" -c "$T/made.ctx"
tpm2_hmac -c "$T/made.ctx" -o "$T/tools" "$T/message"
tpm2_flushcontext -t
is "tpm2_hmac makes the same" "$(b64 "$T/tools")" "$first"

# --- sealed data
for size in 1 32 128; do
	head -c $size /dev/urandom >"$T/secret"
	seal "$T/secret"
	answer "seal $size" 200
	keep sealed
	unseal sealed
	is "unseal $size" "$STATUS $(jq -r .data <<<"$BODY")" "200 $(b64 "$T/secret")"
done
is "attributes of sealed data" "$(attributes sealed)" 0x452
tpm2_load -Q -C 0x81000001 -u "$T/sealed.pub" -r "$T/sealed.priv" -c "$T/sealed.ctx"
is "tpm2_unseal gives the same" "$(tpm2_unseal -c "$T/sealed.ctx" | base64 -w0)" "$(b64 "$T/secret")"
tpm2_flushcontext -t

# --- what is loaded: one key after its use, for a second; nothing after anything else
# loaded_is WHAT KEYS SESSIONS COMMAND...: behind the command; a machine that is slow to look finds none, a second later: then once more
loaded_is() {
	local what=$1 want="$2 $3" n
	shift 3
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		"$@"
		n="$(tpm2_getcap handles-transient | wc -l) $(tpm2_getcap handles-loaded-session | wc -l)"
		[ "${n% *}" -eq 0 ] || break
	done
	is "$what" "$n" "$want"
}
loaded_is "the key stays loaded" 1 0 sign ec ECDSA "$T/digest"
another() {
	sign ec ECDSA "$T/digest"
	sign hmac HMAC-SHA256 "$T/data"
}
loaded_is "another one takes its place, with a session" 1 1 another
back() {
	another
	sign ec ECDSA "$T/digest"
}
loaded_is "and the session goes with it" 1 0 back
post create '{"algorithm":"ec-p256"}'
is "nothing is loaded after a creation" "$(loaded)" ""
sign ec ECDSA "$T/digest"
unseal sealed
is "nothing is loaded after unsealing" "$(loaded)" ""
refusal() {
	sign ec ECDSA "$T/digest"
	sign ec ECDSA "$T/message" # 12 bytes are no digest: refused before the TPM is asked
}
loaded_is "a refusal leaves it" 1 0 refusal
http "$SOCKET" POST "/sign_with_auth_key?$V" '{"data":"aGVsbG8="}'
is "nothing is loaded after an error" "$STATUS $(loaded)" "500 "
sign ec ECDSA "$T/digest"
wait_for 3 nothing_loaded
ok "nothing is loaded after a second" $?
sign rsa RSA-NO-PADDING "$T/padded"
stop tpmd
is "nothing is loaded after the end" "$(loaded)" ""
tpmd_start
sign rsa RSA-NO-PADDING "$T/padded"
stop tpmd KILL
tpmd_start
is "nor after a hard end and a new start" "$(loaded)" ""
head -c 750000 /dev/urandom >"$T/750000"
(HTTP_AS=$MAY; while :; do sign hmac HMAC-SHA256 "$T/750000"; done) >/dev/null 2>&1 &
busy=$!
at_work() { [ "$(tpm2_getcap handles-transient | wc -l)" = 2 ]; } # the key and a sequence, which is no key
wait_for 10 at_work
ok "at work on a long message" $?
stop tpmd KILL
kill $busy
wait $busy
tpmd_start
is "nor after a hard end at work" "$(loaded)" ""
HTTP_AS=$MAY

# --- who may
if need_root "callers of other uids"; then
	HTTP_AS=$MAY_NOT
	for row in 'create {"algorithm":"ec-p256"}' 'import {"key":"AA=="}' 'seal {"data":"AA=="}' "unseal {$(blobs sealed)}" \
		"sign {$(blobs hmac),\"algorithm\":\"HMAC-SHA256\",\"data\":\"AA==\"}"; do
		post "${row%% *}" "${row#* }"
		answer "a stranger: ${row%% *}" 401 '.message | test("^user [0-9]+ is not authorized to use keys of the TPM$")'
	done
	http "$SOCKET" GET "/get_tpm_keys?$V"
	answer "a stranger: get_tpm_keys" 200
	HTTP_AS=''
	unseal sealed
	answer "root" 200
	HTTP_AS=$MAY
fi

# --- bad requests
for route in create import sign seal unseal; do
	for body in '{}' '[]' '{' 'null' '{"algorithm":5,"key":5,"data":5,"public":5,"private":5}' \
		'{"algorithm":null,"key":null,"data":null,"public":null,"private":null}' \
		'{"algorithm":"EC-P256","key":"*","data":"A","public":"AA","private":"AA=="}'; do
		post $route "$body"
		answer "$route $body" 422
	done
	http "$SOCKET" POST "/keys/$route?$V"
	answer "$route without a body" 400
	http "$SOCKET" GET "/keys/$route?$V"
	answer "GET $route" 400
done
head -c 65 /dev/zero >"$T/65"
head -c 129 /dev/zero >"$T/129"
for row in 'import {"key":""}' "import {\"key\":\"$(b64 "$T/65")\"}" 'seal {"data":""}' "seal {\"data\":\"$(b64 "$T/129")\"}"; do
	post "${row%% *}" "${row#* }"
	answer "${row:0:20}" 400 '.message | length > 0'
done
for row in "ec HMAC-SHA256" "ec RSA-NO-PADDING" "rsa ECDSA" "hmac ECDSA" "hmac RSA-NO-PADDING" "sealed ECDSA" "sealed HMAC-SHA256"; do
	# shellcheck disable=SC2086
	sign $row "$T/digest"
	answer "$row" 400 '.message | test("algorithm")'
done
for name in padded modulus; do
	{ printf '\377'; tail -c +2 "$T/$name"; } >"$T/high"
	head -c 255 "$T/$name" >"$T/short"
	for data in high short 129; do
		sign rsa RSA-NO-PADDING "$T/$data"
		answer "RSA: $name $data" 400 '.message | test("modulus")'
	done
done
unseal ec
answer "unseal a key" 400

# --- blobs: every byte of both changed, cut, lengthened, mixed up, and of other kinds: refused, and nothing stays loaded
flip() { # flip FILE AT
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf '%b' "\\x$(printf %x $((byte ^ 1 << RANDOM % 8)))" | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
refused=0
for part in pub priv; do
	size=$(stat -c %s "$T/ec.$part")
	for ((at = 0; at < size; at += 1 + RANDOM % 9)); do
		cp "$T/ec.pub" "$T/bad.pub"
		cp "$T/ec.priv" "$T/bad.priv"
		flip "$T/bad.$part" $at
		sign bad ECDSA "$T/digest"
		if [ "$STATUS" = 400 ]; then refused=$((refused + 1)); else is "flipped: $part $at" "$STATUS $BODY" 400; fi
	done
	for cut in 0 1 2 10 $((size - 1)); do
		cp "$T/ec.pub" "$T/bad.pub"
		cp "$T/ec.priv" "$T/bad.priv"
		head -c $cut "$T/ec.$part" >"$T/bad.$part"
		sign bad ECDSA "$T/digest"
		is "cut: $part $cut" "$STATUS" 400
	done
	cp "$T/ec.pub" "$T/bad.pub"
	cp "$T/ec.priv" "$T/bad.priv"
	printf '\0' >>"$T/bad.$part"
	sign bad ECDSA "$T/digest"
	is "lengthened: $part" "$STATUS" 400
done
ok "changed blobs are refused ($refused)" $((refused < 15))
cp "$T/ec.pub" "$T/bad.pub"
create other ec-p256
cp "$T/other.priv" "$T/bad.priv"
sign bad ECDSA "$T/digest"
answer "halves of two keys" 400 '.message | test("another TPM")'
# a key that tpm2-tools made: may leave the TPM, or has an authorisation policy, or is restricted; none is one of ours
own='userwithauth|fixedtpm|fixedparent|sensitivedataorigin'
for how in 'ecc256 sign|userwithauth|sensitivedataorigin' "ecc256:ecdsa-sha256:null sign|restricted|noda|$own" \
	"ecc384 sign|noda|$own" "rsa1024 sign|decrypt|noda|$own"; do
	tpm2_create -Q -C 0x81000001 -G "${how%% *}" -a "${how#* }" -u "$T/bad.pub" -r "$T/bad.priv"
	ok "tpm2_create ${how}" $?
	tpm2_flushcontext -t
	sign bad ECDSA "$T/digest"
	answer "made by others: $how" 400 '.message | test("not of an object that tpmd makes")'
done
is "nothing is loaded after bad blobs" "$(loaded)" ""
sign ec ECDSA "$T/digest"
answer "the good one signs on" 200

# --- several at once: keys take turns, none is mixed up
for i in 1 2 3 4; do
	(
		T2=$T/at$i
		mkdir -m 755 "$T2"
		key=key64 file=$T/key64
		[ $((i % 2)) = 0 ] || key=hmac file=$T/hmac.key
		for n in 1 2 3 4 5 6; do
			echo "$i $n" >"$T2/data"
			printf '{%s,"algorithm":"HMAC-SHA256","data":"%s"}' "$(blobs $key)" "$(b64 "$T2/data")" >"$T2/request"
			post sign "@$T2/request"
			[ "$(jq -r .signature <<<"$BODY" | base64 -d | xxd -p -c 64)" = "$(hmac "$file" "$T2/data")" ] || exit 1
		done
	) &
	jobs_[i]=$!
done
bad=0
for i in 1 2 3 4; do wait "${jobs_[i]}" || bad=1; done
ok "four callers, two keys" $bad

# eight at a time, by two EC keys, a digest of its own for each: a command is sent ahead of its caller's turn, and no answer is another's
public_pem other
ok "tpm2_load takes the other EC key" $?
for i in {1..80}; do
	key=ec
	[ $((i % 5)) -gt 0 ] || key=other
	head -c 32 /dev/urandom >"$T/many.$i"
	printf '{%s,"algorithm":"ECDSA","data":"%s"}' "$(blobs $key)" "$(b64 "$T/many.$i")" >"$T/many.$i.request"
	printf 'next\nunix-socket = %s\nurl = "http://localhost/keys/sign?%s"\nheader = "content-type: application/json"\ndata-binary = "@%s"\noutput = "%s"\n' \
		"$SOCKET" "$V" "$T/many.$i.request" "$T/many.$i.answer"
done | tail -n +2 >"$T/many.cfg"
chmod 644 "$T"/many.*
$MAY curl -sS --max-time 60 -Z --parallel-immediate --parallel-max 8 -K "$T/many.cfg" 2>"$T/many.err"
good=0
for i in {1..80}; do
	key=ec
	[ $((i % 5)) -gt 0 ] || key=other
	jq -r .signature "$T/many.$i.answer" | base64 -d >"$T/sig"
	openssl pkeyutl -verify -pubin -inkey "$T/$key.pem" -sigfile "$T/sig" -in "$T/many.$i" >/dev/null 2>&1 && good=$((good + 1))
done
is "good signatures of 80 by eight at a time" "$good" 80

# --- the TPM dies: between requests, with a key loaded, during one
before=${PID[tpmd]}
sign ec ECDSA "$T/digest"
tpm_stop KILL
sign ec ECDSA "$T/digest"
answer "sign without a TPM" 500 '. == {"message":"internal error"}'
post create '{"algorithm":"ec-p256"}'
answer "create without a TPM" 500
seal "$T/secret"
answer "seal without a TPM" 500
tpm_start
sign ec ECDSA "$T/digest"
answer "sign after the TPM came back" 200
openssl dgst -sha256 -verify "$T/ec.pem" -signature "$T/sig" "$T/message" >/dev/null
ok "and the signature is good" $?
sign hmac HMAC-SHA256 "$T/data"
tpm_stop KILL
tpm_start
sign hmac HMAC-SHA256 "$T/data"
is "sign after an unnoticed restart" "$(xxd -p -c 64 "$T/sig")" "$(hmac "$T/hmac.key" "$T/data")"
sign hmac HMAC-SHA256 "$T/data"
tpm_stop KILL
tpm_start
sign ec ECDSA "$T/digest"
answer "another key after an unnoticed restart" 200
wait_for 3 nothing_loaded
ok "nothing is loaded a second later" $?
tpm_stop KILL
tpm_start
unseal sealed
is "unseal after an unnoticed restart" "$(jq -r .data <<<"$BODY")" "$(b64 "$T/secret")"
for i in 1 2 3; do
	(for _ in 1 2 3 4 5 6; do sign hmac HMAC-SHA256 "$T/100000"; done) >/dev/null 2>&1 &
	busy=$!
	sleep "0.$((RANDOM % 200 + 100))"
	tpm_stop KILL
	wait $busy
	tpm_start
done
sign ec ECDSA "$T/digest"
answer "sign after a TPM that died at work" 200
wait_for 3 nothing_loaded
ok "nothing is loaded after all that" $?
is "the same process" "${PID[tpmd]}" "$before"
alive tpmd
ok "tpmd is alive" $?

# --- what somebody on the bus to the TPM hears (tpm2.md 5)
use_all() { # messages, keys and data that are in no file yet, each with its trace in $T
	local name
	for name in heard.key heard.message heard.secret heard.digest; do head -c 32 /dev/urandom >"$T/$name"; done
	head -c 2000 /dev/urandom >"$T/heard.long"
	head -c 100 "$T/heard.long" >"$T/heard.start"
	tail -c 100 "$T/heard.long" >"$T/heard.end"
	post import "{\"key\":\"$(b64 "$T/heard.key")\"}"
	keep heard
	sign heard HMAC-SHA256 "$T/heard.message"
	is "HMAC on a bus" "$(xxd -p -c 64 "$T/sig")" "$(hmac "$T/heard.key" "$T/heard.message")"
	cp "$T/sig" "$T/heard.hmac"
	sign heard HMAC-SHA256 "$T/heard.long"
	is "long HMAC on a bus" "$(xxd -p -c 64 "$T/sig")" "$(hmac "$T/heard.key" "$T/heard.long")"
	cp "$T/sig" "$T/heard.long.hmac"
	sign ec ECDSA "$T/heard.digest"
	seal "$T/heard.secret"
	keep sealed
	unseal sealed
	is "unsealed on a bus" "$(jq -r .data <<<"$BODY")" "$(b64 "$T/heard.secret")"
	# what must be heard shows that the relay listens
	crossed "a digest to be signed" "$T/heard.digest"
	crossed "the start of a long message" "$T/heard.start"
	hidden "an imported key" "$T/heard.key"
	hidden "sealed data" "$T/heard.secret"
}
stop tpmd
bus_start
config
tpmd_start
HTTP_AS=$MAY
use_all
for what in message hmac end long.hmac; do hidden "$what" "$T/heard.$what"; done
stop tpmd
config 'bus_encryption = false'
tpmd_start
HTTP_AS=$MAY
use_all
for what in message hmac end long.hmac; do crossed "$what" "$T/heard.$what"; done
stop tpmd
stop bus0
stop bus1
BUS_PORT=
config
tpmd_start
HTTP_AS=$MAY

# --- another TPM, or this one cleared: a clear refusal
stop tpmd
tpm_stop
mkdir "$T/tpm2"
TPM_STATE=$T/tpm2
tpm_start
tpmd_start
HTTP_AS=$MAY
sign ec ECDSA "$T/digest"
answer "a key of another TPM" 400 '.message | test("another TPM")'
unseal sealed
answer "sealed by another TPM" 400 '.message | test("another TPM")'
is "nothing is loaded" "$(loaded)" ""
create ec ec-p256
sign ec ECDSA "$T/digest"
answer "its own key" 200
stop tpmd
tpm2_clear -Q -c p
tpmd_start
HTTP_AS=$MAY
sign ec ECDSA "$T/digest"
answer "a key of before the TPM was cleared" 400 '.message | test("cleared")'
# cleared beside tpmd, which makes the storage root key anew; or others do, and another kind
for how in ours others; do
	create ec ec-p256
	sign ec ECDSA "$T/digest"
	answer "$how: a key" 200
	wait_for 3 nothing_loaded
	tpm2_clear -Q -c p
	if [ $how = others ]; then
		tpm2_createprimary -Q -C o -G ecc -c "$T/primary.ctx"
		tpm2_evictcontrol -Q -C o -c "$T/primary.ctx" 0x81000001
		tpm2_flushcontext -t
	fi
	seal "$T/secret"
	answer "$how: seal once the TPM was cleared" 200
	keep sealed
	unseal sealed
	is "$how: and unseal" "$STATUS $(jq -r .data <<<"$BODY")" "200 $(b64 "$T/secret")"
	sign ec ECDSA "$T/digest"
	answer "$how: a key of before" 400 '.message | test("cleared")'
	wait_for 3 nothing_loaded
	ok "$how: nothing is loaded" $?
done
stop tpmd
tpm_stop

# --- configuration
check() { # check STATUS TEXT
	printf '%b' "$2" >"$T/check.toml"
	"$BIN/tpmd" --check --config "$T/check.toml" --config-dir "$T/none" >"$T/check.out" 2>&1
	is "--check $2" $? "$1"
}
check 0 '[[principal]]\nuid = 0\n[[principal]]\nuid = 5\n'
check 1 '[[principal]]\nuid = -1\n'
check 1 '[[principal]]\nuid = "aziotks"\n'
like "names the key" "$(cat "$T/check.out")" '*check.toml:2*principal*uid*'
check 1 '[[principal]]\n'
suite_end
