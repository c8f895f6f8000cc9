// SPDX-License-Identifier: MIT
/*
 * `heliograph status|property|sync|alarm`: each is one or two calls on the agent's socket, printed
 * for people or, with --json, as the agent said it.
 */
#include "cmd_agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "../lib/safe-text.h"
#include "../lib/wire.h"
#include "libheliograph.h"

static int exit_code(int ret)
{
	switch (ret) {
	case 0:
		return HG_EXIT_OK;
	case -EINVAL:
		return HG_EXIT_USAGE;
	case -ENOTCONN:
	case -ECONNREFUSED:
	case -ETIMEDOUT:
		return HG_EXIT_UNAVAILABLE;
	case -EPERM:
	case -EACCES:
		return HG_EXIT_DENIED;
	default:
		return HG_EXIT_FAILED;
	}
}

static int failed(struct hg_client *c, const char *what, int ret)
{
	const char *text = hg_client_error(c);

	fprintf(stderr, "heliograph: %s: %s\n", what, text[0] ? text : strerror(-ret));
	hg_client_close(c);
	return exit_code(ret);
}

static struct hg_client *connect_agent(const struct hg_cli *cli, int *code)
{
	struct hg_client *c = hg_client_open(cli->conf.agent.socket);

	if (c)
		return c;
	fprintf(stderr, "heliograph: %s: %s; is heliographd running?\n", cli->conf.agent.socket,
		strerror(errno));
	*code = errno == EACCES ? HG_EXIT_DENIED : HG_EXIT_UNAVAILABLE;
	return NULL;
}

/* Removes a flag of the subcommand from its arguments. */
static bool take_flag(int *argc, char **argv, const char *flag)
{
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], flag))
			continue;
		memmove(&argv[i], &argv[i + 1], (*argc - i - 1) * sizeof(*argv));
		--*argc;
		return true;
	}
	return false;
}

static int usage(const char *text)
{
	fprintf(stderr, "heliograph: usage: heliograph %s\n", text);
	return HG_EXIT_USAGE;
}

/* One call whose answer is an object; NULL after saying why, with *code. */
static json_t *ask(const struct hg_cli *cli, const char *what, const char *request, int timeout_ms,
		   int *code)
{
	struct hg_client *c = connect_agent(cli, code);
	json_t *json = NULL;
	char *text;
	int ret;

	if (!c)
		return NULL;
	hg_client_set_timeout(c, timeout_ms);
	ret = hg_client_call(c, request, &text);
	if (ret) {
		*code = failed(c, what, ret);
		return NULL;
	}
	json = json_loads(text, JSON_DECODE_ANY, NULL);
	free(text);
	hg_client_close(c);
	*code = HG_EXIT_OK;
	return json;
}

static int print_json(json_t *json)
{
	json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(json);
	return fflush(stdout) ? HG_EXIT_FAILED : HG_EXIT_OK;
}

