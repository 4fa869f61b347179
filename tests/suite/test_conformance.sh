#!/bin/bash
# The contract test of key backends: ours pass it, an OEM's sample written from docs/key-backends.md passes it, and each defect of the
# sample is named by its row.
# shellcheck source=tests/suite/lib.sh
. "$(dirname "$0")/lib.sh"
need_tool openssl || exit 77
suite_begin "conformance of key backends"
DOC=$TOP/docs/key-backends.md
TOOL=$BUILD/conformance/backend-conformance
RUN=$TOP/tests/conformance/run.sh

# table NAME COMMAND...: its output and exit status, four at a time
table() {
	local name=$1
	shift
	while [ "$(jobs -rp | wc -l)" -ge 4 ]; do wait -n; done
	{
		"$@" >"$T/$name.table" 2>&1
		echo $? >"$T/$name.status"
	} &
}
status_of() { cat "$T/$1.status"; }

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

# its defects: DEFECT | row that names it | what is seen | options
DEFECTS='RAW_SIGNATURE|ECDSA in DER, verified|what is no SEQUENCE in DER|
LENGTH_IS_A_BOUND|exact lengths of public parameters|get_key_pair_parameter answers 10 bytes after it has announced 18|
CREATE_OVERWRITES|creating keeps an existing key|creating a key replaces the one that is there|
DERIVE_DIFFERS|DERIVED signs with the derived key|DERIVED signs with another key than derive_key gives|
TAG_IGNORED|AEAD: what was tampered with|byte 1 of a ciphertext can be changed|
OVERRUN|buffers that are too small|sign into a small buffer writes beyond a buffer of 31 bytes|
MISSING_IS_2|a missing key is missing|load a key that is not there: trouble (2), not refused (1)|
CRASH|NULL as id||
IMPORT_CUT|HMAC-SHA256 with keys of other sizes|HMAC with a key of 64 bytes|
LAST_ALGORITHM|algorithms by name|"ec-p256:rsa-2048" makes another pair|
PLAIN_BEFORE_TAG|AEAD: what was tampered with|decrypt writes into the buffer of a call that fails|
EXIT|a missing key is missing|ended the process with status |
HANG|verify|no answer within 1 s|--deadline 1
ID_IS_A_NAME|ids of any characters|no key of the id "a/b"|'

# --- every table
mkdir "$T/home" "$T/store" "$T/old"
table file env BACKEND=file "$RUN"
table pkcs11 env BACKEND=pkcs11 "$RUN"
table tpm env BACKEND=tpm "$RUN"
table tpm2-pkcs11 env BACKEND=tpm2-pkcs11 "$RUN"
table library "$TOOL" --set "homedir_path=$T/home" "$BUILD/lib/libaziot_keys.so"
table sample env BACKEND="$T/libsample.so" SET="store_path=$T/store" "$RUN"
table old "$TOOL" --set "store_path=$T/old" "$BUILD/oem/old.so"
while IFS='|' read -r defect row seen options; do
	mkdir "$T/$defect"
	# whole tables take time: for one defect, to see that it is told from its consequences
	how=(--only "$row")
	[ "$defect" != CREATE_OVERWRITES ] || how=()
	# shellcheck disable=SC2086
	table "$defect" "$TOOL" "${how[@]}" $options --set "store_path=$T/$defect" "$BUILD/oem/$defect.so"
done <<<"$DEFECTS"
wait

# --- ours and the sample: a table without a failed row
passes() { # passes NAME ROWS OFFERED: OFFERED is a pattern of the rows that it may leave out
	if [ "$(status_of "$1")" -eq 77 ]; then
		grep '^SKIP' "$T/$1.table"
		return
	fi
	is "$1: exit status" "$(status_of "$1")" 0
	is "$1: failed rows" "$(grep ' FAIL' "$T/$1.table")" ""
	is "$1: rows" "$(grep -cE '^  .* (ok|-: .*)$' "$T/$1.table")" "$2"
	is "$1: not offered" "$(grep -E ' -: ' "$T/$1.table" | grep -vE "$3")" ""
}
passes file 31 nothing
# SoftHSM has no HMAC with less than 32 bytes
passes pkcs11 31 '(version 1|import a key of 31 bytes)'
passes tpm 31 AEAD
# a module unlike SoftHSM, which has key pairs only
passes tpm2-pkcs11 31 '(create|import) a key'
passes library 81 nothing
passes sample 81 nothing
passes old 81 'version'
is "the sample leaves no key behind" "$(ls "$T/store")" ""

# --- each defect by its row
while IFS='|' read -r defect row seen options; do
	is "$defect: exit status" "$(status_of "$defect")" 1
	like "$defect: the row that names it" "$(grep -F "  $row " "$T/$defect.table" | head -1)" "*FAIL: $seen*"
done <<<"$DEFECTS"
is "every defect is tried" "$(cut -d'|' -f1 <<<"$DEFECTS" | sort)" \
	"$(sed -n 's/^ \*   DEFECT_\([A-Z0-9_]*\) .*/\1/p' "$TOP/tests/oem/sample.c" | sort)"
is "CREATE_OVERWRITES: other rows" "$(grep FAIL "$T/CREATE_OVERWRITES.table" | grep -cv 'creating keeps an existing key')" 0

# --- the document: its configuration is one, its header is plain C, every clause is a section
awk '/^...toml$/ {in_it = 1; next} /^```$/ {in_it = 0} in_it' "$DOC" >"$T/keyd.toml"
"$BIN/keyd" --config "$T/keyd.toml" --config-dir "$T/none" --check >"$T/check.log" 2>&1
ok "keyd --check likes the document's configuration" $?
gcc -std=c99 -pedantic -Wall -Wextra -Werror -fsyntax-only "$TOP/keyd/aziot_keys.h" >"$T/header.log" 2>&1
ok "the header is C99" $?
while read -r clause; do
	grep -q "^###* $clause " "$DOC"
	ok "clause $clause" $?
done < <(sed -n 's/^  .\{40\} \([0-9.]*\) .*/\1/p' "$T/sample.table" | sort -u)

# --- wrong use
"$TOOL" >/dev/null 2>&1
is "no backend" $? 2
"$TOOL" --set novalue /x.so >/dev/null 2>&1
is "a parameter without a value" $? 2
"$TOOL" --only "missing key is" /absent.so >"$T/absent.table"
is "no such library: exit status" $? 1
like "no such library" "$(cat "$T/absent.table")" "*FAIL: cannot be loaded*"
suite_end
