#!/bin/bash
# figures.sh - keyd's speed in one run of interleaved rounds, each figure with its goal: against a bare HTTP server and the operation
# in process, against a sign server written by hand, against direct use of a token and of a TPM, and beside two rivals.
#   ROUNDS (7), SECONDS_EACH (0.3)   medians are shown
# Costs (server CPU for each request) are compared on one core, where a wake-up costs the same for all; rates on all cores but where
# "one core" says otherwise.
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/../suite/lib.sh"
suite_begin "keyd's figures"
export AZIOT_LOG=info
# what else runs here is to disturb less, where that is allowed
priority() { { echo "$1" >/proc/self/autogroup; } 2>/dev/null || renice -n "$1" $$ >/dev/null 2>&1; }
cleanup() { priority 0; }
priority -15
ROUNDS=${ROUNDS:-7} EACH=${SECONDS_EACH:-0.3}
BENCH=$BUILD/bench
V=api-version=2021-05-01
ONE=$(($(nproc) - 1)) ALL=0-$(($(nproc) - 1))
OWNER=$(id -u) AS=()
! is_root || OWNER=$((UID0 + 1))
chmod 777 "$T"
skip() {
	echo "SKIP $1: $2"
	return 1
}
have() { command -v "$1" >/dev/null; }
first_of() { for f; do [ ! -e "$f" ] || { echo "$f"; return; }; done; }
descendants() { # descendants PID: it and all that it started, "1,2,3"
	local child
	printf %s "$1"
	for child in $(pgrep -P "$1"); do printf ,%s "$(descendants "$child")"; done
}
# keyd NAME, with more configuration from standard input; it serves $T/NAME.sock
keyd() {
	mkdir -m 700 "$T/$1.home"
	! is_root || chown "$OWNER" "$T/$1.home"
	{
		printf 'max_requests = 64\n[aziot_keys]\nhomedir_path = "%s"\n' "$T/$1.home"
		cat
		printf '[endpoints]\naziot_keyd = "unix://%s"\naziot_tpmd = "unix://%s"\n[[principal]]\nuid = %s\nkeys = ["*"]\n' \
			"$T/$1.sock" "$T/tpmd.sock" "$(id -u)"
	} >"$T/$1.toml"
	chmod 644 "$T/$1.toml"
	start "$1" "$BIN/keyd" --config "$T/$1.toml" --config-dir "$T/none" "${AS[@]}"
	wait_for 10 listening "$T/$1.sock" && return 0
	tail -3 "$T/$1.log"
	skip "$1" "keyd does not start with it"
}
# request NAME PATH BODY MEMBER SIGN-BODY: makes a key, and $T/NAME.OP of a printf format for its handle
handle() { # handle NAME PATH BODY: sets HANDLE
	http "$T/$1.sock" POST "$2?$V" "$3"
	HANDLE=$(jq -r .keyHandle <<<"$BODY")
	[ "$STATUS" = 200 ] || skip "$1" "no key: $BODY"
}
random() { head -c "$1" /dev/urandom | base64 -w0; }
ecdsa() { printf '{"keyHandle":"%s","algorithm":"ECDSA","parameters":{"digest":"%s"}}' "$HANDLE" "$(random 32)" >"$T/$1.ecdsa"; }

# --- file keys, and what they are measured against
! is_root || AS=(--user "$(user 1)")
keyd file </dev/null || exit 1
handle file /keypair '{"keyId":"pair"}' && ecdsa file
handle file /key '{"keyId":"key","usage":"sign"}'
printf '{"keyHandle":"%s","algorithm":"HMAC-SHA256","parameters":{"message":"%s"}}' "$HANDLE" "$(random 64)" >"$T/file.hmac"
handle file /keypair '{"keyId":"rsa","preferredAlgorithms":"rsa-2048"}'
printf '{"keyHandle":"%s","algorithm":"RSA-PKCS1","plaintext":"%s"}' "$HANDLE" "$(random 51)" >"$T/file.rsa"
start bare "$BENCH/bare" "$T/bare.sock"
start sign "$BENCH/sign" "$T/sign.sock"
wait_socket bare "$T/bare.sock"
wait_socket sign "$T/sign.sock"

