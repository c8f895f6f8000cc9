/* SPDX-License-Identifier: MIT */
/*
 * What shortens a handshake with the mirror: its pre-shared key or, without one, its session
 * ticket. Both are in files of state_dir, closed to others, and survive a restart. They replace the
 * check of the mirror's certificate, so they are kept for one mirror, authority and UID only.
 */
#ifndef HG_USERSPACE_CREDENTIALS_H
#define HG_USERSPACE_CREDENTIALS_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include "../lib/wire.h"

struct hg_agent;
struct hg_credentials;

/* Loads what there is for this mirror. NULL if out of memory. */
struct hg_credentials *hg_credentials_new(const struct hg_agent *agent);
/* Saves the ticket. */
void hg_credentials_free(struct hg_credentials *c);

/* The configuration was read again: forgets what was for another mirror, authority or UID. */
void hg_credentials_rebind(struct hg_credentials *c);

/* Tickets that sessions of tls are given come to c. */
void hg_credentials_attach(struct hg_credentials *c, SSL_CTX *tls);

/* Before a handshake: offer the key or the ticket, unless certificates are to be shown. */
void hg_credentials_offer(struct hg_credentials *c, SSL *ssl, bool any);
/*
 * Then, before the handshake: may the first request be early data? So it may if the key is offered,
 * the configuration allows it, no other key is wanted, and the mirror has not refused it within a
 * day and with this key. If so, SSL_write_early_data() can be called.
 */
bool hg_credentials_early(struct hg_credentials *c, SSL *ssl);
/* The mirror took no early data. */
void hg_credentials_late(struct hg_credentials *c);
/* After it: a key that the mirror passed over is forgotten. True if the key was used. */
bool hg_credentials_used(struct hg_credentials *c, const SSL *ssl);
/* A handshake failed by what the mirror said, or another certificate is in use from now on. */
void hg_credentials_forget(struct hg_credentials *c);

/* Flags for the next request: HG_REQUEST_KEY once in a session in which a key is wanted. */
uint32_t hg_credentials_flags(struct hg_credentials *c);
/* A response of status OK came: takes its key, durably, and the mirror's time. */
void hg_credentials_answer(struct hg_credentials *c, const struct hg_wire_response *r);

#endif
