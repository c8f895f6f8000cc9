// SPDX-License-Identifier: MIT
/*
 * The transport of the agent's socket: clients, lines, limits. Operations are in socket-ops.c.
 *
 * What a client can make us hold: one line of input, ANSWERS_MAX of answers (then it is not read
 * from until it reads), EVENTS_MAX and two of the largest values with events of a watch on top
 * (then it is dropped, for a change waits for nobody). Answers come in the order of the requests,
 * except sync.now's.
 */
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <event2/buffer.h>
#include <event2/listener.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "agent.h"
#include "property.h"
#include "socket-client.h"
#include "sync.h"
#include "../lib/log.h"

#define ANSWERS_MAX (256 * 1024)
#define EVENTS_MAX (1024 * 1024)

struct hg_socket {
	struct hg_agent *agent;
	struct evconnlistener *listener;
	LIST_HEAD(clients, hg_socket_client) clients;
	uint64_t n_clients;
	struct event *reap; /* frees doomed clients, from the loop, when nobody holds them */
	char path[108];
	dev_t dev; /* of the socket file that we made */
	ino_t ino;
};

static void client_free(struct hg_socket_client *c)
{
	if (c->sync_id && c->agent->sync)
		hg_sync_forget(c->agent->sync, c);
	LIST_REMOVE(c, link);
	c->socket->n_clients--;
	bufferevent_free(c->bev);
	json_decref(c->watch);
	json_decref(c->sync_id);
	free(c);
}

/* Text of JSON is seldom larger than its CBOR; what is must come in smaller pieces. */
static size_t line_max(const struct hg_agent *agent)
{
	return HG_SOCKET_LINE_MAX + agent->conf.device.object_max;
}

static size_t output_len(const struct hg_socket_client *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->bev));
}

/* Takes the reference of `line`. */
static void send_line(struct hg_socket_client *c, json_t *line)
{
	char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;

	json_decref(line);
	if (!text) {
		hg_error("socket: out of memory for an answer");
		return;
	}
	bufferevent_write(c->bev, text, strlen(text));
	bufferevent_write(c->bev, "\n", 1);
	free(text);
}

static const char *error_code(int ret)
{
	switch (-ret) {
	case EINVAL:
		return "invalid";
	case ENOENT:
		return "unknown";
	case EPERM:
	case EACCES:
		return "denied";
	case ENOSPC:
		return "full";
	case EDQUOT:
		return "quota";
	case EBUSY:
	case EAGAIN:
		return "busy";
	case ENOTCONN:
	case EOPNOTSUPP:
		return "unavailable";
	default:
		return "failed";
	}
}

void hg_socket_answer(struct hg_socket_client *c, json_t *id, int ret, json_t *result,
		      const char *err)
{
	if (!ret)
		send_line(c, json_pack("{s:O?, s:b, s:o?}", "id", id, "ok", 1, "result", result));
	else
		send_line(c,
			  json_pack("{s:O?, s:b, s:{s:s, s:s}}", "id", id, "ok", 0, "error", "code",
				    error_code(ret), "message", err[0] ? err : strerror(-ret)));
}

static void take_line(struct hg_socket_client *c, const char *line, size_t len)
{
	char err[256] = "";
	json_t *request, *result = NULL, *id;
	json_error_t je;
	int ret;

	request = json_loadb(line, len, JSON_REJECT_DUPLICATES, &je);
	if (!json_is_object(request)) {
		snprintf(err, sizeof(err), "not a JSON object: %s", request ? "" : je.text);
		hg_socket_answer(c, NULL, -EINVAL, NULL, err);
		json_decref(request);
		return;
	}
	id = json_object_get(request, "id");
	ret = hg_socket_op(c, request, &result, err, sizeof(err));
	if (ret <= 0)
		hg_socket_answer(c, id, ret, result, err);
	json_decref(request);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	struct hg_socket_client *c = ctx;
	struct evbuffer *in = bufferevent_get_input(bev);
	char *line;
	size_t len;

	while (!c->doomed && output_len(c) < ANSWERS_MAX) {
		line = evbuffer_readln(in, &len, EVBUFFER_EOL_LF);
		if (!line)
			break;
		take_line(c, line, len);
		free(line);
	}
	if (output_len(c) >= ANSWERS_MAX) {
		bufferevent_disable(bev, EV_READ);
	} else if (evbuffer_get_length(in) >= line_max(c->agent)) {
		hg_warn("socket: client %d (uid %u): line over %zu bytes: dropped", c->pid, c->uid,
			line_max(c->agent));
		client_free(c);
	}
}

