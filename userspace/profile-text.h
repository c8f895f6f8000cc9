/* SPDX-License-Identifier: MIT */
/*
 * The small texts inside a profile: remotes, protocols, port ranges, points of time. Read by its
 * reader and written by its writer and the commands.
 */
#ifndef HG_USERSPACE_PROFILE_TEXT_H
#define HG_USERSPACE_PROFILE_TEXT_H

#include "profile.h"

#define HG_REMOTE_TEXT_MAX (HG_PROFILE_HOST_MAX + 6) /* "name:" and NUL */
#define HG_TEXT_MAX 24				     /* a protocol, a range, a time, with NUL */

/*
 * "any", "local", a role, an address or prefix, "name:host". Returns 0, -EINVAL (none of these) or
 * -ERANGE (host bits are set in a prefix). *out is overwritten in any case.
 */
int hg_remote_read(const char *text, struct hg_profile_remote *out);
char *hg_remote_write(const struct hg_profile_remote *r, char out[static HG_REMOTE_TEXT_MAX]);

/* "tcp"; NULL: it has no name. "any" is 0. Reading returns -1 for what is no name. */
const char *hg_proto_name(uint8_t proto);
int hg_proto_read(const char *name);

/* "5000-5010", or one port. Returns 0 or -EINVAL. */
int hg_ports_read(const char *text, struct hg_profile_ports *out);

/*
 * RFC 3339 date-time in whole seconds, from 1971 to 9999; written in UTC. Seconds since 1970, or -1
 * if it is none.
 */
int64_t hg_time_read(const char *text);
char *hg_time_write(int64_t time, char out[static HG_TEXT_MAX]);

/* A DNS name of letters, digits, '-' and '_', or "*." and one, as hg_names_pattern_ok(). */
bool hg_host_valid(const char *host, size_t len);

#endif
