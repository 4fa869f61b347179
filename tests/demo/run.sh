#!/bin/bash
# The main job, end to end: a device is provisioned from a simulated cloud over TLS and serves real modules in a real engine.
# Run by `sudo make demo`.  Everything happens in a private network and mount namespace and below one private directory.
#   DEMO_BREAK=token|ca|impostor   make one thing wrong; the exit status is then 1
#   DEMO_VERBOSE=1                 show the daemons' logs when it fails
if [ "$(id -u)" -ne 0 ]; then
	echo "The demo starts daemons under users of their own and a container engine: run it with sudo." >&2
	exit 1
fi
if [ -z "${DEMO_INSIDE:-}" ]; then
	DEMO_INSIDE=1 exec unshare --net --mount --propagation private "$0" "$@"
fi
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/../suite/lib.sh"
began=$(date +%s%N)
step() { printf '[%6.2f s] %s\n' "$(awk "BEGIN {print ($(date +%s%N) - $began) / 1e9}")" "$*"; }
die() {
	step "FAILED: $*"
	failed=1
	exit 1
}
cleanup() {
	[ -z "${DOCKER_HOST:-}" ] || docker ps -aq 2>/dev/null | xargs -r docker rm -f >/dev/null 2>&1
	stop dockerd >/dev/null 2>&1
	if [ "$failed" -ne 0 ] && [ -n "${DEMO_VERBOSE:-}" ]; then tail -n 25 "$T"/*.log; fi
	umount /etc/hosts 2>/dev/null
	grep -o " $T/[^ ]*" /proc/self/mounts | sort -r | xargs -r -n1 umount -l 2>/dev/null
	find /sys/fs/cgroup -maxdepth 2 -name docker -type d -exec rmdir {} \; 2>/dev/null
}

case ${DEMO_BREAK:-} in
"" | token | ca | impostor) ;;
*) echo "DEMO_BREAK=${DEMO_BREAK}: use token, ca or impostor" >&2; exit 2 ;;
esac
failed=0
suite_begin "edgekeep demo${DEMO_BREAK:+, broken on purpose: $DEMO_BREAK}"
DEVICE=press-07 SCOPE=0ne000DEMO PORT=8443 GATEWAY=172.31.250.1
RUN=$T/run ENGINE=$T/docker.sock IMAGE=edgekeep-demo:1
export DOCKER_HOST=unix://$ENGINE
mkdir -m 755 "$RUN" "$T/state" "$T/etc"
for n in 1:keyd 2:certd 3:identityd 4:tpmd 5:edged; do
	mkdir -m 700 "$T/state/${n#*:}" "$T/etc/${n#*:}"
	chown "$((UID0 + ${n%:*})):$((UID0 + ${n%:*}))" "$T/state/${n#*:}" "$T/etc/${n#*:}"
done
chmod 711 "$T/state/edged"

# --- the world outside: names, cloud, TPM, engine
ip link set lo up
{ cat /etc/hosts; echo "127.0.0.1 hub.demo dps.demo"; } >"$T/hosts"
mount --bind "$T/hosts" /etc/hosts
head -c 64 /dev/urandom >"$T/device-key"
start cloudsim "$BIN/edgekeep-cloudsim" --dir "$T/cloud" --listen "0.0.0.0:$PORT" --name hub.demo --name dps.demo \
	--hub "hub.demo:$PORT" --scope "$SCOPE" --enroll "$DEVICE=$(base64 -w0 "$T/device-key")" --log "$T/cloud.jsonl"
mkdir "$T/tpm"
start swtpm swtpm socket --tpm2 --tpmstate "dir=$T/tpm" --server type=tcp,port=2321,bindaddr=127.0.0.1 \
	--ctrl type=tcp,port=2322,bindaddr=127.0.0.1 --flags not-need-init,startup-clear
echo '{}' >"$T/daemon.json"
start dockerd dockerd --config-file "$T/daemon.json" --data-root "$T/data" --exec-root "$T/exec" --pidfile "$T/docker.pid" \
	-H "unix://$ENGINE" --group "$((UID0 + 6))" --shutdown-timeout 1
wait_for 10 test -s "$T/cloud/ca.pem" || die "the simulated cloud did not start"
chmod 755 "$T/cloud" && chmod 644 "$T/cloud/ca.pem"
step "simulated cloud (DPS and IoT Hub) on https://dps.demo:$PORT and https://hub.demo:$PORT"

# --- configuration, as an operator would have it
install -o "$((UID0 + 1))" -m 600 "$T/device-key" "$T/state/keyd/device-id"
cat >"$T/etc/keyd/config.toml" <<EOF
[aziot_keys]
homedir_path = "$T/state/keyd"
[preloaded_keys]
device-id = "file://$T/state/keyd/device-id"
[endpoints]
aziot_keyd = "unix://$RUN/keyd.sock"
[[principal]]
uid = $((UID0 + 2))
keys = ["aziot-edged-ca"]
[[principal]]
uid = $((UID0 + 3))
keys = ["aziot_identityd_master_id", "device-id"]
[[principal]]
uid = $((UID0 + 5))
keys = ["aziot-edged-ca", "iotedge_master_encryption_id"]
EOF
cat >"$T/etc/certd/config.toml" <<EOF
homedir_path = "$T/state/certd"
[cert_issuance.aziot-edged-ca]
method = "self_signed"
expiry_days = 90
common_name = "$DEVICE edge CA"
[preloaded_certs]
aziot-edged-trust-bundle = ["aziot-edged-ca"]
[endpoints]
aziot_certd = "unix://$RUN/certd.sock"
aziot_keyd = "unix://$RUN/keyd.sock"
[[principal]]
uid = $((UID0 + 5))
certs = ["aziot-edged-ca", "aziot-edged/module/*"]
EOF
cat >"$T/etc/identityd/config.toml" <<EOF
hostname = "$DEVICE"
homedir = "$T/state/identityd"
[provisioning]
source = "dps"
global_endpoint = "https://dps.demo:$PORT/"
scope_id = "$SCOPE"
[provisioning.attestation]
method = "symmetric_key"
registration_id = "$DEVICE"
symmetric_key = "device-id"
[endpoints]
aziot_identityd = "unix://$RUN/identityd.sock"
aziot_keyd = "unix://$RUN/keyd.sock"
aziot_certd = "unix://$RUN/certd.sock"
aziot_tpmd = "unix://$RUN/tpmd.sock"
[[principal]]
uid = $((UID0 + 5))
name = "aziot-edge"
EOF
cat >"$T/etc/tpmd/config.toml" <<EOF
tcti = "swtpm:host=127.0.0.1,port=2321"
[endpoints]
aziot_tpmd = "unix://$RUN/tpmd.sock"
EOF
cat >"$T/etc/edged/config.toml" <<EOF
hostname = "$DEVICE"
homedir = "$T/state/edged"
trust_bundle_cert = "aziot-edged-trust-bundle"
[agent]
name = "edgeAgent"
type = "docker"
imagePullPolicy = "never"
[agent.config]
image = "$IMAGE"
[agent.config.createOptions]
Cmd = ["agent"]
[agent.config.createOptions.HostConfig]
ExtraHosts = ["hub.demo:$GATEWAY"]
[agent.env]
DEMO_IMAGE = "$IMAGE"
DEMO_HOSTS = "hub.demo:$GATEWAY"
DEMO_HUB_CA = "$T/cloud/ca.pem"
DEMO_BREAK = "${DEMO_BREAK:-none}"
[connect]
workload_uri = "unix:///var/run/iotedge/workload.sock"
management_uri = "unix://$RUN/mgmt.sock"
[listen]
workload_uri = "unix://$RUN/workload.sock"
management_uri = "unix://$RUN/mgmt.sock"
[moby_runtime]
uri = "unix://$ENGINE"
[moby_runtime.network]
name = "azure-iot-edge"
[[moby_runtime.network.ipam.config]]
subnet = "172.31.250.0/24"
gateway = "$GATEWAY"
[endpoints]
aziot_keyd_url = "unix://$RUN/keyd.sock"
aziot_certd_url = "unix://$RUN/certd.sock"
aziot_identityd_url = "unix://$RUN/identityd.sock"
EOF
chmod 644 "$T"/etc/*/config.toml

# --- the daemons, each under its own user and sandbox
daemon() { # daemon NAME USER
	start "$1" env SSL_CERT_FILE="$T/cloud/ca.pem" "$BIN/$1" --config "$T/etc/$1/config.toml" --config-dir "$T/etc/$1/config.d" \
		--user "$2" --sandbox kill
}
daemon keyd "$(user 1)"
daemon tpmd "$(user 4)"
wait_socket keyd "$RUN/keyd.sock"
daemon certd "$(user 2 1)"
daemon identityd "$(user 3 1 2 4)"
wait_socket certd "$RUN/certd.sock"
wait_socket tpmd "$RUN/tpmd.sock"
wait_socket identityd "$RUN/identityd.sock"
step "keyd, certd, identityd and tpmd serve, uids $((UID0 + 1)) to $((UID0 + 4)), policy: kill"
HTTP_TIMEOUT=30 http "$RUN/identityd.sock" POST '/identities/device?api-version=2020-09-01' '{"type":"aziot"}'
[ "$STATUS" = 200 ] || die "the device is not provisioned: $BODY"
step "device $(jq -r '.spec.deviceId + " provisioned on " + .spec.hubName' <<<"$BODY")"

# --- the image: our program and its libraries, nothing else
wait_for 20 docker version || die "the container engine did not start"
mkdir -p "$T/image/etc"
cp "$BUILD/demo/edgekeep-demo" "$T/image/"
ldd "$BUILD/demo/edgekeep-demo" | grep -o '/[^ ]*' | while read -r lib; do
	install -D -m 755 "$lib" "$T/image$lib"
done
tar -C "$T/image" -c . | docker import -c 'ENTRYPOINT ["/edgekeep-demo"]' - "$IMAGE" >/dev/null || die "image import"
step "engine $(docker version -f '{{.Server.Version}}') with the demo's image"
daemon edged "$(user 5 1 2 3 6)"
wait_socket edged "$RUN/mgmt.sock" 20
step "edged serves, uid $((UID0 + 5))"

# --- watch the agent and its modules do their work
shown=""
watch() {
	local line
	for c in edgeAgent web meter; do
		while read -r line; do
			[ -z "$line" ] && continue
			case $shown in *"|$line|"*) ;; *) shown="$shown|$line|"; step "  ${line#DEMO }" ;; esac
		done < <(docker logs "$c" 2>/dev/null | grep '^DEMO ')
	done
	case $shown in *"refused with 403"* | *FAILED*) return 0 ;; esac
	return 1
}
until=$((SECONDS + 40))
until watch || [ $SECONDS -ge $until ]; do sleep 0.2; done
"$BIN/edgekeep" status --run "$RUN" --edged "$RUN/mgmt.sock" | sed 's/^/    /'

