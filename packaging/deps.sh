#!/bin/sh
# deps.sh [build|test|demo|boot]... - install the Debian packages that are missing; without a word: build.  Idempotent.
set -eu
build="gcc make pkg-config libc6-dev libssl-dev libtss2-dev libmicrohttpd-dev libjansson-dev libcurl4-openssl-dev libseccomp-dev \
libp11-kit-dev libp11-dev"
engine="docker.io iproute2 iptables util-linux procps"
test="check clang clang-format libclang-rt-14-dev shellcheck valgrind curl jq openssl git swtpm swtpm-tools tpm2-tools \
libtss2-tcti-swtpm0 socat strace xxd python3-minimal softhsm2 opensc libtpm2-pkcs11-1 libtpm2-pkcs11-tools \
tpm2-openssl nginx-light p11-kit p11-kit-modules openssh-client $engine"
command -v busybox >/dev/null || test="$test busybox" # busybox-static does as well
boot="mmdebstrap systemd-container util-linux procps"
demo="openssl curl jq swtpm swtpm-tools libtss2-tcti-swtpm0 $engine"

wanted=""
[ $# -gt 0 ] || set -- build
for set; do
	case $set in
	build) wanted="$wanted $build" ;;
	test) wanted="$wanted $build $test" ;;
	demo) wanted="$wanted $build $demo" ;;
	boot) wanted="$wanted $build $boot" ;;
	*) echo "deps.sh: unknown set $set; use build, test, demo or boot" >&2; exit 2 ;;
	esac
done

missing=""
for package in $wanted; do
	dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
	echo "deps.sh: missing packages; run: sudo apt-get install --no-install-recommends$missing" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o DPkg::Lock::Timeout=600 update
# shellcheck disable=SC2086
apt-get -qq -y -o DPkg::Lock::Timeout=600 --no-install-recommends install $missing >/dev/null
