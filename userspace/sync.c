// SPDX-License-Identifier: MIT
/*
 * When the next session is due, and what the last ones came to. Always true: a timer runs or a
 * session does. How long it runs is interval.c's.
 */
#include "sync.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/queue.h>
#include <sys/timerfd.h>
#include "agent.h"
#include "clock.h"
#include "credentials.h"
#include "interval.h"
#include "links.h"
#include "model.h"
#include "renewal.h"
#include "session.h"
#include "watch.h"
#include "../lib/log.h"

/* Between sessions due "at once" by changes; a person's `sync now` does not wait for it. */
#define GAP_MS 1000
#define WAITERS_MAX 64
#define END_MS 2000 /* after a session, until gate and links close: for what ends its connection */
#define LINKS_WORTH_MS 5000 /* a link that is wanted sooner stays up */
#define NEVER UINT64_MAX

struct waiter {
	TAILQ_ENTRY(waiter) link;
	void (*done)(void *ctx, int ret, const char *text);
	void *ctx;
	bool armed; /* the session that runs is the one it waits for */
};

/* Why the next session is due when it is; for `status`. */
enum why { WHY_START, WHY_INTERVAL, WHY_CHANGE, WHY_COMMAND, WHY_ASKED, WHY_BACKOFF };

static const char *const why_names[] = { "start",   "interval", "change",
					 "command", "asked",	"backoff" };

struct hg_sync {
	struct hg_agent *agent;
	SSL_CTX *tls;
	struct hg_credentials *credentials;
	struct hg_clock clock;
	struct hg_links *links;	    /* NULL: none is taken down between sessions */
	bool linking;		    /* a session waits for a link */
	struct hg_session *session; /* NULL: none runs */
	int timer_fd;		    /* counts the time in which the device is suspended, too */
	struct event *timer;
	uint64_t due_ms; /* of the next session, uptime */
	enum why why;
	enum why again_why; /* of again_within */
	bool backing_off;
	uint64_t again_within; /* of what came up during the session; NEVER: nothing did */
	uint64_t changed;      /* at least as many as properties that wait; looked at when many */
	TAILQ_HEAD(waiters, waiter) waiters;
	size_t n_waiters;
	struct hg_interval interval;
	uint64_t good, bad, ended_ms, good_ms;
	struct hg_session_result last;
};

static uint64_t random_below(uint64_t bound)
{
	uint64_t r;

	evutil_secure_rng_get_bytes(&r, sizeof(r));
	return bound ? r % bound : 0;
}

/* The earliest wish wins; the timer follows. */
static void set_due(struct hg_sync *s, uint64_t due_ms, enum why why)
{
	uint64_t now = hg_uptime_ms(), in = due_ms > now ? due_ms - now : 0;
	struct itimerspec after = { .it_value = { .tv_sec = (time_t)(in / 1000),
						  .tv_nsec = (long)(in % 1000 * 1000000) } };

	if (!in)
		after.it_value.tv_nsec = 1; /* 0 would stop it */
	s->why = why;
	s->due_ms = due_ms;
	timerfd_settime(s->timer_fd, 0, &after, NULL);
}

static void answer_waiters(struct hg_sync *s, int ret, const char *text)
{
	struct waiter *w, *next;

	for (w = TAILQ_FIRST(&s->waiters); w; w = next) {
		next = TAILQ_NEXT(w, link);
		if (!w->armed)
			continue;
		TAILQ_REMOVE(&s->waiters, w, link);
		s->n_waiters--;
		w->done(w->ctx, ret, text);
		free(w);
	}
}

static int failure_errno(enum hg_sync_failure f)
{
	switch (f) {
	case HG_SYNC_OK:
		return 0;
	case HG_SYNC_REFUSED:
		return -EPERM;
	case HG_SYNC_STORE:
		return -EIO;
	case HG_SYNC_BUSY:
		return -EBUSY;
	default:
		return -ENOTCONN;
	}
}

