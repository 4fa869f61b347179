#!/bin/bash
# edgekeep doctor keys: what is well with SoftHSM, and every fault named by its code, one at a time (issue 3, point 6).
# shellcheck disable=SC2317
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
need_root "files of several users" || exit 77
for tool in jq openssl softhsm2-util pkcs11-tool; do need_tool $tool || exit 77; done
suite_begin "edgekeep doctor keys"

SOFTHSM=$(find /usr/lib /usr/lib64 -name libsofthsm2.so 2>/dev/null | head -1)
[ -n "$SOFTHSM" ] || { echo "SKIP issue 3: SoftHSM is not installed"; exit 77; }
OWNER=$((UID0 + 1))
chmod 755 "$T"
mkdir -m 755 "$T/etc" "$T/lib"
install -d -m 700 -o "$OWNER" -g "$OWNER" "$T/home" "$T/home/keys" "$T/tokens" "$T/pins"
install -m 644 "$BUILD/suite/shim_pkcs11.so" "$T/lib/shim.so"
export SOFTHSM2_CONF=$T/etc/softhsm2.conf SHIM_MODULE=$SOFTHSM SHIM_CONTROL=$T/lib/fault
export AZIOT_KEYD_CONFIG=$T/etc/keyd.toml AZIOT_KEYD_CONFIG_DIR=$T/none AZIOT_LOG=error
printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$T/tokens" >"$SOFTHSM2_CONF"
as() { as_user "$(user 1)" "$@"; }
as softhsm2-util --init-token --free --label tok --pin 73905182 --so-pin 5678 >/dev/null
tool() { as pkcs11-tool --module "$SOFTHSM" -l --pin 73905182 --token-label tok "$@" >/dev/null 2>&1; }

