/* SPDX-License-Identifier: MIT */
/*
 * The guard as the agent and the command line see it. One behaviour, several hosts: each host (BPF
 * programs, the netfilter module) fills one struct hg_guard_ops; guard-host.h chooses among them.
 *
 * The guard lives in the kernel and outlives whoever attached it: BPF pinned below `pin_dir`, the
 * module in the network namespace. attach() on a running guard adopts it: flows and counters stay,
 * BPF programs are replaced in place if they differ, and at no moment is an interface unguarded.
 */
#ifndef HG_USERSPACE_GUARD_H
#define HG_USERSPACE_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include "../include/uapi/heliograph.h"

#define HG_GUARD_INTERFACES_MAX 16

/* Which host is wanted; the same order as the words of hg_guard_host_name(). */
enum hg_guard_host { HG_HOST_AUTO, HG_HOST_BPF, HG_HOST_MODULE };

/* Where inbound packets are seen, per interface. */
enum hg_guard_mode {
	HG_GUARD_AUTO = 0, /* native XDP, else generic XDP; tc without Ethernet header */
	HG_GUARD_NATIVE = 1,
	HG_GUARD_GENERIC = 2,
	HG_GUARD_TC = 3,
	HG_GUARD_HOOK = 4, /* netfilter, of the module; not to be wanted of BPF */
};

struct hg_guard_interface {
	char name[16];
	enum hg_guard_mode wanted, got;
	unsigned int ifindex;
};

struct hg_guard_options {
	int host;	     /* enum hg_guard_host; hosts themselves do not look at it */
	const char *pin_dir; /* on a bpffs; made if its parent is one */
	const char *object;  /* BPF object file */
	struct hg_guard_interface interfaces[HG_GUARD_INTERFACES_MAX];
	size_t n_interfaces;
	const char *const *trusted; /* prefixes whose packets always pass, e.g. "192.168.7.0/24" */
	size_t n_trusted;
	/* The guard sets abi, generation, n_peers, n_rules and n_trusted. */
	struct hg_guard_config config;
	/* Table sizes; used when the maps are made. */
	unsigned int flows_kept, flows_inside, flows_outside;
};

/* Sensible values for every field of o->config and the table sizes; seed is random. */
void hg_guard_options_init(struct hg_guard_options *o);

/* Who closes seconds, so that what the windows counted is scored. */
enum hg_guard_clock {
	HG_CLOCK_KERNEL,  /* a timer in the kernel, with or without an agent */
	HG_CLOCK_STOPPED, /* there is one, but it does not run: attach again */
	HG_CLOCK_AGENT,	  /* this kernel takes none: close_seconds() */
};

/* A ready-made, signed alarm for the kernel to send, and where to. */
struct hg_guard_distress {
	struct hg_addr to;
	__be16 port;
	size_t length;
	__u8 datagram[HG_DISTRESS_MAX];
};

/* What a guard keeps besides flows and counters. */
struct hg_guard_keeping {
	bool locked;
	int heartbeat_left; /* seconds; 0: it has run out; -1: none is expected */
	size_t memory;	    /* bytes */
};

#define HG_GUARD_FACTS_MAX (16 + HG_GUARD_INTERFACES_MAX)

/* One thing that a host looks at in a kernel. */
struct hg_guard_fact {
	char name[24]; /* "jit"; an interface's name */
	bool good;
	char text[256];
};

/* What a host finds when it looks whether it can guard here. */
struct hg_guard_report {
	int ret;       /* 0: it can; else -errno */
	bool whole;    /* and at its full speed, and scores with nobody running */
	char why[256]; /* one clause about ret and whole */
	struct hg_guard_fact facts[HG_GUARD_FACTS_MAX];
	size_t n_facts;
};

struct hg_guard; /* of the host that made it; each has its own */

struct hg_guard_ops {
	const char *name; /* "bpf" */

	/* Looks, without touching an interface or a guard that runs. */
	void (*probe)(const struct hg_guard_options *o, struct hg_guard_report *r);

	/*
	 * Attach to all interfaces of *o (got and ifindex are filled in), or adopt what is pinned
	 * there. All or nothing. The result must be closed with close(), which leaves the guard in
	 * place.
	 */
	int (*attach)(struct hg_guard_options *o, struct hg_guard **guard, char *err,
		      size_t err_size);

	/* Opens a running guard to look at it. -ENOENT: none is pinned at pin_dir. */
	int (*open)(const char *pin_dir, struct hg_guard **guard, char *err, size_t err_size);
	void (*close)(struct hg_guard *g);

	/*
	 * Ends the guard on every interface. -ENOENT: there was none; -EACCES: it is locked. The
	 * seal may be NULL.
	 */
	int (*detach)(const char *pin_dir, const struct hg_seal *seal, char *err, size_t err_size);

