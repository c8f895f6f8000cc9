# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# tests/lib.sh: what tests in shell and scripts/demo share. Source it first; sh, dash and bash can.
#
#   TAP         check NAME CMD..  is NAME GOT WANT  pass NAME  fail NAME [WHY]  skip NAME WHY
#               skip_all WHY  diag TEXT  done_testing (last line: cleans up, plans, exits)
#   waiting     wait_for SECONDS CMD..  (polls; three times as long with sanitizers, and longer where
#               more wants to run than there are processors)
#   life        undo CMD (kept, run in reverse at the end, after Ctrl-C and after failure);
#               everything made here registers its own; $tmp is a directory of this run
#   processes   start NAME CMD..  start_in NS NAME CMD..  stop NAME  kill9 NAME  alive NAME
#               ($tmp/NAME.log is what it printed; its pid is `pid NAME`)
#   network     ns_add NAME  in_ns NAME CMD..  link_add NS IF ADDR/LEN NS IF ADDR/LEN  route_add
#               router_on NS  nat_on NS IF  topology  (topology.sh: drawing)
#   mounts      bpffs_add DIR  tmpfs_add DIR SIZE
#   PostgreSQL  pg_start  pg_stop  pg_kill9  pg_restart  (private; unix socket; sets PGHOST)
#   PKI         pki_ca DIR  pki_server DIR NAME HOST..  pki_device DIR UID  (plain openssl)
#
# Never call what registers an undo from a subshell or a pipe: the register would be lost.

HG_TOP=${HG_TOP:-$(cd "$(dirname "$0")/../.." && pwd)}
HG_BUILD=${HG_BUILD:-$HG_TOP/build}
export HG_TOP HG_BUILD

wait_cpus=$(getconf _NPROCESSORS_ONLN)

# --- TAP

tap_count=0 tap_failed=0

pass() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1"
}

