/* SPDX-License-Identifier: MIT */
#ifndef HG_USERSPACE_NOTIFY_H
#define HG_USERSPACE_NOTIFY_H

/* Tells the service manager (sd_notify(3)'s protocol) if there is one that listens. */
void hg_notify(const char *state);

#endif
