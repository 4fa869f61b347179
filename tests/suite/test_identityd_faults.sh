#!/bin/bash
# No failure of the cloud, at any step, and no end of the process takes the device's identity away: a reprovisioning from an old
# hub to a new one, every fault at every step, kill -9 in the middle, and then a start without a network (identityd.md 4,
# user-needs.md R2 and R13, index-identity.md R3).
# shellcheck disable=SC2016,SC2317
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/identity.sh"
suite_begin "identityd keeps its identity"
for tool in jq curl openssl; do need_tool $tool || exit 77; done
identity_layout
cloud_start new --assigning 0
NEW=$PORT
cloud_start old --assigning 0
OLD=$PORT
keyd_start

V='api-version=2020-09-01'
api() { http "$RUN/identityd.sock" "$1" "$2$V" "${3-}"; }
device_hub() {
	api POST '/identities/device?' '{"type":"aziot"}'
	jq -r '.spec.hubName // .message' <<<"$BODY"
}
at_new() { PORT=$NEW "$@"; }
network_away() { at_new fault '"drop:times=0"' && PORT=$OLD fault '"drop:times=0"'; }
network_back() { at_new faults_clear && PORT=$OLD faults_clear; }
reprovision() { api POST '/identities/device/reprovision?' '{}'; }
PRINCIPAL='[[principal]]
uid = 4242
name = "hostmod"
idtype = ["module"]'

# --- an identity of the old hub, with a module
identityd_config dps
identityd_start
is "the old identity" "$(device_hub)" "localhost:$OLD"
api POST '/identities/modules?' '{"type":"aziot","moduleId":"m1"}'
answer "its module" 200
M1=$BODY
stop identityd
cp -a "$T/state/identityd" "$T/before"
PORT=$NEW
identityd_config dps "$PRINCIPAL"

# As before a reprovisioning: the old identity in force, DPS says the new hub.
begin() {
	rm -rf "$T/state/identityd"
	cp -a "$T/before" "$T/state/identityd"
	identityd_start
	: >"$T/new.jsonl"
}
# struck: the fault has had its way
struck() { grep -q '"fault":' "$T/new.jsonl"; }
# offline WHAT HUB...: killed, and started without a network, it serves the identity of one of these hubs
offline() {
	local what=$1 hub
	shift
	stop identityd KILL
	network_away
	identityd_start
	hub=$(device_hub)
	case " $* " in
	*" $hub "*) ok "$what: $hub" 0 ;;
	*) ok "$what: $hub instead of $*" 1 ;;
	esac
	if [ "$hub" = "localhost:$OLD" ]; then
		api GET '/identities/modules/m1?type=aziot&'
		is "$what: its module" "$BODY" "$M1"
	fi
	network_back
}

common="drop hang 401 429 500 truncated not-json oversized empty"
for step in register poll list create update; do
	case $step in
	poll) kinds="$common assigning failed disabled" ;;
	*) kinds=$common ;;
	esac
	case $step in
	# from here on the new hub has taken the device
	create | update) hubs="localhost:$OLD localhost:$NEW" ;;
	*) hubs="localhost:$OLD" ;;
	esac
	for kind in $kinds; do
		begin
		at_new fault "\"$kind:step=$step,times=0\""
		(reprovision) &
		CALL=$!
		wait_for 10 struck || ok "$kind at $step does not strike" 1
		# some faults are answered at once, others leave it waiting: either way it ends here
		[ "$kind" = hang ] || sleep 0.05
		# shellcheck disable=SC2086
		offline "$kind at $step" $hubs
		wait $CALL 2>/dev/null
		if [ $step = update ] || [ $step = create ]; then
			stop identityd
			identityd_start
			reprovision
			is "$kind at $step: reprovisioned after all" "$STATUS $(device_hub)" "204 localhost:$NEW"
			api GET '/identities/modules/hostmod?type=aziot&'
			GEN=$(jq -r .spec.genId <<<"$BODY")
			is "$kind at $step: the hub has the key of a module cut short" \
				"$(at_new hub_module press-07 hostmod | jq -r .authentication.symmetricKey.primaryKey)" \
				"$(printf %s "hostmod:$GEN:primary" | hmac_file "$T"/state/keyd/keys/aziotidentitydmasterid-*.key)"
			at_new registry DELETE press-07 /hostmod
		fi
		stop identityd
	done
done

# --- a call that fails says so, and what was there stays in force without any restart
begin
at_new fault '"failed:step=poll,times=0"'
reprovision
answer "refused by DPS" 404 '.message | startswith("DPS client error\ncaused by: ")'
is "still in force" "$(device_hub)" "localhost:$OLD"
at_new faults_clear
reprovision
answer "and then it works" 204
is "the new one is in force" "$(device_hub)" "localhost:$NEW"
is "and remembered" "$(grep -c "localhost:$NEW" "$T/state/identityd/device_info")" 2
is "backups of the old one are gone" "$(find "$T/state/identityd/modules" -name "$(printf 'localhost:%s' "$OLD" | sha256sum | cut -c1-64)*")" ""
stop identityd

# --- the hub no longer takes the device: DPS is asked by itself, and the old identity serves until the new one is proven
begin
stop identityd
PORT=$OLD fault '"401:step=list,times=0"'
identityd_start
on_new() { [ "$(device_hub)" = "localhost:$NEW" ]; }
wait_for 10 on_new
ok "rejected by the old hub: on the new one" $?
network_back
stop identityd

# --- kill -9 at any moment
for round in 1 2 3 4 5 6 7 8; do
	begin
	(reprovision) &
	CALL=$!
	sleep "$((RANDOM % 2)).$((RANDOM % 10))$((RANDOM % 10))"
	offline "killed, round $round" "localhost:$OLD" "localhost:$NEW"
	wait $CALL 2>/dev/null
	stop identityd KILL
done

# --- first provisioning: what fails is tried again
for spec in drop:step=register 500:step=poll truncated:step=register,after 401:step=list 429:step=register,retry-after=1; do
	rm -rf "$T/state/identityd"/*
	at_new fault "\"$spec\""
	identityd_start
	is "first start, $spec" "$(device_hub)" "localhost:$NEW"
	at_new faults_clear
	stop identityd
	is "first start, $spec: SIGTERM" $? 0
done
suite_end
