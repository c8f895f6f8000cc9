// SPDX-License-Identifier: MIT
/*
 * Subcommands on certificates and devices. A device is enrolled in this order: bundle on disk, then
 * its row; when the row fails the bundle is taken away again, so a bundle always belongs to a
 * device.
 */
#include "cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/pem.h>
#include "../lib/pg.h"
#include "../lib/psk.h"
#include "../lib/tls.h"
#include "args.h"
#include "db.h"
#include "pki.h"

#define PATH_MAX_BYTES 4096
#define SAN_MAX 2048

static int complain(const char *what)
{
	fprintf(stderr, "heliograph-mirror: %s\n", what);
	return HG_EXIT_FAILED;
}

/* "PATH: why" from errno. */
static int complain_file(const char *path)
{
	fprintf(stderr, "heliograph-mirror: %s: %s\n", path, strerror(errno));
	return HG_EXIT_FAILED;
}

static int crl_write(const struct hg_mirror_conf *conf, PGconn *pg)
{
	struct hg_pki_revoked *list = NULL;
	struct hg_pki_ca ca = { 0 };
	char err[512], path[PATH_MAX_BYTES];
	PGresult *res = NULL;
	int rc, n;

	if (hg_pki_ca_load(conf->ca.directory, &ca, err, sizeof(err)))
		return complain(err);
	rc = hg_db_run(pg, &res, "SELECT serial, revoked_at FROM admin_revoked", 0, NULL);
	if (rc)
		goto out;
	n = PQntuples(res);
	list = calloc(n + 1, sizeof(*list));
	for (int i = 0; list && i < n; i++)
		list[i] = (struct hg_pki_revoked){ PQgetvalue(res, i, 0),
						   atoll(PQgetvalue(res, i, 1)) };
	snprintf(path, sizeof(path), "%s/ca.crl", conf->ca.directory);
	if (!list)
		rc = complain("out of memory");
	else if (hg_pki_crl_write(&ca, list, n, conf->ca.crl_days, path, err, sizeof(err)))
		rc = complain(err);
	else
		printf("%s: %d revoked; send the server SIGHUP to read it\n", path, n);
out:
	free(list);
	PQclear(res);
	hg_pki_ca_free(&ca);
	return rc;
}

int hg_cmd_ca_crl(void *ctx, int argc, char **argv)
{
	int rc = hg_args_parse(argc, argv, 0, NULL);
	PGconn *pg;

	if (rc)
		return rc;
	pg = hg_db_open(ctx);
	if (!pg)
		return HG_EXIT_UNAVAILABLE;
	rc = crl_write(ctx, pg);
	PQfinish(pg);
	return rc;
}

/* Issues DIR/NAME.crt and .key. */
static int issue(const struct hg_pki_ca *ca, struct hg_pki_request r, const char *dir,
		 const char *file, char serial[HG_SERIAL_TEXT], time_t *not_after)
{
	char cert[PATH_MAX_BYTES], key[PATH_MAX_BYTES], err[512];

	if (snprintf(cert, sizeof(cert), "%s/%s.crt", dir, file) >= (int)sizeof(cert))
		return complain("path too long");
	snprintf(key, sizeof(key), "%s/%s.key", dir, file);
	r.cert_path = cert;
	r.key_path = key;
	return hg_pki_issue(ca, &r, serial, not_after, err, sizeof(err)) ? complain(err)
									 : HG_EXIT_OK;
}

/* "DNS:a,IP:b" of host names and addresses, or of ready-made SANs. */
static int join_sans(const char *const *items, size_t count, bool typed, char out[SAN_MAX])
{
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		const char *s = items[i], *kind = "";

		if (typed && strncmp(s, "DNS:", 4) && strncmp(s, "IP:", 3))
			return complain("--san is DNS:name or IP:address");
		if (!typed)
			kind = strchr(s, ':') || strspn(s, "0123456789.") == strlen(s) ? "IP:"
										       : "DNS:";
		if (!*s || strpbrk(s, ", \n"))
			return complain("a name must not hold commas or blanks");
		used += snprintf(out + used, SAN_MAX - used, "%s%s%s", i ? "," : "", kind, s);
		if (used >= SAN_MAX)
			return complain("too many names");
	}
	return HG_EXIT_OK;
}

