// SPDX-License-Identifier: MIT
/*
 * A run. A device is in one of these places: not yet due (RATE), waiting in the queue for a
 * connection, in a session, backing off (its timer), or done. pump() moves from the queue to
 * sessions, a few in each turn of the loop, so that those under way are not starved.
 */
#include "run.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <event2/event_struct.h>
#include <sys/random.h>
#include <sys/resource.h>
#include "../../userspace/interval.h"
#include "cpu.h"
#include "exchange.h"

#define CURVE_MS 100
#define STARTS_PER_TURN 32
#define STARTS_OF_A_HERD 1024 /* who all come at once do not wait for each other's sessions */
#define TICK_US 2000	      /* arrivals at a rate */

struct run;

struct device {
	STAILQ_ENTRY(device) entry;
	struct event retry;
	struct run *run;
	uint32_t index, tries;
	struct hg_interval interval; /* the agent's own, for its backoff */
	uint64_t wanted_us;
};

struct run {
	struct load_peer *peer;
	const struct load_plan *plan;
	struct load_result *r;
	struct load_head *head;
	struct device *devices;
	STAILQ_HEAD(queue, device) queue;
	struct event pump, tick, curve_tick, deadline, term, interrupt;
	FILE *curve;
	uint32_t n, n_open, n_arrived, n_over;
	uint64_t begun_us;
	bool stopping;
};

static struct load_record *record_of(const struct device *d)
{
	return &d->run->peer->state->records[d->index];
}

