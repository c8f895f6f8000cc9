#!/bin/sh
# SPDX-License-Identifier: MIT
# san: no, builds with and without sanitizers itself
# The Makefile on a small copy of the tree: what must be built again is, and nothing else;
# outputs of different options stay apart. Its sources are toys, so that this takes seconds.
set -u
. "$(dirname "$0")/tap.sh"
unset MAKEFLAGS MFLAGS MAKELEVEL O SAN V CROSS_COMPILE CC CFLAGS
tree=$tmp/tree
# built NAME STEPS ARGUMENT...: make says exactly these steps, sorted, as "CC lib/a.c".
built() {
	name=$1 steps=$2
	shift 2
	make -C "$tree" --no-print-directory "$@" >"$tmp/out" 2>&1
	rc=$?
	got=$(sed -n 's/^  \([A-Z]*\)  *\(.*\)/\1 \2/p' "$tmp/out" | sort | tr '\n' ';')
	want=$(printf '%s' "$steps" | tr ';' '\n' | sort | tr '\n' ';')
	[ $rc = 0 ] && [ "$got" = "${want#;}" ]
	ok $? "$name"
}
later() { # the next file is newer than all outputs, also where clocks are coarse
	touch -d "$(date -d '+2 seconds' '+%F %T')" "$@"
}

mkdir -p "$tree"/lib "$tree"/ebpf "$tree"/userspace "$tree"/mirror "$tree"/collector "$tree"/tests/toy "$tree"/scripts
cp "$top"/Makefile "$top"/VERSION "$tree"
cp "$top"/tests/build.mk "$tree"/tests/
cp "$top"/lib/build.mk "$tree"/lib/
cp "$top"/ebpf/build.mk "$tree"/ebpf/
cp "$top"/scripts/deps "$tree"/scripts/
cd "$tree" || exit 1
touch mirror/build.mk collector/build.mk
echo 'int hg_one(void);' >lib/one.h
printf '#include "one.h"\nint hg_one(void)\n{\n\treturn 1;\n}\n' >lib/one.c
printf 'int hg_two(void);\nint hg_two(void)\n{\n\treturn 2;\n}\n' >lib/two.c
printf '#include "../lib/one.h"\nint main(void)\n{\n\treturn hg_one() - 1;\n}\n' >userspace/toy.c
sed "s,\.\./,../../," userspace/toy.c >tests/toy/toy_test.c
echo 'cflags-userspace/toy := -DTOY=1' >userspace/build.mk
echo '$(eval $(call program,toy,userspace/toy.c,))' >>userspace/build.mk
printf 'int toy(void *ctx)\n{\n\treturn 2;\n}\n' >ebpf/toy.bpf.c

built 'all from nothing' 'CC lib/one.c;CC lib/two.c;CC userspace/toy.c;AR build/libhg.a;LINK build/toy;BPF ebpf/toy.bpf.c' all
build/toy
ok $? 'the program runs'
built 'nothing is built twice' '' all
built 'tests come with `make tests`' 'CC tests/toy/toy_test.c;LINK build/tests/toy/toy_test' tests
later lib/one.h
built 'a header changed' 'CC lib/one.c;CC userspace/toy.c;CC tests/toy/toy_test.c;AR build/libhg.a;LINK build/toy;LINK build/tests/toy/toy_test' tests
find . -exec touch -d "$(date -d '-1 minute' '+%F %T')" {} +
rm lib/two.c
built 'a library source went away' 'AR build/libhg.a;LINK build/toy;LINK build/tests/toy/toy_test' tests
ar t build/libhg.a >"$tmp/out"
[ "$(cat "$tmp/out")" = one.o ]
ok $? 'and is out of the archive'
rm lib/one.h
sed -i 's/#include.*/int hg_one(void);/' lib/one.c userspace/toy.c tests/toy/toy_test.c
built 'a header went away' 'CC lib/one.c;CC userspace/toy.c;CC tests/toy/toy_test.c;AR build/libhg.a;LINK build/toy;LINK build/tests/toy/toy_test' tests
built 'flags changed' 'CC lib/one.c;CC userspace/toy.c;AR build/libhg.a;LINK build/toy;BPF ebpf/toy.bpf.c' all CFLAGS='-O1 -g'
built 'flags changed back' 'CC lib/one.c;CC userspace/toy.c;AR build/libhg.a;LINK build/toy;BPF ebpf/toy.bpf.c' all
built 'same flags again' '' all
sed -i 's/TOY=1/TOY=2/' userspace/build.mk
built 'the flags of one file changed' 'CC lib/one.c;CC userspace/toy.c;AR build/libhg.a;LINK build/toy;BPF ebpf/toy.bpf.c' all
sed -i 's/toy.c,)/toy.c,-lm)/' userspace/build.mk
built 'the libraries of a program changed' 'LINK build/toy' all
echo 0.1.1-toy >VERSION
built 'the version changed' 'CC lib/one.c;CC userspace/toy.c;AR build/libhg.a;LINK build/toy;BPF ebpf/toy.bpf.c' all

