/* SPDX-License-Identifier: MIT */
/* Any bytes as a configuration file: loaded, or refused with a message and nothing changed. */
#include "fuzz.h"

#include <string.h>

#include "../../lib/conf.h"

struct settings {
	char *text;
	uint64_t number, duration, size;
	bool flag;
	int index;
	struct hg_conf_list list;
};

static const char *const names[] = { "one", "two", NULL };

static const struct hg_conf_key keys[] = {
	{ "a", "text", HG_CONF_STRING, offsetof(struct settings, text), "", 2, 9, NULL, NULL },
	{ "a", "number", HG_CONF_UINT, offsetof(struct settings, number), "5", 1, 10, NULL, NULL },
	{ "a", "duration", HG_CONF_DURATION, offsetof(struct settings, duration), "1s", 1, 0, NULL,
	  NULL },
	{ "b", "size", HG_CONF_SIZE, offsetof(struct settings, size), "1K", 0, 0, NULL, NULL },
	{ "b", "flag", HG_CONF_BOOL, offsetof(struct settings, flag), "no", 0, 0, NULL, NULL },
	{ "b", "index", HG_CONF_ENUM, offsetof(struct settings, index), "two", 0, 0, names, NULL },
	{ "b", "list", HG_CONF_LIST, offsetof(struct settings, list), "", 0, 4, NULL, NULL },
	{ NULL, NULL, 0, 0, NULL, 0, 0, NULL, NULL },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct settings s, before;
	char err[200] = "";
	FILE *file;

	if (!size)
		return 0;
	file = fmemopen((void *)data, size, "r");
	if (!file)
		return 0;
	memset(&s, 0x55, sizeof(s));
	before = s;
	if (hg_conf_read(keys, file, "file", &s, err, sizeof(err))) {
		holds(!strncmp(err, "file:", 5) && strlen(err) > 10);
		holds(!memcmp(&s, &before, sizeof(s)));
	} else {
		holds(!*err && s.number >= 1 && s.number <= 10 && s.index >= 0 && s.index <= 1);
		holds(s.list.count <= 4 && (!s.text || strlen(s.text) <= 9));
		hg_conf_free(keys, &s);
	}
	fclose(file);
	return 0;
}
