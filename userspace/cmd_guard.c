// SPDX-License-Identifier: MIT
/*
 * `heliograph guard on|off|status|policy|confine|police|gate|flows|names|events|probe`: the guard
 * without the agent. It works on what is pinned in the kernel, so it sees and changes the same
 * guard as an agent that runs.
 */
#include "cmd_guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <jansson.h>
#include "../lib/args.h"
#include "cmd_events.h"
#include "cmd_probe.h"
#include "cmd_seal.h"
#include "guard-conf.h"
#include "guard-host.h"
#include "guard-profile.h"
#include "profile-sign.h"
#include "seal.h"

/* Set when a guard is opened; a process opens one at most. */
static const struct hg_guard_ops *host;
static const char *const tables[3] = { "kept", "inside", "outside" };
static const char *const states[] = { "opening", "established", "closing" };

static int failed(int ret, const char *what, const char *err)
{
	fprintf(stderr, "heliograph: guard %s: %s\n", what, *err ? err : strerror(-ret));
	return ret == -EPERM || ret == -EACCES ? HG_EXIT_DENIED : HG_EXIT_FAILED;
}

/* Of what works on a guard that is there: -ENOENT is that there is none. */
static int failed_on_pinned(int ret, const char *what, const char *err)
{
	int status = failed(ret, what, err);

	return ret == -ENOENT ? HG_EXIT_UNAVAILABLE : status;
}

static int open_guard(const struct hg_agent_conf *conf, struct hg_guard **g, char *err,
		      size_t err_size)
{
	return hg_guard_open(conf->guard.host, conf->guard.pin_dir, &host, g, err, err_size);
}

static void close_guard(struct hg_guard *g)
{
	if (g)
		host->close(g);
}

static int usage(const char *what)
{
	fprintf(stderr, "heliograph: usage: heliograph guard %s\n", what);
	return HG_EXIT_USAGE;
}

/* The interfaces of the command line stand for those of the file. */
static int take_interfaces(struct hg_guard_options *o, const struct hg_agent_conf *conf, int argc,
			   char **argv)
{
	if (argc < 2)
		return 0;
	if (argc - 1 > HG_GUARD_INTERFACES_MAX)
		return -E2BIG;
	o->n_interfaces = 0;
	for (int i = 1; i < argc; i++) {
		struct hg_guard_interface *g = &o->interfaces[o->n_interfaces++];

		if (strlen(argv[i]) >= sizeof(g->name))
			return -ENAMETOOLONG;
		*g = (struct hg_guard_interface){ .wanted = conf->guard.mode };
		strcpy(g->name, argv[i]);
	}
	return 0;
}

/*
 * The profile as the guard takes it; NULL if there is none, or none that is good: that is said, and
 * is no reason to leave the device open.
 */
static struct hg_compiled *compiled(struct hg_guard *g, const struct hg_agent_conf *conf)
{
	struct hg_profile *p = calloc(1, sizeof(*p));
	struct hg_compiled *c = calloc(1, sizeof(*c));
	char err[512] = "";
	int ret = p && c ? 0 : -ENOMEM;

	if (!ret)
		ret = hg_profile_accept(conf->profile.file, conf->profile.maker, p, err,
					sizeof(err));
	if (!ret)
		ret = hg_guard_compile(host, g, p, c);
	free(p);
	if (!ret)
		return c;
	fprintf(stderr, "heliograph: guard on: profile: %s; traffic is not scored\n",
		*err ? err : strerror(-ret));
	free(c);
	return NULL;
}

static int set_profile(struct hg_guard *g, const struct hg_agent_conf *conf)
{
	struct hg_peer peers[HG_PEERS_MAX];
	struct hg_compiled *c = NULL;
	struct hg_guard_config config;
	int ret = host->get_config(g, &config);

	/* Of a guard that runs the agent has set them, and knows addresses behind names, too. */
	if (ret || config.generation)
		return ret;
	if (conf->profile.file)
		c = compiled(g, conf);
	ret = host->set_profile(g, peers, hg_guard_peers_conf(peers, conf, "/etc/resolv.conf"),
				c ? c->rules : NULL, c ? c->n_rules : 0, c ? c->bounds : NULL);
	free(c);
	return ret;
}

