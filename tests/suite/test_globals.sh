#!/bin/bash
# Architecture rule 9: what can change and stands in no struct, by the symbol tables of the archives that are linked.
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
need_tool objdump || exit 77
if [ -n "$INSTRUMENTED" ]; then
	echo "SKIP a sanitizer has globals of its own"
	exit 77
fi
suite_begin "mutable globals"
# file, name, and why it may be
allowed='log.o threshold
log.o target_name
daemon.o the_daemon'
# found once, at the start or at first use, and the same ever after: what the kernel can do, what systemd gave
allowed+='
listen.o given
notify.o notify_fd
peer.o known
sandbox_landlock.o kept'
# prototypes of libcrypto objects; the provider that libcrypto calls by a plain function; what a signal handler looks at; argv wants char *
allowed+='
digest.o kept
digest.o kept_once
builtin.o installed
sandbox_filter.o refusal
spawn.o role_option'
for archive in common apart keyd certd identityd tpmd edged; do
	found=$(objdump -t "$BUILD/lib$archive.a" | awk '/file format/ {file = $1; sub(/:$/, "", file)}
		/ O \.(data|bss|tdata|tbss|data\.rel|data\.rel\.local)[ \t]/ {sub(/\.[0-9]+$/, "", $NF); print file, $NF}' | sort -u |
		grep -vxF "$allowed")
	is "lib$archive.a" "$found" ""
done
suite_end
