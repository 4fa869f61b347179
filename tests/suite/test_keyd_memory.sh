#!/bin/bash
# Keys in memory (issue 3, point 4): locked, non-dumpable, wiped.  build/suite/scanmem looks for a secret in every form that code
# gives to keys, and proves itself by planted copies first.
# shellcheck disable=SC2317
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
suite_begin "keyd: keys in memory"
for tool in jq curl openssl xxd socat softhsm2-util; do need_tool $tool || exit 77; done
need_root "looking into a process that lets nobody" || exit 77
if [ -n "$INSTRUMENTED" ]; then
	echo "SKIP a sanitizer keeps copies of its own; the released programs are looked at"
	exit 77
fi

V=api-version=2021-05-01
S=$T/keyd.sock
SCAN=$BUILD/suite/scanmem
mkdir -m 700 "$T/home" && mkdir "$T/secret"
chown "$((UID0 + 1)):$((UID0 + 1))" "$T/home"

# --- the scanner: each form is found where it is planted, one alone and never elsewhere
head -c 32 /dev/urandom >"$T/secret/planted"
head -c 32 /dev/urandom >"$T/secret/other"
openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$T/secret/planted.pem"
mkfifo "$T/hold"
plant() { # plant FORM FILE
	# shellcheck disable=SC2016
	start victim sh -c 'exec "$@" <"$0"' "$T/hold" "$SCAN" --plant "$1" "$2"
	exec 7>"$T/hold"
	wait_for 5 grep -q planted "$T/victim.log"
}
uproot() {
	exec 7>&-
	stop victim
	rm -f "$T/victim.log"
}
for form in $("$SCAN" --forms); do
	file=$T/secret/planted
	[ "$form" != PEM ] || file=$T/secret/planted.pem
	plant "$form" "$file"
	"$SCAN" "${PID[victim]}" "$file" >"$T/found"
	is "planted $form: found" $? 1
	like "planted $form: by its name" "$(cat "$T/found")" "*planted*: $form at * of *not locked*"
	"$SCAN" --unlocked "${PID[victim]}" "$file" >/dev/null
	is "planted $form: in memory that is not locked" $? 1
	"$SCAN" "${PID[victim]}" "$T/secret/other" >"$T/found"
	is "planted $form: nothing else is" "$? $(cat "$T/found")" "0 "
	uproot
done

# --- keyd
config() { # config [LINE...] behind what is always there
	cat >"$T/keyd.toml" <<EOT
[endpoints]
aziot_keyd = "unix://$S"
[aziot_keys]
homedir_path = "$T/home"
EOT
	printf '%s\n' "$@" >>"$T/keyd.toml"
}
# the worker of a place, by the role that the spawner gave it: worker ROLE
worker() {
	local spawner p
	for spawner in $(pgrep -P "${PID[keyd]}"); do
		for p in $(pgrep -P "$spawner"); do
			tr '\0' ' ' <"/proc/$p/cmdline" | grep -q -- "--role $1 " && echo "$p"
		done
	done
}
up() {
	start keyd "$BIN/keyd" --config "$T/keyd.toml" --config-dir "$T/none" --user "$(user 1)"
	wait_socket keyd "$S"
}
post() { http "$S" POST "$1?$V" "$2"; }
handle() { jq -r .keyHandle <<<"$BODY"; }
key_file() { echo "$T/home/keys/$1-"*.key; }
# A connection that stays: what libmicrohttpd keeps of it is looked at, too.
keep_open() {
	mkfifo "$T/to"
	# shellcheck disable=SC2016
	start kept sh -c 'exec socat -t30 "$1" STDIO <"$0"' "$T/to" "UNIX-CONNECT:$S"
	exec 8>"$T/to"
}
kept_post() { # kept_post PATH BODY: over that connection; the answer's body is BODY
	: >"$T/kept.log"
	printf 'POST %s?%s HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %s\r\n\r\n%s' "$1" "$V" "${#2}" "$2" >&8
	wait_for 5 grep -qa '}$' "$T/kept.log"
	BODY=$(tail -1 "$T/kept.log")
}
hang_up() {
	exec 8>&-
	stop kept
	rm -f "$T/to"
}

