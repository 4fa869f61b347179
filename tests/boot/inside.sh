#!/bin/bash
# inside.sh - what run.sh runs in the booted machine, as root: an operator's day with systemctl, from the installation on.
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/../suite/lib.sh"
suite_begin "an operator's day"
KEYD=/run/aziot/keyd.sock
DROPIN=/etc/systemd/system/aziot-keyd.service.d
config() { # config DAEMON FILE: from standard input, as the packages' owners and modes are
	cat >"/etc/aziot/$1/$2"
	chown "${OWNER[$1]}:" "/etc/aziot/$1/$2"
	chmod 600 "/etc/aziot/$1/$2"
}
declare -A OWNER=([keyd]=aziotks [certd]=aziotcs [identityd]=aziotid)
main_pid() { systemctl show -P MainPID "aziot-$1"; }
journal() { journalctl -u "aziot-$1" -o cat --no-pager "${@:2}"; }
pair() { # pair ID: makes or finds it; PUBLIC is its public half, as openssl has it by the provider
	http $KEYD POST '/keypair?api-version=2021-05-01' "{\"keyId\":\"$1\"}"
	answer "key pair $1" 200 '.keyHandle | length > 0'
	PUBLIC=$(OPENSSL_CONF=/usr/share/edgekeep/edgekeep.cnf openssl pkey -in "keyd:id=$1" -pubout 2>&1)
	like "its public half" "$PUBLIC" '-----BEGIN PUBLIC KEY-----*'
}
as_keyd() { runuser -u aziotks -- "$@"; }

# --- installed
cp -a /pkg/. /
systemd-sysusers 2>"$T/sysusers.log"
for daemon in keyd certd identityd; do chown -R "${OWNER[$daemon]}:" "/etc/aziot/$daemon" "/var/lib/aziot/$daemon"; done
systemctl daemon-reload
config keyd config.toml <<END
[aziot_keys]
homedir_path = "/var/lib/aziot/keyd"
[preloaded_keys]
device-id = "file:///var/secrets/aziot/keyd/device-id"
[[principal]]
uid = 0
keys = ["*"]
[[principal]]
uid = $(id -u aziotcs)
keys = ["*"]
[[principal]]
uid = $(id -u aziotid)
keys = ["aziot_identityd_master_id", "device-id"]
END
config certd config.toml <<<'homedir_path = "/var/lib/aziot/certd"'
config identityd config.toml <<'END'
hostname = "press-07"
homedir = "/var/lib/aziot/identityd"
[provisioning]
source = "dps"
global_endpoint = "https://localhost:8443/"
scope_id = "0ne000DEMO"
[provisioning.attestation]
method = "symmetric_key"
registration_id = "press-07"
symmetric_key = "device-id"
[[principal]]
uid = 0
name = "operator"
END
# what the operator brings along
install -d -o aziotks -m 700 /var/secrets/aziot/keyd
head -c 32 /dev/urandom >/var/secrets/aziot/keyd/device-id
chown aziotks /var/secrets/aziot/keyd/device-id
systemctl enable --quiet --now aziot-{keyd,certd,identityd}.socket
ok "sockets are enabled" $?

# --- the first call starts the service
pair boot
FILE_KEY=$PUBLIC
is "keyd serves" "$(systemctl is-active aziot-keyd)" active
confined keyd "$(main_pid keyd)"
like "keyd's sandbox" "$(journal keyd)" '*ready; sandbox kill, Landlock ABI [1-9]*'
is "key files are keyd's alone" "$(stat -c '%U %a' /var/lib/aziot/keyd/keys)" "aziotks 700"

# --- a device is provisioned: identityd asks keyd, and the cloud over TLS
systemd-run -q --unit=cloudsim edgekeep-cloudsim --dir /srv/cloud --listen 127.0.0.1:8443 --name localhost --hub localhost:8443 \
	--scope 0ne000DEMO --enroll "press-07=$(base64 -w0 /var/secrets/aziot/keyd/device-id)"
wait_for 10 test -s /srv/cloud/ca.pem
cp /srv/cloud/ca.pem /usr/local/share/ca-certificates/sim.crt && update-ca-certificates >"$T/ca.log" 2>&1
http /run/aziot/identityd.sock POST '/identities/device?api-version=2020-09-01' '{"type":"aziot"}'
answer "the device" 200 '.spec.deviceId == "press-07"'
http /run/aziot/certd.sock GET '/status?api-version=2020-09-01'
answer "certd serves" 200
for daemon in certd identityd; do confined $daemon "$(main_pid $daemon)"; done
like "edgekeep status" "$(edgekeep status)" '*device *press-07 on localhost:8443*'

