// SPDX-License-Identifier: MIT
/*
 * One entry of an access list (RFC 8519, and RFC 8520's matches) to what a channel can say of it:
 * protocol, ports on either side, remote. What a channel cannot say widens the channel or, where
 * nothing would be left, loses the entry; either is noted, and the entry is kept for export.
 */
#include "mud-acl.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- ports */

static void set_range(struct hg_mud *m, struct hg_mud_ace *a, struct hg_mud_ports *p, long min,
		      long max)
{
	if (min > max || !max) {
		hg_mud_lose(m, a, min > max ? "no port is in this" : "port 0 is none");
		return;
	}
	if (!min && max == 65535)
		return; /* any */
	if (!min) {
		a->keep = true; /* nobody uses port 0: not worth a note */
		min = 1;
	}
	p->r[p->n].min = (uint16_t)min;
	p->r[p->n++].max = (uint16_t)max;
}

/* lte, gte, eq, neq are RFC 8519's; lt, gt, range were the drafts'. */
static int set_operator(struct hg_mud *m, struct hg_mud_ace *a, struct hg_mud_ports *p,
			const char *op, long port)
{
	if (!op || !strcmp(op, "eq")) {
		set_range(m, a, p, port, port);
	} else if (!strcmp(op, "lte")) {
		set_range(m, a, p, 0, port);
	} else if (!strcmp(op, "gte")) {
		set_range(m, a, p, port, 65535);
	} else if (!strcmp(op, "lt") || !strcmp(op, "gt")) {
		hg_mud_say_once(m, HG_MUD_SAID_OPERATOR,
				"operator of a draft; RFC 8519 has lte, gte, eq, neq");
		if (*op == 'l')
			set_range(m, a, p, 0, port - 1);
		else
			set_range(m, a, p, port + 1, 65535);
	} else if (!strcmp(op, "neq")) {
		if (port > 1)
			set_range(m, a, p, 1, port - 1);
		if (port < 65535)
			set_range(m, a, p, port + 1, 65535);
	} else {
		hg_mud_enter(m, ".operator");
		return hg_mud_fail(m, "'%.40s' is not lte, gte, eq or neq", op);
	}
	return 0;
}

static int set_lower_upper(struct hg_mud *m, struct hg_mud_ace *a, struct hg_mud_ports *p,
			   const char *op, long lower, long upper)
{
	if (lower > upper) {
		hg_mud_enter(m, ".upper-port");
		return hg_mud_fail(m, "must be at least the lower-port, %ld", lower);
	}
	if (op && strcmp(op, "eq") && strcmp(op, "range")) {
		hg_mud_enter(m, ".operator");
		return hg_mud_fail(m, "'%.40s' does not go with a range", op);
	}
	if (op)
		hg_mud_say_once(m, HG_MUD_SAID_RANGE,
				"an operator beside a range, which RFC 8519 does not have; "
				"the range counts");
	set_range(m, a, p, lower, upper);
	return 0;
}

static int read_ports(struct hg_mud *m, struct hg_mud_ace *a, const json_t *l4, const char *key,
		      struct hg_mud_ports *p)
{
	static const char *const known[] = { "operator", "port", "lower-port", "upper-port", NULL };
	static const char *const none[] = { NULL };
	long port, lower, upper;
	const char *op;
	const json_t *o;
	size_t at;

	if (hg_mud_container(m, l4, key, JSON_OBJECT, false, &o) || !o)
		return o ? -EINVAL : 0;
	at = hg_mud_enter(m, ".%s", key);
	if (hg_mud_string(m, o, "operator", 16, false, &op) ||
	    hg_mud_integer(m, o, "lower-port", 0, 65535, json_object_get(o, "upper-port"),
			   &lower) ||
	    hg_mud_integer(m, o, "upper-port", 0, 65535, lower >= 0, &upper) ||
	    hg_mud_integer(m, o, "port", 0, 65535, op && lower < 0, &port))
		return -EINVAL;
	hg_mud_pass_over(m, a, o, known, none);
	if (port >= 0 && lower >= 0)
		return hg_mud_fail(m, "has both port and a range");
	if (port >= 0 ? set_operator(m, a, p, op, port)
		      : lower >= 0 && set_lower_upper(m, a, p, op, lower, upper))
		return -EINVAL;
	hg_mud_leave(m, at);
	return 0;
}

