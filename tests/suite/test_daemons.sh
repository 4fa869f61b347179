#!/bin/bash
# What every daemon has in common, tried on each of the real five: options and exit statuses, where the configuration is, the missing
# user, the sandbox's table, socket activation, notices, bad input, the end with a request in flight, what the logs never say.
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
need_root "the daemons" || exit 77
for tool in jq curl openssl swtpm tpm2_getcap socat unshare; do need_tool $tool || exit 77; done
suite_begin "every daemon"
# shellcheck source=tests/suite/tpm.sh
. "$(dirname "$0")/tpm.sh"
tpm_start
DAEMONS="keyd certd identityd tpmd edged"
export AZIOT_LOG=trace
RUN=$T/run
mkdir -m 755 "$RUN" "$T/etc" "$T/state"

declare -A UID_OF=([keyd]=1 [certd]=2 [identityd]=3 [tpmd]=4 [edged]=5) \
	SERVICE_USER=([keyd]=aziotks [certd]=aziotcs [identityd]=aziotid [tpmd]=aziottpm [edged]=iotedge) \
	SOCKET=([keyd]=$RUN/keyd.sock [certd]=$RUN/certd.sock [identityd]=$RUN/identityd.sock [tpmd]=$RUN/tpmd.sock [edged]=$RUN/mgmt.sock) \
	VERSION=([keyd]=2021-05-01 [certd]=2020-09-01 [identityd]=2020-09-01 [tpmd]=2020-09-01 [edged]=2022-08-03)
for d in $DAEMONS; do
	mkdir -m 700 "$T/state/$d"
	mkdir -m 755 "$T/etc/$d"
	chown $((UID0 + UID_OF[$d])) "$T/state/$d"
done
install -d -m 700 -o $((UID0 + 5)) "$T/state/edged/cache"

