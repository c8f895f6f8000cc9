/* SPDX-License-Identifier: MIT */
/*
 * libheliograph: the C interface of an application on the device to the agent. Blocking calls over
 * the agent's unix socket, one connection, not for use by several threads at once.
 *
 * Values are JSON texts. Functions return 0 or -errno, and hg_client_error() then says why:
 *   -ENOENT no such property, -EPERM owned by the mirror, -EINVAL the value does not fit the
 *   model, -ENOSPC no space on the device, -EDQUOT too many properties, -ENOTCONN the agent is not
 *   there (any more: open anew), -ETIMEDOUT no answer in time.
 */
#ifndef LIBHELIOGRAPH_H
#define LIBHELIOGRAPH_H

#ifdef __cplusplus
extern "C" {
#endif

#define HG_CLIENT_SOCKET "/run/heliograph/agent.sock"

struct hg_client;

/* path NULL: $HELIOGRAPH_SOCKET, else the usual place. NULL with errno set. */
struct hg_client *hg_client_open(const char *path);
void hg_client_close(struct hg_client *c);
const char *hg_client_error(const struct hg_client *c);

/* For each call, in ms; 10 s if it was not set. 0: wait for ever. */
void hg_client_set_timeout(struct hg_client *c, int timeout_ms);

/* *json is the value, to be freed with free(). */
int hg_client_get(struct hg_client *c, const char *name, char **json);

/* Durable on the device when it returns 0. urgent: a session with the mirror begins at once. */
int hg_client_set(struct hg_client *c, const char *name, const char *json, int urgent);

/* All members of a JSON object, or none. */
int hg_client_set_many(struct hg_client *c, const char *json_object, int urgent);

/* Adds to a counter ("hg:merge" of the Thing Model); *sum, if not NULL, is its value then. */
int hg_client_add(struct hg_client *c, const char *name, long long by, int urgent, long long *sum);
int hg_client_remove(struct hg_client *c, const char *name);

/* A session now; returns when it has ended. */
int hg_client_sync(struct hg_client *c);

/*
 * From now on changes of the named properties (NULL-terminated; NULL: all) arrive. Then poll
 * hg_client_fd() and call hg_client_event(), which returns 1 and *name, *json (both to be freed;
 * *json NULL: removed), or 0: nothing within timeout_ms (-1: waits).
 */
int hg_client_watch(struct hg_client *c, const char *const *names);
int hg_client_fd(const struct hg_client *c);
int hg_client_event(struct hg_client *c, int timeout_ms, char **name, char **json);

/*
 * Any request of docs/agent-socket.md, without its id; *result is a JSON text to be freed, "null"
 * if the answer has none.
 */
int hg_client_call(struct hg_client *c, const char *request, char **result);

#ifdef __cplusplus
}
#endif
#endif
