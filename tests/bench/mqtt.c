// SPDX-License-Identifier: MIT
/*
 * mqtt: what a device does in one session, at an MQTT 3.1.1 broker: TLS 1.3 with its certificate,
 * CONNECT with a session that persists, the command that waits (QoS 1) is taken and acknowledged,
 * TEXT bytes are published with QoS 1, DISCONNECT. Certificates are those of a state of
 * tests/load/devices. Threads that block: the broker is what is measured, by its own CPU time.
 *
 *   mqtt STATE PORT ADDRESS full|resumed DEVICES THREADS PASSES BROKER-PID
 *
 * First each device connects and subscribes, which is not measured; nor is the queueing of the
 * commands. One line of JSON at the end.
 */
#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include "../load/cpu.h"
#include "../load/state.h"

#define TEXT 100    /* bytes that a device has to say */
#define THREADS 256 /* at most */
#define WINDOW 20   /* commands published before their acknowledgements are read */
#define KEEP_ALIVE 60
#define PACKET_MAX 512

enum packet { CONNECT = 1, CONNACK, PUBLISH, PUBACK, SUBSCRIBE = 8, SUBACK, DISCONNECT = 14 };

static struct load_state state;
static struct sockaddr_in broker;
static SSL_CTX *tls;
static SSL_SESSION **tickets; /* of each device the newest */
static bool full, measured;
static uint32_t devices, next_device;
static uint64_t resumed;

struct session {
	SSL *ssl;
	uint32_t device;
};

struct out {
	uint8_t bytes[PACKET_MAX];
	size_t len;
};

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "mqtt: %s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static void put(struct out *o, const void *from, size_t len)
{
	if (len > sizeof(o->bytes) - o->len)
		die("packet too large");
	memcpy(o->bytes + o->len, from, len);
	o->len += len;
}

static void put_u16(struct out *o, unsigned int v)
{
	put(o, (uint8_t[]){ v >> 8, v }, 2);
}

static void put_text(struct out *o, const char *text)
{
	put_u16(o, strlen(text));
	put(o, text, strlen(text));
}

/* Two bytes of length at most: 16383. */
static void put_head(struct out *o, unsigned int first, size_t len)
{
	put(o, (uint8_t[]){ first }, 1);
	if (len < 128)
		put(o, (uint8_t[]){ len }, 1);
	else
		put(o, (uint8_t[]){ len % 128 | 128, len / 128 }, 2);
}

static void put_connect(struct out *o, const char *client)
{
	put_head(o, CONNECT << 4, 10 + 2 + strlen(client));
	put_text(o, "MQTT");
	put(o, (uint8_t[]){ 4, 0 }, 2); /* 3.1.1; the session persists */
	put_u16(o, KEEP_ALIVE);
	put_text(o, client);
}

static void put_publish(struct out *o, const char *topic, unsigned int id, const void *data,
			size_t len)
{
	put_head(o, PUBLISH << 4 | 2, 2 + strlen(topic) + 2 + len);
	put_text(o, topic);
	put_u16(o, id);
	put(o, data, len);
}

static void put_id(struct out *o, unsigned int first, unsigned int id)
{
	put_head(o, first, 2);
	put_u16(o, id);
}

