// SPDX-License-Identifier: MIT
/*
 * A stream reads from its socket through OpenSSL, a buffer at a time, and collects what OpenSSL
 * writes in `out`, which hg_stream_flush() hands to the kernel: so the messages of a handshake, a
 * ticket and the answer behind it are one segment. A stream belongs to one loop at a time, and
 * only that loop's thread calls these functions.
 */
#include "stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>
#include <openssl/err.h>

#define OUT_MIN 2048 /* holds the server's first flight with one certificate */

static BIO_METHOD *out_method;
static pthread_once_t out_once = PTHREAD_ONCE_INIT;

static int out_write(BIO *bio, const char *data, int len)
{
	struct hg_stream *st = BIO_get_data(bio);
	size_t size = st->out_size ? st->out_size : OUT_MIN;
	uint8_t *out = st->out;

	if (len <= 0)
		return 0;
	while (size - st->out_len < (size_t)len)
		size *= 2;
	if (!out || size != st->out_size)
		out = realloc(out, size);
	if (!out)
		return -1;
	memcpy(out + st->out_len, data, len);
	st->out = out;
	st->out_size = size;
	st->out_len += len;
	return len;
}

/* Flushing is hg_stream_flush()'s; OpenSSL asks for it after each flight. */
static long out_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
	return cmd == BIO_CTRL_FLUSH;
}

static int out_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static void make_method(void)
{
	out_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
	if (out_method && BIO_meth_set_write(out_method, out_write) &&
	    BIO_meth_set_ctrl(out_method, out_ctrl) && BIO_meth_set_create(out_method, out_create))
		return;
	BIO_meth_free(out_method);
	out_method = NULL;
}

void hg_stream_init(struct hg_stream *st, struct event_base *base, int fd, event_callback_fn call,
		    void *arg)
{
	memset(st, 0, sizeof(*st));
	st->fd = fd;
	hg_stream_attach(st, base, call, arg);
}

void hg_stream_want(struct hg_stream *st, short what)
{
	struct event *io = &st->io;

	if (what == st->wanted)
		return;
	if (st->wanted)
		event_del(io);
	st->wanted = what;
	if (!what)
		return;
	event_assign(io, event_get_base(io), st->fd, what | EV_PERSIST, event_get_callback(io),
		     event_get_callback_arg(io));
	event_add(io, NULL);
}

int hg_stream_begin(struct hg_stream *st, SSL_CTX *ctx, bool early)
{
	BIO *out = NULL;

	st->early = early;
	pthread_once(&out_once, make_method);
	st->ssl = SSL_new(ctx);
	if (st->ssl && out_method)
		out = BIO_new(out_method);
	if (!out || !SSL_set_rfd(st->ssl, st->fd)) {
		BIO_free(out);
		SSL_free(st->ssl);
		st->ssl = NULL;
		return -ENOMEM;
	}
	BIO_set_data(out, st);
	SSL_set0_wbio(st->ssl, out);
	SSL_set_read_ahead(st->ssl, 1); /* a record's head and body in one read() */
	/* Without this, a peer that sends new keys without end keeps one SSL_read() for itself. */
	SSL_clear_mode(st->ssl, SSL_MODE_AUTO_RETRY);
	SSL_set_accept_state(st->ssl);
	return 0;
}

static bool may_go_on(struct hg_stream *st, int rc)
{
	int error = SSL_get_error(st->ssl, rc);

	if (error == SSL_ERROR_WANT_READ)
		return true;
	st->failed = error == SSL_ERROR_SSL || error == SSL_ERROR_SYSCALL;
	return false;
}

static bool keep_early(struct hg_stream *st, const uint8_t *data, size_t len)
{
	struct hg_slice *all = &st->came_early;
	uint8_t *bytes = realloc((void *)all->ptr, all->len + len);

	if (!bytes)
		return false;
	memcpy(bytes + all->len, data, len);
	*all = hg_slice_of(bytes, all->len + len);
	return true;
}

/* Until its end, or where there is none; OpenSSL limits it. Returns as hg_stream_handshake(). */
static int read_early(struct hg_stream *st)
{
	uint8_t buf[1024];
	size_t n;

	for (;;) {
		switch (SSL_read_early_data(st->ssl, buf, sizeof(buf), &n)) {
		case SSL_READ_EARLY_DATA_SUCCESS:
			if (!keep_early(st, buf, n))
				return -1;
			break;
		case SSL_READ_EARLY_DATA_FINISH:
			st->early = false;
			return 1;
		default:
			return may_go_on(st, 0) ? 0 : -1;
		}
	}
}

int hg_stream_handshake(struct hg_stream *st)
{
	int rc = 1;

	ERR_clear_error();
	if (st->early)
		rc = read_early(st);
	if (rc != 1)
		return rc;
	rc = SSL_do_handshake(st->ssl);
	return rc == 1 ? 1 : may_go_on(st, rc) ? 0 : -1;
}

int hg_stream_read(struct hg_stream *st, void *buf, size_t size)
{
	size_t n;

	ERR_clear_error();
	if (SSL_read_ex(st->ssl, buf, size, &n))
		return (int)n;
	return may_go_on(st, 0) ? 0 : -1;
}

int hg_stream_write(struct hg_stream *st, const void *data, size_t len)
{
	const uint8_t *at = data;
	size_t n;

	ERR_clear_error();
	for (; len; at += n, len -= n) {
		if (!SSL_write_ex(st->ssl, at, len, &n)) {
			st->failed = true;
			return -1;
		}
	}
	return 0;
}

int hg_stream_write_early(struct hg_stream *st, const void *data, size_t len)
{
	size_t n;

	ERR_clear_error();
	if (SSL_write_early_data(st->ssl, data, len, &n) && n == len)
		return 0;
	st->failed = true;
	return -1;
}

int hg_stream_flush(struct hg_stream *st)
{
	while (st->out_at < st->out_len) {
		ssize_t n = send(st->fd, st->out + st->out_at, st->out_len - st->out_at,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 1;
		if (n < 0) {
			st->failed = true;
			return -1;
		}
		st->out_at += n;
	}
	free(st->out);
	st->out = NULL;
	st->out_len = st->out_at = st->out_size = 0;
	return 0;
}

/*
 * OpenSSL forgets the session's ticket if the connection goes without a close_notify, so one is
 * said, and the peer's is taken as said. To a peer that has said its own no more is sent.
 */
void hg_stream_close(struct hg_stream *st)
{
	if (st->ssl && !st->failed && SSL_is_init_finished(st->ssl)) {
		if (SSL_get_shutdown(st->ssl) & SSL_RECEIVED_SHUTDOWN) {
			SSL_set_shutdown(st->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		} else {
			SSL_set_shutdown(st->ssl, SSL_RECEIVED_SHUTDOWN);
			SSL_shutdown(st->ssl);
		}
	}
	if (st->fd >= 0)
		hg_stream_flush(st); /* an alert of a handshake that failed, too */
	hg_stream_want(st, 0);
	SSL_free(st->ssl);
	ERR_clear_error();
	if (st->fd >= 0)
		close(st->fd);
	free(st->out);
	free((void *)st->came_early.ptr);
	st->ssl = NULL;
	st->out = NULL;
	st->came_early = hg_slice_of(NULL, 0);
	st->fd = -1;
}

void hg_stream_detach(struct hg_stream *st)
{
	hg_stream_want(st, 0);
}

void hg_stream_attach(struct hg_stream *st, struct event_base *base, event_callback_fn call,
		      void *arg)
{
	event_assign(&st->io, base, st->fd, EV_READ | EV_PERSIST, call, arg);
}
