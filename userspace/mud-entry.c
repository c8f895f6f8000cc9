// SPDX-License-Identifier: MIT
/*
 * Access list entries as RFC 8519 and 8520 write them, and all entries of a file as a set. An entry
 * for an answer is that for the question with its two sides changed.
 */
#include "mud-acl.h"

#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URN "urn:ietf:params:mud:"
#define NAME "name:"

bool hg_mud_clean_name(const char *s, char out[static HG_PROFILE_NAME_MAX + 1])
{
	size_t n = 0;

	for (; *s && n < HG_PROFILE_NAME_MAX; s++) {
		if (isalnum((unsigned char)*s) || strchr("._-+", *s))
			out[n++] = *s;
		else if (n && out[n - 1] != '-')
			out[n++] = '-';
	}
	while (n && out[n - 1] == '-')
		n--;
	out[n] = '\0';
	return n;
}

bool hg_mud_can_name(const char *remote)
{
	return strncmp(remote, NAME "*", strlen(NAME "*")) != 0;
}

/* "ietf-mud:mud" of a remote that is known by what it is; NULL: not such a remote. */
static json_t *class_of(const char *remote, const char *authority)
{
	if (!strcmp(remote, "local"))
		return json_pack("{s:[n]}", "local-networks");
	if (!strcmp(remote, "dns") || !strcmp(remote, "ntp"))
		return json_pack("{s:o}", "controller", json_sprintf(URN "%s", remote));
	if (!strcmp(remote, "mirror") || !strcmp(remote, "collector") || !strcmp(remote, "dhcp"))
		return json_pack("{s:o}", "controller",
				 json_sprintf("https://%s/heliograph/%s", authority, remote));
	return NULL;
}

static void set_address(json_t *ip, const struct hg_mud_unit *u, bool from)
{
	char key[32];

	if (!strncmp(u->remote, NAME, strlen(NAME))) {
		json_object_set_new(ip,
				    from ? "ietf-acldns:dst-dnsname" : "ietf-acldns:src-dnsname",
				    json_string(u->remote + strlen(NAME)));
		return;
	}
	snprintf(key, sizeof(key), "%s-ipv%d-network", from ? "destination" : "source",
		 u->v6 ? 6 : 4);
	if (strchr(u->remote, '/'))
		json_object_set_new(ip, key, json_string(u->remote));
	else
		json_object_set_new(ip, key, json_sprintf("%s/%d", u->remote, u->v6 ? 128 : 32));
}

static json_t *ports_of(const struct hg_mud_unit *u)
{
	if (u->port_min == u->port_max)
		return json_pack("{s:s, s:i}", "operator", "eq", "port", u->port_min);
	return json_pack("{s:i, s:i}", "lower-port", u->port_min, "upper-port", u->port_max);
}

static json_t *transport_of(const struct hg_mud_unit *u, bool from)
{
	json_t *l4 = json_object();

	/* The port is that of the side that did not open. */
	if (u->port_max)
		json_object_set_new(l4,
				    from != u->remote_opens ? "destination-port" : "source-port",
				    ports_of(u));
	if (u->proto == IPPROTO_TCP)
		json_object_set_new(l4, "ietf-mud:direction-initiated",
				    json_string(u->remote_opens ? "to-device" : "from-device"));
	return l4;
}

json_t *hg_mud_entry(const struct hg_mud_unit *u, enum hg_mud_direction direction, const char *name,
		     const char *authority)
{
	bool from = direction == HG_MUD_FROM;
	json_t *matches = json_object(), *ip = json_object();
	json_t *class = class_of(u->remote, authority);

	if (class)
		json_object_set_new(matches, "ietf-mud:mud", class);
	else if (strcmp(u->remote, "any"))
		set_address(ip, u, from);
	if (u->proto)
		json_object_set_new(ip, "protocol", json_integer(u->proto));
	json_object_set_new(matches, u->v6 ? "ipv6" : "ipv4", ip);
	if (u->proto == IPPROTO_TCP || (u->proto == IPPROTO_UDP && u->port_max))
		json_object_set_new(matches, u->proto == IPPROTO_TCP ? "tcp" : "udp",
				    transport_of(u, from));
	return json_pack("{s:s, s:o, s:{s:s}}", "name", name, "matches", matches, "actions",
			 "forwarding", "accept");
}

