// SPDX-License-Identifier: MIT
/*
 * Endpoints to channels. Drafts are made one for each kind of remote, protocol and port; names are
 * preferred to addresses, and nothing of the network that was captured in is taken literally. Then
 * the drafts are put in the order in which the guard must try them: the particular before the
 * general.
 */
#include "learn-channels.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../core/addr.h"
#include "capture-device.h"
#include "profile-text.h"

#define DRAFTS_MAX 256
#define HIGH 1024	 /* ports from here on may be anybody's */
#define HIGH_PORTS_MAX 4 /* of one kind; more are a range */
#define PREFIXES_MAX 8	 /* of one service; more are any */
#define NAMES_MAX 24	 /* of one site; more are all of it */
#define RULES_MAX 120	 /* of the guard's 128, and the sum must fit */
#define TEXT_MAX (HG_PROFILE_NAME_MAX + 1)

enum rank { RANK_ROLE, RANK_GROUP, RANK_LOCAL, RANK_NAMED, RANK_PREFIX, RANK_OTHER };

struct draft {
	char name[TEXT_MAX];
	enum rank rank;
	__u8 proto;
	bool ports_any;
	struct hg_profile_ports port; /* when not ports_any; both 0: of a protocol without ports */
	bool any;		      /* remotes became too many */
	bool silent;		      /* none of its remotes answers: groups, DHCP */
	size_t n_remotes;
	struct hg_profile_remote remotes[HG_PROFILE_REMOTES_MAX];
	struct hg_learned_channel about;
	int into; /* the draft that it was merged into; -1: none */
};

struct learner {
	struct draft drafts[DRAFTS_MAX];
	size_t n;
	/* Distinct high ports seen: to local hosts, to named, to bare addresses; by TCP or not. */
	__u16 high[3][2][HIGH_PORTS_MAX + 1];
	size_t n_high[3][2];
};

/* Those who rent out names below these are not who uses them. */
static const char *const shared[] = {
	"amazonaws.com",	 "cloudfront.net", "azure.com",	 "azurewebsites.net",
	"windows.net",		 "akamaiedge.net", "akamai.net", "aliyuncs.com",
	"googleusercontent.com", "herokuapp.com",  "fastly.net", "edgekey.net"
};

static bool ends_with(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && !strcmp(name + n - m, suffix) && name[n - m - 1] == '.';
}

static bool is_shared(const char *name)
{
	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++)
		if (!strcmp(name, shared[i]) || ends_with(name, shared[i]))
			return true;
	return false;
}

/* The last two labels, or three where the second is a registry's, as in co.uk. */
static const char *site_of(const char *name)
{
	static const char *const seconds[] = {
		"co.", "com.", "net.", "org.", "ac.", "gov.", "edu."
	};
	const char *at = name + strlen(name);
	int labels = 2;

	for (int i = 0; i < labels; i++) {
		while (at > name && at[-1] != '.')
			at--;
		if (i == 1 && strlen(name) - (size_t)(strrchr(name, '.') - name) == 3)
			for (size_t k = 0; k < sizeof(seconds) / sizeof(seconds[0]); k++)
				labels += !strncmp(at, seconds[k], strlen(seconds[k]));
		if (at == name)
			return name;
		if (i + 1 < labels)
			at--;
	}
	return at;
}

/* What is behind the first label; NULL where a wildcard would take in strangers. */
static const char *parent_of(const char *name)
{
	const char *dot = strchr(name, '.');

	if (!dot || is_shared(name) || strlen(dot + 1) < strlen(site_of(name)))
		return NULL;
	return dot + 1;
}

static enum rank rank_of(const struct hg_endpoint *x)
{
	bool dns = x->roles & HG_PEER_DNS && x->port == 53;
	bool ntp = x->roles & HG_PEER_NTP && x->port == 123;

