/* SPDX-License-Identifier: MIT */
/*
 * MUD files (RFC 8520) to traffic profiles and back; docs/mud.md says what becomes what. Both ways
 * work on JSON values in memory; `heliograph profile import-mud` and `export-mud` call them.
 */
#ifndef HG_USERSPACE_MUD_H
#define HG_USERSPACE_MUD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define HG_MUD_SIZE_MAX (512 << 10) /* bytes of a MUD file */
#define HG_MUD_ACES_MAX 2048	    /* entries of all access lists that the policies name */

/* How json_dumpf() writes what these make: the limits on size hold for this form. */
#define HG_MUD_DUMP JSON_INDENT(2)

struct hg_mud_import_options {
	const char *model, *firmware; /* NULL: what the file says */
	bool lists_only;	      /* the extension object is not looked at */
};

struct hg_mud_export_options {
	const char *url;	 /* NULL: that of the file which the profile was imported from */
	const char *last_update; /* RFC 3339 date-time */
	bool plain;		 /* without the extension object */
};

/*
 * Return a new profile, or a new MUD file, and append to `notes`, an array of strings, what the
 * other form cannot say: "PATH: what, and what became of it". NULL: err has the path of the node
 * that is wrong ("$.ietf-mud:mud.mud-url"), what is wrong and what is allowed.
 */
json_t *hg_mud_import(const char *text, size_t len, const struct hg_mud_import_options *o,
		      json_t *notes, char *err, size_t err_size);
json_t *hg_mud_export(const json_t *profile, const struct hg_mud_export_options *o, json_t *notes,
		      char *err, size_t err_size);

#endif