/* --- layer 4 */

static int read_initiated(struct hg_mud *m, struct hg_mud_ace *a, const json_t *l4, bool tcp)
{
	static const char key[] = "ietf-mud:direction-initiated";
	const char *s;

	if (!json_object_get(l4, key))
		return 0;
	if (!tcp) {
		hg_mud_enter(m, ".%s", key);
		return hg_mud_fail(m, "is for tcp only (RFC 8520)");
	}
	if (hg_mud_string(m, l4, key, 16, true, &s))
		return -EINVAL;
	if (!strcmp(s, "from-device")) {
		a->opener = HG_MUD_DEVICE;
	} else if (!strcmp(s, "to-device")) {
		a->opener = HG_MUD_REMOTE;
	} else {
		hg_mud_enter(m, ".%s", key);
		return hg_mud_fail(m, "must be from-device or to-device");
	}
	return 0;
}

static int read_transport(struct hg_mud *m, struct hg_mud_ace *a, const json_t *l4, bool tcp)
{
	static const char *const known[] = { "source-port", "destination-port",
					     "ietf-mud:direction-initiated", NULL };
	static const char *const others[] = {
		"sequence-number", "acknowledgement-number", "data-offset", "reserved", "flags",
		"window-size",	   "urgent-pointer",	     "options",	    "length",	NULL
	};
	bool from = a->direction == HG_MUD_FROM;

	hg_mud_pass_over(m, a, l4, known, others);
	if (read_ports(m, a, l4, "source-port", from ? &a->near : &a->far) ||
	    read_ports(m, a, l4, "destination-port", from ? &a->far : &a->near))
		return -EINVAL;
	return read_initiated(m, a, l4, tcp);
}

/* Who asks is known of an echo; of all else the lists say who may send. */
static void set_echo(struct hg_mud_ace *a, long type)
{
	bool v4 = a->proto == IPPROTO_ICMP, from = a->direction == HG_MUD_FROM;

	if (type == (v4 ? 8 : 128))
		a->opener = from ? HG_MUD_DEVICE : HG_MUD_REMOTE;
	else if (type == (v4 ? 0 : 129))
		a->opener = from ? HG_MUD_REMOTE : HG_MUD_DEVICE;
}

static int read_icmp(struct hg_mud *m, struct hg_mud_ace *a, const json_t *l4)
{
	static const char *const known[] = { "type", "code", NULL };
	static const char *const others[] = { "rest-of-header", NULL };
	long type, code;

	hg_mud_pass_over(m, a, l4, known, others);
	if (hg_mud_integer(m, l4, "type", 0, 255, false, &type) ||
	    hg_mud_integer(m, l4, "code", 0, 255, false, &code))
		return -EINVAL;
	if (type >= 0 || code >= 0)
		hg_mud_widen(m, a, "a profile does not test type and code");
	set_echo(a, type);
	return 0;
}

static int read_l4(struct hg_mud *m, struct hg_mud_ace *a, const json_t *matches)
{
	static const struct {
		const char *key;
		uint8_t proto, proto6;
	} kinds[] = { { "tcp", IPPROTO_TCP, IPPROTO_TCP },
		      { "udp", IPPROTO_UDP, IPPROTO_UDP },
		      { "icmp", IPPROTO_ICMP, IPPROTO_ICMPV6 } };
	const char *first = NULL;
	const json_t *o;
	size_t at;
	int err = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !err; i++) {
		uint8_t proto = a->families == HG_MUD_V6 ? kinds[i].proto6 : kinds[i].proto;

		if (hg_mud_container(m, matches, kinds[i].key, JSON_OBJECT, false, &o))
			return -EINVAL;
		if (!o)
			continue;
		at = hg_mud_enter(m, ".%s", kinds[i].key);
		if (first)
			return hg_mud_fail(m, "stands beside %s; one of them is too many", first);
		if (a->proto && a->proto != proto)
			return hg_mud_fail(m, "does not go with protocol %u", a->proto);
		if (!a->families)
			return hg_mud_fail(m, "is not for a list of type %s", a->type);
		first = kinds[i].key;
		a->proto = proto;
		err = i < 2 ? read_transport(m, a, o, i == 0) : read_icmp(m, a, o);
		if (!err)
			hg_mud_leave(m, at);
	}
	return err;
}