# --- the verdict comes from others: the simulated hub's log and openssl
token=$(jq -rs 'map(select(.step == "event")) | last | .verdict // "none"' "$T/cloud.jsonl" 2>/dev/null)
http "$RUN/certd.sock" GET '/certificates/aziot-edged-trust-bundle?api-version=2020-09-01'
jq -r .pem <<<"$BODY" >"$T/bundle.pem"
[ "${DEMO_BREAK:-}" != ca ] || cp "$T/cloud/ca.pem" "$T/bundle.pem"
web=$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' web 2>/dev/null)
if timeout 10 openssl s_client -connect "${web:-127.0.0.1}:8443" -CAfile "$T/bundle.pem" -verify_hostname web \
	-verify_return_error </dev/null >"$T/s_client.out" 2>&1; then tls=verified; else tls=refused; fi
case $shown in *FAILED*) failed=1 ;; esac
case $shown in *"refused with 403"*) ;; *) failed=1 ;; esac
[ "$token" = accepted ] && [ $tls = verified ] || failed=1
for d in edged identityd certd tpmd keyd; do
	stop $d || { step "$d ended with status $?"; failed=1; }
done
step "$([ $failed -eq 0 ] && echo DONE || echo FAILED): module token by the hub's log: $token; module TLS by openssl s_client: $tls"
exit $failed