static void plan(struct hg_sync *s, const struct hg_session_result *r)
{
	uint64_t now = hg_uptime_ms();

	if (r->failure == HG_SYNC_OK) {
		s->backing_off = false;
		set_due(s,
			now + hg_interval_good(&s->interval, r->interval_ms,
					       r->received + r->commands),
			WHY_INTERVAL);
		return;
	}
	if (r->parts) /* what they brought is kept: on a bad link it comes in many sessions */
		s->interval.failed[r->failure] = 0;
	s->backing_off = true;
	set_due(s, now + hg_interval_failed(&s->interval, r->failure, r->interval_ms), WHY_BACKOFF);
	hg_log(r->failure == HG_SYNC_REFUSED ? HG_LOG_ERROR : HG_LOG_WARN,
	       "sync: session %llu failed (%s): %s; next in %llu ms", (unsigned long long)r->number,
	       hg_sync_failure_name(r->failure), r->text, (unsigned long long)(s->due_ms - now));
}

/* What came up during a session has mostly gone along with it. */
static bool has_news(const struct hg_sync *s)
{
	const struct hg_store_cursors *c = hg_store_cursors(s->agent->store);
	size_t ended = 0;

	hg_store_reports_count(s->agent->store, &ended);
	return ended || c->change_seq > c->change_acked;
}

static bool is_busy(const struct hg_sync *s)
{
	return s->session || s->linking;
}

/* A session within so many ms, unless something failed. */
static void wish(struct hg_sync *s, uint64_t within_ms, enum why why)
{
	uint64_t due = hg_uptime_ms() + within_ms;

	if (is_busy(s)) {
		if (within_ms < s->again_within) {
			s->again_within = within_ms;
			s->again_why = why;
		}
		return;
	}
	if (s->backing_off)
		return;
	if (s->ended_ms && due < s->ended_ms + GAP_MS)
		due = s->ended_ms + GAP_MS;
	if (due < s->due_ms)
		set_due(s, due, why);
}

/* Key and ticket stand for the certificate that was shown for them. */
static void change_certificate(struct hg_sync *s)
{
	char err[512];

	if (hg_sync_reload(s, err, sizeof(err)))
		hg_error("sync: %s; the old certificate stays in use", err);
	else
		hg_credentials_forget(s->credentials);
	if (s->agent->watch)
		hg_watch_identity(s->agent->watch);
}

static void on_done(void *ctx, const struct hg_session_result *r)
{
	struct hg_sync *s = ctx;
	char text[sizeof(r->text) + 32];

	s->last = *r;
	s->ended_ms = hg_uptime_ms();
	hg_session_free(s->session);
	s->session = NULL;
	if (s->agent->watch)
		hg_watch_gate(s->agent->watch, END_MS);
	r = &s->last;
	if (r->failure == HG_SYNC_OK) {
		s->good++;
		s->good_ms = hg_now_ms();
		hg_debug("sync: session %llu: %s", (unsigned long long)r->number, r->text);
	} else {
		s->bad++;
	}
	if (r->renewed || (r->failure == HG_SYNC_TLS && hg_renewal_failed(s->agent->renewal)))
		change_certificate(s);
	plan(s, r);
	snprintf(text, sizeof(text), "%s%s%s", r->failure ? hg_sync_failure_name(r->failure) : "",
		 r->failure ? ": " : "", r->text);
	answer_waiters(s, failure_errno(r->failure), text);
	if (s->again_within != NEVER && has_news(s))
		wish(s, s->again_within, s->again_why);
	if (!TAILQ_EMPTY(&s->waiters))
		set_due(s, hg_uptime_ms(), WHY_ASKED);
	s->again_within = NEVER;
	if (s->links && s->due_ms > hg_uptime_ms() + LINKS_WORTH_MS)
		hg_links_down(s->links, END_MS);
}

