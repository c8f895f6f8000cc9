// SPDX-License-Identifier: MIT
/*
 * Block: `wanted` are decisions, `running` are the elements the kernel has, as far as we know; both
 * are kept sorted, and apply() walks them side by side. Elements of one set may not overlap, so of
 * nested decisions of one line the widest stands for all. Each element has its decision's
 * end as its timeout: if the collector dies, blocks end all the same.
 *
 * Traffic to open addresses (the mirror above all) is accepted before the sets are looked at.
 */
#include "block.h"

#include <errno.h>
#include <jansson.h>
#include <nftables/libnftables.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two readings of one end may differ by this much, as seconds are rounded on the way. */
#define SLACK_S 2

struct element {
	struct hg_net line, target;
	uint8_t proto;
	uint16_t port;
	uint64_t until_s;
	uint64_t packets;
	uint64_t id;	/* of a wanted decision */
	size_t cover;	/* of a wanted decision: index of its element in `next` */
	uint64_t fresh; /* of an element: packets since the last reading */
};

struct list {
	struct element *e;
	size_t n, room;
};

struct hg_block {
	struct nft_ctx *nft;
	char *table;
	char *make;    /* commands that make the table, or what is missing of it */
	bool sorted;   /* wanted is */
	bool doubtful; /* running may differ from the kernel: rebuild */
	struct list wanted, running;
};

struct text {
	char *s;
	size_t len, room;
	bool failed;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	for (;;) {
		size_t left = t->room - t->len;

		va_start(ap, fmt);
		n = t->s ? vsnprintf(t->s + t->len, left, fmt, ap) : 256;
		va_end(ap);
		if (t->s && n >= 0 && (size_t)n < left)
			break;
		left = (t->room + (size_t)n) * 2;
		char *s = n < 0 || t->failed ? NULL : realloc(t->s, left);

		if (!s) {
			t->failed = true;
			return;
		}
		t->s = s;
		t->room = left;
	}
	t->len += (size_t)n;
}

/* One transaction. What nft printed is in its output buffer afterwards. */
static int run(struct nft_ctx *nft, const char *commands, char *err, size_t err_size)
{
	const char *why;

	if (!nft_run_cmd_from_buffer(nft, commands)) {
		nft_ctx_get_error_buffer(nft); /* reading it empties it */
		return 0;
	}
	why = nft_ctx_get_error_buffer(nft);
	snprintf(err, err_size, "nftables: %.*s", (int)strcspn(why, "\n"), why);
	return -EIO;
}

static int run_text(struct hg_block *b, struct text *t, char *err, size_t err_size)
{
	int ret = -EIO;

	if (t->failed)
		snprintf(err, err_size, "nftables: out of memory");
	else
		ret = t->len ? run(b->nft, t->s, err, err_size) : 0;
	free(t->s);
	return ret;
}

static const char *set_of(const struct element *e)
{
	if (e->port)
		return e->line.family == 4 ? "ports4" : "ports6";
	return e->line.family == 4 ? "hosts4" : "hosts6";
}

static void add_key(struct text *t, const char *verb, const char *table, const struct element *e)
{
	char line[HG_NET_STRLEN], target[HG_NET_STRLEN];

	add(t, "%s element inet %s %s { %s . %s", verb, table, set_of(e),
	    hg_net_format(&e->line, line), hg_net_format(&e->target, target));
	if (e->port)
		add(t, " . %u . %u", e->proto, e->port);
}

static void add_element(struct text *t, const char *table, const struct element *e, uint64_t now_s)
{
	add_key(t, "add", table, e);
	add(t, " timeout %llus }\n",
	    (unsigned long long)(e->until_s > now_s ? e->until_s - now_s : 1));
}

static void add_delete(struct text *t, const char *table, const struct element *e)
{
	add_key(t, "delete", table, e);
	add(t, " }\n");
}