static int guard_on(void *ctx, int argc, char **argv)
{
	const struct hg_agent_conf *conf = ctx;
	struct hg_guard_options o;
	struct hg_guard_pick pick = { 0 };
	struct hg_guard *g = NULL;
	char err[512] = "";
	bool ended = false;
	int ret = hg_guard_options_conf(&o, conf, err, sizeof(err));

	if (!ret)
		ret = take_interfaces(&o, conf, argc, argv);
	if (!ret && !o.n_interfaces) {
		fprintf(stderr,
			"heliograph: guard on: no interface; name them in [guard] interface "
			"or on the command line\n");
		return HG_EXIT_CONFIG;
	}
	if (!ret)
		ret = hg_guard_attach(&o, &pick, &g, err, sizeof(err));
	if (!ret) {
		host = pick.ops;
		ret = set_profile(g, conf);
		ended = ret == -ENOENT;
	}
	close_guard(g);
	if (ended)
		return failed_on_pinned(ret, "on",
					"another process ended it at once; turn it on again");
	if (ret)
		return failed(ret, "on", err);
	printf("host %s: %s\n", host->name, pick.why);
	for (size_t i = 0; i < o.n_interfaces; i++)
		printf("%s: %s, %s\n", o.interfaces[i].name, hg_policy_name(o.config.policy),
		       hg_guard_mode_name(o.interfaces[i].got));
	return HG_EXIT_OK;
}

/*
 * Operands and --seal of a command that changes a guard. 0, or the exit status after saying what is
 * wrong; seal->counter stays 0 if none was given.
 */
static int take_seal(int argc, char **argv, int operands, struct hg_seal *seal)
{
	const char *file = NULL;
	struct hg_arg args[] = { { .name = "seal", .values = &file, .max = 1 }, { 0 } };
	char err[512] = "";
	int ret;

	*seal = (struct hg_seal){ 0 };
	if (hg_args_take("heliograph", argc, argv, operands, operands, args) < 0)
		return HG_EXIT_USAGE;
	ret = file ? hg_seal_read(file, seal, err, sizeof(err)) : 0;
	return ret ? failed(ret, argv[0], err) : 0;
}

/* The guard that runs, ready for a change under the seal. */
static int open_sealed(const struct hg_agent_conf *conf, const struct hg_seal *seal,
		       struct hg_guard **g, char *err, size_t err_size)
{
	int ret = open_guard(conf, g, err, err_size);

	if (!ret && seal->counter && host->seal)
		host->seal(*g, seal);
	return ret;
}

static int changed(struct hg_guard *g, int ret, const char *what, char *err, size_t err_size)
{
	if (ret && g && host->said)
		snprintf(err, err_size, "%s", host->said(g));
	close_guard(g);
	return ret ? failed_on_pinned(ret, what, err) : HG_EXIT_OK;
}

static int guard_off(void *ctx, int argc, char **argv)
{
	const struct hg_agent_conf *conf = ctx;
	struct hg_seal seal;
	char err[512] = "";
	int ret = take_seal(argc, argv, 0, &seal);

	if (ret)
		return ret;
	ret = hg_guard_detach(conf->guard.host, conf->guard.pin_dir, seal.counter ? &seal : NULL,
			      err, sizeof(err));
	return ret ? failed_on_pinned(ret, "off", err) : HG_EXIT_OK;
}

struct status {
	struct hg_guard_interface interfaces[HG_GUARD_INTERFACES_MAX];
	size_t n_interfaces;
	struct hg_guard_config config;
	__u64 counters[HG_REASON_MAX];
	size_t counts[3], sizes[3];
	enum hg_guard_clock clock;
	struct hg_guard_keeping keeping; /* of hosts that keep more */
};

static int status_read(const struct hg_agent_conf *conf, struct status *s, char *err,
		       size_t err_size)
{
	struct hg_guard *g = NULL;
	int ret = open_guard(conf, &g, err, err_size);

	if (ret)
		return ret;
	ret = host->interfaces(g, s->interfaces, &s->n_interfaces);
	if (!ret)
		ret = host->get_config(g, &s->config);
	if (!ret)
		ret = host->counters(g, s->counters);
	if (!ret)
		ret = host->flow_counts(g, s->counts);
	if (!ret)
		ret = host->flow_sizes(g, s->sizes);
	if (!ret)
		s->clock = host->clock(g);
	s->keeping.heartbeat_left = -1;
	if (!ret && host->keeping)
		ret = host->keeping(g, &s->keeping);
	host->close(g);
	return ret;
}

static const char *interface_state(const struct hg_guard_interface *i)
{
	if (!i->ifindex)
		return "gone";
	return i->got == HG_GUARD_AUTO ? "taken away" : hg_guard_mode_name(i->got);
}

