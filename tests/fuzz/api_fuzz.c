/* SPDX-License-Identifier: MIT */
/*
 * Any text as the path of a request to the mirror's API: what is split has so many segments as are
 * allowed, each printable ASCII and not empty, and a route or a list of methods.
 */
#include "fuzz.h"

#include <string.h>

#include "../../mirror/api.h"

static void check_path(const char *path)
{
	static const enum evhttp_cmd_type methods[] = { EVHTTP_REQ_GET, EVHTTP_REQ_HEAD,
							EVHTTP_REQ_PUT, EVHTTP_REQ_POST,
							EVHTTP_REQ_DELETE };
	struct hg_api_path p;
	char allow[32];

	if (hg_api_path_parse(path, &p)) {
		holds(!p.n);
		return;
	}
	holds(p.n <= HG_API_SEGMENTS);
	for (size_t i = 0; i < p.n; i++) {
		holds(p.segments[i] && *p.segments[i] && strlen(p.segments[i]) <= strlen(path));
		for (const char *c = p.segments[i]; *c; c++)
			holds(*c > ' ' && *c <= '~');
	}
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		const struct hg_api_route *r = hg_api_route_find(&p, methods[i], allow);

		holds(memchr(allow, '\0', sizeof(allow)));
		holds(!r || (r->sql && r->params[0] != HG_FROM_NONE));
	}
	hg_api_path_free(&p);
	holds(!p.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *path = malloc(size + 1);

	memcpy(path, data, size);
	path[size] = '\0';
	if (*path)
		check_path(path);
	free(path);
	return 0;
}
