/* SPDX-License-Identifier: MIT */
/* The rest of the table of cases.c: the device's own packets, and what of them does not get out. */
#include "play.h"

static const struct hg_case cases[] = {
	{ "confine: a channel and peers get out, others not",
	  ". confine yes\n> tcp=S 4000 443 : out channel=3 flows=1\n"
	  "< tcp=SA 4000 443 : flow answered=1\n> tcp=A 4000 443 data=99 : out sent=2\n"
	  "> ip4 r=M tcp=S 4001 8443 : out kept\n< ip4 r=M tcp=SA 4001 8443 : flow\n"
	  "> ip4 r=N udp 4002 53 : out\n> ping 7 : out channel=5\n"
	  "> ip4 r=X tcp=S 4003 23 : confined\n> ip6 r=X tcp=S 4003 23 : confined\n"
	  "> udp 4000 9 : confined\n> proto=47 data=24 : confined\n" },
	{ "confine: a peer that no channel has",
	  ". profile B\n. confine yes\n> ip4 r=N udp 4002 53 : out\n"
	  "< ip4 r=N udp 4002 53 : flow\n> ip4 r=M tcp=S 4001 8443 : confined\n" },
	{ "confine: a refused flow is counted and told, once, and lets nothing in",
	  ". confine yes\n> tcp=S 4000 80 : confined outside opening flows=1 syn=1 events=1 fresh=1\n"
	  "< tcp=SA 4000 80 : no-flow opening got=0\n< tcp=RA 4000 80 : no-flow refused=0\n"
	  "< unreach quote tcp=S 4000 80 : icmp refused=0\n"
	  "> tcp=S 4000 80 : confined flows=1 sent=2 syn=2 events=1 destinations=1\n"
	  "> tcp=S 4001 80 : confined flows=2 events=2\n. confine no\n"
	  "< tcp=SA 4000 80 : state\n> tcp=S 4000 80 : out flows=2 sent=4\n"
	  "< tcp=SA 4000 80 : flow established answered=1\n" },
	{ "confine: switched on in the middle",
	  "> udp 4000 9\n< udp 4000 9 : flow\n> tcp=S 4000 443\n< tcp=SA 4000 443 : flow\n"
	  ". confine yes\n> udp 4000 9 : confined sent=2\n< udp 4000 9 : no-flow got=1\n"
	  "< ip4 r=X toobig quote udp 4000 9 : icmp\n> tcp=A 4000 443 : out\n"
	  "< tcp=A 4000 443 : flow\n. confine no\n< udp 4000 9 : flow\n" },
	{ "confine: another profile, in the middle",
	  ". confine yes\n> ip4 r=M tcp=S 4000 8443 : out\n< ip4 r=M tcp=SA 4000 8443 : flow\n"
	  ". profile B\n> ip4 r=M tcp=A 4000 8443 : confined outside\n"
	  "< ip4 r=M tcp=A 4000 8443 : no-flow\n. profile A\n"
	  "> ip4 r=M tcp=A 4000 8443 : out kept established\n"
	  "< ip4 r=M tcp=A 4000 8443 : flow\n" },
	{ "confine: by the name that led there",
	  ". confine yes\n. named 203.0.113.9=7\n> ip4 r=X tcp=S 4001 8883 : out channel=7\n"
	  "> ip4 r=203.0.113.10 tcp=S 4003 8883 : confined unnamed=1\n" },
	{ "confine: a name that becomes known between two tries",
	  ". confine yes\n> ip4 r=X tcp=S 4001 8883 : confined channel=0 flows=1\n"
	  ". named 203.0.113.9=7\n. generation 2\n"
	  "> ip4 r=X tcp=S 4001 8883 : out channel=7 inside flows=1\n"
	  "< ip4 r=X tcp=SA 4001 8883 : flow established answered=1\n" },
	{ "confine: monitor only says so",
	  ". policy monitor\n. confine yes\n> udp 4000 9 : confined sent=1\n"
	  "< udp 4000 9 : flow established answered=1\n. policy initiated\n"
	  "< udp 4000 9 : no-flow\n" },
	{ "confine: sealed as well",
	  ". policy sealed\n. confine yes\n> tcp=S 4000 443 : out\n< tcp=SA 4000 443 : no-flow\n"
	  "> udp 4000 9 : confined\n< udp 4000 9 : no-flow\n" },
	{ "confine: chores get out",
	  ". confine yes\n> arp op=1 : out\n> ns : out\n> rs : out\n"
	  "> ip4 r=224.0.0.22 igmp=0x22 data=8 : out\n> type=0x888e data=40 : out\n"
	  "> pppoe ppp=0xc021 data=10 : out\n" },
	{ "confine: DHCP gets out in the local network",
	  ". confine yes\n> ip4 l=0.0.0.0 r=255.255.255.255 udp 68 67 data=300 : out\n"
	  "< ip4 r=192.168.1.1 udp 68 67 data=300 : dhcp\n"
	  "> ip4 r=192.168.1.1 udp 68 67 data=300 : out\n"
	  "> ip4 r=X udp 68 67 data=300 : confined\n> ip4 r=192.168.1.1 udp 69 67 : confined\n"
	  "> ip6 l=L r=ff02::1:2 udp 546 547 : out\n< ip6 l=L r=G udp 546 547 data=90 : dhcp\n"
	  "> ip6 r=X udp 546 547 : confined\n" },
	{ "confine: DHCP at its rate",
	  ". rate 2\n. confine yes\n> ip4 r=192.168.1.1 udp 68 67 : out\n"
	  "> ip4 r=192.168.1.1 udp 68 67 : out\n> ip4 r=192.168.1.1 udp 68 67 : confined\n"
	  ". wait 1\n> ip4 r=192.168.1.1 udp 68 67 : out\n" },
	{ "confine: answers to a trusted prefix, and openings",
	  ". trust 203.0.113.0/24\n. confine yes\n< ip4 r=X tcp=S 80 4000 : trusted\n"
	  "> ip4 r=X tcp=SA 80 4000 : out none\n< ip4 r=X tcp=A 80 4000 : trusted\n"
	  "> ip4 r=X tcp=A 80 4000 data=99 : out\n< ip4 r=X tcp=A 80 4000 : flow answered=1\n"
	  "> ip4 r=X pong 7 : out\n> ip4 r=X udp 4000 9 : out\n< ip4 r=X udp 4000 9 : flow\n"
	  "> ip4 r=X icmp=3 data=40 : out\n> ip4 r=X id=4 off=800 next=17 data=8 : out\n"
	  "> ip4 r=203.0.114.1 tcp=SA 80 4000 : confined\n> udp 4000 9 : confined\n" },
	{ "confine: trusted is no excuse for what is no packet",
	  ". trust 0.0.0.0/0\n. confine yes\n> udp 4000 9 : out\n"
	  "> tcp=SF 4000 80 : confined\n> type=0x9000 data=46 : confined\n" },
	{ "confine: answers to strangers",
	  ". confine yes\n> tcp=SA 80 4000 : confined none sent=1 flows=0\n"
	  "> tcp=RA 80 4000 : confined none\n> pong 7 : out none\n" },
	{ "confine: refusals to peers and into channels",
	  ". confine yes\n> ip4 r=M tcp=R 4000 8443 : out none flows=0 sent=1\n"
	  "> tcp=RA 4000 443 : out none sent=2\n> ip4 r=X tcp=R 4000 443 : confined sent=3\n" },
	{ "confine: errors that the device sends",
	  ". confine yes\n> ip4 r=N udp 4000 53\n> ip4 r=N icmp=3 data=40 : confined\n"
	  "> ip6 r=N icmp6=1 data=40 : confined\n> icmp=13 data=12 : confined\n" },
	{ "confine: what cannot be judged",
	  ". confine yes\n> ip4 ihl=4 udp 4000 9 : confined\n> tcp=SF 4000 80 : confined\n"
	  "> type=0x9000 data=46 : confined\n> cut=14 : confined\n" },
	{ "confine: fragments follow their first",
	  ". confine yes\n> ip4 r=N id=7 mf udp 4000 53 data=1472 : out\n"
	  "> ip4 r=N id=7 off=1480 next=17 data=80 : out\n"
	  "> ip4 r=N id=8 off=1480 next=17 data=80 : confined\n"
	  "> ip4 id=9 mf udp 4000 9 data=1472 : confined sent=2\n"
	  "> ip4 id=9 off=1480 next=17 data=80 : confined\n"
	  "> udp 4000 9 : confined sent=4\n"
	  "> ip6 r=N frag id=7 mf udp 4000 53 data=1440 : out\n"
	  "> ip6 r=N frag id=7 off=1448 next=17 data=80 : out\n"
	  "> ip6 r=N frag id=8 off=1448 next=17 data=80 : confined\n" },

	{ "police: packets of a second",
	  ". bound 0=2/-/-\n. police yes\n> udp 4000 9 : out\n> udp 4001 9 : out\n"
	  "> udp 4000 9 : policed sent=3 udp=3\n> udp 4002 9 : policed flows=3 sent=4 events=3\n"
	  ". wait 1\n> udp 4000 9 : out\n> udp 4002 9 : out\n> udp 4000 9 : policed sent=7\n" },
	{ "police: bytes of a second",
	  ". bound 0=-/300/-\n. police yes\n> udp 4000 9 data=172 : out\n"
	  "> udp 4000 9 data=172 : out\n> udp 4000 9 : policed bytes_out=428\n"
	  ". wait 1\n> udp 4000 9 : out\n" },
	{ "police: each channel by itself",
	  ". bound 0=1/-/-\n. bound 3=1/-/-\n. police yes\n> udp 4000 9 : out\n"
	  "> udp 4000 9 : policed\n> tcp=S 4000 443 : out\n< tcp=SA 4000 443 : flow\n"
	  "> tcp=A 4000 443 : policed\n> ip4 r=192.168.7.9 udp 4000 5353 : out\n"
	  "> ip4 r=192.168.7.9 udp 4000 5353 : out\n" },
	{ "police: nothing is unbounded but what says so",
	  ". bound 0=-/-/-\n. police yes\n> udp 4000 9 : out\n> udp 4000 9 : out\n"
	  ". bound 0=0/-/-\n> udp 4000 9 : policed\n. bound 0=-/0/-\n> udp 4000 9 : policed\n" },
	{ "police: without a profile", ". police yes\n> udp 4000 9 : out\n> udp 4000 9 : out\n" },
	{ "police: bounds of the bank in force",
	  ". bound 0=1/-/-\n. police yes\n> udp 4000 9 : out\n> udp 4000 9 : policed\n"
	  ". profile B\n> udp 4000 9 : out\n. profile A\n> udp 4000 9 : policed\n" },
	{ "police: a flow over the bound is held until its turn",
	  ". bound 0=-/-/1\n. police yes\n> tcp=S 4000 80 : out\n"
	  "> tcp=S 4001 80 : policed opening flows=2\n< tcp=SA 4001 80 : no-flow got=0\n"
	  "< tcp=RA 4001 80 : no-flow refused=0\n> tcp=S 4001 80 : policed flows=2\n"
	  "< tcp=SA 4000 80 : flow answered=1\n> tcp=A 4000 80 : out\n. wait 1\n"
	  "> tcp=S 4001 80 : out flows=2 events=2\n< tcp=SA 4001 80 : flow answered=2\n"
	  "> tcp=A 4001 80 : out\n> udp 4000 9 : policed flows=3\n" },
	{ "police: a held flow in a new profile",
	  ". bound 0=-/-/0\n. police yes\n> udp 4000 9 : policed\n. profile B\n"
	  ". bound 0=-/-/0\n> udp 4000 9 : policed flows=1\n< udp 4000 9 : no-flow\n"
	  ". profile A\n. bound 0=-/-/1\n> udp 4000 9 : out flows=1\n< udp 4000 9 : flow\n" },
	{ "police: the same ports again",
	  ". bound 0=-/-/1\n. police yes\n> tcp=S 4000 80 : out\n< tcp=RA 4000 80 : flow\n"
	  "> tcp=S 4000 80 : policed flows=2\n< tcp=SA 4000 80 : no-flow\n. wait 1\n"
	  "> tcp=S 4000 80 : out flows=2\n< tcp=SA 4000 80 : flow answered=1\n" },
	{ "police: a FIN that did not get out ends nothing",
	  ". bound 0=2/-/-\n. police yes\n> tcp=S 4000 80\n< tcp=SA 4000 80 : flow\n"
	  "> tcp=A 4000 80\n> tcp=FA 4000 80 : policed\n< tcp=FA 4000 80 : flow established\n" },
	{ "police: the mirror neither counts nor is held",
	  ". bound 1=1/-/1\n. police yes\n> ip4 r=M tcp=S 4000 8443 : out\n"
	  "< ip4 r=M tcp=SA 4000 8443 : flow\n> ip4 r=M tcp=A 4000 8443 : out\n"
	  "> ip4 r=M tcp=PA 4000 8443 data=99 : out sent=3\n> ip4 r=M tcp=S 4001 8443 : out\n"
	  "> ip4 r=M tcp=R 4002 8443 : out\n" },
	{ "police: other peers are their channel's",
	  ". bound 2=1/-/-\n. police yes\n> ip4 r=N udp 4000 53 : out\n"
	  "> ip4 r=N udp 4001 53 : policed flows=2\n" },
	{ "police: many segments at once pass whole or not",
	  ". bound 0=3/-/-\n. police yes\n> tcp=A 4000 80 data=1000 gso=2 : out\n"
	  "> tcp=A 4000 80 data=1000 gso=2 : out sent=4\n"
	  "> tcp=A 4000 80 data=1000 gso=2 : policed sent=6\n" },
	{ "police: fragments follow their first",
	  ". bound 0=1/-/-\n. police yes\n> udp 4000 9\n"
	  "> ip4 id=9 mf udp 4000 9 data=1472 : policed\n. wait 1\n"
	  "> ip4 id=9 off=1480 next=17 data=80 : policed\n> udp 4000 9 : out sent=4\n"
	  "> ip4 id=10 off=1480 next=17 data=80 : policed\n. wait 1\n"
	  "> ip4 id=11 mf udp 4000 9 data=1472 : out\n"
	  "> ip4 id=11 off=1480 next=17 data=80 : policed\n" },
	{ "police: what has no flow",
	  ". bound 0=2/-/0\n. police yes\n> tcp=RA 80 4000 : out none\n> icmp=3 data=40 : out\n"
	  "> tcp=RA 80 4000 : policed\n> type=0x9000 data=46 : policed\n"
	  "> ip4 r=M tcp=R 4002 8443 : out\n" },
	{ "police: chores, DHCP and trusted prefixes get out",
	  ". trust 203.0.113.0/24\n. bound 0=0/-/-\n. police yes\n> udp 4000 9 : policed\n"
	  "> arp op=1 : out\n> ns : out\n> type=0x888e data=40 : out\n"
	  "> ip4 r=192.168.1.1 udp 68 67 data=300 : out\n> ip4 r=X tcp=SA 80 4000 : out\n"
	  "> ip4 r=X udp 4000 9 : out\n< ip4 r=X udp 4000 9 : flow\n" },
	{ "police: monitor only says so",
	  ". policy monitor\n. bound 0=0/-/-\n. police yes\n> udp 4000 9 : policed\n"
	  "< udp 4000 9 : flow answered=1\n" },
	{ "police and confine: what confine refuses takes nothing of the bound",
	  ". bound 0=1/-/-\n. police yes\n. confine yes\n> udp 4000 9 : confined\n. confine no\n"
	  "> udp 4000 9 : out\n> udp 4000 9 : policed sent=3\n" },
	{ "outgoing: nothing is judged",
	  "> ip4 ihl=4 udp 4000 9 : out\n> ip4 r=D udp 4000 9 : out\n"
	  "> tcp=SF 4000 80 : out\n> type=0x9000 data=46 : out\n"
	  "> ip6 len=0 hbh udp 4000 9 : out\n> cut=14 : out\n" },

	{ "gate: shut, nothing comes in for a flow",
	  "> udp 4000 9\n< udp 4000 9 : flow\n. gate strict\n< udp 4000 9 : gate got=1\n"
	  "< ip4 r=X toobig quote udp 4000 9 : gate\n< udp 4001 9 : no-flow\n"
	  "> udp 4000 9 : out sent=2\n. policy monitor\n< udp 4000 9 : gate\n"
	  ". gate no\n< udp 4000 9 : flow got=2\n" },
	{ "gate: open for ten seconds",
	  ". gate strict\n> tcp=S 4000 443 : out\n< tcp=SA 4000 443 : gate opening\n. open 10\n"
	  "< tcp=SA 4000 443 : flow established answered=1\n> tcp=A 4000 443 : out\n. wait 9\n"
	  "< tcp=A 4000 443 : flow\n. wait 2\n< tcp=A 4000 443 : gate established\n"
	  ". open 1\n< tcp=A 4000 443 : flow\n. open 0\n< tcp=A 4000 443 : gate\n" },
	{ "gate: services are name and time servers",
	  ". gate services\n> ip4 r=N udp 4000 53 : out\n< ip4 r=N udp 4000 53 : flow\n"
	  "> udp 4000 9 : out\n< udp 4000 9 : gate\n> ip4 r=M tcp=S 4001 8443 : out kept\n"
	  "< ip4 r=M tcp=SA 4001 8443 : gate\n. gate strict\n< ip4 r=N udp 4000 53 : gate\n" },
	{ "gate: IP configuration goes on, and trusted prefixes",
	  ". gate strict\n> ip4 r=192.168.1.1 udp 68 67 : out\n"
	  "< ip4 r=192.168.1.1 udp 68 67 : dhcp\n. trust 203.0.113.0/24\n"
	  "> ip4 r=X udp 4000 9 : out\n< ip4 r=X udp 4000 9 : trusted\n" },
	{ "gate: fragments share what their first meets",
	  "> ip4 r=N udp 4000 53\n. gate strict\n"
	  "< ip4 r=N id=7 mf udp 4000 53 data=1472 : gate\n"
	  "< ip4 r=N id=7 off=1480 next=17 data=80 : stray-fragment\n. open 5\n"
	  "< ip4 r=N id=7 mf udp 4000 53 data=1472 : flow\n"
	  "< ip4 r=N id=7 off=1480 next=17 data=80 : fragment\n" },
};

const struct hg_cases hg_cases_out = { cases, sizeof(cases) / sizeof(cases[0]) };