/* Order by set, then line, then target with a network before what it covers. */
static int compare(const void *a, const void *b)
{
	const struct element *x = a, *y = b;
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

static bool covers(const struct element *x, const struct element *y)
{
	return x->port == y->port && x->proto == y->proto &&
	       !memcmp(&x->line, &y->line, sizeof(x->line)) &&
	       hg_net_covers(&x->target, &y->target);
}

static struct element *push(struct list *l, const struct element *e)
{
	if (l->n == l->room) {
		size_t room = l->room ? l->room * 2 : 64;
		struct element *more = realloc(l->e, room * sizeof(*more));

		if (!more)
			return NULL;
		l->e = more;
		l->room = room;
	}
	l->e[l->n] = *e;
	return &l->e[l->n++];
}

static struct element *wanted_find(struct hg_block *b, uint64_t id)
{
	for (size_t i = 0; i < b->wanted.n; i++)
		if (b->wanted.e[i].id == id)
			return &b->wanted.e[i];
	return NULL;
}

int hg_block_want(struct hg_block *b, const struct hg_block_decision *d)
{
	struct element e = { .line = d->line,
			     .target = d->target,
			     .proto = d->port ? d->proto : 0,
			     .port = d->port,
			     .until_s = d->until_s,
			     .id = d->id };
	struct element *old = wanted_find(b, d->id);

	if (d->line.family != d->target.family)
		return 0;
	b->sorted = false;
	if (old)
		*old = e;
	else if (!push(&b->wanted, &e))
		return -ENOMEM;
	return 0;
}

void hg_block_unwant(struct hg_block *b, uint64_t id)
{
	struct element *e = wanted_find(b, id);

	if (!e)
		return;
	*e = b->wanted.e[--b->wanted.n];
	b->sorted = false;
}

void hg_block_unwant_all(struct hg_block *b)
{
	b->wanted.n = 0;
}

/* The elements that stand for what is wanted, in order; each decision learns which is its own. */
static int elements_of(struct hg_block *b, struct list *out)
{
	if (!b->sorted && b->wanted.n)
		qsort(b->wanted.e, b->wanted.n, sizeof(b->wanted.e[0]), compare);
	b->sorted = true;
	for (size_t i = 0; i < b->wanted.n; i++) {
		struct element *d = &b->wanted.e[i], *last = out->n ? &out->e[out->n - 1] : NULL;

		if (!last || !covers(last, d)) {
			last = push(out, d);
			if (!last)
				return -ENOMEM;
			last->packets = last->fresh = 0;
		} else if (d->until_s > last->until_s && !compare(last, d)) {
			last->until_s = d->until_s;
		}
		d->cover = out->n - 1;
	}
	return 0;
}

static bool same_end(uint64_t a, uint64_t b)
{
	return a > b ? a - b <= SLACK_S : b - a <= SLACK_S;
}

/* Writes the commands that turn `running` into `next`; what stays keeps its counter. */
static void difference(const struct hg_block *b, struct list *next, uint64_t now_s, struct text *t)
{
	struct text adds = { 0 };
	size_t i = 0, k = 0;

	while (i < b->running.n || k < next->n) {
		const struct element *old = i < b->running.n ? &b->running.e[i] : NULL;
		struct element *new = k < next->n ? &next->e[k] : NULL;
		int c = !old ? 1 : !new ? -1 : compare(old, new);

		if (!c && same_end(old->until_s, new->until_s)) {
			new->packets = old->packets;
			new->until_s = old->until_s;
			i++, k++;
			continue;
		}
		if (c <= 0) {
			add_delete(t, b->table, old);
			i++;
		}
		if (c >= 0) {
			add_element(&adds, b->table, new, now_s);
			k++;
		}
	}
	if (adds.len)
		add(t, "%s", adds.s);
	t->failed |= adds.failed;
	free(adds.s);
}

/* An element whose time is over has gone by itself, or is about to. */
static void drop_ended(struct list *l, uint64_t now_s)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (l->e[i].until_s > now_s + 1)
			l->e[n++] = l->e[i];
	l->n = n;
}

static void add_flush(struct text *t, const char *table)
{
	static const char *const sets[] = { "hosts4", "hosts6", "ports4", "ports6" };

	for (size_t i = 0; i < 4; i++)
		add(t, "flush set inet %s %s\n", table, sets[i]);
}

