// SPDX-License-Identifier: MIT
/*
 * Pre-shared key and ticket. Made by sync.c, used by session.c. There is one or the other: a mirror
 * gives no ticket to who used a key, and a new key makes the ticket superfluous. Losing both costs
 * one full handshake, so a file that is not whole is not read, and one that cannot be written is
 * said once and done without.
 *
 * Flash wears: a key is written once in half its life, a ticket at most once an hour.
 */
#include "credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include "agent.h"
#include "state-file.h"
#include "../lib/cbor.h"
#include "../lib/log.h"
#include "../lib/psk.h"

#define TICKET_SAVE_MS (3600 * 1000)
#define LATE_MS (24 * 3600 * 1000)
#define FILE_FORM 1	   /* of the key's file */
#define FILE_MAX 512	   /* bytes of it */
#define BINDING_LEN 32	   /* SHA-256 */
#define CA_MAX (256 << 10) /* bytes of the authorities' file that are looked at */

struct hg_credentials {
	const struct hg_agent *agent;
	uint8_t binding[BINDING_LEN]; /* of mirror, authorities and UID */
	struct hg_psk psk;	      /* identity_len 0: none */
	struct hg_psk offered;	      /* as psk was when the session began */
	uint64_t half_ms;	      /* mirror's time from which on another is wanted */
	uint64_t mirror_ms, heard_ms; /* the mirror's time, and our uptime when it said it; or 0 */
	SSL_SESSION *ticket;
	uint64_t ticket_saved_ms;
	bool ticket_new;  /* not in its file */
	bool asked;	  /* in this session, for a key */
	bool told;	  /* that a file cannot be written */
	uint64_t late_ms; /* uptime until which no early data is sent, for the mirror took none */
};

static const char *dir_of(const struct hg_credentials *c)
{
	return c->agent->conf.device.state_dir;
}

static void write_file(struct hg_credentials *c, const char *name, const void *data, size_t len)
{
	int rc = hg_state_write(dir_of(c), name, data, len);

	if (rc && !c->told)
		hg_warn("%s/%s: cannot be written: %s; the next start begins with a full handshake",
			dir_of(c), name, strerror(-rc));
	c->told = rc != 0;
}

/* Who the mirror is, who vouches for it, and who we are. */
static bool make_binding(const struct hg_agent *agent, uint8_t out[static BINDING_LEN])
{
	const struct hg_agent_conf *conf = &agent->conf;
	const char *name = conf->mirror.name ? conf->mirror.name : conf->mirror.host;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	char *ca = malloc(CA_MAX);
	FILE *f = fopen(conf->mirror.ca, "re");
	size_t n = ca && f ? fread(ca, 1, CA_MAX, f) : 0;
	bool good = md && n && EVP_DigestInit_ex(md, EVP_sha256(), NULL) &&
		    EVP_DigestUpdate(md, name, strlen(name) + 1) &&
		    EVP_DigestUpdate(md, agent->uid, strlen(agent->uid) + 1) &&
		    EVP_DigestUpdate(md, ca, n) && EVP_DigestFinal_ex(md, out, NULL);

	if (f)
		fclose(f);
	free(ca);
	EVP_MD_CTX_free(md);
	return good;
}

static void save_psk(struct hg_credentials *c)
{
	uint8_t buf[FILE_MAX];
	struct hg_cbor_out o = hg_cbor_out_of(buf, sizeof(buf));

	hg_cbor_put_array(&o, 6);
	hg_cbor_put_uint(&o, FILE_FORM);
	hg_cbor_put_bytes(&o, hg_slice_of(c->binding, BINDING_LEN));
	hg_cbor_put_bytes(&o, hg_slice_of(c->psk.identity, c->psk.identity_len));
	hg_cbor_put_bytes(&o, hg_slice_of(c->psk.key, sizeof(c->psk.key)));
	hg_cbor_put_uint(&o, c->psk.not_after_ms);
	hg_cbor_put_uint(&o, c->half_ms);
	if (!o.err)
		write_file(c, "psk", buf, o.len);
	OPENSSL_cleanse(buf, sizeof(buf));
}

