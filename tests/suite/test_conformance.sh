#!/bin/bash
# The contract test of key backends: ours pass it, an OEM's sample written from docs/key-backends.md passes it, and each defect of the
# sample is named by its row.
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
need_tool openssl || exit 77
suite_begin "conformance of key backends"
DOC=$TOP/docs/key-backends.md
TOOL=$BUILD/conformance/backend-conformance

# --- ours: a table without a failed row
ours() { # ours NAME OFFERED COMMAND...: OFFERED is a pattern of the rows that the backend may leave out
	local name=$1 offered=$2 status
	shift 2
	"$@" >"$T/$name.table" 2>&1
	status=$?
	if [ $status -eq 77 ]; then
		grep '^SKIP' "$T/$name.table"
		return
	fi
	is "$name: exit status" $status 0
	is "$name: failed rows" "$(grep ' FAIL' "$T/$name.table")" ""
	is "$name: rows" "$(grep -cE '^  .* (ok|-: .*)$' "$T/$name.table")" "${ROWS:-29}"
	is "$name: not offered" "$(grep -E ' -: ' "$T/$name.table" | grep -vE "$offered")" ""
}
ours file nothing env BACKEND=file "$TOP/tests/conformance/run.sh"
ours pkcs11 'version 1' env BACKEND=pkcs11 "$TOP/tests/conformance/run.sh"
ours tpm AEAD env BACKEND=tpm "$TOP/tests/conformance/run.sh"
mkdir "$T/home" "$T/store"
ROWS=77 ours library nothing "$TOOL" --set "homedir_path=$T/home" "$BUILD/lib/libaziot_keys.so"

# --- the document's configuration is one
awk '/^...toml$/ {in_it = 1; next} /^```$/ {in_it = 0} in_it' "$DOC" >"$T/keyd.toml"
"$BIN/keyd" --config "$T/keyd.toml" --config-dir "$T/none" --check >"$T/check.log" 2>&1
ok "keyd --check likes the document's configuration" $?

# --- the sample: built by the document's own command against the installed header, without a word of ours
is "the sample includes nothing of ours" "$(grep '#include "' "$TOP/tests/oem/sample.c")" ""
command=$(grep -m1 '^gcc ' "$DOC")
like "the document says how to build it" "$command" "gcc *-I/usr/include/aziot-identity-service *tests/oem/sample.c*"
command=${command//\/usr\/include/$BUILD\/include}
if [ -z "$INSTRUMENTED" ]; then
	(cd "$TOP" && eval "${command/libsample.so/$T\/libsample.so}") >"$T/build.log" 2>&1
	ok "the document's command builds it" $?
else
	cp "$BUILD/oem/sample.so" "$T/libsample.so"
fi
BACKEND=$T/libsample.so SET="store_path=$T/store" ROWS=77 ours sample nothing "$TOP/tests/conformance/run.sh"
is "it leaves no key behind" "$(ls "$T/store")" ""
mkdir "$T/old"
ROWS=77 ours old 'version' "$TOOL" --set "store_path=$T/old" "$BUILD/oem/old.so"
# the header is plain C
gcc -std=c99 -pedantic -Wall -Wextra -Werror -fsyntax-only "$TOP/keyd/aziot_keys.h" >"$T/header.log" 2>&1
ok "the header is C99" $?
# every clause is a section of the document
while read -r clause; do
	grep -q "^###* $clause " "$DOC"
	ok "clause $clause" $?
done < <(sed -n 's/^  .\{40\} \([0-9.]*\) .*/\1/p' "$T/sample.table" | sort -u)

# --- its defects: DEFECT | row that names it | what is seen | options
DEFECTS='RAW_SIGNATURE|ECDSA in DER, verified|what is no SEQUENCE in DER|
LENGTH_IS_A_BOUND|exact lengths of public parameters|get_key_pair_parameter answers 10 bytes after it has announced 18|
CREATE_OVERWRITES|creating keeps an existing key|creating a key replaces the one that is there|
DERIVE_DIFFERS|DERIVED signs with the derived key|DERIVED signs with another key than derive_key gives|
TAG_IGNORED|AEAD: what was tampered with|byte 1 of a ciphertext can be changed|
OVERRUN|buffers that are too small|sign into a small buffer writes beyond a buffer of 31 bytes|
MISSING_IS_2|a missing key is missing|load a key that is not there: trouble (2), not refused (1)|
CRASH|NULL as id||
HANG|verify|no answer within 1 s|--deadline 1
ID_IS_A_NAME|ids of any characters|no key of the id "a/b"|'
while IFS='|' read -r defect row seen options; do
	(
		mkdir "$T/$defect"
		# whole tables take time: for one defect, to see that it is told from its consequences
		how=(--only "$row")
		[ "$defect" != CREATE_OVERWRITES ] || how=()
		# shellcheck disable=SC2086
		"$TOOL" "${how[@]}" $options --set "store_path=$T/$defect" "$BUILD/oem/$defect.so" >"$T/$defect.table" 2>&1
		echo $? >"$T/$defect.status"
	) &
	while [ "$(jobs -rp | wc -l)" -ge 3 ]; do wait -n; done
done <<<"$DEFECTS"
wait
while IFS='|' read -r defect row seen options; do
	is "$defect: exit status" "$(cat "$T/$defect.status")" 1
	like "$defect: the row that names it" "$(grep -F "  $row " "$T/$defect.table" | head -1)" "*FAIL: $seen*"
done <<<"$DEFECTS"
is "every defect is tried" "$(cut -d'|' -f1 <<<"$DEFECTS" | sort)" \
	"$(sed -n 's/^ \*   DEFECT_\([A-Z0-9_]*\) .*/\1/p' "$TOP/tests/oem/sample.c" | sort)"
is "CREATE_OVERWRITES: other rows" "$(grep FAIL "$T/CREATE_OVERWRITES.table" | grep -cv 'creating keeps an existing key')" 0

# --- wrong use
"$TOOL" >/dev/null 2>&1
is "no backend" $? 2
"$TOOL" --set novalue /x.so >/dev/null 2>&1
is "a parameter without a value" $? 2
"$TOOL" --only "missing key is" /absent.so >"$T/absent.table"
is "no such library: exit status" $? 1
like "no such library" "$(cat "$T/absent.table")" "*FAIL: cannot be loaded*"
suite_end
