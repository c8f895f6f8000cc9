/* SPDX-License-Identifier: MIT */
/*
 * Synchronisation with the mirror: when a session is due (sync.c) and how one goes (session.c).
 * docs/sync-protocol.md is the specification. There is at most one session at a time.
 */
#ifndef HG_USERSPACE_SYNC_H
#define HG_USERSPACE_SYNC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hg_agent;
struct hg_sync;

/* Loads certificates; the first session is due at once. NULL with a message in err. */
struct hg_sync *hg_sync_new(struct hg_agent *agent, char *err, size_t err_size);
/* Breaks off a session that runs. */
void hg_sync_free(struct hg_sync *s);

/* Loads certificates, keys and revocation lists again. On failure the old ones stay. */
int hg_sync_reload(struct hg_sync *s, char *err, size_t err_size);

/*
 * n properties were changed: a session begins within so many ms, after interval_soon if that is
 * UINT64_MAX, or at once when changes_many of them wait. Backoff still holds.
 */
void hg_sync_changed(struct hg_sync *s, size_t n, uint64_t within_ms);

/* A command has ended: a session that lingers for it goes on, else one is due at once. */
void hg_sync_report(struct hg_sync *s);

/*
 * A session at once, whatever the backoff; if one runs, another after it. done is called when it
 * has ended: ret 0 or -errno, with `text` for people. hg_sync_forget() takes back all callbacks of
 * this ctx.
 */
int hg_sync_now(struct hg_sync *s, void (*done)(void *ctx, int ret, const char *text), void *ctx);
void hg_sync_forget(struct hg_sync *s, const void *ctx);

/* For `status`; a new object. */
json_t *hg_sync_status(const struct hg_sync *s);

#endif
