// SPDX-License-Identifier: MIT
/*
 * The client's side of the agent's socket. Lines that arrive while a call waits for its answer are
 * either that answer or events, which are kept (a bounded number) for hg_client_event().
 */
#include "libheliograph.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <jansson.h>
#include <sys/socket.h>
#include <sys/un.h>

#define LINE_MAX_BYTES (128 * 1024 * 1024) /* a value of 16 MiB, each byte of it escaped */
#define EVENTS_MAX 1024

struct hg_client {
	int fd;
	int timeout_ms;
	json_int_t last_id;
	char *buf;
	size_t len, size;
	json_t *events; /* array, oldest first */
	char error[512];
};

static int fail(struct hg_client *c, int ret, const char *why)
{
	snprintf(c->error, sizeof(c->error), "%s", why);
	return ret;
}

struct hg_client *hg_client_open(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct hg_client *c = calloc(1, sizeof(*c));
	int saved;

	if (!path)
		path = getenv("HELIOGRAPH_SOCKET");
	if (!path)
		path = HG_CLIENT_SOCKET;
	if (!c)
		return NULL;
	c->fd = -1;
	c->timeout_ms = 10000;
	c->events = json_array();
	errno = ENAMETOOLONG;
	if (!c->events || strlen(path) >= sizeof(sun.sun_path))
		goto fail;
	strcpy(sun.sun_path, path);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&sun, sizeof(sun)))
		goto fail;
	return c;
fail:
	saved = errno;
	hg_client_close(c);
	errno = saved;
	return NULL;
}

void hg_client_close(struct hg_client *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	json_decref(c->events);
	free(c->buf);
	free(c);
}

const char *hg_client_error(const struct hg_client *c)
{
	return c->error;
}

void hg_client_set_timeout(struct hg_client *c, int timeout_ms)
{
	c->timeout_ms = timeout_ms;
}

int hg_client_fd(const struct hg_client *c)
{
	return c->fd;
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static int send_all(struct hg_client *c, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(c, -ENOTCONN, "the agent has closed the connection");
		data += n;
		len -= n;
	}
	return 0;
}

/* More bytes into the buffer; waits until `until` (ms, < 0: for ever). -ETIMEDOUT. */
static int fill(struct hg_client *c, long long until)
{
	struct pollfd p = { c->fd, POLLIN, 0 };
	long long left = until < 0 ? -1 : until - now_ms();
	ssize_t n;

	if (until >= 0 && left < 0)
		left = 0;
	n = poll(&p, 1, left);
	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	if (!n)
		return -ETIMEDOUT;
	if (c->len == c->size) {
		size_t size = c->size ? 2 * c->size : 4096;
		char *buf = size <= LINE_MAX_BYTES ? realloc(c->buf, size) : NULL;

		if (!buf)
			return fail(c, -EMSGSIZE, "the agent's answer is too long");
		c->buf = buf;
		c->size = size;
	}
	n = recv(c->fd, c->buf + c->len, c->size - c->len, 0);
	if (n < 0 && errno == EINTR)
		return 0;
	if (n <= 0)
		return fail(c, -ENOTCONN, "the agent has closed the connection");
	c->len += n;
	return 0;
}

/* The next line as an object. */
static int read_line(struct hg_client *c, long long until, json_t **line)
{
	char *end;
	int ret;

	while (!(end = c->len ? memchr(c->buf, '\n', c->len) : NULL)) {
		ret = fill(c, until);
		if (ret)
			return ret;
	}
	*line = json_loadb(c->buf, end - c->buf, 0, NULL);
	c->len -= end + 1 - c->buf;
	memmove(c->buf, end + 1, c->len);
	return *line ? 0 : fail(c, -EPROTO, "the agent's answer is not JSON");
}

static int code_errno(const char *code)
{
	static const struct {
		const char *code;
		int ret;
	} codes[] = { { "invalid", -EINVAL },	   { "unknown", -ENOENT }, { "denied", -EPERM },
		      { "full", -ENOSPC },	   { "quota", -EDQUOT },   { "busy", -EBUSY },
		      { "unavailable", -ENOTCONN } };

	for (size_t i = 0; code && i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (!strcmp(codes[i].code, code))
			return codes[i].ret;
	}
	return -EIO;
}

/* Waits for the answer to `id`; *result is a new reference, NULL if there is none. */
static int answer(struct hg_client *c, json_int_t id, json_t **result)
{
	long long until = c->timeout_ms ? now_ms() + c->timeout_ms : -1;
	json_t *line, *e;
	int ret;

	for (;;) {
		ret = read_line(c, until, &line);
		if (ret == -ETIMEDOUT)
			fail(c, ret, "no answer from the agent");
		if (ret)
			return ret;
		if (json_integer_value(json_object_get(line, "id")) == id)
			break;
		if (json_object_get(line, "event") && json_array_size(c->events) < EVENTS_MAX)
			json_array_append(c->events, line);
		json_decref(line);
	}
	if (json_is_true(json_object_get(line, "ok"))) {
		*result = json_incref(json_object_get(line, "result"));
	} else {
		const char *text;

		e = json_object_get(line, "error");
		text = json_string_value(json_object_get(e, "message"));
		ret = fail(c, code_errno(json_string_value(json_object_get(e, "code"))),
			   text ? text : "failed");
	}
	json_decref(line);
	return ret;
}