static void cork(int fd, int on)
{
	setsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

static void send_all(struct session *s, const struct out *o)
{
	if (SSL_write(s->ssl, o->bytes, (int)o->len) != (int)o->len)
		die("write");
	cork(SSL_get_fd(s->ssl), 0);
}

static void read_all(struct session *s, uint8_t *to, size_t len)
{
	while (len) {
		int n = SSL_read(s->ssl, to, (int)len);

		if (n <= 0)
			die("the broker closed");
		to += n;
		len -= n;
	}
}

/* The next packet, which must be of this kind; returns its length without the head. */
static size_t expect(struct session *s, enum packet kind, uint8_t body[static PACKET_MAX])
{
	uint8_t head, byte;
	size_t len = 0;
	int shift = 0;

	read_all(s, &head, 1);
	do {
		read_all(s, &byte, 1);
		len |= (size_t)(byte & 127) << shift;
		shift += 7;
	} while (byte & 128 && shift < 28);
	if (head >> 4 != (int)kind || len < 2 || len > PACKET_MAX)
		die("another packet than was expected");
	read_all(s, body, len);
	return len;
}

/* As our own device: what follows the server's hello leaves together with the first packet. */
static void on_message(int sent, int version, int type, const void *data, size_t len, SSL *ssl,
		       void *ctx)
{
	if (!sent && type == SSL3_RT_HANDSHAKE && len &&
	    *(const uint8_t *)data == SSL3_MT_SERVER_HELLO)
		cork(SSL_get_fd(ssl), 1);
}

static int on_ticket(SSL *ssl, SSL_SESSION *ticket)
{
	struct session *s = SSL_get_app_data(ssl);

	SSL_SESSION_free(tickets[s->device]);
	tickets[s->device] = ticket;
	return 1;
}

static void begin(struct session *s)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	X509 *cert = load_state_cert(&state, s->device);

	s->ssl = SSL_new(tls);
	if (fd < 0 || !s->ssl || connect(fd, (struct sockaddr *)&broker, sizeof(broker)))
		die("connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	SSL_set_app_data(s->ssl, s);
	SSL_set_msg_callback(s->ssl, on_message);
	if (!cert || !SSL_set_fd(s->ssl, fd) || !SSL_set1_host(s->ssl, "localhost") ||
	    !SSL_set_tlsext_host_name(s->ssl, "localhost") || !SSL_use_certificate(s->ssl, cert) ||
	    !SSL_use_PrivateKey(s->ssl, load_state_key(&state, s->device)))
		die("TLS");
	X509_free(cert);
	if (!full && tickets[s->device])
		SSL_set_session(s->ssl, tickets[s->device]);
	if (SSL_connect(s->ssl) != 1)
		die("handshake");
	if (measured && SSL_session_reused(s->ssl))
		__atomic_add_fetch(&resumed, 1, __ATOMIC_RELAXED);
}

static void end(struct session *s)
{
	struct out o = { .len = 0 };
	int fd = SSL_get_fd(s->ssl);

	cork(fd, 1);
	put_head(&o, DISCONNECT << 4, 0);
	if (SSL_write(s->ssl, o.bytes, (int)o.len) != (int)o.len)
		die("write");
	SSL_shutdown(s->ssl);
	SSL_free(s->ssl);
	close(fd);
}

static void log_in(struct session *s, const char *client)
{
	uint8_t body[PACKET_MAX];
	struct out o = { .len = 0 };

	begin(s);
	put_connect(&o, client);
	send_all(s, &o);
	if (expect(s, CONNACK, body) != 2 || body[1])
		die("CONNECT was refused");
}

static void topic_of(const char *kind, uint32_t device, char topic[static LOAD_UID_TEXT + 8])
{
	char uid[LOAD_UID_TEXT];

	load_state_uid(&state, device, uid);
	snprintf(topic, LOAD_UID_TEXT + 8, "%s/%s", kind, uid);
}

static void subscribe(uint32_t device)
{
	struct session s = { .device = device };
	uint8_t body[PACKET_MAX];
	char topic[LOAD_UID_TEXT + 8];
	struct out o = { .len = 0 };

	topic_of("c", device, topic);
	log_in(&s, topic + 2);
	put_head(&o, SUBSCRIBE << 4 | 2, 2 + 2 + strlen(topic) + 1);
	put_u16(&o, 1);
	put_text(&o, topic);
	put(&o, (uint8_t[]){ 1 }, 1);
	send_all(&s, &o);
	if (expect(&s, SUBACK, body) != 3 || body[2] != 1)
		die("SUBSCRIBE was refused");
	end(&s);
}

static void work(uint32_t device)
{
	struct session s = { .device = device };
	char topic[LOAD_UID_TEXT + 8], text[TEXT];
	uint8_t body[PACKET_MAX];
	struct out o = { .len = 0 };
	size_t at;

	topic_of("c", device, topic);
	log_in(&s, topic + 2);
	if (expect(&s, PUBLISH, body) < (at = 2 + (body[0] << 8 | body[1])) + 2)
		die("a PUBLISH without number");
	put_id(&o, PUBACK << 4, body[at] << 8 | body[at + 1]);
	topic_of("p", device, topic);
	memset(text, '7', sizeof(text));
	put_publish(&o, topic, 1, text, sizeof(text));
	send_all(&s, &o);
	expect(&s, PUBACK, body);
	end(&s);
}

static void *run_thread(void *arg)
{
	uint32_t i;

	while ((i = __atomic_fetch_add(&next_device, 1, __ATOMIC_RELAXED)) < devices)
		((void (*)(uint32_t))(uintptr_t)arg)(i);
	return NULL;
}

static void for_each(void (*what)(uint32_t device), unsigned int threads)
{
	pthread_t thread[THREADS];

	next_device = 0;
	for (unsigned int i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, run_thread, (void *)(uintptr_t)what))
			die("no thread");
	for (unsigned int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
}

/* One command for each device, by somebody with the certificate of the first. */
static void queue_commands(void)
{
	struct session s = { .device = 0 };
	uint8_t body[PACKET_MAX];
	char topic[LOAD_UID_TEXT + 8];

	log_in(&s, "feeder");
	for (uint32_t i = 0; i < devices; i++) {
		struct out o = { .len = 0 };

		topic_of("c", i, topic);
		put_publish(&o, topic, i % WINDOW + 1, "{\"action\":\"blink\"}", 18);
		send_all(&s, &o);
		if (i % WINDOW == WINDOW - 1 || i == devices - 1)
			for (uint32_t k = 0; k <= i % WINDOW; k++)
				expect(&s, PUBACK, body);
	}
	end(&s);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + t.tv_nsec / 1e9;
}

static void open_tls(void)
{
	char ca[PATH_MAX];

	snprintf(ca, sizeof(ca), "%s/ca.crt", state.dir);
	tls = SSL_CTX_new(TLS_client_method());
	if (!tls || !SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) ||
	    SSL_CTX_load_verify_locations(tls, ca, NULL) != 1)
		die("TLS");
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(tls, on_ticket);
}

