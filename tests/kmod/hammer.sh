# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# Runs in a guest with a debug kernel, as /t/run: hammers the module and prints TAP without numbers.
# /t/load says how often (see debug); the kernel's log is the other half of the verdict.
# shellcheck disable=SC1091,SC2154 # /t/load sets seed, rounds, messages, frames, namespaces, loads
. /t/load
ko=/t/heliograph.ko
bad=0

say() { # STATUS NAME
	[ "$1" = 0 ] && echo "ok - $2" && return
	echo "not ok - $2"
	bad=1
}

# What the module holds, by who asked for it: bytes of vmalloc, objects in slabs. What KASAN keeps
# of freed objects goes first.
held_vmalloc() {
	awk '/hg_/ && /\[heliograph\]/ { n += $2 } END { print n + 0 }' /proc/vmallocinfo
}
held_slab() {
	for s in /sys/kernel/slab/*/shrink; do echo 1 >"$s"; done 2>/dev/null
	cat /sys/kernel/debug/slab/*/alloc_traces 2>/dev/null |
		awk '/ hg_/ && / age=/ { n += $1 } END { print n + 0 }'
}

# What the whole kernel holds: bytes of vmalloc; what was taken for each processor, where that is
# counted (x86); objects in slabs that nobody loaded has asked for: the module, before it went.
kernel_holds() {
	for s in /sys/kernel/slab/*/shrink; do echo 1 >"$s"; done 2>/dev/null
	awk '!/unpurged/ { n += $2 } END { print n + 0, "bytes of vmalloc," }' /proc/vmallocinfo
	awk '/nr_cur_alloc/ { print $NF, "per-processor areas,"; exit }' /sys/kernel/debug/percpu_stats
	cat /sys/kernel/debug/slab/*/alloc_traces |
		awk '$2 ~ /^0x/ && / age=/ { n += $1 } END { print n + 0, "objects of nobody" }'
} 2>/dev/null
# The same after one of each: what the kernel itself keeps from the first time on is no loss.
settled() {
	drill load "$ko" 1 >/tmp/first || cat /tmp/first
	kernel_holds | xargs
}
# The same as before, at once or when what goes in the background has gone.
is_back() { # BEFORE NAME
	for _ in $(seq 50); do
		now=$(kernel_holds | xargs)
		[ "$now" != "$1" ] || break
		usleep 200000
	done
	[ "$now" = "$1" ]
	say $? "$2: $now, before: $1"
}

leaks() {
	echo scan >/sys/kernel/debug/kmemleak
	sleep 6 # lint: sleep ok, kmemleak tells only of what is older than five seconds
	echo scan >/sys/kernel/debug/kmemleak
	cat /sys/kernel/debug/kmemleak >/tmp/leaks
	[ ! -s /tmp/leaks ]
	say $? "kmemleak: nothing is lost after $1"
	head -n 40 /tmp/leaks | sed 's/^/# /'
	echo clear >/sys/kernel/debug/kmemleak
}

suites() {
	insmod /t/heliograph_kunit.ko
	say $? "the suites load"
	dmesg | sed -n 's/^\[[^]]*\] //; s/^ *\(not \)\{0,1\}ok [0-9]* \(- \)\{0,1\}\(.*\)$/\1ok - kunit: \3/p' >/tmp/kunit
	cat /tmp/kunit
	grep -q '^not ok' /tmp/kunit && bad=1 &&
		dmesg | grep -B 3 -A 12 'EXPECTATION\|ASSERTION' | sed 's/^/# /'
	[ "$(grep -c . /tmp/kunit)" -gt 15 ]
	say $? "the suites ran"
	rmmod heliograph_kunit
	say $? "the suites unload"
}

failures() {
	drill load-nth "$ko" || bad=1
	leaks "loads that failed"
	drill insmod "$ko" || bad=1
	drill command-nth || bad=1
	drill rmmod || bad=1
	leaks "commands that failed"
}

hostile() {
	drill insmod "$ko" || bad=1
	drill fuzz "$seed" "$rounds" "$messages" || bad=1
	scapy=
	[ ! -e /t/scapy ] || scapy=/t/scapy
	# shellcheck disable=SC2086 # a word or none
	drill packets "$seed" "$frames" $scapy || bad=1
	drill rmmod || bad=1
	leaks "messages and frames"
}

# That what a guard holds is seen, or it would prove nothing that it is seen no more.
held() {
	mkfifo /tmp/in
	drill hold </tmp/in >/tmp/hold &
	exec 3>/tmp/in
	until grep -q . /tmp/hold; do usleep 20000; done
	sed 's/^/# /' /tmp/hold
	told=$(sed -n 's/^memory //p' /tmp/hold) seen=$(held_vmalloc)
	# It tells of bytes, the kernel of pages; what all processors have is not among these.
	[ "$seen" -gt $((told / 2)) ] && [ "$seen" -lt $((told * 2)) ] && [ "$(held_slab)" -gt 0 ]
	say $? "a guard holds $told bytes, of which $seen bytes of vmalloc and $(held_slab) objects are seen"
	exec 3>&-
	wait
	tail -n 1 /tmp/hold
}

# While the module is there: without it the kernel has no names for its code.
is_zero() { [ "$(held_vmalloc)" = 0 ] && [ "$(held_slab)" = 0 ]; }

come_and_go() {
	before=$(settled)
	drill insmod "$ko" || bad=1
	held
	drill namespaces "$namespaces" || bad=1
	for _ in $(seq 50); do
		is_zero && break
		usleep 200000
	done
	is_zero
	say $? "memory is back to the byte: $(held_vmalloc) bytes of vmalloc, $(held_slab) objects"
	drill rmmod || bad=1
	is_back "$before" "the kernel holds after $namespaces namespaces"
	leaks "namespaces"
}

load_and_unload() {
	before=$(settled)
	drill load "$ko" "$loads" || bad=1
	is_back "$before" "the kernel holds after $loads loads"
	leaks "loads"
}

echo clear >/sys/kernel/debug/kmemleak
for part in ${parts:-suites failures hostile namespaces loads}; do
	case $part in
	suites) suites ;;
	failures) failures ;;
	hostile) hostile ;;
	namespaces) come_and_go ;;
	loads) load_and_unload ;;
	*) say 1 "there is no part $part" ;;
	esac
done
# What the kernel complained of, with its traces; init names them again, for the verdict.
dmesg | grep -v ADDRCONF | grep -A 40 -E 'BUG:|WARNING:|KASAN|UBSAN|suspicious RCU|Oops|INFO: task' |
	head -n 300 | sed 's/^/# /'
exit $bad
