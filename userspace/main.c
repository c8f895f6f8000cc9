// SPDX-License-Identifier: MIT
/*
 * heliographd: the device's agent. This file is the list of its parts, made in this order and
 * freed in the reverse one. One thread, one event loop; signals arrive as events.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include "agent.h"
#include "command.h"
#include "model.h"
#include "notify.h"
#include "renewal.h"
#include "resolver.h"
#include "socket.h"
#include "store.h"
#include "sync.h"
#include "watch.h"
#include "../lib/log.h"

static const struct hg_program program = {
	.name = "heliographd",
	.purpose = "synchronise a device with its mirror, guard it, and tell when it misbehaves",
	.default_conf = HG_AGENT_CONF,
	.keys = hg_agent_conf_keys,
};

uint64_t hg_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * UINT64_C(1000) + ts.tv_nsec / 1000000;
}

uint64_t hg_uptime_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * UINT64_C(1000) + ts.tv_nsec / 1000000;
}

/* The name under which the mirror and the collector know this device. */
static int read_uid(struct hg_agent *a, char *err, size_t err_size)
{
	const char *path = a->conf.mirror.cert;
	FILE *f;
	X509 *cert;
	int ret;

	if (!a->conf.mirror.host && !a->conf.collector.host)
		return 0;
	f = fopen(path, "re");
	if (!f) {
		snprintf(err, err_size, "%s: %s; install the device's bundle", path,
			 strerror(errno));
		return -errno;
	}
	cert = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	ret = cert ? hg_tls_cert_uid(cert, a->uid) : -EINVAL;
	X509_free(cert);
	if (ret)
		snprintf(err, err_size, "%s: not the certificate of a device", path);
	return ret;
}

/* Key and certificate, the renewed one if there is one. */
static int open_identity(struct hg_agent *a, char *err, size_t err_size)
{
	int ret = 0;

	if (a->conf.mirror.provider)
		ret = hg_tls_provider_load(a->conf.mirror.provider, a->conf.mirror.properties, err,
					   err_size);
	if (!ret && a->conf.mirror.host) {
		a->renewal = hg_renewal_new(a);
		ret = a->renewal ? 0 : -ENOMEM;
	}
	return ret ? ret : read_uid(a, err, err_size);
}

static enum hg_merge rule(void *ctx, const char *name)
{
	return hg_model_rule(ctx, name);
}

static int open_store(struct hg_agent *a, char *err, size_t err_size)
{
	struct hg_store_options o = {
		.dir = a->conf.device.state_dir,
		.size_max = a->conf.device.store_max,
		.properties_max = a->conf.device.properties_max,
		.journal_max = a->conf.device.journal_max,
		.object_max = a->conf.device.object_max,
		.results_max = a->conf.device.results_max,
	};

	int ret = hg_store_open(&o, &a->store, err, err_size);

	if (!ret && a->model)
		hg_store_rules(a->store, rule, a->model);
	return ret;
}

static int parts_init(struct hg_agent *a, char *err, size_t err_size)
{
	int ret = open_identity(a, err, err_size);

	if (ret)
		return ret;
	if (a->conf.device.model) {
		a->model = hg_model_load(a->conf.device.model, err, err_size);
		if (!a->model)
			return -EINVAL;
	}
	a->resolver = hg_resolver_new(a->base);
	if (!a->resolver)
		return -ENOMEM;
	ret = open_store(a, err, err_size);
	if (!ret)
		ret = hg_watch_new(a, &a->watch, err, err_size);
	if (ret)
		return ret;
	a->commands = hg_commands_new(a, err, err_size);
	if (!a->commands)
		return -ENOMEM;
	if (a->conf.mirror.host) {
		a->sync = hg_sync_new(a, err, err_size);
		if (!a->sync)
			return -EINVAL;
	}
	a->socket = hg_socket_new(a, err, err_size);
	return a->socket ? 0 : -EADDRINUSE;
}

