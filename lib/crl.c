// SPDX-License-Identifier: MIT
/*
 * A callback in front of OpenSSL's own check of a revocation list. What it remembers hangs on the
 * store, is written once and read by all threads, and ends with the store: a reload of the list is
 * a new store.
 */
#include "crl.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <openssl/x509v3.h>
#include <openssl/x509_vfy.h>

#define SEEN_MAX 8 /* lists; further ones are verified each time */

/* A list that is good from when it was verified until its end. */
struct seen {
	const X509_CRL *crl;
	const X509 *issuer;
	time_t from, until;
};

struct memory {
	_Atomic(struct seen *) seen[SEEN_MAX];
};

static int memory_index = -1;
static X509_STORE_CTX_check_crl_fn check_anew; /* OpenSSL's own */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void memory_free(void *parent, void *data, CRYPTO_EX_DATA *ad, int index, long argl,
			void *argp)
{
	struct memory *m = data;

	for (int i = 0; m && i < SEEN_MAX; i++)
		free(atomic_load(&m->seen[i]));
	free(m);
}

static void set_up(void)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *sc = X509_STORE_CTX_new();

	if (store && sc && X509_STORE_CTX_init(sc, store, NULL, NULL)) {
		check_anew = X509_STORE_CTX_get_check_crl(sc);
		memory_index = X509_STORE_get_ex_new_index(0, NULL, NULL, NULL, memory_free);
	}
	X509_STORE_CTX_free(sc);
	X509_STORE_free(store);
}

static bool is_of_store(X509_STORE *store, const X509 *cert)
{
	STACK_OF(X509_OBJECT) *all = X509_STORE_get0_objects(store);

	for (int i = 0; i < sk_X509_OBJECT_num(all); i++)
		if (X509_OBJECT_get0_X509(sk_X509_OBJECT_value(all, i)) == cert)
			return true;
	return false;
}

/*
 * The issuer if it is the list's, too, so that no path but the certificate's is to be judged; NULL
 * if this is not the plain case.
 */
static const X509 *plain_issuer(X509_STORE_CTX *sc, X509_CRL *crl)
{
	X509 *issuer = sk_X509_value(X509_STORE_CTX_get0_chain(sc),
				     X509_STORE_CTX_get_error_depth(sc) + 1);

	if (!issuer || issuer != X509_STORE_CTX_get0_current_issuer(sc) ||
	    (X509_VERIFY_PARAM_get_flags(X509_STORE_CTX_get0_param(sc)) &
	     (X509_V_FLAG_USE_CHECK_TIME | X509_V_FLAG_EXTENDED_CRL_SUPPORT |
	      X509_V_FLAG_USE_DELTAS)) ||
	    X509_CRL_get_ext_by_NID(crl, NID_issuing_distribution_point, -1) >= 0 ||
	    X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0)
		return NULL;
	return issuer;
}

static time_t end_of(const X509_CRL *crl)
{
	const ASN1_TIME *end = X509_CRL_get0_nextUpdate(crl);
	struct tm tm;

	return end && ASN1_TIME_to_tm(end, &tm) ? timegm(&tm) : 0;
}

static bool remembered(struct memory *m, const X509_CRL *crl, const X509 *issuer, time_t now)
{
	for (int i = 0; i < SEEN_MAX; i++) {
		const struct seen *s = atomic_load_explicit(&m->seen[i], memory_order_acquire);

		if (!s)
			return false;
		if (s->crl == crl && s->issuer == issuer)
			return now >= s->from && now < s->until;
	}
	return false;
}

static void remember(struct memory *m, const X509_CRL *crl, const X509 *issuer, time_t now)
{
	struct seen *s = malloc(sizeof(*s));

	if (!s)
		return;
	*s = (struct seen){ crl, issuer, now, end_of(crl) };
	for (int i = 0; i < SEEN_MAX; i++) {
		struct seen *none = NULL;

		if (atomic_compare_exchange_strong(&m->seen[i], &none, s))
			return;
		if (none->crl == crl && none->issuer == issuer)
			break;
	}
	free(s);
}

static int check(X509_STORE_CTX *sc, X509_CRL *crl)
{
	X509_STORE *store = X509_STORE_CTX_get0_store(sc);
	struct memory *m = X509_STORE_get_ex_data(store, memory_index);
	const X509 *issuer = plain_issuer(sc, crl);
	time_t now = time(NULL);
	int before = X509_STORE_CTX_get_error(sc), good;

	if (issuer && remembered(m, crl, issuer, now))
		return 1;
	good = check_anew(sc, crl);
	/* A callback may have let an error pass. */
	if (good == 1 && issuer && before == X509_V_OK &&
	    X509_STORE_CTX_get_error(sc) == X509_V_OK && is_of_store(store, issuer))
		remember(m, crl, issuer, now);
	return good;
}

int hg_crl_remember(X509_STORE *store)
{
	struct memory *m = calloc(1, sizeof(*m));

	pthread_once(&once, set_up);
	if (!m || memory_index < 0 || !check_anew ||
	    !X509_STORE_set_ex_data(store, memory_index, m)) {
		free(m);
		return -ENOMEM;
	}
	X509_STORE_set_check_crl(store, check);
	return 0;
}
