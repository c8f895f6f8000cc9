/* SPDX-License-Identifier: MIT */
/*
 * Inside the module host of the guard; nobody else includes it. The netlink contract is at the head
 * of include/uapi/heliograph.h.
 */
#ifndef HG_USERSPACE_GUARD_KMOD_H
#define HG_USERSPACE_GUARD_KMOD_H

#include "guard-common.h"

struct nl_msg;
struct nl_sock;
struct nlattr;

/* ---- netlink (guard-netlink.c) */

/* A socket to the family, of this network namespace. */
struct hg_netlink {
	struct nl_sock *sock;
	int family;
};

/*
 * With `load` the kernel is asked by name, and loads a module that is there for it. -ENOENT: no
 * family of this name.
 */
int hg_netlink_open(struct hg_netlink *n, bool load, struct hg_error *e);
void hg_netlink_close(struct hg_netlink *n);

/* A request with room for the largest there is; NULL: no memory. */
struct nl_msg *hg_netlink_request(const struct hg_netlink *n, enum hg_command command);

/*
 * Sends the request, which is freed, and gives each(ctx, attributes by enum hg_attribute) the
 * answer. Returns 0, or -errno of the kernel with its sentence in e. -ENOLINK: the module was
 * unloaded meanwhile.
 */
int hg_netlink_call(struct hg_netlink *n, struct nl_msg *request,
		    void (*each)(void *ctx, struct nlattr **attrs), void *ctx, struct hg_error *e);

/*
 * The same with a command that dumps; until each() returns non-zero, which is returned. On a socket
 * of its own, so each() may call. -EINTR: what was dumped changed meanwhile, all of it was given.
 */
int hg_netlink_dump(const struct hg_netlink *n, enum hg_command command,
		    int (*each)(void *ctx, struct nlattr **attrs), void *ctx);

/* The attribute's bytes if there are exactly so many, else NULL. */
const void *hg_netlink_bytes(struct nlattr **attrs, enum hg_attribute a, size_t size);
/* The attribute's number, or `absent`. */
__u32 hg_netlink_u32(struct nlattr **attrs, enum hg_attribute a, __u32 absent);

/* What there is of the module: loaded, in /lib/modules, nowhere. */
enum hg_module_state { HG_MODULE_NONE, HG_MODULE_THERE, HG_MODULE_BUILTIN, HG_MODULE_LOADED };
enum hg_module_state hg_module_state(void);

/* ---- an open guard (guard-kmod.c) */

struct hg_guard {
	struct hg_netlink netlink;
	struct nl_sock *events; /* NULL: nobody has asked for them yet */
	void (*each)(void *ctx, const struct hg_event *e);
	void *each_ctx;
	__u64 lost;	     /* times that events were */
	struct hg_seal seal; /* for the next command that changes; counter 0: none */
	char said[160];	     /* by the kernel, about the last command */
};

/* Sends with g's seal, if it has one. As hg_netlink_call(). */
int hg_kmod_change(struct hg_guard *g, struct nl_msg *request);

/* ---- heartbeat and lock (guard-kmod-keep.c) */

int hg_kmod_heartbeat(struct hg_guard *g, unsigned int timeout_s,
		      const struct hg_guard_distress *d);
int hg_kmod_lock(struct hg_guard *g, const __u8 key[static HG_KEY_LENGTH], __u64 after);
int hg_kmod_unlock(struct hg_guard *g);

/* ---- its events (guard-kmod-events.c) */

int hg_kmod_event_fd(struct hg_guard *g);
int hg_kmod_events(struct hg_guard *g, void (*each)(void *ctx, const struct hg_event *e),
		   void *ctx);
__u64 hg_kmod_events_lost(struct hg_guard *g);
void hg_kmod_events_close(struct hg_guard *g);

/* ---- what this kernel has for it (guard-kmod-probe.c) */

void hg_kmod_probe(const struct hg_guard_options *o, struct hg_guard_report *r);

#endif
