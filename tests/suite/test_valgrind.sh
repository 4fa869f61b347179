#!/bin/bash
# One request to each route of each daemon under valgrind, on a whole device, the policy off (architecture.md 4): no definite leak and
# no invalid access.
#   MEMCHECK   the command to run daemons under
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/suite/device.sh
. "$(dirname "$0")/device.sh"
need_root "a container engine" || exit 77
for tool in dockerd valgrind swtpm; do need_tool $tool || exit 77; done
device_namespaces "$@"
cleanup() { device_engine_gone; }

suite_begin "every route under valgrind"
MEMCHECK="${MEMCHECK:-valgrind -q --vgdb=no --error-exitcode=99 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite} --trace-children=yes"
# shellcheck disable=SC2034 # for device.sh and lib.sh
PATIENCE=90 HTTP_TIMEOUT=120
V20=api-version=2020-09-01 V18=api-version=2018-06-28 V22=api-version=2022-08-03

# ask WHAT ROUTE SOCKET METHOD TARGET [BODY]: as root of the host; 2xx (or $WANT) or the row fails.  The answer is in $BODY.
ask() {
	http "$3" "$4" "$5" "${6-}"
	like "$1: $4 $2: $BODY" "$STATUS" "${WANT:-20[0-9]}"
}
get() { jq -r ".$1" <<<"$BODY"; }
keyd() { ask keyd "$1 $2" "$RUN/keyd.sock" "$1" "${4:-$2}?$V20" "${3-}"; }
certd() { ask certd "$1 $2" "$RUN/certd.sock" "$1" "${4:-$2}?$V20" "${3-}"; }
identityd() { ask identityd "$1 $2" "$RUN/identityd.sock" "$1" "${4:-$2}?api-version=2021-12-01&type=aziot" "${3-}"; }
tpmd() { ask tpmd "$1 $2" "$RUN/tpmd.sock" "$1" "${4:-$2}?$V20" "${3-}"; }
# edged METHOD ROUTE [BODY [TARGET]]: from the agent's container; module: from the module's, over its own socket
edged() { inside edged edgeAgent "$RUN/mgmt.sock" "$V22" "$@"; }
module() { inside workload mod /var/run/iotedge/workload.sock "$V18" "$@"; }
inside() {
	local who=$1 container=$2 socket=$3 version=$4 out
	shift 4
	out=$(docker exec "$container" /caller ask "$socket" "$1" "${4:-$2}?$version" ${3:+"$3"} 2>&1)
	like "$who: $1 $2" "$out" "${WANT:-20[0-9]*}"
	BODY=${out#* }
}

device_layout
device_engine
device_tpm
# shellcheck disable=SC2119
device_cloud || exit 1
device_config
sed -i 's/^Cmd = .*/Entrypoint = ["\/caller", "sleep"]/; s/^Cmd = \["agent"\]//' "$T/etc/edged/config.toml"
printf '[[principal]]\nuid = 0\nkeys = ["*"]\n' >>"$T/etc/keyd/config.toml"
printf '[[principal]]\nuid = 0\ncerts = ["*"]\n' >>"$T/etc/certd/config.toml"
device_services

# --- keyd
keyd POST /keypair '{"keyId":"pair"}'
pair=$(get keyHandle)
keyd GET '/keypair/{id}' '' /keypair/pair
keyd POST '/parameters/{name}' "{\"keyHandle\":\"$pair\"}" /parameters/algorithm
digest=$(head -c 32 /dev/zero | base64)
keyd POST /sign "{\"keyHandle\":\"$pair\",\"algorithm\":\"ECDSA\",\"parameters\":{\"digest\":\"$digest\"}}"
keyd POST '/keypair/{id}' '{"from":"pair"}' /keypair/moved
keyd GET '/keypair/{id}' '' /keypair/moved
keyd DELETE /keypair "{\"keyHandle\":\"$(get keyHandle)\"}"
keyd POST /key '{"keyId":"sym","usage":"derive,encrypt"}'
keyd GET '/key/{id}' '' /key/sym
sym=$(get keyHandle)
aead='"algorithm":"AEAD","parameters":{"iv":"AAAAAAAAAAAAAAAA","aad":"YQ=="}'
keyd POST /encrypt "{\"keyHandle\":\"$sym\",$aead,\"plaintext\":\"aGVsbG8=\"}"
keyd POST /decrypt "{\"keyHandle\":\"$sym\",$aead,\"ciphertext\":\"$(get ciphertext)\"}"
keyd POST /derivedkey "{\"baseKeyHandle\":\"$sym\",\"derivationData\":\"YQ==\"}"
keyd POST /derivedkey/export "{\"keyHandle\":\"$(get keyHandle)\"}"
WANT=400 keyd POST '/key/{id}' '{"from":"sym"}' /key/other # pairs only may move
keyd DELETE /key "{\"keyHandle\":\"$sym\"}"
keyd GET /status

# --- certd; POST /certificates is what edged asks for below, signed in keyd by the provider
certd PUT '/certificates/{id}' "$(jq -Rsc '{pem: .}' "$T/cloud/ca.pem")" /certificates/imported
certd GET '/certificates/{id}' '' /certificates/imported
certd DELETE '/certificates/{id}' '' /certificates/imported
certd GET /status

# --- tpmd
tpmd GET /get_tpm_keys
WANT='[45]00' tpmd POST /import_auth_key '{"key":"anVuaw=="}' # a good one takes a DPS with a TPM: tests/suite/test_tpmd.sh
WANT='[45]00' tpmd POST /sign_with_auth_key '{"data":"aGVsbG8="}'
tpmd GET /status
tpmd POST /keys/create '{"algorithm":"ec-p256"}'
tpmd POST /keys/sign "$(jq -c '. + {algorithm: "ECDSA", data: "R5pBRIHvAtqINzTSNbFrkvbXx3QT7oxBwVDRVZ6R2jc="}' <<<"$BODY")"
tpmd POST /keys/create '{"algorithm":"rsa-2048"}'
tpmd POST /keys/sign "$(jq -c --arg data "$(head -c 256 /dev/zero | base64 -w0)" '. + {algorithm: "RSA-NO-PADDING", data: $data}' <<<"$BODY")"
tpmd POST /keys/import '{"key":"anVuaw=="}'
tpmd POST /keys/sign "$(jq -c '. + {algorithm: "HMAC-SHA256", data: "aGVsbG8="}' <<<"$BODY")"
tpmd POST /keys/seal '{"data":"aGVsbG8="}'
tpmd POST /keys/unseal "$BODY"
is "unsealed" "$(get data)" aGVsbG8=

# --- identityd
identityd POST /identities/device '{"type":"aziot"}'
identityd POST /identities/modules '{"type":"aziot","moduleId":"first"}'
identityd GET '/identities/modules/{id}' '' /identities/modules/first
identityd PUT '/identities/modules/{id}' '{"type":"aziot","moduleId":"first"}' /identities/modules/first
identityd GET /identities/modules
identityd DELETE '/identities/modules/{id}' '' /identities/modules/first
identityd GET /identities/provisioning
identityd GET /trust-bundle
identityd GET /status
identityd POST /identities/device/reprovision '{"type":"aziot"}'

# --- edged
device_engine_ready || exit 1
mkdir -p "$T/image"
cp "$BUILD/suite/caller" "$T/image/"
device_image || exit 1
device_edged
running() { [ "$(docker inspect -f '{{.State.Running}}' "$1" 2>/dev/null)" = true ]; }
wait_for 90 running edgeAgent
ok "edgeAgent runs" $?
spec() {
	printf '{"name":"mod","type":"docker","imagePullPolicy":"never","config":{"settings":{"image":"%s","createOptions":{"Entrypoint":["/caller","sleep"],' "$IMAGE"
	printf '"HostConfig":{"Binds":["%s/mod.sock:/var/run/iotedge/workload.sock"]}}},"env":[]}}' "$T/state/edged/mnt"
}
edged POST /identities '{"moduleId":"mod","managedBy":"IotEdge"}'
genid=$(get generationId)
edged PUT '/identities/{id}' "{\"generationId\":\"$genid\",\"managedBy\":\"IotEdge\"}" /identities/mod
edged GET /identities
edged POST '/modules/{m}/prepareupdate' "$(spec)" /modules/mod/prepareupdate
edged POST /modules "$(spec)"
edged PUT '/modules/{m}' "$(spec)" /modules/mod
edged POST '/modules/{m}/{action}' '' /modules/mod/start
wait_for 20 running mod
edged GET /modules
edged GET '/modules/{m}' '' /modules/mod
edged GET '/modules/{m}/logs' '' /modules/mod/logs
edged GET /systeminfo
edged GET /systeminfo/resources
WANT='[2-5]*' edged GET /systeminfo/supportbundle
edged POST '/modules/{m}/{action}' '' /modules/mod/restart
wait_for 20 running mod
ask edged "GET /status" "$RUN/mgmt.sock" GET "/status?$V22"

# --- the workload process
module POST '/modules/{m}/genid/{g}/sign' '{"keyId":"primary","algo":"HMACSHA256","data":"aGVsbG8="}' "/modules/mod/genid/$genid/sign"
module POST '/modules/{m}/genid/{g}/encrypt' '{"plaintext":"aGVsbG8=","initializationVector":"AAAAAAAAAAAAAAAA"}' "/modules/mod/genid/$genid/encrypt"
module POST '/modules/{m}/genid/{g}/decrypt' "{\"ciphertext\":\"$(get ciphertext)\",\"initializationVector\":\"AAAAAAAAAAAAAAAA\"}" "/modules/mod/genid/$genid/decrypt"
module POST '/modules/{m}/genid/{g}/certificate/server' '{"commonName":"mod","expiration":"2030-01-01T00:00:00Z"}' "/modules/mod/genid/$genid/certificate/server"
module POST '/modules/{m}/certificate/identity' '{}' /modules/mod/certificate/identity
module GET /trust-bundle
module GET /manifest-trust-bundle
module GET /modules

edged DELETE '/modules/{m}' '' /modules/mod
edged DELETE '/identities/{id}' '' /identities/mod
edged POST /device/reprovision
wait_for 60 gone edged
ok "edged ends to be started anew" $?
stop edged
is "edged ends for a reprovisioned start" $? 154
for name in identityd certd tpmd keyd; do
	stop $name
	is "$name ends in good order" $? 0
done
judged
suite_end
