// SPDX-License-Identifier: MIT
/*
 * sender: one datagram to a collector, and what it is answered. For tests.
 *
 *   sender OPTION=VALUE...
 *     to=ADDR:PORT cert=FILE key=FILE collector=FILE     who speaks to whom
 *     kind=enrol|alarm|junk   class=N feature=N value=N time=MS counter=N episode=N uid=UID
 *     target=NET/LEN proto=N port=N
 *     flip=N (invert byte N from the end)  size=N (of junk)  times=N (send N copies)  wait=MS
 *     save=FILE load=FILE     keep the datagram; send one that was kept
 *
 * Prints stored, enrol, rejected, forged (an answer that the collector's key did not sign) or none.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/pem.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include "../../lib/alarm.h"

#define JUNK_MAX 65507

static const char *const *args;

static const char *get(const char *name, const char *absent)
{
	size_t n = strlen(name);

	for (const char *const *a = args; *a; a++)
		if (!strncmp(*a, name, n) && (*a)[n] == '=')
			return *a + n + 1;
	return absent;
}

static unsigned long long number(const char *name, const char *absent)
{
	return strtoull(get(name, absent), NULL, 10);
}

static void die(const char *what)
{
	fprintf(stderr, "sender: %s\n", what);
	exit(2);
}

static X509 *cert_of(const char *name)
{
	FILE *f = fopen(get(name, ""), "re");
	X509 *cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	if (!cert)
		die(name);
	fclose(f);
	return cert;
}

static EVP_PKEY *private_key(void)
{
	FILE *f = fopen(get("key", ""), "re");
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

	if (!key)
		die("key");
	fclose(f);
	return key;
}

static int open_socket(void)
{
	char host[INET6_ADDRSTRLEN] = "";
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in in = { .sin_family = AF_INET };
	const char *to = get("to", ""), *colon = strrchr(to, ':');
	int fd;

	if (!colon || (size_t)(colon - to) >= sizeof(host))
		die("to=ADDR:PORT");
	memcpy(host, to, (size_t)(colon - to));
	in.sin_port = in6.sin6_port = htons((uint16_t)atoi(colon + 1));
	if (inet_pton(AF_INET, host, &in.sin_addr) == 1) {
		fd = socket(AF_INET, SOCK_DGRAM, 0);
		if (connect(fd, (struct sockaddr *)&in, sizeof(in)))
			die(strerror(errno));
		return fd;
	}
	if (inet_pton(AF_INET6, host, &in6.sin6_addr) != 1)
		die("to=ADDR:PORT");
	fd = socket(AF_INET6, SOCK_DGRAM, 0);
	if (connect(fd, (struct sockaddr *)&in6, sizeof(in6)))
		die(strerror(errno));
	return fd;
}

static void put_target(struct hg_alarm *a)
{
	struct hg_alarm_target *t = &a->targets[0];
	char addr[INET6_ADDRSTRLEN + 4];
	char *slash;

	if (!*get("target", ""))
		return;
	snprintf(addr, sizeof(addr), "%s", get("target", ""));
	slash = strchr(addr, '/');
	if (!slash)
		die("target=NET/LEN");
	*slash = '\0';
	t->family = strchr(addr, ':') ? 6 : 4;
	if (inet_pton(t->family == 4 ? AF_INET : AF_INET6, addr, t->addr) != 1)
		die("target=NET/LEN");
	t->prefix_len = (uint8_t)atoi(slash + 1);
	t->proto = (uint8_t)number("proto", "6");
	t->port = (uint16_t)number("port", "0");
	t->packets = 1000;
	a->n_targets = 1;
}

static long make_alarm(X509 *cert, EVP_PKEY *key, const char *uid, uint8_t *buf)
{
	struct hg_alarm a = { .model = "test", .firmware = "1", .bound = 10 };

	snprintf(a.uid, sizeof(a.uid), "%s", uid);
	a.counter = number("counter", "1");
	a.episode = number("episode", get("counter", "1"));
	a.alarm_class = (uint8_t)number("class", "2");
	a.feature = (uint8_t)number("feature", "1");
	a.value = number("value", "1000");
	a.time_ms = number("time", "1700000000000");
	a.attack = (uint8_t)number("attack", "0");
	a.window = (uint16_t)number("window", "0");
	put_target(&a);
	return hg_alarm_sign(&a, cert, key, buf, HG_ALARM_MAX);
}

static long make(uint8_t *buf)
{
	const char *kind = get("kind", "alarm");
	char own[HG_UID_MAX + 1];
	const char *uid;
	EVP_PKEY *key;
	X509 *cert;
	long n;

	if (!strcmp(kind, "junk")) {
		n = (long)number("size", "100");
		if (n > JUNK_MAX)
			die("size");
		for (long i = 0; i < n; i += 256)
			if (getrandom(buf + i, (size_t)(n - i < 256 ? n - i : 256), 0) < 0)
				die("getrandom");
		return n;
	}
	cert = cert_of("cert");
	key = private_key();
	if (hg_tls_cert_uid(cert, own))
		die("certificate has no UID");
	uid = get("uid", own);
	n = strcmp(kind, "enrol")
		    ? make_alarm(cert, key, uid, buf)
		    : hg_enrol_sign(uid, number("counter", "1"), cert, key, buf, HG_ENROL_MAX);
	X509_free(cert);
	EVP_PKEY_free(key);
	if (n < 0)
		die(strerror((int)-n));
	return n;
}

static const char *answer(int fd)
{
	static const char *const names[] = { "stored", "enrol", "rejected" };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	X509 *cert = cert_of("collector");
	EVP_PKEY *key = X509_get_pubkey(cert);
	const char *what = "none";
	uint8_t buf[2048];
	struct hg_ack ack;
	ssize_t n;

	if (poll(&p, 1, (int)number("wait", "3000")) == 1 &&
	    (n = recv(fd, buf, sizeof(buf), 0)) > 0)
		what = hg_ack_open(hg_slice_of(buf, (size_t)n), key, &ack) ? "forged"
									   : names[ack.code];
	EVP_PKEY_free(key);
	X509_free(cert);
	return what;
}

int main(int argc, char **argv)
{
	static uint8_t buf[JUNK_MAX];
	long n, flip;
	FILE *f;
	int fd;

	args = (const char *const *)argv + 1;
	fd = open_socket();
	if (*get("load", "")) {
		f = fopen(get("load", ""), "re");
		n = f ? (long)fread(buf, 1, sizeof(buf), f) : -1;
		if (n < 0)
			die("load");
		fclose(f);
	} else {
		n = make(buf);
	}
	flip = (long)number("flip", "0");
	if (flip && flip <= n)
		buf[n - flip] ^= 0xff;
	if (*get("save", "")) {
		f = fopen(get("save", ""), "we");
		if (!f || fwrite(buf, 1, (size_t)n, f) != (size_t)n || fclose(f))
			die("save");
	}
	for (unsigned long long i = number("times", "1"); i; i--)
		send(fd, buf, (size_t)n, 0);
	puts(answer(fd));
	close(fd);
	return 0;
}
