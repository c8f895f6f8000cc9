// SPDX-License-Identifier: MIT
/*
 * `heliograph guard lock|unlock` on the device, and `heliograph guard seal` where the key is kept:
 * at the mirror. A locked guard stays as it is until a seal comes, whoever becomes root.
 */
#include "cmd_seal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/crypto.h>
#include "../lib/args.h"
#include "cmd_agent.h"
#include "guard-host.h"
#include "seal.h"

static int failed(const char *what, int ret, const char *err)
{
	fprintf(stderr, "heliograph: guard %s: %s\n", what, *err ? err : strerror(-ret));
	if (ret == -ENOENT)
		return HG_EXIT_UNAVAILABLE;
	return ret == -EPERM || ret == -EACCES ? HG_EXIT_DENIED : HG_EXIT_FAILED;
}

/* The words after `seal` are those of the command that it is for. */
static int parse_command(int argc, char **argv, struct hg_sealed *what)
{
	const char *word = argc > 2 ? argv[2] : NULL;
	int policy;

	if (!word) {
		what->command = !strcmp(argv[1], "off")	     ? HG_CMD_DETACH
				: !strcmp(argv[1], "unlock") ? HG_CMD_UNLOCK
							     : HG_CMD_UNSPEC;
		return what->command ? 0 : -EINVAL;
	}
	what->command = HG_CMD_SET_POLICY;
	if (!strcmp(argv[1], "policy")) {
		policy = hg_policy_parse(word);
		what->attribute = HG_A_POLICY;
		what->value = (__u32)policy;
		return policy < 0 ? policy : 0;
	}
	if (strcmp(word, "yes") && strcmp(word, "no"))
		return -EINVAL;
	what->attribute = !strcmp(word, "yes") ? HG_A_FLAGS_ON : HG_A_FLAGS_OFF;
	what->value = !strcmp(argv[1], "confine")  ? HG_GUARD_CONFINE
		      : !strcmp(argv[1], "police") ? HG_GUARD_POLICE
						   : 0;
	return what->value ? 0 : -EINVAL;
}

/* Milliseconds since 1970: they rise without anybody having to remember them. */
static __u64 counter_of_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (__u64)ts.tv_sec * 1000 + (__u64)ts.tv_nsec / 1000000;
}

static int parse_counter(const char *text, __u64 *counter)
{
	char *end;

	errno = 0;
	*counter = strtoull(text, &end, 10);
	return *text < '0' || *text > '9' || *end || errno || !*counter ? -EINVAL : 0;
}

int hg_cmd_guard_seal(void *ctx, int argc, char **argv)
{
	const char *key_file = NULL, *counter_text = NULL;
	struct hg_arg args[] = { { .name = "key", .letter = 'k', .values = &key_file, .max = 1 },
				 { .name = "counter", .values = &counter_text, .max = 1 },
				 { .name = "big-endian", .max = 1 },
				 { 0 } };
	struct hg_sealed what = { 0 };
	__u8 key[HG_KEY_LENGTH];
	char text[HG_SEAL_TEXT], err[512] = "";
	__u64 counter = counter_of_now();
	struct hg_seal seal;
	int n = hg_args_take("heliograph", argc, argv, 1, 2, args), ret;

	if (n < 0)
		return HG_EXIT_USAGE;
	what.big_endian = args[2].count;
	if (!key_file || parse_command(n + 1, argv, &what) ||
	    (counter_text && parse_counter(counter_text, &counter))) {
		fprintf(stderr, "heliograph: usage: heliograph guard seal --key FILE [--counter N] "
				"[--big-endian] off|unlock|policy NAME|confine yes|no|police "
				"yes|no\n");
		return HG_EXIT_USAGE;
	}
	ret = hg_seal_key(key_file, key, err, sizeof(err));
	if (!ret)
		ret = hg_seal_make(key, counter, &what, &seal);
	OPENSSL_cleanse(key, sizeof(key));
	if (ret)
		return failed("seal", ret, err);
	hg_seal_print(&seal, text);
	puts(text);
	return HG_EXIT_OK;
}

/* A guard of a host that has locks. */
static int open_lockable(const struct hg_cli *cli, const struct hg_guard_ops **ops,
			 struct hg_guard **g, char *err, size_t err_size)
{
	int ret = hg_guard_open(cli->conf.guard.host, cli->conf.guard.pin_dir, ops, g, err,
				err_size);

	if (ret || (*ops)->lock)
		return ret;
	(*ops)->close(*g);
	snprintf(err, err_size, "a guard of host %s cannot be locked; the module's can",
		 (*ops)->name);
	return -EOPNOTSUPP;
}

int hg_cmd_guard_lock(void *ctx, int argc, char **argv)
{
	const char *key_file = NULL, *after_text = NULL;
	struct hg_arg args[] = { { .name = "key", .letter = 'k', .values = &key_file, .max = 1 },
				 { .name = "after", .values = &after_text, .max = 1 },
				 { 0 } };
	const struct hg_guard_ops *ops;
	__u8 key[HG_KEY_LENGTH];
	struct hg_guard *g;
	char err[512] = "";
	__u64 after = 0;
	int ret;

	if (hg_args_take("heliograph", argc, argv, 0, 0, args) < 0)
		return HG_EXIT_USAGE;
	if (!key_file || (after_text && parse_counter(after_text, &after))) {
		fprintf(stderr,
			"heliograph: usage: heliograph guard lock --key FILE [--after N]\n");
		return HG_EXIT_USAGE;
	}
	ret = hg_seal_key(key_file, key, err, sizeof(err));
	if (!ret)
		ret = open_lockable(ctx, &ops, &g, err, sizeof(err));
	if (!ret) {
		ret = ops->lock(g, key, after);
		if (ret)
			snprintf(err, sizeof(err), "%s", ops->said(g));
		ops->close(g);
	}
	OPENSSL_cleanse(key, sizeof(key));
	return ret ? failed("lock", ret, err) : HG_EXIT_OK;
}

int hg_cmd_guard_unlock(void *ctx, int argc, char **argv)
{
	const char *file = NULL;
	struct hg_arg args[] = { { .name = "seal", .values = &file, .max = 1 }, { 0 } };
	const struct hg_guard_ops *ops;
	struct hg_guard *g;
	struct hg_seal seal;
	char err[512] = "";
	int ret;

	if (hg_args_take("heliograph", argc, argv, 0, 0, args) < 0)
		return HG_EXIT_USAGE;
	if (!file) {
		fprintf(stderr, "heliograph: usage: heliograph guard unlock --seal FILE\n");
		return HG_EXIT_USAGE;
	}
	ret = hg_seal_read(file, &seal, err, sizeof(err));
	if (!ret)
		ret = open_lockable(ctx, &ops, &g, err, sizeof(err));
	if (!ret) {
		ops->seal(g, &seal);
		ret = ops->unlock(g);
		if (ret)
			snprintf(err, sizeof(err), "%s", ops->said(g));
		ops->close(g);
	}
	return ret ? failed("unlock", ret, err) : HG_EXIT_OK;
}