/* Empties the sets and fills them anew in one transaction: no packet sees them empty. */
static int rebuild(struct hg_block *b, struct list *next, uint64_t now_s, char *err,
		   size_t err_size)
{
	struct text t = { 0 };
	char first[256];
	size_t n = 0;

	add_flush(&t, b->table);
	for (size_t i = 0; i < next->n; i++) {
		next->e[i].packets = 0;
		add_element(&t, b->table, &next->e[i], now_s);
	}
	if (!run_text(b, &t, err, err_size))
		return 0;
	/* One of them is at fault: each by itself, so that the others stand. */
	memset(&t, 0, sizeof(t));
	add_flush(&t, b->table);
	run_text(b, &t, first, sizeof(first));
	for (size_t i = 0; i < next->n; i++) {
		memset(&t, 0, sizeof(t));
		add_element(&t, b->table, &next->e[i], now_s);
		if (!run_text(b, &t, first, sizeof(first)))
			next->e[n++] = next->e[i];
	}
	next->n = n;
	return -EIO;
}

int hg_block_apply(struct hg_block *b, uint64_t now_s, char *err, size_t err_size)
{
	struct list next = { 0 };
	struct text t = { 0 };
	int ret = -EIO;

	drop_ended(&b->wanted, now_s);
	drop_ended(&b->running, now_s);
	b->sorted = false;
	if (elements_of(b, &next)) {
		snprintf(err, err_size, "nftables: out of memory");
		free(next.e);
		return -EIO;
	}
	if (!b->doubtful) {
		difference(b, &next, now_s, &t);
		ret = run_text(b, &t, err, err_size);
	}
	if (ret && !run(b->nft, b->make, err, err_size))
		ret = rebuild(b, &next, now_s, err, err_size);
	b->doubtful = ret != 0;
	free(b->running.e);
	b->running = next;
	return ret;
}

