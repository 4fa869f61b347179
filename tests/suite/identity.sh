# shellcheck shell=bash
# identity.sh - keyd, certd, identityd and a simulated cloud for suite scripts, each daemon under a user of its own.  Source lib.sh first.
SCOPE=0ne000TEST

identity_layout() {
	local n
	RUN=$T/run
	mkdir -m 755 "$RUN" "$T/state" "$T/etc"
	for n in 1:keyd 2:certd 3:identityd; do
		mkdir -m 700 "$T/state/${n#*:}"
		mkdir -p "$T/etc/${n#*:}/config.d"
		! is_root || chown "$((UID0 + ${n%:*})):$((UID0 + ${n%:*}))" "$T/state/${n#*:}"
	done
	head -c 64 /dev/urandom >"$T/device-key"
}

# cloud_start NAME [OPTION...]: DPS and hub on a free port, which is PORT afterwards; NAME.jsonl is its log
cloud_start() {
	local name=$1
	shift
	start "$name" "$BIN/edgekeep-cloudsim" --dir "$T/cloud" --listen 127.0.0.1:0 --scope "$SCOPE" \
		--enroll "press-07=$(base64 -w0 "$T/device-key")" --log "$T/$name.jsonl" "$@"
	if ! wait_for 10 grep -q 'listening on port' "$T/$name.log"; then
		echo "FAIL $name does not start"
		cat "$T/$name.log"
		exit 1
	fi
	PORT=$(sed -n 's/.*listening on port \([0-9]*\).*/\1/p' "$T/$name.log" | tail -1)
	chmod 755 "$T/cloud" && chmod 644 "$T/cloud/ca.pem"
}
sim() { curl -sS --max-time 60 --cacert "$T/cloud/ca.pem" "https://localhost:$PORT/sim/$1" "${@:2}"; }
fault() { sim faults -d "$1" >/dev/null; }
faults_clear() { sim faults -X DELETE >/dev/null; }

# The hub's registry as the device itself could ask it, signed by openssl: registry METHOD DEVICE [/MODULE]
hmac_file() { openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(od -An -v -tx1 "$1" | tr -d ' \n')" -binary | base64 -w0; }
registry() {
	local resource=localhost:$PORT/devices/$2 expiry=$(($(date +%s) + 300)) sig
	sig=$(printf '%s\n%s' "$resource" "$expiry" | hmac_file "$T/device-key")
	sig=${sig//+/%2B} sig=${sig//\//%2F} sig=${sig//=/%3D}
	curl -sS --max-time 60 --cacert "$T/cloud/ca.pem" -X "$1" -H 'If-Match: *' \
		-H "Authorization: SharedAccessSignature sr=$resource&sig=$sig&se=$expiry" \
		"https://localhost:$PORT/devices/$2/modules${3-}?api-version=2017-11-08-preview"
}
# A module as the hub has it; nothing where there is none
hub_module() { registry GET "$1" "/$2" | jq -c 'select(.moduleId)'; }

keyd_start() {
	local how=()
	! is_root || how=(--user "$(user 1)")
	install -m 600 "$T/device-key" "$T/state/keyd/device-id"
	! is_root || chown "$((UID0 + 1))" "$T/state/keyd/device-id"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/state/keyd/local-ca" -out "$T/local-ca.pem" \
		-subj /CN=plant-ca -days 30 -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign 2>/dev/null
	chmod 600 "$T/state/keyd/local-ca"
	! is_root || chown "$((UID0 + 1))" "$T/state/keyd/local-ca"
	cat >"$T/etc/keyd/config.toml" <<EOF
[aziot_keys]
homedir_path = "$T/state/keyd"
[preloaded_keys]
device-id = "file://$T/state/keyd/device-id"
local-ca = "file://$T/state/keyd/local-ca"
[endpoints]
aziot_keyd = "unix://$RUN/keyd.sock"
[[principal]]
uid = $((UID0 + 3))
keys = ["aziot_identityd_master_id", "device-id"]
[[principal]]
uid = $((UID0 + 2))
keys = ["local-ca"]
[[principal]]
uid = $(id -u)
keys = ["*"]
EOF
	start keyd "$BIN/keyd" --config "$T/etc/keyd/config.toml" --config-dir "$T/etc/keyd/config.d" "${how[@]}"
	wait_socket keyd "$RUN/keyd.sock"
}

# certd_start ID...: certd, which issues these ids by a local CA
certd_start() {
	local how=() id
	! is_root || how=(--user "$(user 2 1)")
	{
		cat <<EOF
homedir_path = "$T/state/certd"
[cert_issuance.local_ca]
cert = "local-ca"
pk = "local-ca"
[preloaded_certs]
local-ca = "file://$T/local-ca.pem"
[endpoints]
aziot_certd = "unix://$RUN/certd.sock"
aziot_keyd = "unix://$RUN/keyd.sock"
[[principal]]
uid = $((UID0 + 3))
certs = ["*"]
[[principal]]
uid = $(id -u)
certs = ["*"]
EOF
		for id; do printf '[cert_issuance.%s]\nmethod = "local_ca"\n' "$id"; done
	} >"$T/etc/certd/config.toml"
	start certd "$BIN/certd" --config "$T/etc/certd/config.toml" --config-dir "$T/etc/certd/config.d" "${how[@]}"
	wait_socket certd "$RUN/certd.sock"
}

# identityd_config dps|manual|none [LINES]: its configuration, PORT known
identityd_config() {
	{
		printf 'hostname = "press-07"\nhomedir = "%s/state/identityd"\n' "$T"
		case $1 in
		dps) cat <<EOF ;;
[provisioning]
source = "dps"
global_endpoint = "https://localhost:$PORT/"
scope_id = "$SCOPE"
[provisioning.attestation]
method = "symmetric_key"
registration_id = "press-07"
symmetric_key = "device-id"
EOF
		manual) cat <<EOF ;;
[provisioning]
source = "manual"
iothub_hostname = "localhost:$PORT"
device_id = "dev-manual"
[provisioning.authentication]
method = "sas"
device_id_pk = "device-id"
EOF
		*) printf '[provisioning]\nsource = "none"\n' ;;
		esac
		cat <<EOF
[endpoints]
aziot_identityd = "unix://$RUN/identityd.sock"
aziot_keyd = "unix://$RUN/keyd.sock"
aziot_certd = "unix://$RUN/certd.sock"
aziot_tpmd = "unix://$RUN/tpmd.sock"
${2-}
EOF
		# root needs no entry
		is_root || printf '[[principal]]\nuid = %s\nname = "suite"\n' "$(id -u)"
	} >"$T/etc/identityd/config.toml"
}
identityd_start() {
	local how=()
	! is_root || how=(--user "$(user 3 1 2)")
	start identityd env SSL_CERT_FILE="$T/cloud/ca.pem" "$BIN/identityd" --config "$T/etc/identityd/config.toml" \
		--config-dir "$T/etc/identityd/config.d" "${how[@]}" "$@"
	wait_socket identityd "$RUN/identityd.sock"
}
