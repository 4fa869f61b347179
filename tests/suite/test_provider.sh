#!/bin/bash
# edgekeep.so in programs that are not ours, over a real keyd (issue 3, point 5; design/provider.md): openssl, curl, nginx and a
# program that knows libcrypto only.  Every row runs on keys of each backend; `make soak` makes HANDSHAKES 10,000 a key.
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
for tool in jq curl openssl nginx; do need_tool $tool || exit 77; done
suite_begin "OpenSSL provider"

V=api-version=2021-05-01
USE=$BUILD/suite/provider_use MODULE=$BUILD/lib/edgekeep.so
HANDSHAKES=${HANDSHAKES:-500}
# the program's user, in keyd's group and a principal of every key; a stranger, in the group only
PROGRAM=() STRANGER=() KEYD_USER=() as_keyd=() program_uid=$(id -u)
if is_root; then
	KEYD_USER=(as_user "$(user 1)")
	as_keyd=(--user "$(user 1)") program_uid=$((UID0 + 2))
	PROGRAM=(setpriv "--reuid=$program_uid" "--regid=$program_uid" "--groups=$((UID0 + 1))")
	STRANGER=(setpriv --reuid=$((UID0 + 3)) --regid=$((UID0 + 3)) --groups=$((UID0 + 1)))
fi
mkdir -m 755 "$T/etc" && mkdir -m 700 "$T/use"
is_root && chown "$program_uid:$program_uid" "$T/use"

# A sanitizer must come first in a program that is not ours; what it leaks itself is its own affair.
preload=()
if [ -n "$INSTRUMENTED" ]; then
	preload=(env "LD_PRELOAD=$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" ASAN_OPTIONS=detect_leaks=0)
fi
program() { OPENSSL_CONF=$CNF "${PROGRAM[@]}" "${preload[@]}" "$@"; }
stranger() { OPENSSL_CONF=$CNF "${STRANGER[@]}" "${preload[@]}" "$@"; }
ossl() { program openssl "$@"; }
use() { OPENSSL_CONF=$CNF "${PROGRAM[@]}" timeout 300 "$USE" "$@"; }

# configure FILE SOCKET [LINE]: the snippet as operators get it, with this build's module
configure() {
	sed "s|^\[edgekeep_keyd\]|&\nmodule = $MODULE\nsocket = $2\n${3:-}|" "$TOP/packaging/openssl/edgekeep.cnf" >"$1"
}

# --- the module itself, before it is loaded
if [ -z "$INSTRUMENTED" ]; then
	is "one symbol leaves the module" "$(nm -D --defined-only "$MODULE" | awk '{print $3}')" OSSL_provider_init
	is "libraries it brings (trap 8: no libcurl)" "$(readelf -d "$MODULE" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort | tr '\n' ' ')" \
		"libc.so.6 libcrypto.so.3 libjansson.so.4 "
	is "trap 8: it changes nothing of the process" "$(nm -D --undefined-only "$MODULE" | awk '{print $2}' |
		grep -E '^(atexit|on_exit|signal|sigaction|sigprocmask|pthread_(atfork|create|sigmask)|json_set_alloc_funcs|fork|exec.*|_?exit|abort|umask|setenv|putenv|std(out|err)|f?printf|f?puts|syslog|curl_.*)(@|$)')" ""
fi

