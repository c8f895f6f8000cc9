/* SPDX-License-Identifier: MIT */
/*
 * The unix socket on which applications of the device and the command line reach the agent.
 * docs/agent-socket.md is the specification: one JSON object per line, both ways.
 */
#ifndef HG_USERSPACE_SOCKET_H
#define HG_USERSPACE_SOCKET_H

#include <jansson.h>
#include "../lib/slice.h"

#define HG_SOCKET_LINE_MAX (64 * 1024) /* of a request, and [device] object_max for its values */

struct hg_agent;
struct hg_socket;

/* Listens. A socket file without a listener is replaced. NULL with a message in err. */
struct hg_socket *hg_socket_new(struct hg_agent *agent, char *err, size_t err_size);
void hg_socket_free(struct hg_socket *s);

/* Tells watchers that this property was written or removed; s may be NULL. */
void hg_socket_changed(struct hg_socket *s, struct hg_slice name);

/* Tells them that a value of ours lost: hg_property_conflict_json(). s may be NULL. */
void hg_socket_lost(struct hg_socket *s, json_t *conflict);

#endif