static unsigned int number(const char *text, unsigned int max)
{
	unsigned long n = strtoul(text, NULL, 10);

	if (!n || n > max)
		die("a number is out of its bounds");
	return (unsigned int)n;
}

int main(int argc, char **argv)
{
	double seconds = 0, broker_us = 0, client_us = 0;
	unsigned int threads, passes;
	pid_t pid;

	if (argc != 9)
		die("STATE PORT ADDRESS full|resumed DEVICES THREADS PASSES BROKER-PID");
	signal(SIGPIPE, SIG_IGN);
	if (load_state_open(&state, argv[1]))
		die(state.error);
	broker.sin_family = AF_INET;
	broker.sin_port = htons(number(argv[2], 65535));
	if (inet_pton(AF_INET, argv[3], &broker.sin_addr) != 1)
		die("ADDRESS must be IPv4");
	full = !strcmp(argv[4], "full");
	devices = number(argv[5], state.head->devices);
	threads = number(argv[6], THREADS);
	passes = number(argv[7], 1000);
	pid = (pid_t)number(argv[8], INT_MAX);
	tickets = calloc(devices, sizeof(*tickets));
	if (!tickets)
		die("out of memory");
	open_tls();
	for_each(subscribe, threads);
	for (unsigned int i = 0; i < passes; i++) {
		double began, server, client;

		queue_commands();
		began = now();
		server = load_cpu_process(pid);
		client = load_cpu_self();
		measured = true;
		for_each(work, threads);
		measured = false;
		broker_us += load_cpu_since(server, load_cpu_process(pid));
		client_us += load_cpu_self() - client;
		seconds += now() - began;
	}
	printf("{\"ok\": %u, \"resumed\": %llu, \"seconds\": %.3f, \"server_us\": %.1f, \"client_us\": "
	       "%.1f}\n",
	       devices * passes, (unsigned long long)resumed, seconds,
	       broker_us / (devices * passes), client_us / (devices * passes));
	return 0;
}
