// SPDX-License-Identifier: MIT
/*
 * `heliograph-mirror serve`: one process, an event loop per processor, two listeners. The first
 * loop runs in the main thread and has the signals, applications and housekeeping beside its share
 * of the devices. Stateless: all facts are in the database, any number of these may run on one.
 * SIGTERM and SIGINT end it after what is under way; SIGHUP reads the revocation list again.
 */
#include "cmd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/resource.h>
#include <event2/event.h>
#include "../lib/log.h"
#include "../lib/pg.h"
#include "../lib/psk.h"
#include "../lib/tls.h"
#include "args.h"
#include "http.h"
#include "loop.h"
#include "net.h"
#include "once.h"
#include "sync.h"

#define DRAIN_S 10 /* what is under way at SIGTERM gets this long; statements end sooner */
#define DRAIN_POLL_MS 20
#define FILES_BESIDE 64 /* listeners, log, libraries, and some loops if [sync] threads is 0 */
#define FILES_PER_LOOP 4
#define LOOPS_MAX 64
#define CHORES 2
#define KEEP 3	    /* kinds of rows that have an age at which they go */
#define PRUNE_S 600 /* ages are of days */
#define EXPIRE_S 60 /* how much later than its time an application may see that a command ended */

/* What the database does now and then: a part of it, again until it answers that it was nothing. */
struct chore {
	const char *sql;
	int n_params, every_s;
	struct event *event;
	struct server *server;
};

struct server {
	const struct hg_mirror_conf *conf;
	struct hg_tls_files sync_files, http_files;
	struct event_base *base; /* of the first loop */
	struct hg_pg *pg;	 /* likewise */
	SSL_CTX *sync_tls, *http_tls;
	struct hg_pki_ca ca;
	struct hg_psk_keys *psk_keys; /* NULL: no pre-shared keys */
	struct hg_once *once;	      /* NULL: no early data */
	struct hg_loop *loops[LOOPS_MAX];
	struct hg_sync_shared shared;
	struct hg_http *http;
	struct event *sigterm, *sigint, *sighup, *drain;
	int drain_left;
	struct chore chores[CHORES];
	char keep[KEEP][32]; /* intervals: outbox, commands, audit */
};

static void on_drain(evutil_socket_t fd, short what, void *arg)
{
	struct server *v = arg;

	if ((atomic_load(&v->shared.open) || atomic_load(&v->shared.asking) ||
	     (v->http && hg_http_busy(v->http))) &&
	    v->drain_left--)
		return;
	event_base_loopbreak(v->base);
}

static void on_stop(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval tv = { .tv_usec = DRAIN_POLL_MS * 1000 };
	struct server *v = arg;

	if (v->drain_left) {
		event_base_loopbreak(v->base);
		return;
	}
	v->drain_left = DRAIN_S * 1000 / DRAIN_POLL_MS;
	for (unsigned int i = 0; i < v->shared.n_loops; i++)
		hg_loop_stop(v->loops[i]);
	if (v->http)
		hg_http_stop(v->http);
	event_add(v->drain, &tv);
}

static void on_reload(evutil_socket_t fd, short what, void *arg)
{
	struct server *v = arg;
	char err[512];
	int rc;

	pthread_rwlock_wrlock(&v->shared.tls_lock);
	rc = hg_tls_trust_reload(v->sync_tls, &v->sync_files, err, sizeof(err));
	pthread_rwlock_unlock(&v->shared.tls_lock);
	if (rc)
		hg_error("reload: %s; the old list stays in force", err);
	else
		hg_info("reload: authorities and revocation list were read again");
}

static void on_chore(evutil_socket_t fd, short what, void *arg);

static void on_chore_done(void *ctx, const PGresult *res, const char *error)
{
	struct chore *c = ctx;

	if (error && res)
		hg_warn("%s: %s", c->sql, error);
	else if (!error && strcmp(PQgetvalue(res, 0, 0), "0") && !c->server->drain_left)
		on_chore(-1, 0, c);
}

