// SPDX-License-Identifier: MIT
/*
 * The maps of an open guard: configuration and profile written, counters, windows and flows read.
 * Called through hg_guard_bpf by the agent and the command line, which may do so at the same time.
 *
 * Peers, rules and bounds have two banks, as heliograph.h says. The one not in force is filled,
 * with zeros behind its last row, and then the generation is counted up: a packet sees a whole set
 * at any moment.
 */
#include "guard-bpf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define BOUND_MAX 1024	 /* size of the map */
#define FLOWS_BATCH 1024 /* flows per system call; a bucket of the hash table holds far fewer */

struct hg_guard *hg_guard_new(const char *pin_dir)
{
	struct hg_guard *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	snprintf(g->pin_dir, sizeof(g->pin_dir), "%s", pin_dir);
	memset(g->maps, -1, sizeof(g->maps));
	g->state = g->close_prog = g->reader = -1;
	return g;
}

void hg_guard_free(struct hg_guard *g)
{
	if (!g)
		return;
	hg_events_free(g);
	if (g->close_prog >= 0)
		close(g->close_prog);
	for (int i = 0; i < HG_MAPS; i++)
		if (g->maps[i] >= 0)
			close(g->maps[i]);
	if (g->state >= 0)
		close(g->state);
	free(g);
}

static int config_read(const int maps[HG_MAPS], struct hg_guard_config *c)
{
	const __u32 zero = 0;

	return bpf_map_lookup_elem(maps[HG_MAP_CONFIG], &zero, c) ? -errno : 0;
}

static int config_write(const int maps[HG_MAPS], const struct hg_guard_config *c)
{
	const __u32 zero = 0;

	return bpf_map_update_elem(maps[HG_MAP_CONFIG], &zero, c, BPF_ANY) ? -errno : 0;
}

int hg_maps_get_config(struct hg_guard *g, struct hg_guard_config *config)
{
	struct hg_guard_config c;
	int ret = config_read(g->maps, &c);

	if (!ret)
		*config = c;
	return ret;
}

/*
 * A change of the configuration reads it first, and two may come at once: agent and command line.
 */
static int config_lock(struct hg_guard *g, struct hg_pins *p, struct hg_guard_config *c)
{
	int ret = hg_pins_lock(p, g->pin_dir, false, NULL);

	if (ret)
		return ret;
	ret = config_read(g->maps, c);
	if (ret)
		hg_pins_unlock(p);
	return ret;
}

int hg_maps_set_policy(struct hg_guard *g, enum hg_policy policy)
{
	struct hg_guard_config c;
	struct hg_pins p;
	int ret;

	if (!hg_policy_name(policy))
		return -EINVAL;
	ret = config_lock(g, &p, &c);
	if (ret)
		return ret;
	c.policy = policy;
	ret = config_write(g->maps, &c);
	hg_pins_unlock(&p);
	return ret;
}

/* The programs ask the coarse monotonic clock, which is behind by some milliseconds. */
int hg_maps_gate(struct hg_guard *g, unsigned int seconds)
{
	struct hg_guard_config c;
	struct timespec now;
	struct hg_pins p;
	int ret = config_lock(g, &p, &c);

	if (ret)
		return ret;
	clock_gettime(CLOCK_MONOTONIC, &now);
	c.open_until_s = seconds ? (__u32)now.tv_sec + seconds : 0;
	ret = config_write(g->maps, &c);
	hg_pins_unlock(&p);
	return ret;
}

int hg_maps_set_flag(struct hg_guard *g, __u32 flag, bool on)
{
	struct hg_guard_config c;
	struct hg_pins p;
	int ret = config_lock(g, &p, &c);

	if (ret)
		return ret;
	c.flags = on ? c.flags | flag : c.flags & ~flag;
	ret = config_write(g->maps, &c);
	hg_pins_unlock(&p);
	return ret;
}

