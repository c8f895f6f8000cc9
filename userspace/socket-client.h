/* SPDX-License-Identifier: MIT */
/* Between the socket's transport (socket.c) and its operations (socket-ops.c). */
#ifndef HG_USERSPACE_SOCKET_CLIENT_H
#define HG_USERSPACE_SOCKET_CLIENT_H

#include <event2/bufferevent.h>
#include <jansson.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

struct hg_agent;

struct hg_socket_client {
	LIST_ENTRY(hg_socket_client) link;
	struct hg_socket *socket;
	struct hg_agent *agent;
	struct bufferevent *bev;
	uid_t uid;
	pid_t pid;
	json_t *watch;	 /* object whose members are the names wanted; empty: all; NULL: none */
	bool at_end;	 /* it sends no more; freed when its answers are out */
	bool doomed;	 /* dropped; freed by the loop */
	json_t *sync_id; /* id of a sync.now that is to be answered; NULL: none */
};

/*
 * Carries out the operation that the request names. 0: *result (owned by the caller) is the answer;
 * 1: it will be answered later; -errno with the reason in err.
 */
int hg_socket_op(struct hg_socket_client *c, json_t *request, json_t **result, char *err,
		 size_t err_size);

/* Sends the answer to request `id`: result (taken over) if ret is 0, else the error. */
void hg_socket_answer(struct hg_socket_client *c, json_t *id, int ret, json_t *result,
		      const char *err);

#endif