static void on_chore(evutil_socket_t fd, short what, void *arg)
{
	struct chore *c = arg;
	const char *keep[KEEP];

	for (size_t i = 0; i < KEEP; i++)
		keep[i] = c->server->keep[i];
	hg_pg_query(c->server->pg, c->sql, c->n_params, keep, on_chore_done, c);
}

static int open_chores(struct server *v)
{
	const uint64_t keep_ms[KEEP] = { v->conf->keep.outbox, v->conf->keep.commands,
					 v->conf->keep.audit };

	for (size_t i = 0; i < KEEP; i++)
		snprintf(v->keep[i], sizeof(v->keep[i]), "%llu s",
			 (unsigned long long)keep_ms[i] / 1000);
	v->chores[0] = (struct chore){
		.sql = "SELECT prune($1, $2, $3)",
		.n_params = KEEP,
		.every_s = PRUNE_S,
	};
	v->chores[1] = (struct chore){ .sql = "SELECT commands_expire()", .every_s = EXPIRE_S };
	for (size_t i = 0; i < CHORES; i++) {
		struct chore *c = &v->chores[i];
		const struct timeval every = { .tv_sec = c->every_s };

		c->server = v;
		c->event = event_new(v->base, -1, EV_PERSIST, on_chore, c);
		if (!c->event || event_add(c->event, &every))
			return -1;
	}
	return 0;
}

static int open_events(struct server *v)
{
	v->sigterm = evsignal_new(v->base, SIGTERM, on_stop, v);
	v->sigint = evsignal_new(v->base, SIGINT, on_stop, v);
	v->sighup = evsignal_new(v->base, SIGHUP, on_reload, v);
	v->drain = event_new(v->base, -1, EV_PERSIST, on_drain, v);
	if (!v->sigterm || !v->sigint || !v->sighup || !v->drain || event_add(v->sigterm, NULL) ||
	    event_add(v->sigint, NULL) || event_add(v->sighup, NULL) || open_chores(v)) {
		hg_error("serve: cannot set up the event loop");
		return HG_EXIT_FAILED;
	}
	return HG_EXIT_OK;
}

/* A mirror without the authority serves as well; devices then hear that it renews nothing. */
static void open_ca(struct server *v)
{
	const struct hg_mirror_conf *c = v->conf;
	char path[4200], err[512];

	snprintf(path, sizeof(path), "%s/ca.key", c->ca.directory);
	if (!c->ca.renew || access(path, F_OK))
		return;
	if (hg_pki_ca_load(c->ca.directory, &v->ca, err, sizeof(err)))
		hg_warn("serve: devices' certificates are not renewed: %s", err);
	else
		v->shared.ca = &v->ca;
}

/* Returns 0, or -errno with a message in err. */
static int open_psk(struct server *v, char *err, size_t err_size)
{
	const struct hg_mirror_conf *c = v->conf;

	if (!c->sync.psk_key) {
		snprintf(err, err_size, "[sync] %s: needs psk_key; set both",
			 c->sync.early ? "early" : "psk_key_previous");
		return c->sync.psk_key_previous || c->sync.early ? -EINVAL : 0;
	}
	v->psk_keys = hg_psk_keys_load(c->sync.psk_key, c->sync.psk_key_previous, err, err_size);
	if (!v->psk_keys)
		return -EINVAL;
	snprintf(err, err_size, "out of memory");
	if (c->sync.early) {
		v->once = hg_once_new();
		if (!v->once)
			return -ENOMEM;
		hg_once_serve(v->sync_tls, v->once);
		hg_psk_keys_early(v->psk_keys);
	}
	return hg_psk_serve(v->sync_tls, v->psk_keys);
}

/*
 * OpenSSL would look through all sessions for old ones with each 255th connection, all loops
 * waiting; but they are bounded in number, and an old one that is offered is refused.
 */
