// SPDX-License-Identifier: MIT
/*
 * Lookups through libevent's resolver. A cancelled lookup's callback still comes later, so a
 * lookup belongs to that callback and only forgets its user.
 */
#include "resolver.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <event2/dns.h>
#include <event2/util.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

struct hg_resolver {
	struct event_base *base;
	struct evdns_base *dns;
};

struct hg_lookup {
	hg_lookup_done done; /* NULL: cancelled */
	void *ctx;
	struct evdns_getaddrinfo_request *request;
	struct event *deliver;
	int error;
	size_t n;
	struct sockaddr_storage addrs[HG_ADDRESSES_MAX];
};

struct hg_resolver *hg_resolver_new(struct event_base *base)
{
	struct hg_resolver *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->base = base;
	r->dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (!r->dns) {
		free(r);
		return NULL;
	}
	return r;
}

void hg_resolver_free(struct hg_resolver *r)
{
	if (!r)
		return;
	evdns_base_free(r->dns, 1);
	event_base_loop(r->base,
			EVLOOP_NONBLOCK); /* lookups that were broken off free themselves */
	free(r);
}

static void lookup_free(struct hg_lookup *l)
{
	if (l->deliver)
		event_free(l->deliver);
	free(l);
}

static void on_deliver(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_lookup *l = ctx;

	if (l->done)
		l->done(l->ctx,
			l->error ? evutil_gai_strerror(l->error)
			: l->n	 ? NULL
				 : "has no address",
			l->addrs, l->n);
	lookup_free(l);
}

static void on_answer(int error, struct evutil_addrinfo *list, void *ctx)
{
	struct hg_lookup *l = ctx;

	l->request = NULL;
	l->error = error;
	for (struct evutil_addrinfo *a = list; a && l->n < HG_ADDRESSES_MAX; a = a->ai_next) {
		if (a->ai_addrlen <= sizeof(l->addrs[0]))
			memcpy(&l->addrs[l->n++], a->ai_addr, a->ai_addrlen);
	}
	if (list)
		evutil_freeaddrinfo(list);
	event_active(l->deliver, EV_TIMEOUT, 0);
}

/* An address with which something beyond the link can be reached? */
static bool is_wide(const struct ifaddrs *i, int family)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)i->ifa_addr;

	if (!i->ifa_addr || i->ifa_addr->sa_family != family || i->ifa_flags & IFF_LOOPBACK ||
	    !(i->ifa_flags & IFF_UP))
		return false;
	return family != AF_INET6 || !IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr);
}

/*
 * The family that this device has addresses of now, or AF_UNSPEC. EVUTIL_AI_ADDRCONFIG would say
 * the same, but of the time of the first lookup: the network may be another one since.
 */
static int family_now(void)
{
	struct ifaddrs *list;
	bool v4 = false, v6 = false;

	if (getifaddrs(&list))
		return AF_UNSPEC;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		v4 |= is_wide(i, AF_INET);
		v6 |= is_wide(i, AF_INET6);
	}
	freeifaddrs(list);
	return v4 == v6 ? AF_UNSPEC : v4 ? AF_INET : AF_INET6;
}

struct hg_lookup *hg_lookup_new(struct hg_resolver *r, const char *host, unsigned int port,
				hg_lookup_done done, void *ctx)
{
	struct evutil_addrinfo hints = { .ai_family = AF_UNSPEC,
					 .ai_socktype = SOCK_STREAM,
					 .ai_protocol = IPPROTO_TCP,
					 .ai_flags = EVUTIL_AI_NUMERICHOST };
	struct evutil_addrinfo *list = NULL;
	struct evdns_getaddrinfo_request *request;
	struct hg_lookup *l = calloc(1, sizeof(*l));
	char service[8];

	if (!l)
		return NULL;
	l->done = done;
	l->ctx = ctx;
	l->deliver = event_new(r->base, -1, 0, on_deliver, l);
	if (!l->deliver) {
		free(l);
		return NULL;
	}
	snprintf(service, sizeof(service), "%u", port);
	if (!evutil_getaddrinfo(host, service, &hints, &list)) {
		on_answer(0, list, l);
		return l;
	}
	evdns_base_clear_nameservers_and_suspend(r->dns);
	evdns_base_clear_host_addresses(r->dns);
	evdns_base_resolv_conf_parse(r->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
	evdns_base_resume(r->dns);
	hints.ai_flags = 0;
	hints.ai_family = family_now();
	/* From the hosts file the answer is given before this returns (NULL). */
	request = evdns_getaddrinfo(r->dns, host, service, &hints, on_answer, l);
	if (request)
		l->request = request;
	return l;
}

void hg_lookup_cancel(struct hg_lookup *l)
{
	if (!l)
		return;
	l->done = NULL;
	if (l->request)
		evdns_getaddrinfo_cancel(l->request);
}