size_t hg_block_count(const struct hg_block *b)
{
	return b->running.n;
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

static int read_element(const json_t *v, uint64_t now_s, struct element *out)
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

static int read_sets(const json_t *root, uint64_t now_s, struct list *out)
{
	json_t *item, *v;
	size_t i, k;

	json_array_foreach (json_object_get(root, "nftables"), i, item) {
		json_t *set = json_object_get(item, "set");
		const char *name = json_string_value(json_object_get(set, "name"));

		if (!name || (strncmp(name, "hosts", 5) && strncmp(name, "ports", 5)))
			continue;
		json_array_foreach (json_object_get(set, "elem"), k, v) {
			struct element e;

			if (read_element(v, now_s, &e) || !push(out, &e))
				return -EIO;
		}
	}
	if (out->n)
		qsort(out->e, out->n, sizeof(out->e[0]), compare);
	return 0;
}

/* What the kernel has. */
static int read_running(struct hg_block *b, uint64_t now_s, struct list *out, char *err,
			size_t err_size)
{
	char command[128];
	json_t *root;
	int ret;

	snprintf(command, sizeof(command), "list table inet %s", b->table);
	nft_ctx_output_set_flags(b->nft, NFT_CTX_OUTPUT_JSON | NFT_CTX_OUTPUT_NUMERIC_PROTO);
	ret = run(b->nft, command, err, err_size);
	nft_ctx_output_set_flags(b->nft, 0);
	if (ret) {
		nft_ctx_get_output_buffer(b->nft);
		return ret;
	}
	root = json_loads(nft_ctx_get_output_buffer(b->nft), 0, NULL);
	ret = root ? read_sets(root, now_s, out) : -EIO;
	json_decref(root);
	if (ret) {
		snprintf(err, err_size, "nftables: table %s holds what is not ours", b->table);
		free(out->e);
		memset(out, 0, sizeof(*out));
	}
	return ret;
}

int hg_block_hits(struct hg_block *b, uint64_t now_s,
		  void (*each)(void *ctx, uint64_t id, uint64_t packets), void *ctx, char *err,
		  size_t err_size)
{
	struct list now = { 0 };
	size_t i = 0;
	int ret;

	ret = read_running(b, now_s, &now, err, err_size);
	if (ret) {
		b->doubtful = true;
		return ret;
	}
	ret = now.n > b->running.n;
	for (size_t k = 0; k < b->running.n; k++) {
		struct element *e = &b->running.e[k];

		while (i < now.n && compare(&now.e[i], e) < 0)
			i++;
		e->fresh = 0;
		if (i < now.n && !compare(&now.e[i], e)) {
			e->fresh = now.e[i].packets - e->packets;
			e->packets = now.e[i].packets;
		} else if (e->until_s > now_s + SLACK_S) {
			ret = 1;
		}
	}
	for (size_t k = 0; b->sorted && k < b->wanted.n; k++) {
		const struct element *d = &b->wanted.e[k];

		if (d->cover < b->running.n && b->running.e[d->cover].fresh &&
		    covers(&b->running.e[d->cover], d))
			each(ctx, d->id, b->running.e[d->cover].fresh);
	}
	free(now.e);
	b->doubtful |= ret;
	return ret;
}

static void add_open(struct text *t, const char *table, const struct hg_conf_list *open)
{
	char text[HG_NET_STRLEN];
	struct hg_net net;

	for (size_t i = 0; i < open->count; i++) {
		if (hg_net_parse(open->items[i], &net))
			continue;
		add(t, "add rule inet %s forward %s daddr %s accept\n", table,
		    net.family == 4 ? "ip" : "ip6", hg_net_format(&net, text));
	}
}

/* Repeatable: sets and their elements stay, the rules are written anew, in one transaction. */
static char *make_commands(const char *table, const struct hg_conf_list *open)
{
	struct text t = { 0 };

	add(&t, "add table inet %s\n", table);
	for (int f = 4; f <= 6; f += 2) {
		add(&t,
		    "add set inet %s hosts%d { type ipv%d_addr . ipv%d_addr; "
		    "flags interval,timeout; counter; }\n",
		    table, f, f, f);
		add(&t,
		    "add set inet %s ports%d { type ipv%d_addr . ipv%d_addr . inet_proto . "
		    "inet_service; flags interval,timeout; counter; }\n",
		    table, f, f, f);
	}
	add(&t,
	    "add chain inet %s forward { type filter hook forward priority -10; policy accept; }\n"
	    "flush chain inet %s forward\n",
	    table, table);
	add_open(&t, table, open);
	for (int f = 4; f <= 6; f += 2) {
		const char *ip = f == 4 ? "ip" : "ip6";

		add(&t, "add rule inet %s forward %s saddr . %s daddr @hosts%d drop\n", table, ip,
		    ip, f);
		add(&t,
		    "add rule inet %s forward %s saddr . %s daddr . meta l4proto . th dport "
		    "@ports%d drop\n",
		    table, ip, ip, f);
	}
	if (t.failed) {
		free(t.s);
		return NULL;
	}
	return t.s;
}

static struct nft_ctx *context_new(void)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);

	if (nft && (nft_ctx_buffer_output(nft) || nft_ctx_buffer_error(nft))) {
		nft_ctx_free(nft);
		nft = NULL;
	}
	return nft;
}

struct hg_block *hg_block_new(const char *table, const struct hg_conf_list *open, uint64_t now_s,
			      char *err, size_t err_size)
{
	struct hg_block *b = calloc(1, sizeof(*b));

	if (!b)
		goto no_memory;
	b->table = strdup(table);
	b->nft = context_new();
	b->make = make_commands(table, open);
	if (!b->table || !b->nft || !b->make)
		goto no_memory;
	if (run(b->nft, b->make, err, err_size) ||
	    read_running(b, now_s, &b->running, err, err_size)) {
		hg_block_free(b);
		return NULL;
	}
	return b;
no_memory:
	snprintf(err, err_size, "nftables: out of memory");
	hg_block_free(b);
	return NULL;
}

void hg_block_free(struct hg_block *b)
{
	if (!b)
		return;
	if (b->nft)
		nft_ctx_free(b->nft);
	free(b->table);
	free(b->make);
	free(b->wanted.e);
	free(b->running.e);
	free(b);
}

int hg_block_remove(const char *table, char *err, size_t err_size)
{
	struct nft_ctx *nft = context_new();
	char commands[256];
	int ret;

	if (!nft) {
		snprintf(err, err_size, "nftables: out of memory");
		return -EIO;
	}
	/* `add` first: deleting what is not there would be an error. */
	snprintf(commands, sizeof(commands), "add table inet %s\ndelete table inet %s\n", table,
		 table);
	ret = run(nft, commands, err, err_size);
	nft_ctx_free(nft);
	return ret;
}