static int bank_fill(int fd, unsigned int bank, const void *rows, size_t n, size_t row_size,
		     unsigned int max)
{
	char empty[sizeof(struct hg_bounds)] = { 0 }; /* the largest row there is */

	for (unsigned int i = 0; i < max; i++) {
		const __u32 key = bank * max + i;
		const void *row = i < n ? (const char *)rows + i * row_size : empty;

		if (bpf_map_update_elem(fd, &key, row, BPF_ANY))
			return -errno;
	}
	return 0;
}

static unsigned int larger(unsigned int a, unsigned int b)
{
	return a > b ? a : b;
}

int hg_maps_set_profile(struct hg_guard *g, const struct hg_peer *peers, size_t n_peers,
			const struct hg_rule *rules, size_t n_rules, const struct hg_bounds *bounds)
{
	struct hg_guard_config c;
	struct hg_pins p;
	unsigned int bank;
	int ret;

	if (n_peers > HG_PEERS_MAX || n_rules > HG_RULES_MAX)
		return -E2BIG;
	ret = config_lock(g, &p, &c);
	if (ret)
		return ret;
	bank = (c.generation + 1) & 1;
	ret = bank_fill(g->maps[HG_MAP_PEERS], bank, peers, n_peers, sizeof(*peers), HG_PEERS_MAX);
	if (!ret)
		ret = bank_fill(g->maps[HG_MAP_RULES], bank, rules, n_rules, sizeof(*rules),
				HG_RULES_MAX);
	if (!ret)
		ret = bank_fill(g->maps[HG_MAP_BOUNDS], bank, bounds, bounds ? HG_CHANNELS_MAX : 0,
				sizeof(*bounds), HG_CHANNELS_MAX);
	if (ret)
		goto out;
	/*
	 * The kernel copies the value word by word under the packets' eyes. So the counts are first
	 * the larger ones, which the zero rows make harmless for both banks, and only the
	 * generation changes in the second copy.
	 */
	c.n_peers = larger(c.n_peers, n_peers);
	c.n_rules = larger(c.n_rules, n_rules);
	ret = config_write(g->maps, &c);
	if (ret)
		goto out;
	c.generation++;
	ret = config_write(g->maps, &c);
	if (ret)
		goto out;
	c.n_peers = n_peers;
	c.n_rules = n_rules;
	ret = config_write(g->maps, &c);
out:
	hg_pins_unlock(&p);
	return ret;
}

int hg_maps_get_bounds(struct hg_guard *g, struct hg_bounds by_channel[static HG_CHANNELS_MAX])
{
	struct hg_guard_config c;
	int ret = config_read(g->maps, &c);

	for (__u32 i = 0; !ret && i < HG_CHANNELS_MAX; i++) {
		const __u32 key = (c.generation & 1) * HG_CHANNELS_MAX + i;

		if (bpf_map_lookup_elem(g->maps[HG_MAP_BOUNDS], &key, &by_channel[i]))
			ret = -errno;
	}
	return ret;
}

static int trusted_add(int fd, const struct hg_prefix *keys, size_t n)
{
	const __u8 value = 1;

	for (size_t i = 0; i < n; i++)
		if (bpf_map_update_elem(fd, &keys[i], &value, BPF_ANY))
			return -errno;
	return 0;
}

static void trusted_prune(int fd, const struct hg_prefix *keys, size_t n)
{
	struct hg_prefix key, next;
	void *from = NULL;

	while (!bpf_map_get_next_key(fd, from, &next)) {
		size_t i;

		for (i = 0; i < n && memcmp(&keys[i], &next, sizeof(next)); i++)
			;
		if (i == n) {
			bpf_map_delete_elem(fd, &next);
			from = NULL; /* the walk continues from the start: its place is gone */
			continue;
		}
		key = next;
		from = &key;
	}
}