# The sockets in `[endpoints]` are where a daemon would make its own; $1 is the directory.
configure() {
	cat >"$T/etc/keyd/c.toml" <<EOT
[aziot_keys]
homedir_path = "$T/state/keyd"
[endpoints]
aziot_keyd = "unix://$1/keyd.sock"
EOT
	cat >"$T/etc/certd/c.toml" <<EOT
homedir_path = "$T/state/certd"
[endpoints]
aziot_certd = "unix://$1/certd.sock"
aziot_keyd = "unix://$RUN/keyd.sock"
EOT
	cat >"$T/etc/identityd/c.toml" <<EOT
hostname = "press-07"
homedir = "$T/state/identityd"
[provisioning]
source = "manual"
iothub_hostname = "localhost:1"
device_id = "press-07"
[provisioning.authentication]
method = "sas"
device_id_pk = "device-id"
[endpoints]
aziot_identityd = "unix://$1/identityd.sock"
aziot_keyd = "unix://$RUN/keyd.sock"
EOT
	cat >"$T/etc/tpmd/c.toml" <<EOT
tcti = "swtpm:host=127.0.0.1,port=$TPM_PORT"
[endpoints]
aziot_tpmd = "unix://$1/tpmd.sock"
EOT
	cat >"$T/etc/edged/c.toml" <<EOT
hostname = "press-07"
homedir = "$T/state/edged"
[agent]
name = "edgeAgent"
type = "docker"
[agent.config]
image = "absent:1"
[connect]
management_uri = "unix:///var/run/iotedge/mgmt.sock"
workload_uri = "unix:///var/run/iotedge/workload.sock"
[listen]
management_uri = "unix://$1/mgmt.sock"
workload_uri = "unix://$1/workload.sock"
[moby_runtime]
uri = "unix://$T/engine.sock"
network = "none"
[endpoints]
aziot_keyd_url = "unix://$RUN/keyd.sock"
aziot_certd_url = "unix://$RUN/certd.sock"
aziot_identityd_url = "unix://$RUN/identityd.sock"
EOT
	chmod 644 "$T"/etc/*/c.toml
}
configure "$RUN"
run() { # run DAEMON ARGUMENT...: to its end; what it says is in OUT, its status in CODE
	OUT=$(timeout 120 "$BIN/$1" "${@:2}" 2>&1)
	CODE=$?
}
with() { run "$1" --config "$T/etc/$1/c.toml" --config-dir "$T/none" --user "$(user "${UID_OF[$1]}" 6)" "${@:2}"; }

# --- options, exit statuses, where the configuration is
for d in $DAEMONS; do
	run "$d" --version
	like "$d --version" "$CODE $OUT" "0 $d [0-9]*.[0-9]*.[0-9]*"
	run "$d" --help
	is "$d --help" "$CODE" 0
	for o in --config --config-dir --user --sandbox --sandbox-probe --check --version --help "AZIOT_${d^^}_CONFIG" "AZIOT_${d^^}_CONFIG_DIR" \
		AZIOT_LOG "/etc/aziot/$d/config.toml" "/etc/aziot/$d/config.d" "${SERVICE_USER[$d]}"; do
		like "$d --help names $o" "$OUT" "*$o*"
	done
	# what is read again (common.md 2): not tpmd's; nor edged's
	case $d in
	tpmd | edged) like "$d --help: SIGHUP" "$OUT" "*a changed configuration counts after a restart*" ;;
	*) like "$d --help: SIGHUP" "$OUT" "*SIGHUP reads the configuration again*" ;;
	esac
	for o in --nonsense word --config --sandbox=hard; do
		run "$d" $o
		is "$d $o: exit status" "$CODE" 2
		like "$d $o: usage" "$OUT" "*usage: $d *"
	done
	with "$d" --check
	is "$d --check: good: exit status" "$CODE" 0
	bad=1
	[ "$d" != edged ] || bad=153
	mkdir -p "$T/etc/$d/bad.d"
	printf '\n[endpoints\n' >"$T/etc/$d/bad.d/90-typo.toml"
	cp "$T/etc/$d/c.toml" "$T/etc/$d/bad.d/notes.txt"
	with "$d" --config-dir "$T/etc/$d/bad.d" --check
	is "$d --check: bad: exit status" "$CODE" 1
	like "$d --check: file and line of a drop-in" "$OUT" "*$T/etc/$d/bad.d/90-typo.toml:2:*"
	with "$d" --config-dir "$T/etc/$d/bad.d"
	is "$d: bad configuration: exit status" "$CODE" $bad
	like "$d: bad configuration: said" "$OUT" "*<3>*$T/etc/$d/bad.d/90-typo.toml:2:*"
	printf '[endpoints]\naziot_%s%s = 5\n' "$([ "$d" = edged ] && echo keyd || echo "$d")" "$([ "$d" != edged ] || echo _url)" >"$T/etc/$d/bad.d/90-typo.toml"
	with "$d" --config-dir "$T/etc/$d/bad.d" --check
	like "$d --check: file, line and key" "$CODE $OUT" "1 *$T/etc/$d/bad.d/90-typo.toml:2: key endpoints.aziot_*"
	# the environment (common.md 1), and that an option goes before it
	OUT=$(env "AZIOT_${d^^}_CONFIG=$T/etc/$d/c.toml" "AZIOT_${d^^}_CONFIG_DIR=$T/none" "$BIN/$d" --check 2>&1)
	is "$d: \$AZIOT_${d^^}_CONFIG: $OUT" $? 0
	OUT=$(env "AZIOT_${d^^}_CONFIG=$T/etc/$d/c.toml" "AZIOT_${d^^}_CONFIG_DIR=$T/etc/$d/bad.d" "$BIN/$d" --check 2>&1)
	like "$d: \$AZIOT_${d^^}_CONFIG_DIR" "$? $OUT" "1 *90-typo.toml*"
	OUT=$(env "AZIOT_${d^^}_CONFIG=$T/none" "AZIOT_${d^^}_CONFIG_DIR=$T/etc/$d/bad.d" "$BIN/$d" --config "$T/etc/$d/c.toml" --config-dir "$T/none" --check 2>&1)
	is "$d: options go before the environment: $OUT" $? 0
	# users
	with "$d" --user no-such-user
	is "$d: no such user: exit status" "$CODE" 1
	like "$d: no such user: the remedy" "$OUT" "*no user no-such-user; install the package or pass --user*"
	if ! id "${SERVICE_USER[$d]}" >/dev/null 2>&1; then
		run "$d" --config "$T/etc/$d/c.toml" --config-dir "$T/none"
		is "$d: service user missing: exit status" "$CODE" 1
		like "$d: service user missing: the remedy" "$OUT" "*no user ${SERVICE_USER[$d]}; install the package or pass --user*"
	fi
	is "$d: none of this made a socket" "$(ls "$RUN")" ""
done

# --- what the sandbox refuses, as docs/security.md and each sandbox.c declare it; the rest of the trials is refused for everybody.
# Another daemon's directory is there and open to everybody, so that only the policy refuses it; but to the spawner, which
# has no Landlock (its children have theirs), it is closed as on a device.
allowed() {
	case $1 in
	keyd)
		# its key workers' roles, and the spawners that start them
		echo "keyd own-dir"
		# and `edgekeep doctor keys`, which has the vendors' policies
		printf 'keyd: worker-%s\n' 'tpm unix' 'vendor code' 'vendor unix' 'network code' 'network inet' 'network unix' \
			'vendor code' 'vendor unix' 'network code' 'network inet' 'network unix'
		printf 'keyd: spawner %s\n' exec fork code unix
		printf 'keyd: spawner-network %s\n' exec fork code inet unix
		;;
	certd) printf 'certd %s\n' unix own-dir ;;
	identityd) printf 'identityd %s\n' code inet unix own-dir ;; # name resolution loads libraries
	tpmd) printf 'tpmd-simulator %s\n' inet unix ;;
	edged)
		printf 'edged %s\n' unix own-dir engine
		printf 'edged: spawner %s\n' exec fork code # to start the workload process
		;;
	esac
}
if [ -z "$INSTRUMENTED" ]; then
	socat "UNIX-LISTEN:$T/engine.sock,mode=666" EXEC:true &
	PID[engine]=$!
	wait_for 5 test -S "$T/engine.sock"
	for d in $DAEMONS; do
		mode=755 roles=1
		[ "$d" != tpmd ] || roles=2
		[ "$d" != keyd ] || mode=700 roles=11 # with those of key workers and of `edgekeep keys wrap`, `unwrap` and `doctor keys`
		[ "$d" != edged ] || mode=700 roles=3
		# shellcheck disable=SC2016
		unshare --mount --propagation private sh -c 'mount -t tmpfs none /var/lib && mkdir -p /var/lib/aziot &&
			mkdir -m "$1" /var/lib/aziot/keyd /var/lib/aziot/certd && shift && exec "$@"' sh $mode \
			"$BIN/$d" --config "$T/etc/$d/c.toml" --config-dir "$T/none" --user "$(user "${UID_OF[$d]}" 6)" --sandbox-probe \
			>"$T/probe" 2>"$T/probe.err"
		code=$?
		is "$d --sandbox-probe: $(grep declared "$T/probe.err")" $code 0
		is "$d --sandbox-probe: allowed" "$(sed -n 's/ allowed$//p' "$T/probe")" "$(allowed "$d")"
		is "$d --sandbox-probe: nothing is absent" "$(grep -cE ' (absent|not-run)$' "$T/probe")" 0
		for t in ptrace shadow other-dir io_uring bpf keyctl userns; do
			is "$d --sandbox-probe: $t is refused to each role" "$(grep -c " $t refused$" "$T/probe")" $roles
		done
	done
	stop engine
	rm -f "$T/engine.sock"
fi

# --- socket activation and notices: `unit` does what systemd does; the paths of the configuration cannot be bound
configure "$T/nowhere"
# systemd's default names: those of the units (common.md 3); two for edged
inherits() {
	case $1 in
	edged) echo "aziot-edged.mgmt.socket=$RUN/mgmt.sock aziot-edged.workload.socket=$RUN/workload.sock" ;;
	*) echo "aziot-$1.socket=$RUN/$1.sock" ;;
	esac
}
up() { # up DAEMON
	# shellcheck disable=SC2046
	start "$1" "$BUILD/suite/unit" "$T/$1.notices" $(inherits "$1") -- "$BIN/$1" --config "$T/etc/$1/c.toml" --config-dir "$T/none" \
		--user "$(user "${UID_OF[$1]}" 6)"
	wait_socket "$1" "${SOCKET[$1]}" 20
}
for d in $DAEMONS; do
	up "$d"
	confined "$d" "${PID[$d]}"
	is "$d: runs as its user" "$(awk '/^Uid:/ {print $2, $3, $4}' "/proc/${PID[$d]}/status")" "$(echo $((UID0 + UID_OF[$d])){,,})"
	http "${SOCKET[$d]}" GET "/status?api-version=${VERSION[$d]}"
	answer "$d serves the socket that it inherited" 200 ".daemon == \"$d\" and (.sandbox | length > 0)"
	wait_for 5 grep -q READY=1 "$T/$d.notices"
	like "$d: STATUS, then READY" "$(cat "$T/$d.notices")" "*STATUS=*READY=1*"
done
if [ -z "$INSTRUMENTED" ]; then
	# edged's other child is of `unit`
	spawner=$(for p in $(pgrep -P "${PID[edged]}"); do [[ $(readlink "/proc/$p/exe") != */edged ]] || echo "$p"; done)
	confined "edged: spawner" "$spawner"
	confined "edged: workload" "$(pgrep -P "$spawner")"