/* All answers were read: go on with its requests. */
static void on_write(struct bufferevent *bev, void *ctx)
{
	struct hg_socket_client *c = ctx;

	if (c->at_end && !c->sync_id) {
		client_free(c);
		return;
	}
	if (c->at_end || bufferevent_get_enabled(bev) & EV_READ)
		return;
	bufferevent_enable(bev, EV_READ);
	on_read(bev, ctx);
}

/* One that has only shut down its sending side still gets its answers. */
static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct hg_socket_client *c = ctx;

	if (what & BEV_EVENT_EOF && (c->sync_id || output_len(c))) {
		c->at_end = true;
		bufferevent_disable(bev, EV_READ);
	} else {
		client_free(c);
	}
}

static void reap(evutil_socket_t fd, short what, void *ctx)
{
	struct hg_socket *s = ctx;
	struct hg_socket_client *c, *next;

	for (c = LIST_FIRST(&s->clients); c; c = next) {
		next = LIST_NEXT(c, link);
		if (c->doomed)
			client_free(c);
	}
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *addr, int len,
		      void *ctx)
{
	struct hg_socket *s = ctx;
	struct hg_socket_client *c = NULL;
	struct ucred peer;
	socklen_t peer_len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len))
		goto refuse;
	if (s->n_clients >= s->agent->conf.agent.clients) {
		hg_warn("socket: client %d (uid %u): refused: %llu are connected", peer.pid,
			peer.uid, (unsigned long long)s->n_clients);
		goto refuse;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		goto refuse;
	c->bev = bufferevent_socket_new(s->agent->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (!c->bev)
		goto refuse;
	c->socket = s;
	c->agent = s->agent;
	c->uid = peer.uid;
	c->pid = peer.pid;
	LIST_INSERT_HEAD(&s->clients, c, link);
	s->n_clients++;
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, line_max(s->agent));
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	return;
refuse:
	free(c);
	close(fd);
}

/* Out of descriptors, mostly: wait instead of spinning; clients that leave make room. */
static void on_accept_error(struct evconnlistener *l, void *ctx)
{
	hg_warn("socket: accept: %s", strerror(errno));
}

static int set_access(const struct hg_agent_conf *conf, const char *path, char *err,
		      size_t err_size)
{
	const char *group = conf->agent.socket_group;
	struct group *gr = NULL;

	if (group) {
		gr = getgrnam(group);
		if (!gr) {
			snprintf(err, err_size, "[agent] socket_group: no group '%s'", group);
			return -EINVAL;
		}
	}
	if (chmod(path, hg_agent_conf_socket_mode(conf)) || (gr && chown(path, -1, gr->gr_gid))) {
		snprintf(err, err_size, "%s: %s", path, strerror(errno));
		return -errno;
	}
	return 0;
}

/* A file that nobody listens on is left from an agent that was killed. */
static int remove_stale(const struct sockaddr_un *sun, char *err, size_t err_size)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), ret = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) || errno == EAGAIN) {
		snprintf(err, err_size, "%s: another agent listens there", sun->sun_path);
		ret = -EADDRINUSE;
	} else if (errno == ECONNREFUSED && !lstat(sun->sun_path, &st) && S_ISSOCK(st.st_mode)) {
		unlink(sun->sun_path);
	}
	close(fd);
	return ret;
}

