#!/bin/bash
# certd with a real keyd: issuing, storing, refusing, restarting; what it issues is judged by the openssl command.
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
need_tool jq && need_tool openssl || exit 77
suite_begin "certd"

V=api-version=2020-09-01
KEYD=$T/keyd.sock CERTD=$T/certd.sock
as_keyd=() as_certd=() WRITER=$(id -u)
if is_root; then
	as_keyd=(--user "$(user 1)") as_certd=(--user "$(user 2 1)") WRITER=$((UID0 + 3))
fi
mkdir -m 700 "$T/keys" "$T/certs" && mkdir -m 755 "$T/operator" "$T/etc"
is_root && chown "$((UID0 + 1))" "$T/keys" && chown "$((UID0 + 2))" "$T/certs"

# The writer may ask for keys and certificates; certd for what it signs with.
certd_uid=$(id -u)
is_root && certd_uid=$((UID0 + 2))
cat >"$T/keyd.toml" <<EOT
[aziot_keys]
homedir_path = "$T/keys"
[preloaded_keys]
local-ca-key = "file://$T/keys/operator-ca.pem"
[endpoints]
aziot_keyd = "unix://$KEYD"
[[principal]]
uid = $certd_uid
keys = ["edge-ca", "local-ca-key", "self*"]
[[principal]]
uid = $WRITER
keys = ["*"]
EOT

# the plant's CA: an ordinary key of the operator's, preloaded into keyd
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$T/keys/operator-ca.pem" -out "$T/operator/ca.pem" -subj /CN=plant-ca \
	-days 30 -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign 2>/dev/null
is_root && chown "$((UID0 + 1))" "$T/keys/operator-ca.pem"
chmod 600 "$T/keys/operator-ca.pem"

# Written as editors do, a new file over the old one, which is another one to the policy.
config() {
	cat >"$T/etc/new" <<EOT
homedir_path = "$T/certs"
[cert_issuance.local_ca]
cert = "plant-ca"
pk = "local-ca-key"
[cert_issuance.self1]
method = "self_signed"
expiry_days = 7
common_name = "from-config"
[cert_issuance.edge-ca]
method = "self_signed"
expiry_days = 90
[cert_issuance.leaf]
method = "local_ca"
[cert_issuance.leaf.subject]
O = "Plant"
CN = "leaf-name"
[cert_issuance.by-est]
method = "est"
url = "https://est.example/.well-known/est"
username = "u"
password = "p"
[preloaded_certs]
plant-ca = "file://$T/operator/ca.pem"
bundle = ["plant-ca", "edge-ca", "bundle"]
[endpoints]
aziot_certd = "unix://$CERTD"
aziot_keyd = "unix://$KEYD"
[[principal]]
uid = $WRITER
certs = ["self*", "edge-ca", "leaf", "by-est", "mod/*", "imp*", "bundle"$1]
EOT
	mv "$T/etc/new" "$T/etc/certd.toml"
}
config ""

"$BIN/certd" --config "$T/etc/certd.toml" --config-dir "$T/none" --check >/dev/null 2>&1
is "--check: good configuration" $? 0
printf 'homedir_path = "/x"\n[cert_issuance.a]\nmethod = "magic"\n' >"$T/bad.toml"
out=$("$BIN/certd" --config "$T/bad.toml" --config-dir "$T/none" --check 2>&1)
is "--check: bad configuration" $? 1
like "--check names file, line and key" "$out" "*$T/bad.toml:3:*cert_issuance.a.method*"

start keyd "$BIN/keyd" --config "$T/keyd.toml" --config-dir "$T/none" "${as_keyd[@]}"
wait_socket keyd "$KEYD"
start certd "$BIN/certd" --config "$T/etc/certd.toml" --config-dir "$T/none" "${as_certd[@]}"
wait_socket certd "$CERTD"
confined certd "${PID[certd]}"

# The writer's calls; as root by the writer's numeric id, which is in both sockets' groups.
is_root && HTTP_AS="setpriv --reuid=$WRITER --regid=$WRITER --groups=$((UID0 + 1)),$((UID0 + 2))"

csr() { # csr NAME [REQ OPTION...]: a request with a key of its own, in $T/NAME.key and $T/NAME.csr
	local name=$1
	shift
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/$name.key" -out "$T/$name.csr" -subj "/CN=$name" \
		"$@" 2>/dev/null
}
create() { # create ID CSR-FILE [ISSUER-JSON]: POST /certificates; the answer's text goes to $T/got.pem
	http "$CERTD" POST "/certificates?$V" "$(jq -n --arg id "$1" --rawfile csr "$2" --argjson issuer "${3:-null}" \
		'{certId: $id, csr: $csr, issuer: $issuer}')"
	jq -r '.pem // empty' <<<"$BODY" >"$T/got.pem" 2>/dev/null
}
text() { openssl x509 -in "$T/got.pem" -noout "$@"; }

