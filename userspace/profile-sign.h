/* SPDX-License-Identifier: MIT */
/*
 * A profile as its maker distributes it: a COSE_Sign1 (lib/cose.h) whose payload is the profile's
 * CBOR form, signed with the maker's key on P-256, with the maker's certificate in its headers; and
 * whose signatures a device takes.
 */
#ifndef HG_USERSPACE_PROFILE_SIGN_H
#define HG_USERSPACE_PROFILE_SIGN_H

#include <time.h>
#include <openssl/x509.h>
#include "../lib/cose.h"
#include "profile.h"

#define HG_PROFILE_SIGNED_MAX (HG_PROFILE_CBOR_MAX + HG_COSE_HEADERS_MAX + 128) /* bytes */

/*
 * Returns the length of the signed form, -ENOSPC, -ENOMEM, -EINVAL (the key is not on P-256, or not
 * that of the certificate) or -EIO (OpenSSL).
 */
long hg_profile_sign(const struct hg_profile *p, X509 *cert, EVP_PKEY *key, void *buf, size_t size);

/*
 * The makers whose profiles are taken, from a PEM file of up to HG_TRUST_MAX public keys and
 * certificates. A key or certificate stands for itself; the certificate of an authority stands also
 * for those that it has issued for code signing. Their dates do not count: a device holds a profile
 * for longer than that, and the profile has dates of its own.
 */
#define HG_TRUST_MAX 16
struct hg_profile_trust;

/* NULL with a message in err. */
struct hg_profile_trust *hg_profile_trust_load(const char *path, char *err, size_t err_size);
void hg_profile_trust_free(struct hg_profile_trust *t);

/*
 * Reads a signed profile. 0, or -EBADMSG (it is no signed profile), -EKEYREJECTED (not signed by
 * any of these makers), or what hg_profile_decode() returns, with a message in err. On failure *out
 * is untouched. trust NULL: whoever signed it.
 */
int hg_profile_open(const void *data, size_t len, const struct hg_profile_trust *trust,
		    struct hg_profile *out, char *err, size_t err_size);

/* Subject of the certificate in a signed profile, "CN = ..."; "" if there is none. */
void hg_profile_signer(const void *data, size_t len, char *out, size_t size);

/*
 * -EKEYEXPIRED with a message in err if the profile is not valid at `now`. A clock that stands
 * before HG_CLOCK_SET was not set, and says nothing.
 */
#define HG_CLOCK_SET 1735689600 /* 2025 */
int hg_profile_valid(const struct hg_profile *p, time_t now, char *err, size_t err_size);

/*
 * As the agent takes a profile: with the PEM file `maker` (NULL: signed or not) it must be signed,
 * and it must be valid now. Errors as above; -EKEYREJECTED also if it is not signed.
 */
int hg_profile_accept(const char *path, const char *maker, struct hg_profile *out, char *err,
		      size_t err_size);

#endif