static void bound_tickets(SSL_CTX *ctx, const struct hg_mirror_conf *c)
{
	SSL_CTX_set_session_cache_mode(ctx, SSL_CTX_get_session_cache_mode(ctx) |
						    SSL_SESS_CACHE_NO_AUTO_CLEAR);
	SSL_CTX_sess_set_cache_size(ctx, (long)c->sync.tickets);
}

static int open_tls(struct server *v)
{
	const struct hg_mirror_conf *c = v->conf;
	char err[512];

	v->sync_files = (struct hg_tls_files){ c->sync.cert, c->sync.key, c->sync.ca, c->sync.crl };
	v->http_files = (struct hg_tls_files){ .cert = c->http.cert ? c->http.cert : c->sync.cert,
					       .key = c->http.cert ? c->http.key : c->sync.key };
	v->sync_tls = hg_tls_ctx_new(HG_TLS_SYNC_SERVER, &v->sync_files, err, sizeof(err));
	if (v->sync_tls)
		bound_tickets(v->sync_tls, c);
	if (v->sync_tls)
		v->http_tls = hg_tls_ctx_new(HG_TLS_HTTP_SERVER, &v->http_files, err, sizeof(err));
	if (v->sync_tls && v->http_tls && !open_psk(v, err, sizeof(err))) {
		open_ca(v);
		return HG_EXIT_OK;
	}
	hg_error("serve: %s", err);
	return HG_EXIT_CONFIG;
}

/*
 * So many connections as the configuration allows need their descriptors: who runs out of them can
 * neither take a connection nor be rid of it, and its listener spins.
 */
static int open_files(const struct hg_mirror_conf *c)
{
	const rlim_t need = c->sync.connections + c->http.connections + c->database.connections +
			    FILES_BESIDE + c->sync.threads * FILES_PER_LOOP;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= need)
		return HG_EXIT_OK;
	limit.rlim_cur = need;
	if (limit.rlim_max < need)
		limit.rlim_max = need; /* only with CAP_SYS_RESOURCE */
	if (!setrlimit(RLIMIT_NOFILE, &limit))
		return HG_EXIT_OK;
	getrlimit(RLIMIT_NOFILE, &limit);
	hg_error("serve: [sync] connections = %llu and [http] connections = %llu need %llu open "
		 "files, and the limit is %llu; lower them, or raise LimitNOFILE= (ulimit -Hn)",
		 (unsigned long long)c->sync.connections, (unsigned long long)c->http.connections,
		 (unsigned long long)need, (unsigned long long)limit.rlim_max);
	return HG_EXIT_CONFIG;
}

static int open_listeners(struct server *v)
{
	const struct hg_mirror_conf *c = v->conf;
	bool http = strcmp(c->http.listen, "none") != 0;
	evutil_socket_t a, b = -1;
	char err[256];

	a = v->shared.listener = hg_net_listen(c->sync.listen, err, sizeof(err));
	if (a >= 0 && http)
		b = hg_net_listen(c->http.listen, err, sizeof(err));
	if (b >= 0)
		v->http = hg_http_new(v->base, c, v->pg, v->http_tls, b);
	if (a < 0 || (http && b < 0)) {
		hg_error("serve: cannot listen: %s", err);
		return a == -EINVAL || b == -EINVAL ? HG_EXIT_CONFIG : HG_EXIT_FAILED;
	}
	if (http && !v->http) {
		hg_error("serve: out of memory");
		return HG_EXIT_FAILED;
	}
	return HG_EXIT_OK;
}

/* So many that each has two connections to the database: one commits while the other is filled. */
static unsigned int count_loops(const struct hg_mirror_conf *c)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int most = (unsigned int)c->database.connections / 2;

	if (c->sync.threads)
		return (unsigned int)c->sync.threads;
	if (cpus > 0 && (unsigned int)cpus < most)
		most = (unsigned int)cpus;
	return most ? most : 1;
}