int hg_cmd_ca_init(void *ctx, int argc, char **argv)
{
	const struct hg_mirror_conf *conf = ctx;
	const char *hosts[HG_ARGS_VALUES_MAX];
	struct hg_arg args[] = { { "host", hosts, HG_ARGS_VALUES_MAX, 0, 0 }, { 0 } };
	char err[512], serial[HG_SERIAL_TEXT], san[SAN_MAX], host[256], path[PATH_MAX_BYTES];
	struct hg_pki_request r = { .role = HG_PKI_SERVER,
				    .san = san,
				    .days = conf->ca.server_days };
	struct hg_pki_ca ca = { 0 };
	time_t not_after;
	int rc = hg_args_parse(argc, argv, 1, args);

	if (rc)
		return rc;
	if (!args[0].count && !gethostname(host, sizeof(host)))
		hosts[args[0].count++] = host;
	rc = join_sans(hosts, args[0].count, false, san);
	if (rc)
		return rc;
	if (hg_pki_ca_make(argv[1], conf->ca.ca_days, err, sizeof(err)) ||
	    hg_pki_ca_load(argv[1], &ca, err, sizeof(err)))
		return complain(err);
	r.name = hosts[0];
	rc = issue(&ca, r, argv[1], "mirror", serial, &not_after);
	snprintf(path, sizeof(path), "%s/ca.crl", argv[1]);
	if (!rc && hg_pki_crl_write(&ca, NULL, 0, conf->ca.crl_days, path, err, sizeof(err)))
		rc = complain(err);
	snprintf(path, sizeof(path), "%s/psk.key", argv[1]);
	if (!rc && hg_psk_secret_make(path, err, sizeof(err)))
		rc = complain(err);
	if (!rc)
		printf("%s: ca.crt ca.key ca.crl mirror.crt mirror.key psk.key\n", argv[1]);
	hg_pki_ca_free(&ca);
	return rc;
}

int hg_cmd_psk_key(void *ctx, int argc, char **argv)
{
	int rc = hg_args_parse(argc, argv, 1, NULL);
	char err[512];

	if (rc)
		return rc;
	return hg_psk_secret_make(argv[1], err, sizeof(err)) ? complain(err) : HG_EXIT_OK;
}

int hg_cmd_ca_server(void *ctx, int argc, char **argv)
{
	const struct hg_mirror_conf *conf = ctx;
	const char *sans[HG_ARGS_VALUES_MAX], *out = ".";
	struct hg_arg args[] = { { "san", sans, HG_ARGS_VALUES_MAX, 0, 0 },
				 { "out", &out, 1, 0, 0 },
				 { 0 } };
	char err[512], serial[HG_SERIAL_TEXT], san[SAN_MAX];
	struct hg_pki_request r = { .role = HG_PKI_SERVER,
				    .san = san,
				    .days = conf->ca.server_days };
	struct hg_pki_ca ca = { 0 };
	time_t not_after;
	int rc = hg_args_parse(argc, argv, 1, args);

	if (rc)
		return rc;
	if (!args[0].count || !*argv[1] || strchr(argv[1], '/')) {
		complain("ca server: wants a NAME without '/' and at least one --san");
		return HG_EXIT_USAGE;
	}
	rc = join_sans(sans, args[0].count, true, san);
	if (rc)
		return rc;
	if (mkdir(out, 0755) && errno != EEXIST)
		return complain_file(out);
	if (hg_pki_ca_load(conf->ca.directory, &ca, err, sizeof(err)))
		return complain(err);
	r.name = argv[1];
	rc = issue(&ca, r, out, argv[1], serial, &not_after);
	if (!rc)
		printf("%s/%s.crt %s/%s.key\n", out, argv[1], out, argv[1]);
	hg_pki_ca_free(&ca);
	return rc;
}

static int write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "wxe");
	bool good = f && fputs(text, f) >= 0;

	if (f)
		good = !fclose(f) && good;
	return good ? HG_EXIT_OK : complain_file(path);
}

/* The parts of a bundle that are not the device's own certificate. */
static int bundle_rest(const struct hg_mirror_conf *conf, const struct hg_pki_ca *ca,
		       const char *dir)
{
	char path[PATH_MAX_BYTES], text[1024];
	FILE *f;
	bool good;

	snprintf(path, sizeof(path), "%s/ca.crt", dir);
	f = fopen(path, "wxe");
	good = f && PEM_write_X509(f, ca->cert);
	if (f)
		good = !fclose(f) && good;
	if (!good)
		return complain_file(path);
	snprintf(path, sizeof(path), "%s/heliographd.conf-snippet", dir);
	snprintf(text, sizeof(text),
		 "[mirror]\nhost = %s\nport = %u\n"
		 "cert = " HG_SYSCONFDIR "/heliograph/device.crt\n"
		 "key = " HG_SYSCONFDIR "/heliograph/device.key\n"
		 "ca = " HG_SYSCONFDIR "/heliograph/ca.crt\n",
		 conf->sync.public_host ? conf->sync.public_host : "",
		 (unsigned int)conf->sync.public_port);
	return write_text(path, text);
}

static void bundle_remove(const char *dir)
{
	static const char *const files[] = { "device.crt", "device.key", "ca.crt",
					     "heliographd.conf-snippet" };
	char path[PATH_MAX_BYTES];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	rmdir(dir);
}