fail() {
	tap_count=$((tap_count + 1)) tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $1"
	[ $# -lt 2 ] || diag "$2"
}

diag() { printf '%s\n' "$*" | sed 's/^/# /'; }

# Runs a command: passed if it returns 0; what it printed is shown otherwise.
check() {
	check_name=$1
	shift
	if "$@" >"$tmp/check.out" 2>&1; then
		pass "$check_name"
	else
		fail "$check_name" "exit status $?: $*"
		tail -n 20 "$tmp/check.out" | sed 's/^/#   /'
	fi
}

is() {
	if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "got '$2', want '$3'"; fi
}

skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

# The last line of a test: undoes everything, checks that nothing was left, prints the plan.
done_testing() {
	cleanup
	trap - EXIT
	is "everything created was destroyed" "$(leftovers "$suffix")" ""
	echo "1..$tap_count"
	[ "$tap_failed" = 0 ]
	exit
}

# --- Life: what was made is unmade in reverse, whatever happens

suffix=$(od -An -N4 -tx4 /dev/urandom | tr -d ' ')
tmp=/tmp/hg-$suffix
export HG_RUN="$suffix" # in the environment of all we start: strays are found by it
newline='
'
undo_list="" deferred="" critical=""

undo() { undo_list="$*$newline$undo_list"; }

# A signal between making a thing and registering its undo would leak it: such places run
# between `critical=1` and critical_end, which lets a signal that came meanwhile act.
critical_end() {
	critical=
	[ -z "$deferred" ] || exit "$deferred"
}

on_signal() {
	deferred=$1
	[ -n "$critical" ] || exit "$1"
}

cleanup() {
	trap '' HUP INT TERM PIPE
	set +e
	while [ -n "$undo_list" ]; do
		cleanup_step=${undo_list%%"$newline"*}
		undo_list=${undo_list#*"$newline"}
		eval "$cleanup_step"
	done
}

# Processes of the run with this suffix, found by their environment or the directory they work in.
strays() (
	unset HG_RUN
	{
		grep -lsaz "^HG_RUN=$1\$" /proc/[0-9]*/environ
		find /proc -maxdepth 2 -name cwd -lname "/tmp/hg-$1*" 2>/dev/null
	} | cut -d/ -f3 | sort -u
)

kill_strays() {
	stray_pids=$(strays "$suffix")
	# shellcheck disable=SC2086 # a list of pids
	[ -z "$stray_pids" ] || kill -9 $stray_pids 2>/dev/null
	wait_for 5 no_strays
}

no_strays() { [ -z "$(strays "$suffix")" ]; }

# Prints what is left of the run with this suffix: namespaces, mounts, processes, files.
leftovers() (
	unset HG_RUN
	find /run/netns -name "hg-*-$1" 2>/dev/null # `ip netns list` complains of others' comings and goings
	grep " /tmp/hg-$1" /proc/self/mounts
	strays "$1" | sed 's/^/process /'
	[ ! -e "/tmp/hg-$1" ] || echo "/tmp/hg-$1"
)

# Returns 0 as soon as the command does, 1 when the seconds are over. They are meant for a machine
# that has nothing else to do: among n others per processor each gets an n-th.
wait_for() {
	local wait_until=$1 wait_now wait_load
	shift
	[ "${HG_SAN:-0}" = 0 ] || wait_until=$((wait_until * 3))
	read -r wait_load _ </proc/loadavg
	wait_until=$((wait_until * (1 + ${wait_load%.*} / wait_cpus)))
	read -r wait_now _ </proc/uptime
	wait_until=$((${wait_now%.*} + wait_until))
	until "$@" >/dev/null 2>&1; do
		read -r wait_now _ </proc/uptime
		[ "${wait_now%.*}" -lt "$wait_until" ] || return 1
		sleep 0.05
	done
}

life_init() {
	trap 'on_signal 129' HUP
	trap 'on_signal 130' INT
	trap 'on_signal 141' PIPE
	trap 'on_signal 143' TERM
	trap 'cleanup' EXIT
	critical=1
	mkdir -m 711 "$tmp" || exit 1
	undo "rm -rf $tmp"
	undo kill_strays
	critical_end
}

# --- Processes

# Runs in the background as its own process group, so that no Ctrl-C reaches it before cleanup.
start() {
	start_name=$1
	shift
	critical=1
	setsid "$@" >>"$tmp/$start_name.log" 2>&1 </dev/null &
	eval "pid_$start_name=$!"
	# shellcheck disable=SC3044 # bash only
	[ -z "${BASH_VERSION:-}" ] || disown "$!" # it would report each one that is killed
	undo "stop $start_name"
	critical_end
}

start_in() {
	start_ns=$1
	start_name=$2
	shift 2
	start "$start_name" nsenter --net="/run/netns/$(ns "$start_ns")" "$@"
}

pid() { eval "echo \"\${pid_$1:-}\""; }

alive() {
	alive_pid=$(pid "$1")
	[ -n "$alive_pid" ] && ! gone "$alive_pid"
}

# True if no process of that number runs; one that nobody has waited for yet is gone, too.
gone() {
	{ read -r gone_stat <"/proc/$1/stat"; } 2>/dev/null || return 0
	case ${gone_stat##*)} in " Z"* | " X"*) return 0 ;; esac
	return 1
}

# Ends it and its process group with TERM; after five seconds with KILL.
stop() {
	stop_pid=$(pid "$1")
	[ -n "$stop_pid" ] || return 0
	kill -TERM "$stop_pid" 2>/dev/null
	wait_for 5 gone "$stop_pid" || echo "# $1 did not end on SIGTERM" >&2
	kill9 "$1"
}

kill9() {
	kill9_pid=$(pid "$1")
	[ -n "$kill9_pid" ] || return 0
	kill -s KILL -- "-$kill9_pid" 2>/dev/null || kill -KILL "$kill9_pid" 2>/dev/null
	wait_for 5 gone "$kill9_pid"
	eval "pid_$1="
}

# --- Mounts

# Mounts a BPF file system of its own on DIR; what is pinned there goes with it.
bpffs_add() {
	mkdir -p "$1"
	critical=1
	mount -t bpf bpf "$1" || exit 1
	undo "umount $1"
	critical_end
}

# tmpfs_add DIR SIZE: a file system of its own, to be filled.
tmpfs_add() {
	mkdir -p "$1"
	critical=1
	mount -t tmpfs -o "size=$2,mode=700" tmpfs "$1" || exit 1
	undo "umount $1"
	critical_end
}

# --- PostgreSQL

# A private cluster in $tmp/pg; superuser postgres, database postgres, trust, socket in $tmp/pg.
pg_start() {
	pg_bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin | sort -V | tail -n 1)
	install -d -o postgres -m 755 "$tmp/pg"
	(cd "$tmp/pg" && as_postgres "$pg_bin/initdb" -D "$tmp/pg/data" -U postgres -A trust \
		--no-locale -E UTF8 --no-sync) >"$tmp/initdb.log" 2>&1 || {
		cat "$tmp/initdb.log" >&2
		exit 1
	}
	cat >>"$tmp/pg/data/postgresql.conf" <<-EOT
		listen_addresses = ''
		unix_socket_directories = '$tmp/pg'
		fsync = on
		logging_collector = off
		max_connections = 100
		shared_buffers = 32MB
		max_wal_size = 256MB
	EOT
	export PGHOST="$tmp/pg" PGUSER=postgres PGDATABASE=postgres
	pg_restart
}

as_postgres() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }

# Starts it again after pg_stop or pg_kill9, and returns when it answers.
pg_restart() {
	start postgres setpriv --reuid postgres --regid postgres --init-groups \
		"$pg_bin/postgres" -D "$tmp/pg/data"
	undo pg_stop
	wait_for 30 "$pg_bin/pg_isready" -q && return
	tail -n 20 "$tmp/postgres.log" >&2
	exit 1
}

# SIGINT is PostgreSQL's "fast" stop: it ends sessions first.
pg_stop() {
	alive postgres || return 0
	kill -INT "$(pid postgres)"
	wait_for 10 gone "$(pid postgres)"
	kill9 postgres
}

# All of its processes at once, as a power cut would; each child leads a session of its own.
pg_kill9() {
	# shellcheck disable=SC2046 # a list of pids
	kill -9 "$(pid postgres)" $(pgrep -P "$(pid postgres)")
	kill9 postgres
	wait_for 10 pg_gone
}

pg_gone() { [ -z "$(find /proc -maxdepth 2 -name cwd -lname "$tmp/pg/*" 2>/dev/null)" ]; }

# --- PKI

# pki_ca DIR: DIR/ca.crt, DIR/ca.key
pki_ca() {
	mkdir -p "$1"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
		-subj "/CN=Heliograph test CA" -keyout "$1/ca.key" -out "$1/ca.crt" \
		-addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null || exit 1
}

# pki_cert DIR NAME SUBJECT-ALT-NAME USAGE: DIR/NAME.crt, DIR/NAME.key
pki_cert() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" \
		-keyout "$1/$2.key" -out "$1/$2.csr" 2>/dev/null || exit 1
	printf 'subjectAltName=%s\nextendedKeyUsage=%s\nkeyUsage=critical,digitalSignature\n' \
		"$3" "$4" >"$1/$2.ext"
	openssl x509 -req -in "$1/$2.csr" -CA "$1/ca.crt" -CAkey "$1/ca.key" -days 30 \
		-extfile "$1/$2.ext" -out "$1/$2.crt" 2>/dev/null || exit 1
	rm -f "$1/$2.csr" "$1/$2.ext"
}

# pki_server DIR NAME HOST..: for DNS names and IPv4 addresses
pki_server() {
	pki_dir=$1 pki_name=$2 pki_san=
	shift 2
	for pki_host; do
		case $pki_host in
		*[!0-9.]*) pki_san="${pki_san:+$pki_san,}DNS:$pki_host" ;;
		*) pki_san="${pki_san:+$pki_san,}IP:$pki_host" ;;
		esac
	done
	pki_cert "$pki_dir" "$pki_name" "$pki_san" serverAuth
}

pki_device() { pki_cert "$1" "$2" "URI:urn:heliograph:device:$2" clientAuth; }

life_init
. "$HG_TOP/tests/topology.sh"