	/*
	 * Fills list[HG_GUARD_INTERFACES_MAX]. An interface that has gone has ifindex 0; one whose
	 * programs somebody took away has got == HG_GUARD_AUTO.
	 */
	int (*interfaces)(struct hg_guard *g, struct hg_guard_interface *list, size_t *n);
	int (*get_config)(struct hg_guard *g, struct hg_guard_config *config);
	int (*set_policy)(struct hg_guard *g, enum hg_policy policy);
	/* Switches one of HG_GUARD_*. */
	int (*set_flag)(struct hg_guard *g, __u32 flag, bool on);
	/* Opens the gate for so many seconds (up to HG_HEARTBEAT_MAX) from now; 0: shuts it. */
	int (*gate)(struct hg_guard *g, unsigned int seconds);

	/*
	 * Replace peers, rules and bounds as one step: a packet sees the old set or the new one.
	 * bounds[HG_CHANNELS_MAX], or NULL: nothing is scored. A channel whose id stays keeps its
	 * score and counters; another one on its number begins anew.
	 */
	int (*set_profile)(struct hg_guard *g, const struct hg_peer *peers, size_t n_peers,
			   const struct hg_rule *rules, size_t n_rules,
			   const struct hg_bounds *bounds);
	/* What is in force. */
	int (*get_bounds)(struct hg_guard *g, struct hg_bounds by_channel[static HG_CHANNELS_MAX]);

	/* Who closes the seconds. */
	enum hg_guard_clock (*clock)(struct hg_guard *g);
	/* With HG_CLOCK_AGENT, to be called every second; `seconds` is since the last call. */
	int (*close_seconds)(struct hg_guard *g, unsigned int seconds);

	int (*counters)(struct hg_guard *g, __u64 by_reason[static HG_REASON_MAX]);
	int (*windows)(struct hg_guard *g, struct hg_window by_channel[static HG_CHANNELS_MAX]);

	/* Calls each(ctx, table 0..2, key, flow) until it returns non-zero, which is returned. */
	int (*flows)(struct hg_guard *g,
		     int (*each)(void *ctx, int table, const struct hg_flow_key *key,
				 const struct hg_flow *flow),
		     void *ctx);
	int (*flow_counts)(struct hg_guard *g, size_t counts[static 3]);
	int (*flow_sizes)(struct hg_guard *g, size_t sizes[static 3]); /* what they can hold */

	/*
	 * A pollable descriptor for events, and their delivery. e->type says which struct begins
	 * with *e; what is shorter than that was left out. BPF keeps them for one reader at a time
	 * (-EBUSY: another process is it); the module gives them to each who listens then.
	 */
	int (*event_fd)(struct hg_guard *g);
	int (*events)(struct hg_guard *g, void (*each)(void *ctx, const struct hg_event *e),
		      void *ctx);
	/* How often events were lost since they were first asked for; NULL: that is not known. */
	__u64 (*events_lost)(struct hg_guard *g);

	/*
	 * What is known of an address; all zero: nothing any more. A flow that is alive is matched
	 * by it only after rematch(). -E2BIG: no more addresses fit.
	 */
	int (*set_bound)(struct hg_guard *g, const struct hg_addr *addr,
			 const struct hg_bound *bound);
	/* Calls each(ctx, address, what is known) until it returns non-zero, which is returned. */
	int (*bound)(struct hg_guard *g,
		     int (*each)(void *ctx, const struct hg_addr *addr,
				 const struct hg_bound *bound),
		     void *ctx);
	/* Every flow is matched against peers and rules again with its next packet out. */
	int (*rematch)(struct hg_guard *g);

	/* What follows is of hosts that can; else all of it is NULL. */

	int (*keeping)(struct hg_guard *g, struct hg_guard_keeping *k);
	/*
	 * When it is not called again within so many seconds (up to HG_HEARTBEAT_MAX) the kernel
	 * sends the datagram, and repeats it until it is. 0: no more is expected.
	 */
	int (*heartbeat)(struct hg_guard *g, unsigned int timeout_s,
			 const struct hg_guard_distress *d);
	/*
	 * From now on the guard is changed and ended only with a seal (-EACCES); see heliograph.h.
	 * Seals have counters above `after`.
	 */
	int (*lock)(struct hg_guard *g, const __u8 key[static HG_KEY_LENGTH], __u64 after);
	/* The next command that changes the guard carries this seal. */
	void (*seal)(struct hg_guard *g, const struct hg_seal *seal);
	int (*unlock)(struct hg_guard *g);
	/* The kernel's sentence about the last command that failed; "" if it had none. */
	const char *(*said)(struct hg_guard *g);
};

extern const struct hg_guard_ops hg_guard_bpf;
extern const struct hg_guard_ops hg_guard_module;

/* "no-flow", "malformed", ...; NULL past the end. */
const char *hg_reason_name(unsigned int reason);
const char *hg_guard_host_name(unsigned int host);
const char *hg_policy_name(unsigned int policy);
int hg_policy_parse(const char *name); /* or -EINVAL */
/* Seconds for which the gate is still open; 0: it is shut. */
unsigned int hg_guard_gate_left(const struct hg_guard_config *config);
/* "none", "open", "shut" */
const char *hg_guard_gate_name(const struct hg_guard_config *config);
const char *hg_guard_mode_name(unsigned int mode);
const char *hg_guard_clock_name(unsigned int clock);

#endif
