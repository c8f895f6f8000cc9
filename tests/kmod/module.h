/* SPDX-License-Identifier: MIT */
/*
 * The module as another host of the tests: frames go through HG_CMD_TEST, so the module must have
 * been built with HELIOGRAPH_DEBUG. The guard that the namespace has is replaced.
 */
#ifndef HG_TESTS_MODULE_H
#define HG_TESTS_MODULE_H

#include "../core/play.h"
#include "genl.h"

struct module;

/* Its guards are on this interface. NULL, with the reason in *why, if this kernel has no module. */
struct module *module_new(const char *interface, const char **why);
void module_free(struct module *m);
struct genl *module_genl(struct module *m);

/* As a player of the table of cases; `plain`: without link headers. */
struct player *module_player(struct module *m, int plain);
/* Bytes of each frame in the linear part of its buffer from now on; 0: all. */
void module_linear(struct module *m, unsigned int bytes);
/* Flows that a table of the player's next guards can hold. */
void module_room(struct module *m, unsigned int flows);

/* A new guard, empty, of this configuration and with tables of so many flows. */
void module_attach(struct module *m, const struct hg_guard_config *c, unsigned int flows);
void module_profile(struct module *m, const struct hg_peer *peers, __u32 n_peers,
		    const struct hg_rule *rules, __u32 n_rules, const struct hg_bounds *bounds);
void module_bind(struct module *m, const struct hg_addr *addr, const struct hg_bound *bound);
void module_rematch(struct module *m);
/* Puts a frame among the commands that wait; its answer has REASON and CHANNEL. */
void module_put_frame(struct module *m, int out, int link, const void *frame, size_t length,
		      __u32 now_s, __u32 segments);
/* Closes seconds now, one after the other; up to 1000, at least one. */
void module_close(struct module *m, __u32 seconds);

void module_windows(struct module *m, struct hg_window w[HG_CHANNELS_MAX]);
void module_counters(struct module *m, __u64 n[HG_REASON_MAX]);
/* Every flow, with its table. */
void module_flows(struct module *m,
		  void (*each)(void *ctx, int table, const struct hg_flow_key *k,
			       const struct hg_flow *f),
		  void *ctx);

#endif