# --- key files at rest under a systemd credential, as keyd(8) says
mkdir -p $DROPIN
head -c 32 /dev/urandom | systemd-creds encrypt --with-key=host --name=edgekeep-kek - /etc/aziot/keyd/edgekeep-kek.cred 2>"$T/creds.log"
credential() { printf '[Service]\nLoadCredentialEncrypted=edgekeep-kek:/etc/aziot/keyd/edgekeep-kek.cred\n' >$DROPIN/kek.conf; }
with_credential() {
	systemd-run --wait --pipe --quiet --uid=aziotks -p LoadCredentialEncrypted=edgekeep-kek:/etc/aziot/keyd/edgekeep-kek.cred "$@"
}
first_lines() { head -qn1 /var/lib/aziot/keyd/keys/*.key | sort -u; }
wrap() { config keyd config.d/wrap.toml <<<$'[backends.file]\ntype = "file"\nwrap = "credential"'; }
wrap
credential
systemctl daemon-reload
systemctl restart aziot-keyd
ok "keyd starts with the credential" $?
with_credential edgekeep keys wrap >"$T/wrap.log" 2>&1
ok "keys are wrapped while keyd serves" $?
is "their files" "$(first_lines)" "edgekeep wrapped key 1"
systemctl restart aziot-keyd
pair boot
is "the key is what it was" "$PUBLIC" "$FILE_KEY"
rm $DROPIN/kek.conf
systemctl daemon-reload
systemctl restart aziot-keyd 2>/dev/null
is "without the credential keyd does not start" "$(systemctl is-active aziot-keyd)" "activating"
like "and says why" "$(journal keyd -n 20)" '*LoadCredentialEncrypted=edgekeep-kek:FILE*'
systemctl stop aziot-keyd.socket aziot-keyd
with_credential edgekeep keys unwrap >"$T/unwrap.log" 2>&1
ok "keys are unwrapped while keyd is stopped" $?
rm /etc/aziot/keyd/config.d/wrap.toml
systemctl start aziot-keyd.socket
pair boot
is "and the key is what it was" "$PUBLIC" "$FILE_KEY"

# --- the README's token
gpasswd -a aziotks softhsm >"$T/group.log" 2>&1
as_keyd softhsm2-util --init-token --free --label edge --pin 1234 --so-pin 5678 >"$T/token.log" 2>&1
install -d -o aziotks -m 700 /var/secrets/edge
printf 1234 | install -o aziotks -m 400 /dev/stdin /var/secrets/edge/pin
config keyd config.d/hsm.toml < <(sed -n '/^    # .etc.aziot.keyd.config.d.hsm.toml/,/^$/ s/^    //p' "$TOP/README.md")
systemctl restart aziot-keyd
ok "keyd starts with the README's token" $?
# aziot-edged-ca, too, is to live there
pair aziot-edged-ca
TOKEN_KEY=$PUBLIC
like "a key on the token" "$(as_keyd pkcs11-tool --module /usr/lib/softhsm/libsofthsm2.so --login --pin 1234 -O 2>/dev/null)" \
	'*Private Key Object*label: *aziot-edged-ca*'
DOCTOR=$(AZIOT_LOG=info edgekeep doctor keys 2>&1)
like "edgekeep doctor keys" "$DOCTOR" "*all is well"
processes() { ps -o pid= -u aziotks | wc -l; }
is "keyd, its spawner and a worker" "$(processes)" 3
kill -KILL "$(main_pid keyd)"
none() { [ "$(processes)" = 0 ]; }
wait_for 4 none
ok "killed, it leaves no process behind (KillMode=process)" $?
back() { systemctl is-active aziot-keyd; }
wait_for 20 back
ok "systemd starts it again" $?
pair aziot-edged-ca
is "the token's key is what it was" "$PUBLIC" "$TOKEN_KEY"
pair boot
is "the file's, too" "$PUBLIC" "$FILE_KEY"
systemctl reload aziot-keyd
like "reloaded" "$(journal keyd -n 5)" '*configuration read again*'
systemctl stop aziot-keyd.socket aziot-keyd
is "stopped" "$(systemctl is-failed aziot-keyd) $(processes)" "inactive 0"
is "no unit broke its policy" "$(journalctl -b --no-pager -o cat | grep -E 'status=31|SIGSYS|audit.*seccomp')" ""
suite_end
