#!/bin/sh
# SPDX-License-Identifier: MIT
# `heliograph profile` and the agent's [profile]: what they print, take and refuse.
. "$(dirname "$0")/../lib.sh"

sample=$HG_TOP/package/profile.json
profile() { "$HG_BUILD/heliograph" profile "$@" 2>&1; }
says() { # NAME STATUS TEXT ARGUMENT..: what it prints holds TEXT
	says_name=$1 says_status=$2 says_text=$3
	shift 3
	says_out=$(profile "$@")
	says_got=$?
	case $says_out in
	*"$says_text"*) ;;
	*) says_got="$says_got, without '$says_text': $says_out" ;;
	esac
	is "$says_name" "$says_got" "$says_status"
}

# Show and check
says "show: the head" 0 "model     demo-sensor, firmware 1.0.0" show "$sample"
says "show: a channel" 0 "mdns: udp 5353 to 224.0.0.251, ff02::fb; no answers" show "$sample"
says "show: amounts and bounds" 0 "  400/800  600000/1200000    4/8     2/4" show "$sample"
is "show --json: the written form" "$(profile show --json "$sample")" "$(cat "$sample")"
is "it takes --json before the command, too" \
	"$("$HG_BUILD/heliograph" -j profile show "$sample")" "$(cat "$sample")"
says "check" 0 "good: demo-sensor 1.0.0, 7 channels, 9 rules of 128" check "$sample"
sed 's/"flows"/"folws"/' "$sample" >"$tmp/bad.json"
says "check: where and why" 1 \
	"bad.json: \$.channels[0].envelope.1: unknown key 'folws'; did you mean 'flows'?" check "$tmp/bad.json"
says "show: a bad one" 1 "did you mean 'flows'?" show "$tmp/bad.json"
says "no file" 2 "an argument is missing" show
says "no such file" 1 "No such file" show "$tmp/none.json"
says "two files" 2 "one word too many" check "$sample" "$sample"
says "an option that is none" 2 "--jso: no such option" show --jso "$sample"
says "no configuration file is needed, but one that is named is read" 0 good check "$sample"
is "and must be there" "$("$HG_BUILD/heliograph" -c "$tmp/none.conf" profile check "$sample" 2>&1 >"$tmp/out" | grep -c none.conf)" 1
says "compile" 0 "9 rules of 128, 0 names; 12800 bytes in the guard" compile "$sample"
is "compile --json" "$(profile compile --json "$sample" | jq -c '[.rules[8].remote, .channels[1].id, .bytes]')" \
	'["ff02::fb","2c886dae47ca751d",12800]'

# Diff
jq '.firmware = "1.1.0" | .margin_percent = 150 | .channels[0].envelope["60"] = {"size_max": 1400} |
	.channels[0].envelope["1"].flows = 6 | .channels[2].ports = [53, 853] |
	.channels[4].remote = ["ntp", "name:a.example.com"] | del(.channels[5], .channels[3].ports) |
	.channels = [{"name": "web", "proto": "tcp", "remote": "any", "envelope": {}}] + .channels |
	.channels[5] as $x | .channels[5] = .channels[4] | .channels[4] = $x' "$sample" >"$tmp/new.json"
profile diff "$sample" "$tmp/new.json" >"$tmp/diff"
is "diff: status 1" $? 1
cat >"$tmp/want" <<-'EOT'
	~ firmware: 1.0.0 -> 1.1.0
	~ margin_percent: not said -> 150
	~ sync: 1 s flows: 4 -> 6
	~ sync: 60 s size_max: not said -> 1400
	+ dns-udp: ports: 853
	~ dns-tcp: ports: [53] -> not said
	+ ntp: remote: name:a.example.com
	- dhcp: channel {"name": "dhcp", "proto": "udp", "ports": [67, 547], "remote": "any", "envelope": {"1": {"packets": 8, "bytes": 4000, "flows": 4, "failed": 4}}, "answers": false}
	+ web: channel {"name": "web", "proto": "tcp", "remote": "any", "envelope": {}}
	~ order: ["sync", "alarm", "dns-udp", "dns-tcp", "ntp", "mdns"] -> ["sync", "alarm", "dns-udp", "ntp", "dns-tcp", "mdns"]
