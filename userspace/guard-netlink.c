// SPDX-License-Identifier: MIT
/*
 * Generic netlink to heliograph.ko, for guard-kmod.c and its parts. One request at a time and its
 * answer on one socket; dumps and events have sockets of their own.
 *
 * libnl turns errno into fewer numbers of its own, so errors are taken from the message itself, and
 * with them the kernel's sentence about what was wrong (extended acknowledgement).
 */
#include "guard-kmod.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/family.h>
#include <netlink/genl/genl.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#define REQUEST_SIZE 32768 /* a whole profile is 14 KiB */

/* What comes back on one socket, until the kernel says that it was all. */
struct answer {
	void (*each)(void *ctx, struct nlattr **attrs);
	int (*each_dumped)(void *ctx, struct nlattr **attrs);
	void *ctx;
	int ret;
	bool over, bad;
	char said[160];
};

static int on_valid(struct nl_msg *msg, void *ctx)
{
	struct nlattr *attrs[HG_A_MAX + 1];
	struct answer *a = ctx;

	if (genlmsg_parse(nlmsg_hdr(msg), 0, attrs, HG_A_MAX, NULL) < 0) {
		a->bad = true;
		return NL_OK;
	}
	if (a->each)
		a->each(a->ctx, attrs);
	if (a->each_dumped) {
		a->ret = a->each_dumped(a->ctx, attrs);
		a->over = a->ret != 0;
	}
	return a->over ? NL_STOP : NL_OK;
}

static int on_ack(struct nl_msg *msg, void *ctx)
{
	struct answer *a = ctx;

	a->over = true;
	return NL_STOP;
}

/* A dump that failed on its way says so in its last message. */
static int on_finish(struct nl_msg *msg, void *ctx)
{
	struct nlmsghdr *h = nlmsg_hdr(msg);
	struct answer *a = ctx;
	int error;

	if (nlmsg_datalen(h) >= (int)sizeof(error)) {
		memcpy(&error, nlmsg_data(h), sizeof(error));
		if (error < 0)
			a->ret = error;
	}
	a->over = true;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *err, void *ctx)
{
	struct nlmsghdr *h = (struct nlmsghdr *)err - 1;
	struct answer *a = ctx;
	struct nlattr *text;
	size_t skip = sizeof(*err);

	a->ret = err->error;
	a->over = true;
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return NL_STOP;
	if (!(h->nlmsg_flags & NLM_F_CAPPED))
		skip += err->msg.nlmsg_len - sizeof(err->msg);
	if (skip > (size_t)nlmsg_datalen(h))
		return NL_STOP;
	text = nla_find((struct nlattr *)((char *)err + NLMSG_ALIGN(skip)),
			nlmsg_datalen(h) - NLMSG_ALIGN(skip), NLMSGERR_ATTR_MSG);
	if (text)
		nla_strlcpy(a->said, text, sizeof(a->said));
	return NL_STOP;
}

static int receive(struct nl_sock *sock, struct answer *a)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	bool changed = false;

	if (!cb)
		return -ENOMEM;
	nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, a);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, a);
	nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, a);
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, a);
	while (!a->over) {
		int ret = nl_recvmsgs(sock, cb);

		if (ret == -NLE_DUMP_INTR)
			changed = true;
		else if (ret < 0 && ret != -NLE_INTR && !a->over)
			a->ret = ret == -NLE_NOMEM ? -ENOBUFS : -EIO;
		if (ret < 0 && ret != -NLE_INTR)
			a->over = true;
	}
	nl_cb_put(cb);
	if (!a->ret && a->bad)
		return -EBADMSG;
	return !a->ret && changed ? -EINTR : a->ret;
}

static struct nl_sock *open_socket(void)
{
	struct nl_sock *sock = nl_socket_alloc();
	const int on = 1;