static int listen_fd(const struct hg_agent_conf *conf, struct sockaddr_un *sun, char *err,
		     size_t err_size)
{
	char dir[sizeof(sun->sun_path)];
	char *slash;
	mode_t mask;
	int fd, ret;

	if (strlen(conf->agent.socket) >= sizeof(sun->sun_path)) {
		snprintf(err, err_size, "[agent] socket: longer than %zu bytes",
			 sizeof(sun->sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(sun->sun_path, conf->agent.socket);
	strcpy(dir, sun->sun_path);
	slash = strrchr(dir, '/');
	if (slash && slash != dir) {
		*slash = '\0';
		if (!mkdir(dir, 0755)) /* else bind() says what is wrong */
			chmod(dir, 0755);
	}
	ret = remove_stale(sun, err, err_size);
	if (ret)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mask = umask(0177); /* closed until set_access() */
	if (fd < 0 || bind(fd, (struct sockaddr *)sun, sizeof(*sun))) {
		ret = -errno;
		snprintf(err, err_size, "%s: %s", sun->sun_path, strerror(errno));
	}
	umask(mask);
	if (!ret)
		ret = set_access(conf, sun->sun_path, err, err_size);
	if (ret && fd >= 0)
		close(fd);
	return ret ? ret : fd;
}

struct hg_socket *hg_socket_new(struct hg_agent *agent, char *err, size_t err_size)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct hg_socket *s = calloc(1, sizeof(*s));
	struct stat st;
	int fd;

	if (!s)
		return NULL;
	fd = listen_fd(&agent->conf, &sun, err, err_size);
	if (fd < 0)
		goto fail;
	s->agent = agent;
	LIST_INIT(&s->clients);
	strcpy(s->path, sun.sun_path);
	if (!stat(s->path, &st)) {
		s->dev = st.st_dev;
		s->ino = st.st_ino;
	}
	s->reap = event_new(agent->base, -1, 0, reap, s);
	s->listener = evconnlistener_new(agent->base, on_accept, s,
					 LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 16, fd);
	if (!s->reap || !s->listener) {
		snprintf(err, err_size, "%s: cannot listen", s->path);
		close(fd);
		goto fail;
	}
	evconnlistener_set_error_cb(s->listener, on_accept_error);
	return s;
fail:
	if (s->reap)
		event_free(s->reap);
	free(s);
	return NULL;
}

void hg_socket_free(struct hg_socket *s)
{
	struct stat st;

	if (!s)
		return;
	while (!LIST_EMPTY(&s->clients))
		client_free(LIST_FIRST(&s->clients));
	evconnlistener_free(s->listener);
	event_free(s->reap);
	if (!stat(s->path, &st) && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
	free(s);
}

struct change {
	struct hg_agent *agent;
	json_t *json;
};

static int take_change(void *ctx, const struct hg_property *p)
{
	struct change *change = ctx;

	change->json = hg_property_json(change->agent, p);
	return 1;
}

static bool wants(const struct hg_socket_client *c, const char *name)
{
	return c->watch && (!json_object_size(c->watch) || json_object_get(c->watch, name));
}

static void send_event(struct hg_socket *s, struct hg_socket_client *c, json_t *event)
{
	send_line(c, event);
	if (output_len(c) > EVENTS_MAX + 2 * s->agent->conf.device.object_max) {
		hg_warn("socket: client %d (uid %u): does not read: dropped", c->pid, c->uid);
		c->doomed = true;
		event_active(s->reap, 0, 0);
	}
}

void hg_socket_lost(struct hg_socket *s, json_t *conflict)
{
	const char *name = json_string_value(json_object_get(conflict, "name"));
	struct hg_socket_client *c;

	if (!s || !name)
		return;
	for (c = LIST_FIRST(&s->clients); c; c = LIST_NEXT(c, link)) {
		if (!c->doomed && wants(c, name))
			send_event(s, c,
				   json_pack("{s:s, s:O}", "event", "conflict", "conflict",
					     conflict));
	}
}

void hg_socket_changed(struct hg_socket *s, struct hg_slice name)
{
	struct hg_socket_client *c;
	struct change change = { .json = NULL };
	char text[HG_WIRE_NAME_MAX + 1];

	if (!s)
		return;
	change.agent = s->agent;
	snprintf(text, sizeof(text), "%.*s", (int)name.len, (const char *)name.ptr);
	for (c = LIST_FIRST(&s->clients); c; c = LIST_NEXT(c, link)) {
		if (c->doomed || !wants(c, text))
			continue;
		if (!change.json && hg_store_get(s->agent->store, name, take_change, &change))
			change.json = json_pack("{s:s, s:b}", "name", text, "removed", 1);
		send_event(s, c,
			   json_pack("{s:s, s:O?}", "event", "property", "property", change.json));
	}
	json_decref(change.json);
}
