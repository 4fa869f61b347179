# shellcheck shell=bash
# tpm.sh - a software TPM for the suite's scripts; sourced behind lib.sh.  TPM2TOOLS_TCTI leads tpm2-tools to the one started last.
mkdir "$T/tpm"

# tpm_start: on a pair of ports beside each other, which the TCTI wants, free on this machine; later again on
# the same one where TPM_FIXED is set, with the state in TPM_STATE if that is.  They are below the kernel's own
# range (ip_local_port_range starts at 32768), out of which any client on this machine may hold one.
tpm_start() {
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		[ -n "${TPM_PORT:-}" ] || TPM_PORT=$((20000 + RANDOM % 12000))
		start swtpm swtpm socket --tpm2 --tpmstate "dir=${TPM_STATE:-$T/tpm}" --server "type=tcp,port=$TPM_PORT,bindaddr=127.0.0.1" \
			--ctrl "type=tcp,port=$((TPM_PORT + 1)),bindaddr=127.0.0.1" --flags not-need-init,startup-clear
		export TPM2TOOLS_TCTI=swtpm:host=127.0.0.1,port=$TPM_PORT
		# the one that answers may be another script's, whose port this one could not have
		if wait_for 5 tpm_answers && alive swtpm; then
			# a TPM counts each hard end as a try at its passwords
			tpm2_dictionarylockout -Q --clear-lockout
			return 0
		fi
		stop swtpm
		[ -z "${TPM_FIXED:-}" ] || continue
		TPM_PORT=
	done
	echo "FAIL swtpm does not start:"
	cat "$T/swtpm.log"
	exit 1
}
tpm_answers() { gone swtpm || tpm2_getcap properties-fixed; } # or never will
tpm_stop() { stop swtpm "${1:-TERM}"; }
# bus_start: a relay before the TPM, at BUS_PORT and the port behind it, that writes down what crosses it
bus_start() {
	local relay
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		BUS_PORT=$((20000 + RANDOM % 12000))
		for relay in 0 1; do
			start "bus$relay" socat -r "$T/bus.to" -R "$T/bus.from" "TCP-LISTEN:$((BUS_PORT + relay)),bind=127.0.0.1,fork" \
				"TCP:127.0.0.1:$((TPM_PORT + relay))"
		done
		if wait_for 5 bus_answers && alive bus0 && alive bus1; then
			return 0
		fi
		stop bus0
		stop bus1
	done
	echo "FAIL the relay before the TPM does not start"
	exit 1
}
bus_answers() { gone bus0 || gone bus1 || env "TPM2TOOLS_TCTI=swtpm:host=127.0.0.1,port=$BUS_PORT" tpm2_getcap properties-fixed; }
# bus_carried FILE: have these bytes crossed it, either way?
bus_carried() { cat "$T/bus.to" "$T/bus.from" | xxd -p | tr -d '\n' | grep -qF "$(hex "$1")"; }
crossed() { bus_carried "$2"; ok "in clear: $1" $?; }
hidden() { ok "not in clear: $1" "$(bus_carried "$2"; echo $((! $?)))"; }
transients() { tpm2_getcap handles-transient; tpm2_getcap handles-loaded-session; }
hex() { od -An -v -tx1 "$1" | tr -d ' \n'; }