fi
# every descriptor must be a listening socket
OUT=$("$BUILD/suite/unit" "$T/x.notices" "other=$T/x.sock" -- sh -c 'exec 3</dev/null; exec "$@"' sh "$BIN/keyd" --config "$T/etc/keyd/c.toml" \
	--config-dir "$T/none" --user "$(user 1)" 2>&1)
like "a descriptor that is no socket: no start" "$? $OUT" "1 *"
# the descriptor of one listener is not taken for another (edged-weaknesses.md B3)
OUT=$(timeout 120 "$BUILD/suite/unit" "$T/x.notices" "other=$T/x.sock" -- "$BIN/edged" --config "$T/etc/edged/c.toml" --config-dir "$T/none" \
	--user "$(user 5)" 2>&1)
like "edged does not take a descriptor of another name" "$? $OUT" "1 *nowhere*"

# --- bad input on every socket (common.md 5, edged-management.md 1.3): the contract's status, a message, nothing written
listing() { find "$T/state" -path "$T/state/tpmd" -prune -o -printf '%p %s %T@ %m\n' | LC_ALL=C sort; }
before=$(listing)
bad_input keyd "$RUN/keyd.sock" 2021-05-01 /sign 400
bad_input certd "$RUN/certd.sock" 2020-09-01 /certificates 400
bad_input identityd "$RUN/identityd.sock" 2020-09-01 /identities/modules 400
bad_input tpmd "$RUN/tpmd.sock" 2020-09-01 /sign_with_auth_key 400
# what is guarded there is refused before a body is missed
bad_input "edged, management" "$RUN/mgmt.sock" 2022-08-03 /modules 403 403
is "bad input: nothing was written" "$(listing)" "$before"
for d in $DAEMONS; do
	alive "$d"
	ok "bad input: $d is alive" $?
	http "${SOCKET[$d]}" GET "/status?api-version=${VERSION[$d]}"
	is "bad input: and answers" "$STATUS" 200