static void load_psk(struct hg_credentials *c)
{
	uint8_t buf[FILE_MAX];
	size_t n = hg_state_read(dir_of(c), "psk", buf, sizeof(buf));
	struct hg_cbor_in in = hg_cbor_in_of(hg_slice_of(buf, n));
	struct hg_slice binding, identity, key;
	uint64_t not_after_ms, half_ms;
	bool good = in.data.len && hg_cbor_get_array(&in) == 6 &&
		    hg_cbor_get_uint(&in) == FILE_FORM;

	binding = hg_cbor_get_bytes(&in);
	identity = hg_cbor_get_bytes(&in);
	key = hg_cbor_get_bytes(&in);
	not_after_ms = hg_cbor_get_uint(&in);
	half_ms = hg_cbor_get_uint(&in);
	if (good && !hg_cbor_end(&in) && identity.len && identity.len <= HG_PSK_IDENTITY_MAX &&
	    key.len == HG_PSK_KEY_LEN &&
	    hg_slice_eq(binding, hg_slice_of(c->binding, BINDING_LEN))) {
		memcpy(c->psk.identity, identity.ptr, identity.len);
		c->psk.identity_len = identity.len;
		memcpy(c->psk.key, key.ptr, key.len);
		c->psk.not_after_ms = not_after_ms;
		c->half_ms = half_ms;
	}
	OPENSSL_cleanse(buf, sizeof(buf));
}

static void forget_psk(struct hg_credentials *c)
{
	if (c->psk.identity_len)
		hg_state_remove(dir_of(c), "psk");
	OPENSSL_cleanse(&c->psk, sizeof(c->psk));
	c->half_ms = 0;
}

static void forget_ticket(struct hg_credentials *c)
{
	SSL_SESSION_free(c->ticket);
	if (c->ticket || c->ticket_saved_ms)
		hg_state_remove(dir_of(c), "ticket");
	c->ticket = NULL;
	c->ticket_new = false;
	c->ticket_saved_ms = 0;
}

/* A line of hexadecimal digits, which PEM readers skip, and the session. */
static void save_ticket(struct hg_credentials *c)
{
	BIO *bio = c->ticket_new ? BIO_new(BIO_s_mem()) : NULL;
	char *data;
	long len;

	if (!bio)
		return;
	for (int i = 0; i < BINDING_LEN; i++)
		BIO_printf(bio, "%02x", c->binding[i]);
	BIO_puts(bio, "\n");
	if (PEM_write_bio_SSL_SESSION(bio, c->ticket)) {
		len = BIO_get_mem_data(bio, &data);
		write_file(c, "ticket", data, len);
	}
	BIO_free(bio);
	ERR_clear_error();
	c->ticket_saved_ms = hg_uptime_ms();
	c->ticket_new = false;
}

static void load_ticket(struct hg_credentials *c)
{
	char path[4200], line[2 * BINDING_LEN + 2], want[2 * BINDING_LEN + 2];
	FILE *f;

	f = fopen(hg_state_path(dir_of(c), "ticket", path, sizeof(path)), "re");
	if (!f)
		return;
	for (int i = 0; i < BINDING_LEN; i++)
		snprintf(want + 2 * i, 4, "%02x\n", c->binding[i]);
	if (fgets(line, sizeof(line), f) && !strcmp(line, want))
		c->ticket = PEM_read_SSL_SESSION(f, NULL, NULL, NULL);
	fclose(f);
	ERR_clear_error();
	c->ticket_saved_ms = hg_uptime_ms();
}

struct hg_credentials *hg_credentials_new(const struct hg_agent *agent)
{
	struct hg_credentials *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->agent = agent;
	if (make_binding(agent, c->binding)) {
		load_psk(c);
		if (!c->psk.identity_len)
			load_ticket(c);
	}
	return c;
}

