#!/bin/bash
# run.sh - what `make backend-conformance` does: one contract test over a backend (docs/key-backends.md 7).
#
#   BACKEND   file, pkcs11 (SoftHSM, or LIBRARY and TOKEN), tpm (a software TPM behind our tpmd), /path/to/library.so
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
file | pkcs11 | tpm) ;;
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
if [ "$BACKEND" = tpm ]; then
	for tool in swtpm tpm2_getcap; do
		command -v $tool >/dev/null || missing "$tool is not installed"
	done
	# shellcheck source=tests/suite/tpm.sh
	. "$TOP/tests/suite/tpm.sh"
	tpm_start
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