	if (!sock)
		return NULL;
	if (genl_connect(sock)) {
		nl_socket_free(sock);
		return NULL;
	}
	setsockopt(nl_socket_get_fd(sock), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
	setsockopt(nl_socket_get_fd(sock), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	return sock;
}

/* Looks through the families that are there: asking by name would load the module. */
static int find_family(struct nl_sock *sock)
{
	struct nl_cache *all = NULL;
	struct genl_family *family;
	int id = -ENOENT;

	if (genl_ctrl_alloc_cache(sock, &all))
		return -EIO;
	family = genl_ctrl_search_by_name(all, HG_GENL_NAME);
	if (family) {
		id = genl_family_get_id(family);
		genl_family_put(family);
	}
	nl_cache_free(all);
	return id;
}

static const char *why_absent(void)
{
	switch (hg_module_state()) {
	case HG_MODULE_LOADED:
		return "the module heliograph is loaded, but has no netlink family here";
	case HG_MODULE_BUILTIN:
		return "heliograph is built into this kernel, but has no netlink family here";
	case HG_MODULE_THERE:
		return "the module heliograph is not loaded; modprobe heliograph";
	default:
		return "this kernel has no module heliograph";
	}
}

int hg_netlink_open(struct hg_netlink *n, bool load, struct hg_error *e)
{
	struct nl_sock *sock = open_socket();
	int id;

	if (!sock)
		return hg_error_set(e, -EPROTONOSUPPORT, "no generic netlink: %s", strerror(errno));
	id = load ? genl_ctrl_resolve(sock, HG_GENL_NAME) : find_family(sock);
	if (id < 0) {
		nl_socket_free(sock);
		return hg_error_set(e, -ENOENT, "%s", why_absent());
	}
	n->sock = sock;
	n->family = id;
	return 0;
}

void hg_netlink_close(struct hg_netlink *n)
{
	nl_socket_free(n->sock);
	n->sock = NULL;
}

struct nl_msg *hg_netlink_request(const struct hg_netlink *n, enum hg_command command)
{
	struct nl_msg *msg = nlmsg_alloc_size(REQUEST_SIZE);

	if (msg && !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, n->family, 0, 0, command,
				HG_GENL_VERSION)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return msg;
}

/* ENOENT may be the command's, or that nobody has the family's number any more. */
static int checked(struct hg_netlink *n, int ret, struct hg_error *e)
{
	int id;

	if (ret != -ENOENT && ret != -EOPNOTSUPP)
		return ret;
	id = find_family(n->sock);
	if (id == n->family)
		return ret;
	if (id < 0)
		return hg_error_set(e, -ENOLINK, "the module was unloaded");
	n->family = id;
	return hg_error_set(e, -ENOLINK, "the module was unloaded and loaded again");
}

int hg_netlink_call(struct hg_netlink *n, struct nl_msg *request,
		    void (*each)(void *ctx, struct nlattr **attrs), void *ctx, struct hg_error *e)
{
	struct answer a = { .each = each, .ctx = ctx };
	int ret;

	if (!request)
		return -ENOMEM;
	ret = nl_send_auto(n->sock, request);
	nlmsg_free(request);
	if (ret < 0)
		return hg_error_set(e, -EIO, "netlink: %s", nl_geterror(ret));
	ret = receive(n->sock, &a);
	if (ret)
		hg_error_set(e, ret, "%s", a.said[0] ? a.said : strerror(-ret));
	return checked(n, ret, e);
}

int hg_netlink_dump(const struct hg_netlink *n, enum hg_command command,
		    int (*each)(void *ctx, struct nlattr **attrs), void *ctx)
{
	struct hg_netlink own = { open_socket(), n->family };
	struct answer a = { .each_dumped = each, .ctx = ctx };
	struct nl_msg *request;
	int ret;

	if (!own.sock)
		return -EMFILE;
	request = hg_netlink_request(&own, command);
	if (request) {
		nlmsg_hdr(request)->nlmsg_flags |= NLM_F_DUMP;
		ret = nl_send_auto(own.sock, request) < 0 ? -EIO : receive(own.sock, &a);
		ret = checked(&own, ret, NULL);
		nlmsg_free(request);
	} else {
		ret = -ENOMEM;
	}
	hg_netlink_close(&own);
	return ret;
}

const void *hg_netlink_bytes(struct nlattr **attrs, enum hg_attribute a, size_t size)
{
	return attrs[a] && (size_t)nla_len(attrs[a]) == size ? nla_data(attrs[a]) : NULL;
}

__u32 hg_netlink_u32(struct nlattr **attrs, enum hg_attribute a, __u32 absent)
{
	return attrs[a] && nla_len(attrs[a]) == sizeof(__u32) ? nla_get_u32(attrs[a]) : absent;
}

static bool is_listed(const char *list)
{
	char path[256], line[512];
	struct utsname u;
	bool found = false;
	FILE *f;

	uname(&u);
	snprintf(path, sizeof(path), "/lib/modules/%s/%s", u.release, list);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, ":\n")] = '\0';
		found = strstr(line, "/heliograph.ko") != NULL;
	}
	if (f)
		fclose(f);
	return found;
}

/* OpenWrt has all modules in one directory, and no list of them. */
static bool is_there(void)
{
	char path[256];
	struct utsname u;

	uname(&u);
	snprintf(path, sizeof(path), "/lib/modules/%s/heliograph.ko", u.release);
	return !access(path, F_OK);
}

enum hg_module_state hg_module_state(void)
{
	if (is_listed("modules.builtin"))
		return HG_MODULE_BUILTIN;
	if (!access("/sys/module/heliograph", F_OK))
		return HG_MODULE_LOADED;
	return is_listed("modules.dep") || is_there() ? HG_MODULE_THERE : HG_MODULE_NONE;
}
