/* SPDX-License-Identifier: MIT */
/*
 * The mirror's certificate authority: EC P-256 keys, ECDSA with SHA-256, one level. Each function
 * returns 0 or -errno with a message for people in err.
 */
#ifndef HG_MIRROR_PKI_H
#define HG_MIRROR_PKI_H

#include <stdint.h>
#include <time.h>
#include <openssl/x509.h>

#define HG_SERIAL_TEXT 41 /* hexadecimal digits of a serial number, and NUL */

struct hg_pki_ca {
	X509 *cert;
	EVP_PKEY *key;
};

/* Makes DIR with ca.crt and ca.key (0600). -EEXIST if there is one already. */
int hg_pki_ca_make(const char *dir, unsigned int days, char *err, size_t err_size);

int hg_pki_ca_load(const char *dir, struct hg_pki_ca *ca, char *err, size_t err_size);
void hg_pki_ca_free(struct hg_pki_ca *ca);

enum hg_pki_role { HG_PKI_DEVICE, HG_PKI_SERVER };

struct hg_pki_request {
	enum hg_pki_role role;
	const char *name; /* common name; of a device, its UID */
	const char *san;  /* as in openssl's configuration: "DNS:a,IP:b"; NULL for devices */
	unsigned int days;
	const char *cert_path, *key_path; /* written; neither may exist */
};

/*
 * Signs a certificate for a key that there is; no paths are used. The caller frees it. NULL with a
 * message in err. serial and *not_after are the certificate's.
 */
X509 *hg_pki_cert_new(const struct hg_pki_ca *ca, const struct hg_pki_request *r, EVP_PKEY *key,
		      char serial[static HG_SERIAL_TEXT], time_t *not_after, char *err,
		      size_t err_size);

/* Makes a key and its certificate. serial and *not_after are the certificate's. */
int hg_pki_issue(const struct hg_pki_ca *ca, const struct hg_pki_request *r,
		 char serial[static HG_SERIAL_TEXT], time_t *not_after, char *err, size_t err_size);

struct hg_pki_revoked {
	const char *serial; /* hexadecimal */
	time_t when;
};

/* Replaces the list at path in one step. */
int hg_pki_crl_write(const struct hg_pki_ca *ca, const struct hg_pki_revoked *list, size_t count,
		     unsigned int days, const char *path, char *err, size_t err_size);

#endif