	if (dns || ntp || (x->proto == IPPROTO_UDP && (x->port == 67 || x->port == 547)))
		return RANK_ROLE;
	if (hg_capture_is_group(&x->addr))
		return RANK_GROUP;
	if (hg_addr_is_local(&x->addr))
		return RANK_LOCAL;
	return x->name ? RANK_NAMED : RANK_PREFIX;
}

static void note_high(struct learner *l, const struct hg_endpoint *x)
{
	enum rank rank = rank_of(x);
	__u16 *ports;
	size_t *n;

	if (rank < RANK_LOCAL || rank > RANK_PREFIX || x->port < HIGH)
		return;
	ports = l->high[rank - RANK_LOCAL][x->proto != IPPROTO_TCP];
	n = &l->n_high[rank - RANK_LOCAL][x->proto != IPPROTO_TCP];
	for (size_t i = 0; i < *n; i++)
		if (ports[i] == x->port)
			return;
	if (*n <= HIGH_PORTS_MAX)
		ports[(*n)++] = x->port;
}

static bool is_range(const struct learner *l, const struct hg_endpoint *x, enum rank rank)
{
	if (rank < RANK_LOCAL || rank > RANK_PREFIX || x->port < HIGH)
		return false;
	return l->n_high[rank - RANK_LOCAL][x->proto != IPPROTO_TCP] > HIGH_PORTS_MAX;
}

static const char *role_name(const struct hg_endpoint *x)
{
	if (x->port == 53)
		return x->proto == IPPROTO_TCP ? "dns-tcp" : "dns";
	if (x->port == 123)
		return "ntp";
	return x->port == 67 ? "dhcp" : "dhcpv6";
}

static void name_draft(const struct learner *l, const struct hg_endpoint *x, enum rank rank,
		       char out[static TEXT_MAX])
{
	const char *proto = hg_proto_name(x->proto);
	char number[24], port[16] = "", tail[24] = "";

	if (rank == RANK_ROLE) {
		snprintf(out, TEXT_MAX, "%s", role_name(x));
		return;
	}
	snprintf(number, sizeof(number), "proto-%u", x->proto);
	if (is_range(l, x, rank))
		strcpy(port, "-high");
	else if (x->port)
		snprintf(port, sizeof(port), "-%u", x->port);
	if (rank == RANK_GROUP)
		strcpy(tail, "-group");
	else if (rank == RANK_LOCAL)
		strcpy(tail, "-local");
	else if (rank == RANK_NAMED)
		snprintf(tail, sizeof(tail), "-%.17s", site_of(x->name));
	snprintf(out, TEXT_MAX, "%.8s%.6s%.18s", proto ? proto : number, port, tail);
}

static struct draft *draft_of(struct learner *l, const struct hg_endpoint *x)
{
	enum rank rank = rank_of(x);
	char name[TEXT_MAX];
	struct draft *d;

	name_draft(l, x, rank, name);
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->drafts[i].name, name))
			return &l->drafts[i];
	if (l->n == DRAFTS_MAX)
		return NULL;
	d = &l->drafts[l->n++];
	strcpy(d->name, name);
	d->rank = rank;
	d->proto = x->proto;
	d->port = (struct hg_profile_ports){ x->port, x->port };
	if (is_range(l, x, rank))
		d->port = (struct hg_profile_ports){ HIGH, 65535 };
	d->silent = rank == RANK_GROUP || !strncmp(name, "dhcp", 4);
	d->into = -1;
	return d;
}

static bool same_remote(const struct hg_profile_remote *a, const struct hg_profile_remote *b)
{
	return a->kind == b->kind && a->role == b->role && a->prefix_len == b->prefix_len &&
	       hg_addr_equal(&a->addr, &b->addr) && !strcmp(a->host, b->host);
}

static void add_remote(struct draft *d, const struct hg_profile_remote *r)
{
	for (size_t i = 0; i < d->n_remotes; i++)
		if (same_remote(&d->remotes[i], r))
			return;
	if (r->kind == HG_REMOTE_ANY || d->n_remotes == HG_PROFILE_REMOTES_MAX)
		d->any = true;
	else
		d->remotes[d->n_remotes++] = *r;
}

