// SPDX-License-Identifier: MIT
/*
 * nft: commands as text to libnftables, which makes each text one transaction, and its JSON back.
 * Used by block.c only, which knows what should be there. Deletions are noted apart from additions
 * and committed before them, since elements of one set may not overlap at any time.
 */
#include "nft.h"

#include <errno.h>
#include <jansson.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A text that grows; a failed write shows when it is closed. */
struct notes {
	FILE *f;
	char *text;
	size_t len;
};

struct hg_nft {
	struct nft_ctx *ctx;
	char *table;
	char *make; /* commands */
	struct notes first, then;
};

static const char *const set_names[] = { "hosts4", "hosts6", "ports4", "ports6" };

int hg_element_compare(const void *a, const void *b)
{
	const struct hg_element *x = a, *y = b;
	int c;

	if (x->line.family != y->line.family)
		return (int)x->line.family - (int)y->line.family;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	if (x->proto != y->proto)
		return (int)x->proto - (int)y->proto;
	c = memcmp(&x->line, &y->line, sizeof(x->line));
	if (!c)
		c = memcmp(x->target.addr, y->target.addr, sizeof(x->target.addr));
	return c ? c : (int)x->target.len - (int)y->target.len;
}

int hg_elements_push(struct hg_elements *l, const struct hg_element *e)
{
	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 64;
		struct hg_element *more = realloc(l->e, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->e = more;
		l->room = room;
	}
	l->e[l->n++] = *e;
	return 0;
}

static FILE *notes_open(struct notes *n)
{
	if (!n->f)
		n->f = open_memstream(&n->text, &n->len);
	return n->f;
}

/* The text, which the caller frees; NULL if there is none. *failed: it is not whole. */
static char *notes_take(struct notes *n, bool *failed)
{
	char *text;

	if (!n->f)
		return NULL;
	if (fclose(n->f))
		*failed = true;
	text = n->text;
	memset(n, 0, sizeof(*n));
	return text;
}

/* One transaction. What nft printed is in its output buffer afterwards. */
static int run(struct hg_nft *n, const char *commands, char *err, size_t err_size)
{
	const char *why;

	if (!nft_run_cmd_from_buffer(n->ctx, commands)) {
		nft_ctx_get_error_buffer(n->ctx); /* reading it empties it */
		return 0;
	}
	why = nft_ctx_get_error_buffer(n->ctx);
	snprintf(err, err_size, "nftables: %.*s", (int)strcspn(why, "\n"), why);
	return -EIO;
}

static void put_element(const struct hg_nft *n, FILE *f, const char *verb,
			const struct hg_element *e)
{
	char line[HG_NET_STRLEN], target[HG_NET_STRLEN];

	fprintf(f, "%s element inet %s %s { %s . %s", verb, n->table,
		set_names[(e->port ? 2 : 0) + (e->line.family == 6)], hg_net_format(&e->line, line),
		hg_net_format(&e->target, target));
	if (e->port)
		fprintf(f, " . %u . %u", e->proto, e->port);
}

void hg_nft_note_renew(struct hg_nft *n)
{
	FILE *f = notes_open(&n->first);

	/* `add` first: deleting what is not there would be an error. */
	if (f)
		fprintf(f, "add table inet %s\ndelete table inet %s\n%s", n->table, n->table,
			n->make);
}

void hg_nft_note_delete(struct hg_nft *n, const struct hg_element *e)
{
	FILE *f = notes_open(&n->first);

	if (!f)
		return;
	put_element(n, f, "delete", e);
	fputs(" }\n", f);
}

void hg_nft_note_add(struct hg_nft *n, const struct hg_element *e, uint64_t now_s)
{
	FILE *f = notes_open(&n->then);

	if (!f)
		return;
	put_element(n, f, "add", e);
	fprintf(f, " timeout %llus }\n",
		(unsigned long long)(e->until_s > now_s ? e->until_s - now_s : 1));
}

int hg_nft_commit(struct hg_nft *n, char *err, size_t err_size)
{
	bool failed = false;
	char *first = notes_take(&n->first, &failed), *then = notes_take(&n->then, &failed);
	char *all = NULL;
	int ret = 0;

	if (!failed && first && then && asprintf(&all, "%s%s", first, then) < 0) {
		all = NULL;
		failed = true;
	}
	if (failed) {
		snprintf(err, err_size, "nftables: out of memory");
		ret = -EIO;
	} else if (first || then) {
		ret = run(n, all ? all : first ? first : then, err, err_size);
	}
	free(all);
	free(first);
	free(then);
	return ret;
}

/* "10.0.0.1" or {"prefix": {"addr": "10.0.0.0", "len": 24}} */
static int read_net(const json_t *v, struct hg_net *out)
{
	const json_t *prefix = json_object_get(v, "prefix");
	char text[HG_NET_STRLEN];

	if (json_is_string(v))
		return hg_net_parse(json_string_value(v), out);
	if (!json_is_string(json_object_get(prefix, "addr")))
		return -EINVAL;
	snprintf(text, sizeof(text), "%s/%d", json_string_value(json_object_get(prefix, "addr")),
		 (int)json_integer_value(json_object_get(prefix, "len")));
	return hg_net_parse(text, out);
}

