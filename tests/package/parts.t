#!/bin/sh
# SPDX-License-Identifier: MIT
# san: no, it installs and does not run
# What an image builds and installs: each part alone, with its own files and nobody else's
# libraries; the parts together are the whole; the build systems' way to choose flags works.
set -u
. "$(dirname "$0")/../house/tap.sh"
build=${HG_BUILD:-$top/build}
unset MAKEFLAGS MFLAGS MAKELEVEL
files() { (cd "$1" && find . ! -type d | sort); }
mk() { make --no-print-directory -C "$top" O="$build" "$@"; }

for part in agent ebpf mirror collector profile dkms; do
	mk -s DESTDIR="$tmp/$part" "install-$part" >"$tmp/out" 2>&1
	ok $? "make install-$part"
	files "$tmp/$part" >"$tmp/$part.files"
done
mk -s DESTDIR="$tmp/all" install >"$tmp/out" 2>&1
files "$tmp/all" >"$tmp/all.files"
(cd "$tmp" && sort -u agent.files ebpf.files mirror.files collector.files) | diff "$tmp/all.files" - >"$tmp/out"
ok $? 'the parts together are what make install installs'
(cd "$tmp" && sort agent.files ebpf.files mirror.files collector.files | uniq -d) >"$tmp/out"
echo ./usr/lib/sysusers.d/heliograph.conf | diff - "$tmp/out" >/dev/null
ok $? 'they share one file, that of the users'
echo ./usr/bin/heliograph-profile | diff - "$tmp/profile.files" >"$tmp/out"
ok $? 'the tool for makers is one file'

# uses PART LIBRARY...: what a build of the part alone compiles and links, from nothing.
uses() {
	part=$1
	shift
	mk -n O="$tmp/none" "$part" >"$tmp/plan" 2>&1
	grep -oE -- ' -l[a-z0-9_-]+' "$tmp/plan" | sort -u | tr -d ' ' | sed 's/^-l//' >"$tmp/links"
	printf '%s\n' "$@" | sort | comm -13 - "$tmp/links" >"$tmp/out"
	[ ! -s "$tmp/out" ] && grep -q 'gcc.* -o ' "$tmp/plan"
	ok $? "$part links only: $*"
}
uses agent event_openssl event_core event_extra ssl crypto jansson sqlite3 bpf nl-route-3 nl-genl-3 nl-3 inih pcap m
uses profile ssl crypto jansson pcap m
uses mirror event_openssl event_core event_extra ssl crypto inih pq jansson
mk -n O="$tmp/none" agent 2>&1 | grep -E 'lib/pg|-c mirror/|-c collector/' >"$tmp/out"
ok $((!$?)) 'a build of the agent compiles nothing of PostgreSQL'

# A flag chosen outside is the only one of its kind; warnings are errors unless said otherwise.
plan() { mk -n O="$tmp/none" "$tmp/none/lib/cbor.o" "$@" >"$tmp/out" 2>&1; }
plan CFLAGS='-Os -D_FORTIFY_SOURCE=1' && ! grep -q -- '-D_FORTIFY_SOURCE=2' "$tmp/out"
ok $? 'CFLAGS may choose the fortification'
plan CFLAGS=-O0 && ! grep -q -- '-D_FORTIFY_SOURCE' "$tmp/out"
ok $? 'none without optimisation, where it would only warn'
plan CFLAGS=-O2 && grep -q -- '-D_FORTIFY_SOURCE=2' "$tmp/out" && grep -q -- '-Werror' "$tmp/out"
ok $? 'and it is there otherwise'
plan WERROR=0 CPPFLAGS=-DTOY && ! grep -q -- '-Werror' "$tmp/out" && grep -q -- '-DTOY' "$tmp/out"
ok $? 'WERROR=0 and CPPFLAGS are heard'

# The packet programs have the byte order of the compiler's machine.
printf '#!/bin/sh\necho "#define __BYTE_ORDER__ __ORDER_BIG_ENDIAN__"\n' >"$tmp/big-gcc"
chmod +x "$tmp/big-gcc"
mk -n O="$tmp/none" CC="$tmp/big-gcc" ebpf 2>&1 | grep -q -- '-target bpfeb '
ok $? 'packet programs for a big-endian machine'
mk -s O="$tmp/eb" CC=gcc bpf-target=bpfeb ebpf >"$tmp/out" 2>&1 &&
	readelf -h "$tmp/eb/ebpf/heliograph.bpf.o" | grep -q 'big endian'
ok $? 'compile to a big-endian object'
echo "1..$n"