/* Rows of the windows that the processors of this machine use; their numbers may have gaps. */
static __u32 window_rows(void)
{
	FILE *f = fopen("/sys/devices/system/cpu/possible", "re");
	unsigned int last = 0;
	char list[256] = "";
	const char *at;

	if (f && fgets(list, sizeof(list), f))
		for (at = list; *at; at += strcspn(at, "0123456789"), at += !*at)
			last = strtoul(at, (char **)&at, 10);
	if (f)
		fclose(f);
	return *list && last + 1 < HG_ROWS ? last + 1 : HG_ROWS;
}

int hg_maps_configure(const int maps[HG_MAPS], const struct hg_guard_options *o, bool fresh,
		      struct hg_error *e)
{
	struct hg_guard_config c = o->config, was = { 0 };
	int ret = 0;
	struct hg_prefix *keys = hg_guard_trusted(o, &ret, e);

	if (keys)
		ret = fresh ? 0 : config_read(maps, &was);
	if (ret)
		goto out;
	c.abi = HG_GUARD_ABI;
	if (!fresh)
		c.seed = was.seed;
	c.generation = was.generation;
	c.n_peers = was.n_peers;
	c.n_rules = was.n_rules;
	c.n_trusted = o->n_trusted;
	c.rows = window_rows();
	ret = trusted_add(maps[HG_MAP_TRUSTED], keys, o->n_trusted);
	if (!ret)
		ret = config_write(maps, &c);
	if (ret)
		hg_error_set(e, ret, "cannot write the guard's configuration: %s", strerror(-ret));
	else
		trusted_prune(maps[HG_MAP_TRUSTED], keys, o->n_trusted);
out:
	free(keys);
	return ret;
}

int hg_maps_counters(struct hg_guard *g, __u64 by_reason[static HG_REASON_MAX])
{
	int cpus = libbpf_num_possible_cpus();
	__u64 sum[HG_REASON_MAX] = { 0 }, *value;
	int ret = 0;

	if (cpus < 0)
		return cpus;
	value = calloc(cpus, sizeof(*value));
	if (!value)
		return -ENOMEM;
	for (__u32 i = 0; !ret && i < HG_REASON_MAX; i++) {
		ret = bpf_map_lookup_elem(g->maps[HG_MAP_COUNTERS], &i, value) ? -errno : 0;
		for (int c = 0; !ret && c < cpus; c++)
			sum[i] += value[c];
	}
	if (!ret)
		memcpy(by_reason, sum, sizeof(sum));
	free(value);
	return ret;
}

static void window_add(struct hg_window *sum, const struct hg_window *w)
{
	__u64 *to = (__u64 *)sum;
	const __u64 *from = (const __u64 *)w;

	for (size_t i = 0; i < sizeof(*w) / sizeof(*to); i++)
		to[i] += from[i];
}

int hg_maps_windows(struct hg_guard *g, struct hg_window by_channel[static HG_CHANNELS_MAX])
{
	struct hg_window sum[HG_CHANNELS_MAX] = { 0 }, value;

	for (__u32 i = 0; i < HG_ROWS * HG_CHANNELS_MAX; i++) {
		if (bpf_map_lookup_elem(g->maps[HG_MAP_WINDOWS], &i, &value))
			return -errno;
		window_add(&sum[i % HG_CHANNELS_MAX], &value);
	}
	memcpy(by_channel, sum, sizeof(sum));
	return 0;
}

/*
 * Reads a table in batches of whole hash buckets, so that deletions meanwhile cannot send us back.
 */
static int table_read(int fd,
		      int (*each)(void *ctx, const struct hg_flow_key *key,
				  const struct hg_flow *flow),
		      void *ctx)
{
	struct hg_flow_key *keys = calloc(FLOWS_BATCH, sizeof(*keys));
	struct hg_flow *flows = calloc(FLOWS_BATCH, sizeof(*flows));
	__u32 from, to, n;
	bool first = true;
	int ret = keys && flows ? 0 : -ENOMEM, end = 0;

	while (!ret && !end) {
		n = FLOWS_BATCH;
		end = bpf_map_lookup_batch(fd, first ? NULL : &from, &to, keys, flows, &n, NULL);
		if (end && errno != ENOENT) {
			ret = -errno;
			break;
		}
		for (__u32 i = 0; !ret && i < n; i++)
			ret = each(ctx, &keys[i], &flows[i]);
		from = to;
		first = false;
	}
	free(keys);
	free(flows);
	return ret;
}

