/* SPDX-License-Identifier: MIT */
/*
 * TLS over a non-blocking socket for one event loop, the server's side: the bytes of a flight leave
 * in one write, and an idle stream holds no buffers of ours.
 */
#ifndef HG_MIRROR_STREAM_H
#define HG_MIRROR_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/ssl.h>
#include "../lib/slice.h"

struct hg_stream {
	int fd;
	SSL *ssl; /* NULL until hg_stream_begin() */
	struct event io;
	short wanted; /* EV_READ and EV_WRITE that io waits for */
	bool failed;  /* TLS or the socket is broken: nothing can be said any more */
	bool early;   /* early data is read if there is any; then the handshake goes on */
	struct hg_slice came_early; /* such data; allocated */
	uint8_t *out;		    /* encrypted, not yet written; NULL: nothing */
	size_t out_len, out_at, out_size;
};

/*
 * fd is taken over; `call` is called with arg when what hg_stream_want() asked for is there. The
 * stream must not move in memory.
 */
void hg_stream_init(struct hg_stream *st, struct event_base *base, int fd, event_callback_fn call,
		    void *arg);

/* Waits for EV_READ, EV_WRITE, both or (0) nothing. */
void hg_stream_want(struct hg_stream *st, short what);

/* TLS begins. early: early data is taken where ctx allows it. Returns 0 or -ENOMEM. */
int hg_stream_begin(struct hg_stream *st, SSL_CTX *ctx, bool early);

/*
 * Goes on with the handshake. Returns 1 when it is done, 0 for later, -1 for never. Early data is
 * in came_early before that; a device has sent it, but somebody else may have sent it again.
 */
int hg_stream_handshake(struct hg_stream *st);

/*
 * Encrypts an answer to early data, before the handshake is done, for the next flush. Only the peer
 * can read it. Returns 0 or -1.
 */
int hg_stream_write_early(struct hg_stream *st, const void *data, size_t len);

/* Returns how many bytes (at most size) it has read, 0 for later, -1 at the end. */
int hg_stream_read(struct hg_stream *st, void *buf, size_t size);

/* Encrypts all of it for the next flush. Returns 0 or -1. */
int hg_stream_write(struct hg_stream *st, const void *data, size_t len);

/* Returns 0 when all is written, 1 when some is left, -1 when the peer is gone. */
int hg_stream_flush(struct hg_stream *st);

/* Bytes wait to be flushed. */
static inline bool hg_stream_pending(const struct hg_stream *st)
{
	return st->out;
}

/* Says close_notify, unless the peer said it first or nothing can be said, and closes. */
void hg_stream_close(struct hg_stream *st);

/* Between two loops: nothing of the first refers to it any more; want() starts it at the second. */
void hg_stream_detach(struct hg_stream *st);
void hg_stream_attach(struct hg_stream *st, struct event_base *base, event_callback_fn call,
		      void *arg);

#endif
