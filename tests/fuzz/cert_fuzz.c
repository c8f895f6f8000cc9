/* SPDX-License-Identifier: MIT */
/* Any bytes as a certificate (DER): the UID that is found in it is one, and there is only one. */
#include "fuzz.h"

#include <errno.h>
#include <string.h>
#include <openssl/err.h>

#include "../../lib/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const unsigned char *at = data;
	X509 *cert = d2i_X509(NULL, &at, (long)size);
	char uid[HG_UID_MAX + 1];
	int ret;

	memset(uid, 'x', sizeof(uid));
	if (cert) {
		ret = hg_tls_cert_uid(cert, uid);
		holds(ret == 0 || ret == -ENOENT || ret == -EINVAL);
		if (!ret) {
			holds(memchr(uid, '\0', sizeof(uid)));
			holds(hg_uid_valid(uid, strlen(uid)));
		} else {
			holds(uid[0] == 'x' && uid[HG_UID_MAX] == 'x');
		}
	}
	X509_free(cert);
	ERR_clear_error();
	return 0;
}
