#!/bin/bash
# The rules that keyd(8) shows for the other daemons are all that they need: a device is provisioned, modules get identities and
# sign, certificates are issued, and keyd refuses nothing; whoever else holds one of their handles is refused.
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/identity.sh"
suite_begin "daemons under rules of use"
for tool in jq curl openssl; do need_tool $tool || exit 77; done
need_root "a user for each daemon" || exit 0
V=api-version=2020-09-01
identity_layout
cloud_start cloud --edge
CERTD=$((UID0 + 2)) IDENTITYD=$((UID0 + 3)) EDGED=$((UID0 + 4))
cat >"$T/etc/keyd/config.d/use.toml" <<EOT
[[use]]
uid = $IDENTITYD
keys = ["device-id"]
verbs = ["sign"]
algorithms = ["HMAC-SHA256"]
[[use]]
uid = $IDENTITYD
keys = ["aziot_identityd_master_id"]
verbs = ["derive", "export"]
[[use]]
uid = $CERTD
keys = ["local-ca"]
verbs = ["sign"]
[[use]]
uid = $EDGED
keys = ["aziot_identityd_master_id"]
verbs = ["sign"]
algorithms = ["HMAC-SHA256"]
EOT
keyd_start
certd_start leaf
identityd_config dps
identityd_start

as() { HTTP_AS="setpriv --reuid=$1 --regid=$1 --groups=$((UID0 + 1)),$((UID0 + 2)),$IDENTITYD"; }
sign() { http "$RUN/keyd.sock" POST "/sign?$V" "{\"keyHandle\":\"$1\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"eA==\"}}"; }
http "$RUN/identityd.sock" POST "/identities/device?$V" '{"type":"aziot"}'
answer "the device is provisioned" 200 '.spec.deviceId == "press-07"'
DEVICE=$(jq -r .spec.auth.keyHandle <<<"$BODY")
http "$RUN/identityd.sock" POST "/identities/modules?$V" '{"type":"aziot","moduleId":"pump"}'
answer "a module gets its identity" 200 '.spec.moduleId == "pump"'
MODULE=$(jq -r .spec.auth.keyHandle <<<"$BODY")
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/leaf.key" -subj /CN=leaf -out "$T/leaf.csr" 2>/dev/null
http "$RUN/certd.sock" POST "/certificates?$V" "$(jq -nc --rawfile csr "$T/leaf.csr" '{certId: "leaf", csr: $csr}')"
answer "a certificate is issued" 201 '.pem | length > 0'
jq -r .pem <<<"$BODY" >"$T/leaf.pem"
openssl verify -CAfile "$T/local-ca.pem" "$T/leaf.pem" >/dev/null 2>&1
ok "openssl verifies it" $?
as "$EDGED"
sign "$MODULE"
is "edged signs for the module" "$STATUS" 200
is "keyd has refused nothing" "$(grep -c 'rule grants' "$T/keyd.log")" 0

# handles go through many hands
sign "$DEVICE"
answer "edged with the device's handle" 401 '.message | test("key device-id\ncaused by: no \\[\\[use\\]\\] rule grants sign")'
http "$RUN/keyd.sock" POST "/derivedkey/export?$V" "{\"keyHandle\":\"$MODULE\"}"
is "edged does not get the module's key itself" "$STATUS" 401
as "$((UID0 + 5))"
sign "$MODULE"
is "anybody else with the module's handle" "$STATUS" 401
HTTP_AS=
suite_end