/* --- tidying */

static void tidy_ports(json_t *ports)
{
	const char *op = json_string_value(json_object_get(ports, "operator"));
	json_int_t port = json_integer_value(json_object_get(ports, "port"));

	if (json_object_get(ports, "lower-port")) {
		json_object_del(ports, "operator");
	} else if (op && (!strcmp(op, "lt") || !strcmp(op, "gt"))) {
		port += *op == 'l' ? -1 : 1;
		if (port < 0 || port > 65535)
			return; /* no port at all; RFC 8519 has no form for this */
		json_object_set_new(ports, "operator", json_string(*op == 'l' ? "lte" : "gte"));
		json_object_set_new(ports, "port", json_integer(port));
	}
}

void hg_mud_tidy(json_t *ace)
{
	static const char *const l4[] = { "tcp", "udp" };
	static const char *const sides[] = { "source", "destination" };
	json_t *matches = json_object_get(ace, "matches");
	char key[32];

	for (int v6 = 0; v6 < 2; v6++) {
		json_t *ip = json_object_get(matches, v6 ? "ipv6" : "ipv4");

		for (int i = 0; i < 2; i++) {
			const char *net;

			snprintf(key, sizeof(key), "%s-ipv%d-network", sides[i], v6 ? 6 : 4);
			net = json_string_value(json_object_get(ip, key));
			if (net && !strchr(net, '/'))
				json_object_set_new(ip, key,
						    json_sprintf("%s/%d", net, v6 ? 128 : 32));
		}
	}
	for (int i = 0; i < 4; i++) {
		snprintf(key, sizeof(key), "%s-port", sides[i % 2]);
		tidy_ports(json_object_get(json_object_get(matches, l4[i / 2]), key));
	}
}

/* --- comparing */

static void add_entries(json_t *set, const json_t *acl, const char *direction)
{
	const json_t *aces = json_object_get(json_object_get(acl, "aces"), "ace"), *ace;
	const char *type = json_string_value(json_object_get(acl, "type"));
	const char *action;
	char *matches;
	json_t *key;
	size_t i;

	json_array_foreach ((json_t *)aces, i, ace) {
		action = json_string_value(
			json_object_get(json_object_get(ace, "actions"), "forwarding"));
		matches = json_dumps(json_object_get(ace, "matches"),
				     JSON_SORT_KEYS | JSON_COMPACT);
		key = json_sprintf("%s %s %s %s", direction, type, action,
				   matches ? matches : "{}");
		if (key)
			json_object_set(set, json_string_value(key), json_object_get(ace, "name"));
		json_decref(key);
		free(matches);
	}
}

json_t *hg_mud_entries(const json_t *root)
{
	static const char *const policies[] = { "from-device-policy", "to-device-policy" };
	const json_t *acls = json_object_get(root, HG_MUD_ACLS), *lists, *names, *name, *acl;
	json_t *set = json_object();
	size_t i, j;

	lists = json_object_get(acls ? acls : json_object_get(root, HG_MUD_ACLS_DRAFT), "acl");
	for (int k = 0; k < 2; k++) {
		names = json_object_get(json_object_get(root, "ietf-mud:mud"), policies[k]);
		names = json_object_get(json_object_get(names, "access-lists"), "access-list");
		json_array_foreach ((json_t *)names, i, name)
			json_array_foreach ((json_t *)lists, j, acl)
				if (json_equal(json_object_get(name, "name"),
					       json_object_get(acl, "name")))
					add_entries(set, acl, policies[k]);
	}
	return set;
}
