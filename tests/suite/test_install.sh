#!/bin/bash
# `make install` into an empty tree, judged by stat, systemd-analyze and systemd-sysusers
# (contracts/packaging-identity.md 2-4, edged-packaging.md 1-3 and 5).
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
suite_begin "make install"
R=$T/root
(umask 077 && DESTDIR=$R PREFIX=/usr BUILD=$BUILD "$TOP/packaging/install.sh")
ok "installs" $?

# path | mode | what it links to
while read -r path mode link; do
	is "$path" "$(stat -c %a "$R$path" 2>&1) $(readlink "$R$path")" "$mode $link"
done <<'END'
/usr/libexec/aziot-identity-service/aziot-keyd 755
/usr/libexec/aziot-identity-service/aziot-certd 755
/usr/libexec/aziot-identity-service/aziot-identityd 755
/usr/libexec/aziot-identity-service/aziot-tpmd 755
/usr/libexec/aziot/aziot-edged 755
/usr/bin/edgekeep 755
/usr/bin/aziotctl 777 edgekeep
/usr/bin/iotedge 777 edgekeep
/usr/bin/edgekeep-cloudsim 755
/usr/lib/libaziot_keys.so 755
/usr/include/aziot-identity-service/aziot-keys.h 644
/etc/aziot 755
/etc/aziot/keyd/config.d 700
/etc/aziot/certd/config.d 700
/etc/aziot/identityd/config.d 700
/etc/aziot/tpmd/config.d 700
/etc/aziot/edged/config.d 700
/var/lib/aziot 755
/var/lib/aziot/keyd 700
/var/lib/aziot/certd 700
/var/lib/aziot/identityd 700
/var/lib/aziot/tpmd 700
/var/lib/aziot/edged 755
END
# an OEM's library in its place, which holds the device's keys, is not lost; ours is no other one (packaging-identity.md 3)
is "installed anew: no library is kept" "$(DESTDIR=$R PREFIX=/usr BUILD=$BUILD "$TOP/packaging/install.sh" 2>&1; ls "$R"/usr/lib/libaziot_keys*)" \
	"$R/usr/lib/libaziot_keys.so"
echo "an OEM's" >"$R/usr/lib/libaziot_keys.so"
like "an OEM's library is told of" "$(DESTDIR=$R PREFIX=/usr BUILD=$BUILD "$TOP/packaging/install.sh" 2>&1)" "*libaziot_keys.so.before-edgekeep*docs/key-backends.md*"
is "and kept" "$(cat "$R/usr/lib/libaziot_keys.so.before-edgekeep")" "an OEM's"
is "beside ours" "$(nm -D --defined-only "$R/usr/lib/libaziot_keys.so" | cut -d' ' -f3)" aziot_keys_get_function_list
rm "$R/usr/lib/libaziot_keys.so.before-edgekeep"
# the OpenSSL provider, where libcrypto finds it by its name, and the snippet that names it (issue 3, point 5)
modules=$(pkg-config --variable=modulesdir libcrypto)
is "edgekeep.so" "$(stat -c %a "$R$modules/edgekeep.so")" 644
is "edgekeep.cnf" "$(stat -c %a "$R/usr/share/edgekeep/edgekeep.cnf")" 644
if [ -z "$INSTRUMENTED" ]; then
	like "edgekeep.so is found by its name" \
		"$(OPENSSL_MODULES=$R$modules OPENSSL_CONF=$R/usr/share/edgekeep/edgekeep.cnf openssl list -providers)" \
		"*name: edgekeep*version: *status: active*"
fi
is "stripped" "$(find "$R/usr/libexec" "$R/usr/bin" -type f -exec readelf -S {} + | grep -c '\.symtab')" 0
# what runs on the device; and what other programs load
size_of() { find "$@" -type f -printf '%s\n' | awk '{n += $1} END {print n + 0}'; }
size=$(size_of "$R/usr/libexec" "$R/usr/bin" "$R/usr/lib/systemd" "$R/usr/share")
[ -n "$INSTRUMENTED" ] || [ "$size" -le $((2 * 1024 * 1024)) ]
ok "programs: at most 2 MB: $size bytes" $?
size=$(size_of "$R"/usr/lib/*.so "$R"/usr/lib/*/ossl-modules)
[ -n "$INSTRUMENTED" ] || [ "$size" -le $((256 * 1024)) ]
ok "libraries for others: at most 256 KB: $size bytes" $?
# edged-cli.md 5: `iotedge check` wants "aziot-edged X"
for daemon in aziot-identity-service/aziot-keyd aziot/aziot-edged; do
	like "$daemon --version" "$("$R/usr/libexec/$daemon" --version)" "${daemon##*/} [0-9]*.[0-9]*"