static void add_prefix(struct draft *d, const struct hg_addr *addr)
{
	struct hg_profile_remote r = { .addr = *addr, .kind = HG_REMOTE_PREFIX, .prefix_len = 128 };

	add_remote(d, &r);
}

static void add_name(struct draft *d, const char *name)
{
	struct hg_profile_remote r = { .kind = HG_REMOTE_NAME };

	snprintf(r.host, sizeof(r.host), "%s", name);
	add_remote(d, &r);
}

static void add_roles(struct draft *d, const struct hg_endpoint *x)
{
	struct hg_profile_remote r = { .kind = HG_REMOTE_PEER, .role = HG_PEER_DNS };

	if (x->port == 123)
		r.role = HG_PEER_NTP;
	else if (x->port != 53)
		r.role = HG_PEER_DHCP;
	add_remote(d, &r);
	if (r.role != HG_PEER_DHCP)
		return;
	r = (struct hg_profile_remote){ .kind = HG_REMOTE_LOCAL };
	add_remote(d, &r);
}

static void add_endpoint(struct draft *d, const struct hg_endpoint *x)
{
	struct hg_profile_remote local = { .kind = HG_REMOTE_LOCAL };
	struct hg_learned_channel *a = &d->about;

	switch (d->rank) {
	case RANK_ROLE:
		add_roles(d, x);
		break;
	case RANK_LOCAL:
		add_remote(d, &local);
		break;
	case RANK_NAMED:
		add_name(d, x->name);
		if (!x->named_only)
			add_prefix(d, &x->addr);
		break;
	default:
		/* Where the ports are anybody's, so are the addresses: peers, not servers. */
		if (d->rank == RANK_PREFIX && d->port.min != d->port.max)
			d->any = true;
		add_prefix(d, &x->addr);
	}
	a->flows += x->flows;
	a->answered += x->answered;
	a->packets += x->packets;
	a->bytes += x->bytes;
	a->endpoints++;
	a->hours = x->hours > a->hours ? x->hours : a->hours;
	a->days = x->days > a->days ? x->days : a->days;
}

static void drop_remote(struct draft *d, size_t i)
{
	memmove(&d->remotes[i], &d->remotes[i + 1], (--d->n_remotes - i) * sizeof(d->remotes[0]));
}

/* Names that differ in their first label only become one pattern. */
static void join_names(struct draft *d)
{
	for (size_t i = 0; i < d->n_remotes; i++) {
		struct hg_profile_remote *r = &d->remotes[i], all = { .kind = HG_REMOTE_NAME };
		const char *parent = r->kind == HG_REMOTE_NAME ? parent_of(r->host) : NULL;
		bool joined = false;

		if (!parent || r->host[0] == '*')
			continue;
		snprintf(all.host, sizeof(all.host), "*.%.*s", HG_PROFILE_HOST_MAX - 2, parent);
		for (size_t k = d->n_remotes; k-- > i + 1;) {
			const struct hg_profile_remote *o = &d->remotes[k];
			const char *other = o->kind == HG_REMOTE_NAME ? strchr(o->host, '.') : NULL;

			if (!other || strcmp(other, all.host + 1))
				continue;
			joined = true;
			drop_remote(d, k);
		}
		if (joined)
			*r = all;
	}
}