done

# --- SIGHUP where nothing is read again
for d in tpmd edged; do
	kill -HUP "${PID[$d]}"
	wait_for 5 grep -q 'SIGHUP: there is nothing to read again' "$T/$d.log"
	ok "$d: SIGHUP is noted" $?
	alive "$d"
	ok "$d: and lives" $?
done

# --- SIGTERM with a request in flight: the peer that it waits for is frozen meanwhile
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$T/ca.key" -out "$T/ca.pem" -subj /CN=ca -days 2 2>/dev/null
openssl req -new -key "$T/ca.key" -out "$T/ca.csr" -subj /CN=leaf 2>/dev/null
http "$RUN/certd.sock" PUT "/certificates/ca?api-version=2020-09-01" "$(jq -Rs '{pem: .}' "$T/ca.pem")"
answer "certd: an issuer" 201
issue=$(jq -Rs '{certId: "leaf", csr: ., issuer: {certId: "ca", privateKeyHandle: "none"}}' "$T/ca.csr")
in_flight() { # in_flight DAEMON FROZEN STATUS METHOD TARGET [BODY]
	local d=$1 frozen=${PID[$2]} asking
	kill -STOP "$frozen"
	(
		http "${SOCKET[$d]}" "${@:4}"
		echo "$STATUS" >"$T/in-flight"
	) &
	asking=$!
	wait_for 5 connected "${SOCKET[$d]}"
	sleep 0.3
	kill -TERM "${PID[$d]}"
	sleep 0.3
	kill -CONT "$frozen"
	wait "${PID[$d]}"
	is "$d: SIGTERM with a request in flight: exit status" $? 0
	unset "PID[$d]"
	wait $asking
	like "$d: and the request is answered" "$(cat "$T/in-flight")" "$3"
	grep -qx STOPPING=1 "$T/$d.notices"
	ok "$d: STOPPING" $?
}
# an engine that takes its time
printf '#!/bin/sh\nsleep 0.6\nprintf "HTTP/1.1 500 Error\\r\\nContent-Length: 2\\r\\n\\r\\n{}"\n' >"$T/engine"
chmod 755 "$T/engine"
start engine socat "UNIX-LISTEN:$T/engine.sock,fork,mode=666" "EXEC:$T/engine"
wait_for 5 test -S "$T/engine.sock"
in_flight edged engine 500 GET "/systeminfo?api-version=2022-08-03"
in_flight identityd keyd '[45]0?' POST "/identities/device?api-version=2020-09-01" '{"type":"aziot"}'
in_flight certd keyd 500 POST "/certificates?api-version=2020-09-01" "$issue"
in_flight tpmd swtpm 200 GET "/get_tpm_keys?api-version=2020-09-01"
stop keyd
is "keyd: SIGTERM: exit status" $? 0
grep -qx STOPPING=1 "$T/keyd.notices"
ok "keyd: STOPPING" $?
suite_end
