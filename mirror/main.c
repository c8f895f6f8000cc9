// SPDX-License-Identifier: MIT
/* heliograph-mirror: the cloud side of devices. The program's tables; the work is in cmd*.c and
 * serve.c. */
#include <stdio.h>
#include "../lib/log.h"
#include "cmd.h"

static const struct hg_subcommand subcommands[] = {
	{ "serve", "", "answer devices and applications until SIGTERM", hg_cmd_serve },
	{ "migrate", "", "make or bring up to date the schema of the database", hg_cmd_migrate },
	{ "events", "[--follow] [--after CURSOR] [--limit N]",
	  "print what happened to devices, a JSON object a line, oldest first", hg_cmd_events },
	{ "restored", "", "say that the database was restored from a backup", hg_cmd_restored },
	{ "ca init", "DIR [--host NAME]...", "make an authority, and a certificate for this mirror",
	  hg_cmd_ca_init },
	{ "ca server", "NAME --san SAN [--san SAN]... [--out DIR]",
	  "make a server's key and certificate; SAN is DNS:name or IP:address", hg_cmd_ca_server },
	{ "ca crl", "", "write the revocation list again", hg_cmd_ca_crl },
	{ "psk-key", "FILE", "make a secret for [sync] psk_key", hg_cmd_psk_key },
	{ "model add", "FILE", "load or replace a Thing Model", hg_cmd_model_add },
	{ "model list", "", "show the models", hg_cmd_model_list },
	{ "device add", "UID --model M [--out DIR]",
	  "enrol a device and make its bundle: key, certificates, configuration",
	  hg_cmd_device_add },
	{ "device list", "[--model M]", "show the devices", hg_cmd_device_list },
	{ "device show", "UID", "show one device, its commands and what it was refused",
	  hg_cmd_device_show },
	{ "device revoke", "UID", "never talk to a device again", hg_cmd_device_revoke },
	{ "device release", "UID", "end the quarantine of a device", hg_cmd_device_release },
	{ "token add", "NAME --right R... [--device UID | --model M]... [--days N]",
	  "make a token for an application and print it; R is read, write or invoke",
	  hg_cmd_token_add },
	{ "token list", "", "show the tokens and their rights", hg_cmd_token_list },
	{ "token revoke", "NAME", "end a token", hg_cmd_token_revoke },
	{ 0 },
};

static const struct hg_opt opts[] = { { 0 } };

static const struct hg_program program = {
	.name = "heliograph-mirror",
	.purpose = "the cloud side of devices that only ever call",
	.default_conf = HG_SYSCONFDIR "/heliograph/heliograph-mirror.conf",
	.opts = opts,
	.subcommands = subcommands,
	.keys = hg_mirror_conf_keys,
};

static int no_option(void *ctx, const struct hg_opt *opt, const char *value)
{
	return -1;
}

int main(int argc, char **argv)
{
	static const int levels[] = { HG_LOG_ERROR, HG_LOG_WARN, HG_LOG_INFO, HG_LOG_DEBUG };
	struct hg_mirror_conf conf;
	const char *path = NULL;
	char err[512];
	int first, rc;

	first = hg_program_options(&program, argc, argv, no_option, NULL, &path);
	if (first < 0)
		return HG_EXIT_USAGE;
	if (hg_conf_load(hg_mirror_conf_keys, path, &conf, err, sizeof(err))) {
		fprintf(stderr, "heliograph-mirror: %s\n", err);
		return HG_EXIT_CONFIG;
	}
	hg_log_init("heliograph-mirror", levels[conf.log.level], conf.log.syslog);
	rc = hg_program_run(&program, &conf, argc - first, argv + first);
	hg_conf_free(hg_mirror_conf_keys, &conf);
	return rc;
}