void hg_credentials_free(struct hg_credentials *c)
{
	if (!c)
		return;
	save_ticket(c);
	SSL_SESSION_free(c->ticket);
	OPENSSL_clear_free(c, sizeof(*c));
}

void hg_credentials_rebind(struct hg_credentials *c)
{
	uint8_t binding[BINDING_LEN] = { 0 };

	if (make_binding(c->agent, binding) && !memcmp(binding, c->binding, sizeof(binding)))
		return;
	memcpy(c->binding, binding, sizeof(binding));
	forget_psk(c);
	forget_ticket(c);
}

static int on_ticket(SSL *ssl, SSL_SESSION *ticket)
{
	struct hg_credentials *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	SSL_SESSION_free(c->ticket);
	c->ticket = ticket;
	c->ticket_new = true;
	return 1;
}

void hg_credentials_attach(struct hg_credentials *c, SSL_CTX *tls)
{
	SSL_CTX_set_app_data(tls, c);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(tls, on_ticket);
}

void hg_credentials_offer(struct hg_credentials *c, SSL *ssl, bool any)
{
	c->asked = false;
	c->offered = (struct hg_psk){ 0 };
	if (!any)
		return;
	c->offered = c->psk;
	if (c->offered.identity_len)
		hg_psk_offer(ssl, &c->offered);
	else if (c->ticket)
		SSL_set_session(ssl, c->ticket);
}

bool hg_credentials_used(struct hg_credentials *c, const SSL *ssl)
{
	bool used = hg_psk_used(ssl);

	if (!used && c->offered.identity_len)
		forget_psk(c);
	return used;
}

void hg_credentials_forget(struct hg_credentials *c)
{
	forget_psk(c);
	forget_ticket(c);
}

/* The mirror's time by what it said last; before it has said any, our clock has to do. */
static uint64_t mirror_now(const struct hg_credentials *c)
{
	return c->mirror_ms ? c->mirror_ms + (hg_uptime_ms() - c->heard_ms) : hg_now_ms();
}

static bool wants_key(const struct hg_credentials *c)
{
	return !c->psk.identity_len || mirror_now(c) >= c->half_ms;
}

bool hg_credentials_early(struct hg_credentials *c, SSL *ssl)
{
	return c->agent->conf.mirror.early && c->offered.identity_len &&
	       hg_uptime_ms() >= c->late_ms && !wants_key(c) &&
	       SSL_set_max_early_data(ssl, HG_PSK_EARLY_MAX);
}

void hg_credentials_late(struct hg_credentials *c)
{
	c->late_ms = hg_uptime_ms() + LATE_MS;
}

uint32_t hg_credentials_flags(struct hg_credentials *c)
{
	if (c->asked || !wants_key(c))
		return 0;
	c->asked = true;
	return HG_REQUEST_KEY;
}

void hg_credentials_answer(struct hg_credentials *c, const struct hg_wire_response *r)
{
	c->mirror_ms = r->time_ms;
	c->heard_ms = hg_uptime_ms();
	if (!r->psk.identity.len) {
		if (!c->ticket_saved_ms || hg_uptime_ms() - c->ticket_saved_ms > TICKET_SAVE_MS)
			save_ticket(c);
		return;
	}
	memcpy(c->psk.identity, r->psk.identity.ptr, r->psk.identity.len);
	c->psk.identity_len = r->psk.identity.len;
	memcpy(c->psk.key, r->psk.key.ptr, r->psk.key.len);
	c->psk.not_after_ms = r->psk.not_after_ms;
	c->late_ms = 0;
	c->half_ms = r->psk.not_after_ms > r->time_ms
			     ? r->time_ms + (r->psk.not_after_ms - r->time_ms) / 2
			     : r->time_ms;
	save_psk(c);
	forget_ticket(c);
}