# --- as it shall be
LIBRARY=$SOFTHSM TOKEN="token=tok" QUERY="?pin-source=file:$T/pins/pin"
config() {
	printf '[aziot_keys]\nhomedir_path = "%s"\npkcs11_lib_path = "%s"\npkcs11_base_slot = "pkcs11:%s%s"\n' \
		"$T/home" "${1:-$LIBRARY}" "${2:-$TOKEN}" "${3-$QUERY}" >"$AZIOT_KEYD_CONFIG"
	chmod 644 "$T/etc"/*
}
good() {
	: >"$SHIM_CONTROL"
	chown "$OWNER" "$T/home" "$T/tokens"
	chmod 700 "$T/home" "$T/home/keys" "$T/tokens"
	chmod 755 "$T/lib"
	chmod 644 "$SOFTHSM2_CONF"
	printf 73905182 >"$T/pins/pin"
	chown "$OWNER:$OWNER" "$T/pins/pin"
	chmod 400 "$T/pins/pin"
	config
}
doctor() { REPORT=$(as "$BIN/edgekeep" doctor keys --json "$@" 2>"$T/said") || return $?; }
codes() { jq -r '[.report[] | select(.kind == "bad") | .code] | unique | join(" ")' <<<"$REPORT"; }
# named WHAT CODES: these findings and no other, each with cause and remedy, and none tells the PIN
named() {
	local status
	doctor
	status=$?
	is "$1: exit status" "$status" 1
	is "$1: code" "$(codes)" "$2"
	jq -e '[.report[] | select(.kind == "bad") | (.text, .cause, .remedy) | length > 0] | all' >/dev/null 2>&1 <<<"$REPORT"
	ok "$1: title, cause, remedy" $?
	is "$1: no PIN is told" "$(grep -c -E '73905182|28150937' <<<"$REPORT$(cat "$T/said")")" 0
	good
}

good
doctor
is "all well: exit status" $? 0
is "all well: nothing bad" "$(codes)" ""
for what in "function list" "token \\\\\"tok" "tries" "mechanisms" "P-256 key pair: made, used and deleted" "RSA-2048 key pair: made" \
	"HMAC key: made" "AES key: made" "p50 .* p95" "handles.key|home is keyd's alone" "closed to others"; do
	grep -q -E "$what" <<<"$REPORT"
	ok "all well: says $what" $?
done
as pkcs11-tool --module "$SOFTHSM" -l --pin 73905182 --token-label tok -O 2>/dev/null | grep -q edgekeep-doctor
is "all well: nothing stays on the token" $? 1
as "$BIN/edgekeep" doctor keys >"$T/text" 2>&1
is "text: exit status" $? 0
like "text" "$(tail -1 "$T/text")" "all is well"
doctor --uri "pkcs11:token=tok?pin-value=73905182"
is "--uri: exit status" $? 0
doctor --uri "pkcs11:token=other?pin-value=73905182"
is "--uri: code" "$(codes)" "KD-202"

# --- certificates on the token
cert() { # cert LABEL DAYS
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/k" -subj "/O=Test/CN=$1" -out "$T/csr" 2>/dev/null
	openssl x509 -req -in "$T/csr" -signkey "$T/k" -days "$2" -outform DER -out "$T/der" 2>/dev/null
	chmod 644 "$T/der"
	tool --write-object "$T/der" --type cert --label "$1" --id 0a0b
}
cert fresh 9
cert stale -1
doctor
is "certificates: an expired one is a note" "$?" 0
like "certificates: fresh" "$(jq -r '.report[] | select(.kind == "ok") | .text' <<<"$REPORT" | grep fresh)" 'certificate "fresh", id 0a0b: CN=fresh,O=Test, until *'
like "certificates: stale" "$(jq -r '.report[] | select(.kind == "note") | .code + " " + .cause' <<<"$REPORT")" 'KD-410 certificate "stale", id 0a0b: CN=stale,O=Test, until *'
for label in fresh stale; do tool -b --type cert --label $label; done

# --- its argument may have a PIN, which nobody sees
config "$T/lib/shim.so"
echo "C_GetSlotList hang" >"$SHIM_CONTROL"
as "$BIN/edgekeep" doctor keys --uri "pkcs11:token=tok?pin-value=73905182" >"$T/hung" 2>&1 &
HUNG=$!
examines() { EK=$(pgrep -P "$HUNG") && KEYD=$(pgrep -P "$EK") && grep -q "keyd" "/proc/$KEYD/cmdline"; }
wait_for 10 examines
is "--uri: in the list of processes" "$(tr '\0' ' ' <"/proc/$EK/cmdline" | grep -c -e pin-value -e 73905182)" 0
kill -KILL "$KEYD"
wait "$HUNG"
good

# --- the library
config "$T/lib/none.so"
named "library missing" "KD-101"
echo text >"$T/lib/text.so"
config "$T/lib/text.so"
named "library is a text file" "KD-102"
printf '\177ELF\1\1\1' | cat - /dev/zero | head -c 4096 >"$T/lib/arch.so"
config "$T/lib/arch.so"
named "library of another machine" "KD-102"
config "$(find /lib/*-linux-gnu /usr/lib64 -name 'libm.so.6' 2>/dev/null | head -1)"
named "library is no module" "KD-103"
config "$T/lib/shim.so"
echo "C_GetFunctionList missing" >"$SHIM_CONTROL"
named "function missing" "KD-104"
config "$T/lib/shim.so"
echo "C_Initialize rv 0x30" >"$SHIM_CONTROL"
named "does not begin" "KD-105"
chmod 600 "$SOFTHSM2_CONF"
chown 0 "$SOFTHSM2_CONF"
named "SOFTHSM2_CONF unreadable" "KD-106"
config "$T/lib/shim.so"
chmod 757 "$T/lib"
named "library writable by others" "KD-107"
config "$T/lib/shim.so"
echo "C_SignInit crash" >"$SHIM_CONTROL"
named "library crashes" "KD-109"

# --- the token
config "" "token=tik"
named "label unknown" "KD-202"
config "" "slot-id=77;token=tok"
named "slot-id wrong" "KD-203"
cp -a "$T/tokens" "$T/one"
as softhsm2-util --init-token --free --label tok --pin 73905182 --so-pin 5678 >/dev/null
named "two tokens of one label" "KD-204"
rm -r "$T/tokens"
mv "$T/one" "$T/tokens"
mv "$T/tokens" "$T/away"
install -d -m 700 -o "$OWNER" "$T/tokens"
named "token uninitialised" "KD-205"
config "" "slot-id=$(as pkcs11-tool --module "$SOFTHSM" -L 2>/dev/null | sed -n 's/^Slot 0 (0x\([0-9a-f]*\)).*/\1/p')"
named "slot of a token that is not initialised" "KD-205"
rm -r "$T/tokens"
mv "$T/away" "$T/tokens"
config "" "object=x"
named "URI without a token" "KD-206"
config "$T/lib/shim.so"
echo "C_GetTokenInfo flags 0x2" >"$SHIM_CONTROL"
named "token write-protected" "KD-207"
config "$T/lib/shim.so"
echo "C_OpenSession rv 0xb1" >"$SHIM_CONTROL"
named "no session left" "KD-208"

# --- the PIN
config "" "" ""
named "no PIN" "KD-301"
rm "$T/pins/pin"
named "PIN file missing" "KD-302"
chmod 644 "$T/pins/pin"
named "PIN file readable by others" "KD-303"
printf '73905182\r\n' >"$T/pins/pin"
named "PIN file with CR LF" "KD-304"
printf 12 >"$T/pins/pin"
named "PIN too short" "KD-304"
printf 28150937 >"$T/pins/pin"
named "PIN wrong" "KD-305"
config "$T/lib/shim.so"
echo "C_GetTokenInfo flags 0x40000" >"$SHIM_CONTROL"
named "PIN locked" "KD-306"
config "$T/lib/shim.so"
echo "C_GetTokenInfo flags 0x20000" >"$SHIM_CONTROL"
named "one try left" "KD-307"
config "$T/lib/shim.so"
echo "C_Login rv 0x5" >"$SHIM_CONTROL"
named "login refused" "KD-309"

# --- keys
config "$T/lib/shim.so"
echo "C_GetMechanismList without 0x1041" >"$SHIM_CONTROL"
named "mechanism missing" "KD-401"
config "$T/lib/shim.so"
echo "C_GetMechanismList without 0x3" >"$SHIM_CONTROL"
named "raw RSA missing, which TLS 1.3 needs" "KD-401"
like "raw RSA missing: cause" "$(jq -r '.report[] | select(.code == "KD-401") | .cause' <<<"$REPORT")" "CKM_RSA_X_509"
chmod 500 "$T/tokens"/* "$T/tokens"
chmod 400 "$T/tokens"/*/*
named "token directory not writable" "KD-403"
chmod 700 "$T/tokens"/*
chmod 600 "$T/tokens"/*/*
config "$T/lib/shim.so"
echo "C_Sign garbage" >"$SHIM_CONTROL"
named "signatures are wrong" "KD-405"
config "$T/lib/shim.so"
echo "C_Decrypt garbage" >"$SHIM_CONTROL"
named "decrypts to something else" "KD-406"
config "$T/lib/shim.so"
echo "C_DestroyObject rv 0x6" >"$SHIM_CONTROL"
named "cannot delete" "KD-407"
for label in $(as pkcs11-tool --module "$SOFTHSM" -l --pin 73905182 --token-label tok -O 2>/dev/null | sed -n 's/.*label: *\(edgekeep-doctor-.*\)/\1/p' | sort -u); do
	for type in privkey pubkey secrkey; do
		tool -b --type $type --label "$label"
		tool -b --type $type --label "$label"
	done
done
tool --keypairgen --key-type EC:prime256v1 --label twice --id 01
tool --keypairgen --key-type EC:prime256v1 --label twice --id 02
named "duplicate label" "KD-409"
for id in 01 02; do tool -b --type privkey --id $id; done

# --- more than one token, more than one module
preload() { # preload ID URI...
	echo '[preloaded_keys]' >>"$AZIOT_KEYD_CONFIG"
	while [ $# -gt 0 ]; do
		printf '%s = "%s"\n' "$1" "$2" >>"$AZIOT_KEYD_CONFIG"
		shift 2
	done
}
preload away "pkcs11:token=away;object=x$QUERY"
named "the token of a preloaded key is away" "KD-202"
preload badly "pkcs11:object=x"
named "the URI of a preloaded key" "KD-206"
config "" "" ""
preload lends "pkcs11:token=tok;object=x$QUERY"
doctor
is "the PIN of another URI serves" "$? $(codes)" "0 "
good
as softhsm2-util --init-token --free --label second --pin 73905182 --so-pin 5678 >/dev/null
preload here "pkcs11:token=second;object=x$QUERY"
doctor
is "two tokens: exit status" "$? $(codes)" "0 "
is "two tokens: a key was made on each" "$(grep -o "P-256 key pair: made, used and deleted" <<<"$REPORT" | wc -l)" 2
as softhsm2-util --delete-token --token second >/dev/null
SPY=$(find /usr/lib /usr/lib64 -name pkcs11-spy.so 2>/dev/null | head -1)
TRUST=$(find /usr/lib /usr/lib64 -name p11-kit-trust.so 2>/dev/null | head -1)
if [ -n "$SPY" ] && [ -n "$TRUST" ]; then
	install -d -m 700 -o "$OWNER" "$T/spy"
	export PKCS11SPY=$SOFTHSM PKCS11SPY_OUTPUT=$T/spy/log
	serial=$(as pkcs11-tool --module "$SOFTHSM" -L 2>/dev/null | sed -n '/: *tok$/,/serial num/s/.*serial num *: *//p')
	cat >"$AZIOT_KEYD_CONFIG" <<EOT
[aziot_keys]
homedir_path = "$T/home"
[backends.spied]
type = "pkcs11"
library = "$SPY"
token = "pkcs11:token=tok$QUERY"
paths = ["$T/spy"]
[backends.trust]
type = "pkcs11"
library = "$TRUST"
token = "pkcs11:token=none$QUERY"
[[placement]]
keys = ["a", "b"]
backend = "spied"
[[placement]]
keys = ["*"]
backend = "trust"
[preloaded_keys]
a = "pkcs11:serial=$serial;object=a$QUERY"
b = "pkcs11:token=tok;serial=$serial;object=b$QUERY"
EOT
	doctor --uri "pkcs11:token=tok?pin-value=73905182"
	is "--uri, of one of two modules' tokens" "$? $(codes)" "0 "
	doctor --uri "pkcs11:token=second?pin-value=73905182"
	is "--uri, of no module's token" "$? $(codes)" "1 KD-202"
	printf 28150937 >"$T/pins/new" && chown "$OWNER" "$T/pins/new" && chmod 400 "$T/pins/new" && mv "$T/pins/new" "$T/pins/pin"
	: >"$T/spy/log" && chown "$OWNER" "$T/spy/log"
	doctor
	is "a wrong PIN, and three names of its token" "$(codes)" "KD-202 KD-305"
	is "it is sent once" "$(grep -c ': C_Login$' "$T/spy/log")" 1
	good
fi

# --- keyd's own files
chown "$((UID0 + 2))" "$T/home"
chmod 755 "$T/home"
named "key directory of another user" "KD-502"
chmod 755 "$T/home"
named "key directory open" "KD-503"
chmod 750 "$T/home/keys"
named "keys open" "KD-503"
install -m 640 -o "$OWNER" /dev/null "$T/home/handles.key"
named "handles.key open" "KD-504"
rm "$T/home/handles.key"
mv "$T/home" "$T/gone"
doctor
is "key directory missing" "$(codes)" "KD-501"
mv "$T/gone" "$T/home"
doctor
is "all well again" "$(codes)" ""
suite_end
