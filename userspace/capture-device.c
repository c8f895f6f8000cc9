// SPDX-License-Identifier: MIT
/* A device's addresses: read, printed, compared with a record's. */
#include "capture-device.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "../core/parse.h"

bool hg_capture_is_group(const struct hg_addr *a)
{
	if (hg_addr_is_ipv4(a))
		return ntohl(a->a[3]) >> 28 == 0xe || !~a->a[3];
	return ntohl(a->a[0]) >> 24 == 0xff;
}

static bool parse_mac(const char *s, __u8 mac[static 6])
{
	unsigned int m[6];
	int n = 0;

	if (sscanf(s, "%2x:%2x:%2x:%2x:%2x:%2x%n", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5], &n) !=
		    6 ||
	    s[n])
		return false;
	for (int i = 0; i < 6; i++)
		mac[i] = (__u8)m[i];
	return !(mac[0] & 1);
}

static bool parse_addr(const char *s, size_t n, struct hg_addr *out)
{
	char text[INET6_ADDRSTRLEN];
	struct in_addr v4;

	if (n >= sizeof(text))
		return false;
	memcpy(text, s, n);
	text[n] = '\0';
	if (inet_pton(AF_INET, text, &v4) == 1) {
		hg_addr_from_ipv4(out, v4.s_addr);
		return true;
	}
	return inet_pton(AF_INET6, text, out) == 1;
}

int hg_capture_device_parse(const char *text, struct hg_capture_device *out, char *err,
			    size_t err_size)
{
	struct hg_capture_device d = { 0 };
	const char *s = text;

	if (parse_mac(text, d.mac)) {
		d.has_mac = true;
		*out = d;
		return 0;
	}
	for (;;) {
		size_t n = strcspn(s, ",");

		if (d.n_addrs == HG_CAPTURE_ADDRS_MAX || !parse_addr(s, n, &d.addrs[d.n_addrs]) ||
		    hg_capture_is_group(&d.addrs[d.n_addrs])) {
			snprintf(err, err_size,
				 "device '%.60s': must be a link address like 00:53:00:12:34:56, "
				 "or 1 to %d IP addresses between commas, of no group",
				 text, HG_CAPTURE_ADDRS_MAX);
			return -EINVAL;
		}
		d.n_addrs++;
		if (!s[n])
			break;
		s += n + 1;
	}
	*out = d;
	return 0;
}

void hg_capture_mac_text(const __u8 *m, char *out, size_t size)
{
	snprintf(out, size, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
}

void hg_capture_addr_text(const struct hg_addr *a, char *out, size_t size)
{
	if (hg_addr_is_ipv4(a))
		inet_ntop(AF_INET, &a->a[3], out, (socklen_t)size);
	else
		inet_ntop(AF_INET6, a, out, (socklen_t)size);
}

const char *hg_capture_device_text(const struct hg_capture_device *d,
				   char out[static HG_CAPTURE_DEVICE_TEXT])
{
	out[0] = '\0';
	if (d->has_mac)
		hg_capture_mac_text(d->mac, out, HG_CAPTURE_DEVICE_TEXT);
	else if (d->n_addrs)
		hg_capture_addr_text(&d->addrs[0], out, HG_CAPTURE_DEVICE_TEXT);
	return out;
}

bool hg_capture_has_addr(const struct hg_addr *list, size_t n, const struct hg_addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (hg_addr_equal(&list[i], a))
			return true;
	return false;
}

bool hg_capture_device_same(const struct hg_capture_device *a, const struct hg_capture_device *b)
{
	if (a->has_mac && b->has_mac)
		return !memcmp(a->mac, b->mac, 6);
	for (size_t i = 0; i < a->n_addrs; i++)
		if (hg_capture_has_addr(b->addrs, b->n_addrs, &a->addrs[i]))
			return true;
	return false;
}

bool hg_capture_read_ip(const struct hg_capture_record *r, struct hg_packet *p)
{
	hg_packet_parse(p, &r->frame, HG_PACKET_OUT);
	if (p->type != HG_ETH_IPV4 && p->type != HG_ETH_IPV6)
		return false;
	return p->kind <= HG_PACKET_MULTICAST;
}

static enum hg_capture_way way_by_addr(const struct hg_capture_device *d,
				       const struct hg_capture_record *r)
{
	struct hg_packet p;

	if (!hg_capture_read_ip(r, &p)) {
		/* ARP and the like have no flows; of a cooked one the sender can be told. */
		return d->has_mac && r->from && !memcmp(r->from, d->mac, 6) ? HG_CAPTURE_OUT
									    : HG_CAPTURE_OTHER;
	}
	if (hg_capture_has_addr(d->addrs, d->n_addrs, &p.key.local))
		return HG_CAPTURE_OUT;
	/* A DHCP client has no address yet. */
	if (d->has_mac && r->from && !memcmp(r->from, d->mac, 6) && hg_addr_is_ipv4(&p.key.local) &&
	    !p.key.local.a[3])
		return HG_CAPTURE_OUT;
	if (hg_capture_has_addr(d->addrs, d->n_addrs, &p.key.remote) ||
	    hg_capture_is_group(&p.key.remote))
		return HG_CAPTURE_IN;
	return HG_CAPTURE_OTHER;
}

enum hg_capture_way hg_capture_device_way(const struct hg_capture_device *d,
					  const struct hg_capture_record *r)
{
	if (!d->has_mac || !r->to)
		return way_by_addr(d, r);
	if (!memcmp(r->from, d->mac, 6))
		return HG_CAPTURE_OUT;
	return r->to[0] & 1 || !memcmp(r->to, d->mac, 6) ? HG_CAPTURE_IN : HG_CAPTURE_OTHER;
}