static void start(struct hg_sync *s)
{
	struct hg_session_options o = { .agent = s->agent,
					.tls = s->tls,
					.credentials = s->credentials,
					.clock = s->agent->conf.mirror.clock == HG_CLOCK_TOLERANT
							 ? &s->clock
							 : NULL,
					.done = on_done,
					.ctx = s };

	s->changed = 0;
	if (s->agent->watch)
		hg_watch_gate(s->agent->watch, s->agent->conf.mirror.session_timeout);
	s->session = hg_session_new(&o);
	if (!s->session) {
		hg_error("sync: out of memory");
		set_due(s, hg_uptime_ms() + s->agent->conf.mirror.backoff_max, WHY_BACKOFF);
	}
}

static void on_links(void *ctx, const char *missing)
{
	struct hg_session_result r = { .failure = HG_SYNC_CONNECT };
	struct hg_sync *s = ctx;

	s->linking = false;
	if (!missing) {
		start(s);
		return;
	}
	snprintf(r.text, sizeof(r.text), "%s, after link_timeout", missing);
	on_done(s, &r);
}

static void on_due(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_sync *s = ctx;
	struct waiter *w;
	uint64_t times;

	if (read(fd, &times, sizeof(times)) != sizeof(times) || is_busy(s))
		return; /* put off since it went off, or too late */
	for (w = TAILQ_FIRST(&s->waiters); w; w = TAILQ_NEXT(w, link))
		w->armed = true;
	if (!s->links) {
		start(s);
		return;
	}
	s->linking = true;
	hg_links_up(s->links, s->agent->conf.mirror.link_timeout, on_links, s);
}

static SSL_CTX *make_tls(struct hg_sync *s, char *err, size_t err_size)
{
	const struct hg_agent_conf *c = &s->agent->conf;
	struct hg_tls_files files = { .cert = c->mirror.cert,
				      .key = c->mirror.key,
				      .ca = c->mirror.ca,
				      .crl = c->mirror.crl };
	SSL_CTX *tls = hg_tls_ctx_new(HG_TLS_SYNC_CLIENT, &files, err, err_size);

	if (!tls)
		return NULL;
	hg_credentials_attach(s->credentials, tls);
	return tls;
}

struct hg_sync *hg_sync_new(struct hg_agent *agent, char *err, size_t err_size)
{
	struct hg_sync *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->agent = agent;
	s->timer_fd = -1;
	hg_interval_init(&s->interval, &agent->conf,
			 agent->model ? hg_model_times(agent->model) : NULL, random_below);
	s->again_within = NEVER;
	TAILQ_INIT(&s->waiters);
	hg_clock_init(&s->clock, agent->conf.device.state_dir);
	s->credentials = hg_credentials_new(agent);
	if (!s->credentials) {
		snprintf(err, err_size, "out of memory");
		goto fail;
	}
	s->tls = make_tls(s, err, err_size);
	if (!s->tls)
		goto fail;
	s->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	s->timer = s->timer_fd < 0
			   ? NULL
			   : event_new(agent->base, s->timer_fd, EV_READ | EV_PERSIST, on_due, s);
	if (!s->timer || event_add(s->timer, NULL)) {
		snprintf(err, err_size, "out of memory");
		goto fail;
	}
	if (agent->conf.mirror.links.count) {
		s->links = hg_links_new(agent->base, &agent->conf.mirror.links, err, err_size);
		if (!s->links)
			goto fail;
	}
	set_due(s, hg_uptime_ms() + random_below(agent->conf.mirror.start_within + 1), WHY_START);
	return s;
fail:
	hg_sync_free(s);
	return NULL;
}

void hg_sync_free(struct hg_sync *s)
{
	struct waiter *w;

	if (!s)
		return;
	hg_session_free(s->session);
	hg_links_free(s->links);
	while ((w = TAILQ_FIRST(&s->waiters))) {
		TAILQ_REMOVE(&s->waiters, w, link);
		free(w);
	}
	if (s->timer)
		event_free(s->timer);
	if (s->timer_fd >= 0)
		close(s->timer_fd);
	SSL_CTX_free(s->tls);
	hg_credentials_free(s->credentials);
	free(s);
}