/* Addresses that have a network in common become that, and too many networks become any. */
static void join_prefixes(struct draft *d, bool keep)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_remotes; i++) {
		struct hg_profile_remote *r = &d->remotes[i];
		__u32 length = hg_addr_is_ipv4(&r->addr) ? 120 : 64;

		if (r->kind != HG_REMOTE_PREFIX || r->prefix_len != 128)
			continue;
		for (size_t k = d->n_remotes; k-- > i + 1;) {
			if (d->remotes[k].kind != HG_REMOTE_PREFIX ||
			    !hg_addr_in_prefix(&d->remotes[k].addr, &r->addr, length))
				continue;
			r->prefix_len = (uint8_t)length;
			drop_remote(d, k);
		}
		for (__u32 bit = r->prefix_len; bit < 128; bit++)
			((__u8 *)r->addr.a)[bit / 8] &= (__u8) ~(0x80 >> bit % 8);
	}
	for (size_t i = 0; i < d->n_remotes; i++)
		n += d->remotes[i].kind == HG_REMOTE_PREFIX;
	if (n <= PREFIXES_MAX)
		return;
	d->any = d->any || !keep;
	for (size_t i = d->n_remotes; keep && i--;)
		if (d->remotes[i].kind == HG_REMOTE_PREFIX)
			drop_remote(d, i);
}

static void join_remotes(struct draft *d)
{
	struct hg_profile_remote all = { .kind = HG_REMOTE_NAME };
	size_t names = 0;

	if (d->rank == RANK_GROUP)
		return;
	join_names(d);
	for (size_t i = 0; i < d->n_remotes; i++)
		names += d->remotes[i].kind == HG_REMOTE_NAME;
	/* With names, bare addresses are what an answer of before the capture led to. */
	join_prefixes(d, names > 0);
	if (names <= NAMES_MAX || d->rank != RANK_NAMED)
		return;
	for (size_t i = 0; i < d->n_remotes; i++)
		if (d->remotes[i].kind == HG_REMOTE_NAME)
			snprintf(all.host, sizeof(all.host), "*.%.*s", HG_PROFILE_HOST_MAX - 2,
				 site_of(d->remotes[i].host));
	d->n_remotes = 0;
	add_remote(d, &all);
}

static size_t rules_of(const struct draft *d)
{
	size_t n = 0;
	bool named = false;

	if (d->any)
		return 1;
	for (size_t i = 0; i < d->n_remotes; i++) {
		n += d->remotes[i].kind != HG_REMOTE_NAME;
		named = named || d->remotes[i].kind == HG_REMOTE_NAME;
	}
	return n + named;
}

/* The rest of a protocol: where rare channels go that there is no room for. */
static struct draft *rest_of(struct learner *l, const struct draft *d)
{
	bool local = d->rank == RANK_GROUP || d->rank == RANK_LOCAL;
	struct hg_profile_remote r = { .kind = local ? HG_REMOTE_LOCAL : HG_REMOTE_ANY };
	const char *proto = hg_proto_name(d->proto);
	char name[TEXT_MAX];
	struct draft *rest;

	snprintf(name, sizeof(name), "%.8s-other%s", proto ? proto : "proto",
		 local ? "-local" : "");
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->drafts[i].name, name) && l->drafts[i].proto == d->proto)
			return &l->drafts[i];
	if (l->n == DRAFTS_MAX)
		return NULL;
	rest = &l->drafts[l->n++];
	*rest = (struct draft){ .rank = RANK_OTHER, .proto = d->proto, .into = -1 };
	strcpy(rest->name, name);
	rest->port = d->port;
	rest->ports_any = true;
	add_remote(rest, &r);
	return rest;
}

static void merge(struct learner *l, struct draft *d)
{
	struct draft *rest = rest_of(l, d);

	if (!rest)
		return;
	d->into = (int)(rest - l->drafts);
	rest->about.flows += d->about.flows;
	rest->about.answered += d->about.answered;
	rest->about.packets += d->about.packets;
	rest->about.bytes += d->about.bytes;
	rest->about.endpoints += d->about.endpoints;
	if (d->about.hours > rest->about.hours)
		rest->about.hours = d->about.hours;
	if (d->about.days > rest->about.days)
		rest->about.days = d->about.days;
}

