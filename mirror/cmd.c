// SPDX-License-Identifier: MIT
/*
 * Subcommands on models, tokens and the database itself. All facts are kept, and all rules are
 * judged, by the SQL functions of mirror/sql.
 */
#include "cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include "../lib/pg.h"
#include "args.h"
#include "db.h"

#define TOKEN_BYTES 32 /* of randomness; nobody guesses 2^256 */
#define MODEL_FILE_MAX (1 << 20)

int hg_cmd_migrate(void *ctx, int argc, char **argv)
{
	const struct hg_mirror_conf *conf = ctx;
	char err[512];
	int r, rc = hg_args_parse(argc, argv, 0, NULL);

	if (rc)
		return rc;
	r = hg_pg_migrate(conf->database.conninfo, conf->database.schema, conf->database.migrations,
			  err, sizeof(err));
	if (r)
		fprintf(stderr, "heliograph-mirror: %s\n", err);
	return !r ? HG_EXIT_OK : r == -ECONNREFUSED ? HG_EXIT_UNAVAILABLE : HG_EXIT_FAILED;
}

int hg_cmd_restored(void *ctx, int argc, char **argv)
{
	int rc = hg_args_parse(argc, argv, 0, NULL);

	return rc ? rc : hg_db_one(ctx, "SELECT admin_restored() AS devices", 0, NULL, true);
}

int hg_cmd_model_add(void *ctx, int argc, char **argv)
{
	int rc = hg_args_parse(argc, argv, 1, NULL);
	const char *params[1];
	json_error_t error;
	json_t *model;
	char *text;

	if (rc)
		return rc;
	model = json_load_file(argv[1], JSON_REJECT_DUPLICATES, &error);
	if (!model) {
		fprintf(stderr, "heliograph-mirror: %s:%d:%d: %s\n", argv[1], error.line,
			error.column, error.text);
		return HG_EXIT_FAILED;
	}
	text = json_dumps(model, JSON_COMPACT | JSON_REAL_PRECISION(15));
	json_decref(model);
	if (!text)
		return HG_EXIT_FAILED;
	params[0] = text;
	rc = hg_db_one(ctx, "SELECT admin_model_add($1::jsonb) AS model", 1, params, true);
	free(text);
	return rc;
}

int hg_cmd_model_list(void *ctx, int argc, char **argv)
{
	int rc = hg_args_parse(argc, argv, 0, NULL);

	return rc ? rc
		  : hg_db_one(ctx,
			      "SELECT model, count(device_id) AS devices, loaded_at FROM model"
			      " LEFT JOIN device USING (model) GROUP BY model ORDER BY model",
			      0, NULL, true);
}

/* "hg_" and base64url of random bytes; hash is "\x" and SHA-256 of that text. */
static bool token_make(char token[64], char hash[67])
{
	unsigned char raw[TOKEN_BYTES + 1], md[32];
	unsigned char text[64];

	if (RAND_bytes(raw, TOKEN_BYTES) != 1)
		return false;
	raw[TOKEN_BYTES] = 0;
	EVP_EncodeBlock(text, raw, TOKEN_BYTES);
	snprintf(token, 64, "hg_%.43s", (char *)text);
	for (char *s = token; *s; s++)
		*s = *s == '+' ? '-' : *s == '/' ? '_' : *s;
	if (EVP_Digest(token, strlen(token), md, NULL, EVP_sha256(), NULL) != 1)
		return false;
	snprintf(hash, 3, "\\x");
	for (int i = 0; i < 32; i++)
		snprintf(hash + 2 + 2 * i, 3, "%02x", md[i]);
	return true;
}

static bool days_valid(const char *days)
{
	return *days && strspn(days, "0123456789") == strlen(days) && strlen(days) <= 5 &&
	       atoi(days) >= 1 && atoi(days) <= 36500;
}

/* Printable ASCII: it stands in lists and in the audit. */
static bool name_valid(const char *name)
{
	size_t n = strlen(name);

	for (const char *c = name; *c; c++)
		if (*c < ' ' || *c > '~')
			return false;
	return n >= 1 && n <= 64;
}

int hg_cmd_token_add(void *ctx, int argc, char **argv)
{
	const char *rights[3], *devices[HG_ARGS_VALUES_MAX], *models[HG_ARGS_VALUES_MAX],
		*days = NULL;
	struct hg_arg args[] = { { "right", rights, 3, 0, 0 },
				 { "device", devices, HG_ARGS_VALUES_MAX, 0, 0 },
				 { "model", models, HG_ARGS_VALUES_MAX, 0, 0 },
				 { "days", &days, 1, 0, 0 },
				 { 0 } };
	char token[64], hash[67], *r, *d, *m;
	int rc = hg_args_parse(argc, argv, 1, args);

	if (rc)
		return rc;
	for (size_t i = 0; i < args[0].count; i++)
		if (strcmp(rights[i], "read") && strcmp(rights[i], "write") &&
		    strcmp(rights[i], "invoke"))
			args[0].count = 0;
	if (!args[0].count || (days && !days_valid(days)) || !name_valid(argv[1])) {
		fprintf(stderr,
			"heliograph-mirror: token add: --right is read, write or invoke, at least"
			" one; --days is 1 to 36500; NAME is 1 to 64 characters\n");
		return HG_EXIT_USAGE;
	}
	r = hg_db_array(rights, args[0].count);
	d = hg_db_array(devices, args[1].count);
	m = hg_db_array(models, args[2].count);
	rc = HG_EXIT_FAILED;
	if (r && d && m && token_make(token, hash)) {
		const char *params[] = { argv[1], hash, r, d, m, days };

		rc = hg_db_one(ctx, "SELECT admin_token_add($1, $2, $3, $4, $5, $6)", 6, params,
			       false);
	}
	if (!rc)
		printf("%s\n", token);
	free(r);
	free(d);
	free(m);
	return rc;
}

int hg_cmd_token_list(void *ctx, int argc, char **argv)
{
	int rc = hg_args_parse(argc, argv, 0, NULL);

	return rc ? rc : hg_db_one(ctx, "SELECT * FROM admin_token ORDER BY name", 0, NULL, true);
}

int hg_cmd_token_revoke(void *ctx, int argc, char **argv)
{
	int rc = hg_args_parse(argc, argv, 1, NULL);
	const char *params[] = { argv[1] };

	return rc ? rc : hg_db_one(ctx, "SELECT admin_token_revoke($1)", 1, params, false);
}
