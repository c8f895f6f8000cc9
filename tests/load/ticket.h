/* SPDX-License-Identifier: MIT */
/*
 * Tickets as the generator keeps them. The agent has its session in memory; the generator reads it
 * anew in each session of a device, and most of that would be the mirror's certificate.
 */
#ifndef HG_LOAD_TICKET_H
#define HG_LOAD_TICKET_H

#include <stddef.h>
#include <stdint.h>
#include <openssl/ssl.h>

/*
 * The session as DER without the mirror's certificate, which a client does not look at when it
 * resumes, in out[0..size). Returns its length, or 0 if there is not enough room.
 */
size_t load_ticket_pack(const SSL_SESSION *session, uint8_t *out, size_t size);

#endif