/* Merges the rarest until all fits. */
static unsigned int make_room(struct learner *l)
{
	unsigned int merged = 0;

	for (;;) {
		size_t channels = 0, rules = 0, remotes = 0;
		struct draft *rarest = NULL;

		for (size_t i = 0; i < l->n; i++) {
			struct draft *d = &l->drafts[i];

			if (d->into >= 0)
				continue;
			channels++;
			rules += rules_of(d);
			remotes += d->any ? 1 : d->n_remotes;
			if (d->rank != RANK_OTHER && d->rank != RANK_ROLE &&
			    (!rarest || d->about.flows < rarest->about.flows))
				rarest = d;
		}
		if (!rarest || (channels <= HG_PROFILE_CHANNELS_MAX && rules <= RULES_MAX &&
				remotes <= HG_PROFILE_REMOTES_ALL))
			return merged;
		merge(l, rarest);
		if (rarest->into < 0)
			return merged;
		merged++;
	}
}

static int write_channel(struct hg_profile *p, const struct draft *d)
{
	struct hg_profile_channel *ch = hg_profile_add_channel(p, d->name);
	struct hg_profile_remote *r;

	if (!ch)
		return -1;
	ch->proto = d->proto;
	/* Where hardly anybody answers (peers behind routers), that says nothing. */
	ch->no_answers = d->silent || d->about.answered * 4 < d->about.flows;
	if (!d->ports_any && d->port.min)
		hg_profile_add_ports(p, d->port.min, d->port.max);
	for (size_t i = 0; !d->any && i < d->n_remotes; i++) {
		r = hg_profile_add_remote(p);
		if (r)
			*r = d->remotes[i];
	}
	if (d->any) {
		r = hg_profile_add_remote(p);
		if (r)
			*r = (struct hg_profile_remote){ .kind = HG_REMOTE_ANY };
	}
	return (int)p->n_channels - 1;
}

/* In order of rank; `any` after what is not, within a rank by flows. */
static int by_rank(const void *a, const void *b)
{
	const struct draft *x = *(struct draft *const *)a, *y = *(struct draft *const *)b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	if (x->any != y->any)
		return x->any ? 1 : -1;
	if (x->about.flows != y->about.flows)
		return x->about.flows > y->about.flows ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void write_channels(struct learner *l, struct hg_profile *p,
			   struct hg_learned_channel *about, int *channel_of)
{
	struct draft *order[DRAFTS_MAX] = { NULL };
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (l->drafts[i].into < 0)
			order[n++] = &l->drafts[i];
	qsort(order, n, sizeof(*order), by_rank);
	for (size_t i = 0; i < n; i++) {
		int at = write_channel(p, order[i]);

		channel_of[order[i] - l->drafts] = at;
		if (at >= 0)
			about[at] = order[i]->about;
	}
	for (size_t i = 0; i < l->n; i++)
		if (l->drafts[i].into >= 0)
			channel_of[i] = channel_of[l->drafts[i].into];
}

int hg_channels_learn(struct hg_endpoints *e, struct hg_profile *p,
		      struct hg_learned_channel about[static HG_PROFILE_CHANNELS_MAX],
		      unsigned int *merged)
{
	struct hg_endpoint **list = hg_endpoints_sorted(e);
	struct learner *l = calloc(1, sizeof(*l));
	int channel_of[DRAFTS_MAX];

	if (!list || !l) {
		free(list);
		free(l);
		return -ENOMEM;
	}
	memset(channel_of, 0xff, sizeof(channel_of));
	for (size_t i = 0; i < e->n; i++)
		note_high(l, list[i]);
	for (size_t i = 0; i < e->n; i++) {
		struct draft *d = draft_of(l, list[i]);

		list[i]->channel = d ? (int)(d - l->drafts) : -1;
		if (d)
			add_endpoint(d, list[i]);
	}
	for (size_t i = 0; i < l->n; i++)
		join_remotes(&l->drafts[i]);
	*merged = make_room(l);
	write_channels(l, p, about, channel_of);
	for (size_t i = 0; i < e->n; i++)
		if (list[i]->channel >= 0)
			list[i]->channel = channel_of[list[i]->channel];
	free(list);
	free(l);
	return 0;
}