int hg_sync_reload(struct hg_sync *s, char *err, size_t err_size)
{
	SSL_CTX *tls = make_tls(s, err, err_size);

	if (!tls)
		return -EINVAL;
	SSL_CTX_free(s->tls); /* a session that runs holds its own reference */
	s->tls = tls;
	hg_credentials_rebind(s->credentials);
	return 0;
}

static int count_change(void *ctx, const struct hg_property *p)
{
	uint64_t *left = ctx;

	return --*left == 0;
}

/* One property that was changed often is one: only its newest value is sent. */
static bool many_wait(struct hg_sync *s)
{
	uint64_t many = s->agent->conf.mirror.changes_many, left = many;

	if (s->changed < many)
		return false;
	hg_store_changes(s->agent->store, hg_store_cursors(s->agent->store)->change_acked,
			 count_change, &left);
	s->changed = many - left;
	return !left;
}

void hg_sync_changed(struct hg_sync *s, size_t n, uint64_t within_ms)
{
	s->changed += n;
	if (many_wait(s))
		within_ms = 0;
	wish(s, within_ms == NEVER ? s->interval.soon : within_ms, WHY_CHANGE);
}

void hg_sync_report(struct hg_sync *s)
{
	if (!s->session || !hg_session_report(s->session))
		wish(s, 0, WHY_COMMAND);
}

int hg_sync_now(struct hg_sync *s, void (*done)(void *ctx, int ret, const char *text), void *ctx)
{
	struct waiter *w;

	if (s->n_waiters == WAITERS_MAX)
		return -EBUSY;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->done = done;
	w->ctx = ctx;
	TAILQ_INSERT_TAIL(&s->waiters, w, link);
	s->n_waiters++;
	if (!is_busy(s))
		set_due(s, hg_uptime_ms(), WHY_ASKED);
	return 0;
}

void hg_sync_forget(struct hg_sync *s, const void *ctx)
{
	struct waiter *w, *next;

	for (w = TAILQ_FIRST(&s->waiters); w; w = next) {
		next = TAILQ_NEXT(w, link);
		if (w->ctx != ctx)
			continue;
		TAILQ_REMOVE(&s->waiters, w, link);
		s->n_waiters--;
		free(w);
	}
}

/* What the next interval is made of. */
static json_t *policy_json(const struct hg_sync *s)
{
	const struct hg_interval *i = &s->interval;
	json_t *failed = json_object();

	for (int f = HG_SYNC_DNS; f < HG_SYNC_FAILURES; f++)
		if (i->failed[f])
			json_object_set_new(failed, hg_sync_failure_name(f),
					    json_integer(i->failed[f]));
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "hint_ms",
			 (json_int_t)s->last.interval_ms, "base_ms", (json_int_t)i->base, "min_ms",
			 (json_int_t)i->min, "max_ms", (json_int_t)i->max, "idle_ms",
			 (json_int_t)i->idle, "soon_ms", (json_int_t)i->soon, "jitter",
			 (json_int_t)i->jitter, "without_news", (json_int_t)i->idle_sessions,
			 "with_news", (json_int_t)i->busy_sessions, "failed", failed);
}

json_t *hg_sync_status(const struct hg_sync *s)
{
	uint64_t now = hg_uptime_ms();

	return json_pack("{s:s, s:b, s:s, s:I, s:s, s:I, s:I, s:I, s:s, s:s, s:I, s:o}", "mirror",
			 s->agent->conf.mirror.host, "session_running", is_busy(s), "link",
			 s->linking ? "awaited"
			 : s->links ? "managed"
				    : "",
			 "next_in_ms", (json_int_t)(s->due_ms > now ? s->due_ms - now : 0),
			 "next_why", why_names[s->why], "sessions_good", (json_int_t)s->good,
			 "sessions_failed", (json_int_t)s->bad, "last_good_ms",
			 (json_int_t)s->good_ms, "last_result",
			 s->good + s->bad ? hg_sync_failure_name(s->last.failure) : "", "last_text",
			 s->last.text, "last_number", (json_int_t)s->last.number, "policy",
			 policy_json(s));
}
