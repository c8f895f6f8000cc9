/* SPDX-License-Identifier: MIT */
/*
 * Inside the BPF host of the guard; nobody else includes it. Three nouns:
 *
 *   pins        the directory on a bpffs that keeps the guard alive, locked while it is changed
 *   programs    one load of the object file, which shares the pinned maps if their layout is the
 * same attachment  one guarded interface, recorded in the pinned map `state`
 *
 *   PIN_DIR/state          array of struct hg_bpf_attachment, written before the kernel is changed;
 *                          the last entry is a struct hg_bpf_loaded
 *   PIN_DIR/maps/NAME      every map of the object
 *   PIN_DIR/programs/NAME  every program of the object
 *   PIN_DIR/links/IFINDEX  the XDP link of an interface
 *
 * A pin that is to replace another is first made as NAME-next and renamed when all has succeeded.
 */
#ifndef HG_USERSPACE_GUARD_BPF_H
#define HG_USERSPACE_GUARD_BPF_H

#include <limits.h>
#include "guard-common.h"

/* What libbpf said last, "" if nothing since the last reset. */
const char *hg_libbpf_said(void);
void hg_libbpf_reset(void);

enum hg_bpf_prog {
	HG_PROG_XDP,
	HG_PROG_IN,
	HG_PROG_IN_L3,
	HG_PROG_OUT,
	HG_PROG_OUT_L3,
	HG_PROG_CLOSE,
	HG_PROG_TIMER, /* the only one that may be missing: some kernels refuse it */
	HG_PROGS
};

enum hg_bpf_map {
	HG_MAP_CONFIG,
	HG_MAP_PEERS,
	HG_MAP_RULES,
	HG_MAP_TRUSTED,
	HG_MAP_COUNTERS,
	HG_MAP_WINDOWS,
	HG_MAP_KEPT,
	HG_MAP_INSIDE,
	HG_MAP_OUTSIDE,
	HG_MAP_EVENTS,
	HG_MAP_BOUND,
	HG_MAP_BOUNDS,
	HG_MAPS
};

/* Programs that are run by hand want a packet all the same: of zeros, of so many bytes. */
#define HG_PROG_FRAME 64

extern const char *const hg_bpf_prog_names[HG_PROGS];
extern const char *const hg_bpf_map_names[HG_MAPS];

/* ---- pins (guard-pins.c) */

#define HG_ATTACHMENT_CLSACT 1u /* the clsact qdisc is ours */

struct hg_bpf_attachment {
	__u64 netns;   /* inode number of the network namespace */
	__u32 ifindex; /* 0: free slot */
	__u32 mode;    /* enum hg_guard_mode, never HG_GUARD_AUTO */
	__u32 flags;
	__u32 pad;
	char name[16]; /* when it was attached */
};

_Static_assert(sizeof(struct hg_bpf_attachment) == 40, "hg_bpf_attachment");

/* From which object file the pinned maps and programs come. */
struct hg_bpf_loaded {
	__u64 digest; /* of the file; 0: unknown */
	__u32 abi;
	__u32 pad[7];
};

_Static_assert(sizeof(struct hg_bpf_loaded) == sizeof(struct hg_bpf_attachment), "hg_bpf_loaded");

struct hg_pins {
	char dir[PATH_MAX / 4];
	int lock; /* descriptor of the directory, flock()ed */
	int state;
	bool made; /* the directory is ours to remove if the attach fails */
};

/*
 * Locks the directory, making it if `make`. Waits at most five seconds for another holder, then
 * -EBUSY. -ENOENT: there is none and it was not to be made.
 */
int hg_pins_lock(struct hg_pins *p, const char *dir, bool make, struct hg_error *e);
void hg_pins_unlock(struct hg_pins *p);
/* Whether `dir` could be made, being on a bpffs. */
int hg_pins_check(const char *dir, struct hg_error *e);

/* PIN_DIR/SUB/NAME SUFFIX into a buffer of PATH_MAX bytes. */
char *hg_pins_path(const struct hg_pins *p, char *buf, const char *sub, const char *name,
		   const char *suffix);

/* Removes what interrupted runs left behind: every NAME-next. */
void hg_pins_sweep(const struct hg_pins *p);
/* Makes every NAME-next the NAME, which are then all of the file with this digest. */
int hg_pins_commit(const struct hg_pins *p, __u64 digest, struct hg_error *e);
/* The digest of the file that all pins come from; 0: unknown. */
__u64 hg_pins_digest(const struct hg_pins *p);
/* Without the timer: ends one that runs and forgets its program. */
void hg_pins_timer_drop(const struct hg_pins *p);
/* Removes all pins and the directory; programs and maps go with their last holder. */
int hg_pins_remove(struct hg_pins *p, struct hg_error *e);

int hg_pins_link_get(const struct hg_pins *p, __u32 ifindex);
int hg_pins_link_put(const struct hg_pins *p, __u32 ifindex, int fd);
void hg_pins_link_drop(const struct hg_pins *p, __u32 ifindex);

int hg_pins_record_read(const struct hg_pins *p, __u32 slot, struct hg_bpf_attachment *a);
int hg_pins_record_write(const struct hg_pins *p, __u32 slot, const struct hg_bpf_attachment *a);

/* The network namespace this process is in, by inode number; 0 if unknown. */
__u64 hg_netns_self(void);

/* ---- programs (guard-programs.c) */

struct bpf_object;

