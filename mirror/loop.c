// SPDX-License-Identifier: MIT
/*
 * A loop owns an event base, a pool, a hg_sync and a mailbox. Everything but the mailbox belongs to
 * its thread. What comes from other threads is a call in the mailbox, announced by an eventfd.
 */
#include "loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include "admit.h"

struct mail {
	STAILQ_ENTRY(mail) entry;
	void (*call)(void *arg);
	void *arg;
};

STAILQ_HEAD(mail_list, mail);

struct hg_loop {
	unsigned int number;
	struct event_base *base;
	struct hg_pg *pg;
	struct hg_sync *sync;
	struct event *wake;
	int wake_fd;
	pthread_t thread;
	bool running;
	pthread_mutex_t lock; /* of mail */
	struct mail_list mail;
};

static void read_mail(struct hg_loop *l)
{
	struct mail_list mail = STAILQ_HEAD_INITIALIZER(mail);
	struct mail *m;

	pthread_mutex_lock(&l->lock);
	STAILQ_CONCAT(&mail, &l->mail);
	pthread_mutex_unlock(&l->lock);
	while ((m = STAILQ_FIRST(&mail))) {
		STAILQ_REMOVE_HEAD(&mail, entry);
		m->call(m->arg);
		free(m);
	}
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
		return;
	read_mail(arg);
}

int hg_loop_post(struct hg_loop *l, void (*call)(void *arg), void *arg)
{
	struct mail *m = malloc(sizeof(*m));
	const uint64_t one = 1;
	bool first;

	if (!m)
		return -ENOMEM;
	m->call = call;
	m->arg = arg;
	pthread_mutex_lock(&l->lock);
	first = STAILQ_EMPTY(&l->mail);
	STAILQ_INSERT_TAIL(&l->mail, m, entry);
	pthread_mutex_unlock(&l->lock);
	/* Only the first needs to wake it, and the counter takes any number of ones. */
	if (first && write(l->wake_fd, &one, sizeof(one)) < 0)
		return 0;
	return 0;
}

struct event_base *hg_loop_base(const struct hg_loop *l)
{
	return l->base;
}

struct hg_pg *hg_loop_pg(const struct hg_loop *l)
{
	return l->pg;
}

struct hg_sync *hg_loop_sync(const struct hg_loop *l)
{
	return l->sync;
}

struct hg_loop *hg_loop_new(unsigned int number, const struct hg_pg_options *pg)
{
	struct hg_loop *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->number = number;
	STAILQ_INIT(&l->mail);
	pthread_mutex_init(&l->lock, NULL);
	l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	l->base = event_base_new();
	if (l->wake_fd >= 0 && l->base && !event_base_priority_init(l->base, HG_LOOP_PRIORITIES)) {
		l->wake = event_new(l->base, l->wake_fd, EV_READ | EV_PERSIST, on_wake, l);
		l->pg = hg_pg_new(l->base, pg);
	}
	if (l->pg && l->wake && !event_add(l->wake, NULL))
		return l;
	hg_loop_free(l);
	return NULL;
}

int hg_loop_open(struct hg_loop *l, struct hg_sync_shared *shared)
{
	l->sync = hg_sync_new(l->base, shared, l->pg);
	return l->sync ? 0 : -ENOMEM;
}

static void *run(void *arg)
{
	struct hg_loop *l = arg;

	event_base_dispatch(l->base);
	return NULL;
}

int hg_loop_start(struct hg_loop *l)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&l->thread, NULL, run, l);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	l->running = !rc;
	return -rc;
}

static void stop(void *arg)
{
	struct hg_loop *l = arg;

	hg_sync_stop(l->sync);
}

static void leave(void *arg)
{
	struct hg_loop *l = arg;

	event_base_loopbreak(l->base);
}

void hg_loop_stop(struct hg_loop *l)
{
	if (l->running)
		hg_loop_post(l, stop, l);
	else
		hg_sync_stop(l->sync);
}

void hg_loop_join(struct hg_loop *l)
{
	if (!l->running)
		return;
	hg_loop_post(l, leave, l);
	pthread_join(l->thread, NULL);
	l->running = false;
}

void hg_loop_close(struct hg_loop *l)
{
	if (l->sync) {
		hg_sync_stop(l->sync);
		read_mail(l); /* sessions on their way here */
	}
	hg_pg_free(l->pg);
	l->pg = NULL;
}

void hg_loop_free(struct hg_loop *l)
{
	if (!l)
		return;
	hg_loop_close(l);
	hg_sync_free(l->sync);
	if (l->wake)
		event_free(l->wake);
	if (l->base)
		event_base_free(l->base);
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	pthread_mutex_destroy(&l->lock);
	free(l);
}
