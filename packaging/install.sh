#!/bin/sh
# install.sh - what `make install` does: the daemons at the paths where their predecessors were, so that units, drop-ins and
# scripts of operators keep working.  Stripped; programs at most 2 MB, and 256 KB of libraries for others.
#
#   DESTDIR  root of the tree that is filled (a package's build); users are not looked for then
#   PREFIX   /usr; units are changed to fit another
#   BUILD    where `make` has put the programs
set -eu
cd "$(dirname "$0")/.."
umask 022
PREFIX=${PREFIX:-/usr} DESTDIR=${DESTDIR:-} BUILD=${BUILD:-build}
to=$DESTDIR$PREFIX
identity=$to/libexec/aziot-identity-service

program() { install -D -s -m 0755 "$BUILD/bin/$1" "$2"; }
for daemon in keyd certd identityd tpmd; do program $daemon "$identity/aziot-$daemon"; done
program edged "$to/libexec/aziot/aziot-edged"
program edgekeep "$to/bin/edgekeep"
program edgekeep-cloudsim "$to/bin/edgekeep-cloudsim"
ln -sf edgekeep "$to/bin/aziotctl"
ln -sf edgekeep "$to/bin/iotedge"

# the key library's interface, for programs that expect it, and for who writes a key backend (docs/key-backends.md)
library=$to/lib/libaziot_keys.so
if [ -e "$library" ] && ! grep -qa 'edgekeep wrapped key' "$library"; then
	# where an OEM's library is, the keys of this device are in it
	mv "$library" "$library.before-edgekeep"
	echo "another key library was there and is now $library.before-edgekeep; if it is an OEM's, keyd has to be told: docs/key-backends.md 2" >&2
fi
install -D -s -m 0755 "$BUILD/lib/libaziot_keys.so" "$library"
install -D -m 0644 keyd/aziot_keys.h "$to/include/aziot-identity-service/aziot-keys.h"

# edgekeep.so where libcrypto looks for providers; below another prefix it does not, so there openssl.cnf names the file
modules=$(pkg-config --variable=modulesdir libcrypto)
modules=$PREFIX${modules#"$(pkg-config --variable=prefix libcrypto)"}
install -D -s -m 0644 "$BUILD/lib/edgekeep.so" "$DESTDIR$modules/edgekeep.so"
by_path=
[ "$PREFIX" = /usr ] || by_path="; s|^\[edgekeep_keyd\]|&\nmodule = $modules/edgekeep.so|"
mkdir -p "$to/share/edgekeep"
sed "s|/usr/share/|$PREFIX/share/|$by_path" packaging/openssl/edgekeep.cnf >"$to/share/edgekeep/edgekeep.cnf"
chmod 0644 "$to/share/edgekeep/edgekeep.cnf"

mkdir -p "$to/lib/systemd/system" "$to/lib/sysusers.d"
for unit in packaging/systemd/*.service packaging/systemd/*.socket; do
	sed "s|=/usr/libexec/|=$PREFIX/libexec/|" "$unit" >"$to/lib/systemd/system/${unit##*/}"
	chmod 0644 "$to/lib/systemd/system/${unit##*/}"
done
install -m 0644 packaging/systemd/sysusers.conf "$to/lib/sysusers.d/edgekeep.conf"

# manual [aziot-]NAME.SECTION from a daemon's or the operator's program's own directory
manual() {
	[ -f "$1" ] || return 0
	install -D -m 0644 "$1" "$to/share/man/man${1##*.}/$2${1##*/}"
}
for daemon in keyd certd identityd tpmd edged; do manual $daemon/$daemon.8 aziot-; done
for page in ctl/*.[1-8]; do manual "$page" ""; done

# on the device itself the users, whose directories follow; a package does it by its own means
if [ -z "$DESTDIR" ] && [ "$(id -u)" -eq 0 ] && command -v systemd-sysusers >/dev/null; then
	systemd-sysusers "$to/lib/sysusers.d/edgekeep.conf" 2>/dev/null || echo "users could not be made: run systemd-sysusers, then install again" >&2
fi

# directory MODE USER PATH: owned by the user where it is there already; else the package or systemd sees to it
directory() {
	mkdir -p "$DESTDIR$3"
	chmod "$1" "$DESTDIR$3"
	if [ -z "$DESTDIR" ] && [ "$(id -u)" -eq 0 ] && id "$2" >/dev/null 2>&1; then
		chown "$2:$2" "$3"
	fi
}
while read -r user name mode; do
	directory 0700 "$user" "/etc/aziot/$name/config.d"
	directory "$mode" "$user" "/var/lib/aziot/$name"
done <<END
aziotks keyd 0700
aziotcs certd 0700
aziotid identityd 0700
aziottpm tpmd 0700
iotedge edged 0755
END
