/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a MUD file, and as a profile that may have kept entries of one. What is taken is a
 * good profile; what is exported imports as the same profile, and its lists alone grant the same.
 */
#include "fuzz.h"

#include <string.h>

#include "../../userspace/mud-acl.h"

static char err[512];

static json_t *import(const char *text, size_t len, bool lists_only)
{
	const struct hg_mud_import_options o = { .lists_only = lists_only };
	json_t *notes = json_array(), *profile;

	err[0] = '\0';
	profile = hg_mud_import(text, len, &o, notes, err, sizeof(err));
	holds(!profile == !!err[0]);
	holds(json_array_size(notes) <= HG_MUD_NOTES_MAX + 1);
	json_decref(notes);
	return profile;
}

static json_t *export(const json_t *profile, bool plain)
{
	const struct hg_mud_export_options o = { "https://maker.example/m", "2024-03-01T12:00:00Z",
						 plain };
	json_t *notes = json_array(), *mud;

	err[0] = '\0';
	mud = hg_mud_export(profile, &o, notes, err, sizeof(err));
	holds(!mud == !!err[0]);
	json_decref(notes);
	return mud;
}

/* The lists of a file as a profile and as lists again; a profile may be too small for them. */
static void check_lists(const json_t *mud, const char *text)
{
	json_t *profile = import(text, strlen(text), true), *again, *a, *b;

	if (!profile)
		return;
	again = export(profile, true);
	if (again) {
		a = hg_mud_entries(mud);
		b = hg_mud_entries(again);
		for (void *i = json_object_iter(a); i; i = json_object_iter_next(a, i)) {
			if (!json_object_get(b, json_object_iter_key(i)))
				fprintf(stderr, "lost: %s\n%s\n", json_object_iter_key(i), text);
			holds(json_object_get(b, json_object_iter_key(i)));
		}
		json_decref(a);
		json_decref(b);
	}
	json_decref(again);
	json_decref(profile);
}

/* `ours`: import made it, and kept no entry without need. */
static void check_profile(const json_t *profile, bool ours)
{
	json_t *mud = export(profile, false), *again;
	char *text;

	if (!mud)
		return;
	text = json_dumps(mud, JSON_COMPACT);
	again = import(text, strlen(text), false);
	if (!again)
		fprintf(stderr, "%s\n%s\n", err, text);
	holds(again && json_equal(again, profile));
	if (ours || !json_object_get(profile, "mud"))
		check_lists(mud, text);
	json_decref(again);
	json_decref(mud);
	free(text);
}

/* --- mutations that keep it JSON, for most of the bytes are braces and names */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);

static const char *const keys[] = { "name",
				    "matches",
				    "ipv4",
				    "ipv6",
				    "tcp",
				    "udp",
				    "icmp",
				    "eth",
				    "type",
				    "code",
				    "protocol",
				    "port",
				    "operator",
				    "lower-port",
				    "upper-port",
				    "source-port",
				    "destination-port",
				    "ietf-mud:mud",
				    "ietf-mud:direction-initiated",
				    "local-networks",
				    "controller",
				    "my-controller",
				    "model",
				    "ietf-acldns:dst-dnsname",
				    "ietf-acldns:src-dnsname",
				    "source-ipv4-network",
				    "destination-ipv4-network",
				    "destination-ipv6-network",
				    "ethertype",
				    "dscp",
				    "mud",
				    "entries",
				    "header",
				    "ipv6",
				    "proto",
				    "ports",
				    "remote",
				    "opener",
				    "answers",
				    "extensions",
				    "wb-profile:profile" };
