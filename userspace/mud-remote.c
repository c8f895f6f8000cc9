// SPDX-License-Identifier: MIT
/*
 * The remote of an access list entry: a network, a DNS name (ietf-acldns), one of RFC 8520's
 * classes, or several of them, which must then all hold. A channel's remote is one of them, as a
 * profile writes it.
 */
#include "mud-acl.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "profile-text.h"

#define HOST_MAX HG_PROFILE_HOST_MAX
#define URI_MAX 1024
#define URN_DNS "urn:ietf:params:mud:dns"
#define URN_NTP "urn:ietf:params:mud:ntp"

/* RFC 7951: a leaf of type empty is [null]. */
static int read_empty(struct hg_mud *m, const json_t *o, const char *key, bool *out)
{
	const json_t *v = json_object_get(o, key);

	*out = v;
	if (!v || (json_array_size(v) == 1 && json_is_null(json_array_get(v, 0))))
		return 0;
	hg_mud_enter(m, ".%s", key);
	return hg_mud_fail(m, "must be [null]");
}

static bool in_net(const uint8_t *addr, unsigned int len, const uint8_t *net, unsigned int net_len)
{
	if (len < net_len)
		return false;
	for (unsigned int bit = 0; bit < net_len; bit++)
		if ((addr[bit / 8] ^ net[bit / 8]) & (0x80 >> bit % 8))
			return false;
	return true;
}

/* As hg_addr_is_local() of core/addr.h. */
static bool is_local(const char *prefix)
{
	static const struct {
		bool v6;
		uint8_t len, net[4];
	} nets[] = { { false, 8, { 10 } },	  { false, 12, { 172, 16 } },
		     { false, 16, { 192, 168 } }, { false, 16, { 169, 254 } },
		     { false, 4, { 224 } },	  { false, 32, { 255, 255, 255, 255 } },
		     { true, 8, { 0xff } },	  { true, 10, { 0xfe, 0x80 } },
		     { true, 7, { 0xfc } } };
	bool v6 = strchr(prefix, ':');
	size_t n = strcspn(prefix, "/");
	unsigned int len = v6 ? 128 : 32;
	char text[INET6_ADDRSTRLEN];
	uint8_t addr[16];

	if (prefix[n])
		len = (unsigned int)atoi(prefix + n + 1);
	snprintf(text, sizeof(text), "%.*s", (int)n, prefix);
	inet_pton(v6 ? AF_INET6 : AF_INET, text, addr);
	for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); i++)
		if (nets[i].v6 == v6 && in_net(addr, len, nets[i].net, nets[i].len))
			return true;
	return false;
}

/* In the form that a profile has: no host bits, no length where it is one address. */
static int read_prefix(struct hg_mud *m, const char *s, bool v6, char out[static HG_MUD_REMOTE_MAX])
{
	size_t n = strcspn(s, "/");
	unsigned int most = v6 ? 128 : 32, len = most;
	char text[INET6_ADDRSTRLEN];
	uint8_t addr[16];

	if (n >= sizeof(text))
		return hg_mud_fail(m, "'%.60s' is no IPv%d prefix", s, v6 ? 6 : 4);
	memcpy(text, s, n);
	text[n] = '\0';
	if (inet_pton(v6 ? AF_INET6 : AF_INET, text, addr) != 1)
		return hg_mud_fail(m, "'%.60s' is no IPv%d prefix", s, v6 ? 6 : 4);
	if (s[n]) {
		char *end;
		unsigned long l = strtoul(s + n + 1, &end, 10);

		if (!isdigit((unsigned char)s[n + 1]) || *end || l > most)
			return hg_mud_fail(m, "'%.60s' is no IPv%d prefix", s, v6 ? 6 : 4);
		len = (unsigned int)l;
	} else {
		hg_mud_say_once(m, HG_MUD_SAID_LENGTH,
				"no prefix length, which RFC 8519 demands; taken as one "
				"address");
	}
	for (unsigned int bit = len; bit < most; bit++)
		addr[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	inet_ntop(v6 ? AF_INET6 : AF_INET, addr, text, sizeof(text));
	if (!len)
		strcpy(out, "any");
	else if (len == most)
		strcpy(out, text);
	else
		snprintf(out, HG_MUD_REMOTE_MAX, "%s/%u", text, len);
	return 0;
}

/* inet:host is a DNS name or an address. */
static int read_host(struct hg_mud *m, const char *s, char out[static HG_MUD_REMOTE_MAX])
{
	size_t n = strlen(s);
	uint8_t addr[16];

	if (inet_pton(AF_INET, s, addr) == 1)
		return read_prefix(m, s, false, out);
	if (strchr(s, ':'))
		return read_prefix(m, s, true, out);
	if (n && s[n - 1] == '.')
		n--;
	if (*s == '*' || !hg_host_valid(s, n))
		return hg_mud_fail(m, "'%.60s' is no DNS name", s);
	strcpy(out, "name:");
	for (size_t i = 0; i < n; i++)
		out[5 + i] = (char)tolower((unsigned char)s[i]);
	out[5 + n] = '\0';
	return 0;
}

/* A controller that a profile has a role for; ours are below the authority of the MUD URL. */
static const char *controller_role(const struct hg_mud *m, const char *uri)
{
	static const char *const roles[] = { "mirror", "collector", "dhcp" };
	char ours[HG_MUD_REMOTE_MAX + 64];

	if (!strcmp(uri, URN_DNS))
		return "dns";
	if (!strcmp(uri, URN_NTP))
		return "ntp";
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
		snprintf(ours, sizeof(ours), "https://%s/heliograph/%s", m->authority, roles[i]);
		if (!strcmp(uri, ours))
			return roles[i];
	}
	return NULL;
}