static bool is_drop(unsigned int reason)
{
	return reason >= HG_DROP_NO_FLOW;
}

static void counters_print(const struct status *s, bool drops)
{
	printf("%s", drops ? "dropped " : "passed  ");
	for (unsigned int r = 0; r < HG_REASON_MAX; r++)
		if (is_drop(r) == drops && s->counters[r])
			printf(" %s %llu", hg_reason_name(r), (unsigned long long)s->counters[r]);
	putchar('\n');
}

static void keeping_print(const struct hg_guard_keeping *k)
{
	if (!host->keeping)
		return;
	printf("locked   %s\n", k->locked ? "yes" : "no");
	if (k->heartbeat_left > 0)
		printf("beat     the agent is alive; if not, the collector is told in %d s\n",
		       k->heartbeat_left);
	else
		printf("beat     %s\n", k->heartbeat_left ? "none is expected"
							  : "the agent is silent, and the "
							    "collector is told");
	printf("memory   %zu bytes\n", k->memory);
}

static json_t *keeping_json(const struct hg_guard_keeping *k)
{
	if (!host->keeping)
		return json_null();
	return json_pack("{s:b, s:o, s:I}", "locked", k->locked, "heartbeat_left",
			 k->heartbeat_left < 0 ? json_null() : json_integer(k->heartbeat_left),
			 "memory", (json_int_t)k->memory);
}

static void status_print(const struct status *s)
{
	printf("host     %s\n", host->name);
	printf("policy   %s\n", hg_policy_name(s->config.policy));
	printf("confine  %s\n", s->config.flags & HG_GUARD_CONFINE ? "yes" : "no");
	printf("police   %s\n", s->config.flags & HG_GUARD_POLICE ? "yes" : "no");
	printf("gate     %s\n", hg_guard_gate_name(&s->config));
	for (size_t i = 0; i < s->n_interfaces; i++)
		printf("%-8s %s\n", s->interfaces[i].name, interface_state(&s->interfaces[i]));
	printf("flows   ");
	for (int t = 0; t < 3; t++)
		printf(" %s %zu of %zu%s", tables[t], s->counts[t], s->sizes[t],
		       t < 2 ? "," : "\n");
	printf("profile  %u peers, %u rules, generation %u\n", s->config.n_peers, s->config.n_rules,
	       s->config.generation);
	printf("clock    %s\n", hg_guard_clock_name(s->clock));
	keeping_print(&s->keeping);
	counters_print(s, false);
	counters_print(s, true);
}

