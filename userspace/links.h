/* SPDX-License-Identifier: MIT */
/*
 * The interfaces that are taken down between sessions ([mirror] link), and brought up for one.
 * Nothing here gives them addresses or routes: whoever did so before (a DHCP client, the kernel
 * with router advertisements) does it again, and is waited for.
 */
#ifndef HG_USERSPACE_LINKS_H
#define HG_USERSPACE_LINKS_H

#include <stddef.h>
#include <stdint.h>

struct event_base;
struct hg_conf_list;
struct hg_links;

/*
 * Brings all of them up, in case an agent that was killed left them down. One that is not there is
 * no error. NULL with a message in err.
 */
struct hg_links *hg_links_new(struct event_base *base, const struct hg_conf_list *names, char *err,
			      size_t err_size);
/* Leaves them up. */
void hg_links_free(struct hg_links *l);

/*
 * Brings all up and waits until one has a carrier, an address that is not of the link alone, and a
 * default route. done() is called once from the loop, with NULL or with what is missing after
 * `timeout_ms`. A call that waits already is forgotten.
 */
void hg_links_up(struct hg_links *l, uint64_t timeout_ms,
		 void (*done)(void *ctx, const char *missing), void *ctx);

/* Takes all down in so many ms, unless they are wanted again before. */
void hg_links_down(struct hg_links *l, uint64_t in_ms);

#endif
