#!/bin/sh
# SPDX-License-Identifier: MIT
# make install into an empty directory: what is there, with which mode; what is installed finds its
# files; what a person has changed stays; make uninstall takes the rest away.
set -u
. "$(dirname "$0")/tap.sh"
build=${HG_BUILD:-$top/build}
unset MAKEFLAGS MFLAGS MAKELEVEL
is() { # GOT WANT NAME
	printf '%s\n' "$1" >"$tmp/got"
	printf '%s\n' "$2" >"$tmp/want"
	diff "$tmp/want" "$tmp/got" >"$tmp/out"
	ok $? "$3"
}
files() { (cd "$1" && find . -type f -printf '%m %P\n' | sort -k2); }

d=$tmp/dest
# The programs of this build, with the paths that were compiled into them: defaults only.
make -s -C "$top" O="$build" ${HG_SAN:+SAN=$HG_SAN} DESTDIR="$d" install >"$tmp/out" 2>&1
ok $? 'make install DESTDIR='
want=$(
	cd "$top" || exit
	for p in sbin/heliographd sbin/heliograph-mirror sbin/heliograph-collector bin/heliograph; do echo "755 usr/$p"; done
	for f in ebpf/*.bpf.c; do echo "644 usr/lib/bpf/$(basename "${f%.c}").o"; done
	for f in mirror/sql/*.sql mirror/sql/functions/*.sql collector/sql/*.sql; do echo "644 usr/share/heliograph/$f"; done
	for f in docs/man/*; do echo "644 usr/share/man/man${f##*.}/$(basename "$f")"; done
	for f in package/*.conf; do
		echo "644 usr/share/heliograph/examples/$(basename "$f")"
		echo "644 etc/heliograph/$(basename "$f")"
	done
	for f in package/*.json; do echo "644 usr/share/heliograph/examples/$(basename "$f")"; done
	for f in package/systemd/*.service; do echo "644 usr/lib/systemd/system/$(basename "$f")"; done
	echo '644 usr/lib/sysusers.d/heliograph.conf'
	echo '644 usr/include/libheliograph.h'
	echo '644 usr/lib/libheliograph.a'
	echo '755 usr/lib/libheliograph.so.0'
)
is "$(files "$d")" "$(echo "$want" | sort -k2)" 'exactly these files, with these modes'
[ -d "$d/etc/heliograph/commands.d" ]
ok $? 'a directory for command handlers'

# Each default path that a program has names something that was installed, or is made by the owner.
for p in sbin/heliographd sbin/heliograph-mirror sbin/heliograph-collector; do
	"$d/usr/$p" --help >"$tmp/help" 2>&1
	sed -n 's/.*(default \(\/usr\/[^)]*\)).*/\1/p' "$tmp/help" >"$tmp/paths"
	: >"$tmp/out"
	while read -r f; do [ -e "$d$f" ] || echo "$f" >>"$tmp/out"; done <"$tmp/paths"
	[ -s "$tmp/paths" ] && [ ! -s "$tmp/out" ]
	ok $? "$(basename "$p"): its default paths below /usr are installed"
	conf=$(sed -n 's/.*(default \(.*\.conf\)).*/\1/p' "$tmp/help" | head -n 1)
	[ -f "$d$conf" ]
	ok $? "$(basename "$p"): its default configuration is installed"
done

if command -v systemd-analyze >/dev/null 2>&1; then
	units=$d/usr/lib/systemd/system
	# The targets of systemd itself are not in the directory, nor are other packages' programs.
	verify() {
		systemd-analyze verify --root="$d" --man=no "$units"/heliograph*.service 2>&1 |
			grep -v -e 'Unit [a-z-]*\.target not found' -e 'Command /bin/kill is not' >"$tmp/out"
		[ ! -s "$tmp/out" ]
	}
	verify
	ok $? 'systemd-analyze verify finds nothing'
	cp "$units/heliographd.service" "$tmp/unit"
	echo 'NoSuchKey=1' >>"$units/heliographd.service"
	verify
	ok $((!$?)) 'and would find a wrong key'
	cp "$tmp/unit" "$units/heliographd.service"
else
	n=$((n + 1))
	echo "ok $n - systemd-analyze verify # SKIP no systemd-analyze on this machine"
fi

# What a person changed stays; the new sample is beside it.
echo '# mine' >"$d/etc/heliograph/heliographd.conf"
rm "$d/usr/bin/heliograph"
make -s -C "$top" O="$build" ${HG_SAN:+SAN=$HG_SAN} DESTDIR="$d" install >"$tmp/out" 2>&1
[ "$(cat "$d/etc/heliograph/heliographd.conf")" = '# mine' ] && [ -x "$d/usr/bin/heliograph" ]
ok $? 'a second install keeps a changed configuration'

make -s -C "$top" O="$build" ${HG_SAN:+SAN=$HG_SAN} DESTDIR="$d" uninstall >"$tmp/out" 2>&1
ok $? 'make uninstall'
is "$(files "$d" | cut -d' ' -f2 | grep -v '^etc/')" '' 'leaves nothing outside /etc'
is "$(cat "$d/etc/heliograph/heliographd.conf")" '# mine' 'and the configuration as it was'
[ ! -e "$d/usr/share/heliograph" ]
ok $? 'and no directory of ours'

# Other places reach programs, units and installer alike.
o=$tmp/o
make -s -j2 -C "$top" O="$o" CFLAGS=-O1 DESTDIR="$tmp/local" PREFIX=/opt/hg SYSCONFDIR=/opt/hg/etc install >"$tmp/out" 2>&1
ok $? 'make install PREFIX= SYSCONFDIR= into another directory'
is "$(cd "$tmp/local" && find . -type f | cut -d/ -f2-3 | sort -u)" opt/hg 'everything is below PREFIX'
"$tmp/local/opt/hg/sbin/heliographd" --help >"$tmp/out" 2>&1
grep -q '/opt/hg/etc/heliograph/heliographd.conf' "$tmp/out" && grep -q '/opt/hg/lib/bpf/' "$tmp/out"
ok $? 'the programs know'
cat "$tmp"/local/opt/hg/lib/systemd/system/*.service >"$tmp/out"
grep -q '^ExecStart=/opt/hg/sbin/heliographd -c /opt/hg/etc/heliograph/heliographd.conf' "$tmp/out" &&
	! grep -q '^Exec.*\(/usr\|=/etc\| /etc\)' "$tmp/out"
ok $? 'the units know'
echo "1..$n"