static void status_print_json(const struct status *s)
{
	json_t *interfaces = json_array(), *flows = json_object(), *pass = json_object(),
	       *drop = json_object(), *all;

	for (size_t i = 0; i < s->n_interfaces; i++) {
		const struct hg_guard_interface *g = &s->interfaces[i];

		json_array_append_new(interfaces,
				      json_pack("{s:s, s:i, s:s}", "name", g->name, "ifindex",
						g->ifindex, "mode", interface_state(g)));
	}
	for (int t = 0; t < 3; t++)
		json_object_set_new(flows, tables[t],
				    json_pack("{s:I, s:I}", "count", (json_int_t)s->counts[t],
					      "size", (json_int_t)s->sizes[t]));
	for (unsigned int r = 0; r < HG_REASON_MAX; r++)
		json_object_set_new(is_drop(r) ? drop : pass, hg_reason_name(r),
				    json_integer(s->counters[r]));
	all = json_pack("{s:s, s:s, s:s, s:b, s:b, s:s, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:o}",
			"host", host->name, "clock", hg_guard_clock_name(s->clock), "policy",
			hg_policy_name(s->config.policy), "confine",
			s->config.flags & HG_GUARD_CONFINE, "police",
			s->config.flags & HG_GUARD_POLICE, "gate", hg_guard_gate_name(&s->config),
			"generation", s->config.generation, "peers", s->config.n_peers, "rules",
			s->config.n_rules, "interfaces", interfaces, "flows", flows, "passed", pass,
			"dropped", drop, "keeping", keeping_json(&s->keeping));
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

/* Whether the single argument is --json; -EINVAL if it is something else. */
static int wants_json(int argc, char **argv)
{
	if (argc == 1)
		return 0;
	return argc == 2 && !strcmp(argv[1], "--json") ? 1 : -EINVAL;
}

static int guard_status(void *ctx, int argc, char **argv)
{
	const struct hg_agent_conf *conf = ctx;
	int json = wants_json(argc, argv);
	struct status s = { 0 };
	char err[512] = "";
	int ret;

	if (json < 0)
		return usage("status [--json]");
	ret = status_read(conf, &s, err, sizeof(err));
	if (ret)
		return failed_on_pinned(ret, "status", err);
	if (json)
		status_print_json(&s);
	else
		status_print(&s);
	for (size_t i = 0; i < s.n_interfaces; i++)
		if (!s.interfaces[i].ifindex || s.interfaces[i].got == HG_GUARD_AUTO)
			return HG_EXIT_FAILED;
	return HG_EXIT_OK;
}

static int guard_policy(void *ctx, int argc, char **argv)
{
	struct hg_guard *g = NULL;
	struct hg_seal seal;
	char err[512] = "";
	int policy = argc > 1 ? hg_policy_parse(argv[1]) : -EINVAL, ret;

	if (policy < 0)
		return usage("policy monitor|initiated|sealed [--seal FILE]");
	ret = take_seal(argc, argv, 1, &seal);
	if (ret)
		return ret;
	ret = open_sealed(ctx, &seal, &g, err, sizeof(err));
	if (!ret)
		ret = host->set_policy(g, policy);
	return changed(g, ret, "policy", err, sizeof(err));
}

static int switch_flag(const struct hg_agent_conf *conf, int argc, char **argv, __u32 flag)
{
	struct hg_guard *g = NULL;
	struct hg_seal seal;
	char err[512] = "", form[48];
	int ret;

	if (argc < 2 || (strcmp(argv[1], "yes") && strcmp(argv[1], "no"))) {
		snprintf(form, sizeof(form), "%s yes|no [--seal FILE]", argv[0]);
		return usage(form);
	}
	ret = take_seal(argc, argv, 1, &seal);
	if (ret)
		return ret;
	ret = open_sealed(conf, &seal, &g, err, sizeof(err));
	if (!ret)
		ret = host->set_flag(g, flag, !strcmp(argv[1], "yes"));
	return changed(g, ret, argv[0], err, sizeof(err));
}

static int guard_confine(void *ctx, int argc, char **argv)
{
	return switch_flag(ctx, argc, argv, HG_GUARD_CONFINE);
}

static int guard_police(void *ctx, int argc, char **argv)
{
	return switch_flag(ctx, argc, argv, HG_GUARD_POLICE);
}

/* For who works on a device whose gate is shut. */
static int guard_gate(void *ctx, int argc, char **argv)
{
	unsigned long seconds = HG_HEARTBEAT_MAX + 1;
	struct hg_guard *g = NULL;
	char err[512] = "", *end = NULL;
	int ret;

	if (argc == 2 && argv[1][0] >= '0' && argv[1][0] <= '9')
		seconds = strtoul(argv[1], &end, 10);
	if (!end || *end || seconds > HG_HEARTBEAT_MAX)
		return usage("gate SECONDS, 0 to 3600");
	ret = open_guard(ctx, &g, err, sizeof(err));
	if (!ret)
		ret = host->gate(g, seconds);
	return changed(g, ret, "gate", err, sizeof(err));
}

struct flows_out {
	json_t *list; /* NULL: text */
	time_t now;
};

static const char *proto_name(unsigned int proto, char buf[static 8])
{
	switch (proto) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_ICMPV6:
		return "icmp6";
	}
	snprintf(buf, 8, "%u", proto);
	return buf;
}

static int flow_print(void *ctx, int table, const struct hg_flow_key *key, const struct hg_flow *f)
{
	const char *state = f->state < 3 ? states[f->state] : "?";
	char local[INET6_ADDRSTRLEN], remote[INET6_ADDRSTRLEN], number[8];
	const char *proto = proto_name(key->proto, number);
	struct flows_out *out = ctx;
	json_int_t idle = out->now - f->last_s;

	hg_addr_print(&key->local, local);
	hg_addr_print(&key->remote, remote);
	if (!out->list) {
		printf("%-7s %-5s %s %u > %s %u %s channel %u idle %llds out %u/%llu in %u/%llu\n",
		       tables[table], proto, local, ntohs(key->local_port), remote,
		       ntohs(key->remote_port), state, f->channel, (long long)idle, f->packets_out,
		       (unsigned long long)f->bytes_out, f->packets_in,
		       (unsigned long long)f->bytes_in);
		return 0;
	}
	json_array_append_new(
		out->list,
		json_pack("{s:s, s:s, s:s, s:i, s:s, s:i, s:s, s:i, s:I, s:I, s:I, s:I, s:I}",
			  "table", tables[table], "proto", proto, "local", local, "local_port",
			  ntohs(key->local_port), "remote", remote, "remote_port",
			  ntohs(key->remote_port), "state", state, "channel", f->channel, "idle",
			  idle, "packets_out", (json_int_t)f->packets_out, "bytes_out",
			  (json_int_t)f->bytes_out, "packets_in", (json_int_t)f->packets_in,
			  "bytes_in", (json_int_t)f->bytes_in));
	return 0;
}