/* Takes the reference of request. */
static int call(struct hg_client *c, json_t *request, json_t **result)
{
	json_int_t id = ++c->last_id;
	char *text;
	int ret;

	json_object_set_new(request, "id", json_integer(id));
	text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	if (!text)
		return fail(c, -EINVAL, "request is not JSON of UTF-8 text");
	ret = send_all(c, text, strlen(text));
	if (!ret)
		ret = send_all(c, "\n", 1);
	free(text);
	return ret ? ret : answer(c, id, result);
}

static int call_plain(struct hg_client *c, json_t *request)
{
	json_t *result = NULL;
	int ret = call(c, request, &result);

	json_decref(result);
	return ret;
}

int hg_client_call(struct hg_client *c, const char *request, char **result)
{
	json_error_t je;
	json_t *json = json_loads(request, 0, &je), *answered = NULL;
	int ret;

	if (!json_is_object(json)) {
		json_decref(json);
		return fail(c, -EINVAL, "request is not a JSON object");
	}
	ret = call(c, json, &answered);
	if (ret)
		return ret;
	*result = answered ? json_dumps(answered, JSON_COMPACT | JSON_ENCODE_ANY) : strdup("null");
	json_decref(answered);
	return *result ? 0 : -ENOMEM;
}

int hg_client_get(struct hg_client *c, const char *name, char **json)
{
	json_t *result = NULL;
	int ret = call(c, json_pack("{s:s, s:s}", "op", "property.get", "name", name), &result);

	if (ret)
		return ret;
	*json = json_dumps(json_object_get(result, "value"), JSON_COMPACT | JSON_ENCODE_ANY);
	json_decref(result);
	return *json ? 0 : -ENOMEM;
}

int hg_client_set(struct hg_client *c, const char *name, const char *json, int urgent)
{
	json_error_t je;
	json_t *value = json_loads(json, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &je);
	char text[256];

	if (!value) {
		snprintf(text, sizeof(text), "value is not JSON: %s", je.text);
		return fail(c, -EINVAL, text);
	}
	return call_plain(c, json_pack("{s:s, s:s, s:o, s:b}", "op", "property.set", "name", name,
				       "value", value, "urgent", urgent));
}

int hg_client_set_many(struct hg_client *c, const char *json_object, int urgent)
{
	json_t *values = json_loads(json_object, JSON_REJECT_DUPLICATES, NULL);

	if (!json_is_object(values)) {
		json_decref(values);
		return fail(c, -EINVAL, "not a JSON object");
	}
	return call_plain(c, json_pack("{s:s, s:o, s:b}", "op", "property.set", "values", values,
				       "urgent", urgent));
}

int hg_client_add(struct hg_client *c, const char *name, long long by, int urgent, long long *sum)
{
	json_t *result = NULL;
	int ret = call(c,
		       json_pack("{s:s, s:s, s:I, s:b}", "op", "property.add", "name", name, "by",
				 (json_int_t)by, "urgent", urgent),
		       &result);

	if (!ret && sum)
		*sum = json_integer_value(json_object_get(result, "value"));
	json_decref(result);
	return ret;
}

int hg_client_remove(struct hg_client *c, const char *name)
{
	return call_plain(c, json_pack("{s:s, s:s}", "op", "property.remove", "name", name));
}

int hg_client_sync(struct hg_client *c)
{
	return call_plain(c, json_pack("{s:s}", "op", "sync.now"));
}

int hg_client_watch(struct hg_client *c, const char *const *names)
{
	json_t *request = json_pack("{s:s}", "op", "property.watch"), *list;

	if (names) {
		list = json_array();
		for (; *names; names++)
			json_array_append_new(list, json_string(*names));
		json_object_set_new(request, "names", list);
	}
	return call_plain(c, request);
}

int hg_client_event(struct hg_client *c, int timeout_ms, char **name, char **json)
{
	long long until = timeout_ms < 0 ? -1 : now_ms() + timeout_ms;
	json_t *line = NULL, *property, *value;
	const char *text;
	int ret;

	while (!line) {
		if (json_array_size(c->events)) {
			line = json_incref(json_array_get(c->events, 0));
			json_array_remove(c->events, 0);
		} else {
			ret = read_line(c, until, &line);
			if (ret)
				return ret == -ETIMEDOUT ? 0 : ret;
		}
		property = json_object_get(line, "property");
		text = json_string_value(json_object_get(property, "name"));
		if (!text) { /* a late answer */
			json_decref(line);
			line = NULL;
		}
	}
	value = json_object_get(property, "value");
	*name = strdup(text);
	*json = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	json_decref(line);
	return *name ? 1 : -ENOMEM;
}