static void sample_add(struct load_sample *s, uint64_t us)
{
	if (s->n < s->room)
		s->us[s->n++] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

static uint64_t random_below(uint64_t bound)
{
	uint64_t v = 0;

	if (getrandom(&v, sizeof(v), 0) != sizeof(v))
		v = 0;
	return bound ? v % bound : 0;
}

static void pump_soon(struct run *run)
{
	if (!event_pending(&run->pump, EV_TIMEOUT, NULL))
		event_active(&run->pump, EV_TIMEOUT, 0);
}

static void queue_up(struct device *d, uint64_t wanted_us)
{
	d->wanted_us = wanted_us;
	STAILQ_INSERT_TAIL(&d->run->queue, d, entry);
	pump_soon(d->run);
}

static void stop(struct run *run)
{
	run->stopping = true;
	event_base_loopbreak(run->peer->base);
}

static void over(struct device *d)
{
	if (++d->run->n_over == d->run->n)
		stop(d->run);
}

/* A session of the device ended well. */
static void went_well(struct device *d, const struct load_outcome *o)
{
	struct load_result *r = d->run->r;
	uint64_t now = load_now_us();

	r->ok++;
	r->resumed += o->resumed;
	r->by_psk += o->by_psk;
	r->early += o->early;
	r->rounds += o->rounds;
	r->traffic.bytes_out += o->traffic.bytes_out;
	r->traffic.bytes_in += o->traffic.bytes_in;
	r->traffic.segments_out += o->traffic.segments_out;
	r->traffic.segments_in += o->traffic.segments_in;
	sample_add(&r->latency, now - d->wanted_us);
	sample_add(&r->session, o->us);
	d->tries = 0;
	hg_interval_good(&d->interval, 0, 0);
	if (++record_of(d)->done < d->run->plan->sessions)
		queue_up(d, now);
	else
		over(d);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
	struct device *d = arg;

	queue_up(d, d->wanted_us);
}

/* Section 9 of the protocol; userspace/session.c has the same, at more places. */
static enum hg_sync_failure class_of(const struct load_outcome *o)
{
	if (!o->connected)
		return HG_SYNC_CONNECT;
	switch (o->end) {
	case LOAD_BUSY:
	case LOAD_UNAVAILABLE:
		return HG_SYNC_BUSY;
	case LOAD_TURNED_AWAY:
		return o->silent ? HG_SYNC_BUSY : HG_SYNC_TLS;
	case LOAD_TIMEOUT:
		return o->silent ? HG_SYNC_BUSY : HG_SYNC_PROTOCOL;
	case LOAD_TLS:
		return HG_SYNC_TLS;
	default:
		return HG_SYNC_PROTOCOL;
	}
}

static void went_badly(struct device *d, const struct load_outcome *o)
{
	const struct load_plan *p = d->run->plan;
	struct load_result *r = d->run->r;
	uint64_t ms;

	if (!r->failed[o->end]++)
		snprintf(r->text[o->end], sizeof(r->text[0]), "%s", o->text);
	if (++d->tries >= p->tries || o->end == LOAD_REFUSED) {
		r->gave_up++;
		over(d);
		return;
	}
	r->retries++;
	ms = hg_interval_failed(&d->interval, class_of(o), o->interval_ms);
	event_add(&d->retry, &(struct timeval){ ms / 1000, ms % 1000 * 1000 });
}

static void on_done(void *ctx, const struct load_outcome *o)
{
	struct device *d = ctx;

	d->run->n_open--;
	d->run->r->changes += o->changes;
	d->run->r->commands += o->commands;
	if (o->end == LOAD_OK)
		went_well(d, o);
	else
		went_badly(d, o);
	pump_soon(d->run);
}

/* A session's changes are made once, however often it is tried, by however many generators. */
static void make_changes(struct device *d)
{
	struct load_record *r = record_of(d);

	if (r->made > r->done)
		return;
	r->seq += d->run->plan->changes;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	r->made = r->done + 1;
}

static void on_pump(evutil_socket_t fd, short what, void *arg)
{
	struct run *run = arg;
	int starts = run->plan->arrival == LOAD_HERD ? STARTS_OF_A_HERD : STARTS_PER_TURN;
	struct device *d;

	for (int i = 0; i < starts; i++) {
		d = STAILQ_FIRST(&run->queue);
		if (!d || run->n_open >= run->plan->connections)
			return;
		STAILQ_REMOVE_HEAD(&run->queue, entry);
		if (run->plan->arrival == LOAD_LOOP && !d->tries)
			d->wanted_us = load_now_us();
		make_changes(d);
		if (load_session_start(run->peer, d->index, on_done, d)) {
			fprintf(stderr, "devices: out of memory at %u connections\n", run->n_open);
			stop(run);
			return;
		}
		if (++run->n_open > run->r->peak)
			run->r->peak = run->n_open;
	}
	event_add(&run->pump, &(struct timeval){ 0 });
}

/* Each device of a RATE has its own moment, which a late tick does not change. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct run *run = arg;
	uint64_t now = load_now_us() - run->begun_us;

	while (run->n_arrived < run->n) {
		uint64_t at = run->n_arrived * UINT64_C(1000000) / run->plan->rate;

		if (at > now)
			break;
		queue_up(&run->devices[run->n_arrived++], run->begun_us + at);
	}
	if (run->n_arrived < run->n)
		event_add(&run->tick, &(struct timeval){ .tv_usec = TICK_US });
}

static void curve_point(struct run *run)
{
	const struct load_result *r = run->r;

	if (run->curve)
		fprintf(run->curve, "%.2f\t%u\t%u\t%llu\t%llu\n",
			(load_now_us() - run->begun_us) / 1e6, run->n_over - r->gave_up,
			run->n_open, (unsigned long long)r->ok, (unsigned long long)r->retries);
}

static void on_curve(evutil_socket_t fd, short what, void *arg)
{
	struct run *run = arg;

	curve_point(run);
	event_add(&run->curve_tick, &(struct timeval){ .tv_usec = CURVE_MS * 1000 });
}

static int curve_open(struct run *run, char *err, size_t size)
{
	if (!run->plan->curve)
		return 0;
	run->curve = fopen(run->plan->curve, "we");
	if (!run->curve || fprintf(run->curve, "seconds\tdone\topen\tok\tretries\n") < 0) {
		snprintf(err, size, "%s: %s", run->plan->curve, strerror(errno));
		return -1;
	}
	return 0;
}

static int curve_close(struct run *run, char *err, size_t size)
{
	bool bad;

	if (!run->curve)
		return 0;
	bad = ferror(run->curve);
	bad = fclose(run->curve) || bad;
	if (bad)
		snprintf(err, size, "%s: not written to its end", run->plan->curve);
	return bad ? -1 : 0;
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	stop(arg);
}

static bool takes_part(const struct run *run, const struct load_record *r)
{
	if (run->plan->go_on && r->run == run->head->run)
		return r->done < run->plan->sessions;
	return run->plan->mode == LOAD_FIRST ? !r->known : r->known;
}

/* A new number of the run, or that of the one that was not ended. */
static void open_run(struct run *run)
{
	if (!run->plan->go_on || !run->head->run_open)
		run->head->run++;
	run->head->run_open = 1;
}

static int choose(struct run *run)
{
	uint32_t all = run->head->devices;

	open_run(run);
	run->devices = calloc(all, sizeof(*run->devices));
	if (!run->devices)
		return -1;
	for (uint32_t i = 0; i < all; i++) {
		struct load_record *r = &run->peer->state->records[i];
		struct device *d = &run->devices[run->n];

		if (!takes_part(run, r))
			continue;
		if (run->plan->limit && run->n == run->plan->limit)
			break;
		if (r->run != run->head->run) {
			r->done = r->made = 0;
			__atomic_signal_fence(__ATOMIC_SEQ_CST);
			r->run = run->head->run;
		}
		*d = (struct device){ .run = run,
				      .index = i,
				      .interval = { .backoff_min = run->plan->backoff_ms,
						    .backoff_max = run->plan->backoff_max_ms,
						    .below = random_below } };
		evtimer_assign(&d->retry, run->peer->base, on_retry, d);
		run->n++;
	}
	run->r->devices = all;
	run->r->took_part = run->n;
	return 0;
}

static int make_room(struct load_sample *s, uint64_t n)
{
	s->room = n < LOAD_SAMPLES_MAX ? n : LOAD_SAMPLES_MAX;
	s->us = malloc((s->room ? s->room : 1) * sizeof(*s->us));
	return s->us ? 0 : -1;
}

static void begin(struct run *run)
{
	struct event_base *base = run->peer->base;

	STAILQ_INIT(&run->queue);
	evtimer_assign(&run->pump, base, on_pump, run);
	evtimer_assign(&run->tick, base, on_tick, run);
	evtimer_assign(&run->curve_tick, base, on_curve, run);
	evtimer_assign(&run->deadline, base, on_stop, run);
	evsignal_assign(&run->term, base, SIGTERM, on_stop, run);
	evsignal_assign(&run->interrupt, base, SIGINT, on_stop, run);
	event_priority_set(&run->curve_tick, LOAD_FIRST_PRIORITY);
	event_priority_set(&run->deadline, LOAD_FIRST_PRIORITY);
	event_priority_set(&run->tick, LOAD_FIRST_PRIORITY);
	event_add(&run->term, NULL);
	event_add(&run->interrupt, NULL);
	event_add(&run->deadline, &(struct timeval){ run->plan->deadline_s, 0 });
	run->begun_us = load_now_us();
	if (run->curve)
		on_curve(-1, 0, run);
	if (run->plan->arrival == LOAD_RATE)
		on_tick(-1, 0, run);
	else
		for (uint32_t i = 0; i < run->n; i++)
			queue_up(&run->devices[i], run->begun_us);
}

static void finish(struct run *run)
{
	struct event *const events[] = { &run->curve_tick, &run->pump, &run->tick,
					 &run->deadline,   &run->term, &run->interrupt };
	struct load_result *r = run->r;
	struct rusage u;

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		event_del(events[i]);
	for (uint32_t i = 0; i < run->n; i++) {
		struct device *d = &run->devices[i];

		event_del(&d->retry);
		r->level += load_record_level(record_of(d)) &&
			    record_of(d)->done >= run->plan->sessions;
	}
	r->unfinished = run->n - run->n_over;
	if (r->level == run->n)
		run->head->run_open = 0;
	getrusage(RUSAGE_SELF, &u);
	r->rss_kib = u.ru_maxrss;
}

int load_run(struct load_peer *peer, const struct load_plan *plan, struct load_result *r, char *err,
	     size_t size)
{
	struct run run = { .peer = peer, .plan = plan, .r = r, .head = peer->state->head };
	double client, server, database;
	struct timespec t;
	int rc = -1;

	*r = (struct load_result){ .plan = plan };
	if (curve_open(&run, err, size))
		return -1;
	if (choose(&run) || make_room(&r->latency, (uint64_t)run.n * plan->sessions) ||
	    make_room(&r->session, (uint64_t)run.n * plan->sessions)) {
		snprintf(err, size, "out of memory for %u devices", run.head->devices);
		goto out;
	}
	client = load_cpu_self();
	server = load_cpu_process(plan->server);
	database = load_cpu_tree(plan->database);
	clock_gettime(CLOCK_REALTIME, &t);
	r->began = t.tv_sec + t.tv_nsec / 1e9;
	begin(&run);
	if (run.n && !run.stopping)
		event_base_dispatch(peer->base);
	r->seconds = (load_now_us() - run.begun_us) / 1e6;
	r->client_us = load_cpu_self() - client;
	r->server_us = load_cpu_since(server, load_cpu_process(plan->server));
	r->database_us = load_cpu_since(database, load_cpu_tree(plan->database));
	load_session_end_all(peer);
	curve_point(&run);
	finish(&run);
	rc = 0;
out:
	if (curve_close(&run, err, size))
		rc = -1;
	free(run.devices);
	return rc;
}

void load_result_free(struct load_result *r)
{
	free(r->latency.us);
	free(r->session.us);
}