EOT
check "diff: channels, remotes, ports, amounts, order" diff "$tmp/want" "$tmp/diff"
is "diff --json" "$(profile diff -j "$sample" "$tmp/new.json" | jq -c '.[2]')" \
	'{"path":["channels","sync","envelope","1","flows"],"old":4,"new":6}'
profile diff "$sample" "$sample" >"$tmp/diff"
is "diff: status 0 of the same" "$?$(cat "$tmp/diff")" 0
says "diff: status 2 of a bad one" 2 "did you mean 'flows'?" diff "$sample" "$tmp/bad.json"

# Sign and verify
pki_ca "$tmp/pki"
pki_cert "$tmp/pki" maker DNS:maker.example.com codeSigning
pki_device "$tmp/pki" dev1
chmod 600 "$tmp"/pki/*.key
ca=$tmp/pki/ca.crt maker="-k $tmp/pki/maker.key -c $tmp/pki/maker.crt"
check "sign" profile sign "$sample" -k "$tmp/pki/maker.key" -c "$tmp/pki/maker.crt" -o "$tmp/signed"
# shellcheck disable=SC2086 # two options
check "sign: to standard output" sh -c "'$HG_BUILD/heliograph' profile sign '$sample' $maker >'$tmp/piped'"
says "verify: by its authority" 0 "good: demo-sensor 1.0.0, serial 0, signed by /CN=maker" verify "$tmp/signed" -m "$ca"
says "verify: what was piped" 0 "good" verify "$tmp/piped" --maker="$ca"
is "the signed form is read as well" "$(profile show -j "$tmp/signed")" "$(cat "$sample")"
says "verify: not signed" 1 "profile.json: is not signed" verify "$sample" -m "$ca"
says "verify: by another" 1 "not that of a maker that is trusted (certificate in it: /CN=maker)" \
	verify "$tmp/signed" -m "$tmp/pki/dev1.crt"
says "verify: by whom?" 2 "-m CERTS" verify "$tmp/signed"
says "sign: with what?" 2 "-k KEY -c CERT" sign "$sample" -k "$tmp/pki/maker.key"
says "sign: another's key" 1 "the key must be that of the certificate" \
	sign "$sample" -k "$tmp/pki/dev1.key" -c "$tmp/pki/maker.crt" -o "$tmp/x"
says "sign: a certificate for something else is told" 0 "does not name code signing" \
	sign "$sample" -k "$tmp/pki/dev1.key" -c "$tmp/pki/dev1.crt" -o "$tmp/by-dev1"
says "and does not hold by its authority" 1 "not that of a maker" verify "$tmp/by-dev1" -m "$ca"
chmod 644 "$tmp/pki/maker.key"
# shellcheck disable=SC2086
says "sign: a key open to others" 1 "chmod 600" sign "$sample" $maker -o "$tmp/x"
chmod 600 "$tmp/pki/maker.key"
# shellcheck disable=SC2086
says "sign: nowhere to write to" 1 "No such file" sign "$sample" $maker -o "$tmp/none/x"
check "what failed left nothing" test ! -e "$tmp/x"
jq '.valid_until = "2026-01-01T00:00:00Z"' "$sample" >"$tmp/old.json"
# shellcheck disable=SC2086
profile sign "$tmp/old.json" $maker -o "$tmp/old"
says "verify: past its time" 1 "was valid until 2026-01-01T00:00:00Z" verify "$tmp/old" -m "$ca"

# openssl(1) finds the same signature good, over what RFC 9052 says is signed
check "another implementation verifies it" python3 - "$tmp/signed" "$tmp/pki/maker.crt" "$tmp" <<-'EOT'
	import subprocess, sys
	def head(b, i):
	    n, more = b[i] & 31, (b[i] & 31) - 24
	    return b[i] >> 5, n if more < 0 else int.from_bytes(b[i + 1:i + 1 + 2 ** more], "big"), i + 1 + (0 if more < 0 else 2 ** more)
	def string(b, i):
	    _, n, i = head(b, i)
	    return b[i:i + n], i + n
	def put(b):
	    n = len(b)
	    return (bytes([0x40 + n]) if n < 24 else b"\x58" + bytes([n]) if n < 256 else b"\x59" + n.to_bytes(2, "big")) + b
	b = open(sys.argv[1], "rb").read()
	assert b[:2] == b"\xd2\x84"
	protected, i = string(b, 2)
	assert b[i] == 0xa0
	payload, i = string(b, i + 1)
	sig, i = string(b, i)
	assert i == len(b) and len(sig) == 64 and payload[0] >> 5 == 5
	def number(x):
	    x = x.lstrip(b"\0")
	    x = b"\0" + x if x[0] > 127 else x
	    return b"\x02" + bytes([len(x)]) + x
	der = number(sig[:32]) + number(sig[32:])
	d = sys.argv[3]
	open(d + "/sig", "wb").write(b"\x30" + bytes([len(der)]) + der)
	open(d + "/tbs", "wb").write(b"\x84\x6aSignature1" + put(protected) + b"\x40" + put(payload))
	key = subprocess.run(["openssl", "x509", "-in", sys.argv[2], "-pubkey", "-noout"], capture_output=True, check=True)
	open(d + "/pub", "wb").write(key.stdout)
	subprocess.run(["openssl", "dgst", "-sha256", "-verify", d + "/pub", "-signature", d + "/sig", d + "/tbs"], check=True)
EOT

# The agent
agent() { # PROFILE [MAKER]
	mkdir -p "$tmp/commands.d"
	cat >"$tmp/agent.conf" <<-EOT
		[agent]
		socket = $tmp/sock
		[device]
		state_dir = $tmp/state
		commands_dir = $tmp/commands.d
		[mirror]
		cert = $tmp/pki/dev1.crt
		key = $tmp/pki/dev1.key
		[collector]
		host = 192.0.2.9
		cert = $ca
		[profile]
		file = $1
		${2:+maker = $2}
	EOT
	start agent "$HG_BUILD/heliographd" -c "$tmp/agent.conf"
}
runs() { wait_for 10 "$HG_BUILD/heliograph" -c "$tmp/agent.conf" status; }
refuses() { # NAME TEXT: the agent ends with status 3 and says why
	wait_for 10 gone "$(pid agent)"
	wait "$(pid agent)"
	is "$1" $? 3
	check "and says why" grep -q "$2" "$tmp/agent.log"
}

for one in "$sample" "$tmp/signed"; do
	agent "$one"
	check "an agent without a maker takes ${one##*/}" runs
	stop agent
done
agent "$tmp/signed" "$ca"
check "with one it takes a signed profile" runs
stop agent
# shellcheck disable=SC2086
jq '.serial = 7' "$sample" >"$tmp/7.json" && profile sign "$tmp/7.json" $maker -o "$tmp/7"
agent "$tmp/7" "$ca"
check "and one with a higher serial" runs
stop agent
agent "$tmp/signed" "$ca"
refuses "after which it does not go back" "signed: has serial 0, and 7 was used before for demo-sensor 1.0.0"
agent "$tmp/signed"
check "unless nobody needs to have signed it" runs
stop agent
agent "$sample" "$ca"
refuses "but none that is not signed" "profile.json: is not signed"
agent "$tmp/by-dev1" "$ca"
refuses "nor one that a device has signed" "not that of a maker that is trusted"
agent "$tmp/old" "$ca"
check "one that is past its time does not stop it" runs
check "and it says so" grep -q "was valid until 2026-01-01T00:00:00Z.*traffic is not watched" "$tmp/agent.log"
stop agent
done_testing
