# SPDX-License-Identifier: MIT
# shellcheck shell=dash disable=SC2034,SC2154 # variables are shared with lib.sh
# tests/daemons.sh: a mirror, a collector and devices for a test or the demo; sourced after lib.sh.
# Everything lies in $tmp: ca/, mirror.conf, collector.conf, UID/heliographd.conf, NAME.log.
#
#   mirror_make  mirror_up  collector_make  collector_up    (up: made, if it is not, and started)
#   device_make UID  device_up UID [NS]
#   mirror ARG..  collector ARG..  agent UID ARG..    our commands on those configuration files
#   http METHOD PATH [JSON]                           the mirror's API, with $token
#
# Where they run; a test may set these before it calls mirror_up.

mirror_ip=127.0.0.1 collector_ip=127.0.0.1 mirror_ns=box app_ns=box collector_ns=box
guard_if="" # none
api=https://mirror.example:8443
model_file=$HG_TOP/scripts/demo.d/model.json
commands_dir=$HG_TOP/scripts/demo.d/commands.d
token=""
interval=3s interval_min=1s interval_soon=1s backoff_min=500ms backoff_max=30m # of devices

# Runs a program of ours with the configuration file of that name.
mirror() { "$HG_BUILD/heliograph-mirror" -c "$tmp/mirror.conf" "$@"; }
collector() { "$HG_BUILD/heliograph-collector" -c "$tmp/collector.conf" "$@"; }
agent() {
	agent_dir=$tmp/$1
	shift
	"$HG_BUILD/heliograph" -c "$agent_dir/heliographd.conf" "$@"
}

# Configuration, authority, database, model and a token that may do everything.
mirror_make() {
	cat >"$tmp/mirror.conf" <<-EOT
		[database]
		conninfo = dbname=mirror
		migrations = $HG_TOP/mirror/sql
		[sync]
		listen = $mirror_ip:4646
		cert = $tmp/ca/mirror.crt
		key = $tmp/ca/mirror.key
		ca = $tmp/ca/ca.crt
		crl = $tmp/ca/ca.crl
		[http]
		listen = $mirror_ip:8443
		public_url = $api
		[ca]
		directory = $tmp/ca
	EOT
	{
		createdb mirror &&
			mirror ca init "$tmp/ca" --host mirror.example &&
			mirror ca server collector --san "IP:$collector_ip" --out "$tmp/ca" &&
			mirror migrate &&
			mirror model add "$model_file"
	} >"$tmp/mirror-setup.log" 2>&1 || return 1
	token=$(mirror token add app --right read --right write --right invoke --model demo-sensor)
}

mirror_up() {
	[ -e "$tmp/mirror.conf" ] || mirror_make || return 1
	start_in "$mirror_ns" mirror "$HG_BUILD/heliograph-mirror" -c "$tmp/mirror.conf" serve
	wait_for 10 http GET /things
}

collector_make() {
	cat >"$tmp/collector.conf" <<-EOT
		[collector]
		address = $collector_ip
		cert = $tmp/ca/collector.crt
		key = $tmp/ca/collector.key
		device_ca = $tmp/ca/ca.crt
		device_crl = $tmp/ca/ca.crl
		[database]
		conninfo = dbname=collector
		migrations = $HG_TOP/collector/sql
		[decide]
		quiet = 5s
		protected = $mirror_ip
		protected = $collector_ip
	EOT
	createdb collector && collector migrate >"$tmp/collector-setup.log" 2>&1
}

collector_up() {
	[ -e "$tmp/collector.conf" ] || collector_make || return 1
	start_in "$collector_ns" collector "$HG_BUILD/heliograph-collector" -c "$tmp/collector.conf" serve
}

# Enrols a device with the mirror and writes its configuration.
device_make() {
	device_dir=$tmp/$1
	mirror device add "$1" --model demo-sensor --out "$device_dir" >>"$tmp/mirror-setup.log" 2>&1 ||
		return 1
	cat >"$device_dir/heliographd.conf" <<-EOT
		[agent]
		socket = $device_dir/agent.sock
		[device]
		state_dir = $device_dir/state
		model = $model_file
		firmware = 1.0.0
		commands_dir = $commands_dir
		[mirror]
		host = $mirror_ip
		name = mirror.example
		ca = $device_dir/ca.crt
		cert = $device_dir/device.crt
		key = $device_dir/device.key
		interval = $interval
		interval_min = $interval_min
		interval_soon = $interval_soon
		backoff_min = $backoff_min
		backoff_max = $backoff_max
		[guard]
		${guard_if:+interface = $guard_if}
		policy = initiated
		pin_dir = $tmp/bpf/$1
		object = $HG_BUILD/ebpf/heliograph.bpf.o
		dns = $mirror_ip
		[collector]
		host = $collector_ip
		cert = $tmp/ca/collector.crt
		[profile]
		file = $HG_TOP/package/profile.json
	EOT
}

# device_up UID [NAMESPACE]
device_up() { start_in "${2:-$1}" "$1" "$HG_BUILD/heliographd" -c "$tmp/$1/heliographd.conf"; }

# http METHOD PATH [JSON]: the mirror's API as the application calls it; the body is printed.
http() {
	in_ns "$app_ns" curl -sS --fail-with-body --max-time 10 --cacert "$tmp/ca/ca.crt" \
		--resolve "mirror.example:8443:$mirror_ip" -H "Authorization: Bearer $token" \
		-X "$1" ${3:+-H 'Content-Type: application/json' -d "$3"} "$api$2"
}