static int guard_flows(void *ctx, int argc, char **argv)
{
	const struct hg_agent_conf *conf = ctx;
	int json = wants_json(argc, argv);
	struct hg_guard *g = NULL;
	struct flows_out out = { 0 };
	struct timespec now;
	char err[512] = "";
	int ret;

	if (json < 0)
		return usage("flows [--json]");
	clock_gettime(CLOCK_MONOTONIC, &now);
	out.now = now.tv_sec;
	ret = open_guard(conf, &g, err, sizeof(err));
	if (ret)
		return failed_on_pinned(ret, "flows", err);
	out.list = json ? json_array() : NULL;
	ret = host->flows(g, flow_print, &out);
	host->close(g);
	if (!ret && json) {
		json_dumpf(out.list, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(out.list);
	return ret ? failed_on_pinned(ret, "flows", err) : HG_EXIT_OK;
}

static int bound_print(void *ctx, const struct hg_addr *addr, const struct hg_bound *b)
{
	json_t *list = ctx, *channels = json_array();
	char text[INET6_ADDRSTRLEN];
	int n = 0;

	hg_addr_print(addr, text);
	if (!list)
		printf("%s channels", text);
	for (int c = 0; c < HG_CHANNELS_MAX; c++) {
		if (!(b->channels >> c & 1))
			continue;
		json_array_append_new(channels, json_integer(c));
		if (!list)
			printf("%s%d", n++ ? "," : " ", c);
	}
	if (!list)
		puts(n ? "" : " none");
	else
		json_array_append_new(list, json_pack("{s:s, s:O}", "address", text, "channels",
						      channels));
	json_decref(channels);
	return 0;
}

static int guard_names(void *ctx, int argc, char **argv)
{
	const struct hg_agent_conf *conf = ctx;
	int json = wants_json(argc, argv);
	struct hg_guard *g = NULL;
	json_t *list;
	char err[512] = "";
	int ret;

	if (json < 0)
		return usage("names [--json]");
	ret = open_guard(conf, &g, err, sizeof(err));
	if (ret)
		return failed_on_pinned(ret, "names", err);
	list = json ? json_array() : NULL;
	ret = host->bound(g, bound_print, list);
	host->close(g);
	if (!ret && json) {
		json_dumpf(list, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	json_decref(list);
	return ret ? failed_on_pinned(ret, "names", err) : HG_EXIT_OK;
}

const struct hg_subcommand hg_guard_subcommands[] = {
	{ "guard on", "[INTERFACE...]", "guard the interfaces of the file, or these", guard_on },
	{ "guard off", "[--seal FILE]", "take the guard away", guard_off },
	{ "guard status", "[--json]", "interfaces, policy, flow tables, counters", guard_status },
	{ "guard policy", "NAME [--seal FILE]", "monitor, initiated or sealed", guard_policy },
	{ "guard confine", "WHETHER [--seal FILE]", "yes or no: only what the profile has gets out",
	  guard_confine },
	{ "guard gate", "SECONDS", "open the gate for so long; 0: shut it", guard_gate },
	{ "guard police", "WHETHER [--seal FILE]", "yes or no: what exceeds the profile is dropped",
	  guard_police },
	{ "guard flows", "[--json]", "the flows that the device has opened", guard_flows },
	{ "guard names", "[--json]", "addresses that DNS answers have named", guard_names },
	{ "guard events", "[--json] [--count N] [--time SECONDS]",
	  "new flows and scores, as the guard tells them", hg_cmd_guard_events },
	{ "guard lock", "--key FILE [--after N]", "let nobody change the guard without a seal",
	  hg_cmd_guard_lock },
	{ "guard unlock", "--seal FILE", "end that", hg_cmd_guard_unlock },
	{ "guard seal", "--key FILE [--counter N] [--big-endian] COMMAND [WORD]",
	  "make a seal for a locked guard, where the key is kept", hg_cmd_guard_seal },
	{ "guard probe", "[--json]",
	  "what this kernel has for the guard, and which host it would be", hg_cmd_guard_probe },
	{ 0 },
};
