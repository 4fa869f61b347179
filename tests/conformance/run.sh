#!/bin/bash
# run.sh - what `make backend-conformance` does: one contract test over a backend (docs/key-backends.md 7).
#
#   BACKEND   file; pkcs11: SoftHSM, or LIBRARY and TOKEN; tpm2-pkcs11: that module on a software TPM; tpm: our tpmd on one;
#             /path/to/library.so
#   SET       parameters of a library: NAME=VALUE...
#   OPTIONS   further options of backend-conformance
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/../suite/lib.sh"
usage() {
	echo "usage: make backend-conformance BACKEND=file|pkcs11|tpm|/path/to/library.so [SET='NAME=VALUE...']" >&2
	exit 2
}
BACKEND=${BACKEND:-}
how=()
missing() {
	echo "SKIP issue 3: $1"
	exit 77
}
case $BACKEND in
file | pkcs11 | tpm2-pkcs11 | tpm) ;;
/*)
	for word in ${SET:-}; do how+=(--set "$word"); done
	;;
*) usage ;;
esac
suite_begin "backend $BACKEND"
mkdir -m 700 "$T/home"
if [ "$BACKEND" = pkcs11 ]; then
	if [ -z "${LIBRARY:-}" ]; then
		command -v softhsm2-util >/dev/null || missing "SoftHSM is not installed"
		for LIBRARY in /usr/lib/softhsm /usr/lib64/pkcs11 /usr/lib64/softhsm; do
			LIBRARY=$LIBRARY/libsofthsm2.so
			[ ! -r "$LIBRARY" ] || break
		done
		mkdir "$T/tokens"
		export SOFTHSM2_CONF=$T/softhsm2.conf
		printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' "$T" >"$SOFTHSM2_CONF"
		softhsm2-util --init-token --free --label conformance --pin 1234 --so-pin 5678 >"$T/softhsm.log" || exit 1
		TOKEN='pkcs11:token=conformance?pin-value=1234'
	fi
	how+=(--library "$LIBRARY" --token "${TOKEN:-}")
fi
case $BACKEND in
tpm*)
	for tool in swtpm tpm2_getcap; do
		command -v $tool >/dev/null || missing "$tool is not installed"
	done
	# shellcheck source=tests/suite/tpm.sh
	. "$TOP/tests/suite/tpm.sh"
	tpm_start
	;;
esac
if [ "$BACKEND" = tpm2-pkcs11 ]; then
	LIBRARY=$(find /usr/lib /usr/lib64 -name libtpm2_pkcs11.so -print -quit 2>/dev/null)
	[ -n "$LIBRARY" ] || missing "tpm2-pkcs11 is not installed"
	command -v pkcs11-tool >/dev/null || missing "pkcs11-tool is not installed"
	mkdir "$T/store"
	export TPM2_PKCS11_STORE=$T/store TPM2_PKCS11_TCTI=$TPM2TOOLS_TCTI TPM2_PKCS11_LOG_LEVEL=0
	{
		pkcs11-tool --module "$LIBRARY" --slot-index 0 --init-token --label conformance --so-pin 5678 &&
			pkcs11-tool --module "$LIBRARY" --token-label conformance --init-pin --so-pin 5678 --pin 1234
	} >"$T/token.log" 2>&1 || exit 1
	# this TPM has no manager of resources, and the module leaves what it loaded
	how+=(--library "$LIBRARY" --token 'pkcs11:token=conformance?pin-value=1234'
		--between 'tpm2_flushcontext -t; tpm2_flushcontext -l; tpm2_flushcontext -s; tpm2_dictionarylockout -Q --clear-lockout')
	BACKEND=pkcs11
fi
if [ "$BACKEND" = tpm ]; then
	printf 'tcti = "swtpm:host=127.0.0.1,port=%s"\n[endpoints]\naziot_tpmd = "unix://%s"\n[[principal]]\nuid = %s\n' \
		"$TPM_PORT" "$T/tpmd.sock" "$(id -u)" >"$T/tpmd.toml"
	as_tpmd=()
	if is_root; then
		chmod 777 "$T"
		chmod 644 "$T/tpmd.toml"
		as_tpmd=(--user "$(user 4)")
	fi
	start tpmd "$BIN/tpmd" --config "$T/tpmd.toml" --config-dir "$T/none" "${as_tpmd[@]}"
	wait_socket tpmd "$T/tpmd.sock"
	how+=(--tpmd "$T/tpmd.sock")
fi
# shellcheck disable=SC2086
"$BUILD/conformance/backend-conformance" --homedir "$T/home" "${how[@]}" ${OPTIONS:-} "$BACKEND"
exit $?