done

# unit | line that the contract wants
while IFS='|' read -r unit line; do
	grep -qxF -- "$line" "$R/usr/lib/systemd/system/$unit"
	ok "$unit has $line" $?
done <<'END'
aziot-keyd.service|User=aziotks
aziot-keyd.service|ExecStart=/usr/libexec/aziot-identity-service/aziot-keyd
aziot-keyd.service|Requires=aziot-keyd.socket
aziot-keyd.service|RestartSec=5s
aziot-keyd.socket|ListenStream=/run/aziot/keyd.sock
aziot-keyd.socket|SocketMode=0660
aziot-keyd.socket|SocketUser=aziotks
aziot-keyd.socket|SocketGroup=aziotks
aziot-keyd.socket|DirectoryMode=0755
aziot-certd.service|User=aziotcs
aziot-certd.socket|ListenStream=/run/aziot/certd.sock
aziot-certd.socket|SocketUser=aziotcs
aziot-identityd.service|User=aziotid
aziot-identityd.socket|ListenStream=/run/aziot/identityd.sock
aziot-identityd.socket|SocketUser=aziotid
aziot-tpmd.service|User=aziottpm
aziot-tpmd.socket|ListenStream=/run/aziot/tpmd.sock
aziot-tpmd.socket|SocketUser=aziottpm
aziot-edged.service|ExecStart=/usr/libexec/aziot/aziot-edged
aziot-edged.service|User=iotedge
aziot-edged.service|Group=iotedge
aziot-edged.service|KillMode=process
aziot-edged.service|TimeoutStartSec=600
aziot-edged.service|TimeoutStopSec=40
aziot-edged.service|Restart=on-failure
aziot-edged.service|RestartSec=5
aziot-edged.service|RestartPreventExitStatus=153
aziot-edged.service|Type=notify
aziot-edged.mgmt.socket|ListenStream=/var/run/iotedge/mgmt.sock
aziot-edged.mgmt.socket|SocketMode=0660
aziot-edged.mgmt.socket|SocketUser=edgeagentuser
aziot-edged.mgmt.socket|SocketGroup=iotedge
aziot-edged.workload.socket|ListenStream=/var/run/iotedge/workload.sock
aziot-edged.workload.socket|SocketMode=0666
aziot-edged.workload.socket|SocketUser=iotedge
END
# descriptors are known by the names of their units (edged-packaging.md 3)
is "no FileDescriptorName" "$(grep -l FileDescriptorName "$R"/usr/lib/systemd/system/*)" ""

if need_tool systemd-analyze; then
	mkdir "$T/units"
	for unit in "$R"/usr/lib/systemd/system/*; do
		sed "s|=/usr/libexec|=$R/usr/libexec|" "$unit" >"$T/units/${unit##*/}"
	done
	is "systemd-analyze verify" "$(systemd-analyze verify --man=no "$T"/units/* 2>&1) $?" " 0"
	for unit in "$T"/units/*.service; do
		systemd-analyze security --offline=true --no-pager --threshold=35 "$unit" >/dev/null 2>&1
		ok "${unit##*/} is confined" $?
	done
fi
if need_tool systemd-sysusers; then
	systemd-sysusers --root="$R" >"$T/sysusers.log" 2>&1
	ok "users are made" $?
	while IFS='|' read -r name want; do
		is "group $name" "$(sed -n "s/^$name:[^:]*:[0-9]*://p" "$R/etc/group")" "$want"
	done <<'END'
aziotks|aziotcs,aziotid,iotedge
aziotcs|aziotid,iotedge
aziotid|iotedge
aziottpm|aziotid,aziotks
END
	gid=$(sed -n 's/^iotedge:[^:]*:\([0-9]*\):.*/\1/p' "$R/etc/group")
	like "edgeagentuser" "$(grep ^edgeagentuser: "$R/etc/passwd")" "edgeagentuser:x:13622:$gid:*"
	like "edgehubuser" "$(grep ^edgehubuser: "$R/etc/passwd")" "edgehubuser:x:13623:*"
fi

# another prefix: the units follow
DESTDIR=$T/other PREFIX=/opt/ek BUILD=$BUILD "$TOP/packaging/install.sh"
like "edgekeep.cnf with another prefix" "$(cat "$T/other/opt/ek/share/edgekeep/edgekeep.cnf")" "*module = ${modules/#\/usr//opt/ek}/edgekeep.so*"
like "ExecStart with another prefix" "$(grep ExecStart= "$T/other/opt/ek/lib/systemd/system/aziot-edged.service")" \
	"ExecStart=/opt/ek/libexec/aziot/aziot-edged"
suite_end
