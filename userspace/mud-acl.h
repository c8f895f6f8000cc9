/* SPDX-License-Identifier: MIT */
/*
 * What mud-*.c share: a place in a JSON document, the entries of its access lists (RFC 8519), and
 * what they grant. A grant is what a channel can say: who opens, protocol, ports, remote.
 */
#ifndef HG_USERSPACE_MUD_ACL_H
#define HG_USERSPACE_MUD_ACL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mud.h"
#include "profile.h"

#define HG_MUD_PATH_MAX 256
#define HG_MUD_NAME_MAX 64    /* bytes of the name of a list or an entry, RFC 8519 */
#define HG_MUD_REMOTE_MAX 264 /* "name:" and a DNS name of 253 bytes */
#define HG_MUD_NOTES_MAX 4096

/* Both with "ietf-access-control-list:" before them; the second is that of the drafts. */
#define HG_MUD_ACLS "ietf-access-control-list:acls"
#define HG_MUD_ACLS_DRAFT "ietf-access-control-list:access-lists"

/* Our extension (RFC 8520, section 3.9) and its node. */
#define HG_MUD_EXTENSION "wb-profile"
#define HG_MUD_EXTENSION_NODE "wb-profile:profile"
#define HG_MUD_EXTENSION_VERSION 1

/* RFC 8520, appendix A: permitted where no entry says otherwise. */
#define HG_MUD_DEFAULT_DNS "default-dns"
#define HG_MUD_DEFAULT_NTP "default-ntp"

/* Model or firmware of which a file says nothing. */
#define HG_MUD_UNKNOWN "unknown"

enum hg_mud_direction { HG_MUD_FROM = 1, HG_MUD_TO = 2 };
enum hg_mud_opener { HG_MUD_UNSAID = 0, HG_MUD_DEVICE, HG_MUD_REMOTE };
enum hg_mud_family { HG_MUD_V4 = 1, HG_MUD_V6 = 2 };

enum hg_mud_said {
	HG_MUD_SAID_OPERATOR = 1,
	HG_MUD_SAID_RANGE = 2,
	HG_MUD_SAID_LENGTH = 4,
	HG_MUD_SAID_ETH = 8,
	HG_MUD_SAID_TYPE = 16,
};

struct hg_mud_ports {
	uint8_t n; /* 0: any */
	struct {
		uint16_t min, max; /* 1..65535 */
	} r[2];
};

struct hg_mud_ace {
	const json_t *node; /* the entry itself */
	const char *name;
	const char *type; /* of its list, as written */
	char path[HG_MUD_PATH_MAX];
	char remote[HG_MUD_REMOTE_MAX]; /* as a profile has it */
	int list;			/* entries of one list have the same */
	uint8_t direction;
	uint8_t families;	       /* 0: not IP */
	uint8_t proto;		       /* 0: any */
	uint8_t opener;		       /* as far as the entry says */
	struct hg_mud_ports near, far; /* the device's and the remote's */
	bool drop;
	bool keep;     /* its words say more, or other, than the profile's would */
	bool lost;     /* the profile says nothing of it */
	int grants[2]; /* -1: none */
};

struct hg_mud_grant {
	const char *name; /* of the first entry */
	const char *remote;
	uint8_t opener; /* HG_MUD_DEVICE or HG_MUD_REMOTE */
	uint8_t proto;
	uint8_t directions[2];	   /* IPv4, IPv6; 0: not granted */
	struct hg_mud_ports ports; /* the remote's, or the device's if the remote opens */
	bool keep;		   /* its entries are kept as they are */
};

/* A walk through a document: where it is, and what it found. */
struct hg_mud {
	char path[HG_MUD_PATH_MAX];
	size_t path_len;
	char *err;
	size_t err_size;
	json_t *notes;
	unsigned int said;		   /* of notes that are told once */
	const json_t *header;		   /* ietf-mud:mud */
	const json_t *extension;	   /* the profile in our extension; NULL: none */
	char authority[HG_MUD_REMOTE_MAX]; /* of the MUD URL */
	size_t n_aces, n_grants;
	struct hg_mud_ace aces[HG_MUD_ACES_MAX];
	struct hg_mud_grant grants[2 * HG_MUD_ACES_MAX];
};

/* -EINVAL, with "PATH: text" in the caller's err. */
__attribute__((format(printf, 2, 3))) int hg_mud_fail(struct hg_mud *m, const char *fmt, ...);
/* Whether what was made is small enough to be read again, in the form of HG_MUD_DUMP. */
int hg_mud_check_size(struct hg_mud *m, const json_t *root, const char *what, size_t max);
/* Appends "PATH: text" to the notes. */
__attribute__((format(printf, 3, 4))) void hg_mud_note(struct hg_mud *m, const char *path,
						       const char *fmt, ...);
