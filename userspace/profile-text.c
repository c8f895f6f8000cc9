// SPDX-License-Identifier: MIT
/*
 * Texts inside a profile. Each has one written form, so that a profile that is read and written
 * again is the same: names in lower case, addresses as inet_ntop() has them, times in UTC.
 */
#include "profile-text.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NAME "name:"
#define LABEL_MAX 63		       /* RFC 1035 */
#define V4_BITS 96		       /* before an IPv4 address in its 128-bit form */
#define TIME_MIN INT64_C(31536000)     /* 1971 */
#define TIME_MAX INT64_C(253402300799) /* the end of 9999 */

static const struct {
	const char *name;
	uint8_t kind, role;
} words[] = {
	{ "any", HG_REMOTE_ANY, 0 },
	{ "local", HG_REMOTE_LOCAL, 0 },
	{ "mirror", HG_REMOTE_PEER, HG_PEER_MIRROR },
	{ "collector", HG_REMOTE_PEER, HG_PEER_COLLECTOR },
	{ "dns", HG_REMOTE_PEER, HG_PEER_DNS },
	{ "ntp", HG_REMOTE_PEER, HG_PEER_NTP },
	{ "dhcp", HG_REMOTE_PEER, HG_PEER_DHCP },
};

static const struct {
	const char *name;
	uint8_t proto;
} protos[] = {
	{ "any", 0 },
	{ "tcp", IPPROTO_TCP },
	{ "udp", IPPROTO_UDP },
	{ "icmp", IPPROTO_ICMP },
	{ "icmpv6", IPPROTO_ICMPV6 },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

bool hg_host_valid(const char *host, size_t len)
{
	size_t label = 0;

	if (!len || len > HG_PROFILE_HOST_MAX)
		return false;
	for (size_t i = len > 2 && !memcmp(host, "*.", 2) ? 2 : 0; i < len; i++) {
		if (host[i] == '.') {
			if (!label)
				return false;
			label = 0;
		} else if (++label > LABEL_MAX ||
			   (!isalnum((unsigned char)host[i]) && host[i] != '-' && host[i] != '_')) {
			return false;
		}
	}
	return label;
}

static int read_host(const char *text, struct hg_profile_remote *out)
{
	size_t n = strlen(text);

	if (!hg_host_valid(text, n))
		return -EINVAL;
	out->kind = HG_REMOTE_NAME;
	for (size_t i = 0; i < n; i++)
		out->host[i] = (char)tolower((unsigned char)text[i]);
	return 0;
}

/* Digits only, no leading zero, at most `max`; -1 if it is not. */
static long read_number(const char *text, size_t len, long max)
{
	long n = 0;

	if (!len || len > 5 || (len > 1 && text[0] == '0'))
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)text[i]))
			return -1;
		n = n * 10 + (text[i] - '0');
	}
	return n <= max ? n : -1;
}

/* "192.0.2.0/24", "2001:db8::1" */
static int read_prefix(const char *s, struct hg_profile_remote *out)
{
	char text[INET6_ADDRSTRLEN];
	size_t n = strcspn(s, "/");
	uint8_t *a = (uint8_t *)out->addr.a;
	bool v4;
	long len;

	if (n >= sizeof(text))
		return -EINVAL;
	memcpy(text, s, n);
	text[n] = '\0';
	v4 = !strchr(text, ':');
	if (v4)
		a[10] = a[11] = 0xff;
	if (inet_pton(v4 ? AF_INET : AF_INET6, text, v4 ? a + 12 : a) != 1)
		return -EINVAL;
	len = v4 ? 32 : 128;
	if (s[n])
		len = read_number(s + n + 1, strlen(s + n + 1), len);
	if (len < 0)
		return -EINVAL;
	out->kind = HG_REMOTE_PREFIX;
	out->prefix_len = (uint8_t)(v4 ? len + V4_BITS : len);
	for (unsigned int bit = out->prefix_len; bit < 128; bit++)
		if (a[bit / 8] & (0x80 >> bit % 8))
			return -ERANGE;
	return 0;
}

int hg_remote_read(const char *text, struct hg_profile_remote *out)
{
	*out = (struct hg_profile_remote){ 0 };
	for (size_t i = 0; i < COUNT(words); i++) {
		if (!strcmp(words[i].name, text)) {
			out->kind = words[i].kind;
			out->role = words[i].role;
			return 0;
		}
	}
	if (!strncmp(text, NAME, strlen(NAME)))
		return read_host(text + strlen(NAME), out);
	return read_prefix(text, out);
}