static const char *const values[] = { "0",
				      "1",
				      "6",
				      "8",
				      "17",
				      "44",
				      "53",
				      "58",
				      "255",
				      "65535",
				      "true",
				      "null",
				      "[null]",
				      "{}",
				      "[]",
				      "\"any\"",
				      "\"local\"",
				      "\"dns\"",
				      "\"0.0.0.0/0\"",
				      "\"192.0.2.1/24\"",
				      "\"2001:db8::/32\"",
				      "\"name:a.example\"",
				      "\"a.example\"",
				      "\"10.0.0.1\"",
				      "\"eq\"",
				      "\"neq\"",
				      "\"lte\"",
				      "\"gt\"",
				      "\"range\"",
				      "\"accept\"",
				      "\"drop\"",
				      "\"from-device\"",
				      "\"to-device\"",
				      "\"ipv4-acl-type\"",
				      "\"ipv6-acl-type\"",
				      "\"mixed-eth-ipv4-acl-type\"",
				      "\"mixed-eth-ipv4-ipv6-acl-type\"",
				      "\"eth-acl-type\"",
				      "\"0x0800\"",
				      "\"0x86dd\"",
				      "\"urn:ietf:params:mud:dns\"",
				      "\"https://maker.example/heliograph/dhcp\"",
				      "\"remote\"",
				      "{\"lower-port\":1,\"upper-port\":9}",
				      "{\"operator\":\"neq\",\"port\":9}",
				      "{\"local-networks\":[null]}",
				      "\"wb-profile\"",
				      "[\"local\",\"dns\"]",
				      "\"default-dns\"" };

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NODES_MAX 4096

struct nodes {
	json_t *parent[NODES_MAX];
	const char *key[NODES_MAX]; /* NULL: of an array */
	size_t index[NODES_MAX];
	size_t n;
};

static json_t *at(const struct nodes *nodes, size_t i)
{
	return nodes->key[i] ? json_object_get(nodes->parent[i], nodes->key[i])
			     : json_array_get(nodes->parent[i], nodes->index[i]);
}

static void collect(struct nodes *nodes, json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_object(v)) {
		json_object_foreach (v, key, item) {
			if (nodes->n == NODES_MAX)
				return;
			nodes->parent[nodes->n] = v;
			nodes->key[nodes->n++] = key;
			collect(nodes, item);
		}
	}
	json_array_foreach (v, i, item) {
		if (nodes->n == NODES_MAX)
			return;
		nodes->parent[nodes->n] = v;
		nodes->key[nodes->n] = NULL;
		nodes->index[nodes->n++] = i;
		collect(nodes, item);
	}
}

static void put(const struct nodes *nodes, size_t i, json_t *v)
{
	if (nodes->key[i])
		json_object_set_new(nodes->parent[i], nodes->key[i], v);
	else
		json_array_set_new(nodes->parent[i], nodes->index[i], v);
}

static void mutate(const struct nodes *nodes)
{
	size_t i = (size_t)rand() % nodes->n;
	json_t *v = json_loads(values[(size_t)rand() % COUNT(values)], JSON_DECODE_ANY, NULL);

	switch (rand() % 5) {
	case 0:
		put(nodes, i, json_incref(v));
		break;
	case 1:
		put(nodes, i, json_deep_copy(at(nodes, (size_t)rand() % nodes->n)));
		break;
	case 2:
		if (json_is_object(at(nodes, i)))
			json_object_set(at(nodes, i), keys[(size_t)rand() % COUNT(keys)], v);
		break;
	case 3:
		if (nodes->key[i])
			json_object_del(nodes->parent[i], nodes->key[i]);
		else
			json_array_remove(nodes->parent[i], nodes->index[i]);
		break;
	default:
		/* One more of a list, by another name where it has one. */
		if (!nodes->key[i]) {
			json_t *more = json_deep_copy(at(nodes, i));
			char name[8];

			snprintf(name, sizeof(name), "n%d", rand() % 1000);
			if (json_object_get(more, "name"))
				json_object_set_new(more, "name", json_string(name));
			json_array_append_new(nodes->parent[i], more);
		}
	}
	json_decref(v);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	static struct nodes nodes;
	json_t *root;
	size_t len;

	srand(seed);
	root = rand() % 8 ? json_loadb((const char *)data, size, 0, NULL) : NULL;
	if (!root)
		return LLVMFuzzerMutate(data, size, max);
	for (int n = rand() % 4; n >= 0; n--) {
		nodes.n = 0;
		collect(&nodes, root);
		if (nodes.n)
			mutate(&nodes);
	}
	len = json_dumpb(root, (char *)data, max, JSON_COMPACT);
	json_decref(root);
	return len && len <= max ? len : LLVMFuzzerMutate(data, size, max);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *profile;

	for (int lists_only = 0; lists_only < 2; lists_only++) {
		profile = import((const char *)data, size, lists_only);
		if (profile)
			check_profile(profile, lists_only);
		json_decref(profile);
	}
	profile = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	if (profile)
		check_profile(profile, false);
	json_decref(profile);
	return 0;
}