static int read_ip(struct hg_mud *m, struct hg_mud_ace *a, const json_t *ip, bool v6,
		   struct hg_mud_address *to)
{
	static const char *const known[] = { "protocol",
					     "source-ipv4-network",
					     "destination-ipv4-network",
					     "source-ipv6-network",
					     "destination-ipv6-network",
					     "ietf-acldns:src-dnsname",
					     "ietf-acldns:dst-dnsname",
					     NULL };
	static const char *const others[] = { "dscp",	    "ecn",   "length", "ttl",
					      "ihl",	    "flags", "offset", "identification",
					      "flow-label", NULL };
	static const char *const nets[] = { "source-ipv6-network", "destination-ipv6-network",
					    "source-ipv4-network", "destination-ipv4-network" };
	long proto;

	for (int i = 0; i < 2; i++) {
		const char *wrong = nets[v6 ? 2 + i : i];

		if (!json_object_get(ip, wrong))
			continue;
		hg_mud_enter(m, ".%s", wrong);
		return hg_mud_fail(m, "is not for ipv%d", v6 ? 6 : 4);
	}
	hg_mud_pass_over(m, a, ip, known, others);
	if (hg_mud_integer(m, ip, "protocol", 0, 255, false, &proto))
		return -EINVAL;
	if (!proto || (v6 && (proto == IPPROTO_ROUTING || proto == IPPROTO_FRAGMENT ||
			      proto == IPPROTO_DSTOPTS)))
		hg_mud_lose(m, a, "an extension header is no protocol of its own");
	else if (proto > 0)
		a->proto = (uint8_t)proto;
	return hg_mud_read_address(m, a, ip, v6, to);
}

static int read_l3(struct hg_mud *m, struct hg_mud_ace *a, const json_t *matches,
		   struct hg_mud_address *to)
{
	static const char *const keys[] = { "ipv4", "ipv6" };
	uint8_t allowed = a->families;
	const json_t *o[2];
	size_t at;

	for (int v6 = 0; v6 < 2; v6++) {
		if (hg_mud_container(m, matches, keys[v6], JSON_OBJECT, false, &o[v6]))
			return -EINVAL;
		if (!o[v6])
			continue;
		at = hg_mud_enter(m, ".%s", keys[v6]);
		if (v6 && o[0])
			return hg_mud_fail(m, "stands beside ipv4; one of them is too many");
		if (!(allowed & (v6 ? HG_MUD_V6 : HG_MUD_V4)))
			return hg_mud_fail(m, "is not for a list of type %s", a->type);
		a->families = v6 ? HG_MUD_V6 : HG_MUD_V4;
		if (read_ip(m, a, o[v6], v6, to))
			return -EINVAL;
		hg_mud_leave(m, at);
	}
	return 0;
}

/* --- layer 2 */

/* An Ethernet type that says IPv4 or IPv6 says what the list's type says, too. */
static void read_ethertype(struct hg_mud *m, struct hg_mud_ace *a, const char *s, bool ip)
{
	char *end;
	unsigned long type = strtoul(s, &end, 16);
	uint8_t family = type == 0x800 ? HG_MUD_V4 : type == 0x86dd ? HG_MUD_V6 : 0;

	if (strncmp(s, "0x", 2) || *end || !family) {
		hg_mud_lose(m, a, "a profile is of IP only");
	} else if (!ip) {
		a->families = family;
		a->keep = true;
	} else if (a->families & family) {
		a->families = family;
	} else {
		hg_mud_lose(m, a, "this Ethernet type does not go with the rest");
	}
}

