#!/bin/bash
# run.sh - the units under a real systemd: boots a throw-away Debian 12 in systemd-nspawn, installs what `make` has built, and judges
# it from inside as an operator would (inside.sh).  Run by `sudo make boot`; takes about a minute, most of it for Debian's packages.
#   BOOT_ROOT=FILE.tar   keep the root there, or take it from there
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/../suite/lib.sh"
need_root "a booted machine" || exit 77
for tool in mmdebstrap systemd-nspawn nsenter; do need_tool $tool || exit 77; done
suite_begin "the units, booted"
NAME=${T##*/} CGROUPS=(/sys/fs/cgroup/systemd /sys/fs/cgroup/unified)
NAME=${NAME/./-}
PACKAGES=systemd-sysv,dbus,ca-certificates,libnss-systemd,libssl3,libjansson4,libmicrohttpd12,libcurl4,libseccomp2,libp11-3,libp11-kit0
PACKAGES=$PACKAGES,libtss2-esys-3.0.2-0,libtss2-mu0,libtss2-tctildr0,libtss2-tcti-device0,softhsm2,opensc,openssl,curl,jq,procps

within() { nsenter -t "$LEADER" -m -u -i -n -p -C env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"; }
is_up() {
	LEADER=$(ps -o pid= --ppid "${PID[machine]}" | tr -d ' ')
	[ -n "$LEADER" ] || return
	case $(within systemctl is-system-running 2>/dev/null) in running | degraded) return 0 ;; esac
	return 1
}
cleanup() {
	for group in "${CGROUPS[@]}"; do
		[ ! -d "$group/$NAME" ] || find "$group/$NAME" -depth -type d -exec rmdir {} + 2>/dev/null
	done
}

root=${BOOT_ROOT:-$T/root.tar}
if [ ! -s "$root" ]; then
	mmdebstrap --quiet --variant=minbase --include="$PACKAGES" bookworm "$root" >"$T/mmdebstrap.log" 2>&1 ||
		{ cat "$T/mmdebstrap.log"; exit 1; }
fi
mkdir "$T/root"
tar -C "$T/root" -xf "$root"
make -s -C "$TOP" install DESTDIR="$T/pkg" BUILD="$BUILD" || exit 1

# its groups are its own, or the host's systemd, where there is one, would mistake its units
for group in "${CGROUPS[@]}"; do [ ! -d "$group" ] || mkdir "$group/$NAME"; done
# nspawn's filter admits neither Landlock nor locked memory by itself
# shellcheck disable=SC2016 # the inner shell expands
start machine env SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 bash -c 'for g in "${@:3}"; do [ ! -d "$g/$1" ] || echo $$ >"$g/$1/cgroup.procs"; done
	exec systemd-nspawn -q -D "$2/root" --volatile=overlay --register=no --keep-unit --private-network --machine="$1" --boot \
		--system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self @memlock" \
		--bind-ro="$2/pkg:/pkg" --bind-ro="$0:/repo"' "$TOP" "$NAME" "$T" "${CGROUPS[@]}" </dev/null
wait_for 60 is_up || { echo "FAIL the machine does not come up:"; tail -20 "$T/machine.log"; exit 1; }
within env BUILD=/pkg/usr /repo/tests/boot/inside.sh
ok "all is well inside" $?
within systemctl poweroff --no-wall
wait_for 30 gone machine
ok "it goes down" $?
suite_end
