// SPDX-License-Identifier: MIT
/*
 * The directory of the generator's state: made, opened, locked, closed. One process at a time has
 * it, since two would be two devices with one identity, and the mirror would quarantine them.
 */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "../../mirror/pki.h"

#define MAGIC "hgload2"
#define HEAD_SIZE 4096
#define CERT_DAYS 3650

__attribute__((format(printf, 2, 3))) static int fail(struct load_state *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->error, sizeof(s->error), fmt, ap);
	va_end(ap);
	return -1;
}

static int fail_file(struct load_state *s, const char *name)
{
	return fail(s, "%s/%s: %s", s->dir, name, strerror(errno));
}

static int path_of(struct load_state *s, const char *name, char path[static PATH_MAX])
{
	if (snprintf(path, PATH_MAX, "%s/%s", s->dir, name) >= PATH_MAX)
		return fail(s, "%s: path too long", s->dir);
	return 0;
}

void load_state_uid(const struct load_state *s, uint32_t i, char uid[static LOAD_UID_TEXT])
{
	snprintf(uid, LOAD_UID_TEXT, "%s-%06u", s->head->prefix, i);
}

X509 *load_state_cert(const struct load_state *s, uint32_t i)
{
	const uint8_t *der = s->records[i].cert;

	return d2i_X509(NULL, &der, s->records[i].cert_len);
}

void load_record_ticket(struct load_record *r, const void *ticket, size_t len)
{
	__atomic_store_n(&r->ticket_len, 0, __ATOMIC_SEQ_CST);
	if (!len || len > LOAD_TICKET_MAX)
		return;
	memcpy(r->ticket, ticket, len);
	__atomic_store_n(&r->ticket_len, len, __ATOMIC_SEQ_CST);
}

void load_record_psk(struct load_record *r, const struct hg_wire_psk *psk)
{
	__atomic_store_n(&r->psk.identity_len, 0, __ATOMIC_SEQ_CST);
	if (!psk || !psk->identity.len || psk->identity.len > HG_PSK_IDENTITY_MAX ||
	    psk->key.len != HG_PSK_KEY_LEN)
		return;
	memcpy(r->psk.identity, psk->identity.ptr, psk->identity.len);
	memcpy(r->psk.key, psk->key.ptr, HG_PSK_KEY_LEN);
	r->psk.not_after_ms = psk->not_after_ms;
	__atomic_store_n(&r->psk.identity_len, psk->identity.len, __ATOMIC_SEQ_CST);
}

static int open_file(struct load_state *s, int flags)
{
	char path[PATH_MAX];

	if (path_of(s, "devices", path))
		return -1;
	s->fd = open(path, O_RDWR | O_CLOEXEC | flags, 0600);
	if (s->fd < 0 && errno == ENOENT)
		return fail(s, "%s: no state there; make one with --enrol", s->dir);
	if (s->fd < 0)
		return fail_file(s, "devices");
	if (flock(s->fd, LOCK_EX | LOCK_NB))
		return fail(s, "%s: another generator has this state", s->dir);
	return 0;
}

static int map(struct load_state *s, size_t devices)
{
	s->size = HEAD_SIZE + devices * sizeof(struct load_record);
	s->head = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (s->head == MAP_FAILED) {
		s->head = NULL;
		return fail_file(s, "devices");
	}
	s->records = (struct load_record *)((uint8_t *)s->head + HEAD_SIZE);
	return 0;
}

/* What was read from a file that anybody may have written. */
static bool is_sane(const struct load_head *h, off_t size)
{
	return !memcmp(h->magic, MAGIC, sizeof(MAGIC)) && h->devices &&
	       h->devices <= LOAD_DEVICES_MAX && h->keys && h->keys <= LOAD_KEYS_MAX &&
	       h->properties && h->properties <= LOAD_PROPERTIES_MAX &&
	       memchr(h->prefix, '\0', sizeof(h->prefix)) &&
	       size == HEAD_SIZE + (off_t)(h->devices * sizeof(struct load_record));
}

