# shellcheck shell=bash
# device.sh - a whole device for the demo and for suite scripts, in private network and mount namespaces: simulated cloud, TPM, engine,
# configuration and the five daemons, each under a user of its own.  Source lib.sh first; call in this order:
#
#	device_namespaces "$@"; suite_begin ...; device_layout; device_cloud; device_tpm; device_engine
#	device_config; device_services; device_image; device_edged
#
# A second script may run beside it: everything is private, ports too.
DEVICE=press-07 SCOPE=0ne000DEMO PORT=8443 GATEWAY=172.31.250.1 IMAGE=edgekeep-demo:1

# Run the calling script again in namespaces of its own; root only.
device_namespaces() {
	[ -z "${DEVICE_INSIDE:-}" ] || return 0
	DEVICE_INSIDE=1 exec unshare --net --mount --propagation private "$0" "$@"
}

# Directories; RUN for sockets, $T/state/X and $T/etc/X for each daemon X.
device_layout() {
	local n
	RUN=$T/run ENGINE=$T/docker.sock
	export DOCKER_HOST=unix://$ENGINE
	mkdir -m 755 "$RUN" "$T/state" "$T/etc"
	for n in 1:keyd 2:certd 3:identityd 4:tpmd 5:edged; do
		mkdir -m 700 "$T/state/${n#*:}" "$T/etc/${n#*:}"
		chown "$((UID0 + ${n%:*})):$((UID0 + ${n%:*}))" "$T/state/${n#*:}" "$T/etc/${n#*:}"
	done
	chmod 711 "$T/state/edged"
	ip link set lo up
	{ cat /etc/hosts; echo "127.0.0.1 hub.demo dps.demo"; } >"$T/hosts"
	mount --bind "$T/hosts" /etc/hosts
}

# DPS and IoT Hub over TLS; further arguments go to it.
device_cloud() {
	[ -s "$T/device-key" ] || head -c 64 /dev/urandom >"$T/device-key"
	start cloudsim "$BIN/edgekeep-cloudsim" --dir "$T/cloud" --listen "0.0.0.0:$PORT" --name hub.demo --name dps.demo \
		--hub "hub.demo:$PORT" --edge --scope "$SCOPE" --enroll "$DEVICE=$(base64 -w0 "$T/device-key")" --log "$T/cloud.jsonl" "$@"
	wait_for 10 test -s "$T/cloud/ca.pem" || return 1
	chmod 755 "$T/cloud" && chmod 644 "$T/cloud/ca.pem"
}

device_tpm() {
	mkdir -p "$T/tpm"
	start swtpm swtpm socket --tpm2 --tpmstate "dir=$T/tpm" --server type=tcp,port=2321,bindaddr=127.0.0.1 \
		--ctrl type=tcp,port=2322,bindaddr=127.0.0.1 --flags not-need-init,startup-clear
}

# Start the engine; device_engine_ready waits for it.  Its socket belongs to group 6 of the block.
device_engine() {
	echo '{}' >"$T/daemon.json"
	start dockerd dockerd --config-file "$T/daemon.json" --data-root "$T/data" --exec-root "$T/exec" --pidfile "$T/docker.pid" \
		-H "unix://$ENGINE" --group "$((UID0 + 6))" --cgroup-parent "/${T##*/}" --shutdown-timeout 1
}
device_engine_ready() { wait_for 20 docker version; }

# Stop the engine and leave nothing of it; for the script's cleanup().
device_engine_gone() {
	[ -z "${DOCKER_HOST:-}" ] || docker ps -aq 2>/dev/null | xargs -r docker rm -f >/dev/null 2>&1
	stop dockerd >/dev/null 2>&1
	umount /etc/hosts 2>/dev/null
	grep -o " $T/[^ ]*" /proc/self/mounts | sort -r | xargs -r -n1 umount -l 2>/dev/null
	# as long as a process of a container is on its way out, its group cannot go
	wait_for 3 no_groups
}
no_groups() {
	find /sys/fs/cgroup -maxdepth 3 -depth -type d -path "*/${T##*/}*" -exec rmdir {} \; 2>/dev/null
	[ -z "$(find /sys/fs/cgroup -maxdepth 3 -type d -path "*/${T##*/}*" -print -quit)" ]
}

# What an operator would have in /etc/aziot.  DEMO_BREAK goes on to the demo's containers.
device_config() {
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
}

# device_daemon NAME USER [ARGUMENT...]: start it, policy in force; a sanitizer's build and MEMCHECK (a command) have none
device_daemon() {
	local name=$1 user=$2 policy=kill
	shift 2
	[ -z "$INSTRUMENTED${MEMCHECK:-}" ] || policy=off
	# shellcheck disable=SC2086
	start "$name" env SSL_CERT_FILE="$T/cloud/ca.pem" ${MEMCHECK:-} "$BIN/$name" --config "$T/etc/$name/config.toml" \
		--config-dir "$T/etc/$name/config.d" --user "$user" --sandbox $policy "$@"
}
# keyd, tpmd, certd and identityd, waited for
device_services() {
	device_daemon keyd "$(user 1)"
	device_daemon tpmd "$(user 4)"
	wait_socket keyd "$RUN/keyd.sock"
	device_daemon certd "$(user 2 1)"
	device_daemon identityd "$(user 3 1 2 4)"
	wait_socket certd "$RUN/certd.sock"
	wait_socket tpmd "$RUN/tpmd.sock"
	wait_socket identityd "$RUN/identityd.sock"
}
device_edged() {
	device_daemon edged "$(user 5 1 2 3 6)"
	wait_socket edged "$RUN/mgmt.sock" "${PATIENCE:-20}"
}

# The demo's image: one program and its libraries, nothing else.
device_image() {
	local lib
	mkdir -p "$T/image/etc"
	cp "$BUILD/demo/edgekeep-demo" "$T/image/"
	ldd "$BUILD/demo/edgekeep-demo" | grep -o '/[^ ]*' | while read -r lib; do
		install -D -m 755 "$lib" "$T/image$lib"
	done
	tar -C "$T/image" -c . | docker import -c 'ENTRYPOINT ["/edgekeep-demo"]' - "$IMAGE" >/dev/null
}
