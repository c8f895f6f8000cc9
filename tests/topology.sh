# SPDX-License-Identifier: MIT
# shellcheck shell=dash disable=SC2034,SC2154 # variables are shared with lib.sh
# tests/topology.sh: namespaces, links and the common topology; tests/lib.sh sources it.
#
# The common topology. Every box is a namespace hg-NAME-SUFFIX; addresses are documentation
# prefixes (RFC 5737) and, in the homes, RFC 1918.
#
#   attacker 192.0.2.2  ──┐ .1                    203.0.113.2  ┌─ dev1 192.168.1.11
#   victim   192.0.2.10 ──┤ .9              .1 ┌── home1 (NAT) ┼─ dev2 192.168.1.12
#                         ├── router ──────────┤   192.168.1.1 └─ dev3 192.168.1.13
#   mirror 198.51.100.2 ──┤ .1              .9 │
#   app   198.51.100.10 ──┘ .9                 └── home2 (NAT) ┬─ dev4 192.168.2.11
#                                                  192.168.2.1 ├─ dev5 192.168.2.12
#                                                203.0.113.10  └─ dev6 192.168.2.13
#   upstream interfaces are called wan, routers' by the neighbour's name, devices' eth0

ns() { echo "hg-$1-$suffix"; }

# `nsenter`, not `ip netns exec`, which would hide mounts below /sys.
in_ns() {
	in_ns_name=$1
	shift
	nsenter --net="/run/netns/hg-$in_ns_name-$suffix" "$@"
}

ns_add() {
	critical=1
	ip netns add "$(ns "$1")" || exit 1
	undo "ns_del $1"
	critical_end
	in_ns "$1" ip link set lo up
}

ns_del() {
	for ns_pid in $(ip netns pids "$(ns "$1")" 2>/dev/null); do
		kill -9 "$ns_pid" 2>/dev/null
		wait_for 5 gone "$ns_pid"
	done
	ip netns del "$(ns "$1")"
}

# link_add NS IF ADDR/LEN NS IF ADDR/LEN: a veth pair; "-" for no address.
link_add() {
	ip link add "$2" netns "$(ns "$1")" type veth peer name "$5" netns "$(ns "$4")" || exit 1
	link_up "$1" "$2" "$3"
	link_up "$4" "$5" "$6"
}

link_up() {
	[ "$3" = - ] || in_ns "$1" ip addr add "$3" dev "$2"
	in_ns "$1" ip link set "$2" up
}

# route_add NS PREFIX GATEWAY
route_add() { in_ns "$1" ip route add "$2" via "$3"; }

router_on() { in_ns "$1" sysctl -qw net.ipv4.ip_forward=1; }

# A home router: everything that leaves by IF does so from its address; nothing comes in by IF
# unasked except what `nft add rule ip nat inward ...` lets in; the router itself answers nobody.
nat_on() {
	router_on "$1"
	in_ns "$1" nft -f - <<-EOT
		table ip nat {
			chain inward { type nat hook prerouting priority dstnat; }
			chain outward { type nat hook postrouting priority srcnat;
				oifname "$2" masquerade; }
			chain input { type filter hook input priority filter;
				ct state established,related accept
				iifname "$2" drop; }
			chain forward { type filter hook forward priority filter;
				ct state established,related accept
				ct status dnat accept
				iifname "$2" drop; }
		}
	EOT
}

# The drawing at the top; home_add N WAN-ADDRESS GATEWAY makes one home with three devices.
topology() {
	ns_add router
	router_on router
	for topo_end in attacker=192.0.2.1=192.0.2.2 victim=192.0.2.9=192.0.2.10 \
		mirror=198.51.100.1=198.51.100.2 app=198.51.100.9=198.51.100.10; do
		topo_name=${topo_end%%=*} topo_end=${topo_end#*=}
		ns_add "$topo_name"
		link_add router "$topo_name" "${topo_end%=*}/29" "$topo_name" wan "${topo_end#*=}/29"
		route_add "$topo_name" default "${topo_end%=*}"
	done
	home_add 1 203.0.113.2 203.0.113.1
	home_add 2 203.0.113.10 203.0.113.9
}

home_add() {
	ns_add "home$1"
	link_add router "home$1" "$3/29" "home$1" wan "$2/29"
	route_add "home$1" default "$3"
	nat_on "home$1" wan
	in_ns "home$1" ip link add lan type bridge
	link_up "home$1" lan "192.168.$1.1/24"
	for topo_i in 1 2 3; do
		topo_name=dev$((($1 - 1) * 3 + topo_i))
		ns_add "$topo_name"
		link_add "home$1" "$topo_name" - "$topo_name" eth0 "192.168.$1.1$topo_i/24"
		in_ns "home$1" ip link set "$topo_name" master lan
		route_add "$topo_name" default "192.168.$1.1"
	done
}