static int enrol(const struct hg_mirror_conf *conf, PGconn *pg, const char *uid, const char *model,
		 const char *dir)
{
	struct hg_pki_request r = { .role = HG_PKI_DEVICE,
				    .name = uid,
				    .days = conf->ca.device_days };
	char err[512], serial[HG_SERIAL_TEXT], after[32];
	const char *params[] = { uid, model, serial, after };
	struct hg_pki_ca ca = { 0 };
	time_t not_after;
	int rc;

	if (hg_pki_ca_load(conf->ca.directory, &ca, err, sizeof(err)))
		return complain(err);
	if (mkdir(dir, 0700)) {
		snprintf(err, sizeof(err), "%s: %s; name a new directory with --out", dir,
			 strerror(errno));
		hg_pki_ca_free(&ca);
		return complain(err);
	}
	rc = issue(&ca, r, dir, "device", serial, &not_after);
	rc = rc ? rc : bundle_rest(conf, &ca, dir);
	if (!rc) {
		snprintf(after, sizeof(after), "%lld", (long long)not_after);
		rc = hg_db_run(pg, NULL,
			       "SELECT admin_device_add($1, $2, $3, to_timestamp($4::bigint))", 4,
			       params);
	}
	if (rc)
		bundle_remove(dir);
	else
		printf("%s: device.crt device.key ca.crt heliographd.conf-snippet\n", dir);
	if (!rc && !conf->sync.public_host)
		complain("[sync] public_host is not set, so the snippet names no mirror; write "
			 "its host there, or the device never synchronises");
	hg_pki_ca_free(&ca);
	return rc;
}

int hg_cmd_device_add(void *ctx, int argc, char **argv)
{
	const char *model = NULL, *out = NULL;
	struct hg_arg args[] = { { "model", &model, 1, 0, 0 }, { "out", &out, 1, 0, 0 }, { 0 } };
	int rc = hg_args_parse(argc, argv, 1, args);
	PGconn *pg;

	if (rc)
		return rc;
	if (!model || !hg_uid_valid(argv[1], strlen(argv[1]))) {
		complain("device add: wants a UID (1 to 64 of A-Z a-z 0-9 . _ -) and --model");
		return HG_EXIT_USAGE;
	}
	pg = hg_db_open(ctx);
	if (!pg)
		return HG_EXIT_UNAVAILABLE;
	rc = enrol(ctx, pg, argv[1], model, out ? out : argv[1]);
	PQfinish(pg);
	return rc;
}

/* Runs each statement with the same parameters and prints the rows of each. */
static int show(const struct hg_mirror_conf *conf, const char *const *sql, int n,
		const char *const *params)
{
	PGconn *pg = hg_db_open(conf);
	int rc = HG_EXIT_OK;

	if (!pg)
		return HG_EXIT_UNAVAILABLE;
	for (; !rc && *sql; sql++) {
		PGresult *res = NULL;

		rc = hg_db_run(pg, &res, *sql, n, params);
		if (!rc && PQntuples(res) && hg_pg_print(res))
			rc = complain("out of memory");
		PQclear(res);
	}
	PQfinish(pg);
	return rc;
}

int hg_cmd_device_list(void *ctx, int argc, char **argv)
{
	static const char *const sql[] = {
		"SELECT device_id, model, state, last_seen, open_commands"
		" FROM admin_device WHERE coalesce(model = $1, true) ORDER BY 1",
		NULL
	};
	const char *model = NULL;
	struct hg_arg args[] = { { "model", &model, 1, 0, 0 }, { 0 } };
	int rc = hg_args_parse(argc, argv, 0, args);

	return rc ? rc : show(ctx, sql, 1, &model);
}

int hg_cmd_device_show(void *ctx, int argc, char **argv)
{
	static const char *const sql[] = {
		"SELECT CASE WHEN count(*) = 0 THEN admin_fail(format('no device %s', $1::text)) END AS device"
		" FROM device WHERE device_id = $1",
		"SELECT key, value FROM admin_device d, jsonb_each_text(to_jsonb(d)) WHERE device_id = $1",
		"SELECT name, owner, seq, version, changed_at, left(value::text, 100) AS value FROM property"
		" WHERE device_id = $1 ORDER BY name",
		"SELECT seq, action, state, leases, created_at, ended_at, exit_status, detail FROM command"
		" WHERE device_id = $1 ORDER BY seq DESC LIMIT 20",
		"SELECT seq, name, refused_at, reason FROM refusal WHERE device_id = $1 ORDER BY seq DESC",
		"SELECT happened_at, who, what, name, data FROM audit WHERE device_id = $1 ORDER BY seq DESC"
		" LIMIT 20",
		NULL
	};
	int rc = hg_args_parse(argc, argv, 1, NULL);
	const char *params[] = { argv[1] };

	return rc ? rc : show(ctx, sql, 1, params);
}

int hg_cmd_device_revoke(void *ctx, int argc, char **argv)
{
	int rc = hg_args_parse(argc, argv, 1, NULL);
	const char *params[] = { argv[1] };
	PGconn *pg;

	if (rc)
		return rc;
	pg = hg_db_open(ctx);
	if (!pg)
		return HG_EXIT_UNAVAILABLE;
	rc = hg_db_run(pg, NULL, "SELECT admin_device_revoke($1)", 1, params);
	if (!rc && crl_write(ctx, pg))
		rc = complain(
			"the mirror refuses the device from now on; the revocation list was not written");
	PQfinish(pg);
	return rc;
}

int hg_cmd_device_release(void *ctx, int argc, char **argv)
{
	int rc = hg_args_parse(argc, argv, 1, NULL);
	const char *params[] = { argv[1] };

	return rc ? rc : hg_db_one(ctx, "SELECT admin_device_release($1)", 1, params, false);
}
