// SPDX-License-Identifier: MIT
/*
 * `heliograph profile sign|verify`: a profile in the form in which its maker distributes it. Where
 * the key is kept is the maker's affair; it is read from a file that only its owner can read.
 */
#include "cmd_profile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include "../lib/args.h"
#include "../lib/tls.h"
#include "profile-sign.h"

static int complain(const char *what, const char *why)
{
	fprintf(stderr, "heliograph: %s: %s\n", what, why);
	return HG_EXIT_FAILED;
}

static X509 *load_cert(const char *path)
{
	FILE *f = fopen(path, "re");
	X509 *cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	if (!f)
		complain(path, strerror(errno));
	else if (!cert)
		complain(path, "not a certificate in PEM");
	if (f)
		fclose(f);
	return cert;
}

/* Whole or not at all: a half file must not be taken for a profile. */
static int write_file(const char *path, const uint8_t *data, size_t len)
{
	FILE *f = path ? fopen(path, "we") : stdout;
	bool good = f && fwrite(data, 1, len, f) == len && !fflush(f);
	int ret = good ? HG_EXIT_OK : complain(path ? path : "standard output", strerror(errno));

	if (f && path && fclose(f) && good)
		ret = complain(path, strerror(errno));
	if (ret && f && path)
		unlink(path);
	return ret;
}

static const char *sign_error(long n)
{
	switch (n) {
	case -EINVAL:
		return "the key must be that of the certificate, on P-256";
	case -ENOSPC:
		return "the profile is too large to be signed: its CBOR form has more than 64 KiB";
	case -ENOMEM:
		return "out of memory";
	default:
		return "OpenSSL cannot sign";
	}
}

static int sign(const struct hg_profile *p, X509 *cert, EVP_PKEY *key, const char *out)
{
	uint8_t *buf = malloc(HG_PROFILE_SIGNED_MAX);
	long n = -ENOMEM;
	int ret;

	if (!(X509_get_extension_flags(cert) & EXFLAG_XKUSAGE) ||
	    !(X509_get_extended_key_usage(cert) & XKU_CODE_SIGN))
		fprintf(stderr, "heliograph: profile sign: note: the certificate does not name "
				"code signing: devices must have it itself, not its authority, in "
				"[profile] maker\n");
	if (buf)
		n = hg_profile_sign(p, cert, key, buf, HG_PROFILE_SIGNED_MAX);
	ret = n < 0 ? complain("profile sign", sign_error(n)) : write_file(out, buf, (size_t)n);
	free(buf);
	return ret;
}

int hg_cmd_profile_sign(void *ctx, int argc, char **argv)
{
	const char *key_path = NULL, *cert_path = NULL, *out = NULL;
	struct hg_arg args[] = { { "key", &key_path, 1, 0, 'k' },
				 { "cert", &cert_path, 1, 0, 'c' },
				 { "out", &out, 1, 0, 'o' },
				 { 0 } };
	struct hg_profile *p;
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	char err[256];
	int ret = HG_EXIT_FAILED;

	if (hg_args_take("heliograph", argc, argv, 1, 1, args) < 0)
		return HG_EXIT_USAGE;
	if (!key_path || !cert_path) {
		complain("profile sign", "wants the maker's key and certificate: -k KEY -c CERT");
		return HG_EXIT_USAGE;
	}
	if (!out && isatty(STDOUT_FILENO)) {
		complain("profile sign", "what it writes is binary: name a file with -o OUT");
		return HG_EXIT_USAGE;
	}
	p = hg_cmd_profile_load(argv[1]);
	if (p)
		cert = load_cert(cert_path);
	if (cert && hg_tls_key_load(key_path, &key, err, sizeof(err)))
		fprintf(stderr, "heliograph: %s\n", err);
	if (key)
		ret = sign(p, cert, key, out);
	EVP_PKEY_free(key);
	X509_free(cert);
	free(p);
	return ret;
}

static int verify(const char *path, const char *maker)
{
	struct hg_profile *p = malloc(sizeof(*p));
	char err[512], signer[200] = "";
	uint8_t *data = NULL;
	int ret = HG_EXIT_FAILED;
	size_t len = 0;

	if (!p)
		return hg_cmd_no_memory();
	if (hg_profile_accept(path, maker, p, err, sizeof(err))) {
		fprintf(stderr, "heliograph: %s\n", err);
	} else {
		ret = HG_EXIT_OK;
		if (!hg_profile_read_file(path, &data, &len, err, sizeof(err)))
			hg_profile_signer(data, len, signer, sizeof(signer));
		printf("%s: good: %s %s, serial %llu, signed by %s\n", path, p->model, p->firmware,
		       (unsigned long long)p->serial, *signer ? signer : "a key of that file");
	}
	free(data);
	free(p);
	return fflush(stdout) ? HG_EXIT_FAILED : ret;
}

int hg_cmd_profile_verify(void *ctx, int argc, char **argv)
{
	const char *maker = NULL;
	struct hg_arg args[] = { { "maker", &maker, 1, 0, 'm' }, { 0 } };

	if (hg_args_take("heliograph", argc, argv, 1, 1, args) < 0)
		return HG_EXIT_USAGE;
	if (!maker) {
		complain("profile verify", "wants to know whose signature is good: -m CERTS");
		return HG_EXIT_USAGE;
	}
	return verify(argv[1], maker);
}