static int read_eth(struct hg_mud *m, struct hg_mud_ace *a, const json_t *matches)
{
	static const char *const known[] = { "ethertype", NULL };
	static const char *const others[] = { "destination-mac-address",
					      "destination-mac-address-mask", "source-mac-address",
					      "source-mac-address-mask", NULL };
	bool ip = json_object_get(matches, "ipv4") || json_object_get(matches, "ipv6");
	const char *s;
	const json_t *o;
	size_t at, at_type;

	if (hg_mud_container(m, matches, "eth", JSON_OBJECT, false, &o))
		return -EINVAL;
	at = hg_mud_enter(m, ".eth");
	if (o && (!strcmp(a->type, "ipv4-acl-type") || !strcmp(a->type, "ipv6-acl-type"))) {
		hg_mud_say_once(m, HG_MUD_SAID_ETH, "RFC 8519 has no eth in a list of this type");
		a->keep = true;
	}
	if (o)
		hg_mud_pass_over(m, a, o, known, others);
	if (hg_mud_string(m, o, "ethertype", 16, false, &s))
		return -EINVAL;
	at_type = hg_mud_enter(m, ".ethertype");
	if (s)
		read_ethertype(m, a, s, ip);
	hg_mud_leave(m, at_type);
	hg_mud_leave(m, at);
	if (!a->families && !a->lost)
		hg_mud_lose(m, a, "a profile is of IP only");
	return 0;
}

/* --- the entry */

static int read_matches(struct hg_mud *m, struct hg_mud_ace *a, const json_t *matches)
{
	static const char *const known[] = { "eth", "ipv4", "ipv6",	    "tcp",
					     "udp", "icmp", "ietf-mud:mud", NULL };
	static const char *const others[] = { "egress-interface", "ingress-interface", NULL };
	struct hg_mud_address to = { .prefix = "" };
	const char *class;

	hg_mud_pass_over(m, a, matches, known, others);
	if (read_l3(m, a, matches, &to) || read_l4(m, a, matches) ||
	    hg_mud_read_class(m, a, matches, &class) || read_eth(m, a, matches))
		return -EINVAL;
	hg_mud_set_remote(m, a, class, &to);
	if ((a->proto == IPPROTO_ICMP && !(a->families & HG_MUD_V4)) ||
	    (a->proto == IPPROTO_ICMPV6 && !(a->families & HG_MUD_V6)))
		hg_mud_lose(m, a, "this protocol is the other IP version's");
	return 0;
}

static int read_action(struct hg_mud *m, struct hg_mud_ace *a)
{
	static const char module[] = "ietf-access-control-list:";
	const json_t *actions;
	const char *s;
	size_t at;

	if (hg_mud_container(m, a->node, "actions", JSON_OBJECT, true, &actions))
		return -EINVAL;
	at = hg_mud_enter(m, ".actions");
	if (hg_mud_string(m, actions, "forwarding", 64, true, &s))
		return -EINVAL;
	if (!strncmp(s, module, sizeof(module) - 1))
		s += sizeof(module) - 1;
	hg_mud_enter(m, ".forwarding");
	a->drop = !strcmp(s, "drop") || !strcmp(s, "reject");
	if (!a->drop && strcmp(s, "accept"))
		return hg_mud_fail(m, "'%.40s' is not accept, drop or reject", s);
	hg_mud_leave(m, at);
	return 0;
}

static uint8_t families_of(const char *type)
{
	if (strstr(type, "ipv4-ipv6"))
		return HG_MUD_V4 | HG_MUD_V6;
	if (strstr(type, "ipv4"))
		return HG_MUD_V4;
	return strstr(type, "ipv6") ? HG_MUD_V6 : 0;
}

int hg_mud_ace_read(struct hg_mud *m, const json_t *node, enum hg_mud_direction direction,
		    const char *type, int list)
{
	struct hg_mud_ace *a = &m->aces[m->n_aces];
	const json_t *matches;
	size_t at;

	*a = (struct hg_mud_ace){ .node = node,
				  .type = type,
				  .list = list,
				  .direction = direction,
				  .families = families_of(type),
				  .grants = { -1, -1 } };
	memcpy(a->path, m->path, sizeof(a->path));
	if (hg_mud_string(m, node, "name", HG_MUD_NAME_MAX, true, &a->name) || read_action(m, a) ||
	    hg_mud_container(m, node, "matches", JSON_OBJECT, false, &matches))
		return -EINVAL;
	if (!strcmp(type, "ethernet-acl-type"))
		hg_mud_say_once(m, HG_MUD_SAID_TYPE,
				"ethernet-acl-type of a draft, taken for eth-acl-type");
	at = hg_mud_enter(m, ".matches");
	if (read_matches(m, a, matches))
		return -EINVAL;
	hg_mud_leave(m, at);
	if (a->drop)
		hg_mud_lose(m, a, "a profile only grants; this entry takes away");
	m->n_aces++;
	return 0;
}