struct hg_bpf_programs {
	struct bpf_object *object; /* NULL: all is what is pinned */
	__u64 digest;		   /* of the file */
	int progs[HG_PROGS];
	int maps[HG_MAPS];
	bool fresh_maps; /* none of the pinned ones could be kept */
	bool fresh_progs;
};

/*
 * Takes what is pinned if it comes from the same file. Otherwise loads o->object with the maps that
 * are pinned, if they fit; if the result equals the pinned programs, progs[] are those. New maps
 * and programs are pinned as NAME-next unless p is NULL.
 */
int hg_programs_load(struct hg_bpf_programs *b, const struct hg_guard_options *o,
		     const struct hg_pins *p, struct hg_error *e);
void hg_programs_close(struct hg_bpf_programs *b);
/* Whether the kernel has compiled it to instructions of the processor. */
bool hg_program_jited(int fd);
/* Starts the timer, or gives the one that runs this code; no timer is no error. */
int hg_programs_start(const int progs[HG_PROGS], struct hg_error *e);

/* ---- attachments (guard-attach.c) */

#define HG_UNDO_MAX (HG_GUARD_INTERFACES_MAX * 8)

struct hg_attach_run {
	const struct hg_pins *pins;
	const struct hg_bpf_programs *programs;
	struct hg_error *error;
	struct hg_undo {
		int kind;
		__u32 ifindex;
		int point; /* enum bpf_tc_attach_point */
		int fd;	   /* program or link to put back */
		int mode;
		__u32 slot;
		struct hg_bpf_attachment record;
	} undo[HG_UNDO_MAX];
	size_t n_undo;
};

/* Brings one interface under the guard; what was done is in r->undo. Fills got and ifindex. */
int hg_attachment_make(struct hg_attach_run *r, struct hg_guard_interface *i);
/* After all interfaces: releases what is not wanted any more. */
void hg_attachment_settle(struct hg_attach_run *r, const struct hg_guard_options *o);
void hg_attachment_undo(struct hg_attach_run *r);
void hg_attach_run_close(struct hg_attach_run *r);

/* Takes the guard off the interface of a record. -EXDEV: it is in another network namespace. */
int hg_attachment_remove(const struct hg_pins *p, __u32 slot, struct hg_error *e);
/* False if the interface is gone, or its programs were taken away by somebody else. */
bool hg_attachment_alive(const struct hg_pins *p, const struct hg_bpf_attachment *a);

/* ---- an open guard and its maps (guard-maps.c) */

struct ring_buffer;

struct hg_guard {
	char pin_dir[PATH_MAX / 4];
	int maps[HG_MAPS];
	int state;
	int close_prog; /* -1: the kernel has its own timer */
	struct ring_buffer *ring;
	int reader; /* lock of the one that reads events */
	void (*each)(void *ctx, const struct hg_event *e);
	void *each_ctx;
};

struct hg_guard *hg_guard_new(const char *pin_dir);
void hg_guard_free(struct hg_guard *g);

/* The parts of struct hg_guard_ops that look at maps, described there. */
int hg_maps_get_config(struct hg_guard *g, struct hg_guard_config *config);
int hg_maps_set_policy(struct hg_guard *g, enum hg_policy policy);
int hg_maps_set_flag(struct hg_guard *g, __u32 flag, bool on);
int hg_maps_gate(struct hg_guard *g, unsigned int seconds);
int hg_maps_set_profile(struct hg_guard *g, const struct hg_peer *peers, size_t n_peers,
			const struct hg_rule *rules, size_t n_rules,
			const struct hg_bounds *bounds);
int hg_maps_get_bounds(struct hg_guard *g, struct hg_bounds by_channel[static HG_CHANNELS_MAX]);
int hg_maps_counters(struct hg_guard *g, __u64 by_reason[static HG_REASON_MAX]);
int hg_maps_windows(struct hg_guard *g, struct hg_window by_channel[static HG_CHANNELS_MAX]);
int hg_maps_flows(struct hg_guard *g,
		  int (*each)(void *ctx, int table, const struct hg_flow_key *key,
			      const struct hg_flow *flow),
		  void *ctx);
int hg_maps_flow_counts(struct hg_guard *g, size_t counts[static 3]);
int hg_maps_flow_sizes(struct hg_guard *g, size_t sizes[static 3]);
int hg_maps_set_bound(struct hg_guard *g, const struct hg_addr *addr, const struct hg_bound *bound);
int hg_maps_bound(struct hg_guard *g,
		  int (*each)(void *ctx, const struct hg_addr *addr, const struct hg_bound *bound),
		  void *ctx);
int hg_maps_rematch(struct hg_guard *g);

/* Writes o->config and o->trusted; keeps seed, generation and counts of a guard that runs. */
int hg_maps_configure(const int maps[HG_MAPS], const struct hg_guard_options *o, bool fresh,
		      struct hg_error *e);

/* ---- what this kernel has for it (guard-probe.c) */

void hg_bpf_probe(const struct hg_guard_options *o, struct hg_guard_report *r);

/* ---- seconds and events of an open guard (guard-events.c) */

enum hg_guard_clock hg_events_clock(struct hg_guard *g);
int hg_events_close_seconds(struct hg_guard *g, unsigned int seconds);
int hg_events_fd(struct hg_guard *g);
int hg_events_read(struct hg_guard *g, void (*each)(void *ctx, const struct hg_event *e),
		   void *ctx);
void hg_events_free(struct hg_guard *g);

#endif
