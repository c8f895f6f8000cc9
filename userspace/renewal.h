/* SPDX-License-Identifier: MIT */
/*
 * The device's certificate, renewed over sessions before it ends (docs/sync-protocol.md, section
 * 2.2). The new one is in state_dir; the one that is configured is never touched.
 */
#ifndef HG_USERSPACE_RENEWAL_H
#define HG_USERSPACE_RENEWAL_H

#include <stdbool.h>
#include "../lib/wire.h"

struct hg_agent;
struct hg_renewal;

/*
 * Called before anything reads the certificate: lets the configuration name the renewed one, if
 * there is one that lasts longer. NULL if out of memory.
 */
struct hg_renewal *hg_renewal_new(struct hg_agent *agent);
void hg_renewal_free(struct hg_renewal *r);

/*
 * At the begin of a session: shall it ask for a certificate? Then it must show the old one, so
 * neither key nor ticket is to be offered.
 */
bool hg_renewal_begin(struct hg_renewal *r);

/* For the next request: a certification request, once in a session that asks; else empty. */
struct hg_slice hg_renewal_csr(struct hg_renewal *r);

/*
 * A response of status OK came. Takes its certificate, durably, and learns from its time whether
 * one is wanted. True if another certificate is in use from now on: contexts are to be made anew.
 */
bool hg_renewal_answer(struct hg_renewal *r, const struct hg_wire_response *response);

/*
 * A session failed in TLS: it may be the certificate. True if another is in use from now on, as
 * above.
 */
bool hg_renewal_failed(struct hg_renewal *r);

#endif