# A keyd of its own for each backend, and what follows on its keys.
keyd_for() { # keyd_for BACKEND: starts, or says why not
	local b=$T/$1
	S=$b/keyd.sock CNF=$b/openssl.cnf
	mkdir -m 755 "$b" && mkdir -m 700 "$b/home"
	is_root && chown "$((UID0 + 1))" "$b/home"
	configure "$CNF" "$S"
	cat >"$b/keyd.toml" <<END
[aziot_keys]
homedir_path = "$b/home"
$2
[endpoints]
aziot_keyd = "unix://$S"
[[principal]]
uid = $program_uid
keys = ["*"]
END
	start_keyd "$1"
}
start_keyd() {
	start "keyd" "$BIN/keyd" --config "$T/$1/keyd.toml" --config-dir "$T/none" "${as_keyd[@]}"
	wait_socket keyd "$S"
}
succeeded() { is "$1: $(cat "$3")" "$2" 0; } # succeeded WHAT STATUS FILE: a row that shows what was said
# make_key ID ALGORITHM: with its certificate and PEM file; sets HANDLE
make_key() {
	local b=${S%/*}
	http "$S" POST "/keypair?$V" "{\"keyId\":\"$1\",\"preferredAlgorithms\":\"$2\"}"
	answer "$1: made" 200
	HANDLE=$(jq -r '.keyHandle | @uri' <<<"$BODY")
	"$BIN/edgekeep" --run "$b" keys pem "$1" >"$b/$1.pem"
	is "edgekeep keys pem $1" $? 0
	ossl req -x509 -new -key "keyd:id=$1" -subj /CN=localhost -addext subjectAltName=DNS:localhost >"$b/$1.crt" 2>"$b/out"
	succeeded "$1: openssl req -x509" $? "$b/out"
	openssl verify -check_ss_sig -CAfile "$b/$1.crt" "$b/$1.crt" >/dev/null 2>&1
	is "$1: openssl judges the certificate" $? 0
}

# requests URI NAME: certificate requests of several kinds, judged by an openssl that has never met edgekeep
requests() {
	local uri=$1 name=$2 options
	while read -r options; do
		# shellcheck disable=SC2086
		ossl req -new -key "$uri" -subj "/CN=press-07" $options >"$T/csr" 2>"$T/out"
		succeeded "$name: openssl req $options" $? "$T/out"
		like "$name: the request $options" "$(openssl req -noout -verify -in "$T/csr" 2>&1)" '*verify OK*'
	done
}

# messages NAME ID: signed messages of several kinds, judged the same way
messages() {
	local b=${S%/*} options
	while read -r options; do
		# shellcheck disable=SC2086
		echo signed | ossl cms -sign -signer "$b/$2.crt" -inkey "keyd:id=$2" $options >"$T/cms" 2>"$T/out"
		succeeded "$1: openssl cms $options" $? "$T/out"
		like "$1: the message $options" "$(openssl cms -verify -purpose any -CAfile "$b/$2.crt" -in "$T/cms" 2>&1)" '*Verification successful*'
	done
}

# program_rows NAME ID: what the program that knows libcrypto only finds
program_rows() {
	local b=${S%/*} check out
	for check in default-unharmed no-export verify finals digest-names fork threads; do
		out=$(use $check "keyd:id=$2" 2>&1)
		is "$1: $check: ${out:0:300}" $? 0
	done
	out=$(AZIOT_LOG=trace use queue "keyd:id=$2" "$b/$2.pem" 2>&1)
	is "$1: trap 6: the host's error queue is as it was: ${out:0:300}" $? 0
	is "$1: trap 8: nothing is written to the host's output" "$out" ""
	out=$(CNF=/dev/null use own-context "$b/openssl.cnf" "keyd:id=$2" 2>&1)
	is "$1: trap 6: in a library context of the program's own: ${out:0:300}" $? 0
}

# tls NAME ID VERSION SIGALGS SHOWN: a handshake with client certificate between two openssls, both of which sign through keyd
tls() {
	local b=${S%/*} out
	out=$(printf 'GET / HTTP/1.0\r\n\r\n' | ossl s_client -unix "$T/use/$2" -"$3" -sigalgs "$4" -CAfile "$b/$2.crt" \
		-verify_return_error -cert "$b/$2.crt" -key "keyd:id=$2" -ign_eof 2>&1)
	like "$1: openssl s_server, s_client: $3 $4" "$out" "*Peer signature type: $5*Verify return code: 0 (ok)*HTTP/1.0 200 ok*"
}
tls_rows() { # tls_rows NAME ID, rows of VERSION SIGALGS SHOWN
	local b=${S%/*} version algorithms shown
	start "server-$1" "${PROGRAM[@]}" env "OPENSSL_CONF=$CNF" "${preload[@]}" openssl s_server -unix "$T/use/$2" -www \
		-cert "$b/$2.crt" -key "keyd:id=$2" -CAfile "$b/$2.crt" -Verify 1 -verify_return_error
	wait_for 10 test -S "$T/use/$2"
	while read -r version algorithms shown; do tls "$1" "$2" "$version" "$algorithms" "$shown"; done
	stop "server-$1" >/dev/null
	rm -f "$T/use/$2"
}

# nginx with three servers, curl with a client certificate: keys by PEM file (trap 7); nginx signs in workers, children of the
# process that has loaded the keys
nginx_config() {
	local b=${S%/*} n=$T/use/nginx
	mkdir -p "$n"
	is_root && chown "$program_uid:$program_uid" "$n"
	cat >"$b/nginx.conf" <<END
daemon off;
worker_processes 2;
pid $n/pid;
error_log $n/error.log info;
events {}
http {
	access_log off;
	client_body_temp_path $n/a; proxy_temp_path $n/b; fastcgi_temp_path $n/c; uwsgi_temp_path $n/d; scgi_temp_path $n/e;
	ssl_session_cache off;
	ssl_session_tickets off;
	ssl_verify_client on;
	ssl_client_certificate $b/all.crt;
	ssl_protocols TLSv1.2 TLSv1.3;
	default_type text/plain;
	$(nginx_server ec ec) $(nginx_server rsa rsa) $(nginx_server rsa pkcs1 'ssl_conf_command SignatureAlgorithms RSA+SHA256;')
}
END
}
nginx_server() { # ID SOCKET [LINE]
	echo "server { listen unix:$T/use/nginx/$2.sock ssl; ssl_certificate ${S%/*}/$1.crt; ssl_certificate_key ${S%/*}/$1.pem; ${3:-}
		location / { return 200 \"\$ssl_protocol \$ssl_client_verify\"; } }"
}
fetch() { # fetch ID SOCKET VERSION
	local b=${S%/*}
	program curl -sS --max-time 20 --unix-socket "$T/use/nginx/$2.sock" --tlsv"$3" --tls-max "$3" --cacert "$b/all.crt" \
		--cert "$b/$1.crt" --key "$b/$1.pem" https://localhost/ 2>&1
}
nginx_rows() { # nginx_rows NAME
	local b=${S%/*} n=$T/use/nginx id socket version
	rm -rf "$n"
	cat "$b/ec.crt" "$b/rsa.crt" >"$b/all.crt"
	nginx_config
	start "nginx-$1" "${PROGRAM[@]}" env "OPENSSL_CONF=$CNF" "${preload[@]}" nginx -c "$b/nginx.conf" -e "$n/error.log"
	wait_for 10 test -S "$n/pkcs1.sock"
	while read -r id socket version; do
		is "$1: nginx and curl, $socket, TLS $version" "$(fetch "$id" "$socket" "$version")" "TLSv$version SUCCESS"
	done <<'END'
ec ec 1.2
ec ec 1.3
rsa ec 1.3
rsa rsa 1.2
rsa rsa 1.3
ec rsa 1.3
rsa pkcs1 1.2
END
	like "$1: curl without a certificate" "$(program curl -sS --unix-socket "$n/ec.sock" --cacert "$b/all.crt" https://localhost/)" \
		'*No required SSL certificate*'
	# reloaded: the old workers end, new ones have the keys anew
	kill -HUP "${PID[nginx-$1]}"
	wait_for 10 grep -q 'gracefully shutting down' "$n/error.log"
	is "$1: nginx reloaded" "$(fetch ec ec 1.3)" "TLSv1.3 SUCCESS"
	stop "nginx-$1" QUIT
	is "$1: nginx ends well" $? 0
	is "$1: trap 6: no stale error in nginx's log" "$(grep -E 'stale|\[(alert|crit|emerg|error)\]' "$n/error.log")" ""
}

backend_rows() { # backend_rows NAME
	local name=$1 b=$T/$1 ec_handle rsa_handle out watched=()
	make_key ec ec-p256
	ec_handle=$HANDLE
	make_key rsa rsa-2048
	rsa_handle=$HANDLE

	requests keyd:id=ec "$name ec" <<'END'

-sha384
-sha512
END
	requests keyd:id=rsa "$name rsa" <<'END'

-sha384
-sigopt rsa_padding_mode:pss
-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1 -sha512
-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:20 -sigopt rsa_mgf1_md:sha512
END
	requests "keyd:handle=$ec_handle" "$name ec by handle" <<<""
	requests "keyd:handle=$rsa_handle" "$name rsa by handle" <<<""

	messages "$name ec" ec <<'END'

-noattr -md sha512
END
	messages "$name rsa" rsa <<'END'

-keyopt rsa_padding_mode:pss
-md sha512 -keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:20 -keyopt rsa_mgf1_md:sha1
END

	program_rows "$name ec" ec
	program_rows "$name rsa" rsa
	use same keyd:id=ec "keyd:handle=$ec_handle"
	is "$name: trap 10: id and handle are the same key" $? 0

	tls_rows "$name ec" ec <<'END'
tls1_2 ECDSA+SHA256 ECDSA
tls1_3 ECDSA+SHA256 ECDSA
END
	tls_rows "$name rsa" rsa <<'END'
tls1_2 RSA+SHA256 RSA
tls1_2 RSA-PSS+SHA256 RSA-PSS
tls1_3 RSA-PSS+SHA256 RSA-PSS
tls1_3 RSA-PSS+SHA512 RSA-PSS
END
	# curl does not start with a sanitizer before it: its setlocale() waits for ever
	[ -n "$INSTRUMENTED" ] || nginx_rows "$name"

	for id in ec rsa; do
		if [ -n "$INSTRUMENTED" ]; then
			OPENSSL_CONF=$CNF "${PROGRAM[@]}" "$BUILD/suite/handshakes" keyd:id=$id "$b/$id.crt" 100 >"$T/out" 2>&1
			is "$name $id: handshakes: $(cat "$T/out")" "$(grep -c '^100 handshakes' "$T/out")" 1
			continue
		fi
		# keyd's descriptors are root's to count
		is_root && watched=("${PID[keyd]}")
		OPENSSL_CONF=$CNF "$BUILD/suite/handshakes" keyd:id=$id "$b/$id.crt" "$HANDSHAKES" "${watched[@]}" >"$T/out" 2>&1
		succeeded "$name $id: RSS and keyd's descriptors stay" $? "$T/out"
		[ -z "${VERBOSE:-}${SOAK:-}" ] || cat "$T/out"
	done
}

# --- file keys
keyd_for file ""
backend_rows file

# the kinds that only files have
make_key ec384 ec-p384
make_key rsa3072 rsa-3072
requests keyd:id=ec384 "file ec384" <<'END'

-sha384
-sha512
END
requests keyd:id=rsa3072 "file rsa3072" <<'END'

-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1 -sha512
END
tls_rows "file ec384" ec384 <<'END'
tls1_2 ECDSA+SHA384 ECDSA
tls1_3 ECDSA+SHA384 ECDSA
END
tls_rows "file rsa3072" rsa3072 <<'END'
tls1_2 RSA+SHA384 RSA
tls1_3 RSA-PSS+SHA384 RSA-PSS
END

# --- keys on a token, in a worker of keyd's
if need_tool softhsm2-util; then
	stop keyd
	export SOFTHSM2_CONF=$T/softhsm.conf
	mkdir -m 700 "$T/tokens"
	is_root && chown "$((UID0 + 1)):$((UID0 + 1))" "$T/tokens"
	printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' "$T" >"$SOFTHSM2_CONF"
	"${KEYD_USER[@]}" softhsm2-util --init-token --free --label tok --pin 1234 --so-pin 5678 >/dev/null
	is "softhsm: token made" $? 0
	keyd_for softhsm 'pkcs11_lib_path = "/usr/lib/softhsm/libsofthsm2.so"
pkcs11_base_slot = "pkcs11:token=tok?pin-value=1234"'
	backend_rows softhsm
	is "softhsm: no key in a file" "$(find "$T/softhsm/home" -path '*/keys/*')" ""
	stop keyd
	S=$T/file/keyd.sock CNF=$T/file/openssl.cnf
	start_keyd file
fi

# --- what does not depend on the backend
b=$T/file
refused() { # refused WHAT URI SAID [CNF]: an error of ours that says why, and no request
	local out
	out=$(CNF=${4:-$CNF} ossl req -new -key "$2" -subj /CN=x 2>&1)
	is "$1: status" "$(($? != 0))" 1
	like "$1: says why" "$out" "*error:*edgekeep::$3*"
}
refused "absent key" keyd:id=none "refused by keyd::*a parameter has an invalid value: is there a key pair of that id*"
refused "foreign handle" keyd:handle=ek1.AAAA "refused by keyd::*invalid handle*"
http "$S" POST "/keypair?$V" '{"keyId":"ed","preferredAlgorithms":"ed25519"}'
answer "an Ed25519 key: made" 200
refused "an Ed25519 key" keyd:id=ed "not possible with this key::*Ed25519 keys are not for use through OpenSSL"
refused "trap 10: no attribute" keyd:ec "malformed key URI::*expected id=... or handle=..."
refused "trap 10: repeated" "keyd:id=ec;id=ec" "malformed key URI::*more than one*"
refused "trap 10: unknown" "keyd:id=ec;pin=1" "malformed key URI::*other than id and handle"
refused "trap 10: socket in a URI" "keyd:id=ec;socket=$S" "malformed key URI::*openssl.cnf*"
refused "trap 10: bad escape" "keyd:id=%zz" "malformed key URI::*"
configure "$T/etc/away.cnf" "$T/none.sock"
refused "keyd is not there" keyd:id=ec "keyd cannot be reached::*is keyd running, and may this user open its socket?" "$T/etc/away.cnf"
if need_root "a stranger"; then
	out=$(stranger openssl req -new -key keyd:id=ec -subj /CN=x 2>&1)
	like "trap 10: an id needs a principal" "$out" "*refused by keyd::*is not authorized to access the key ec: give the user a*principal*"
	http "$S" GET "/keypair/ec?$V"
	out=$(stranger openssl req -new -key "keyd:handle=$(jq -r '.keyHandle | @uri' <<<"$BODY")" -subj /CN=x 2>/dev/null | openssl req -noout -verify 2>&1)
	like "trap 10: a handle needs none" "$out" '*verify OK*'
fi
unfit() { # unfit WHAT ID SAID OPTION...: nothing is signed, and an error of ours says why
	local what=$1 id=$2 said=$3 out
	shift 3
	out=$(echo x | ossl dgst "$@" -sign "keyd:id=$id" 2>&1 >"$T/out")
	like "$what: says why" "$out" "*error:*edgekeep::not possible with this key::*$said*"
	is "$what: nothing is signed" "$(wc -c <"$T/out")" 0
}
unfit "hash too short for ECDSA" ec "hash of fewer than 20 bytes" -md5
unfit "other padding" rsa "a padding other than pkcs1 and pss" -sha256 -sigopt rsa_padding_mode:x931
unfit "salt too long" rsa "salt does not fit" -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:300
unfit "salt of no length" rsa "no length of a salt" -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-9
while IFS='|' read -r what line said; do
	configure "$T/etc/bad.cnf" "$S" "$line"
	refused "openssl.cnf: $what" keyd:id=ec "wrong in openssl.cnf::*$said" "$T/etc/bad.cnf"
done <<END
relative socket|socket = keyd.sock|socket: expected an absolute path
over-long socket|socket = /$(long 120)|is too long
deadline that is no number|timeout_ms = soon|timeout_ms: expected 100 to 600000
deadline of 0|timeout_ms = 0|timeout_ms: expected 100 to 600000
END

# trap 1: what is no key in keyd is as it was, also TLS 1.2 with keys of each connection, and the public half without the private one
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/etc/ordinary.key" -out "$T/etc/ordinary.crt" -subj /CN=o 2>/dev/null
chmod 644 "$T/etc/ordinary.key"
for options in "-algorithm EC -pkeyopt ec_paramgen_curve:P-256" "-algorithm RSA"; do
	# shellcheck disable=SC2086
	like "trap 1: openssl genpkey $options" "$(ossl genpkey $options 2>/dev/null)" '*BEGIN PRIVATE KEY*'
done
like "trap 1: openssl verify" "$(ossl verify -check_ss_sig -CAfile "$T/etc/ordinary.crt" "$T/etc/ordinary.crt" 2>&1)" '*: OK'
start ordinary "${PROGRAM[@]}" env "OPENSSL_CONF=$CNF" "${preload[@]}" openssl s_server -unix "$T/use/o" -www \
	-cert "$T/etc/ordinary.crt" -key "$T/etc/ordinary.key"
wait_for 10 test -S "$T/use/o"
like "trap 1: TLS 1.2 with ECDHE" "$(ossl s_client -unix "$T/use/o" -tls1_2 -CAfile "$T/etc/ordinary.crt" </dev/null 2>&1)" \
	'*Server Temp Key:*Verify return code: 0*'
stop ordinary >/dev/null
is "trap 2: openssl pkey prints no private key" "$(ossl pkey -in keyd:id=ec 2>/dev/null | grep -c PRIVATE)" 0
is "trap 2: and a public one" "$(ossl pkey -in keyd:id=ec -pubout 2>/dev/null)" "$(openssl x509 -in "$b/ec.crt" -noout -pubkey)"

# trap 7: PEM files as programs have them
cat "$b/ec.crt" "$b/ec.pem" >"$T/etc/ours-behind.pem"
cat "$T/etc/ordinary.crt" "$T/etc/ordinary.key" >"$T/etc/ordinary-behind.pem"
sed 's/$/\r/' "$b/ec.pem" >"$T/etc/crlf.pem"
(echo "a key of keyd"; cat "$b/rsa.pem") >"$T/etc/text-before.pem"
chmod 644 "$T/etc"/*
out=$(use pem-files "$b/ec.pem" "$b/rsa.pem" "$T/etc"/{ours-behind,ordinary-behind,crlf,text-before}.pem "$T/etc/ordinary.key" 2>&1)
is "trap 7: PEM files, ours and ordinary, also behind a certificate: ${out:0:300}" $? 0
pem_of() { printf -- '-----BEGIN EDGEKEEP KEY URI-----\n%s\n%s' "$1" "${2------END EDGEKEEP KEY URI-----$'\n'}"; }
mkdir -m 755 "$T/bad"
pem_of "$(printf 'keyd:id=none' | base64)" >"$T/bad/absent"
pem_of "$(printf 'keyd:id=ec;id=ec' | base64)" >"$T/bad/repeated"
pem_of "$(printf 'pkcs11:id=ec' | base64)" >"$T/bad/scheme"
pem_of "" >"$T/bad/empty"
pem_of "%%%%" >"$T/bad/no-base64"
pem_of "$(printf 'keyd:id=ec' | base64)" "" >"$T/bad/no-end"
pem_of "$(long 20000 A)" >"$T/bad/long"
pem_of "$(printf 'Proc-Type: 4,ENCRYPTED\n\n'; printf 'keyd:id=ec' | base64)" >"$T/bad/headers"
sed 's/EDGEKEEP KEY URI/EDGEKEEP KEY/' "$b/ec.pem" >"$T/bad/other-label"
out=$(use bad-pem-files "$T/bad"/* 2>&1)
is "trap 7: PEM files that hold no key of ours: $out" $? 0

# trap 8: forks under way, descriptors closed, unloaded again, keyd restarted or silent
out=$(use many keyd:id=ec 2>&1)
is "trap 8: many processes: ${out:0:300}" $? 0
out=$(use closed keyd:id=ec "$T/use/file" 2>&1)
is "trap 8: closed: ${out:0:300}" $? 0
if [ -z "$INSTRUMENTED" ]; then # a sanitizer's own locks do not survive this
	out=$(use fork-with-threads keyd:id=ec 2>&1)
	is "trap 8: fork-with-threads: ${out:0:300}" $? 0
fi
printf '.include /etc/ssl/openssl.cnf\n[default]\nopenssl_conf = openssl_init\n[openssl_init]\nproviders = p\n[p]\ndefault = d\n[d]\nactivate = 1\n' >"$T/etc/plain.cnf"
if [ -z "$INSTRUMENTED" ]; then
	out=$(CNF=/dev/null use unload "$b/openssl.cnf" keyd:id=rsa "$T/etc/plain.cnf" 2>&1)
	is "trap 8: unloaded, nothing stays: ${out:0:300}" $? 0
fi
# nginx as it is installed: the master is root and opens the key by its id, workers of another user sign with the handle
if [ -z "$INSTRUMENTED" ] && need_root "nginx's workers of another user" && getent passwd www-data >/dev/null; then
	n=$T/use/root
	mkdir -m 755 "$n"
	stop keyd
	as_keyd=(--user "$((UID0 + 1)):$(id -g www-data)")
	start_keyd file
	cat >"$b/root.conf" <<END
daemon off;
user www-data;
worker_processes 1;
pid $n/pid;
error_log $n/error.log info;
events {}
http {
	access_log off;
	client_body_temp_path $n/a; proxy_temp_path $n/b; fastcgi_temp_path $n/c; uwsgi_temp_path $n/d; scgi_temp_path $n/e;
	server { listen unix:$n/sock ssl; ssl_certificate $b/ec.crt; ssl_certificate_key $b/ec.pem; location / { return 200 well; } }
}
END
	start nginx-root env "OPENSSL_CONF=$CNF" "${preload[@]}" nginx -c "$b/root.conf" -e "$n/error.log"
	wait_for 10 test -S "$n/sock"
	is "nginx with workers of another user" "$(curl -sS --unix-socket "$n/sock" --cacert "$b/ec.crt" https://localhost/ 2>&1)" well
	is "nginx's worker signs as itself" "$(grep -c "POST /sign --> 200, uid $(id -u www-data)," "$T/keyd.log")" 1
	stop nginx-root QUIT >/dev/null
	stop keyd
	as_keyd=(--user "$(user 1)")
	start_keyd file
fi
# while CHECK COMMAND...: run it after the program has the key, then let the program go on
while_using() {
	local check=$1 line
	shift
	coproc PROGRAM_USE { use "$check" keyd:id=ec 2>&1; }
	local pid=$PROGRAM_USE_PID in=${PROGRAM_USE[1]} from=${PROGRAM_USE[0]}
	read -r line <&"$from"
	is "trap 8: $check: begins" "$line" ready
	"$@"
	echo >&"$in"
	out=$(cat <&"$from")
	wait "$pid"
	is "trap 8: $check: ${out:0:300}" $? 0
}
freeze() { kill -STOP "${PID[keyd]}" && wait_for 5 grep -q '^State:.T' "/proc/${PID[keyd]}/status"; }
restart() { stop keyd && start_keyd file; }
while_using restart restart
configure "$T/etc/short.cnf" "$S" "timeout_ms = 2000"
CNF=$T/etc/short.cnf
while_using deadline freeze
kill -CONT "${PID[keyd]}"
CNF=$b/openssl.cnf

# trap 9: certd signs through the provider in its pool: while keyd is silent it still answers others
mkdir -m 700 "$b/certs"
as_certd=()
if is_root; then
	chown "$((UID0 + 2))" "$b/certs"
	as_certd=(--user "$(user 2 1)")
fi
cat >"$b/certd.toml" <<END
homedir_path = "$b/certs"
[cert_issuance.ec]
method = "self_signed"
[endpoints]
aziot_certd = "unix://$b/certd.sock"
aziot_keyd = "unix://$S"
[[principal]]
uid = $(id -u)
certs = ["*"]
END
start certd "$BIN/certd" --config "$b/certd.toml" --config-dir "$T/none" "${as_certd[@]}"
wait_socket certd "$b/certd.sock"
jq -n --arg csr "$(ossl req -new -key keyd:id=ec -subj /CN=x 2>/dev/null)" '{certId: "ec", csr: $csr}' >"$b/request.json"
freeze
waiting=()
for i in 1 2 3; do
	curl -s -o "$b/answer.$i" --max-time 20 --unix-socket "$b/certd.sock" -H 'content-type: application/json' --data-binary @"$b/request.json" \
		"http://x/certificates?api-version=2020-09-01" &
	waiting+=($!)
done
sleep 0.3
HTTP_TIMEOUT=10 http "$b/certd.sock" GET "/nowhere?api-version=2020-09-01"
is "trap 9: the polling threads answer while keyd is silent" "$STATUS" 404
is "trap 9: those who wait for a signature wait" "$(find "$b" -name 'answer.*' -size +0 | wc -l)" 0
kill -CONT "${PID[keyd]}"
wait "${waiting[@]}"
is "trap 9: and get it" "$(cat "$b"/answer.* | jq -r '.pem // .message' | grep -c 'BEGIN CERT')" 3
stop certd >/dev/null
stop keyd >/dev/null

suite_end