static long long num(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static const char *str(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* "5 s", "3 min", "2 h", "4 d": the two lines of a status need no more. */
static const char *span(long long ms, char *buf, size_t size)
{
	static const struct {
		long long ms;
		const char *unit;
	} units[] = { { 86400000, "d" }, { 3600000, "h" }, { 60000, "min" }, { 1000, "s" } };

	for (size_t i = 0; i < 4; i++) {
		if (ms >= 2 * units[i].ms || i == 3) {
			snprintf(buf, size, "%lld %s", ms / units[i].ms, units[i].unit);
			break;
		}
	}
	return buf;
}

/* Words for sync.next_why; of a failure its class, and how often it came in a row. */
static const char *why_next(const json_t *sync, char *buf, size_t size)
{
	const json_t *failed = json_object_get(json_object_get(sync, "policy"), "failed");
	const char *why = str(sync, "next_why"), *class = str(sync, "last_result");

	if (!strcmp(why, "backoff"))
		snprintf(buf, size, "backing off, %s %lld in a row", class, num(failed, class));
	else
		snprintf(buf, size, "%s",
			 !strcmp(why, "change")	   ? "a property changed"
			 : !strcmp(why, "command") ? "a command ended"
			 : !strcmp(why, "asked")   ? "asked for"
						   : why);
	return buf;
}

static void print_policy(const json_t *policy)
{
	long long hint = num(policy, "hint_ms"), idle = num(policy, "without_news");
	char base[32], min[32], max[32];

	printf("          interval %s%s, %s to %s",
	       span(hint ? hint : num(policy, "base_ms"), base, sizeof(base)),
	       hint ? " by the mirror" : "", span(num(policy, "min_ms"), min, sizeof(min)),
	       span(num(policy, "max_ms"), max, sizeof(max)));
	if (num(policy, "idle_ms"))
		printf(", grows to %s", span(num(policy, "idle_ms"), max, sizeof(max)));
	printf("; %lld in a row with%s news\n", idle ? idle : num(policy, "with_news"),
	       idle ? "out" : "");
}

static void print_sync(const json_t *sync)
{
	const json_t *policy = json_object_get(sync, "policy");
	char next[32], why[64];

	if (!json_is_object(sync)) {
		printf("mirror    none configured\n");
		return;
	}
	printf("mirror    %s: %lld sessions, %lld failed; next in %s: %s\n", str(sync, "mirror"),
	       num(sync, "sessions_good"), num(sync, "sessions_failed"),
	       span(num(sync, "next_in_ms"), next, sizeof(next)), why_next(sync, why, sizeof(why)));
	print_policy(policy);
	if (*str(sync, "last_result"))
		printf("          last %s: %s\n",
		       strcmp(str(sync, "last_result"), "none") ? "failed" : "good",
		       str(sync, "last_text"));
}

static void print_guard(const json_t *guard)
{
	const json_t *list = json_object_get(guard, "interfaces"), *one;
	size_t i;

	if (!json_is_object(guard)) {
		printf("guard     none configured\n");
		return;
	}
	if (*str(guard, "error")) {
		printf("guard     OFF: %s\n", str(guard, "error"));
		return;
	}
	printf("guard     %s%s%s on", str(guard, "policy"),
	       json_is_true(json_object_get(guard, "confine")) ? ", confine" : "",
	       json_is_true(json_object_get(guard, "police")) ? ", police" : "");
	for (i = 0; i < json_array_size(list); i++) {
		one = json_array_get(list, i);
		printf(" %s (%s)", str(one, "name"), str(one, "mode"));
	}
	printf("; %lld passed in, %lld dropped\n", num(guard, "passed"), num(guard, "dropped"));
}

static int cmd_status(void *ctx, int argc, char **argv)
{
	struct hg_cli *cli = ctx;
	const json_t *store, *commands, *alarm;
	char up[32];
	json_t *json;
	int code;

	cli->json |= take_flag(&argc, argv, "--json");
	if (argc > 1)
		return usage("status [--json]");
	json = ask(cli, "status", "{\"op\":\"status\"}", 10000, &code);
	if (!json || cli->json)
		return json ? print_json(json) : code;
	store = json_object_get(json, "store");
	commands = json_object_get(json, "commands");
	alarm = json_object_get(json, "alarm");
	printf("device    %s%s%s\n", *str(json, "uid") ? str(json, "uid") : "(no certificate)",
	       *str(json, "model") ? ", " : "", str(json, "model"));
	printf("agent     version %s, process %lld, up %s\n", str(json, "version"),
	       num(json, "pid"), span(num(json, "uptime_ms"), up, sizeof(up)));
	print_sync(json_object_get(json, "sync"));
	printf("store     change %lld of ours, %lld with the mirror; its change %lld, command %lld "
	       "here%s%s\n",
	       num(store, "changes"), num(store, "changes_synced"), num(store, "mirror_cursor"),
	       num(store, "command_cursor"), *str(store, "last_error") ? "; last error: " : "",
	       str(store, "last_error"));
	printf("commands  %lld running, %lld done, %lld failed, %lld to report\n",
	       num(commands, "running"), num(commands, "done"), num(commands, "failed"),
	       num(store, "reports_waiting"));
	print_guard(json_object_get(json, "guard"));
	if (json_is_object(alarm))
		printf("alarms    %s: %lld sent, %lld acknowledged, %lld waiting\n",
		       json_is_true(json_object_get(alarm, "connected")) ? "collector known"
									 : "no collector yet",
		       num(alarm, "sent"), num(alarm, "acknowledged"), num(alarm, "waiting"));
	json_decref(json);
	return fflush(stdout) ? HG_EXIT_FAILED : HG_EXIT_OK;
}

static int cmd_get(void *ctx, int argc, char **argv)
{
	struct hg_cli *cli = ctx;
	json_t *json, *request;
	char *text;
	int code;

	cli->json |= take_flag(&argc, argv, "--json");
	if (argc != 2)
		return usage("property get NAME [--json]");
	request = json_pack("{s:s, s:s}", "op", "property.get", "name", argv[1]);
	text = request ? json_dumps(request, 0) : NULL;
	json_decref(request);
	if (!text)
		return usage("property get NAME [--json]");
	json = ask(cli, "property get", text, 10000, &code);
	free(text);
	if (!json || cli->json)
		return json ? print_json(json) : code;
	json_dumpf(json_object_get(json, "value"), stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(json);
	return fflush(stdout) ? HG_EXIT_FAILED : HG_EXIT_OK;
}

/* NAME and the JSON of a file ("-": stdin) as one JSON object; NULL after saying what is wrong. */
static char *file_json(const char *name, const char *path)
{
	bool is_stdin = !strcmp(path, "-");
	FILE *f = is_stdin ? stdin : fopen(path, "re");
	json_error_t je;
	json_t *value, *values;
	char *text;

	if (!f) {
		fprintf(stderr, "heliograph: property set: %s: %s\n", path, strerror(errno));
		return NULL;
	}
	value = json_loadf(f, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &je);
	if (!is_stdin)
		fclose(f);
	if (!value) {
		fprintf(stderr, "heliograph: property set: %s: line %d: value is not JSON (%s)\n",
			path, je.line, je.text);
		return NULL;
	}
	values = json_pack("{s:o}", name, value);
	text = values ? json_dumps(values, JSON_COMPACT) : NULL;
	json_decref(values);
	return text;
}

/* NAME VALUE pairs as one JSON object; NULL after saying what is wrong. */
static char *pairs_json(int argc, char **argv)
{
	json_t *values = json_object();
	json_error_t je;
	char *text = NULL;

	for (int i = 1; i < argc; i += 2) {
		json_t *value = json_loads(argv[i + 1], JSON_DECODE_ANY | JSON_REJECT_DUPLICATES,
					   &je);

		if (!value || json_object_set_new(values, argv[i], value)) {
			fprintf(stderr,
				"heliograph: property set: %s: value is not JSON (%s); a text "
				"needs double quotes: '\"%s\"'\n",
				argv[i], je.text, argv[i + 1]);
			goto free;
		}
	}
	text = json_dumps(values, JSON_COMPACT);
free:
	json_decref(values);
	return text;
}

static int cmd_set(void *ctx, int argc, char **argv)
{
	bool urgent = take_flag(&argc, argv, "--urgent");
	struct hg_client *c;
	int code, ret;
	char *values;

	if (argc < 3 || (argc % 2 == 0 && strcmp(argv[2], "--file")))
		return usage("property set NAME VALUE [NAME VALUE ...] [--urgent], or "
			     "property set NAME --file FILE [--urgent]");
	if (!strcmp(argv[2], "--file") && argc != 4)
		return usage("property set NAME --file FILE [--urgent]");
	values = !strcmp(argv[2], "--file") ? file_json(argv[1], argv[3]) : pairs_json(argc, argv);
	if (!values)
		return HG_EXIT_USAGE;
	c = connect_agent(ctx, &code);
	if (!c) {
		free(values);
		return code;
	}
	ret = hg_client_set_many(c, values, urgent);
	free(values);
	if (ret)
		return failed(c, "property set", ret);
	hg_client_close(c);
	return HG_EXIT_OK;
}

static int cmd_add(void *ctx, int argc, char **argv)
{
	bool urgent = take_flag(&argc, argv, "--urgent");
	struct hg_client *c;
	long long by, sum;
	int code, ret;
	char *end;

	if (argc != 3)
		return usage("property add NAME NUMBER [--urgent]");
	errno = 0;
	by = strtoll(argv[2], &end, 10);
	if (errno || end == argv[2] || *end)
		return usage("property add NAME NUMBER [--urgent]; NUMBER is a whole number");
	c = connect_agent(ctx, &code);
	if (!c)
		return code;
	ret = hg_client_add(c, argv[1], by, urgent, &sum);
	if (ret)
		return failed(c, "property add", ret);
	hg_client_close(c);
	printf("%lld\n", sum);
	return fflush(stdout) ? HG_EXIT_FAILED : HG_EXIT_OK;
}

static int cmd_remove(void *ctx, int argc, char **argv)
{
	struct hg_client *c;
	int code, ret;

	if (argc != 2)
		return usage("property remove NAME");
	c = connect_agent(ctx, &code);
	if (!c)
		return code;
	ret = hg_client_remove(c, argv[1]);
	if (ret)
		return failed(c, "property remove", ret);
	hg_client_close(c);
	return HG_EXIT_OK;
}

static void print_property(const json_t *p)
{
	char *value = json_dumps(json_object_get(p, "value"), JSON_COMPACT | JSON_ENCODE_ANY);
	char name[4 * HG_WIRE_NAME_MAX + 1];

	hg_safe_text(str(p, "name"), name, sizeof(name));
	printf("%-24s %-6s %s%s\n", name, str(p, "owner"), value ? value : "?",
	       json_is_false(json_object_get(p, "synced")) ? "  (not synced)" : "");
	free(value);
}

/* All pages of property.list as one array. */
static json_t *list_all(struct hg_client *c, int *ret)
{
	json_t *all = json_array(), *request = json_pack("{s:s}", "op", "property.list"), *page;
	json_t *next;
	char *text, *result;

	do {
		text = json_dumps(request, 0);
		*ret = text ? hg_client_call(c, text, &result) : -ENOMEM;
		free(text);
		if (*ret)
			break;
		page = json_loads(result, 0, NULL);
		free(result);
		json_array_extend(all, json_object_get(page, "properties"));
		next = json_incref(json_object_get(page, "next"));
		json_decref(page);
		if (next)
			json_object_set_new(request, "after", next);
	} while (next);
	json_decref(request);
	return all;
}

static int cmd_list(void *ctx, int argc, char **argv)
{
	struct hg_cli *cli = ctx;
	struct hg_client *c;
	json_t *all;
	int code, ret;
	size_t i;

	cli->json |= take_flag(&argc, argv, "--json");
	if (argc != 1)
		return usage("property list [--json]");
	c = connect_agent(cli, &code);
	if (!c)
		return code;
	all = list_all(c, &ret);
	if (ret) {
		json_decref(all);
		return failed(c, "property list", ret);
	}
	hg_client_close(c);
	if (cli->json)
		return print_json(all);
	for (i = 0; i < json_array_size(all); i++)
		print_property(json_array_get(all, i));
	json_decref(all);
	return fflush(stdout) ? HG_EXIT_FAILED : HG_EXIT_OK;
}

/* A name may be any text that the mirror sent. */
static void print_change(const char *name, const char *value, bool json)
{
	json_t *o, *v;

	if (!json) {
		char safe[4 * HG_WIRE_NAME_MAX + 1];

		hg_safe_text(name, safe, sizeof(safe));
		printf("%s %s\n", safe, value ? value : "(removed)");
		return;
	}
	v = value ? json_loads(value, JSON_DECODE_ANY, NULL) : json_true();
	o = json_pack("{s:s, s:o}", "name", name, value ? "value" : "removed", v);
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
}

static int cmd_conflicts(void *ctx, int argc, char **argv)
{
	struct hg_cli *cli = ctx;
	json_t *json, *one;
	int code;
	size_t i;

	cli->json |= take_flag(&argc, argv, "--json");
	if (argc != 1)
		return usage("property conflicts [--json]");
	json = ask(cli, "property conflicts", "{\"op\":\"property.conflicts\"}", 10000, &code);
	if (!json || cli->json)
		return json ? print_json(json) : code;
	json_array_foreach (json_object_get(json, "conflicts"), i, one) {
		char *value = json_dumps(json_object_get(one, "value"),
					 JSON_COMPACT | JSON_ENCODE_ANY);

		printf("%-24s %-6s %lld %s\n", str(one, "name"), str(one, "owner"),
		       num(one, "time_ms"), value ? value : "(removed)");
		free(value);
	}
	json_decref(json);
	return fflush(stdout) ? HG_EXIT_FAILED : HG_EXIT_OK;
}

static int cmd_watch(void *ctx, int argc, char **argv)
{
	struct hg_cli *cli = ctx;
	struct hg_client *c;
	char *name, *value;
	int code, ret;

	cli->json |= take_flag(&argc, argv, "--json");
	c = connect_agent(cli, &code);
	if (!c)
		return code;
	argv[argc] = NULL;
	ret = hg_client_watch(c, argc > 1 ? (const char *const *)argv + 1 : NULL);
	while (!ret && (ret = hg_client_event(c, -1, &name, &value)) >= 0) {
		print_change(name, value, cli->json);
		free(name);
		free(value);
		if (fflush(stdout))
			break;
		ret = 0;
	}
	return failed(c, "property watch", ret);
}

static int cmd_sync(void *ctx, int argc, char **argv)
{
	struct hg_cli *cli = ctx;
	uint64_t limit = 3 * cli->conf.mirror.session_timeout; /* one that runs, and ours */
	json_t *json;
	int code;

	if (cli->conf.mirror.links.count)
		limit += 2 * cli->conf.mirror.link_timeout;
	cli->json |= take_flag(&argc, argv, "--json");
	if (argc != 1)
		return usage("sync now [--json]");
	json = ask(cli, "sync now", "{\"op\":\"sync.now\"}", limit, &code);
	if (!json || cli->json)
		return json ? print_json(json) : code;
	printf("%s\n", str(json, "session"));
	json_decref(json);
	return HG_EXIT_OK;
}

static int cmd_alarm(void *ctx, int argc, char **argv)
{
	struct hg_cli *cli = ctx;
	json_t *json;
	int code;

	cli->json |= take_flag(&argc, argv, "--json");
	if (argc != 1)
		return usage("alarm test [--json]");
	json = ask(cli, "alarm test", "{\"op\":\"alarm.test\"}", 10000, &code);
	if (!json || cli->json)
		return json ? print_json(json) : code;
	printf("test alarm %lld sent\n", num(json, "counter"));
	json_decref(json);
	return HG_EXIT_OK;
}

const struct hg_subcommand hg_agent_subcommands[] = {
	{ "status", "[--json]", "how the agent, its mirror and its guard are", cmd_status },
	{ "property get", "NAME [--json]", "print a property's value", cmd_get },
	{ "property set", "NAME VALUE ... [--urgent]", "set properties to JSON values, durably",
	  cmd_set },
	{ "property add", "NAME NUMBER [--urgent]", "add to a counter, and print its value",
	  cmd_add },
	{ "property remove", "NAME", "remove a property", cmd_remove },
	{ "property list", "[--json]", "print all properties", cmd_list },
	{ "property conflicts", "[--json]",
	  "print values that lost against newer ones of the other side", cmd_conflicts },
	{ "property watch", "[NAME ...] [--json]", "print changes as they come", cmd_watch },
	{ "sync now", "[--json]", "have a session with the mirror, and say how it went", cmd_sync },
	{ "alarm test", "[--json]", "send the collector a test alarm", cmd_alarm },
	{ 0 },
};