int hg_mud_read_class(struct hg_mud *m, struct hg_mud_ace *a, const json_t *matches,
		      const char **out)
{
	static const char *const known[] = {
		"manufacturer", "same-manufacturer", "model", "local-networks",
		"controller",	"my-controller",     NULL
	};
	static const char *const none[] = { NULL };
	const char *controller, *manufacturer, *model, *who = NULL;
	bool local, same, mine;
	const json_t *o;
	size_t at;

	*out = "";
	if (hg_mud_container(m, matches, "ietf-mud:mud", JSON_OBJECT, false, &o) || !o)
		return o ? -EINVAL : 0;
	at = hg_mud_enter(m, ".ietf-mud:mud");
	if (read_empty(m, o, "local-networks", &local) ||
	    read_empty(m, o, "same-manufacturer", &same) ||
	    read_empty(m, o, "my-controller", &mine) ||
	    hg_mud_string(m, o, "controller", URI_MAX, false, &controller) ||
	    hg_mud_string(m, o, "manufacturer", HOST_MAX, false, &manufacturer) ||
	    hg_mud_string(m, o, "model", URI_MAX, false, &model))
		return -EINVAL;
	hg_mud_pass_over(m, a, o, known, none);
	*out = controller ? controller_role(m, controller) : NULL;
	if (*out) {
		if (local || same || mine || manufacturer || model)
			hg_mud_widen(m, a,
				     "several classes at once, of which the controller counts");
	} else {
		who = controller     ? "controller"
		      : manufacturer ? "manufacturer"
		      : model	     ? "model"
		      : same	     ? "same-manufacturer"
		      : mine	     ? "my-controller"
				     : NULL;
		*out = who || local ? "local" : "";
	}
	if (who) {
		a->keep = true;
		hg_mud_enter(m, ".%s", who);
		hg_mud_note(m, m->path,
			    "a profile does not know who this is; the channel takes 'local'");
	}
	hg_mud_leave(m, at);
	return 0;
}

int hg_mud_read_address(struct hg_mud *m, struct hg_mud_ace *a, const json_t *ip, bool v6,
			struct hg_mud_address *to)
{
	static const char *const nets[2][2] = {
		{ "source-ipv4-network", "destination-ipv4-network" },
		{ "source-ipv6-network", "destination-ipv6-network" }
	};
	static const char *const names[] = { "ietf-acldns:src-dnsname", "ietf-acldns:dst-dnsname" };
	unsigned int far = a->direction == HG_MUD_FROM ? 1 : 0;
	const char *s;
	size_t at;

	if (json_object_get(ip, names[!far])) {
		hg_mud_enter(m, ".%s", names[!far]);
		return hg_mud_fail(m,
				   "is the device itself in a %s-device-policy, which RFC 8520 "
				   "forbids",
				   far ? "from" : "to");
	}
	if (hg_mud_string(m, ip, nets[v6][!far], 64, false, &s))
		return -EINVAL;
	if (s) {
		at = hg_mud_enter(m, ".%s", nets[v6][!far]);
		if (read_prefix(m, s, v6, to->prefix))
			return -EINVAL;
		to->prefix[0] = '\0';
		hg_mud_widen(m, a, "an address of the device itself");
		hg_mud_leave(m, at);
	}
	if (hg_mud_string(m, ip, nets[v6][far], 64, false, &s))
		return -EINVAL;
	at = hg_mud_enter(m, ".%s", nets[v6][far]);
	if (s && read_prefix(m, s, v6, to->prefix))
		return -EINVAL;
	hg_mud_leave(m, at);
	if (hg_mud_string(m, ip, names[far], HOST_MAX + 1, false, &s))
		return -EINVAL;
	at = hg_mud_enter(m, ".%s", names[far]);
	if (s && read_host(m, s, to->host))
		return -EINVAL;
	hg_mud_leave(m, at);
	return 0;
}

void hg_mud_set_remote(struct hg_mud *m, struct hg_mud_ace *a, const char *class,
		       struct hg_mud_address *to)
{
	const char *prefix = strcmp(to->prefix, "any") ? to->prefix : "";

	if (*prefix && *class) {
		a->keep = true; /* of what is inside 'local' nothing is lost */
		if (strcmp(class, "local") || !is_local(prefix))
			hg_mud_widen(m, a,
				     "a class and a prefix at once, of which the prefix counts");
	}
	if (*to->host && (*prefix || *class))
		hg_mud_widen(m, a, "a DNS name with more, of which the name or the prefix counts");
	if (*prefix)
		strcpy(a->remote, prefix);
	else if (*to->host)
		strcpy(a->remote, to->host);
	else
		strcpy(a->remote, *class ? class : "any");
}
