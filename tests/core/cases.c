/* SPDX-License-Identifier: MIT */
/*
 * The table of cases: what the guard lets in and what not; what of the device's own packets does
 * not get out stands in cases-out.c. Words of frames: frames.h; the world they happen in: play.c.
 * "sweep" tries every shorter beginning of the frame too.
 */
/* lint: length ok, a table of cases */
#include "play.h"

static const struct hg_case cases[] = {
	/* UDP */
	{ "udp: question and answer",
	  "> udp 4000 53 r=N : opening channel=2 inside flows=1 events=1\n"
	  "< udp 4000 53 r=N data=60 : flow established answered=1 got=1\n"
	  "> udp 4000 53 r=N : established sent=2 flows=1\n" },
	{ "udp: address words after the transport too", "> udp 4000 9 data=4 : outside channel=0\n"
							"< udp 4000 9 : flow\n" },
	{ "udp: an answer of the name server is told",
	  "> udp 4000 53 r=N : answers=0\n< udp 4000 53 r=N data=12 : flow answers=1\n"
	  "< ip4 options=3 r=N udp 4000 53 data=600 : flow answers=2\n" },
	{ "udp: also over IPv6, and the first of its fragments",
	  "> ip6 r=N udp 4000 53\n< ip6 r=N udp 4000 53 data=40 : flow answers=1\n"
	  "< ip6 r=N frag mf id=9 udp 4000 53 data=1200 : flow answers=2\n"
	  "< ip6 r=N frag off=1208 id=9 next=17 data=80 : fragment answers=2\n" },
	{ "udp: what cannot be an answer is not told",
	  "> udp 4000 53 r=N\n< udp 4000 53 r=N data=11 : flow answers=0\n"
	  "< udp 4001 53 r=N data=40 : no-flow answers=0\n"
	  "> udp 4000 5353 r=N\n< udp 4000 5353 r=N data=40 : flow answers=0\n"
	  "> tcp=S 4000 53 r=N\n< tcp=SA 4000 53 r=N : flow answers=0\n" },
	{ "udp: nor what a stranger says",
	  "> udp 4000 53\n< udp 4000 53 data=40 : flow channel=0 answers=0\n"
	  "> ip4 r=192.168.7.9 udp 5353 53 : channel=0\n" },
	{ "udp: nobody asked", "< udp 53 4000 : no-flow none sweep\n" },
	{ "udp: another remote port", "> udp 4000 9\n< udp 4000 10 : no-flow\n" },
	{ "udp: another local port", "> udp 4000 9\n< udp 4001 9 : no-flow\n" },
	{ "udp: another remote", "> udp 4000 9\n< ip4 r=X udp 4000 9 : no-flow\n" },
	{ "udp: another local address", "> udp 4000 9\n< ip4 l=10.0.0.3 udp 4000 9 : no-flow\n" },
	{ "udp: ports the other way round", "> udp 4000 9\n< udp 9 4000 : no-flow\n" },
	{ "udp: same ports, TCP", "> udp 4000 9\n< tcp=A 4000 9 : no-flow\n" },
	{ "udp: one-way ends", "> udp 4000 9\n. wait 30\n< udp 4000 9 : flow\n" },
	{ "udp: sent in the next second of another processor",
	  "> udp 4000 9\n. wait -1\n< udp 4000 9 : flow\n> udp 4000 9 : established flows=1\n" },
	{ "udp: one-way has ended", "> udp 4000 9\n. wait 31\n< udp 4000 9 : no-flow\n" },
	{ "udp: two-way ends",
	  "> udp 4000 9\n< udp 4000 9 : flow\n. wait 180\n< udp 4000 9 : flow\n"
	  ". wait 181\n< udp 4000 9 : no-flow\n" },
	{ "udp: after its end it opens again", "> udp 4000 9\n< udp 4000 9 : flow\n. wait 200\n"
					       "> udp 4000 9 : opening flows=2 events=2\n"
					       "< udp 4000 9 : flow answered=2\n" },
	{ "udp: a channel in the local network",
	  "> ip4 r=192.168.7.9 udp 4000 5353 : channel=4 inside\n"
	  "> ip4 r=239.1.2.3 udp 4000 5000 : channel=4\n"
	  "> ip4 r=172.31.0.1 udp 4000 5999 : channel=4\n"
	  "> ip4 r=172.32.0.1 udp 4000 5999 : channel=0\n"
	  "> ip4 r=10.9.9.9 udp 4000 6000 : channel=0 outside\n"
	  "> ip4 r=169.254.3.4 udp 4000 5001 : channel=4\n" },
	{ "udp6: question and answer", "> ip6 r=N udp 4000 53 : opening channel=2 inside\n"
				       "< ip6 r=N udp 4000 53 data=9 : flow established sweep\n" },
	{ "udp6: nobody asked", "< ip6 udp 4000 53 : no-flow sweep\n" },
	{ "udp6: a channel in the local network", "> ip6 r=fe80::9 udp 4000 5353 : channel=4\n"
						  "> ip6 r=ff02::fb udp 4000 5353 : channel=4\n"
						  "> ip6 r=fd12::1 udp 4000 5353 : channel=4\n"
						  "> ip6 r=fe00::1 udp 4000 5353 : channel=0\n" },
	{ "udp: length below eight", "> udp 4000 9\n< udp 4000 9 len=7 : malformed\n" },
	{ "udp: length past the packet", "> udp 4000 9\n< udp 4000 9 len=9 : malformed\n" },
	{ "udp: length short of the packet", "> udp 4000 9\n< udp 4000 9 len=8 data=3 : flow\n" },
	{ "udp: trailer of the link",
	  "> udp 4000 9\n< udp 4000 9 pad=18 : flow got=1 bytes_in=28\n" },
	{ "udp: our trailer",
	  "> udp 4000 9 pad=18 : bytes_out=28\n> ip6 udp 4000 9 pad=6 : bytes_out=76\n" },
	{ "tcp: segments too long for one header",
	  "> ip4 len=0 tcp=A 4000 80 data=500 gso=2 : bytes_out=580\n"
	  "> ip6 len=0 tcp=A 4000 80 data=500 gso=2 : bytes_out=1200\n" },
	{ "udp: bytes are those of IP", "> udp 4000 9 data=100 : bytes_out=128\n"
					"< udp 4000 9 data=1000 : flow bytes_in=1028\n" },

	/* TCP */
	{ "tcp: a connection", "> tcp=S 4000 443 : opening channel=3 inside flows=1\n"
			       "< tcp=SA 4000 443 : flow established answered=1\n"
			       "> tcp=A 4000 443 : established\n"
			       "> tcp=PA 4000 443 data=99 : sent=3\n"
			       "< tcp=A 4000 443 data=1460 : flow established\n"
			       "> tcp=FA 4000 443 : established\n"
			       "< tcp=FA 4000 443 : flow closing\n"
			       "> tcp=A 4000 443 : closing\n"
			       "< tcp=FA 4000 443 : flow closing refused=0 answered=1\n" },
	{ "tcp: closing ends", "> tcp=S 4000 443\n< tcp=SA 4000 443 : flow\n> tcp=FA 4000 443\n"
			       "< tcp=FA 4000 443 : flow closing\n. wait 20\n"
			       "< tcp=A 4000 443 : flow\n. wait 1\n< tcp=A 4000 443 : no-flow\n" },
	{ "tcp: a stranger's SYN", "< tcp=S 80 4000 : no-flow none sweep\n" },
	{ "tcp: a stranger's SYN-ACK", "< tcp=SA 80 4000 : no-flow\n" },
	{ "tcp: a stranger's ACK", "< tcp=A 80 4000 : no-flow\n" },
	{ "tcp: a stranger's FIN-ACK", "< tcp=FA 80 4000 : no-flow\n" },
	{ "tcp: a stranger's RST", "< tcp=R 80 4000 : no-flow\n" },
	{ "tcp: NULL scan", "< tcp= 80 4000 : malformed\n" },
	{ "tcp: FIN scan", "< tcp=F 80 4000 : malformed\n" },
	{ "tcp: Xmas scan", "< tcp=FPU 80 4000 : malformed\n" },
	{ "tcp: SYN and FIN", "< tcp=SF 80 4000 : malformed\n" },
	{ "tcp: SYN and RST", "< tcp=SR 80 4000 : malformed\n" },
	{ "tcp: FIN and RST", "< tcp=FRA 80 4000 : malformed\n" },
	{ "tcp: nothing set, on a flow", "> tcp=S 4000 443\n< tcp=SA 4000 443 : flow\n"
					 "< tcp=P 4000 443 : malformed\n" },
	{ "tcp: congestion flags do not matter", "> tcp=SEC 4000 443\n< tcp=SAE 4000 443 : flow\n"
						 "< tcp=AUP 4000 443 : flow\n" },
	{ "tcp: SYN to a client's port while opening", "> tcp=S 4000 443\n"
						       "< tcp=S 4000 443 : state opening got=0\n" },
	{ "tcp: SYN to a client's port when open", "> tcp=S 4000 443\n< tcp=SA 4000 443 : flow\n"
						   "< tcp=S 4000 443 : state established\n" },
	{ "tcp: SYN to a client's port when closing",
	  "> tcp=S 4000 443\n< tcp=SA 4000 443 : flow\n> tcp=RA 4000 443 : closing\n"
	  "< tcp=S 4000 443 : state\n< tcp=SA 4000 443 : state\n"
	  "< tcp=A 4000 443 : flow closing\n" },
	{ "tcp: SYN-ACK again", "> tcp=S 4000 443\n< tcp=SA 4000 443 : flow\n"
				"< tcp=SA 4000 443 : flow answered=1\n" },
	{ "tcp: refused", "> tcp=S 4000 443\n"
			  "< tcp=RA 4000 443 : flow opening refused=1 answered=0\n"
			  "< tcp=RA 4000 443 : flow refused=1\n" },
	{ "tcp: RST without ACK does not answer a SYN", "> tcp=S 4000 443\n"
							"< tcp=R 4000 443 : state refused=0\n" },
	{ "tcp: refused and tried again", "> tcp=S 4000 443\n< tcp=RA 4000 443 : flow\n"
					  "> tcp=S 4000 443 : opening flows=2\n"
					  "< tcp=SA 4000 443 : flow answered=1 refused=1\n" },
	{ "tcp: one RST ends nothing", "> tcp=S 4000 443\n< tcp=SA 4000 443 : flow\n"
				       "< tcp=R 4000 443 : flow established refused=0\n"
				       "< tcp=A 4000 443 : flow established\n" },
	{ "tcp: RST after our FIN", "> tcp=S 4000 443\n< tcp=SA 4000 443 : flow\n"
				    "> tcp=FA 4000 443 : established\n"
				    "< tcp=R 4000 443 : flow closing\n" },
	{ "tcp: our RST",
	  "> tcp=S 4000 443\n< tcp=SA 4000 443 : flow\n> tcp=R 4000 443 : closing\n" },
	{ "tcp: SYN again is the same flow", "> tcp=S 4000 443 : flows=1\n"
					     "> tcp=S 4000 443 : flows=1 sent=2 events=1\n" },
	{ "tcp: same ports, new connection",
	  "> tcp=S 4000 443\n< tcp=SA 4000 443 : flow\n> tcp=FA 4000 443\n"
	  "< tcp=FA 4000 443 : flow\n> tcp=S 4000 443 : opening flows=2\n< tcp=SA 4000 443 : flow established answered=2\n" },
	{ "tcp: opening ends", "> tcp=S 4000 443\n. wait 60\n< tcp=SA 4000 443 : flow\n" },
	{ "tcp: opening has ended", "> tcp=S 4000 443\n. wait 61\n< tcp=SA 4000 443 : no-flow\n" },
	{ "tcp: two hours of silence",
	  "> tcp=S 4000 443\n< tcp=SA 4000 443 : flow\n. wait 7440\n"
	  "< tcp=A 4000 443 : flow\n. wait 7441\n"
	  "< tcp=A 4000 443 : no-flow\n> tcp=A 4000 443 : opening flows=2\n"
	  "< tcp=A 4000 443 : flow established\n" },
	{ "tcp: found in the middle",
	  "> tcp=A 4000 443 : opening\n< tcp=A 4000 443 : flow established\n"
	  "< tcp=SA 4000 443 : state\n" },
	{ "tcp: challenge ACK while opening", "> tcp=S 4000 443\n< tcp=A 4000 443 : flow\n" },
	{ "tcp: an answer to a stranger opens nothing", "> tcp=SA 80 4000 : none flows=0\n"
							"< tcp=A 80 4000 : no-flow\n" },
	{ "tcp: a refusal opens nothing", "> tcp=RA 80 4000 : none flows=0 sent=1\n" },
	{ "tcp: data offset below five",
	  "> tcp=S 4000 443\n< tcp=SA 4000 443 doff=4 : malformed\n" },
	{ "tcp: data offset past the packet", "> tcp=S 4000 443\n"
					      "< tcp=SA 4000 443 doff=6 : malformed\n" },
	{ "tcp: options", "> tcp=S 4000 443 doff=10 data=20\n"
			  "< tcp=SA 4000 443 doff=15 data=40 : flow sweep\n" },
	{ "tcp: the mirror is kept", "> ip4 r=M tcp=S 4000 8443 : opening channel=1 kept\n"
				     "< ip4 r=M tcp=SA 4000 8443 : flow established\n" },
	{ "tcp: the mirror's other port", "> ip4 r=M tcp=S 4000 443 : channel=0 outside\n" },
	{ "tcp: the mirror over UDP", "> ip4 r=M udp 4000 8443 : channel=0 outside\n" },
	{ "tcp6: a connection to the mirror",
	  "> ip6 r=M tcp=S 4000 8443 : opening channel=1 kept\n"
	  "< ip6 r=M tcp=SA 4000 8443 : flow established sweep\n"
	  "< ip6 r=X tcp=A 4000 8443 : no-flow\n" },
	{ "tcp6: a channel by prefix", "> ip6 r=2001:db8:7:ff::1 tcp=S 4000 443 : channel=3\n"
				       "> ip6 r=2001:db8:8::1 tcp=S 4000 443 : channel=0\n" },
	{ "tcp: a channel by prefix and port",
	  "> ip4 r=198.51.100.255 tcp=S 4000 443 : channel=3\n"
	  "> ip4 r=198.51.101.0 tcp=S 4000 443 : channel=0\n"
	  "> tcp=S 4000 442 : channel=0\n"
	  "> tcp=S 4000 444 : channel=0\n> udp 4000 443 : channel=0\n" },
	{ "tcp: many segments at once",
	  "> tcp=S 4000 443\n< tcp=SA 4000 443 : flow\n"
	  "> tcp=A 4000 443 data=1000 gso=4 : sent=5 bytes_out=1200\n" },
	{ "tcp: many segments come as one",
	  "> tcp=S 4000 443\n< tcp=SA 4000 443 : flow\n"
	  "< tcp=A 4000 443 data=1000 gso=3 : flow got=4 bytes_in=1160\n" },

	/* ICMP echo and errors */
	{ "icmp: ping", "> ping 77 : channel=5 inside opening\n< pong 77 : flow established sweep\n"
			". wait 10\n< pong 77 : flow\n. wait 11\n< pong 77 : icmp\n" },
	{ "icmp: a stranger's ping", "< ping 77 : icmp none sweep\n" },
	{ "icmp: ping back on our ping's number", "> ping 77\n< ping 77 : icmp\n" },
	{ "icmp: another number", "> ping 77\n< pong 78 : icmp\n" },
	{ "icmp: our answer opens nothing", "> pong 77 : none flows=0 sent=1\n< pong 77 : icmp\n" },
	{ "icmp6: ping", "> ip6 ping 77 : channel=5\n< ip6 pong 77 : flow sweep\n" },
	{ "icmp6: a stranger's ping", "< ip6 ping 77 : icmp sweep\n" },
	{ "icmp6: ping of the other family's number", "> ping 77\n< ip6 pong 77 : icmp\n" },
	{ "icmp: path MTU", "> udp 4000 53 r=N\n"
			    "< ip4 r=X toobig quote r=N udp 4000 53 : related refused=0 sweep\n" },
	{ "icmp: path MTU of TCP, eight bytes quoted",
	  "> tcp=S 4000 443\n< tcp=SA 4000 443 : flow\n> tcp=A 4000 443 data=1400\n"
	  "< ip4 r=X toobig quote len=1440 tcp=A 4000 443 cut=70 : malformed\n"
	  "< ip4 r=X len=56 toobig quote len=1440 tcp=A 4000 443 cut=70 : related\n" },
	{ "icmp: quote ends within the ports",
	  "> udp 4000 9\n"
	  "< ip4 r=X len=52 toobig quote len=99 udp 4000 9 cut=66 : truncated\n" },
	{ "icmp: nobody there", "> udp 4000 9\n< unreach quote udp 4000 9 : related refused=1\n"
				"< unreach quote udp 4000 9 : related refused=1\n"
				"< udp 4000 9 : flow established answered=1\n"
				"< unreach quote udp 4000 9 : related refused=1\n" },
	{ "icmp: time exceeded",
	  "> udp 4000 9\n< ip4 r=X expired quote udp 4000 9 : related refused=0\n" },
	{ "icmp: parameter problem", "> udp 4000 9\n< ip4 r=X param quote udp 4000 9 : related\n" },
	{ "icmp: about a ping", "> ping 77\n< ip4 r=X unreach quote ping 77 : related\n" },
	{ "icmp: about another ping", "> ping 77\n< ip4 r=X unreach quote ping 78 : icmp\n" },
	{ "icmp: about our answer", "> pong 77\n< ip4 r=X unreach quote pong 77 : icmp\n" },
	{ "icmp: about a flow that is not", "< unreach quote udp 4000 9 : icmp sweep\n" },
	{ "icmp: about other ports", "> udp 4000 9\n< unreach quote udp 4000 10 : icmp\n" },
	{ "icmp: about somebody else's packet",
	  "> udp 4000 9\n< unreach quote l=10.0.0.3 udp 4000 9 : icmp\n" },
	{ "icmp: about a packet to us", "> udp 4000 9\n"
					"< unreach quote l=R r=D udp 9 4000 : icmp\n" },
	{ "icmp: about an ended flow",
	  "> udp 4000 9\n. wait 31\n< unreach quote udp 4000 9 : icmp\n" },
	{ "icmp: about a later fragment",
	  "> udp 4000 9\n< unreach quote off=1480 udp 4000 9 : icmp\n" },
	{ "icmp: about a first fragment", "> udp 4000 9 data=100\n"
					  "< ip4 r=X toobig quote mf udp 4000 9 : related\n" },
	{ "icmp: about GRE",
	  "> proto=47 data=20\n< ip4 r=X unreach quote proto=47 data=8 : related\n" },
	{ "icmp: redirect", "> udp 4000 9\n< ip4 r=G redirect quote udp 4000 9 : icmp\n" },
	{ "icmp: source quench", "> udp 4000 9\n< quench quote udp 4000 9 : icmp\n" },
	{ "icmp: timestamp and mask requests", "< icmp=13 data=12 : icmp\n< icmp=17 data=4 : icmp\n"
					       "< icmp=14 data=12 : icmp\n" },
	{ "icmp: quoted version six",
	  "> udp 4000 9\n< unreach quote ver=6 udp 4000 9 : malformed\n" },
	{ "icmp: quoted header too short",
	  "> udp 4000 9\n< unreach quote ihl=4 udp 4000 9 : malformed\n" },
	{ "icmp: quoted header past the packet",
	  "> udp 4000 9\n"
	  "< unreach quote ihl=15 udp 4000 9 : malformed\n" },
	{ "icmp: quoted options", "> ip4 options=2 udp 4000 9\n"
				  "< unreach quote options=2 udp 4000 9 : related sweep\n" },
	{ "icmp6: path MTU",
	  "> ip6 udp 4000 9\n< ip6 r=X toobig quote udp 4000 9 : related sweep\n" },
	{ "icmp6: path MTU of a fragmented packet",
	  "> ip6 udp 4000 9\n< ip6 r=X toobig quote frag mf id=5 udp 4000 9 : related sweep\n" },
	{ "icmp6: about a later fragment",
	  "> ip6 udp 4000 9\n< ip6 r=X toobig quote frag off=1448 id=5 udp 4000 9 : icmp\n" },
	{ "icmp6: nobody there", "> ip6 tcp=S 4000 443\n"
				 "< ip6 unreach quote tcp=S 4000 443 : related refused=1\n" },
	{ "icmp6: time exceeded",
	  "> ip6 udp 4000 9\n< ip6 r=X expired quote udp 4000 9 : related\n" },
	{ "icmp6: parameter problem",
	  "> ip6 udp 4000 9\n< ip6 param quote udp 4000 9 : related\n" },
	{ "icmp6: about a ping", "> ip6 ping 7\n< ip6 r=X unreach quote ping 7 : related\n" },
	{ "icmp6: about a flow that is not", "< ip6 unreach quote udp 4000 9 : icmp sweep\n" },
	{ "icmp6: about somebody else's packet",
	  "> ip6 udp 4000 9\n< ip6 unreach quote l=fd00::3 udp 4000 9 : icmp\n" },
	{ "icmp6: quoted chain too long",
	  "> ip6 udp 4000 9\n"
	  "< ip6 unreach quote dstopt dstopt dstopt udp 4000 9 : malformed\n" },
	{ "icmp6: redirect, even a valid one", "< ip6 r=G ttl=255 redirect data=32 : icmp\n" },
	{ "icmp: the other family's protocol", "< ip4 icmp6=129 : icmp\n< ip6 icmp=0 : icmp\n" },

	/* fragments */
	{ "fragments: an answer in three",
	  "> udp 4000 9 : flows=1\n"
	  "< ip4 id=7 mf udp 4000 9 len=2008 data=1472 : flow answered=1\n"
	  "< ip4 id=7 off=1480 mf next=17 data=480 : fragment\n"
	  "< ip4 id=7 off=1960 next=17 data=48 : fragment\n" },
	{ "fragments: later ones before the first",
	  "> udp 4000 9\n"
	  "< ip4 id=7 off=1480 next=17 data=80 : stray-fragment\n"
	  "< ip4 id=7 mf udp 4000 9 len=999 data=1472 : flow\n"
	  "< ip4 id=7 off=1480 next=17 data=80 : fragment\n" },
	{ "fragments: of another datagram",
	  "> udp 4000 9\n"
	  "< ip4 id=7 mf udp 4000 9 len=999 data=1472 : flow\n"
	  "< ip4 id=8 off=1480 next=17 data=80 : stray-fragment\n"
	  "< ip4 id=7 off=1480 next=6 data=80 : stray-fragment\n"
	  "< ip4 r=X id=7 off=1480 next=17 data=80 : stray-fragment\n" },
	{ "fragments: of nothing", "< ip4 id=7 mf udp 4000 9 len=999 data=1472 : no-flow\n"
				   "< ip4 id=7 off=1480 next=17 data=80 : stray-fragment none\n" },
	{ "fragments: too late",
	  "> udp 4000 9\n< ip4 id=7 mf udp 4000 9 len=999 data=1472 : flow\n"
	  ". wait 30\n< ip4 id=7 off=1480 next=17 data=80 : fragment\n"
	  ". wait 1\n< ip4 id=7 off=1480 next=17 data=80 : stray-fragment\n" },
	{ "fragments: ours let in none", "> ip4 id=7 mf udp 4000 9 data=1472\n"
					 "> ip4 id=7 off=1480 next=17 data=80\n"
					 "< ip4 id=7 off=1480 next=17 data=80 : stray-fragment\n" },
	{ "fragments: ours count in their channel",
	  "> ip4 r=N id=7 mf udp 4000 53 data=1472 : sent=1 channel=2\n"
	  "> ip4 r=N id=7 off=1480 next=17 data=80\n"
	  "> ip4 r=N udp 4000 53 : sent=3 bytes_out=1628\n" },
	{ "fragments: not full of eighths",
	  "> udp 4000 9\n"
	  "< ip4 id=7 mf udp 4000 9 len=99 data=1471 : malformed\n" },
	{ "fragments: tiny first", "> tcp=S 4000 443\n< ip4 id=7 mf next=6 data=8 : malformed\n"
				   "< ip4 id=7 mf next=6 data=16 : malformed\n" },
	{ "fragments: into the TCP header",
	  "> tcp=S 4000 443\n< ip4 id=7 off=8 next=6 data=8 : malformed\n"
	  "< ip4 id=7 off=16 next=6 data=8 : malformed\n"
	  "< ip4 id=7 off=24 next=6 data=8 : stray-fragment\n" },
	{ "fragments: past 64 KiB",
	  "> udp 4000 9\n< ip4 id=7 off=65528 next=17 data=8 : malformed\n"
	  "< ip4 id=7 off=65000 next=17 data=800 : malformed\n" },
	{ "fragments: empty", "> udp 4000 9\n< ip4 id=7 off=8 next=17 : malformed\n" },
	{ "fragments: of TCP", "> tcp=S 4000 443\n< tcp=SA 4000 443 : flow\n"
			       "< ip4 id=9 mf tcp=A 4000 443 data=101 : malformed\n"
			       "< ip4 id=9 mf tcp=A 4000 443 data=1460 : flow\n"
			       "< ip4 id=9 off=1480 next=6 data=80 : fragment\n" },
	{ "fragments: of a ping", "> ping 7 data=1000\n< ip4 id=3 mf pong 7 data=992 : flow\n"
				  "< ip4 id=3 off=1000 next=1 data=8 : fragment\n" },
	{ "fragments6: an answer in two",
	  "> ip6 udp 4000 9\n"
	  "< ip6 frag id=7 mf udp 4000 9 len=1600 data=1440 : flow\n"
	  "< ip6 frag id=7 off=1448 next=17 data=152 : fragment sweep\n" },
	{ "fragments6: options in the first only",
	  "> ip6 udp 4000 9\n< ip6 frag id=7 mf dstopt udp 4000 9 len=1600 data=1440 : flow\n"
	  "< ip6 frag id=7 off=1456 next=60 data=152 : fragment\n" },
	{ "fragments6: of nothing",
	  "< ip6 frag id=7 mf udp 4000 9 len=99 data=1440 : no-flow\n"
	  "< ip6 frag id=7 off=1448 next=17 data=152 : stray-fragment\n" },
	{ "fragments6: tiny first", "> ip6 udp 4000 9\n< ip6 frag id=7 mf next=17 : malformed\n"
				    "< ip6 frag id=7 mf next=6 data=16 : malformed\n" },
	{ "fragments6: header chain not in the first",
	  "> ip6 udp 4000 9\n"
	  "< ip6 frag id=7 mf dstopt claims=2 data=8 : malformed\n" },
	{ "fragments6: one that is whole",
	  "> ip6 udp 4000 9\n< ip6 frag id=7 udp 4000 9 : flow sweep\n" },
	{ "fragments6: two fragment headers",
	  "> ip6 udp 4000 9\n"
	  "< ip6 frag id=7 frag id=8 udp 4000 9 : malformed\n" },
	{ "fragments6: past 64 KiB", "< ip6 frag id=7 off=65528 next=17 data=8 : malformed\n" },

	/* extension headers */
	{ "ip6: options before UDP",
	  "> ip6 udp 4000 9\n< ip6 hbh dstopt udp 4000 9 : flow sweep\n" },
	{ "ip6: long options",
	  "> ip6 udp 4000 9\n< ip6 dstopt words=10 udp 4000 9 : flow sweep\n" },
	{ "ip6: all headers of RFC 8200",
	  "> ip6 udp 4000 9\n"
	  "< ip6 hbh dstopt route kind=2 left=0 frag id=4 dstopt udp 4000 9 : flow\n" },
	{ "ip6: source route",
	  "> ip6 udp 4000 9\n< ip6 route kind=0 left=1 udp 4000 9 : malformed\n" },
	{ "ip6: spent source route",
	  "> ip6 udp 4000 9\n< ip6 route kind=0 left=0 udp 4000 9 : flow\n" },
	{ "ip6: hop-by-hop in second place",
	  "> ip6 udp 4000 9\n< ip6 dstopt hbh udp 4000 9 : malformed\n" },
	{ "ip6: chain too long",
	  "> ip6 udp 4000 9\n"
	  "< ip6 dstopt dstopt dstopt dstopt dstopt dstopt udp 4000 9 : flow\n"
	  "< ip6 dstopt dstopt dstopt dstopt dstopt dstopt dstopt udp 4000 9 : malformed\n" },
	{ "ip6: headers too deep", "> ip6 udp 4000 9\n"
				   "< ip6 dstopt words=30 dstopt udp 4000 9 : truncated\n" },
	{ "ip6: option past the packet",
	  "> ip6 udp 4000 9\n< ip6 dstopt claims=9 udp 4000 9 : malformed\n" },
	{ "ip6: jumbogram", "< ip6 len=0 hbh udp 4000 9 data=40 : malformed\n" },
	{ "ip6: payload past the frame", "> ip6 udp 4000 9\n< ip6 len=9 udp 4000 9 : malformed\n" },
	{ "ip6: no next header", "< ip6 next=59 data=8 : protocol\n" },
	{ "ip6: wrong version", "< ip6 ver=4 udp 4000 9 : malformed\n" },

	/* IPv4 headers */
	{ "ip4: options", "> udp 4000 9\n< ip4 options=3 udp 4000 9 : flow sweep\n"
			  "< ip4 options=10 udp 4000 9 : flow\n" },
	{ "ip4: header too short", "> udp 4000 9\n< ip4 ihl=4 udp 4000 9 : malformed\n"
				   "< ip4 ihl=0 udp 4000 9 : malformed\n" },
	{ "ip4: header past the packet", "< ip4 ihl=15 udp 4000 9 : malformed\n" },
	{ "ip4: total length past the frame",
	  "> udp 4000 9\n< ip4 len=29 udp 4000 9 : malformed\n" },
	{ "ip4: total length below the header",
	  "> udp 4000 9\n< ip4 len=19 udp 4000 9 : malformed\n" },
	{ "ip4: total length ends in the ports",
	  "> udp 4000 9\n< ip4 len=27 udp 4000 9 : truncated\n" },
	{ "ip4: wrong version", "< ip4 ver=6 udp 4000 9 data=20 : malformed\n" },
	{ "ip4: land", "< ip4 r=D udp 4000 4000 : malformed\n< ip4 r=D tcp=S 80 80 : malformed\n" },
	{ "ip4: from and to loopback", "< ip4 r=127.0.0.1 udp 4000 9 : malformed\n"
				       "< ip4 l=127.0.0.1 udp 4000 9 : malformed\n" },
	{ "ip4: from a group or nowhere", "< ip4 r=224.0.0.1 udp 4000 9 : malformed\n"
					  "< ip4 r=255.255.255.255 udp 4000 9 : malformed\n"
					  "< ip4 r=240.0.0.1 udp 4000 9 : malformed\n"
					  "< ip4 r=0.1.2.3 udp 4000 9 : malformed\n"
					  "< ip4 l=0.0.0.0 udp 4000 9 : malformed\n"
					  "< ip4 r=0.0.0.0 udp 67 68 : no-flow\n" },
	{ "ip6: land", "< ip6 r=D tcp=S 80 80 : malformed\n" },
	{ "ip6: from and to loopback, nowhere", "< ip6 r=::1 udp 4000 9 : malformed\n"
						"< ip6 l=::1 udp 4000 9 : malformed\n"
						"< ip6 l=:: udp 4000 9 : malformed\n" },
	{ "ip6: from a group", "< ip6 r=ff02::1 udp 4000 9 : malformed\n" },
	{ "ip6: IPv4 in disguise",
	  "> udp 4000 9\n"
	  "< ip6 r=::ffff:198.51.100.7 l=::ffff:10.0.0.2 udp 4000 9 : malformed\n"
	  "< ip6 r=::ffff:198.51.100.7 udp 4000 9 : malformed\n" },

	/* other protocols */
	{ "proto: a stranger's GRE", "< proto=47 data=24 : protocol none\n" },
	{ "proto: our GRE",
	  "> proto=47 data=24 : opening channel=0\n< proto=47 data=24 : flow established\n"
	  "< ip4 r=X proto=47 data=24 : protocol\n. wait 601\n"
	  "< proto=47 data=24 : protocol\n" },
	{ "proto6: our ESP", "> ip6 proto=50 data=24\n< ip6 proto=50 data=24 : flow\n" },
	{ "proto: SCTP",
	  "< proto=132 data=24 : protocol\n> proto=132 data=24\n< proto=132 data=24 : flow\n" },

	/* what a host needs to have an address */
	{ "arp: request and reply",
	  "< arp op=1 : arp sweep\n< arp op=2 : arp\n< group arp op=1 : arp\n"
	  "> arp op=1\n> arp op=2\n" },
	{ "arp: not IPv4 on Ethernet", "< arp htype=6 : malformed\n< arp ptype=0x86dd : malformed\n"
				       "< arp hlen=8 : malformed\n< arp plen=16 : malformed\n"
				       "< arp op=3 : malformed\n< arp op=0 : malformed\n" },
	{ "arp: over its rate",
	  ". rate 2\n< arp : arp\n< arp : arp\n< arp : rate\n< group arp : arp\n"
	  ". wait 1\n< arp : arp\n" },
	{ "nd: advertisement, solicitation",
	  "< ra : nd sweep\n< ns : nd sweep\n< na : nd sweep\n" },
	{ "nd: solicitation without an address", "< ip6 r=:: ttl=255 icmp6=135 data=16 : nd\n" },
	{ "nd: from afar",
	  "< ip6 r=G ttl=254 icmp6=134 data=8 : icmp\n< ip6 r=G ttl=64 icmp6=135 data=16 : icmp\n"
	  "< ip6 r=G ttl=64 icmp6=136 data=16 : icmp\n" },
	{ "nd: router without a link-local address",
	  "< ip6 r=R ttl=255 icmp6=134 data=8 : icmp\n" },
	{ "nd: code", "< ra code=1 : icmp\n< na code=1 : icmp\n" },
	{ "nd: too short", "< ip6 r=G ttl=255 icmp6=134 : malformed\n"
			   "< ip6 r=G ttl=255 icmp6=136 data=8 : malformed\n" },
	{ "nd: fragmented", "< ip6 r=G ttl=255 frag mf id=1 icmp6=134 data=8 : malformed\n" },
	{ "nd: behind an extension header",
	  "< ip6 r=G ttl=255 hbh icmp6=135 data=16 : malformed\n"
	  "< ip6 r=G ttl=255 dstopt icmp6=136 data=16 : malformed\n" },
	{ "nd: a router's question", "< rs : icmp\n> rs\n" },
	{ "nd: over its rate",
	  ". rate 1\n< na : nd\n< na : rate\n< group ns : nd\n< group ns : rate\n" },
	{ "nd: ours is a chore", "> ns : none sent=0\n> na : none sent=0\n" },
	{ "dhcp: broadcast",
	  "< ip4 r=192.168.1.1 l=255.255.255.255 udp 68 67 data=300 : dhcp sweep\n" },
	{ "dhcp: to us, not asked", "< ip4 r=192.168.1.1 udp 68 67 data=300 : no-flow\n" },
	{ "dhcp: to us, asked", "> ip4 l=0.0.0.0 r=255.255.255.255 udp 68 67 data=300\n"
				"< ip4 r=192.168.1.1 udp 68 67 data=300 : dhcp\n. wait 64\n"
				"< ip4 r=192.168.1.1 udp 68 67 data=300 : dhcp\n. wait 1\n"
				"< ip4 r=192.168.1.1 udp 68 67 data=300 : no-flow\n" },
	{ "dhcp: renewal is a flow", "> ip4 r=192.168.1.1 udp 68 67 data=300\n"
				     "< ip4 r=192.168.1.1 udp 68 67 data=300 : flow\n" },
	{ "dhcp: rebinding is a broadcast, and one packet",
	  "> ip4 r=255.255.255.255 udp 68 67 data=300 : flows=1 sent=1\n"
	  "< ip4 r=192.168.1.1 udp 68 67 data=300 : dhcp\n" },
	{ "dhcp: wrong ports", "< ip4 l=255.255.255.255 udp 68 68 : no-flow\n"
			       "< ip4 l=255.255.255.255 udp 67 67 : no-flow\n"
			       "< ip4 l=255.255.255.255 udp 68 53 : no-flow\n"
			       "< ip4 l=255.255.255.255 tcp=S 68 67 : no-flow\n" },
	{ "dhcp: over its rate", ". rate 1\n< ip4 r=G l=255.255.255.255 udp 68 67 : dhcp\n"
				 "< ip4 r=G l=255.255.255.255 udp 68 67 : rate\n" },
	{ "dhcp6: asked",
	  "> ip6 l=L r=ff02::1:2 udp 546 547\n< ip6 l=L r=G udp 546 547 data=90 : dhcp sweep\n"
	  ". wait 65\n< ip6 l=L r=G udp 546 547 data=90 : no-flow\n" },
	{ "dhcp6: not asked", "< ip6 l=L r=G udp 546 547 data=90 : no-flow\n" },
	{ "dhcp6: asked, to another address", "> ip6 l=L r=ff02::1:2 udp 546 547\n"
					      "< ip6 r=X udp 546 547 data=90 : no-flow\n" },
	{ "igmp: query", "< ip4 l=224.0.0.1 r=G ttl=1 igmp=0x11 : multicast sweep\n"
			 "< ip4 l=224.0.0.251 r=G igmp=0x11 : multicast\n" },
	{ "igmp: query to us alone", "< ip4 r=X igmp=0x11 : protocol\n" },
	{ "igmp: others' reports", "< ip4 l=224.0.0.251 r=G igmp=0x16 : protocol\n" },
	{ "igmp: ours are chores", "> ip4 r=224.0.0.22 igmp=0x22 data=8 : none sent=0\n" },
	{ "igmp: over its rate", ". rate 1\n< ip4 l=224.0.0.1 r=G igmp=0x11 : multicast\n"
				 "< ip4 l=224.0.0.1 r=G igmp=0x11 : rate\n" },
	{ "mld: query", "< mldq : multicast sweep\n< ip6 r=X ttl=1 icmp6=130 data=16 : icmp\n" },
	{ "mld: query behind a router alert",
	  "< ip6 r=G ttl=1 hbh icmp6=130 data=16 : multicast sweep\n" },
	{ "mld: others' reports", "< ip6 r=G hbh icmp6=143 data=16 : icmp\n"
				  "< ip6 r=G hbh icmp6=131 data=16 : icmp\n" },

	/* links */
	{ "link: one tag", "> tag=5 udp 4000 9\n< tag=5 udp 4000 9 : flow sweep\n" },
	{ "link: two tags", "> udp 4000 9\n< stag=9 tag=5 udp 4000 9 : flow sweep\n"
			    "< tag=9 tag=5 ip4 udp 4000 9 : flow\n" },
	{ "link: three tags", "> udp 4000 9\n< stag=9 tag=5 tag=6 udp 4000 9 : ethertype\n" },
	{ "link: tagged IPv6",
	  "> tag=5 ip6 udp 4000 9\n< stag=9 tag=5 ip6 udp 4000 9 : flow sweep\n" },
	{ "link: tagged ARP", "< tag=5 arp : arp sweep\n" },
	{ "link: PPPoE",
	  "> pppoe udp 4000 9 : opening bytes_out=28\n"
	  "< pppoe udp 4000 9 : flow bytes_in=28 sweep\n< pppoe udp 4000 10 : no-flow\n" },
	{ "link: PPPoE with IPv6",
	  "> pppoe ip6 udp 4000 9\n< pppoe ip6 udp 4000 9 : flow sweep\n" },
	{ "link: PPPoE in a tag",
	  "> tag=7 pppoe udp 4000 9\n< tag=7 pppoe udp 4000 9 : flow sweep\n" },
	{ "link: PPPoE with a trailer",
	  "> pppoe udp 4000 9\n< pppoe udp 4000 9 pad=20 : flow bytes_in=28\n" },
	{ "link: PPPoE that contradicts itself", "> pppoe udp 4000 9\n"
						 "< pppoe len=99 udp 4000 9 : malformed\n"
						 "< pppoe len=1 udp 4000 9 : malformed\n"
						 "< pppoe len=20 udp 4000 9 : truncated\n"
						 "< pppoe ver=0x21 udp 4000 9 : malformed\n"
						 "< pppoe code=9 udp 4000 9 : malformed\n" },
	{ "link: PPP control",
	  "< pppoe ppp=0xc021 data=10 : link\n< pppoe ppp=0x8021 data=10 : link\n"
	  "> pppoe ppp=0xc021 data=10 : none sent=0\n" },
	{ "link: PPPoE discovery", "< type=0x8863 data=40 : link\n" },
	{ "link: EAPOL and LLDP",
	  "< type=0x888e data=40 : link\n< group type=0x88cc data=40 : link\n"
	  "> type=0x888e data=40 : none sent=0\n" },
	{ "link: over its rate",
	  ". rate 1\n< type=0x888e data=40 : link\n< type=0x888e data=40 : rate\n" },
	{ "link: others",
	  "< type=0x8137 data=40 : ethertype\n< type=0x0026 data=40 : ethertype\n"
	  "< type=0x88f7 data=40 : ethertype\n< tag=5 type=0x9000 data=46 : ethertype\n" },
	{ "link: only a part can be read", "> udp 4000 9\n< udp 4000 9 data=400 seen=42 : flow\n"
					   "< udp 4000 9 data=400 seen=41 : truncated\n"
					   "< udp 4000 9 data=400 seen=30 : truncated\n"
					   "< udp 4000 9 data=400 seen=14 : truncated\n" },

	/* policies */
	{ "monitor: the same reasons",
	  ". policy monitor\n< udp 4000 9 : no-flow none\n> udp 4000 9\n"
	  "< udp 4000 9 : flow\n< tcp=S 80 4000 : no-flow\n" },
	{ "sealed: peers only",
	  ". policy sealed\n> ip4 r=M tcp=S 4000 8443 : kept\n"
	  "< ip4 r=M tcp=SA 4000 8443 : flow\n> ip4 r=N udp 4000 53 : inside\n"
	  "< ip4 r=N udp 4000 53 : flow\n> tcp=S 4001 443 : channel=3 flows=1\n"
	  "< tcp=SA 4001 443 : no-flow answered=0\n"
	  "> ip4 r=X udp 4002 9\n< ip4 r=X udp 4002 9 : no-flow\n"
	  "> ping 7\n< pong 7 : icmp\n" },
	{ "sealed: errors about others", ". policy sealed\n> udp 4000 9\n"
					 "< unreach quote udp 4000 9 : icmp refused=0\n"
					 "> ip4 r=N udp 4000 53\n"
					 "< ip4 r=X toobig quote r=N udp 4000 53 : related\n" },
	{ "sealed: addresses still come", ". policy sealed\n< arp : arp\n< ra : nd\n"
					  "< ip4 r=G l=255.255.255.255 udp 68 67 : dhcp\n" },
	{ "sealed: by command, in the middle", "> tcp=S 4000 443\n< tcp=SA 4000 443 : flow\n"
					       ". policy sealed\n< tcp=A 4000 443 : no-flow\n"
					       ". policy initiated\n< tcp=A 4000 443 : flow\n" },
	{ "trusted: a prefix", ". trust 203.0.113.0/24\n< ip4 r=X tcp=S 80 4000 : trusted none\n"
			       "< ip4 r=X ping 7 : trusted\n< ip4 r=X proto=47 data=8 : trusted\n"
			       "< ip4 r=203.0.114.1 tcp=S 80 4000 : no-flow\n"
			       "< ip4 r=X tcp=SF 80 4000 : malformed\n"
			       "< ip4 r=X id=4 off=800 next=17 data=8 : trusted\n" },
	{ "trusted: a flow is still a flow", ". trust 203.0.113.0/24\n> ip4 r=X udp 4000 9\n"
					     "< ip4 r=X udp 4000 9 : flow\n" },
	{ "trusted: a prefix of IPv6",
	  ". trust 2001:db8:9::/48\n< ip6 r=X tcp=S 80 4000 : trusted\n"
	  "< ip6 tcp=S 80 4000 : no-flow\n" },
	{ "trusted: not who is quoted",
	  ". trust 203.0.113.9/32\n> ping 7\n< unreach quote r=X ping 7 : icmp\n"
	  "< unreach quote r=X pong 7 : icmp\n< ip4 r=X unreach quote pong 7 : trusted\n" },
	{ "trusted: not who is quoted, IPv6",
	  ". trust 2001:db8:9::/48\n< ip6 unreach quote r=X pong 7 : icmp\n"
	  "< ip6 unreach quote r=X frag off=1448 id=5 udp 4000 9 : icmp\n"
	  "< ip6 r=X unreach quote r=R pong 7 : trusted\n" },
	{ "trusted: an error about nothing",
	  ". trust 203.0.113.9/32\n< ip4 r=X unreach quote udp 4000 9 : trusted\n"
	  "< unreach quote r=X udp 4000 9 : icmp\n" },
	{ "theirs: a trusted remote opens TCP",
	  ". trust 203.0.113.0/24\n< ip4 r=X tcp=S 8000 4000 : trusted none\n"
	  "> ip4 r=X tcp=SA 8000 4000 : out channel=8 established inside flows=1 answered=1\n"
	  "< ip4 r=X tcp=A 8000 4000 : flow channel=8 got=1\n"
	  "> ip4 r=X tcp=PA 8000 4000 data=99 : channel=8 flows=1 sent=2 answered=1 unnamed=0\n" },
	{ "theirs: in the middle of it",
	  ". trust 203.0.113.0/24\n"
	  "> ip4 r=X tcp=A 8000 22 : channel=8 established flows=1\n" },
	{ "theirs: UDP, whose service is the device's",
	  ". trust 203.0.113.0/24\n< ip4 r=X udp 8000 4000 : trusted\n"
	  "> ip4 r=X udp 8000 4000 : channel=8 established flows=1 answered=1 fresh=1 ports=1\n"
	  "> ip4 r=X udp 8000 4001 : channel=8 flows=2 answered=2 fresh=1 ports=1\n"
	  "> ip4 r=X udp 8001 4001 : flows=3 fresh=2 ports=2 destinations=1\n" },
	{ "theirs: an echo, but not our own",
	  ". trust 203.0.113.0/24\n> ip4 r=X ping 9 : channel=5 opening\n"
	  "> ip4 r=X pong 7 : channel=8 established flows=1\n" },
	{ "theirs: not who is not trusted",
	  ". trust 192.0.2.0/24\n> ip4 r=X udp 8000 4000 : channel=0 opening outside\n"
	  "> ip4 r=X tcp=SA 8001 4000 : none\n> ip4 r=X tcp=A 8002 4000 : channel=0\n"
	  "> ip4 r=X pong 7 : none\n" },
	{ "theirs: not what the device opens, nor a refusal",
	  ". trust 203.0.113.0/24\n> ip4 r=X tcp=S 8000 4000 : channel=0 opening\n"
	  "< ip4 r=X tcp=SA 8000 4000 : flow\n. generation 2\n"
	  "> ip4 r=X tcp=A 8000 4000 : channel=0 established\n"
	  "> ip4 r=X tcp=RA 8001 4000 : none\n" },
	{ "theirs: other ports, other remotes",
	  ". trust 0.0.0.0/0\n> ip4 r=X tcp=SA 7999 4000 : none\n"
	  "> ip4 r=X udp 8010 4000 : channel=0\n> udp 8000 4000 : channel=0\n" },
	{ "theirs: whoever it is under monitor",
	  ". policy monitor\n< ip4 r=X tcp=S 8000 4000 : no-flow\n"
	  "> ip4 r=X tcp=SA 8000 4000 : channel=8 flows=1\n< ip4 r=X tcp=A 8000 4000 : flow\n" },
	{ "theirs: matched again, confined and policed",
	  ". trust 203.0.113.0/24\n. bound 8=1/-/1\n. confine yes\n. police yes\n"
	  "> ip4 r=X tcp=SA 8000 4000 : out channel=8 flows=1\n. generation 2\n"
	  "> ip4 r=X tcp=A 8000 4000 : out channel=8 flows=1 established sent=2\n" },
	{ "theirs: the same ports again",
	  ". trust 203.0.113.0/24\n> ip4 r=X tcp=SA 8000 4000 : channel=8 flows=1\n"
	  "> ip4 r=X tcp=FA 8000 4000\n< ip4 r=X tcp=FA 8000 4000 : flow closing\n"
	  "< ip4 r=X tcp=S 8000 4000 : trusted\n. wait 21\n"
	  "> ip4 r=X tcp=SA 8000 4000 : channel=8 flows=2 established\n" },
	{ "profile: another, in the middle",
	  "> tcp=S 4000 443 : channel=3\n< tcp=SA 4000 443 : flow\n"
	  ". profile B\n< tcp=A 4000 443 : flow channel=3\n"
	  "> tcp=A 4000 443 : channel=6 established flows=0 inside\n"
	  "< tcp=A 4000 443 : flow channel=6\n" },
	{ "profile: the mirror moves away",
	  "> ip4 r=M tcp=S 4000 8443 : kept channel=1\n"
	  "< ip4 r=M tcp=SA 4000 8443 : flow\n. profile B\n"
	  "> ip4 r=M tcp=A 4000 8443 : outside channel=0 established\n"
	  "< ip4 r=M tcp=A 4000 8443 : flow\n. profile A\n"
	  "> ip4 r=M tcp=A 4000 8443 : kept channel=1 established\n" },
	{ "named: only to whom the channel's name led",
	  "> ip4 r=X tcp=S 4000 8883 : channel=0 unnamed=1\n. named 203.0.113.9=7\n"
	  "> ip4 r=X tcp=S 4001 8883 : channel=7 inside unnamed=0\n"
	  "> ip4 r=X tcp=S 4002 8884 : channel=0 unnamed=1\n"
	  "> ip4 r=203.0.113.10 tcp=S 4003 8883 : channel=0 unnamed=2\n" },
	{ "moved: the name is known a moment after the opening",
	  "> tcp=S 4000 8883 : channel=0 flows=1 unnamed=1\n< tcp=SA 4000 8883 : answered=1\n"
	  ". named 198.51.100.7=7\n. generation 2\n"
	  "> tcp=A 4000 8883 : channel=7 flows=1 answered=1 fresh=1 unnamed=0 sent=1 moved=1\n"
	  "> tcp=PA 4000 8883 data=9 : channel=7 flows=1 moved=1\n. generation 2\n"
	  "> tcp=PA 4000 8883 data=9 : channel=7 flows=1 moved=1\n" },
	{ "moved: before the answer",
	  "> tcp=S 4000 8883 : channel=0\n. named 198.51.100.7=7\n. generation 2\n"
	  "> tcp=S 4000 8883 : channel=7 flows=1 answered=0 moved=1\n"
	  "< tcp=SA 4000 8883 : flow answered=1\n> udp 4001 9 : channel=0 answered=1 flows=2\n" },
	{ "moved: not what was opened long ago",
	  "> tcp=S 4000 8883 : channel=0\n< tcp=SA 4000 8883 : flow\n. wait 11\n"
	  ". named 198.51.100.7=7\n. generation 2\n"
	  "> tcp=A 4000 8883 : channel=7 flows=0 answered=0 moved=0\n" },
	{ "moved: not from channel to channel, nor out of one",
	  "> tcp=S 4000 443 : channel=3\n. profile B\n"
	  "> tcp=S 4000 443 : channel=6 flows=0 moved=0\n"
	  "> ip4 r=M tcp=S 4001 8443 : channel=0\n. profile A\n"
	  "> ip4 r=M tcp=S 4001 8443 : channel=1 flows=1 moved=1\n. profile B\n"
	  "> ip4 r=M tcp=S 4001 8443 : channel=0 moved=1\n" },
	{ "named: of another channel, or of none",
	  ". named 203.0.113.9=6\n> ip4 r=X tcp=S 4001 8883 : channel=0 unnamed=0\n"
	  ". named 203.0.113.10=0\n"
	  "> ip4 r=203.0.113.10 tcp=S 4003 8883 : channel=0 unnamed=0\n" },
	{ "named: IPv6", ". named 2001:db8:9::9=7\n"
			 "> ip6 r=2001:db8:9::9 tcp=S 4001 8883 : channel=7 unnamed=0\n" },
	{ "distinct: destinations and ports",
	  "> udp 4000 9 : fresh=1 destinations=1 ports=1\n"
	  "> udp 4001 9 : fresh=1 destinations=1 ports=1 flows=2\n"
	  "> udp 4001 10 : fresh=2 destinations=1 ports=2\n"
	  "> ip4 r=X udp 4001 10 : fresh=3 destinations=2 ports=2\n"
	  "> ip4 r=X udp 4001 10 : fresh=3 flows=4\n" },
	{ "counted: by what is sent",
	  "> tcp=S 4000 80 : syn=1\n> tcp=A 4000 80 : syn=1 sent=2\n"
	  "> udp 4000 9 : udp=1 reflect=0\n> udp 1900 4000 : udp=2 reflect=1\n" },
	{ "counted: echo", "> ping 7 : channel=5 icmp=1\n> ip6 ping 8 : icmp=2\n" },
};

const struct hg_cases hg_cases_in = { cases, sizeof(cases) / sizeof(cases[0]) };
