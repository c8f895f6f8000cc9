// SPDX-License-Identifier: MIT
/*
 * `heliograph guard probe`: each host of the guard says what it finds in this kernel, and then
 * which of them would guard and why. For who builds an image, and for who wonders at a device.
 */
#include "cmd_probe.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cmd_agent.h"
#include "guard-conf.h"
#include "guard-host.h"

struct probe {
	struct hg_guard_report reports[HG_HOSTS_MAX];
	struct hg_guard_pick pick; /* ops NULL: no host can guard here */
	char err[600];
};

static const char *verdict(const struct hg_guard_report *r)
{
	if (r->ret)
		return "cannot guard here";
	return r->whole ? "can guard here" : "can guard here, with less";
}

static void print(const struct probe *p)
{
	for (int i = 0; hg_guard_hosts[i]; i++) {
		const struct hg_guard_report *r = &p->reports[i];

		printf("%s: %s: %s\n", hg_guard_hosts[i]->name, verdict(r), r->why);
		for (size_t n = 0; n < r->n_facts; n++)
			printf("  %-12s %-3s  %s\n", r->facts[n].name,
			       r->facts[n].good ? "yes" : "no", r->facts[n].text);
	}
	if (p->pick.ops)
		printf("chosen: %s: %s\n", p->pick.ops->name, p->pick.why);
	else
		puts("chosen: none");
}

static json_t *report_json(const struct hg_guard_report *r)
{
	json_t *facts = json_object();

	for (size_t n = 0; n < r->n_facts; n++)
		json_object_set_new(facts, r->facts[n].name,
				    json_pack("{s:b, s:s}", "good", r->facts[n].good, "text",
					      r->facts[n].text));
	return json_pack("{s:b, s:b, s:s, s:o}", "can", !r->ret, "whole", r->whole, "why", r->why,
			 "facts", facts);
}

static void print_json(const struct probe *p)
{
	json_t *hosts = json_object(), *all;

	for (int i = 0; hg_guard_hosts[i]; i++)
		json_object_set_new(hosts, hg_guard_hosts[i]->name, report_json(&p->reports[i]));
	all = json_pack("{s:o, s:s?, s:s}", "hosts", hosts, "chosen",
			p->pick.ops ? p->pick.ops->name : NULL, "why",
			p->pick.ops ? p->pick.why : p->err);
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

/* A host that was asked for, and cannot, is no choice. */
static int choose(const struct hg_guard_options *o, struct probe *p)
{
	int ret = hg_guard_pick(o, p->reports, &p->pick, p->err, sizeof(p->err));

	for (int i = 0; !ret && hg_guard_hosts[i]; i++) {
		if (hg_guard_hosts[i] != p->pick.ops || !p->reports[i].ret)
			continue;
		ret = p->reports[i].ret;
		snprintf(p->err, sizeof(p->err), "%s, but %s cannot guard here: %s", p->pick.why,
			 p->pick.ops->name, p->reports[i].why);
		p->pick.ops = NULL;
	}
	return ret;
}

int hg_cmd_guard_probe(void *ctx, int argc, char **argv)
{
	const struct hg_cli *cli = ctx;
	bool json = cli->json || (argc == 2 && !strcmp(argv[1], "--json"));
	struct hg_guard_options o;
	struct probe *p;
	int ret;

	if (argc > 2 || (argc == 2 && strcmp(argv[1], "--json"))) {
		fprintf(stderr, "heliograph: usage: heliograph guard probe [--json]\n");
		return HG_EXIT_USAGE;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return HG_EXIT_FAILED;
	ret = hg_guard_options_conf(&o, &cli->conf, p->err, sizeof(p->err));
	if (!ret) {
		hg_guard_look(&o, p->reports);
		ret = choose(&o, p);
		json ? print_json(p) : print(p);
	}
	if (ret)
		fprintf(stderr, "heliograph: guard probe: %s\n", p->err);
	free(p);
	if (!ret)
		return HG_EXIT_OK;
	return ret == -EPERM || ret == -EACCES ? HG_EXIT_DENIED : HG_EXIT_FAILED;
}
