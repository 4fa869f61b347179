#!/bin/bash
# [[use]] rules at a real keyd: who may do what, budgets over SIGHUP, restart, kill -9 and a clock that moves, what --check says.
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
for tool in jq curl; do need_tool $tool || exit 77; done
suite_begin "keyd: key use is authorised"
while [ "$(date -u +%H%M)" -ge 2356 ]; do sleep 1; done # the day must not end meanwhile

V=api-version=2021-05-01
S=$T/keyd.sock
as_keyd=() OWNER=$(id -u) ME=$(id -u)
if is_root; then
	as_keyd=(--user "$(user 1)") OWNER=$((UID0 + 1)) ME=$((UID0 + 3))
	MODULE="setpriv --reuid=$ME --regid=$ME --groups=$OWNER"
	OTHER="setpriv --reuid=$((UID0 + 4)) --regid=$((UID0 + 4)) --groups=$OWNER"
fi
mkdir -m 700 "$T/home" && mkdir -m 755 "$T/etc"
is_root && chown "$OWNER" "$T/home"

config() { # config RULES: the fixed part, and these behind
	{
		cat <<EOT
${DEFAULT:-}
[aziot_keys]
homedir_path = "$T/home"
[endpoints]
aziot_keyd = "unix://$S"
[[principal]]
uid = $ME
keys = ["*"]
EOT
		printf '%s\n' "$1"
	} >"$T/etc/new"
	mv "$T/etc/new" "$T/etc/keyd.toml"
}
rule() { # rule KEYS VERBS [MORE]: of this user
	printf '[[use]]\nuid = %s\nkeys = [%s]\nverbs = [%s]\n%b\n' "${WHO:-$ME}" "$1" "$2" "${3:-}"
}
keyd() { "$BIN/keyd" --config "$T/etc/keyd.toml" --config-dir "$T/etc/d" "${as_keyd[@]}" "$@"; }
up() {
	start keyd "$BIN/keyd" --config "$T/etc/keyd.toml" --config-dir "$T/etc/d" "${as_keyd[@]}"
	wait_socket keyd "$S"
}
reload() {
	local before
	before=$(grep -c 'configuration read again' "$T/keyd.log")
	kill -HUP "${PID[keyd]}"
	# shellcheck disable=SC2016
	wait_for 5 bash -c '[ "$(grep -c "configuration read again" "$1")" -gt "$2" ]' - "$T/keyd.log" "$before"
}
post() { http "$S" POST "$1?$V" "$2"; }
get() { jq -r ".$1" <<<"$BODY"; }
hmac() { post /sign "{\"keyHandle\":\"$1\",\"algorithm\":\"HMAC-SHA256\",\"parameters\":{\"message\":\"eA==\"}}"; }
seal() { post /encrypt "{\"keyHandle\":\"$1\",\"algorithm\":\"AEAD\",\"parameters\":{\"iv\":\"AAAA\",\"aad\":\"\"},\"plaintext\":\"eA==\"}"; }
refused() { # refused WHAT ID REASON
	answer "$1" 401 ".message == \"user $ME is not authorized to access the key $2\ncaused by: $3\""
}
# uses HANDLE: use it until that is refused; N: how often it was granted
uses() {
	for ((N = 0; N < 1000; N++)); do
		hmac "$1"
		[ "$STATUS" = 200 ] || break
	done
}

# --- what --check says
checked() { # checked WHAT RULES WANTED
	local out
	config "$2"
	out=$(keyd --check 2>&1)
	is "--check: $1" $? 1
	like "--check: $1: file, line, key" "$out" "*$T/etc/keyd.toml$3*"
}
config "$(rule '"*"' '"sign"' 'uses_per_day = 5\nrate_per_second = 5\nalgorithms = ["AEAD"]\nnot_after = 2999-01-01T00:00:00Z')"
keyd --check >/dev/null 2>&1
is "--check: good rules" $? 0
is "--check makes nothing" "$(ls -A "$T/home")" ""
checked "unknown verb" "$(rule '"*"' '"sing"')" ":12: key use?0?.verbs?0?: "
checked "unknown algorithm" "$(rule '"*"' '"sign"' 'algorithms = ["MD5"]')" ":13: key use?0?.algorithms?0?: "
checked "bad time" "$(rule '"*"' '"sign"' 'not_after = "tomorrow"')" ":13: key use?0?.not_after: "
checked "misspelt limit" "$(rule '"*"' '"sign"' 'rate = 5')" ":13: key use?0?.rate: "
checked "one rule twice" "$(rule '"a","b"' '"sign"')
$(rule '"b","a"' '"sign"' 'rate_per_second = 5')" ":13: key use?1?: the same uid, keys, verbs and algorithms as use?0?"