built 'O= builds elsewhere' "CC lib/one.c;CC userspace/toy.c;AR $tmp/o/libhg.a;LINK $tmp/o/toy;BPF ebpf/toy.bpf.c" all O="$tmp/o"
built 'SAN=1 builds beside' 'CC lib/one.c;CC userspace/toy.c;AR build/san/libhg.a;LINK build/san/toy;BPF ebpf/toy.bpf.c' all SAN=1
nm build/san/toy | grep -q __asan_init && ! nm build/toy | grep -q __asan_init
ok $? 'with sanitizers, and the other without'
built 'and leaves the other alone' '' all
built 'SAN=0 is no SAN' '' all SAN=0

# A cross compiler is whatever has the prefix: here a wrapper that leaves a trace.
mkdir "$tmp/cross"
for t in gcc ar; do
	printf '#!/bin/sh\necho %s >>"%s"\nexec %s "$@"\n' "$t" "$tmp/trace" "$t" >"$tmp/cross/toyarch-$t"
	chmod +x "$tmp/cross/toyarch-$t"
done
(PATH=$tmp/cross:$PATH make -s -C "$tree" all O="$tmp/x" CROSS_COMPILE=toyarch-) >"$tmp/out" 2>&1
[ -x "$tmp/x/toy" ] && grep -q gcc "$tmp/trace" && grep -q ar "$tmp/trace"
ok $? 'CROSS_COMPILE= chooses compiler and archiver'
make -C "$tree" V=1 O="$tmp/v" all >"$tmp/out" 2>&1
grep -q '^gcc .*-Werror.* lib/one.c$' "$tmp/out" && ! grep -q '^  CC' "$tmp/out"
ok $? 'V=1 shows the commands'
make -s -C "$tree" -j8 O="$tmp/j" tests >"$tmp/out" 2>&1 && [ -x "$tmp/j/tests/toy/toy_test" ] && [ ! -s "$tmp/out" ]
ok $? 'make -j from nothing, silent with -s'
printf 'int hg_one(void)\n{\n\treturn 1\n}\n' >lib/one.c
make -s -C "$tree" all >"$tmp/out" 2>&1
ok $((!$?)) 'an error in a source fails the build'
make -s -C "$tree" build/compile_commands.json >"$tmp/out" 2>&1 &&
	python3 -c 'import json,sys; sys.exit(sorted(e["file"] for e in json.load(open("build/compile_commands.json"))) != ["ebpf/toy.bpf.c", "lib/one.c", "tests/toy/toy_test.c", "userspace/toy.c"])' 2>>"$tmp/out"
ok $? 'compile_commands.json names every source'
make -s -C "$tree" clean O=lib && [ -d lib ] && make -s -C "$tree" clean O="$tmp/o" && [ ! -e "$tmp/o" ] &&
	make -s -C "$tree" clean && [ ! -e build ]
ok $? 'clean removes outputs and nothing else'
echo "1..$n"
