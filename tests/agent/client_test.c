// SPDX-License-Identifier: MIT
/* libheliograph with a real agent: each call, its errors, events, an agent that goes away. */
#include "../tap.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/wait.h>
#include "../../userspace/libheliograph.h"

static char dir[] = "/tmp/hg-client.XXXXXX";
static char path[64];

static pid_t start_agent(void)
{
	const char *build = getenv("HG_BUILD");
	char conf[64], program[4096];
	FILE *f;
	pid_t pid;

	snprintf(conf, sizeof(conf), "%s/conf", dir);
	snprintf(program, sizeof(program), "%s/heliographd", build ? build : "build");
	f = fopen(conf, "w");
	if (!f)
		return -1;
	fprintf(f, "[agent]\nsocket = %s\nlog_level = error\n[device]\nstate_dir = %s/state\n",
		path, dir);
	fclose(f);
	pid = fork();
	if (!pid) {
		execl(program, program, "-c", conf, NULL);
		_exit(127);
	}
	return pid;
}

static struct hg_client *open_soon(void)
{
	struct hg_client *c = NULL;

	for (int i = 0; i < 1000 && !c; i++) {
		c = hg_client_open(path);
		if (!c)
			poll(NULL, 0, 10);
	}
	return c;
}

static void test_values(struct hg_client *c)
{
	char *json = NULL, *other = NULL;

	is_int(hg_client_set(c, "a", "{\"x\": [1, 2.5, null]}", 0), 0, "set");
	is_int(hg_client_get(c, "a", &json), 0, "get");
	is_str(json, "{\"x\":[1,2.5,null]}", "is what was set");
	free(json);
	is_int(hg_client_set_many(c, "{\"b\":1,\"c\":\"two\"}", 1), 0, "set several");
	is_int(hg_client_get(c, "c", &json), 0, "get one");
	is_str(json, "\"two\"", "is what was set");
	free(json);
	is_int(hg_client_get(c, "nothing", &other), -ENOENT, "one that is not there");
	ok(!other && strstr(hg_client_error(c), "nothing"), "the error names it: %s",
	   hg_client_error(c));
	is_int(hg_client_set(c, "a", "not json", 0), -EINVAL, "a value that is not JSON");
	is_int(hg_client_set(c, "a b", "1", 0), -EINVAL, "a name that is not allowed");
	is_int(hg_client_set_many(c, "[1]", 0), -EINVAL, "not an object");
	is_int(hg_client_remove(c, "b"), 0, "remove");
	is_int(hg_client_remove(c, "b"), -ENOENT, "twice");
	is_int(hg_client_sync(c), -ENOTCONN, "no mirror is configured");
	is_int(hg_client_call(c, "{\"op\":\"guard.status\"}", &json), 0, "any request");
	is_str(json, "null", "its result");
	free(json);
	is_int(hg_client_call(c, "17", &json), -EINVAL, "that is none");
}

static void test_events(struct hg_client *c, struct hg_client *writer)
{
	const char *names[] = { "w", NULL };
	char *name, *json;
	struct pollfd p;

	is_int(hg_client_watch(c, names), 0, "watch");
	is_int(hg_client_event(c, 0, &name, &json), 0, "nothing yet");
	hg_client_set(writer, "other", "1", 0);
	hg_client_set(writer, "w", "5", 0);
	p = (struct pollfd){ hg_client_fd(c), POLLIN, 0 };
	is_int(poll(&p, 1, 5000), 1, "its descriptor says that something came");
	is_int(hg_client_event(c, 5000, &name, &json), 1, "an event");
	ok(!strcmp(name, "w") && json && !strcmp(json, "5"), "of what was asked for");
	free(name);
	free(json);
	hg_client_set(writer, "w", "6", 0);
	hg_client_remove(writer, "w");
	is_int(hg_client_set(c, "mine", "1", 0), 0, "calls work while events arrive");
	is_int(hg_client_event(c, 5000, &name, &json), 1, "and lose none");
	is_str(json, "6", "the change");
	free(name);
	free(json);
	is_int(hg_client_event(c, 5000, &name, &json), 1, "and another");
	ok(!strcmp(name, "w") && !json, "the removal");
	free(name);
}

int main(void)
{
	struct hg_client *c, *writer;
	char *json;
	pid_t pid;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/sock", dir);
	ok(!hg_client_open(path) && errno == ENOENT, "no agent: no client");
	pid = start_agent();
	c = open_soon();
	ok(c != NULL, "a client");
	writer = open_soon();
	if (c && writer) {
		test_values(c);
		test_events(c, writer);
		kill(pid, SIGSTOP);
		hg_client_set_timeout(writer, 100);
		is_int(hg_client_get(writer, "a", &json), -ETIMEDOUT, "an agent that hangs");
		kill(pid, SIGCONT);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		is_int(hg_client_get(c, "a", &json), -ENOTCONN, "an agent that is gone");
	}
	hg_client_close(c);
	hg_client_close(writer);
	hg_client_close(NULL);
	pid = fork();
	if (!pid)
		execlp("rm", "rm", "-rf", dir, NULL);
	waitpid(pid, NULL, 0);
	return tap_done();
}