# after WHAT FILE...: where keyd's front must not have them, it does not after this step alone; a later one might write over it
FRONT=
after() {
	local what=$1
	shift
	[ -n "$FRONT" ] || return 0
	sleep 0.1
	nothing "$what: not in keyd's front" "$FRONT" "$@"
}
# Every kind of key made and used, its secret parts noted; handles in H.
declare -A H
number() { # number NAME PEM-FILE LABEL: of openssl's text, without a leading zero byte
	openssl pkey -in "$2" -noout -text | awk -v label="$3:" '$0 ~ "^" label {on = 1; next} /^[^ ]/ {on = 0} on' |
		tr -d ' :\n' | sed 's/^00//' | xxd -r -p >"$T/secret/$1"
}
note() { # what is secret of a key pair's file
	local file
	file=$(key_file "$1")
	case $1 in
	rsa)
		number rsa-d "$file" privateExponent
		number rsa-p "$file" prime1
		number rsa-q "$file" prime2
		number rsa-dp "$file" exponent1
		number rsa-qi "$file" coefficient
		;;
	*) number "$1" "$file" priv ;;
	esac
	cp "$file" "$T/secret/$1.pem"
}
use_all() {
	local algorithm secret digest message='{"message":"bWVzc2FnZQ=="}'
	rm -f "$T/secret"/*
	digest="{\"digest\":\"$(head -c 32 /dev/urandom | base64 -w0)\"}"
	head -c 32 /dev/urandom >"$T/secret/imported"
	secret=$(base64 -w0 "$T/secret/imported")
	kept_post /key "{\"keyId\":\"imported\",\"usage\":\"sign\",\"keyBytes\":\"$secret\"}"
	H[imported]=$(handle)
	after "import" "$T/secret/imported"
	# so that base64 stands at other places of words, and as most clients do it: a connection for a request
	post /key "{\"keyId\":\"imported2\", \"usage\":\"sign\",\"keyBytes\":\"$secret\"}"
	H[imported2]=$(handle)
	head -c 3000 /dev/urandom >"$T/secret/long"
	post /key "{\"keyId\":\"long\",\"usage\":\"sign\",\"keyBytes\":\"$(base64 -w0 "$T/secret/long")\"}"
	H[long]=$(handle)
	after "import of a long key" "$T/secret/long"
	post /key '{"keyId":"made","usage":"derive,encrypt"}'
	H[made]=$(handle)
	for key in imported imported2 long made; do
		post /sign "{\"keyHandle\":\"${H[$key]}\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":$message}"
		is "sign with $key" "$STATUS" 200
	done
	after "signatures" "$T/secret/imported" "$T/secret/long"
	post /encrypt "{\"keyHandle\":\"${H[made]}\",\"algorithm\":\"AEAD\",\"parameters\":{\"iv\":\"AAAAAAAAAAAAAAAA\",\"aad\":\"\"},\"plaintext\":\"cGxhaW4=\"}"
	is "encrypt" "$STATUS" 200
	# derived: exported once over each kind of connection
	post /derivedkey "{\"baseKeyHandle\":\"${H[made]}\",\"derivationData\":\"ZGF0YQ==\"}"
	H[derived]=$(handle)
	post /derivedkey/export "{\"keyHandle\":\"${H[derived]}\"}"
	jq -r .key <<<"$BODY" | base64 -d >"$T/secret/derived"
	kept_post /derivedkey/export "{\"keyHandle\":\"${H[derived]}\"}"
	is "export" "$(jq -r .key <<<"$BODY")" "$(base64 -w0 "$T/secret/derived")"
	after "export" "$T/secret/derived"
	post /sign "{\"keyHandle\":\"${H[derived]}\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":$message}"
	is "sign with a derived key" "$STATUS" 200
	for algorithm in ec-p256 ec-p384 ed25519 rsa-2048; do
		key=${algorithm%-2048}
		post /keypair "{\"keyId\":\"$key\",\"preferredAlgorithms\":\"$algorithm\"}"
		H[$key]=$(handle)
		case $key in
		ec-*) post /sign "{\"keyHandle\":\"${H[$key]}\",\"algorithm\":\"ECDSA\",\"parameters\":$digest}" ;;
		ed*) post /sign "{\"keyHandle\":\"${H[$key]}\",\"algorithm\":\"EdDSA\",\"parameters\":$message}" ;;
		rsa) post /encrypt "{\"keyHandle\":\"${H[$key]}\",\"algorithm\":\"RSA-PKCS1\",\"plaintext\":\"cGxhaW4=\"}" ;;
		esac
		is "sign with $key" "$STATUS" 200
	done
}
note_all() {
	cp "$(key_file made)" "$T/secret/made"
	for key in ecp256 ecp384 ed25519 rsa; do note $key; done
}
delete_all() {
	for key in imported imported2 long made; do
		http "$S" DELETE "/key?$V" "{\"keyHandle\":\"${H[$key]}\"}"
		is "delete $key" "$STATUS" 204
	done
	for key in ec-p256 ec-p384 ed25519 rsa; do
		http "$S" DELETE "/keypair?$V" "{\"keyHandle\":\"${H[$key]}\"}"
		is "delete $key" "$STATUS" 204
	done
}
nothing() { # nothing WHAT PID [--unlocked] FILE...: no secret is there
	local what=$1 pid=$2 how=() status
	shift 2
	[ "$1" != --unlocked ] || { how=("$1") && shift; }
	# a busy machine comes later to what it does at once; a copy that is forgotten stays
	for _ in 1 2 3 4 5; do
		"$SCAN" "${how[@]}" "$pid" "$@" >"$T/found" 2>&1
		status=$?
		[ $status -eq 1 ] || break
		sleep 0.2
	done
	is "$what" "$status $(head -20 "$T/found")" "0 "
}
closed() { # closed NAME PID: neither dumpable nor open to its own user
	is "$1: no core file" "$(awk '/^Max core file size/ {print $5, $6}' "/proc/$2/limits")" "0 0"
	is "$1: non-dumpable, so its memory is root's" "$(stat -c %u "/proc/$2/mem")" 0
	as_user "$(user 1)" cat "/proc/$2/environ" >/dev/null 2>&1
	ok "$1: and its own user may not look" "$(($? == 0))"
}

# What keyd says of its memory is so: all of it where there is no limit, else the heap.
memory() { # memory NAME PID
	local limit lock
	limit=$(awk '/^Max locked memory/ {print $4}' "/proc/$2/limits")
	lock=$(awk '/\[heap\]/ {on = 1} on && /^VmFlags/ {print / lo/ ? "yes" : "no"; exit}' "/proc/$2/smaps")
	is "$1: heap locked" "$lock" yes
	[ "$limit" != unlimited ] || is "$1: all is" "$(grep '^VmFlags' "/proc/$2/smaps" | grep -cv ' lo')" 0
}

# --- file keys in keyd itself, wrapped at rest
head -c 32 /dev/urandom >"$T/edgekeep-kek"
chmod 644 "$T/edgekeep-kek"
export CREDENTIALS_DIRECTORY=$T
config '[backends.file]' 'type = "file"' 'wrap = "credential"'
up
closed keyd "${PID[keyd]}"
memory keyd "${PID[keyd]}"
http "$S" GET "/status?$V"
answer "status says so" 200 '.facts.memory | test("^(all|heap) locked$")'
is "said once in the log, unless all is" "$(grep -c 'memory: heap locked; LimitMEMLOCK=infinity' "$T/keyd.log")" \
	"$(jq '.facts.memory == "heap locked" | if . then 1 else 0 end' <<<"$BODY")"
keep_open
use_all
AZIOT_KEYD_CONFIG=$T/keyd.toml as_user "$(user 1)" "$BIN/edgekeep" keys unwrap >"$T/unwrap.log" 2>&1
is "unwrapped, to be looked into" $? 0
note_all
sleep 0.1
"$SCAN" "${PID[keyd]}" "$T/secret/imported" >/dev/null
is "the scanner sees a key that keyd holds" $? 1
nothing "file keys in use: no copy outside locked pages" "${PID[keyd]}" --unlocked "$T/secret"/* "$T/home/handles.key" "$T/edgekeep-kek"
delete_all
sleep 0.1
nothing "file keys deleted: no copy at all, the connection still open" "${PID[keyd]}" "$T/secret"/*
hang_up
nothing "file keys deleted: no copy at all" "${PID[keyd]}" "$T/secret"/*
stop keyd

# --- file keys in a worker
config '[backends.file]' 'type = "file"' 'worker = true'
up
W=$(worker worker-file)
closed "keyd: worker-file" "$W"
closed "keyd: spawner" "$(pgrep -P "${PID[keyd]}")"
memory "keyd: worker-file" "$W"
keep_open
FRONT=${PID[keyd]}
use_all
FRONT=
note_all
sleep 0.1
nothing "keys in a worker, in use: none in keyd's front" "${PID[keyd]}" "$T/secret"/*
nothing "nor in the spawner" "$(pgrep -P "${PID[keyd]}")" "$T/secret"/*
"$SCAN" "$W" "$T/secret/imported" >/dev/null
is "the worker has them" $? 1
nothing "and no copy outside locked pages" "$W" --unlocked "$T/secret"/*
delete_all
sleep 0.1
nothing "deleted: none in keyd's front, the connection still open" "${PID[keyd]}" "$T/secret"/*
nothing "nor in the worker" "$W" "$T/secret"/*
hang_up
stop keyd

# --- keys of a token: some that we know, brought there by us and by keyd
export SOFTHSM2_CONF=$T/softhsm.conf
mkdir -m 700 "$T/tokens" && chown "$((UID0 + 1)):$((UID0 + 1))" "$T/tokens"
printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' "$T" >"$SOFTHSM2_CONF"
softhsm() { as_user "$(user 1)" softhsm2-util "$@" >/dev/null; }
softhsm --init-token --free --label tok --pin 8461937502461937 --so-pin 5678
rm -f "$T/secret"/*
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$T/secret/ec.pem" 2>/dev/null
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$T/secret/rsa.pem"
chmod 644 "$T/secret"/*.pem
for key in ec rsa; do softhsm --import "$T/secret/$key.pem" --token tok --label "$key" --id "0$(wc -c <<<$key)" --pin 8461937502461937; done
number ec "$T/secret/ec.pem" priv
number rsa-d "$T/secret/rsa.pem" privateExponent
number rsa-p "$T/secret/rsa.pem" prime1
number rsa-q "$T/secret/rsa.pem" prime2
module=$(find /usr/lib -name libsofthsm2.so -print -quit)
config "pkcs11_lib_path = \"$module\"" 'pkcs11_base_slot = "pkcs11:token=tok?pin-value=8461937502461937"'
up
W=$(worker worker-vendor)
closed "keyd: worker-vendor" "$W"
memory "keyd: worker-vendor" "$W"
keep_open
head -c 32 /dev/urandom >"$T/secret/imported"
kept_post /key "{\"keyId\":\"imported\",\"usage\":\"derive,sign\",\"keyBytes\":\"$(base64 -w0 "$T/secret/imported")\"}"
H[imported]=$(handle)
FRONT=${PID[keyd]}
after "import into the token" "$T/secret/imported"
post /sign "{\"keyHandle\":\"${H[imported]}\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"bQ==\"}}"
is "the token signs with the imported key" "$(jq -r .signature <<<"$BODY")" \
	"$(printf m | openssl mac -digest SHA256 -macopt "hexkey:$(xxd -p -c 99 "$T/secret/imported")" HMAC | xxd -r -p | base64 -w0)"
is "which is in no file" "$(find "$T/home/keys" -type f | wc -l)" 0
post /derivedkey "{\"baseKeyHandle\":\"${H[imported]}\",\"derivationData\":\"ZGF0YQ==\"}"
H[derived]=$(handle)
kept_post /derivedkey/export "{\"keyHandle\":\"${H[derived]}\"}"
jq -r .key <<<"$BODY" | base64 -d >"$T/secret/derived"
after "export of a key that the token has derived" "$T/secret/derived"
post /sign "{\"keyHandle\":\"${H[derived]}\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"bQ==\"}}"
is "sign with a derived key of the token" "$STATUS" 200
for key in ec rsa; do
	http "$S" GET "/keypair/$key?$V"
	H[$key]=$(handle)
done
post /sign "{\"keyHandle\":\"${H[ec]}\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"$(head -c 32 /dev/urandom | base64 -w0)\"}}"
is "the token signs with the EC key" "$STATUS" 200
post /encrypt "{\"keyHandle\":\"${H[rsa]}\",\"algorithm\":\"RSA-PKCS1\",\"plaintext\":\"cGxhaW4=\"}"
is "the token signs with the RSA key" "$STATUS" 200
sleep 0.1
nothing "keys of a token, in use: none in keyd's front" "${PID[keyd]}" "$T/secret"/*
http "$S" DELETE "/key?$V" "{\"keyHandle\":\"${H[imported]}\"}"
is "delete it" "$STATUS" 204
sleep 0.1
nothing "deleted: none in keyd's front, the connection still open" "${PID[keyd]}" "$T/secret"/*
hang_up
nothing "nor when it is closed" "${PID[keyd]}" "$T/secret"/*
stop keyd
suite_end