# by the local CA
csr leaf -addext subjectAltName=DNS:leaf.test -addext extendedKeyUsage=serverAuth
create leaf "$T/leaf.csr"
answer "leaf by the local CA" 201 '.pem | length > 0'
is "leaf: verified for its purpose and name" "$(openssl verify -x509_strict -purpose sslserver -verify_hostname leaf.test \
	-CAfile "$T/operator/ca.pem" "$T/got.pem" 2>&1)" "$T/got.pem: OK"
is "leaf: configured subject, in byte order" "$(text -subject -nameopt RFC2253)" "subject=O=Plant,CN=leaf-name"
is "leaf: issuer behind it" "$(grep -c BEGIN "$T/got.pem")" 2
is "leaf: serial of 128 bits" "$(text -serial | wc -c)" $((7 + 32 + 1))
is "leaf: its key" "$(text -pubkey)" "$(openssl pkey -in "$T/leaf.key" -pubout)"
cp "$T/got.pem" "$T/leaf.pem"
http "$CERTD" GET "/certificates/leaf?$V"
ok "leaf: the chain is of 16 to 4096 bytes (client-facts.md 3)" $((${#BODY} < 16 || ${#BODY} > 4096))
is "leaf: kept" "$(jq -r .pem <<<"$BODY")" "$(cat "$T/leaf.pem")"
if is_root; then
	like "leaf: in a file of its own" "$(cd "$T/certs/certs" && stat -c '%a %n' leaf-*)" '600 leaf-*.cer'
fi
create leaf "$T/leaf.csr"
ok "leaf: another serial each time" "$([ "$(text -serial)" != "$(openssl x509 -in "$T/leaf.pem" -noout -serial)" ]; echo $?)"

# self-signed, as the Edge CA: the key never leaves keyd, so keyd makes the request's signature by our own edged; here an ordinary
# key is imported in its place through the file that keyd keeps
edge_key=$T/keys/keys/edgeca-$(printf edge-ca | sha256sum | cut -d' ' -f1).key
mkdir -p "$T/keys/keys"
csr edge-ca -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,digitalSignature,keyCertSign
cp "$T/edge-ca.key" "$edge_key"
is_root && chown -R "$((UID0 + 1))" "$T/keys/keys"
create edge-ca "$T/edge-ca.csr"
answer "edge-ca, self-signed" 201
is "edge-ca: a CA that verifies itself" "$(openssl verify -check_ss_sig -CAfile "$T/got.pem" "$T/got.pem" 2>&1)" "$T/got.pem: OK"
cp "$T/got.pem" "$T/edge-ca.pem"

# by an explicit issuer, as a module's server certificate; the id has slashes
http "$KEYD" GET "/keypair/edge-ca?api-version=2021-05-01"
handle=$(jq -r .keyHandle <<<"$BODY")
issuer=$(jq -n --arg h "$handle" '{certId: "edge-ca", privateKeyHandle: $h}')
csr mod1 -addext subjectAltName=DNS:mod1
create mod/mod1:g:server "$T/mod1.csr" "$issuer"
answer "module by the Edge CA" 201
is "module: chain" "$(openssl verify -CAfile "$T/edge-ca.pem" "$T/got.pem" 2>&1)" "$T/got.pem: OK"
http "$CERTD" GET "/certificates/mod%2Fmod1%3Ag%3Aserver?$V"
answer "module: read back by an encoded id" 200

# a TLS connection with what came out
openssl s_server -quiet -accept "$T/tls.sock" -unix "$T/tls.sock" -cert "$T/got.pem" -key "$T/mod1.key" >/dev/null 2>&1 &
server=$!
wait_for 5 test -S "$T/tls.sock"
like "module: a TLS server with it" "$(openssl s_client -unix "$T/tls.sock" -CAfile "$T/edge-ca.pem" -verify_return_error </dev/null 2>&1)" \
	'*Verify return code: 0 (ok)*'
kill "$server" 2>/dev/null
wait "$server" 2>/dev/null

# refused
before=$(cd "$T/certs/certs" && stat -c '%n %Y %s' ./*)
csr ca-wish -addext basicConstraints=critical,CA:TRUE
create leaf "$T/ca-wish.csr"
answer "a CA where none is allowed" 400 '.message | startswith("parameter \"csr\" has an invalid value")'
create mod/x "$T/ca-wish.csr" "$issuer"
answer "a CA by an explicit issuer" 400
create by-est "$T/leaf.csr"
answer "EST is not there yet" 500 '.message == "internal error"'
create mod/none "$T/leaf.csr"
answer "no issuance configured" 500 '.message == "internal error"'
create bundle "$T/leaf.csr" "$issuer"
answer "a list cannot be written" 500
create foreign "$T/leaf.csr"
answer "another's id" 401 ".message == \"user $WRITER is not authorized to modify the cert foreign\""
create mod/y "$T/leaf.csr" '{"certId":"nope","privateKeyHandle":"x"}'
answer "unknown issuer" 400 '.message == "parameter \"issuer.certId\" has an invalid value\ncaused by: not found"'
create mod/y "$T/leaf.csr" '{"certId":"edge-ca","privateKeyHandle":"nonsense"}'
answer "a handle that is none" 500 '.message == "internal error"'
create mod/y "$T/leaf.csr" '{"certId":"leaf","privateKeyHandle":"'"$handle"'"}'
answer "an issuer that is no CA" 500
is "nothing was written by any of these" "$(cd "$T/certs/certs" && stat -c '%n %Y %s' ./*)" "$before"

# the bundle, import and delete
http "$CERTD" GET "/certificates/bundle?$V"
answer "the bundle" 200
is "bundle: CA and Edge CA; a list that names itself ends" "$(jq -r .pem <<<"$BODY" | grep -c -- -----BEGIN)" 2
http "$CERTD" PUT "/certificates/imp?$V" '{"pem":"junk"}'
answer "import takes any text" 201 '.pem == "junk"'
http "$CERTD" DELETE "/certificates/imp?$V"
is "delete" "$STATUS" 204
http "$CERTD" GET "/certificates/imp?$V"
answer "gone" 400 '.message == "parameter \"id\" has an invalid value\ncaused by: not found"'

# another configuration by SIGHUP, a bad one refused
http "$CERTD" PUT "/certificates/new?$V" '{"pem":"x"}'
is "before the reload" "$STATUS" 401
config ', "new"'
kill -HUP "${PID[certd]}"
wait_for 5 grep -q 'read again$' "$T/certd.log"
http "$CERTD" PUT "/certificates/new?$V" '{"pem":"x"}'
is "after the reload" "$STATUS" 201
echo 'nonsense' >"$T/etc/certd.toml"
kill -HUP "${PID[certd]}"
wait_for 5 grep -q 'could not read the configuration again' "$T/certd.log"
http "$CERTD" GET "/certificates/leaf?$V"
is "a bad configuration changes nothing" "$STATUS" 200
config ""

# status
http "$CERTD" GET "/status?$V"
answer "status" 200 '.ok and ([.certificates[] | select(.id == "leaf" and .subject == "leaf-name" and .daysLeft >= 29)] | length == 1)'

# keyd away: an error, and certd lives on
stop keyd
create leaf "$T/leaf.csr"
answer "keyd away" 500 '.message == "internal error"'
http "$CERTD" GET "/certificates/leaf?$V"
is "keyd away: reads go on" "$STATUS" 200
start keyd "$BIN/keyd" --config "$T/keyd.toml" --config-dir "$T/none" "${as_keyd[@]}"
wait_socket keyd "$KEYD"
create leaf "$T/leaf.csr"
is "keyd back" "$STATUS" 201

# killed at any moment: the old text or the new, never a part
http "$CERTD" PUT "/certificates/imp-kill?$V" "$(jq -n '{pem: ("A" * 100000 + "Z")}')"
answer "a first text" 201
for _ in 1 2 3 4 5; do
	(for ((i = 0; i < 50; i++)); do
		http "$CERTD" PUT "/certificates/imp-kill?$V" "$(jq -n --arg n "$i" '{pem: ("A" * 100000 + $n + "Z")}')"
		[ "$STATUS" = 201 ] || exit 0
	done) 2>/dev/null &
	sleep "0.$((RANDOM % 20 + 10))"
	writing=$!
	stop certd KILL
	wait "$writing" 2>/dev/null
	start certd "$BIN/certd" --config "$T/etc/certd.toml" --config-dir "$T/none" "${as_certd[@]}"
	wait_socket certd "$CERTD"
	http "$CERTD" GET "/certificates/imp-kill?$V"
	like "killed while writing" "$(jq -r '.pem[0:1] + .pem[-1:]' <<<"$BODY")" "AZ"
done

if [ -z "$INSTRUMENTED" ]; then
	"$BIN/certd" --config "$T/etc/certd.toml" --config-dir "$T/none" "${as_certd[@]}" --sandbox-probe >"$T/probe" 2>&1
	is "--sandbox-probe" $? 0
fi
stop certd
is "SIGTERM: exit status" $? 0
grep -qE 'CERTIFICATE|pem":' "$T/certd.log"
is "no certificate or body in the log" $? 1
suite_end