static int open_loops(struct server *v)
{
	const struct hg_mirror_conf *c = v->conf;
	const unsigned int n = count_loops(c), connections = (unsigned int)c->database.connections;
	struct hg_pg_options o = { .conninfo = c->database.conninfo,
				   .queue_max = (unsigned int)c->database.queue,
				   .timeout_ms = (unsigned int)c->database.timeout,
				   .search_path = c->database.schema };

	if (n > connections) {
		hg_error("serve: [sync] threads = %u: each needs a connection of its own, and "
			 "[database] connections = %u; lower the one or raise the other",
			 n, connections);
		return HG_EXIT_CONFIG;
	}
	for (unsigned int i = 0; i < n; i++) {
		o.connections = connections / n + (i < connections % n);
		v->loops[i] = hg_loop_new(i, &o);
		if (!v->loops[i]) {
			hg_error("serve: cannot start an event loop");
			return HG_EXIT_FAILED;
		}
		v->shared.n_loops++;
	}
	v->base = hg_loop_base(v->loops[0]);
	v->pg = hg_loop_pg(v->loops[0]);
	return HG_EXIT_OK;
}

static int open_sessions(struct server *v)
{
	v->shared.conf = v->conf;
	v->shared.tls = v->sync_tls;
	v->shared.loops = v->loops;
	for (unsigned int i = 0; i < v->shared.n_loops; i++)
		if (hg_loop_open(v->loops[i], &v->shared))
			goto fail;
	for (unsigned int i = 1; i < v->shared.n_loops; i++)
		if (hg_loop_start(v->loops[i]))
			goto fail;
	return HG_EXIT_OK;
fail:
	hg_error("serve: cannot start an event loop");
	return HG_EXIT_FAILED;
}

static int open_all(struct server *v)
{
	int rc = open_files(v->conf);

	if (!rc)
		rc = open_tls(v);
	if (!rc)
		rc = open_loops(v);
	if (!rc)
		rc = open_events(v);
	if (!rc)
		rc = open_listeners(v);
	if (!rc)
		rc = open_sessions(v);
	return rc;
}

static void close_all(struct server *v)
{
	struct event *events[] = { v->sigterm, v->sigint,	   v->sighup,
				   v->drain,   v->chores[0].event, v->chores[1].event };
	struct hg_http *http = v->http;

	for (unsigned int i = 1; i < v->shared.n_loops; i++)
		hg_loop_join(v->loops[i]);
	if (v->pg)
		hg_loop_close(v->loops[0]);
	hg_http_free(http);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (events[i])
			event_free(events[i]);
	for (unsigned int i = v->shared.n_loops; i--;)
		hg_loop_free(v->loops[i]);
	if (v->shared.listener >= 0)
		close(v->shared.listener);
	SSL_CTX_free(v->sync_tls);
	SSL_CTX_free(v->http_tls);
	hg_psk_keys_free(v->psk_keys);
	hg_once_free(v->once);
	hg_pki_ca_free(&v->ca);
	pthread_rwlock_destroy(&v->shared.tls_lock);
}

int hg_cmd_serve(void *ctx, int argc, char **argv)
{
	struct server v = { .conf = ctx, .shared.listener = -1 };
	int rc = hg_args_parse(argc, argv, 0, NULL);

	if (rc)
		return rc;
	pthread_rwlock_init(&v.shared.tls_lock, NULL);
	signal(SIGPIPE, SIG_IGN);
	rc = open_all(&v);
	if (!rc) {
		for (size_t i = 0; i < CHORES; i++)
			on_chore(-1, 0, &v.chores[i]);
		hg_info("serve: devices at %s, applications at %s", v.conf->sync.listen,
			v.conf->http.listen);
		event_base_dispatch(v.base);
		hg_info("serve: ends");
	}
	close_all(&v);
	return rc;
}
