#!/bin/bash
# Bad input at a real keyd: every member of every request, wrong in every way; the key directory stays as it is.
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
for tool in jq curl; do need_tool $tool || exit 77; done
suite_begin "keyd: bad input"

V=api-version=2021-05-01
as_keyd=() OWNER=$(id -u) ME=$(id -u)
if is_root; then as_keyd=(--user "$(user 1)") OWNER=$((UID0 + 1)); fi
up() { # up NAME: a keyd of its own, home and socket by that name
	local name=$1
	mkdir -m 700 "$T/$name"
	is_root && chown "$OWNER" "$T/$name"
	cat >"$T/$name.toml" <<EOT
[aziot_keys]
homedir_path = "$T/$name"
[endpoints]
aziot_keyd = "unix://$T/$name.sock"
[[principal]]
uid = $ME
keys = ["*"]
EOT
	start "$name" "$BIN/keyd" --config "$T/$name.toml" --config-dir "$T/none" "${as_keyd[@]}"
	wait_socket "$name" "$T/$name.sock"
}
make() { # make NAME PATH BODY: a handle
	http "$T/$1.sock" POST "$2?$V" "$3"
	jq -er .keyHandle <<<"$BODY"
}
up keyd
up foreign
KEY='{"keyId":"bad-key","usage":"sign","keyBytes":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}'
handles=(
	"$(make keyd /key "$KEY")"
	"$(make keyd /keypair '{"keyId":"bad-ec"}')"
	"$(make keyd /keypair '{"keyId":"bad-ed","preferredAlgorithms":"ed25519"}')"
	"$(make keyd /keypair '{"keyId":"bad-rsa","preferredAlgorithms":"rsa-2048"}')"
)
handles+=(
	"$(make keyd /derivedkey "{\"baseKeyHandle\":\"${handles[0]}\",\"derivationData\":\"eA==\"}")"
	"$(make keyd /derivedkey "{\"baseKeyHandle\":\"${handles[1]}\",\"derivationData\":\"eA==\"}")"
	"$(make foreign /key "$KEY")" # the same key with the same bytes, of another keyd
)
listing() { find "$T/keyd" -printf '%p %s %T@ %C@ %m %U\n' | LC_ALL=C sort; }

before=$(listing)
is "keys to guard" "$(grep -c '\.key ' <<<"$before")" 5 # and the secret
pid=${PID[keyd]}
said=$("$BUILD/suite/keyd_bad_input" "$T/keyd.sock" "${handles[@]}")
is "every member wrong in every way" "$? $(grep -cvE '^[0-9]+ requests' <<<"$said")" "0 0"
grep -vE '^[0-9]+ requests' <<<"$said" | head -20
tried=$(sed -n 's/^\([0-9]*\) requests.*/\1/p' <<<"$said")
[ "${tried:-0}" -gt 5000 ]
ok "$tried requests were tried" $?
is "the key directory: names, sizes, times, modes" "$(listing)" "$before"
is "the same process" "$(alive keyd && echo "${PID[keyd]}")" "$pid"
few_descriptors() { [ "$(find "/proc/$pid/fd" 2>/dev/null | wc -l)" -le 40 ]; }
wait_for 5 few_descriptors
ok "no descriptor is left behind" $?
http "$T/keyd.sock" POST "/sign?$V" \
	"{\"keyHandle\":\"${handles[0]}\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"eA==\"}}"
is "and it signs" "$STATUS" 200

# --- ids that look like paths make files as all others do, and no others
for id in .. . / ../../escaped /etc/escaped a/b %2e%2e 'a b' '*' $'line\nbreak' "$(printf 'x%.0s' {1..128})" ''; do
	http "$T/keyd.sock" POST "/key?$V" "$(jq -nc --arg id "$id" '{keyId: $id, usage: "sign"}')"
	is "a key by the id ${id:0:20}" "$STATUS" 200
	name=$(tr -dc 'A-Za-z0-9' <<<"$id")-$(printf %s "$id" | sha256sum | cut -c1-64).key
	ok "its file" "$([ -f "$T/keyd/keys/$name" ]; echo $?)"
done
is "files that are nowhere else" "$(find "$T" -newer "$T/foreign.toml" -name '*escaped*' ! -path "$T/keyd/keys/*")" ""
is "one file for each" "$(find "$T/keyd/keys" -type f | wc -l)" 16
stop keyd
is "end: exit status" $? 0
suite_end