# --- a token
MODULE=$(first_of /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so /usr/lib64/pkcs11/libsofthsm2.so)
token() {
	[ -x "$BENCH/token" ] || skip "token" "p11-kit's headers are not installed" || return
	[ -n "$MODULE" ] && have softhsm2-util || skip "token" "SoftHSM is not installed" || return
	mkdir -p "$T/softhsm/tokens"
	printf 'directories.tokendir = %s/softhsm/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' "$T" >"$T/softhsm/softhsm2.conf"
	export SOFTHSM2_CONF=$T/softhsm/softhsm2.conf
	softhsm2-util --init-token --free --label bench --pin 1234 --so-pin 5678 >"$T/softhsm.log" || return
	"$BENCH/token" "$MODULE" bench 1234 1 0 >/dev/null || return
	! is_root || chown -R "$OWNER" "$T/softhsm"
	HAS_SOFTHSM=1
	keyd token <<-EOT || return
		[backends.hsm]
		type = "pkcs11"
		library = "$MODULE"
		token = "pkcs11:token=bench?pin-value=1234"
		paths = ["$T/softhsm"]
		[[placement]]
		keys = ["*"]
		backend = "hsm"
	EOT
	handle token /keypair '{"keyId":"pair","preferredAlgorithms":"ec-p256"}' && ecdsa token
}
HAS_SOFTHSM='' HAS_TOKEN='' HAS_P11KIT=''
! token || HAS_TOKEN=1
P11_CLIENT=$(first_of /usr/lib/*/pkcs11/p11-kit-client.so /usr/lib64/pkcs11/p11-kit-client.so)
p11kit() {
	[ -n "$HAS_SOFTHSM" ] && have p11-kit && [ -n "$P11_CLIENT" ] || skip "p11-kit server" "it or SoftHSM is not installed" || return
	start p11kit p11-kit server -f -p "$MODULE" -n "$T/p11kit.sock" "pkcs11:token=bench"
	export P11_KIT_SERVER_ADDRESS=unix:path=$T/p11kit.sock
	wait_for 5 test -S "$T/p11kit.sock" || skip "p11-kit server" "it does not start"
}
! p11kit || HAS_P11KIT=1
# --- a TPM
HAS_TPM=''
tpm() {
	[ -x "$BENCH/esapi" ] || skip "TPM" "tpm2-tss is not installed" || return
	have swtpm && have tpm2_getcap || skip "TPM" "swtpm or tpm2-tools is not installed" || return
	# shellcheck source=tests/suite/tpm.sh
	. "$TOP/tests/suite/tpm.sh"
	tpm_start
	TCTI=swtpm:host=127.0.0.1,port=$TPM_PORT
	printf 'tcti = "%s"\n[endpoints]\naziot_tpmd = "unix://%s"\n[[principal]]\nuid = %s\n' \
		"$TCTI" "$T/tpmd.sock" "$OWNER" >"$T/tpmd.toml"
	! is_root || AS=(--user "$(user 4)")
	start tpmd "$BIN/tpmd" --config "$T/tpmd.toml" --config-dir "$T/none" "${AS[@]}"
	wait_socket tpmd "$T/tpmd.sock"
	! is_root || AS=(--user "$(user 1 4)")
	keyd tpm <<-EOT || return
		[backends.chip]
		type = "tpm"
		[[placement]]
		keys = ["*"]
		backend = "chip"
	EOT
	handle tpm /keypair '{"keyId":"pair","preferredAlgorithms":"ec-p256"}' && ecdsa tpm
}
! tpm || HAS_TPM=1

# --- an SSH agent
HAS_AGENT=''
agent() {
	have ssh-agent && have ssh-add || skip "ssh-agent" "it is not installed" || return
	start agent ssh-agent -D -a "$T/agent.sock"
	ssh-keygen -q -t ecdsa -b 256 -N '' -f "$T/id" 2>"$T/keygen.log" || skip "ssh-agent" "ssh-keygen makes no key" || return
	wait_for 5 env "SSH_AUTH_SOCK=$T/agent.sock" ssh-add -q "$T/id" || skip "ssh-agent" "it takes no key"
}
! agent || HAS_AGENT=1

# --- rounds
ask() { # ask NAME OP CLIENTS kept|each [CORES [PIDS]]
	local target=/sign
	[ "$2" != rsa ] || target=/encrypt
	taskset -c "${5:-$ALL}" "$BENCH/load" "$T/$1.sock" "${6:-${PID[$1]}}" "$3" "$4" "$EACH" "$target?$V" "$T/${7:-$1}.$2"
}
pin() {
	local name pid
	for name in bare sign file ${HAS_TOKEN:+token}; do
		for pid in $(descendants "${PID[$name]}" | tr , ' '); do taskset -acp "$1" "$pid" >/dev/null; done
	done
}
for ((round = 0; round < ROUNDS; round++)); do
	pin "$ONE"
	for op in ecdsa hmac; do
		for clients in 1 8; do
			echo "bare.$op.$clients $(ask bare $op $clients kept "$ONE" '' file)"
			echo "file.$op.$clients $(ask file $op $clients kept "$ONE")"
		done
		echo "bare.$op.each $(ask bare $op 8 each "$ONE" '' file)"
		echo "file.$op.each $(ask file $op 8 each "$ONE")"
	done
	read -r e h r rate < <(taskset -c "$ONE" "$BENCH/inproc")
	printf 'op.ecdsa 0 0 %s\nop.hmac 0 0 %s\nop.rsa %s 0 %s\n' "$e" "$h" "$rate" "$r"
	echo "file.rsa.8 $(ask file rsa 8 kept "$ONE")"
	if [ -n "$HAS_TOKEN" ]; then
		echo "ctoken.one $(taskset -c "$ONE" "$BENCH/token" "$MODULE" bench 1234 8 "$EACH")"
		echo "token.one $(ask token ecdsa 8 kept "$ONE" "$(descendants "${PID[token]}")")"
	fi
	pin "$ALL"
	for clients in 1 8; do
		echo "sign.all.$clients $(ask sign ecdsa $clients kept '' '' file)"
		echo "file.all.$clients $(ask file ecdsa $clients kept)"
		[ -z "$HAS_AGENT" ] || echo "agent.$clients $("$BENCH/agent" "$T/agent.sock" "${PID[agent]}" $clients "$EACH")"
		[ -z "$HAS_P11KIT" ] || echo "p11kit.$clients $("$BENCH/token" "$P11_CLIENT" bench 1234 $clients "$EACH")"
		if [ -n "$HAS_TOKEN" ]; then
			echo "ctoken.$clients $("$BENCH/token" "$MODULE" bench 1234 $clients "$EACH")"
			echo "token.$clients $(ask token ecdsa $clients kept '' "$(descendants "${PID[token]}")")"
		fi
		if [ -n "$HAS_TPM" ]; then
			echo "esapi.$clients $("$BENCH/esapi" "$TCTI" $clients "$EACH")"
			echo "tpm.$clients $(ask tpm ecdsa $clients kept)"
		fi
	done
done >"$T/samples"

awk '
function median(list,   v, n, i, j, t) {
	n = split(list, v, " ")
	for (i = 2; i <= n; i++)
		for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
	return v[int((n + 1) / 2)]
}
function rate(key) { return median(rates[key]) }
function cpu(key) { return median(cpus[key]) }
# of each round, since its two halves were measured one behind the other
function quotient(a, b,   n, i, v, w, list) {
	n = split(rates[a], v, " ")
	split(rates[b], w, " ")
	for (i = 1; i <= n; i++) list = list " " v[i] / w[i]
	return median(list)
}
# "at most" goals are written as negative ones
function figure(what, value, goal, detail,   met) {
	met = goal < 0 ? value <= -goal : value >= goal
	printf "%-58s %7.2f   goal %s %-5g %-7s %s\n", what, value, goal < 0 ? "<=" : ">=", goal < 0 ? -goal : goal, met ? "met" : "NOT MET", detail
}
function row(what, key) {
	if (key ".8" in rates)
		printf "%-58s %7d/s %5d us   8 clients %7d/s %5d us\n", what, rate(key ".1"), median(p50s[key ".1"]), rate(key ".8"), median(p50s[key ".8"])
}
function share(op, n,   b, o, k) {
	b = cpu("bare." op "." n); o = cpu("op." op); k = cpu("file." op "." n)
	return sprintf("%.1f us; bare %.1f, operation %.1f", k, b, o)
}
NF == 4 { rates[$1] = rates[$1] " " $2; p50s[$1] = p50s[$1] " " $3; cpus[$1] = cpus[$1] " " $4 }
END {
	split("1 8 each", n, " ")
	for (i = 1; i <= 2; i++)
		figure("P-256 sign, CPU / (bare + in process), " n[i] " client" (i > 1 ? "s" : ""), cpu("file.ecdsa." n[i]) / (cpu("bare.ecdsa." n[i]) + cpu("op.ecdsa")), -1.15, share("ecdsa", n[i]))
	figure("P-256 sign, rate at 8 clients / sign server by hand", quotient("file.all.8", "sign.all.8"), 0.9, sprintf("%d/s; %d/s", rate("file.all.8"), rate("sign.all.8")))
	for (i = 1; i <= 2; i++)
		figure("HMAC-SHA256, CPU / bare, " n[i] " client" (i > 1 ? "s" : ""), cpu("file.hmac." n[i]) / cpu("bare.hmac." n[i]), -1.25, share("hmac", n[i]))
	figure("RSA-2048 PKCS#1, rate / in process, one core", quotient("file.rsa.8", "op.rsa"), 0.9, sprintf("%d/s; %d/s", rate("file.rsa.8"), rate("op.rsa")))
	if ("token.8" in rates) {
		figure("SoftHSM P-256, rate at 8 clients / direct C_Sign", quotient("token.8", "ctoken.8"), 0.6, sprintf("%d/s; %d/s", rate("token.8"), rate("ctoken.8")))
		figure("SoftHSM P-256, CPU added to direct C_Sign, us", cpu("token.one") - cpu("ctoken.one"), -60, sprintf("%.1f us; %.1f us", cpu("token.one"), cpu("ctoken.one")))
	}
	if ("tpm.8" in rates)
		figure("TPM P-256, rate at 8 clients / direct ESAPI", quotient("tpm.8", "esapi.8"), 0.9, sprintf("%d/s; %d/s", rate("tpm.8"), rate("esapi.8")))
	for (i = 1; i <= 2; i++) {
		op = i == 1 ? "ecdsa" : "hmac"
		printf "%-58s %7.2f   %s\n", op ", connection per request, CPU / (bare + in process)", cpu("file." op ".each") / (cpu("bare." op ".each") + cpu("op." op)), share(op, "each")
	}
	printf "\n%s\n", "P-256 signatures over a socket                             1 client       p50"
	row("keyd", "file.all")
	row("sign server by hand (libmicrohttpd, one key, no checks)", "sign.all")
	row("keyd, key on SoftHSM", "token")
	row("p11-kit server, key on SoftHSM", "p11kit")
	row("SoftHSM in process (C_Sign)", "ctoken")
	row("ssh-agent", "agent")
	row("keyd, key in the TPM (swtpm)", "tpm")
	row("TPM by ESAPI (swtpm)", "esapi")
}' "$T/samples"
[ -z "${SAMPLES:-}" ] || cp "$T/samples" "$SAMPLES"
exit 0