static int map_existing(struct load_state *s)
{
	struct load_head h;
	struct stat st;

	if (fstat(s->fd, &st) || pread(s->fd, &h, sizeof(h), 0) != sizeof(h))
		return fail(s, "%s/devices: cannot be read, or ends too early", s->dir);
	if (!is_sane(&h, st.st_size))
		return fail(s, "%s/devices: not a state of this program, or of another version",
			    s->dir);
	return map(s, h.devices);
}

static int no_password(char *buf, int size, int writing, void *ctx)
{
	return -1;
}

static int keys_read(struct load_state *s)
{
	char path[PATH_MAX];
	FILE *f;

	if (path_of(s, "keys.pem", path))
		return -1;
	s->keys = calloc(s->head->keys, sizeof(EVP_PKEY *));
	f = fopen(path, "re");
	for (uint32_t i = 0; f && s->keys && i < s->head->keys; i++) {
		s->keys[i] = PEM_read_PrivateKey(f, NULL, no_password, NULL);
		if (!s->keys[i]) {
			fclose(f);
			return fail(s, "%s: key %u of %u is missing or not one", path, i + 1,
				    s->head->keys);
		}
	}
	if (!f || !s->keys)
		return fail_file(s, "keys.pem");
	fclose(f);
	return 0;
}

int load_state_open(struct load_state *s, const char *dir)
{
	*s = (struct load_state){ .dir = dir, .fd = -1 };
	if (open_file(s, 0) || map_existing(s) || keys_read(s))
		return -1;
	for (uint32_t i = 0; i < s->head->devices; i++)
		if (!s->records[i].cert_len || s->records[i].cert_len > LOAD_CERT_MAX ||
		    s->records[i].ticket_len > LOAD_TICKET_MAX ||
		    s->records[i].psk.identity_len > HG_PSK_IDENTITY_MAX ||
		    s->records[i].n_journal > LOAD_JOURNAL_MAX)
			return fail(s, "%s: device %u is not complete; repeat --enrol", dir, i);
	return 0;
}

void load_state_close(struct load_state *s)
{
	for (uint32_t i = 0; s->keys && i < s->head->keys; i++)
		EVP_PKEY_free(s->keys[i]);
	free(s->keys);
	if (s->head)
		munmap(s->head, s->size);
	if (s->fd >= 0)
		close(s->fd);
	*s = (struct load_state){ .fd = -1 };
}

/* Written beside and renamed: a name that is there is whole. */
static FILE *create(struct load_state *s, const char *name, char temp[static PATH_MAX])
{
	char with[64];
	FILE *f = NULL;
	int fd;

	snprintf(with, sizeof(with), "%s.new", name);
	if (path_of(s, with, temp))
		return NULL;
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd >= 0)
		f = fdopen(fd, "w");
	if (!f)
		fail_file(s, with);
	return f;
}

static int finish(struct load_state *s, FILE *f, const char *name, const char *temp, bool good)
{
	char path[PATH_MAX];

	if (fclose(f) || !good || path_of(s, name, path) || rename(temp, path))
		return fail_file(s, name);
	return 0;
}

static int keys_write(struct load_state *s, uint32_t n)
{
	char path[PATH_MAX], temp[PATH_MAX];
	bool good = true;
	FILE *f;

	if (path_of(s, "keys.pem", path))
		return -1;
	if (!access(path, F_OK))
		return 0;
	f = create(s, "keys.pem", temp);
	for (uint32_t i = 0; f && good && i < n; i++) {
		EVP_PKEY *key = EVP_EC_gen("P-256");

		good = key && PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
		EVP_PKEY_free(key);
	}
	return f ? finish(s, f, "keys.pem", temp, good) : -1;
}

static int cert_write(struct load_state *s, const char *name, X509 *cert)
{
	char temp[PATH_MAX];
	FILE *f = create(s, name, temp);

	return f ? finish(s, f, name, temp, cert && PEM_write_X509(f, cert)) : -1;
}