static int read_element(const json_t *v, uint64_t now_s, struct hg_element *out)
{
	const json_t *elem = json_object_get(v, "elem");
	const json_t *concat = json_object_get(json_object_get(elem, "val"), "concat");
	const json_t *proto = json_array_get(concat, 2), *port = json_array_get(concat, 3);

	memset(out, 0, sizeof(*out));
	if (read_net(json_array_get(concat, 0), &out->line) ||
	    read_net(json_array_get(concat, 1), &out->target))
		return -EINVAL;
	if (port) {
		/* Asked for as numbers; a name would mean another library than we know. */
		if (!json_is_integer(proto) || !json_is_integer(port))
			return -EINVAL;
		out->proto = (uint8_t)json_integer_value(proto);
		out->port = (uint16_t)json_integer_value(port);
	}
	out->until_s = now_s + (uint64_t)json_integer_value(json_object_get(elem, "expires"));
	out->packets = (uint64_t)json_integer_value(
		json_object_get(json_object_get(elem, "counter"), "packets"));
	return 0;
}

static int read_sets(const json_t *root, uint64_t now_s, struct hg_elements *out)
{
	const json_t *items = json_object_get(root, "nftables");

	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *set = json_object_get(json_array_get(items, i), "set");
		const json_t *list = json_object_get(set, "elem");
		const char *name = json_string_value(json_object_get(set, "name"));

		if (!name || (strncmp(name, "hosts", 5) && strncmp(name, "ports", 5)))
			continue;
		for (size_t k = 0; k < json_array_size(list); k++) {
			struct hg_element e;

			if (read_element(json_array_get(list, k), now_s, &e) ||
			    hg_elements_push(out, &e))
				return -EIO;
		}
	}
	if (out->n)
		qsort(out->e, out->n, sizeof(out->e[0]), hg_element_compare);
	return 0;
}

int hg_nft_read(struct hg_nft *n, uint64_t now_s, struct hg_elements *out, char *err,
		size_t err_size)
{
	char command[128];
	json_t *root;
	int ret;

	snprintf(command, sizeof(command), "list table inet %s", n->table);
	nft_ctx_output_set_flags(n->ctx, NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_NUMERIC_PROTO);
	ret = run(n, command, err, err_size);
	nft_ctx_output_set_flags(n->ctx, 0);
	root = json_loads(nft_ctx_get_output_buffer(n->ctx), 0, NULL);
	if (!ret) {
		ret = root ? read_sets(root, now_s, out) : -EIO;
		if (ret)
			snprintf(err, err_size, "nftables: table %s holds what is not ours",
				 n->table);
	}
	json_decref(root);
	if (ret) {
		free(out->e);
		memset(out, 0, sizeof(*out));
	}
	return ret;
}

static void put_open(FILE *f, const char *table, const struct hg_conf_list *open)
{
	char text[HG_NET_STRLEN];
	struct hg_net net;

	for (size_t i = 0; i < open->count; i++) {
		if (hg_net_parse(open->items[i], &net))
			continue;
		fprintf(f, "add rule inet %s forward %s daddr %s accept\n", table,
			net.family == 4 ? "ip" : "ip6", hg_net_format(&net, text));
	}
}

static void put_table(FILE *f, const char *table, const struct hg_conf_list *open)
{
	fprintf(f, "add table inet %s\n", table);
	for (int v = 4; v <= 6; v += 2)
		fprintf(f,
			"add set inet %s hosts%d { type ipv%d_addr . ipv%d_addr; "
			"flags interval,timeout; counter; }\n"
			"add set inet %s ports%d { type ipv%d_addr . ipv%d_addr . inet_proto . "
			"inet_service; flags interval,timeout; counter; }\n",
			table, v, v, v, table, v, v, v);
	fprintf(f,
		"add chain inet %s forward { type filter hook forward priority -10; "
		"policy accept; }\nflush chain inet %s forward\n",
		table, table);
	put_open(f, table, open);
	for (int v = 4; v <= 6; v += 2) {
		const char *ip = v == 4 ? "ip" : "ip6";

		fprintf(f,
			"add rule inet %s forward %s saddr . %s daddr @hosts%d drop\n"
			"add rule inet %s forward %s saddr . %s daddr . meta l4proto . th dport "
			"@ports%d drop\n",
			table, ip, ip, v, table, ip, ip, v);
	}
}

int hg_nft_make(struct hg_nft *n, char *err, size_t err_size)
{
	return run(n, n->make, err, err_size);
}

int hg_nft_remove(struct hg_nft *n, char *err, size_t err_size)
{
	char commands[256];

	snprintf(commands, sizeof(commands), "add table inet %s\ndelete table inet %s\n", n->table,
		 n->table);
	return run(n, commands, err, err_size);
}

struct hg_nft *hg_nft_new(const char *table, const struct hg_conf_list *open)
{
	struct hg_nft *n = calloc(1, sizeof(*n));
	struct notes make = { 0 };
	bool failed = false;

	if (!n)
		return NULL;
	n->table = strdup(table);
	n->ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!n->table || !n->ctx || nft_ctx_buffer_output(n->ctx) || nft_ctx_buffer_error(n->ctx) ||
	    !notes_open(&make))
		goto fail;
	put_table(make.f, table, open);
	n->make = notes_take(&make, &failed);
	if (n->make && !failed)
		return n;
fail:
	hg_nft_free(n);
	return NULL;
}

void hg_nft_free(struct hg_nft *n)
{
	bool failed;

	if (!n)
		return;
	free(notes_take(&n->first, &failed));
	free(notes_take(&n->then, &failed));
	if (n->ctx)
		nft_ctx_free(n->ctx);
	free(n->table);
	free(n->make);
	free(n);
}
