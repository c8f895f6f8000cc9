// SPDX-License-Identifier: MIT
/* What a run measured, and what of it is shared and so is not as with real devices. */
#include "run.h"

#include <stdlib.h>

/*
 * Of a segment on IPv4: 20 bytes of IP, 20 of TCP, 12 of timestamps. SYNs have 8 more of options,
 * which is left out.
 */
#define HEADERS_V4 52
#define HEADERS_V6 72

static const char *const shared_text =
	"in common: one process and its clock, one TLS context, the pool of keys; nothing is kept"
	" from a power cut; commands are reported as done, not executed";

const char *load_mode_name(enum load_mode mode)
{
	static const char *const names[] = { "first", "full", "idle", "changes" };

	return names[mode];
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

struct percentiles {
	double p50, p99, p100; /* ms */
};

/* Nearest rank, of samples in order. */
static double rank_ms(const struct load_sample *s, size_t percent)
{
	size_t rank = (s->n * percent + 99) / 100;

	return s->us[rank - 1] / 1e3;
}

static struct percentiles percentiles_of(struct load_sample *s)
{
	struct percentiles p = { 0 };

	if (!s->n)
		return p;
	qsort(s->us, s->n, sizeof(*s->us), compare);
	p.p50 = rank_ms(s, 50);
	p.p99 = rank_ms(s, 99);
	p.p100 = rank_ms(s, 100);
	return p;
}

static double each(const struct load_result *r, double total)
{
	return r->ok ? total / r->ok : 0;
}

static double ip_bytes(const struct load_result *r, const struct load_peer *peer)
{
	const struct load_traffic *t = &r->traffic;

	return each(r,
		    t->bytes_out + t->bytes_in +
			    (double)(t->segments_out + t->segments_in) *
				    (peer->addr.ss_family == AF_INET6 ? HEADERS_V6 : HEADERS_V4));
}

static const char *arrival_text(const struct load_plan *p, char *buf, size_t size)
{
	if (p->arrival == LOAD_RATE)
		snprintf(buf, size, "rate %u/s", p->rate);
	else
		snprintf(buf, size, "%s", p->arrival == LOAD_LOOP ? "closed loop" : "all at once");
	return buf;
}

static void json_cpu(const char *name, const struct load_result *r, double us, FILE *to)
{
	if (us >= 0)
		fprintf(to, "\"%s\": %.1f, ", name, each(r, us));
	else
		fprintf(to, "\"%s\": null, ", name);
}

static void json_failed(const struct load_result *r, FILE *to)
{
	fprintf(to, "\"failed\": {");
	for (int i = 1; i < LOAD_ENDS; i++)
		fprintf(to, "%s\"%s\": %llu", i > 1 ? ", " : "", load_end_name(i),
			(unsigned long long)r->failed[i]);
	fprintf(to, "}, ");
}

void load_result_json(struct load_result *r, const struct load_peer *peer, FILE *to)
{
	const struct load_head *h = peer->state->head;
	struct percentiles l = percentiles_of(&r->latency), s = percentiles_of(&r->session);
	char arrival[32];

	fprintf(to, "{\"mode\": \"%s\", \"arrival\": \"%s\", \"connections\": %u, \"peak\": %u, ",
		load_mode_name(r->plan->mode), arrival_text(r->plan, arrival, sizeof(arrival)),
		r->plan->connections, r->peak);
	fprintf(to,
		"\"devices\": %u, \"took_part\": %u, \"level\": %u, \"gave_up\": %u,"
		" \"unfinished\": %u, ",
		r->devices, r->took_part, r->level, r->gave_up, r->unfinished);
	fprintf(to,
		"\"ok\": %llu, \"resumed\": %llu, \"by_psk\": %llu, \"early\": %llu,"
		" \"retries\": %llu, ",
		(unsigned long long)r->ok, (unsigned long long)r->resumed,
		(unsigned long long)r->by_psk, (unsigned long long)r->early,
		(unsigned long long)r->retries);
	json_failed(r, to);
	fprintf(to, "\"rounds\": %llu, \"changes\": %llu, \"commands\": %llu, ",
		(unsigned long long)r->rounds, (unsigned long long)r->changes,
		(unsigned long long)r->commands);
	fprintf(to, "\"began\": %.3f, \"seconds\": %.3f, \"syncs_per_s\": %.1f, ", r->began,
		r->seconds, r->seconds > 0 ? r->ok / r->seconds : 0);
	fprintf(to, "\"latency_ms\": {\"p50\": %.2f, \"p99\": %.2f, \"p100\": %.2f}, ", l.p50,
		l.p99, l.p100);
	fprintf(to, "\"session_ms\": {\"p50\": %.2f, \"p99\": %.2f, \"p100\": %.2f}, ", s.p50,
		s.p99, s.p100);
	fprintf(to, "\"ip_bytes\": %.1f, \"segments\": %.2f, ", ip_bytes(r, peer),
		each(r, r->traffic.segments_out + r->traffic.segments_in));
	fprintf(to, "\"client_us\": %.1f, ", each(r, r->client_us));
	json_cpu("server_us", r, r->server_us, to);
	json_cpu("database_us", r, r->database_us, to);
	fprintf(to, "\"rss_mib\": %.1f, \"keys\": %u, \"own_address\": %s, \"shared\": \"%s\"}\n",
		r->rss_kib / 1024.0, h->keys, peer->spread ? "true" : "false", shared_text);
}

void load_result_table(struct load_result *r, const struct load_peer *peer, FILE *to)
{
	const struct load_head *h = peer->state->head;
	struct percentiles l = percentiles_of(&r->latency), s = percentiles_of(&r->session);
	char arrival[32];

	fprintf(to, "%-22s %s, %s, at most %u connections (peak %u)\n", "run",
		load_mode_name(r->plan->mode), arrival_text(r->plan, arrival, sizeof(arrival)),
		r->plan->connections, r->peak);
	fprintf(to, "%-22s %u of %u took part; %u level, %u gave up, %u unfinished\n", "devices",
		r->took_part, r->devices, r->level, r->gave_up, r->unfinished);
	fprintf(to, "%-22s %llu in %.2f s: %.1f/s; %llu resumed, %llu by key, %llu retries\n",
		"good sessions", (unsigned long long)r->ok, r->seconds,
		r->seconds > 0 ? r->ok / r->seconds : 0, (unsigned long long)r->resumed,
		(unsigned long long)r->by_psk, (unsigned long long)r->retries);
	for (int i = 1; i < LOAD_ENDS; i++)
		if (r->failed[i])
			fprintf(to, "%-22s %llu %s; the first: %s\n", "failed",
				(unsigned long long)r->failed[i], load_end_name(i), r->text[i]);
	fprintf(to, "%-22s %.2f rounds, %.2f changes, %.2f commands\n", "of one",
		each(r, r->rounds), each(r, r->changes), each(r, r->commands));
	fprintf(to, "%-22s p50 %.2f, p99 %.2f, p100 %.2f ms, from wanted to level\n", "latency",
		l.p50, l.p99, l.p100);
	fprintf(to, "%-22s p50 %.2f, p99 %.2f, p100 %.2f ms, from connect to level\n", "session",
		s.p50, s.p99, s.p100);
	fprintf(to, "%-22s %.0f in %.2f segments, before close (alert, FINs not counted)\n",
		"IP bytes of one", ip_bytes(r, peer),
		each(r, r->traffic.segments_out + r->traffic.segments_in));
	fprintf(to, "%-22s %.0f us here", "CPU of one", each(r, r->client_us));
	if (r->server_us >= 0)
		fprintf(to, ", %.0f us in the server", each(r, r->server_us));
	if (r->database_us >= 0)
		fprintf(to, ", %.0f us in the database", each(r, r->database_us));
	fprintf(to, "%s\n", r->server_us < 0 ? "; the server's with --server-pid" : "");
	fprintf(to, "%-22s %.1f MiB at most\n", "memory here", r->rss_kib / 1024.0);
	fprintf(to, "%-22s %u P-256 keys for %u certificates; %s\n", "shared", h->keys, r->devices,
		peer->spread ? "each device has a source address of its own"
			     : "one source address");
	fprintf(to, "%-22s %s\n", "", shared_text);
}
