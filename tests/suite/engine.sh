# shellcheck shell=bash
# engine.sh - what tests of edged need beyond device.sh: an image with a shell and curl, and an edgeAgent that does nothing but be there.
# Source lib.sh and device.sh first.

# engine_image NAME: busybox, curl and caller (caller.c) with their libraries, imported; no registry is asked.
engine_image() {
	local root=$T/bb lib applet
	mkdir -p "$root/bin" "$root/tmp" "$root/etc"
	cp "$(command -v busybox)" "$root/bin/busybox"
	cp "$(readlink -f "$(command -v curl)")" "$root/bin/curl"
	for applet in sh sleep cat id true kill ps grep; do ln -sf busybox "$root/bin/$applet"; done
	cp "$BUILD/suite/caller" "$root/bin/caller"
	{ ldd "$root/bin/curl"; ldd "$root/bin/caller"; ldd "$root/bin/busybox" 2>/dev/null; } | grep -o '/[^ ]*' | sort -u | while read -r lib; do
		install -D -m 755 "$lib" "$root$lib"
	done
	tar -C "$root" -c . | docker import - "$1" >/dev/null
}

# engine_agent IMAGE: let edged's configuration start this as its agent; it ends at SIGTERM, but not before its calls have.
engine_agent() {
	sed -i -e "s|^image = .*|image = \"$1\"|" \
		-e 's/^Cmd = .*/Cmd = ["sh", "-c", "trap \\"while ps | grep -q [c]url; do sleep 0.1; done; exit\\" TERM; while :; do sleep 1 \& wait; done"]/' \
		"$T/etc/edged/config.toml"
}

# running NAME / state NAME: of a container
state() { docker inspect -f '{{.State.Status}}' "$1" 2>/dev/null; }
running() { [ "$(state "$1")" = running ]; }

# agent_http METHOD TARGET [BODY]: as http, from a process of edgeAgent's container, over the socket mounted there.
agent_http() {
	local out how=(docker exec edgeAgent curl -sS --max-time 60 -w '\n%{http_code}' -X "$1" --unix-socket "$RUN/mgmt.sock")
	[ -z "${3-}" ] || how+=(-H 'content-type: application/json' --data-binary "$3")
	out=$("${how[@]}" "http://localhost$2" 2>&1)
	# shellcheck disable=SC2034 # for answer
	STATUS=${out##*$'\n'}
	# shellcheck disable=SC2034
	BODY=${out%$'\n'*}
}
