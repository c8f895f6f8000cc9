// SPDX-License-Identifier: MIT
/*
 * Events of the module: a multicast group, so that each who listens gets all of them; while nobody
 * does, the kernel keeps a few scores. A reader that is too slow loses some; how often is counted.
 * Called through hg_guard_module by the detector and `heliograph guard events`.
 */
#include "guard-kmod.h"

#include <errno.h>
#include <stdlib.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <sys/socket.h>

#define RECEIVE_BUFFER (1 << 20) /* the most that the kernel makes in about four seconds */
#define DATAGRAMS_MAX 4096	 /* per call, or who floods the device keeps the agent here */

static int on_event(struct nl_msg *msg, void *ctx)
{
	struct nlattr *attrs[HG_A_MAX + 1];
	struct hg_guard *g = ctx;
	struct nlattr *event;

	if (genlmsg_hdr(nlmsg_hdr(msg))->cmd != HG_CMD_EVENT ||
	    genlmsg_parse(nlmsg_hdr(msg), 0, attrs, HG_A_MAX, NULL) < 0)
		return NL_OK;
	event = attrs[HG_A_EVENT];
	if (event && g->each && hg_event_whole(nla_data(event), nla_len(event)))
		g->each(g->each_ctx, nla_data(event));
	return NL_OK;
}

static int open_events(struct hg_guard *g)
{
	struct nl_sock *sock = nl_socket_alloc();
	const int size = RECEIVE_BUFFER;
	int group, ret = -EIO;

	if (!sock)
		return -ENOMEM;
	nl_socket_disable_seq_check(sock);
	if (genl_connect(sock))
		goto failed;
	group = genl_ctrl_resolve_grp(g->netlink.sock, HG_GENL_NAME, HG_GENL_EVENTS);
	if (group < 0)
		ret = -ENOLINK;
	if (group < 0 || nl_socket_add_memberships(sock, group, 0))
		goto failed;
	/* Without CAP_NET_ADMIN of the machine the system's limit is all there is. */
	if (setsockopt(nl_socket_get_fd(sock), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(nl_socket_get_fd(sock), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	nl_socket_set_nonblocking(sock);
	nl_socket_modify_cb(sock, NL_CB_VALID, NL_CB_CUSTOM, on_event, g);
	g->events = sock;
	return 0;
failed:
	nl_socket_free(sock);
	return ret;
}

int hg_kmod_event_fd(struct hg_guard *g)
{
	int ret = g->events ? 0 : open_events(g);

	return ret ? ret : nl_socket_get_fd(g->events);
}

int hg_kmod_events(struct hg_guard *g, void (*each)(void *ctx, const struct hg_event *e), void *ctx)
{
	int ret = hg_kmod_event_fd(g);

	if (ret < 0)
		return ret;
	g->each = each;
	g->each_ctx = ctx;
	ret = 0;
	for (int i = 0; i < DATAGRAMS_MAX && !ret; i++) {
		ret = nl_recvmsgs_default(g->events);
		if (ret == -NLE_NOMEM) { /* libnl's word for ENOBUFS; the socket goes on */
			g->lost++;
			ret = 0;
		} else if (ret > 0 || ret == -NLE_INTR) {
			ret = 0;
		}
	}
	g->each = NULL;
	return !ret || ret == -NLE_AGAIN ? 0 : -EIO;
}

__u64 hg_kmod_events_lost(struct hg_guard *g)
{
	return g->lost;
}

void hg_kmod_events_close(struct hg_guard *g)
{
	nl_socket_free(g->events);
	g->events = NULL;
}
