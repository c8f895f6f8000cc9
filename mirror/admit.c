// SPDX-License-Identifier: MIT
/*
 * Admission of one loop. A connection is accepted only while there is room, and while those that
 * wait can be served before they lose patience; else it stays in the kernel's backlog, which drops
 * SYNs when it is full: so those who find no place try again at growing intervals, and cost us
 * nothing. An accepted one is `silent` until its first byte is here, then `ready`, oldest first,
 * until its turn: that is an event of the lowest priority, which runs when no session has anything
 * to do and the database keeps up. So a handshake that has begun goes on before another begins, and
 * however many wait, each that begins ends in time. Who gave up while it waited is not begun.
 */
#include "admit.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/queue.h>
#include <event2/event_struct.h>
#include "../lib/log.h"

#define ACCEPT_BURST 32 /* then sessions have their turn, and other loops theirs */
#define BEGIN_BURST 2	/* handshakes begun before looking again for who has begun */
#define TICK_MS 100

struct waiter {
	TAILQ_ENTRY(waiter) entry;
	struct hg_admit *admit;
	struct event io;
	int fd;
	struct timespec accepted;
	struct hg_net_addr peer;
};

TAILQ_HEAD(waiter_list, waiter);

struct hg_admit {
	struct hg_admit_options o;
	struct event_base *base;
	struct event *listener, *turn, *tick;
	struct waiter_list silent, ready;
	size_t n_ready;
	bool listening, complained;
};

static int64_t age_ms(const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - since->tv_sec) * INT64_C(1000) +
	       (now.tv_nsec - since->tv_nsec) / 1000000;
}

static void listen_on(struct hg_admit *a, bool on)
{
	if (on == a->listening)
		return;
	a->listening = on;
	if (on)
		event_add(a->listener, NULL);
	else
		event_del(a->listener);
}

static void waiter_close(struct waiter *w)
{
	close(w->fd);
	atomic_fetch_sub(w->admit->o.open, 1);
	free(w);
}

static void on_first_byte(evutil_socket_t fd, short what, void *arg)
{
	struct waiter *w = arg;
	struct hg_admit *a = w->admit;

	event_del(&w->io);
	TAILQ_REMOVE(&a->silent, w, entry);
	TAILQ_INSERT_TAIL(&a->ready, w, entry);
	if (!a->n_ready++)
		event_active(a->turn, 0, 0);
}

/* The peer has closed, or is no more, or will have before it is done. */
static bool is_lost(const struct waiter *w)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return getsockopt(w->fd, IPPROTO_TCP, TCP_INFO, &info, &len) ||
	       info.tcpi_state != TCP_ESTABLISHED ||
	       info.tcpi_last_data_recv > w->admit->o.late_ms ||
	       age_ms(&w->accepted) > (int64_t)w->admit->o.late_ms;
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct hg_admit *a = arg;
	unsigned int begun = 0;
	struct waiter *w;

	while (begun < BEGIN_BURST && (w = TAILQ_FIRST(&a->ready))) {
		if (!a->o.may_begin(a->o.ctx))
			return; /* hg_admit_go() goes on */
		TAILQ_REMOVE(&a->ready, w, entry);
		a->n_ready--;
		if (is_lost(w)) {
			waiter_close(w);
			continue;
		}
		a->o.begin(a->o.ctx, w->fd, &w->peer, &w->accepted);
		free(w);
		begun++;
	}
	if (a->n_ready)
		event_active(a->turn, 0, 0);
}

/* For another connection, and time to serve it. */
static bool has_room(const struct hg_admit *a)
{
	return atomic_load(a->o.open) < a->o.open_max &&
	       (a->n_ready < HG_ADMIT_LEAST ||
		(a->o.pace->rate > 0 &&
		 hg_pace_wait_ms(a->o.pace, a->n_ready) < a->o.late_ms / 3 * 2));
}

/* Returns false when there is nobody, no room, or no descriptor. */
static bool accept_one(struct hg_admit *a)
{
	struct hg_net_addr peer = { .len = sizeof(peer.storage) };
	struct waiter *w;
	int fd;

	if (!has_room(a)) {
		listen_on(a, false);
		return false;
	}
	fd = accept4(a->o.fd, (struct sockaddr *)&peer.storage, &peer.len,
		     SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EINTR || errno == ECONNABORTED)
			return true;
		if (errno == EAGAIN || errno == EWOULDBLOCK)
			return false;
		if (!a->complained)
			hg_error("sync: cannot accept: %m; devices wait");
		a->complained = true;
		listen_on(a, false); /* until the next tick */
		return false;
	}
	a->complained = false;
	w = malloc(sizeof(*w));
	if (!w) {
		close(fd);
		return false;
	}
	w->admit = a;
	w->fd = fd;
	w->peer = peer;
	clock_gettime(CLOCK_MONOTONIC, &w->accepted);
	atomic_fetch_add(a->o.open, 1);
	event_assign(&w->io, a->base, fd, EV_READ, on_first_byte, w);
	TAILQ_INSERT_TAIL(&a->silent, w, entry);
	event_add(&w->io, NULL);
	return true;
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct hg_admit *a = arg;

	for (int i = 0; i < ACCEPT_BURST && accept_one(a); i++)
		;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct hg_admit *a = arg;
	struct waiter *w;

	while ((w = TAILQ_FIRST(&a->silent)) && age_ms(&w->accepted) > (int64_t)a->o.silence_ms) {
		TAILQ_REMOVE(&a->silent, w, entry);
		event_del(&w->io);
		waiter_close(w);
	}
	listen_on(a, has_room(a));
	hg_admit_go(a);
}

void hg_admit_go(struct hg_admit *a)
{
	if (a->n_ready)
		event_active(a->turn, 0, 0);
}

size_t hg_admit_waiting(const struct hg_admit *a)
{
	return a->n_ready;
}

void hg_admit_stop(struct hg_admit *a)
{
	struct waiter *w;

	listen_on(a, false);
	event_del(a->tick);
	while ((w = TAILQ_FIRST(&a->silent))) {
		TAILQ_REMOVE(&a->silent, w, entry);
		event_del(&w->io);
		waiter_close(w);
	}
	while ((w = TAILQ_FIRST(&a->ready))) {
		TAILQ_REMOVE(&a->ready, w, entry);
		waiter_close(w);
	}
	a->n_ready = 0;
}

void hg_admit_free(struct hg_admit *a)
{
	struct event *events[3];

	if (!a)
		return;
	events[0] = a->listener;
	events[1] = a->turn;
	events[2] = a->tick;
	if (a->tick)
		hg_admit_stop(a);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i])
			event_free(events[i]);
	free(a);
}

struct hg_admit *hg_admit_new(struct event_base *base, const struct hg_admit_options *o)
{
	const struct timeval tick = { .tv_usec = TICK_MS * 1000 };
	struct hg_admit *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->o = *o;
	a->base = base;
	TAILQ_INIT(&a->silent);
	TAILQ_INIT(&a->ready);
	a->listener = event_new(base, o->fd, EV_READ | EV_PERSIST, on_accept, a);
	a->turn = event_new(base, -1, 0, on_turn, a);
	a->tick = event_new(base, -1, EV_PERSIST, on_tick, a);
	if (!a->listener || !a->turn || !a->tick || event_priority_set(a->turn, HG_PRIORITY_LAST) ||
	    event_add(a->tick, &tick)) {
		hg_admit_free(a);
		return NULL;
	}
	listen_on(a, true);
	return a;
}
