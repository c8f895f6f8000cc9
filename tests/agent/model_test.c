// SPDX-License-Identifier: MIT
/* Times of a Thing Model: durations, and what is refused with its place. */
#include "../../userspace/model.h"

#include <stdlib.h>
#include <unistd.h>
#include "../../userspace/model-times.h"
#include "../tap.h"

static long long duration(const char *json)
{
	json_t *v = json_loads(json, JSON_DECODE_ANY, NULL);
	uint64_t ms;
	long long ret = !v || hg_duration_parse(v, &ms) ? -1 : (long long)ms;

	json_decref(v);
	return ret;
}

static void durations(void)
{
	static const struct {
		const char *text;
		long long ms;
	} cases[] = {
		{ "60", 60000 },
		{ "0", 0 },
		{ "0.25", 250 },
		{ "\"PT10M\"", 600000 },
		{ "\"PT1H30M5.5S\"", 5405500 },
		{ "\"P1D\"", 86400000 },
		{ "\"P2W\"", 1209600000 },
		{ "\"P1DT12H\"", 129600000 },
		{ "\"PT0S\"", 0 },
		{ "\"P3650D\"", 315360000000 },
		{ "\"P3651D\"", -1 },
		{ "-1", -1 },
		{ "1e99", -1 },
		{ "\"\"", -1 },
		{ "\"P\"", -1 },
		{ "\"PT\"", -1 },
		{ "\"P1DT\"", -1 },
		{ "\"10M\"", -1 },
		{ "\"P10M\"", -1 }, /* months have no one length */
		{ "\"P1Y\"", -1 },
		{ "\"PT1S1M\"", -1 },
		{ "\"PT1M1M\"", -1 },
		{ "\"PT1.5M\"", -1 },
		{ "\"PT1..5S\"", -1 },
		{ "\"PT.S\"", -1 },
		{ "\"PT-5S\"", -1 },
		{ "\"PT 5S\"", -1 },
		{ "\"PT5S \"", -1 },
		{ "\"PTPT5S\"", -1 },
		{ "\"PTT5S\"", -1 },
		{ "\"PT99999999999S\"", -1 },
		{ "true", -1 },
		{ "null", -1 },
		{ "[]", -1 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is_int(duration(cases[i].text), cases[i].ms, cases[i].text);
}

static struct hg_model *load(const char *text, char *err, size_t err_size)
{
	char path[] = "/tmp/hg-model-XXXXXX";
	int fd = mkstemp(path);
	struct hg_model *m = NULL;

	err[0] = '\0';
	if (fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text))
		m = hg_model_load(path, err, err_size);
	close(fd);
	unlink(path);
	return m;
}

static void refused(const char *name, const char *text, const char *place)
{
	char err[512];
	struct hg_model *m = load(text, err, sizeof(err));

	ok(!m && strstr(err, place), "%s: %s", name, err);
	hg_model_free(m);
}

static void whole(void)
{
	char err[512];
	struct hg_model *m =
		load("{\"hg:interval\":\"PT5M\",\"hg:intervalMin\":30,\"hg:intervalMax\":3600,"
		     "\"hg:intervalIdle\":\"PT1H\",\"actions\":{\"a\":{\"hg:deliverWithin\":600},"
		     "\"b\":{\"hg:deliverWithin\":900},\"c\":{}},\"properties\":{"
		     "\"t\":{\"readOnly\":true,\"hg:deliverWithin\":20},"
		     "\"u\":{\"hg:owner\":\"device\",\"hg:urgent\":true,\"hg:deliverWithin\":20},"
		     "\"s\":{\"hg:deliverWithin\":120},\"v\":{\"readOnly\":true}}}",
		     err, sizeof(err));
	const struct hg_model_times *t;

	ok(m, "a model with all of them is loaded%s", err);
	if (!m)
		return;
	t = hg_model_times(m);
	ok(t->interval == 300000 && t->min == 30000 && t->max == 3600000 && t->idle == 3600000,
	   "its interval, bounds and growth");
	is_int(t->within, 120000, "the shortest of what the mirror delivers");
	is_int(hg_model_tell_within(m, "t"), 20000, "a property of the device has its own");
	is_int(hg_model_tell_within(m, "u"), 0, "an urgent one is told at once");
	ok(hg_model_tell_within(m, "v") == UINT64_MAX, "one without says nothing");
	hg_model_free(m);
}

int main(void)
{
	durations();
	whole();
	refused("a bad interval", "{\"hg:interval\":\"soon\"}", "/hg:interval: is not a duration");
	refused("a bad bound", "{\"hg:intervalMax\":[]}", "/hg:intervalMax: is not a duration");
	refused("a bad time of an action", "{\"actions\":{\"go\":{\"hg:deliverWithin\":-1}}}",
		"/actions/go/hg:deliverWithin: is not a duration");
	refused("a bad time of our property",
		"{\"properties\":{\"t\":{\"readOnly\":true,\"hg:deliverWithin\":\"P1M\"}}}",
		"/properties/t/hg:deliverWithin: is not a duration");
	refused("bounds that contradict each other",
		"{\"hg:intervalMin\":60,\"hg:intervalMax\":30}", "/hg:intervalMin: is over");
	return tap_done();
}
