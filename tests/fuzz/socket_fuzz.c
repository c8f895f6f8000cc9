/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a line of a client on the agent's socket: with a store, once without a model and
 * once with one. It is refused with words, or done, and then has a result that is JSON. Session,
 * guard and commands are not there: those operations say so.
 */
#include "fuzz.h"

#include <string.h>
#include <unistd.h>

#include "../../userspace/agent.h"
#include "../../userspace/command.h"
#include "../../userspace/model.h"
#include "../../userspace/property.h"
#include "../../userspace/socket.h"
#include "../../userspace/socket-client.h"
#include "../../userspace/store.h"
#include "../../userspace/sync.h"
#include "../../userspace/watch.h"

static const char model_text[] =
	"{\"@type\": \"tm:ThingModel\", \"title\": \"T\", \"properties\": {"
	"\"a\": {\"type\": \"integer\", \"readOnly\": true, \"minimum\": 0, \"maximum\": 9},"
	"\"b\": {\"type\": \"string\", \"readOnly\": true, \"maxLength\": 5},"
	"\"c\": {\"type\": \"integer\", \"hg:merge\": \"counter\"},"
	"\"d\": {\"type\": \"object\", \"hg:merge\": \"newest\"},"
	"\"e\": {\"type\": \"array\", \"readOnly\": true, \"items\": {\"type\": \"number\"}},"
	"\"m\": {\"type\": \"number\"}}}";

static struct hg_agent agents[2];
static char dir[] = "/dev/shm/hg-socket-fuzz.XXXXXX";

/* The parts of the agent that are not there. */

uint64_t hg_now_ms(void)
{
	return 1763762400000;
}

uint64_t hg_uptime_ms(void)
{
	return 1000;
}

json_t *hg_commands_status(const struct hg_commands *c)
{
	return json_object();
}

void hg_socket_changed(struct hg_socket *s, struct hg_slice name)
{
	holds(name.len && name.len <= HG_WIRE_NAME_MAX);
}

void hg_socket_lost(struct hg_socket *s, json_t *conflict)
{
}

void hg_socket_answer(struct hg_socket_client *c, json_t *id, int ret, json_t *result,
		      const char *err)
{
}

void hg_sync_changed(struct hg_sync *s, size_t n, uint64_t within_ms)
{
}

int hg_sync_now(struct hg_sync *s, void (*done)(void *ctx, int ret, const char *text), void *ctx)
{
	return 0;
}

json_t *hg_sync_status(const struct hg_sync *s)
{
	return json_object();
}

json_t *hg_watch_guard_status(struct hg_watch *w)
{
	return json_object();
}

json_t *hg_watch_alarm_status(struct hg_watch *w)
{
	return json_object();
}

int hg_watch_alarm_test(struct hg_watch *w, uint64_t *counter, char *err, size_t err_size)
{
	return 0;
}

static void clean_up(void)
{
	static const char *const names[] = { "store.db", "store.db-journal", "lock" };
	char path[128];

	for (int i = 0; i < 2; i++) {
		hg_store_close(agents[i].store);
		for (int k = 0; k < 3; k++) {
			snprintf(path, sizeof(path), "%s/%d/%s", dir, i, names[k]);
			unlink(path);
		}
		snprintf(path, sizeof(path), "%s/%d", dir, i);
		rmdir(path);
	}
	hg_model_free(agents[1].model);
	rmdir(dir);
}

static void set_up(void)
{
	char path[64], err[256];
	FILE *f;

	holds(mkdtemp(dir));
	for (int i = 0; i < 2; i++) {
		struct hg_store_options o = { .dir = path,
					      .size_max = 1 << 20,
					      .properties_max = 20,
					      .journal_max = 4,
					      .object_max = 64 << 10 };

		snprintf(path, sizeof(path), "%s/%d", dir, i);
		holds(!hg_store_open(&o, &agents[i].store, err, sizeof(err)));
		agents[i].conf.device.object_max = o.object_max;
	}
	snprintf(path, sizeof(path), "%s/model", dir);
	f = fopen(path, "w");
	holds(f && fputs(model_text, f) >= 0 && !fclose(f));
	agents[1].model = hg_model_load(path, err, sizeof(err));
	holds(agents[1].model);
	unlink(path);
	atexit(clean_up);
}

/* As take_line() in userspace/socket.c. */
static void take_line(struct hg_agent *agent, const uint8_t *data, size_t size)
{
	struct hg_socket_client c = { .agent = agent };
	json_t *request = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
	json_t *result = NULL;
	char err[256] = "", *text;
	int ret;

	if (json_is_object(request)) {
		ret = hg_socket_op(&c, request, &result, err, sizeof(err));
		holds(ret <= 0 && memchr(err, '\0', sizeof(err)));
		holds(!ret || !result);
		text = result ? json_dumps(result, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
		holds(!result || text);
		free(text);
	}
	json_decref(result);
	json_decref(request);
	json_decref(c.watch);
	json_decref(c.sync_id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!agents[0].store)
		set_up();
	for (int i = 0; i < 2; i++)
		take_line(&agents[i], data, size);
	return 0;
}
