#!/bin/bash
# The main job, end to end: a device is provisioned from a simulated cloud over TLS and serves real modules in a real engine.
# Run by `sudo make demo`.  Everything happens in a private network and mount namespace and below one private directory.
#   DEMO_BREAK=token|ca|impostor   make one thing wrong; the exit status is then 1
#   DEMO_TRACE=FILE                where to say which private directory was used, for the suite
#   DEMO_VERBOSE=1                 show the daemons' logs when it fails
if [ "$(id -u)" -ne 0 ]; then
	echo "The demo starts daemons under users of their own and a container engine: run it with sudo." >&2
	exit 1
fi
case ${DEMO_BREAK:-} in
"" | token | ca | impostor) ;;
*) echo "DEMO_BREAK=${DEMO_BREAK}: use token, ca or impostor" >&2; exit 2 ;;
esac
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/../suite/lib.sh"
# shellcheck source=tests/suite/device.sh
. "$(dirname "$0")/../suite/device.sh"
device_namespaces "$@"
began=$(date +%s%N)
step_at() { # step_at NANOSECONDS TEXT...
	local ms=$((($1 - began) / 1000000))
	shift
	printf '[%3d.%02d s] %s\n' $((ms / 1000)) $((ms % 1000 / 10)) "$*"
}
step() { step_at "$(date +%s%N)" "$*"; }
die() {
	step "FAILED: $*"
	failed=1
	exit 1
}
cleanup() {
	if [ "$failed" -ne 0 ] && [ -n "${DEMO_VERBOSE:-}" ]; then tail -n 25 "$T"/{keyd,certd,identityd,tpmd,edged}.log; fi
	device_engine_gone
}

suite_begin "edgekeep demo${DEMO_BREAK:+, broken on purpose: $DEMO_BREAK}"
[ -z "${DEMO_TRACE:-}" ] || echo "$T" >"$DEMO_TRACE"
device_layout
device_engine
device_tpm
# shellcheck disable=SC2119 # its arguments are options of the cloud
device_cloud || die "the simulated cloud did not start"
step "simulated cloud (DPS and IoT Hub) on https://dps.demo:$PORT and https://hub.demo:$PORT"
device_config
device_services
step "keyd, certd, identityd and tpmd serve, each as a user of its own (uids $((UID0 + 1)) to $((UID0 + 4))) and in its sandbox"
HTTP_TIMEOUT=30 http "$RUN/identityd.sock" POST '/identities/device?api-version=2020-09-01' '{"type":"aziot"}'
[ "$STATUS" = 200 ] || die "the device is not provisioned: $BODY"
step "device $(jq -r '.spec.deviceId + " provisioned on " + .spec.hubName' <<<"$BODY")"
device_engine_ready || die "the container engine did not start"
device_image || die "the image could not be imported"
step "engine $(docker version -f '{{.Server.Version}}') with the demo's image"
step "edged starts, uid $((UID0 + 5)), and will start the agent's container"
device_edged

# --- watch the agent and its modules do their work; each line has the time at which the engine got it from the container
shown="" before=""
watch() {
	local at line horizon=$before
	before=$(date -u +%FT%T.%N)
	while read -r at line; do
		# what is younger than the last look may yet be preceded by a line of another container
		[[ $at < $horizon ]] || continue
		case $shown in *"|$line|"*) continue ;; esac
		shown="$shown|$line|"
		step_at "$(date -d "$at" +%s%N)" "  $(sed 's/^DEMO //; s/ \[[0-9]* ms\]$//' <<<"$line")"
	done < <(for c in edgeAgent web meter; do docker logs -t "$c" 2>/dev/null; done | grep '^[^ ]* DEMO ' | sort)
	case $shown in *"refused with 403"* | *FAILED*) return 0 ;; esac
	return 1
}
until=$((SECONDS + 150)) # some seconds, where nothing else keeps the machine busy
until watch || [ $SECONDS -ge $until ]; do sleep 0.2; done
step "edgekeep status says:"
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
if [ $failed -eq 0 ]; then
	echo "Look next: tests/demo/meter.c is what a module does, docs/security.md what each process can lose;"
	echo "           sudo DEMO_BREAK=token make demo (or ca, impostor): one thing is wrong, and who notices."
else
	echo "Look next: sudo DEMO_VERBOSE=1 make demo prints the daemons' logs, too."
fi
step "$([ $failed -eq 0 ] && echo DONE || echo FAILED): module token by the hub's log: $token; module TLS by openssl s_client: $tls"
exit $failed