/* Lengthens the path; the result is for hg_mud_leave(). */
__attribute__((format(printf, 2, 3))) size_t hg_mud_enter(struct hg_mud *m, const char *fmt, ...);
void hg_mud_leave(struct hg_mud *m, size_t before);

/* Of the entry at the path: the channel takes more than the entry; or there is no channel. */
void hg_mud_widen(struct hg_mud *m, struct hg_mud_ace *a, const char *what);
void hg_mud_lose(struct hg_mud *m, struct hg_mud_ace *a, const char *what);
/* Of the file: what tools do everywhere is told where it is met first. */
void hg_mud_say_once(struct hg_mud *m, enum hg_mud_said what, const char *text);
/* Notes members that are not `read`: `others`, which no channel can say, and unknown nodes. */
void hg_mud_pass_over(struct hg_mud *m, struct hg_mud_ace *a, const json_t *o,
		      const char *const *read, const char *const *others);

/*
 * Members of an object, whose path is the current one. Return 0 or -EINVAL. A string of 1..max
 * bytes; *out is NULL where it is missing and need not be there.
 */
int hg_mud_string(struct hg_mud *m, const json_t *o, const char *key, size_t max, bool needed,
		  const char **out);
/* An integer; *out is -1 where it is missing and need not be there. */
int hg_mud_integer(struct hg_mud *m, const json_t *o, const char *key, long min, long max,
		   bool needed, long *out);
/* An object or array; NULL where it is missing and need not be there. */
int hg_mud_container(struct hg_mud *m, const json_t *o, const char *key, json_type type,
		     bool needed, const json_t **out);

/* Reads a whole file into *m, all zero but for err and notes. `root` must outlive it. */
int hg_mud_read(struct hg_mud *m, const json_t *root);
/* RFC 8520: https, an authority; it goes to m->authority. The path is that of the URL. */
int hg_mud_read_url(struct hg_mud *m, const char *url);
/* The type of a list without its module's name, static; NULL after hg_mud_fail(). */
const char *hg_mud_type(struct hg_mud *m, const char *type);
/* yang:date-and-time */
bool hg_mud_is_time(const char *s);

/* Reads one entry of a list of `type` into m->aces; the path is that of the entry. */
int hg_mud_ace_read(struct hg_mud *m, const json_t *node, enum hg_mud_direction direction,
		    const char *type, int list);

/* Network and DNS name of the remote, as a profile has them; "": none. */
struct hg_mud_address {
	char prefix[HG_MUD_REMOTE_MAX], host[HG_MUD_REMOTE_MAX];
};

/* Of the members of "ipv4" or "ipv6". */
int hg_mud_read_address(struct hg_mud *m, struct hg_mud_ace *a, const json_t *ip, bool v6,
			struct hg_mud_address *to);
/* Of "ietf-mud:mud" in `matches`: "local", "dns", ...; "" if the entry names no class. */
int hg_mud_read_class(struct hg_mud *m, struct hg_mud_ace *a, const json_t *matches,
		      const char **out);
/* Sets a->remote of all that the entry says of it. */
void hg_mud_set_remote(struct hg_mud *m, struct hg_mud_ace *a, const char *class,
		       struct hg_mud_address *to);

/* Makes m->grants of m->aces, and says which entries are to be kept. */
void hg_mud_grant_all(struct hg_mud *m);
/* Whether the profile has a channel for this family of the grant, and if answers come. */
bool hg_mud_granted(const struct hg_mud_grant *g, int family);
bool hg_mud_answered(const struct hg_mud_grant *g, int family);
bool hg_mud_ports_equal(const struct hg_mud_ports *a, const struct hg_mud_ports *b);

/* One way to talk that a channel grants, in one IP version; what mud-entry.c writes. */
struct hg_mud_unit {
	const char *name;   /* of the channel */
	const char *remote; /* as a profile has it */
	bool remote_opens, answers, v6;
	uint8_t proto;
	uint16_t port_min, port_max; /* 0: any */
};

/* What a profile's name may not have becomes '-', never two on end. False: nothing was left. */
bool hg_mud_clean_name(const char *s, char out[static HG_PROFILE_NAME_MAX + 1]);

/* Whether a MUD file can name the remote. */
bool hg_mud_can_name(const char *remote);
/* An entry of RFC 8519 that is called `name`; `authority` is of the MUD URL. NULL: no memory. */
json_t *hg_mud_entry(const struct hg_mud_unit *u, enum hg_mud_direction direction, const char *name,
		     const char *authority);

/* Forms of the drafts in an entry that has been read become those of RFC 8519. */
void hg_mud_tidy(json_t *ace);

/*
 * All entries that the policies of a good file reach, as a set for comparing: an object whose keys
 * say direction, type, matches and action, and whose values are the entries' names.
 */
json_t *hg_mud_entries(const json_t *root);

#endif