# --- without rules
config ""
up
post /key '{"keyId":"site","usage":"sign","keyBytes":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}'
answer "import" 200
SITE=$(get keyHandle)
post /key '{"keyId":"day","usage":"sign"}'
DAY=$(get keyHandle)
post /keypair '{"keyId":"rsa","preferredAlgorithms":"rsa-2048"}'
RSA=$(get keyHandle)
post /derivedkey "{\"baseKeyHandle\":\"$SITE\",\"derivationData\":\"eA==\"}"
DERIVED=$(get keyHandle)
HTTP_AS=${OTHER:-}
hmac "$SITE"
is "no rules: a handle is enough" "$STATUS" 200
is "no rules: no directory of counts" "$(ls "$T/home")" "epochs
handles.key
keys"
HTTP_AS=${MODULE:-}

# --- verbs and algorithms, from SIGHUP on
config "$(rule '"s?te"' '"sign"' 'algorithms = ["HMAC-SHA256"]')"
reload
hmac "$SITE"
is "granted" "$STATUS" 200
hmac "$DERIVED"
is "granted: derived, by its base" "$STATUS" 200
hmac "$DAY"
refused "another key" day "no [[use]] rule grants sign with HMAC-SHA256"
seal "$SITE"
refused "another verb" site "no [[use]] rule grants encrypt with AEAD"
post /derivedkey/export "{\"keyHandle\":\"$DERIVED\"}"
refused "export" site "no [[use]] rule grants export"
post /derivedkey "{\"baseKeyHandle\":\"$SITE\",\"derivationData\":\"eA==\"}"
refused "derive" site "no [[use]] rule grants derive"
post /encrypt "{\"keyHandle\":\"$RSA\",\"algorithm\":\"RSA-PKCS1\",\"plaintext\":\"eA==\"}"
refused "RSA's encrypt is a signature" rsa "no [[use]] rule grants sign with RSA-PKCS1"
http "$S" DELETE "/key?$V" "{\"keyHandle\":\"$SITE\"}"
refused "delete, although a principal" site "no [[use]] rule grants delete"
post /parameters/algorithm "{\"keyHandle\":\"$RSA\"}"
is "public parameters are nobody's secret" "$STATUS" 200
if need_root "other users"; then
	HTTP_AS=$OTHER
	hmac "$SITE"
	answer "another user" 401 ".message | startswith(\"user $((UID0 + 4)) is not authorized\")"
	HTTP_AS=
	hmac "$SITE"
	answer "root, too" 401 '.message | startswith("user 0 is not authorized")'
	HTTP_AS=$MODULE
fi
http "$S" GET "/status?$V"
is "status says that there are rules" "$(get 'facts["rules of use"]')" "1 in force, other keys refused"
DEFAULT='use_default = "contract"' config "$(rule '"site"' '"encrypt"')"
reload
hmac "$DAY"
is "use_default: keys of no rule are the contract's" "$STATUS" 200
hmac "$SITE"
is "use_default: and no others" "$STATUS" 401
config "$(rule '"site"' '"sign"' 'not_after = 2026-01-01T00:00:00Z')"
reload
hmac "$SITE"
is "not_after is over" "$STATUS" 401
config "$(rule '"site"' '"sing"')"
kill -HUP "${PID[keyd]}"
wait_for 5 grep -q 'could not read the configuration again' "$T/keyd.log"
hmac "$SITE"
is "bad rules change nothing" "$STATUS" 401

