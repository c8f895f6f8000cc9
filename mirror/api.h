/* SPDX-License-Identifier: MIT */
/* The application API: which SQL function answers which path and method. */
#ifndef HG_MIRROR_API_H
#define HG_MIRROR_API_H

#include <stdbool.h>
#include <stddef.h>
#include <event2/http.h>

#define HG_API_PARAMS_MAX 7
#define HG_API_SEGMENTS 5 /* things/UID/actions/NAME/ID */

enum hg_api_body {
	HG_API_NO_BODY,
	HG_API_BODY,
	HG_API_BODY_IF_ANY,
	HG_API_LARGE_BODY, /* a value up to [sync] object_max */
};

/* Where a parameter of the SQL function comes from. */
enum hg_api_from {
	HG_FROM_NONE,
	HG_FROM_TOKEN, /* its hash */
	HG_FROM_URL,   /* where this API is reached */
	HG_FROM_DEVICE,
	HG_FROM_NAME,
	HG_FROM_ID,
	HG_FROM_BODY,
	HG_FROM_CBOR, /* of the body, in bytea's text, if a command cannot carry it */
	HG_FROM_IF_MATCH,
	HG_FROM_AFTER,
	HG_FROM_LIMIT,
};

struct hg_api_route {
	const char *pattern; /* "*" stands for one segment */
	enum evhttp_cmd_type method;
	const char *sql;
	enum hg_api_from params[HG_API_PARAMS_MAX];
	enum hg_api_body body;
	const char *type; /* of a good answer */
};

struct hg_api_path {
	char *segments[HG_API_SEGMENTS]; /* decoded */
	size_t n;
};

/* Splits and decodes a path. Returns 0, or -EINVAL: too long, empty segments, bad escapes. */
int hg_api_path_parse(const char *path, struct hg_api_path *out);
void hg_api_path_free(struct hg_api_path *p);

/*
 * The route of a path and method; HEAD is taken as GET. NULL if there is none: `allow` then holds
 * the methods of that path, or is empty if there is no such path.
 */
const struct hg_api_route *hg_api_route_find(const struct hg_api_path *p,
					     enum evhttp_cmd_type method, char allow[static 32]);

#endif