struct flows_walk {
	int (*each)(void *ctx, int table, const struct hg_flow_key *key,
		    const struct hg_flow *flow);
	void *ctx;
	int table;
};

static int flows_one(void *ctx, const struct hg_flow_key *key, const struct hg_flow *flow)
{
	struct flows_walk *w = ctx;

	return w->each(w->ctx, w->table, key, flow);
}

int hg_maps_flows(struct hg_guard *g,
		  int (*each)(void *ctx, int table, const struct hg_flow_key *key,
			      const struct hg_flow *flow),
		  void *ctx)
{
	struct flows_walk w = { .each = each, .ctx = ctx };
	int ret = 0;

	for (w.table = 0; !ret && w.table < 3; w.table++)
		ret = table_read(g->maps[HG_MAP_KEPT + w.table], flows_one, &w);
	return ret;
}

static int count_one(void *ctx, int table, const struct hg_flow_key *key,
		     const struct hg_flow *flow)
{
	((size_t *)ctx)[table]++;
	return 0;
}

int hg_maps_flow_counts(struct hg_guard *g, size_t counts[static 3])
{
	size_t n[3] = { 0 };
	int ret = hg_maps_flows(g, count_one, n);

	if (!ret)
		memcpy(counts, n, sizeof(n));
	return ret;
}

int hg_maps_flow_sizes(struct hg_guard *g, size_t sizes[static 3])
{
	size_t n[3];

	for (int t = 0; t < 3; t++) {
		struct bpf_map_info info = { 0 };
		__u32 len = sizeof(info);

		if (bpf_obj_get_info_by_fd(g->maps[HG_MAP_KEPT + t], &info, &len))
			return -errno;
		n[t] = info.max_entries;
	}
	memcpy(sizes, n, sizeof(n));
	return 0;
}
int hg_maps_set_bound(struct hg_guard *g, const struct hg_addr *addr, const struct hg_bound *bound)
{
	int fd = g->maps[HG_MAP_BOUND];

	if (bound->channels || bound->flags)
		return bpf_map_update_elem(fd, addr, bound, BPF_ANY) ? -errno : 0;
	return bpf_map_delete_elem(fd, addr) && errno != ENOENT ? -errno : 0;
}

/* What is deleted meanwhile sends the walk back to the start; so the keys are read first. */
int hg_maps_bound(struct hg_guard *g,
		  int (*each)(void *ctx, const struct hg_addr *addr, const struct hg_bound *bound),
		  void *ctx)
{
	struct hg_addr *keys = calloc(BOUND_MAX, sizeof(*keys));
	int fd = g->maps[HG_MAP_BOUND], ret = 0;
	size_t n = 0;

	if (!keys)
		return -ENOMEM;
	while (n < BOUND_MAX && !bpf_map_get_next_key(fd, n ? &keys[n - 1] : NULL, &keys[n]))
		n++;
	for (size_t i = 0; !ret && i < n; i++) {
		struct hg_bound b;

		if (!bpf_map_lookup_elem(fd, &keys[i], &b))
			ret = each(ctx, &keys[i], &b);
	}
	free(keys);
	return ret;
}

/* Two on: the bank in force is the same. */
int hg_maps_rematch(struct hg_guard *g)
{
	struct hg_guard_config c;
	struct hg_pins p;
	int ret = config_lock(g, &p, &c);

	if (ret)
		return ret;
	c.generation += 2;
	ret = config_write(g->maps, &c);
	hg_pins_unlock(&p);
	return ret;
}