static void parts_exit(struct hg_agent *a)
{
	hg_socket_free(a->socket);
	a->socket = NULL;
	hg_commands_free(a->commands);
	hg_sync_free(a->sync);
	hg_watch_free(a->watch);
	hg_store_close(a->store);
	hg_resolver_free(a->resolver);
	hg_model_free(a->model);
	hg_renewal_free(a->renewal);
}

static void on_stop(evutil_socket_t sig, short what, void *ctx)
{
	struct hg_agent *a = ctx;

	hg_info("agent: stopping: %s", strsignal(sig));
	event_base_loopbreak(a->base);
}

/* Keys and certificates are read again; other settings need a restart, which loses nothing. */
static void on_reload(evutil_socket_t sig, short what, void *ctx)
{
	struct hg_agent *a = ctx;
	char err[512];

	if (a->sync && hg_sync_reload(a->sync, err, sizeof(err)))
		hg_error("agent: reload: %s; the old ones stay in use", err);
	else
		hg_info("agent: certificates read again");
	if (a->watch)
		hg_watch_identity(a->watch);
}

static int run(struct hg_agent *a, char *err, size_t err_size)
{
	struct event *signals[3] = {
		evsignal_new(a->base, SIGTERM, on_stop, a),
		evsignal_new(a->base, SIGINT, on_stop, a),
		evsignal_new(a->base, SIGHUP, on_reload, a),
	};
	int ret = 0;

	for (int i = 0; i < 3; i++) {
		if (!signals[i] || event_add(signals[i], NULL))
			ret = -ENOMEM;
	}
	if (!ret)
		ret = parts_init(a, err, err_size);
	if (ret && !a->watch)
		hg_watch_leave_guard(a);
	if (!ret) {
		hg_info("agent: %s: started, version %s", a->uid[0] ? a->uid : "no mirror",
			HG_VERSION);
		hg_commands_look(a->commands);
		hg_notify("READY=1");
		event_base_dispatch(a->base);
		hg_notify("STOPPING=1");
	}
	parts_exit(a);
	for (int i = 0; i < 3; i++) {
		if (signals[i])
			event_free(signals[i]);
	}
	return ret;
}

static int exit_code(int ret)
{
	switch (ret) {
	case 0:
		return HG_EXIT_OK;
	case -EINVAL:
	case -ENOENT:
	case -EBADMSG:
	case -EKEYREJECTED:
		return HG_EXIT_CONFIG;
	case -EPERM:
	case -EACCES:
		return HG_EXIT_DENIED;
	default:
		return HG_EXIT_FAILED;
	}
}

int main(int argc, char **argv)
{
	static const int levels[] = { HG_LOG_ERROR, HG_LOG_WARN, HG_LOG_INFO, HG_LOG_DEBUG };
	struct hg_agent agent = { .started_ms = hg_uptime_ms() };
	const char *path;
	char err[512] = "";
	int first, ret;

	first = hg_program_options(&program, argc, argv, NULL, NULL, &path);
	if (first < 0)
		return HG_EXIT_USAGE;
	if (first < argc) {
		fprintf(stderr, "heliographd: takes no argument '%s'\n", argv[first]);
		return HG_EXIT_USAGE;
	}
	ret = hg_agent_conf_load(path, &agent.conf, err, sizeof(err));
	if (ret) {
		fprintf(stderr, "heliographd: %s\n", err);
		return HG_EXIT_CONFIG;
	}
	hg_log_init("heliographd", levels[agent.conf.agent.log_level], agent.conf.agent.syslog);
	signal(SIGPIPE, SIG_IGN);
	umask(077);
	agent.base = event_base_new();
	ret = agent.base ? run(&agent, err, sizeof(err)) : -ENOMEM;
	if (ret)
		hg_error("agent: cannot start: %s", err[0] ? err : strerror(-ret));
	if (agent.base)
		event_base_free(agent.base);
	libevent_global_shutdown();
	hg_agent_conf_free(&agent.conf);
	return exit_code(ret);
}
