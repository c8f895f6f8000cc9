/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* So many a second: struct hg_rate. */
#ifndef HG_CORE_RATE_H
#define HG_CORE_RATE_H

#include "host.h"

/* At most `limit` a second; a burst across two seconds may be twice that. */
static hg_inline int hg_rate_allows(struct hg_host *h, __u32 kind, __u32 limit, __u32 now_s)
{
	struct hg_rate *r = hg_host_rate(h, kind);

	if (!r)
		return 0;
	if (r->second != now_s) {
		r->second = now_s;
		r->count = 0;
	}
	if (r->count >= limit)
		return 0;
	r->count++;
	return 1;
}

#endif
