// SPDX-License-Identifier: MIT
/*
 * The table of the application API. Each row is answered by one SQL function; http.c gathers its
 * parameters. Paths and methods are those of the WoT HTTP basic profile.
 */
#include "api.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT_MAX 128 /* bytes; UIDs and names are at most 64 */

#define ROW(fn) "SELECT * FROM " fn
#define JSON "application/json"
#define TD "application/td+json"

static const struct hg_api_route routes[] = {
	{ "things",
	  EVHTTP_REQ_GET,
	  ROW("api_things($1, $2, $3, $4)"),
	  { HG_FROM_TOKEN, HG_FROM_URL, HG_FROM_AFTER, HG_FROM_LIMIT },
	  HG_API_NO_BODY,
	  JSON },
	{ "things/*",
	  EVHTTP_REQ_GET,
	  ROW("api_thing($1, $2, $3)"),
	  { HG_FROM_TOKEN, HG_FROM_URL, HG_FROM_DEVICE },
	  HG_API_NO_BODY,
	  TD },
	{ "things/*/properties",
	  EVHTTP_REQ_GET,
	  ROW("api_properties_get($1, $2)"),
	  { HG_FROM_TOKEN, HG_FROM_DEVICE },
	  HG_API_NO_BODY,
	  JSON },
	{ "things/*/properties/*",
	  EVHTTP_REQ_GET,
	  ROW("api_property_get($1, $2, $3)"),
	  { HG_FROM_TOKEN, HG_FROM_DEVICE, HG_FROM_NAME },
	  HG_API_NO_BODY,
	  JSON },
	{ "things/*/properties/*",
	  EVHTTP_REQ_PUT,
	  ROW("api_property_put($1, $2, $3, $4, $5, $6, $7)"),
	  { HG_FROM_TOKEN, HG_FROM_URL, HG_FROM_DEVICE, HG_FROM_NAME, HG_FROM_BODY,
	    HG_FROM_IF_MATCH, HG_FROM_CBOR },
	  HG_API_LARGE_BODY,
	  JSON },
	{ "things/*/properties/*",
	  EVHTTP_REQ_POST,
	  ROW("api_property_post($1, $2, $3, $4, $5)"),
	  { HG_FROM_TOKEN, HG_FROM_DEVICE, HG_FROM_NAME, HG_FROM_BODY, HG_FROM_IF_MATCH },
	  HG_API_BODY,
	  JSON },
	{ "things/*/actions/*",
	  EVHTTP_REQ_POST,
	  ROW("api_action_post($1, $2, $3, $4, $5)"),
	  { HG_FROM_TOKEN, HG_FROM_URL, HG_FROM_DEVICE, HG_FROM_NAME, HG_FROM_BODY },
	  HG_API_BODY_IF_ANY,
	  JSON },
	{ "things/*/actions/*/*",
	  EVHTTP_REQ_GET,
	  ROW("api_action_get($1, $2, $3, $4, $5)"),
	  { HG_FROM_TOKEN, HG_FROM_URL, HG_FROM_DEVICE, HG_FROM_NAME, HG_FROM_ID },
	  HG_API_NO_BODY,
	  JSON },
	{ "things/*/actions/*/*",
	  EVHTTP_REQ_DELETE,
	  ROW("api_action_delete($1, $2, $3, $4)"),
	  { HG_FROM_TOKEN, HG_FROM_DEVICE, HG_FROM_NAME, HG_FROM_ID },
	  HG_API_NO_BODY,
	  JSON },
	{ 0 },
};

static int hex_digit(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
					    : -1;
}

/* The next character of s, decoded; -1: a bad escape, or not ASCII: no UID and no name is. */
static int next_char(const char **s, const char *end)
{
	int c = (unsigned char)*(*s)++;

	if (c == '%') {
		int hi = end - *s >= 2 ? hex_digit((*s)[0]) : -1;
		int lo = hi < 0 ? -1 : hex_digit((*s)[1]);

		c = lo < 0 ? -1 : hi << 4 | lo;
		*s += 2;
	}
	return c > 0x20 && c < 0x7f ? c : -1;
}

/* Decodes one segment up to '/' or the end. */
static char *segment_decode(const char **at)
{
	size_t len = strcspn(*at, "/"), n = 0;
	const char *s = *at, *end = s + len;
	char *out = len && len <= SEGMENT_MAX ? calloc(1, len + 1) : NULL;

	while (out && s < end) {
		int c = next_char(&s, end);

		if (c < 0) {
			free(out);
			return NULL;
		}
		out[n++] = (char)c;
	}
	*at = *end ? end + 1 : end;
	return out;
}

int hg_api_path_parse(const char *path, struct hg_api_path *p)
{
	*p = (struct hg_api_path){ 0 };
	if (*path++ != '/')
		return -EINVAL;
	while (*path) {
		if (p->n == HG_API_SEGMENTS)
			goto bad;
		p->segments[p->n] = segment_decode(&path);
		if (!p->segments[p->n])
			goto bad;
		p->n++;
	}
	return 0;
bad:
	hg_api_path_free(p);
	return -EINVAL;
}

void hg_api_path_free(struct hg_api_path *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->segments[i]);
	p->n = 0;
}

static bool matches(const char *pattern, const struct hg_api_path *p)
{
	for (size_t i = 0; i < p->n; i++) {
		size_t len = strcspn(pattern, "/");
		bool any = len == 1 && *pattern == '*';

		if (!len || (!any && (strlen(p->segments[i]) != len ||
				      strncmp(p->segments[i], pattern, len))))
			return false;
		pattern += len;
		pattern += *pattern == '/';
	}
	return !*pattern;
}

static const char *method_name(enum evhttp_cmd_type method)
{
	return method == EVHTTP_REQ_PUT	     ? "PUT"
	       : method == EVHTTP_REQ_POST   ? "POST"
	       : method == EVHTTP_REQ_DELETE ? "DELETE"
					     : "GET";
}

const struct hg_api_route *hg_api_route_find(const struct hg_api_path *p,
					     enum evhttp_cmd_type method, char allow[static 32])
{
	allow[0] = '\0';
	if (method == EVHTTP_REQ_HEAD)
		method = EVHTTP_REQ_GET;
	for (const struct hg_api_route *r = routes; r->pattern; r++) {
		if (!matches(r->pattern, p))
			continue;
		if (r->method == method)
			return r;
		if (*allow)
			strcat(allow, ", ");
		strcat(allow, method_name(r->method));
	}
	return NULL;
}