static void write_prefix(const struct hg_profile_remote *r, char *out)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *a = (const uint8_t *)r->addr.a;
	bool v4 = r->prefix_len >= V4_BITS && !memcmp(a, mapped, sizeof(mapped));
	char text[INET6_ADDRSTRLEN];

	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? a + 12 : a, text, sizeof(text));
	if (r->prefix_len == 128)
		snprintf(out, HG_REMOTE_TEXT_MAX, "%s", text);
	else
		snprintf(out, HG_REMOTE_TEXT_MAX, "%s/%d", text,
			 v4 ? r->prefix_len - V4_BITS : r->prefix_len);
}

char *hg_remote_write(const struct hg_profile_remote *r, char out[static HG_REMOTE_TEXT_MAX])
{
	out[0] = '\0';
	if (r->kind == HG_REMOTE_NAME)
		snprintf(out, HG_REMOTE_TEXT_MAX, NAME "%s", r->host);
	else if (r->kind == HG_REMOTE_PREFIX)
		write_prefix(r, out);
	for (size_t i = 0; i < COUNT(words) && !*out; i++)
		if (words[i].kind == r->kind && words[i].role == r->role)
			snprintf(out, HG_REMOTE_TEXT_MAX, "%s", words[i].name);
	return out;
}

const char *hg_proto_name(uint8_t proto)
{
	for (size_t i = 0; i < COUNT(protos); i++)
		if (protos[i].proto == proto)
			return protos[i].name;
	return NULL;
}

int hg_proto_read(const char *name)
{
	for (size_t i = 0; i < COUNT(protos); i++)
		if (!strcmp(protos[i].name, name))
			return protos[i].proto;
	return -1;
}

int hg_ports_read(const char *text, struct hg_profile_ports *out)
{
	size_t n = strcspn(text, "-");
	long min = read_number(text, n, 65535), max = min;

	if (text[n])
		max = read_number(text + n + 1, strlen(text + n + 1), 65535);
	if (min < 1 || max < min)
		return -EINVAL;
	*out = (struct hg_profile_ports){ (uint16_t)min, (uint16_t)max };
	return 0;
}

/* The text's digits stand where those of `form` (0) stand, and all else is the same. */
static bool has_form(const char *text, const char *form)
{
	for (; *form; text++, form++)
		if (*form == '0' ? !isdigit((unsigned char)*text) : *text != *form)
			return false;
	return !*text;
}

int64_t hg_time_read(const char *text)
{
	bool utc = has_form(text, "0000-00-00T00:00:00Z");
	struct tm tm = { 0 }, again;
	long offset = 0;
	int64_t t;

	if (!utc && !has_form(text, "0000-00-00T00:00:00+00:00") &&
	    !has_form(text, "0000-00-00T00:00:00-00:00"))
		return -1;
	tm.tm_year = (int)strtol(text, NULL, 10) - 1900;
	tm.tm_mon = (int)strtol(text + 5, NULL, 10) - 1;
	tm.tm_mday = (int)strtol(text + 8, NULL, 10);
	tm.tm_hour = (int)strtol(text + 11, NULL, 10);
	tm.tm_min = (int)strtol(text + 14, NULL, 10);
	tm.tm_sec = (int)strtol(text + 17, NULL, 10);
	again = tm;
	/* timegm() makes another day of one that is not in the calendar. */
	t = timegm(&again);
	if (again.tm_year != tm.tm_year || again.tm_mon != tm.tm_mon ||
	    again.tm_mday != tm.tm_mday || again.tm_hour != tm.tm_hour ||
	    again.tm_min != tm.tm_min || again.tm_sec != tm.tm_sec)
		return -1;
	if (!utc) {
		long hours = strtol(text + 20, NULL, 10), minutes = strtol(text + 23, NULL, 10);

		if (hours > 23 || minutes > 59)
			return -1;
		offset = (hours * 60 + minutes) * 60;
	}
	t = text[19] == '-' ? t + offset : t - offset;
	return t < TIME_MIN || t > TIME_MAX ? -1 : t;
}

char *hg_time_write(int64_t time, char out[static HG_TEXT_MAX])
{
	time_t t = (time_t)time;
	struct tm tm;

	out[0] = '\0';
	if (gmtime_r(&t, &tm))
		strftime(out, HG_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}
