/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* Distinct destinations, ports and sources of one channel: struct hg_spots. */
#ifndef HG_CORE_SPOTS_H
#define HG_CORE_SPOTS_H

#include "addr.h"
#include "packet.h"
#include "tables.h"

/* UDP services that answer more than they were asked, to whoever the question claims to be from. */
static hg_inline int hg_is_amplifier(__be16 port)
{
	switch (HG_NET16(port)) {
	case 17:    /* quote of the day */
	case 19:    /* character generator */
	case 53:    /* DNS */
	case 123:   /* NTP */
	case 161:   /* SNMP */
	case 389:   /* CLDAP */
	case 1900:  /* SSDP */
	case 3702:  /* WS-Discovery: cameras */
	case 5683:  /* CoAP */
	case 11211: /* memcached */
	case 37810: /* DVR discovery */
		return 1;
	}
	return 0;
}

/* TCP services where one logs in: what is tried with lists of passwords. */
static hg_inline int hg_is_login(const struct hg_flow_key *k)
{
	if (k->proto != HG_IP_TCP)
		return 0;
	switch (HG_NET16(k->remote_port)) {
	case 21:    /* FTP */
	case 22:    /* SSH */
	case 23:    /* Telnet */
	case 445:   /* SMB */
	case 1433:  /* SQL Server */
	case 2222:  /* SSH, moved */
	case 2323:  /* Telnet, moved */
	case 3306:  /* MySQL */
	case 3389:  /* RDP */
	case 5432:  /* PostgreSQL */
	case 5555:  /* Android debugging */
	case 5900:  /* VNC */
	case 8291:  /* RouterOS */
	case 37777: /* DVR */
		return 1;
	}
	return 0;
}

static hg_inline __u32 hg_spots_hash(__u64 seed, const struct hg_addr *a, __u32 more)
{
	__u64 x = seed ^ hg_addr_high(a);

	x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9ull;
	x ^= hg_addr_low(a);
	x = (x ^ x >> 32) * 0x94d049bb133111ebull;
	x ^= more;
	x = (x ^ x >> 31) * 0x9e3779b97f4a7c15ull;
	return x >> 32;
}

/*
 * Puts a hash into a set of words * 32 bits, a power of two. True if it was not there. Two
 * processors at once may lose one: a count that is one too low.
 */
static hg_inline int hg_spot(__u32 *set, __u32 words, __u32 hash)
{
	__u32 bit = 1u << (hash & 31), *word = &set[hash >> 5 & (words - 1)];

	if (*word & bit)
		return 0;
	*word |= bit;
	return 1;
}

/*
 * A flow to a service, which is on the remote's port or on the device's own, was opened. True if
 * its destination is new: struct hg_window.fresh.
 */
static hg_inline int hg_spots_add(struct hg_spots *s, __u64 seed, const struct hg_flow_key *k,
				  __be16 service_port)
{
	__u32 remote = hg_spots_hash(seed, &k->remote, 0);
	__u32 port = (__u32)HG_NET16(service_port) << 8 | k->proto;
	__u32 service = hg_spots_hash(seed, &k->remote, port + 1);

	s->n[0] += hg_spot(s->second, 8, remote);
	s->n[1] += hg_spot(s->minute, 8, remote);
	s->n[2] += hg_spot(s->hour, 8, remote);
	s->n_ports += hg_spot(s->ports, 8, (port >> 8) * 0x9e3779b1u >> 16);
	s->n_sources += hg_spot(s->sources, 2, hg_spots_hash(seed, &k->local, 0));
	if (s->before[service >> 5 & 31] & 1u << (service & 31))
		return 0;
	return hg_spot(s->known, 32, service);
}

static hg_inline void hg_spots_clear(__u32 *set, __u32 words)
{
	__u32 i;

	for (i = 0; i < words; i++)
		set[i] = 0;
}

/* Ends windows; longer ones end where shorter ones do. */
static hg_inline void hg_spots_end_second(struct hg_spots *s)
{
	hg_spots_clear(s->second, 8);
	s->n[0] = 0;
}

static hg_inline void hg_spots_end_minute(struct hg_spots *s)
{
	hg_spots_clear(s->minute, 8);
	hg_spots_clear(s->ports, 8);
	hg_spots_clear(s->sources, 2);
	s->n[1] = 0;
	s->n_ports = 0;
	s->n_sources = 0;
}

static hg_inline void hg_spots_forget_hour(struct hg_spots *s)
{
	hg_spots_clear(s->hour, 8);
	s->n[2] = 0;
}

static hg_inline void hg_spots_end_hour(struct hg_spots *s)
{
	__u32 i;

	for (i = 0; i < 32; i++) {
		s->before[i] = s->known[i];
		s->known[i] = 0;
	}
	hg_spots_forget_hour(s);
}

#endif
