/* SPDX-License-Identifier: MIT */
/* What the hosts of the guard share inside; their callers need guard.h and guard-host.h only. */
#ifndef HG_USERSPACE_GUARD_COMMON_H
#define HG_USERSPACE_GUARD_COMMON_H

#include "guard.h"

/* Why something failed, in words, for the person who reads the message. */
struct hg_error {
	char *text;
	size_t size;
};

/* Writes the words and returns ret, so that a caller can `return hg_error_set(...)`. */
int hg_error_set(struct hg_error *e, int ret, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Interfaces are named once, policy and modes exist, no table is empty; else -EINVAL. */
int hg_guard_options_check(const struct hg_guard_options *o, struct hg_error *e);

/* "192.168.7.0/24", "fd00:7::/64", or an address; host bits become zero. -EINVAL: none of these. */
int hg_prefix_parse(const char *text, struct hg_prefix *prefix);
/* All of o->trusted, to be freed; NULL with *ret set: one is wrong, or there is no memory. */
struct hg_prefix *hg_guard_trusted(const struct hg_guard_options *o, int *ret, struct hg_error *e);

/* Adds a fact to a report; what comes after HG_GUARD_FACTS_MAX is left out. */
void hg_guard_fact(struct hg_guard_report *r, const char *name, bool good, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* 0: Ethernet; 1: packets begin with the IP header; -errno: nothing else can be guarded. */
int hg_guard_link_type(const char *name, struct hg_error *e);

/* Whether the bytes are an event as long as its type says. */
bool hg_event_whole(const struct hg_event *e, size_t size);

#endif