# --- rate
config "$(rule '"site"' '"sign"' 'rate_per_second = 3')"
reload
uses "$SITE"
[ "$N" -ge 3 ] && [ "$N" -le 40 ] # a slow machine takes its seconds
ok "rate: $N uses until one is refused" $?
answer "rate: what it says" 401 '.message | startswith("user '"$ME"' has used the key site too often in this second: ")'
signs() {
	hmac "$SITE"
	[ "$STATUS" = 200 ]
}
wait_for 5 signs
ok "rate: the next second has room" $?

# --- budget, on one day: first 300 a day, of which 10 are used
config "$(rule '"day"' '"sign"' 'uses_per_day = 300')"
reload
for _ in 1 2 3 4 5 6 7 8 9 10; do hmac "$DAY"; done
is "budget: granted" "$STATUS" 200
is "budget: where it is kept" "$(stat -c '%a %U' "$T/home/uses" "$T/home/uses"/* | sort -u | tr '\n' ,)" \
	"600 $(stat -c %U "$T/home"),700 $(stat -c %U "$T/home"),"
stop keyd
is "a clean stop" $? 0
like "budget: exact after it" "$(cat "$T/home/uses"/*)" "????-??-??T00:00:00Z 10"
config "$(rule '"day"' '"sign"' 'uses_per_day = 15')"
up
uses "$DAY"
is "budget: goes on after a restart, with another limit" "$N" 5
answer "budget: what it says" 401 '.message | test("^user '"$ME"' has used the key day as often as it may today: try again after ....-..-..T00:00:00Z, or raise uses_per_day")'
config ""
reload
hmac "$DAY"
is "budget: rule taken away" "$STATUS" 200
config "$(rule '"day"' '"sign"' 'uses_per_day = 15')"
reload
hmac "$DAY"
is "budget: and put back" "$STATUS" 401
stop keyd KILL
rm -rf "$T/home/uses"

# kill -9 at any moment: never more than 60, and none is lost where each is written
config "$(rule '"day"' '"sign"' 'uses_per_day = 60')"
: >"$T/granted"
for _ in 1 2 3 4 5; do
	up
	(while
		hmac "$DAY"
		[ "$STATUS" = 200 ]
	do echo >>"$T/granted"; done) 2>/dev/null &
	using=$!
	sleep "0.$((RANDOM % 10 + 5))"
	stop keyd KILL
	wait "$using" 2>/dev/null
done
up
uses "$DAY"
total=$(($(wc -l <"$T/granted") + N))
[ $total -le 60 ] && [ $total -ge 55 ] # at most one for each kill was counted and not answered
ok "budget: $total uses of 60 over five kills" $?
stop keyd

# a clock that goes on a day, and back
date -u -d tomorrow +'%FT00:00:00Z 60' >"$(find "$T/home/uses" -type f)"
up
hmac "$DAY"
answer "a clock set back gives nothing back" 401 ".message | contains(\"$(date -u -d '2 days' +%FT00:00:00Z)\")"
stop keyd
date -u -d yesterday +'%FT00:00:00Z 60' >"$(find "$T/home/uses" -type f)"
config "$(rule '"day"' '"sign"' 'uses_per_day = 7')"
up
uses "$DAY"
is "a new day" "$N" 7
stop keyd

# --- a damaged count is not taken for none
echo nonsense >"$(find "$T/home/uses" -type f)"
config "$(rule '"day"' '"sign"' 'uses_per_day = 60')
$(rule '"site"' '"sign"')"
up
hmac "$DAY"
answer "damaged count" 500 '.message == "internal error"'
like "damaged count: said in the log" "$(cat "$T/keyd.log")" "*uses/*is damaged: remove it*"
hmac "$SITE"
is "damaged count: other rules work" "$STATUS" 200
rm -f "$T/home/uses"/*
hmac "$DAY"
is "damaged count: removed" "$STATUS" 200
stop keyd
is "end: exit status" $? 0
suite_end