static int record_make(struct load_state *s, const struct hg_pki_ca *ca, uint32_t i)
{
	struct load_record *r = &s->records[i];
	char uid[LOAD_UID_TEXT], serial[HG_SERIAL_TEXT], err[256];
	struct hg_pki_request q = { .role = HG_PKI_DEVICE, .name = uid, .days = CERT_DAYS };
	uint8_t *der = r->cert;
	time_t not_after;
	X509 *cert;
	int len;

	if (r->cert_len)
		return 0;
	load_state_uid(s, i, uid);
	if (RAND_bytes(r->epoch, sizeof(r->epoch)) != 1)
		return fail(s, "no random bytes");
	cert = hg_pki_cert_new(ca, &q, load_state_key(s, i), serial, &not_after, err, sizeof(err));
	if (!cert)
		return fail(s, "%s", err);
	len = i2d_X509(cert, NULL);
	if (len > 0 && len <= LOAD_CERT_MAX)
		len = i2d_X509(cert, &der);
	X509_free(cert);
	if (len <= 0 || len > LOAD_CERT_MAX)
		return fail(s, "%s: certificate of %d bytes; at most %d", uid, len, LOAD_CERT_MAX);
	__atomic_store_n(&r->cert_len, len, __ATOMIC_SEQ_CST);
	return 0;
}

static int certificates_make(struct load_state *s, const struct load_identities *want)
{
	struct hg_pki_ca ca;
	X509 *first = NULL;
	char err[256];
	int rc = 0;

	if (hg_pki_ca_load(want->ca, &ca, err, sizeof(err)))
		return fail(s, "%s", err);
	for (uint32_t i = 0; !rc && i < s->head->devices; i++)
		rc = record_make(s, &ca, i);
	if (!rc)
		first = load_state_cert(s, 0);
	if (!rc)
		rc = cert_write(s, "first.crt", first);
	if (!rc)
		rc = cert_write(s, "ca.crt", ca.cert);
	X509_free(first);
	hg_pki_ca_free(&ca);
	return rc;
}

/* Keeps what is there: only the number of devices may grow. */
static int head_make(struct load_state *s, const struct load_identities *want)
{
	struct load_head h = { .magic = MAGIC,
			       .devices = want->devices,
			       .properties = want->properties,
			       .keys = want->keys };
	struct load_head old;
	struct stat st;

	snprintf(h.prefix, sizeof(h.prefix), "%s", want->prefix);
	if (fstat(s->fd, &st))
		return fail_file(s, "devices");
	if (st.st_size && pread(s->fd, &old, sizeof(old), 0) == sizeof(old) && old.magic[0]) {
		if (memcmp(old.magic, h.magic, sizeof(h.magic)) || old.keys != h.keys ||
		    old.properties != h.properties || strcmp(old.prefix, h.prefix))
			return fail(s, "%s: has devices of other --prefix, --keys or --properties",
				    s->dir);
		if (old.devices > h.devices)
			h.devices = old.devices;
		h.run = old.run;
		h.run_open = old.run_open;
	}
	if (ftruncate(s->fd, HEAD_SIZE + (off_t)(h.devices * sizeof(struct load_record))) ||
	    pwrite(s->fd, &h, sizeof(h), 0) != sizeof(h))
		return fail_file(s, "devices");
	return map(s, h.devices);
}

int load_state_make(struct load_state *s, const char *dir, const struct load_identities *want)
{
	*s = (struct load_state){ .dir = dir, .fd = -1 };
	if (mkdir(dir, 0700) && errno != EEXIST)
		return fail(s, "%s: %s", dir, strerror(errno));
	return open_file(s, O_CREAT) || keys_write(s, want->keys) || head_make(s, want) ||
			       keys_read(s) || certificates_make(s, want)
		       ? -1
		       : 0;
}
